"""`gateway completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash:  eval "$(gateway completion bash)"           in ~/.bashrc
      zsh:   eval "$(gateway completion zsh)"            in ~/.zshrc
      fish:  gateway completion fish > ~/.config/fish/completions/gateway.fish
    """
    shell_class = get_completion_class(shell)
    assert shell_class is not None, "click knows these three"
    click.echo(shell_class(ctx.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE").source())
