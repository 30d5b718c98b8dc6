"""Simulated time, and the event loops of several processes that live in it, all in one thread.

A process is killed by never running its loop again, and frozen by not running it for a while: no `finally` runs, as
in life. Time jumps to the next timer as soon as nothing is ready. Invariant: what runs next depends on the kernel's
chance alone, so a seed is a history.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

EPOCH_S = 1_750_000_000.0
"""The Unix time at which every history begins."""
STEPS_MAX = 400_000
"""What still runs after so many turns of loops never ends."""


class Stuck(Exception):
    """What was waited for has not happened and never will: nothing is left to run, or it runs in circles."""


class Handle:
    """One callback to run; `when` matters to those that are timers."""

    __slots__ = ("_when", "args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], when: float, context: Context | None):
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False
        self._when = when

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._when


class SimulatedLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, timeouts and sleeps need: no threads, no sockets."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.name = name
        self.ready: deque[Handle] = deque()
        self.late: deque[Handle] = deque()
        """Timers that fired while it was frozen: they wait for it."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.runs = True
        self.fuse: int | None = None
        """Of a loop that is being killed: how many callbacks it still gets to run."""
        self.blown: Callable[[], None] = lambda: None
        self._kernel = kernel

    def time(self) -> float:
        return self._kernel.now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(callback, args, self._kernel.now, context)
        self.ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(callback, args, when, context)
        self._kernel.call_at(when, handle, self)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        when = self._kernel.now + delay
        handle = Handle(callback, args, when, context)
        self._kernel.call_at(when, handle, self)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._kernel.failed(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")


class Kernel:
    """Runs the loops' callbacks one after the other. `failed` is told of every exception that nobody handled."""

    def __init__(self, chance: random.Random, *, failed: Callable[[str], None]) -> None:
        self.now = 0.0
        self.failed = failed
        self.steps = 0
        """Turns of loops."""
        self._chance = chance
        self._loops: list[SimulatedLoop] = []
        self._timers: list[tuple[float, int, Handle, SimulatedLoop]] = []
        self._counted = 0

    def call_at(self, when: float, handle: Handle, loop: SimulatedLoop) -> None:
        self._counted += 1
        heapq.heappush(self._timers, (when, self._counted, handle, loop))

    def wall_s(self) -> float:
        return EPOCH_S + self.now

    def loop(self, name: str) -> SimulatedLoop:
        made = SimulatedLoop(self, name)  # type: ignore[abstract]
        self._loops.append(made)
        return made

    def drop(self, loop: SimulatedLoop) -> None:
        """Never run this loop again."""
        loop.runs = False
        self._loops.remove(loop)

    def run(self, until: Callable[[], bool]) -> None:
        """Run until it holds, which is looked at before time passes.

        Raises `Stuck` where nothing can happen any more, or without end.
        """
        try:
            self._exhaust()
            while not until():
                self._jump()
                self._exhaust()
        finally:
            asyncio._set_running_loop(None)

    def _exhaust(self) -> None:
        """Run whatever is ready, one turn of one loop after the other."""
        loops, chance = self._loops, self._chance
        running: SimulatedLoop | None = None
        while ready := [loop for loop in loops if loop.ready and loop.runs]:
            loop = ready[0] if len(ready) == 1 else ready[int(chance.random() * len(ready))]
            self.steps += 1
            if self.steps > STEPS_MAX:
                raise Stuck("it runs without end")
            if loop is not running:
                asyncio._set_running_loop(loop)
                running = loop
            if loop.fuse is None:
                self._turn(loop, len(loop.ready))
            else:
                self._last_turns(loop)

    def _turn(self, loop: SimulatedLoop, callbacks: int) -> None:
        """What becomes ready meanwhile has to wait for the next turn."""
        take = loop.ready.popleft
        for _ in range(callbacks):
            handle = take()
            if handle.is_cancelled:
                continue
            try:
                if handle.context is None:  # nothing here has a context of its own but tasks
                    handle.callback(*handle.args)
                else:
                    handle.context.run(handle.callback, *handle.args)
            except Exception as error:
                self.failed(f"{loop.name}: {error!r}")
            if not loop.runs:
                return

    def _last_turns(self, loop: SimulatedLoop) -> None:
        assert loop.fuse is not None
        if loop.fuse == 0:
            self.drop(loop)
            loop.blown()
            return
        callbacks = min(loop.fuse, len(loop.ready))
        loop.fuse -= callbacks
        self._turn(loop, callbacks)

    def _jump(self) -> None:
        """Let time pass until the next timer; those of a frozen loop are late, not lost."""
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        for loop in self._loops:
            if loop.late and loop.runs:
                loop.ready += loop.late
                loop.late.clear()
                return
        if not timers:
            raise Stuck("nothing is left to run")
        self.now = now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= now:
            _, _, handle, loop = heapq.heappop(timers)
            if not handle.is_cancelled:
                (loop.ready if loop.runs else loop.late).append(handle)

    def bury(self, loops: list[SimulatedLoop]) -> None:
        """End every task of these loops after the history is over, so that none is found pending and complained of."""
        self.failed = lambda _: None
        for loop in loops:
            asyncio._set_running_loop(loop)
            for _ in range(4):
                left = [task for task in loop.tasks if not task.done()]
                for task in left:
                    task.cancel()
                loop.runs = True
                while loop.ready:
                    self._turn(loop, len(loop.ready))
                if not left:
                    break
        self._timers.clear()
        asyncio._set_running_loop(None)
