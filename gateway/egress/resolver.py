"""Names to addresses that may be dialled.

Invariant: every address of a name is vetted at each answer, cached or not, and one that is refused refuses the
name. Look-ups of one name are one look-up, and a DNS server that hangs holds up only the names that ask it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import TypeAlias

from gateway.egress.addresses import Address, address_of
from gateway.egress.policy import EgressPolicy
from gateway.errors import EgressRefused

TTL_S = 30.0
FAILURE_TTL_S = 3.0
"""Shorter than the first retry's wait, so that a retry asks again."""
CACHED_NAMES = 10_000
LOOKUP_TIMEOUT_S = 5.0
LOOKUPS = 32
SUSPECT_LOOKUPS = 4
"""Look-ups at once of names that did not answer in time when last asked; the others keep their own."""
WAITING_LOOKUPS = 2_000
ADDRESSES = 8
"""How many addresses of one name are worth dialling; all are vetted."""

LookUp: TypeAlias = Callable[[str], Sequence[str]]
"""Asks for a name's addresses and blocks until there is an answer. Raises OSError where there is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS said: addresses, or why there are none."""

    addresses: tuple[Address, ...]
    failure: str = ""


def ask_system(host: str) -> Sequence[str]:
    """The addresses that the operating system knows, in the order in which RFC 6724 would try them."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def is_local(address: Address) -> bool:
    """Whether an address is this machine's: only such a one can be bound."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


class Resolver:
    """An `AddressBook` of the delivery transports. Owned by the event loop's thread; `look_up` runs in others."""

    def __init__(self, policy: EgressPolicy, *, look_up: LookUp = ask_system) -> None:
        self._policy = policy
        self._look_up = look_up
        self._cache: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Answer]] = {}
        self._suspects: OrderedDict[str, None] = OrderedDict()
        self._slots = asyncio.Semaphore(LOOKUPS)
        self._suspect_slots = asyncio.Semaphore(SUSPECT_LOOKUPS)

    async def resolve(self, host: str, port: int, /) -> tuple[str, ...]:
        """The addresses to dial for `host` (as in `Target.host`), best first.

        Raises `EgressRefused`: kind `dns` where the name leads nowhere, `port` or `address` where it may not lead.
        """
        self._policy.check_port(host, port)
        return self._vetted(host, port, self._known(host) or await self._ask(host))

    def cached(self, host: str, port: int, /) -> tuple[str, ...] | None:
        """What `resolve` would answer or raise without waiting; None where it has to ask."""
        known = self._known(host)
        if known is None:
            return None
        self._policy.check_port(host, port)
        return self._vetted(host, port, known)

    async def close(self) -> None:
        """Give up what is under way. A look-up's thread ends when the system answers; it does not hold up an exit."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _vetted(self, host: str, port: int, answer: Answer) -> tuple[str, ...]:
        if answer.failure:
            raise EgressRefused("dns", answer.failure)
        for address in answer.addresses:
            self._policy.check_address(address, port, of=host)
        return tuple(str(address) for address in answer.addresses[:ADDRESSES])

    def _known(self, host: str) -> Answer | None:
        address = address_of(host)
        if address is not None:
            return Answer((address,))
        expires_s, answer = self._cache.get(host, (0.0, None))
        return answer if expires_s > asyncio.get_running_loop().time() else None

    async def _ask(self, host: str) -> Answer:
        """Join the look-up of this name, or start it; it goes on when this caller no longer waits."""
        task = self._under_way.get(host)
        if task is None:
            if len(self._under_way) >= WAITING_LOOKUPS:
                return Answer((), f"{host} could not be looked up: too many names are being looked up.")
            task = self._under_way[host] = asyncio.get_running_loop().create_task(self._ask_once(host))
        try:
            return await asyncio.wait_for(asyncio.shield(task), LOOKUP_TIMEOUT_S)
        except TimeoutError:
            return Answer((), f"DNS did not answer for {host} within {LOOKUP_TIMEOUT_S:g} s. Check its name servers.")

    async def _ask_once(self, host: str) -> Answer:
        slots = self._suspect_slots if host in self._suspects else self._slots
        try:
            async with slots:
                self._suspects.pop(host, None)
                late = asyncio.get_running_loop().call_later(LOOKUP_TIMEOUT_S, self._suspect, host)
                try:
                    answer = await self._in_thread(host)
                finally:
                    late.cancel()
            self._remember(host, answer)
            return answer
        finally:
            del self._under_way[host]

    async def _in_thread(self, host: str) -> Answer:
        """Ask in a thread of its own: the loop's few are not to be blocked, and a daemon does not hold up an exit."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def settle(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        def ask() -> None:
            answer = self._answer(host)
            try:
                loop.call_soon_threadsafe(settle, answer)
            except RuntimeError:
                pass  # the loop has closed meanwhile, and nobody waits

        threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
        return await answered

    def _answer(self, host: str) -> Answer:
        try:
            addresses = tuple(dict.fromkeys(ip_address(text) for text in self._look_up(host)))
        except socket.gaierror as error:
            return Answer((), _explained(host, error))
        except (OSError, ValueError) as error:
            return Answer((), f"{host} could not be looked up ({error}).")
        return Answer(addresses, "" if addresses else f"{host} has no address.")

    def _remember(self, host: str, answer: Answer) -> None:
        ttl_s = FAILURE_TTL_S if answer.failure else TTL_S
        self._cache[host] = (asyncio.get_running_loop().time() + ttl_s, answer)
        self._cache.move_to_end(host)
        if len(self._cache) > CACHED_NAMES:
            self._cache.popitem(last=False)

    def _suspect(self, host: str) -> None:
        self._suspects[host] = None
        if len(self._suspects) > CACHED_NAMES:
            self._suspects.popitem(last=False)


def _explained(host: str, error: socket.gaierror) -> str:
    if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
        return f"The name {host} does not exist, or has no address. Check the spelling of the URL."
    if error.errno == socket.EAI_AGAIN:
        return f"DNS gave no answer for {host} (a temporary failure). It is tried again."
    return f"{host} could not be looked up ({error.strerror})."
