"""What the kernel says of processes: who runs where, what it has used, how much memory it held at most.

Invariant: CPU time is never lost from sight: of a group of processes that come and go, such as PostgreSQL's, the
ended ones are in the figure that their parent keeps for those it has reaped.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
FAVOURED = -10
"""A nice value."""


def cpu_s(pid: int) -> float:
    """User and system time of a process with all its threads, in seconds."""
    fields = _stat(pid)
    return 0.0 if fields is None else sum(int(field) for field in fields[11:13]) / TICKS_PER_S  # utime, stime


def family_cpu_s(pid: int) -> float:
    """The same of a process, of its descendants and of those that have ended and been reaped, in seconds."""
    live = [fields for member in family(pid) if (fields := _stat(member)) is not None]
    return sum(int(field) for fields in live for field in fields[11:15]) / TICKS_PER_S  # and cutime, cstime


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name (which may hold blanks and parentheses); None if it has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def busy_s() -> float:
    """What all cores have worked since the start of the machine, for whomever, in seconds."""
    user, nice, system, _, _, irq, softirq, steal = (
        int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def own_cpu_s() -> float:
    """CPU time of this process and of its children that have ended, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_memory_mb(pid: int) -> float:
    """The most memory that the process has held at once since its start (VmHWM)."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def pin(pid: int, core: int) -> None:
    """Keeps a process, its threads and what it starts from now on to one core (the only one, where there is one)."""
    core %= os.cpu_count() or 1
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
    except (FileNotFoundError, ProcessLookupError):
        return


def favour(pid: int) -> None:
    """Lets a process go before others on its core, where the kernel allows that (to root)."""
    with suppress(PermissionError, ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, FAVOURED)


def descriptors(pid: int) -> int:
    """How many files and sockets the process has open."""
    return len(list((PROC / str(pid) / "fd").iterdir()))
