"""Who the embedded PostgreSQL runs as: the gateway's own user, or, since it refuses to be root, a system user.

Invariant: nobody's folders are opened up for that user. Where a folder above its files is closed to it (`/root`,
a temporary folder), the server gets the one capability of walking through, and keeps no other of root's rights.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError

SYSTEM_USERS = ("postgres", "gateway")
"""The first that exists is taken; the last is created where none does."""
USERADD_TIMEOUT_S = 30
PASSES = ("dac_read_search", 2)
"""Walks through closed folders and reads closed files; with its number in linux/capability.h."""
OVERRIDES = ("dac_override", 1)
"""Does so too, and runs programs that are closed to others, as an installation under umask 077 has them."""
OWN_WAY = "set GATEWAY_DATABASE_URL to a PostgreSQL of your own, or run the gateway as an ordinary user"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user of the server's processes and files. `switches` is whether the gateway has to become it."""

    uid: int
    gid: int
    switches: bool

    @classmethod
    def of(cls, folder: Path) -> ServerUser:
        """The owner of the database `folder` where it exists, else whom a new one is to belong to."""
        owner = _owner(folder)
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise GatewayError(
                    f"The database folder {folder} belongs to {_name(owner)}, and the gateway runs as "
                    f"{_name(os.geteuid())}. Run it as {_name(owner)} or as root, or set another GATEWAY_DATA_DIR."
                )
            return cls(os.geteuid(), os.getegid(), switches=False)
        if owner:
            return cls(owner, folder.stat().st_gid, switches=True)
        entry = _system_user()
        return cls(entry.pw_uid, entry.pw_gid, switches=True)

    def adopt(self, folder: Path) -> None:
        """Make a new, empty folder this user's own, closed to all others."""
        folder.chmod(0o700)
        if self.switches:
            os.chown(folder, self.uid, self.gid)

    def command(self, *argv: str, touches: Iterable[Path]) -> list[str]:
        """`argv` as this user would run it, able to reach the files that it `touches`."""
        if not self.switches:
            return list(argv)
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise GatewayError(
                f"To run the embedded PostgreSQL as root, `setpriv` (util-linux) is needed; or {OWN_WAY}."
            )
        identity = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return [setpriv, *identity, *self._right_of_way(Path(argv[0]), touches), "--", *argv]

    def _right_of_way(self, program: Path, touches: Iterable[Path]) -> list[str]:
        """What `setpriv` has to grant for this user to run the program on its files: nothing, if all is open."""
        closed = [place for path in (program, *touches) for place in path.parents if not self._may_pass(place)]
        sufficient = [PASSES, OVERRIDES]
        if not self._may_pass(program):
            closed.insert(0, program)
            sufficient = [OVERRIDES]
        if not closed:
            return []
        permitted = _permitted_capabilities()
        for name, number in sufficient:
            if permitted & (1 << number):
                # PostgreSQL looks for its own program with access(2), which forgets the capabilities of a
                # process that is not root unless `no_setuid_fixup` is set.
                return [f"--inh-caps=+{name}", f"--ambient-caps=+{name}", "--securebits=+no_setuid_fixup"]
        raise GatewayError(
            f"PostgreSQL does not run as root, and {_name(self.uid)} cannot pass through {closed[0]}. "
            f"Set GATEWAY_DATA_DIR to a folder that every user can reach, {OWN_WAY}."
        )

    def _may_pass(self, place: Path) -> bool:
        """Whether this user may walk through a folder, or run a program."""
        status = place.stat()
        return bool(status.st_mode & (stat.S_IXUSR if status.st_uid == self.uid else stat.S_IXOTH))


def _owner(folder: Path) -> int | None:
    try:
        return folder.stat().st_uid
    except FileNotFoundError:
        return None


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else "nobody"
    except KeyError:
        return f"user {uid}"


def _system_user() -> pwd.struct_passwd:
    for name in SYSTEM_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    name = SYSTEM_USERS[-1]
    useradd = shutil.which("useradd")
    failure = "there is no `useradd`"
    if useradd is not None:
        command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
        done = subprocess.run(  # noqa: S603 — a fixed command
            command, check=False, capture_output=True, text=True, timeout=USERADD_TIMEOUT_S
        )
        failure = done.stderr.strip()
        if done.returncode == 0:
            return pwd.getpwnam(name)
    raise GatewayError(
        f"PostgreSQL does not run as root, and the system user {name!r} could not be created ({failure}). "
        f"Create it, {OWN_WAY}."
    )


def _permitted_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0
