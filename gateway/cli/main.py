"""The command `gateway`: which commands there are, and where each lives.

A command's module is imported only when it is asked for, which keeps the start under what a person
notices; `COMMANDS` is the one list of them.
"""

from __future__ import annotations

import importlib

import click

from gateway import __version__

COMMANDS = {
    "serve": "Run the gateway.",
    "migrate": "Create or upgrade the database's schema.",
    "demo": "Run everything at once: gateway, simulated switch, simulated targets.",
    "access": "Credentials that webhooks use.",
    "webhook": "Which events go to which URL.",
    "send": "Push an event.",
    "logs": "Delivery attempts, newest first.",
    "event": "One event and its deliveries.",
    "call": "A call's timeline.",
    "replay": "Deliver events again.",
    "rejected": "Pushes that were refused, to mend and resubmit.",
    "port": "Target ports beyond the standard ones.",
    "tenant": "Customers, and how much each may push.",
    "token": "API tokens.",
    "audit": "Who changed what.",
    "completion": "Print the completion script of a shell.",
}
"""Each command and what the list of commands says of it, in the order in which they are listed."""


class LazyGroup(click.Group):
    """A group whose commands are the function `command` of the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"gateway.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gateway")
def cli() -> None:
    """An event gateway for contact centers: call events in, webhooks out, nothing lost.

    The commands below `demo` talk to a running gateway: --url (or GATEWAY_URL) names it and
    --token (or GATEWAY_TOKEN, GATEWAY_TOKEN_FILE) says who you are. On the gateway's own machine
    neither is needed.

    Exit codes: 0 done, 1 refused by the gateway, 2 wrong usage, 3 gateway not reachable,
    4 gateway not able to do it now.
    """


def main() -> None:
    """The program's entry point."""
    cli(prog_name="gateway")
