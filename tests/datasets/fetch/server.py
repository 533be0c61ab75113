"""A file server that can be told to misbehave."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What is served, and what goes wrong with it.

    Attributes:
        files: Content by path.
        cuts: For each answer in turn, after how many bytes of it the connection ends; None for a whole answer.
        resets: Whether it ends with a reset rather than politely.
        statuses: Answers to give before anything else, with their `Retry-After`.
        ignores_range: Whether a part is answered with the whole file.
        shift: How far a partial answer lies beside what was asked for.
        wrong: Answers, counted from 0, whose first byte is wrong.
        asked: What was asked for: path and Range.
    """

    files: dict[str, bytes]
    cuts: list[int | None] = field(default_factory=list)
    resets: bool = False
    statuses: list[tuple[int, str]] = field(default_factory=list)
    ignores_range: bool = False
    shift: int = 0
    wrong: set[int] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        number, given = len(self.asked), handler.headers.get("Range")
        self.asked.append((handler.path, given))
        if self.statuses:
            status, wait = self.statuses.pop(0)
            handler.send_response(status)
            handler.send_header("Retry-After", wait)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if handler.path not in self.files:
            handler.send_error(404)
            return
        content = self.files[handler.path]
        start = 0 if given is None or self.ignores_range else int(given.removeprefix("bytes=").rstrip("-")) + self.shift
        body = bytearray(content[start:])
        if number in self.wrong:
            body[0] ^= 1
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else None
        handler.wfile.write(bytes(body[:cut]))
        handler.wfile.flush()
        if cut is not None and self.resets:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()


@contextmanager
def serving(**settings: object) -> Iterator[Server]:
    """Run a server on a free port of this machine."""
    server = Server(**settings)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A connection that was reset on purpose."""

    with Quiet(("127.0.0.1", 0), Handler) as running:
        server.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            running.shutdown()
            thread.join()


def nobody() -> str:
    """An address where no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
