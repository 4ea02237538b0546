"""The server of a live page: of this machine only, with a token, from the standard library."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from landscape.base.files import SchemaError
from landscape.live.hub import Hub
from landscape.live.measuring import Measuring

HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""What this machine is called by a browser on it, or on the other end of a forwarded port."""

MOST_CONNECTIONS = 256
_PATIENCE = 20.0  # seconds for somebody to send a line or to take what is sent
_QUIET = 15.0  # seconds of silence after which proxies are told that all is well
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Accel-Buffering": "no",
}


class LiveServer(ThreadingHTTPServer):
    """Serves one page and what is new on it.

    Only whoever knows the token is answered, and only under a name of this machine: another page
    in the same browser can neither guess the one nor give the other.

    Args:
        hub: What is watched.
        page: The page.
        port: Where on 127.0.0.1; 0 chooses a free one.
        hosts: Further names under which a proxy may ask.
        most: How many may be connected at once.
        measuring: Who measures what is asked for; None: nobody.

    Attributes:
        token: What the address must carry.
        address: The address to open.
    """

    measuring: Measuring | None

    hub: Hub
    page: bytes

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        hub: Hub,
        page: str,
        *,
        port: int = 0,
        hosts: Sequence[str] = (),
        most: int = MOST_CONNECTIONS,
        measuring: Measuring | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.hub, self.page, self.measuring = hub, page.encode(), measuring
        self.hosts: set[str] = {*HOSTS, *(host.lower() for host in hosts)}
        self.token: str = secrets.token_urlsafe(24)
        self._places = threading.BoundedSemaphore(most)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """The address to open."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own; beyond so many at once, hang up."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who goes away, or is too slow, is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = _PATIENCE
    server_version, sys_version = "landscape", ""

    def do_GET(self) -> None:
        """The page, what is new, or the numbers of a step."""
        asked = self._admitted()
        if asked is None:
            return
        path, query = asked
        if path == "":
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif path == "events":
            self._events()
        elif path == "row":
            self._row(query)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is only the page itself")

    def do_POST(self) -> None:
        """Measure something now, or give it up; only from the page itself."""
        asked = self._admitted()
        if asked is None:
            return
        path, query = asked
        if path != "measure":
            self._refuse(HTTPStatus.NOT_FOUND, "only measure is posted")
        elif self.server.measuring is None:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing is measured here")
        elif (site := self.headers.get("Sec-Fetch-Site", "same-origin")) != "same-origin":
            self._refuse(HTTPStatus.FORBIDDEN, f"a page of another site ({site[:20]}) asks")
        else:
            self._measure(query, self.server.measuring)

    def _measure(self, query: dict[str, str], measuring: Measuring) -> None:
        try:
            if query.get("what") == "nothing":
                measuring.give_up()
            elif "place" in query:
                surface = self.server.hub.surface_on(query.get("plane", ""))
                measuring.ask_at(surface, query.get("what", ""), _numbers(query["place"]))
            else:
                follower = self.server.hub.named(query.get("run", ""))
                measuring.ask(follower, query.get("what", ""))
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._answer(HTTPStatus.OK, b"", "text/plain; charset=utf-8")

    def log_message(self, format: str, *_: Any) -> None:
        """Nothing is logged: the addresses hold the token."""

    def _admitted(self) -> tuple[str, dict[str, str]] | None:
        """What is asked for, by whom may ask; everybody else is answered here."""
        host = self.headers.get("Host", "").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name not in self.server.hosts:
            self._refuse(
                HTTPStatus.FORBIDDEN,
                "only localhost is answered; behind a proxy start it with --allow-host NAME",
            )
            return None
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if not hmac.compare_digest(query.get("token", "").encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that landscape watch printed")
            return None
        return parts.path.removeprefix("/"), query

    def _events(self) -> None:
        self._head(HTTPStatus.OK, "text/event-stream")

        def send(new: dict[str, Any] | None) -> None:
            text = ": nothing new" if new is None else f"data: {json.dumps(new)}"
            self.wfile.write(f"{text}\n\n".encode())

        send(None)
        self.server.hub.follow(send, pause=_QUIET)

    def _row(self, query: dict[str, str]) -> None:
        self.server.hub.refresh()
        try:
            found = self.server.hub.named(query.get("run", "")).row(_whole(query, "step"))
        except (ValueError, SchemaError, OSError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self._answer(HTTPStatus.OK, json.dumps(found).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, f"{why}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self._head(status, kind, length=len(body))
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text[:200].split(",")]
    except ValueError:
        raise ValueError(
            f"place must be numbers, separated by commas; not {text[:80]!r}."
        ) from None


def _whole(query: dict[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise ValueError(f"{name} must be a whole number; not {text[:40]!r}.")
    return int(text)
