"""The files that pages need: style sheets, scripts, the icon. Read once, kept in memory, served compressed.

Invariant: an address contains a digest of what it serves, so a browser may keep it for ever and an upgrade is
seen at once.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

PREFIX = "/static"
DIGEST_CHARS = 10
CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
"""Files of other kinds are not served."""
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class Asset:
    content_type: str
    body: bytes
    gzipped: bytes


class Assets:
    """`url("console.css")` is the address of a file under static/; KeyError where there is none."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for name, body in _files(files("gateway.console") / "static").items():
            digest = hashlib.sha256(body).hexdigest()[:DIGEST_CHARS]
            content_type = CONTENT_TYPES[name.rpartition(".")[2]]
            path = f"{digest}/{name}"
            self._assets[path] = Asset(content_type, body, gzip.compress(body, mtime=0))
            self._urls[name] = f"{PREFIX}/{path}"

    def url(self, name: str) -> str:
        return self._urls[name]

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(PREFIX + "/{path:.+}", self._serve)

    async def _serve(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["path"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {**HEADERS, "Content-Type": asset.content_type}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=asset.gzipped, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=asset.body, headers=headers)


def _files(folder: Traversable, prefix: str = "") -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    for each in folder.iterdir():
        if each.is_dir():
            found |= _files(each, f"{prefix}{each.name}/")
        elif each.name.rpartition(".")[2] in CONTENT_TYPES:
            found[prefix + each.name] = each.read_bytes()
    return found
