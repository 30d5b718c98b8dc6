"""The parts of a measurement as processes, each on the core where it belongs.

The gateway (or the floor) has core 0 to itself; PostgreSQL, the generator and the target share core 1, where the
latter two go first: they stand for other machines, and their waits for PostgreSQL would be taken for the gateway's lag.

Invariant: leaving the rig ends every process that it started and removes every file that it made.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import ClientSession

from bench import machine
from bench.plan import Plan, arguments
from bench.process import ADMIN_TOKEN, REPOSITORY, Gateway, free_port
from bench.traffic import FIRST_CALL_ID

GATEWAY_CORE = 0
OTHER_CORE = 1
CALLS_PER_LOAD = 100_000_000
SLACK_S = 60.0
"""How much longer than it was told to a load may take before it is given up."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for 127.0.0.1 that the target shows, and the authority that the gateway has to trust."""

    chain: Path
    key: Path
    authority: Path


class Child:
    """A Python module of ours as a process that says where it listens in its first line of output."""

    def __init__(self, module: str, *arguments: str, core: int) -> None:
        self._module = module
        self._arguments = arguments
        self._core = core
        self._process: asyncio.subprocess.Process | None = None
        self.ports: dict[str, int] = {}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        self._process = await _python("-m", self._module, *self._arguments)
        assert self._process.stdout is not None
        machine.pin(self.pid, self._core)
        if self._core == OTHER_CORE:
            machine.favour(self.pid)
        self.ports = json.loads(await self._process.stdout.readline())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


class TargetClient:
    """The target's controls."""

    def __init__(self, session: ClientSession, child: Child) -> None:
        self._session = session
        self.pid = child.pid
        self.ports: Mapping[str, int] = child.ports
        self._base = f"http://127.0.0.1:{child.ports['port']}"

    def url(self, path: str, *, tls: bool = False) -> str:
        return f"https://127.0.0.1:{self.ports['tls_port']}{path}" if tls else self._base + path

    async def set(self, path: str, **behaviour: Any) -> None:
        await self._ask("POST", "/__set", {"path": path, **behaviour})

    async def reset(self) -> None:
        await self._ask("POST", "/__reset")

    async def delivered(self) -> int:
        count: int = (await self._ask("GET", "/__count"))["delivered"]
        return count

    async def stats(self) -> dict[str, Any]:
        """Totals, and under `paths` each path's own."""
        return await self._ask("GET", "/__stats?paths")

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, self._base + path, data=data) as response:
            answer: dict[str, Any] = json.loads(await response.read())
            return answer


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is set up on a gateway before it is measured, done once for all scenarios that name it."""

    name: str
    set_up: Callable[[Gateway, TargetClient], Awaitable[None]]


async def _nothing(gateway: Gateway, target: TargetClient) -> None:
    """A fresh gateway: only its database has been created."""


FRESH = Preparation("fresh", _nothing)


class Rig:
    """Makes the parts. A data directory is prepared once and copied for every gateway that starts from it.

    All targets have the same two ports, one after the other, so that a prepared webhook leads to each of them.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._folder = Path()
        self._templates: dict[str, Path] = {}
        self._target_ports = {"port": free_port(), "tls_port": free_port()}
        self._loads = 0
        self._gateways = 0
        self.certificate: Certificate

    async def __aenter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._folder.chmod(0o755)  # PostgreSQL's own user passes through it where the gateway runs as root
        self._session = await self._stack.enter_async_context(ClientSession())
        self.certificate = _certificate(self._folder)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def target(self, stack: AsyncExitStack) -> TargetClient:
        """A target with a plain and a TLS port, for as long as `stack` is open."""
        ports = ("--port", str(self._target_ports["port"]), "--tls-port", str(self._target_ports["tls_port"]))
        files = ("--certificate", str(self.certificate.chain), "--key", str(self.certificate.key))
        child = await stack.enter_async_context(Child("bench.target", *ports, *files, core=OTHER_CORE))
        return TargetClient(self._session, child)

    async def floor(self, stack: AsyncExitStack, urls: list[str]) -> Child:
        authority = ("--authority", str(self.certificate.authority))
        return await stack.enter_async_context(Child("bench.floor", *authority, *urls, core=GATEWAY_CORE))

    async def gateway(
        self,
        stack: AsyncExitStack,
        target: TargetClient,
        *,
        environment: Mapping[str, str] | None = None,
        prepared: Preparation = FRESH,
    ) -> Gateway:
        """A gateway on a fresh copy of a prepared data directory; it may call the target's two ports."""
        template = self._templates.get(prepared.name)
        if template is None:
            template = self._folder / prepared.name
            async with self._on(template) as gateway:
                await prepared.set_up(gateway, target)
            self._templates[prepared.name] = template
        self._gateways += 1
        data_dir = self._folder / f"gateway-{self._gateways}"
        await _run("cp", "-a", str(template), str(data_dir))
        stack.callback(shutil.rmtree, data_dir, ignore_errors=True)
        gateway = self._on(data_dir, environment)
        await stack.enter_async_context(gateway)
        pin(gateway)
        return gateway

    def _on(self, data_dir: Path, environment: Mapping[str, str] | None = None) -> Gateway:
        trusted = {"SSL_CERT_FILE": str(self.certificate.authority)}
        return Gateway(
            data_dir, egress_ports=self._target_ports.values(), environment={**trusted, **(environment or {})}
        )

    async def load(self, plan: Plan) -> dict[str, Any]:
        """Runs the generator with its own range of call ids and returns its report."""
        self._loads += 1
        plan = replace(plan, first_call_id=FIRST_CALL_ID + self._loads * CALLS_PER_LOAD)
        process = await _python("-m", "bench.load", *arguments(plan))
        machine.pin(process.pid, OTHER_CORE)
        machine.favour(process.pid)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), plan.seconds * 2 + SLACK_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        report: dict[str, Any] = json.loads(output)
        return report


def pin(gateway: Gateway) -> None:
    """The gateway to its core, its PostgreSQL to the other. To be repeated after a restart."""
    machine.pin(gateway.pid, GATEWAY_CORE)
    postmaster = gateway.postmaster_pid()
    if postmaster is not None:
        for pid in (postmaster, *machine.family(postmaster)):
            machine.pin(pid, OTHER_CORE)


def plan(gateway: Gateway, seconds: float, **rest: Any) -> Plan:
    return Plan(url=gateway.url, token=ADMIN_TOKEN, seconds=seconds, **rest)


def _certificate(folder: Path) -> Certificate:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
    issued.cert_chain_pems[0].write_to_path(made.chain)
    issued.private_key_pem.write_to_path(made.key)
    authority.cert_pem.write_to_path(made.authority)
    return made


async def _python(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait() != 0:
        raise RuntimeError(f"{command[0]} failed")
