"""Waking up on time: an event loop's own timers are a millisecond coarse, which is what is to be measured.

Invariant: the schedule depends on nothing that happens; a wake-up that comes late fires everything that was due,
each with the time for which it was meant (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import time
from collections.abc import Callable

CLOCK_MONOTONIC = 1
TFD_NONBLOCK = os.O_NONBLOCK
TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Pacer:
    """Calls `fire(intended_ns)` `rate_per_s` times a second, evenly or as a Poisson process, on a Linux timerfd.

    The times are those of `time.monotonic_ns()`. With `count` it ends by itself and calls `finished`.
    """

    def __init__(
        self, fire: Callable[[int], None], finished: Callable[[], None], *, rate_per_s: float, count: int, poisson: bool
    ) -> None:
        self._fire = fire
        self._finished = finished
        self._mean_ns = 1e9 / rate_per_s
        self._left = count
        self._poisson = poisson
        self._random = random.Random(1)  # the same arrivals in every run
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._due_ns = 0.0

    def start(self) -> None:
        self._fd = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._due_ns = time.monotonic_ns() + self._mean_ns
        asyncio.get_running_loop().add_reader(self._fd, self._wake)
        self._arm()

    def stop(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _wake(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        now_ns = time.monotonic_ns()
        while self._left and self._due_ns <= now_ns:
            intended_ns = int(self._due_ns)
            self._due_ns += self._random.expovariate(1.0) * self._mean_ns if self._poisson else self._mean_ns
            self._left -= 1
            self._fire(intended_ns)
        if self._left:
            self._arm()
        else:
            self.stop()
            self._finished()

    def _arm(self) -> None:
        seconds, nanoseconds = divmod(int(self._due_ns), 1_000_000_000)
        setting = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        if self._libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, ctypes.byref(setting), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")
