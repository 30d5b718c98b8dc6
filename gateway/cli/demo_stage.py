"""The demo's composition: a gateway, a simulated switch and simulated systems of record, started and stopped in order.

What is started here is stopped here, whatever the reason for stopping; nothing outlives the demo.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.cli import demo_setup, demo_view
from gateway.cli.client import Client
from gateway.cli.demo_gateway import DemoFailed, GatewayProcess, choose_port
from gateway.cli.demo_ledger import Ledger
from gateway.cli.demo_switch import DemoSwitch, Dialler
from gateway.cli.demo_target import DemoTarget
from gateway.cli.waiting import set_within
from gateway.errors import GatewayError
from gateway.store.locks import FileLock

FAILURE_SHARE = 0.03
"""Of the first attempts that a target answers 503."""
DRAIN_LIMIT_S = 6.0
"""How long a demo that ends by itself waits for the last deliveries: past the first two retries."""
DRAIN_POLL_S = 0.05
EARLIER_LIMIT_S = 30.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo was asked for: None for `port` is any, for `seconds` until it is stopped."""

    data_dir: Path
    port: int | None
    rate: float
    seconds: float | None


async def run(options: Options) -> None:
    """The whole demo. Raises DemoFailed where the gateway does not start or does not stay."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        data_dir = options.data_dir.absolute()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = stack.enter_context(FileLock(data_dir / "demo.lock"))
        await _take(lock)
        ledger = Ledger()
        subscribers = demo_setup.make_subscribers()
        target = await stack.enter_async_context(DemoTarget(subscribers, ledger, failure_share=FAILURE_SHARE))
        click.echo(f"Starting the gateway on {options.data_dir} …")
        gateway = GatewayProcess(data_dir, port=choose_port(options.port), lock=lock)
        _stop_on_signals(stop, gateway)
        await stack.enter_async_context(gateway)
        if not await gateway.ready(stop):
            return
        token = gateway.admin_token()
        switch_token, sign_in_url = await asyncio.to_thread(_set_up, gateway.url, token, subscribers, target)
        demo_view.introduce(
            url=gateway.url,
            sign_in_url=sign_in_url,
            token=token,
            token_path=options.data_dir / gateway.token_path.name,
            log_path=options.data_dir / gateway.log_path.name,
            data_dir=options.data_dir,
        )
        switch = DemoSwitch(gateway.url, switch_token, ledger, rate=options.rate, routes=demo_setup.routes(subscribers))
        await _flow(switch, ledger, gateway, stop, seconds=options.seconds)
        demo_view.conclude(ledger.figures())


async def _flow(
    switch: DemoSwitch, ledger: Ledger, gateway: GatewayProcess, stop: asyncio.Event, *, seconds: float | None
) -> None:
    """Let it flow until a signal, the end of the time or the end of the gateway."""
    # A call id of an earlier run would put new events behind that call's old ones.
    dialler = Dialler(random.Random(), first_call_id=int(time.time() * 1000))  # noqa: S311 - not a secret
    halt = asyncio.Event()
    shown = asyncio.Event()
    died = False
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(switch.run(dialler, halt))
            tasks.create_task(demo_view.show(ledger.figures, shown))
            died = await _first_of(stop, gateway, seconds)
            halt.set()
            if not died and not stop.is_set():
                await _drain(ledger, stop)
            shown.set()
    except BaseExceptionGroup as group:
        # One task's failure is the demo's, e.g. a reader of the output who went away.
        raise group.exceptions[0] from None
    if died:
        raise gateway.failed("The gateway ended by itself")


async def _first_of(stop: asyncio.Event, gateway: GatewayProcess, seconds: float | None) -> bool:
    """Wait for a signal, the gateway's end or the end of the time; whether it was the gateway's end."""
    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(gateway.process.wait())
    await asyncio.wait({stopped, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    ended.cancel()
    return gateway.process.returncode is not None


async def _drain(ledger: Ledger, stop: asyncio.Event) -> None:
    """Wait for the deliveries that are still to come, within a limit."""
    deadline = time.monotonic() + DRAIN_LIMIT_S
    while ledger.figures().owed and time.monotonic() < deadline:
        if await set_within(stop, DRAIN_POLL_S):
            return


def _set_up(
    url: str, token: str, subscribers: tuple[demo_setup.Subscriber, ...], target: DemoTarget
) -> tuple[str, str]:
    """Everything that the flow needs, through the API; the switch's token and a link that signs in to the console.

    Runs in a thread: the client blocks.
    """
    with Client(url, token) as client:
        demo_setup.open_target_port(client, target.port)
        target.trust(demo_setup.subscribe(client, subscribers, url=target.url))
        return demo_setup.switch_token(client), demo_setup.sign_in_link(client)


async def _take(lock: FileLock) -> None:
    """One demo to a folder. An earlier one that was killed may still be stopping its gateway."""
    if lock.try_take():
        return
    click.echo("An earlier demo runs on this folder, or is still stopping: waiting for it …")
    try:
        await lock.take(within_s=EARLIER_LIMIT_S)
    except GatewayError as error:
        raise DemoFailed("Another demo runs on this folder. Stop it, or name another with --data-dir.") from error


def _stop_on_signals(stop: asyncio.Event, gateway: GatewayProcess) -> None:
    """The first signal stops in order, a second one ends the gateway at once."""

    def on_signal() -> None:
        if stop.is_set():
            gateway.kill()
        stop.set()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
