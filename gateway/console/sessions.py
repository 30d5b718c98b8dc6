"""Who is signed in to the console: sessions and one-time sign-in codes, in memory only.

Invariant: a session never outlives its token. It holds the token's id and nothing of the token itself; what the
token may do is asked anew on each request, so a revoked token ends its sessions at once.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

IDLE_LIMIT_S = 8 * 3600.0
AGE_LIMIT_S = 24 * 3600.0
SESSIONS_LIMIT = 1_000
"""Past it, the session that was used longest ago ends."""
CODE_LIFE_S = 15 * 60.0
CODES_LIMIT = 100
NOTICES_LIMIT = 5


@dataclass(slots=True)
class Session:
    """One browser that is signed in. `notices` wait for its next page: what the last action did."""

    token_id: str
    opened_s: float
    used_s: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    notices: list[str] = field(default_factory=list)

    def notify(self, notice: str) -> None:
        self.notices = [*self.notices, notice][-NOTICES_LIMIT:]

    def take_notices(self) -> list[str]:
        notices, self.notices = self.notices, []
        return notices

    def has_csrf(self, given: str) -> bool:
        # A header may hold any bytes; those that are no UTF-8 arrive as surrogates, which plain UTF-8 has no form for.
        return hmac.compare_digest(self.csrf.encode(), given.encode(errors="surrogateescape"))


class Sessions:
    """Sessions by the secret in their browser's cookie."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic, limit: int = SESSIONS_LIMIT) -> None:
        self._now_s = now_s
        self._limit = limit
        self._by_secret: OrderedDict[str, Session] = OrderedDict()  # the least recently used first

    def open(self, token_id: str) -> str:
        """A new session; answers the secret for its cookie: new at each sign-in, so that none can be planted."""
        now = self._now_s()
        secret = secrets.token_urlsafe(32)
        self._by_secret[secret] = Session(token_id, now, now)
        while len(self._by_secret) > self._limit:
            self._by_secret.popitem(last=False)
        return secret

    def get(self, secret: str | None) -> Session | None:
        """The session of this secret, which counts as used now; None where there is none or its time is over."""
        session = self._by_secret.get(secret or "")
        if secret is None or session is None:
            return None
        now = self._now_s()
        if now - session.used_s > IDLE_LIMIT_S or now - session.opened_s > AGE_LIMIT_S:
            self.close(secret)
            return None
        session.used_s = now
        self._by_secret.move_to_end(secret)
        return session

    def close(self, secret: str | None) -> None:
        self._by_secret.pop(secret or "", None)


class SignInCodes:
    """Codes that sign in once, in place of a token that nobody has yet typed."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._codes: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def issue(self, token_id: str) -> str:
        """A code that opens one session of this token, within `CODE_LIFE_S`."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = token_id, self._now_s() + CODE_LIFE_S
        while len(self._codes) > CODES_LIMIT:
            self._codes.popitem(last=False)
        return code

    def redeem(self, code: str) -> str | None:
        """The token id behind the code, this once; None where it was used, is too old, or never was."""
        token_id, until_s = self._codes.pop(code, ("", 0.0))
        return token_id if token_id and self._now_s() < until_s else None
