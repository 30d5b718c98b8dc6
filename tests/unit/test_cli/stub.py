"""A gateway's HTTP side with scripted answers, on a real socket: what the commands send is what is asserted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer; `body` is bytes, or anything that JSON can say."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Said | Callable[[Seen], Said]


class StubGateway:
    """Answers what it was told to, 404 otherwise, and remembers every request."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self._answers: dict[tuple[str, str], Answer] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> StubGateway:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def on(self, method: str, path: str, status: int = 200, body: Any = None, **headers: str) -> None:
        names = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        self._answers[method, path] = Said(status, body, names)

    def on_call(self, method: str, path: str, answer: Callable[[Seen], Said]) -> None:
        self._answers[method, path] = answer

    def items(self, path: str, *items: dict[str, Any]) -> None:
        self.on("GET", path, body={"items": list(items), "next_cursor": None})

    @property
    def last(self) -> Seen:
        return self.requests[-1]

    def answer(self, seen: Seen) -> Said:
        self.requests.append(seen)
        answer = self._answers.get((seen.method, seen.path))
        if answer is None:
            return Said(404, {"type": "/problems/not-found", "title": "There is no such thing", "status": 404})
        return answer(seen) if callable(answer) else answer

    def _handler(stub) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two selves meet here
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                said = stub.answer(Seen(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
                content = said.content()
                self.send_response(said.status)
                for name, value in said.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = do_any  # noqa: N815 - the base class looks for these names

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the test's output is the command's."""

        return Handler
