"""The first way in: an admin token, given by a setting or made on the first start and kept in a file.

Invariant: a database without a usable admin token gets one at the start, and one that has any gets none.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from gateway.ingress.tokens import adopt, mint
from gateway.model import Role, Token
from gateway.registry.registry import Registry
from gateway.settings import Settings

ACTOR = "gateway"
FILE = "admin-token"
BOOTSTRAP = "bootstrap"
"""The name of the token that GATEWAY_ADMIN_TOKEN gives."""


async def bootstrap_admin(registry: Registry, settings: Settings) -> str | None:
    """The plain token where one was made now and has to be shown; None where there is one already."""
    if settings.admin_token is not None:
        await _adopt(registry, settings.admin_token)
        return None
    if any(token.role is Role.ADMIN and token.tenant_id is None for token in registry.tokens()):
        return None
    made = mint()
    _keep(settings, made.plain)
    await registry.add_token(_token(registry, "first", made.prefix, made.digest), by=ACTOR)
    return made.plain


async def _adopt(registry: Registry, plain: str) -> None:
    """Make the given token the one of the setting; one that was given before is revoked."""
    given = adopt(plain)
    before = [token for token in registry.tokens() if token.name == BOOTSTRAP]
    if all(token.digest != given.digest for token in registry.tokens()):
        await registry.add_token(_token(registry, BOOTSTRAP, given.prefix, given.digest), by=ACTOR)
    for token in before:
        if token.digest != given.digest:
            await registry.remove_token(token.id, by=ACTOR)


def _token(registry: Registry, name: str, prefix: str, digest: bytes) -> Token:
    return Token(registry.new_id(), name, Role.ADMIN, None, prefix, digest, datetime.now(UTC), None)


def _keep(settings: Settings, plain: str) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.data_dir / FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(plain + "\n")
