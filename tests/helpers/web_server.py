"""A web server on this machine that gives ranges of files, and counts what it sends."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class WebServer:
    """A running server."""

    address: str
    sent: list[int] = field(default_factory=list)  # bytes of each answer


@contextlib.contextmanager
def web_server(folder: Path, ranges: bool = True) -> Iterator[WebServer]:
    """Serve the files of a folder; without `ranges`, always whole."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(only_head=True)

        def do_GET(self) -> None:
            self.answer()

        def answer(self, only_head: bool = False) -> None:
            file = folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            data = file.read_bytes()
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            part = data[int(wanted[1]) : int(wanted[2]) + 1] if wanted and ranges else data
            self.send_response(206 if wanted and ranges else 200)
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
                if wanted:
                    self.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/{len(data)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if not only_head:
                server.sent.append(len(part))
                self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = WebServer(f"http://127.0.0.1:{running.server_port}")
    thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
