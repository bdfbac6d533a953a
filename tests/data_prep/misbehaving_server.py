"""A local HTTP server whose answers go wrong as told, and that counts what it sends."""

import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class MisbehavingServer(ThreadingHTTPServer):
    """Serves ``files``; each request takes the next of ``plan``, and is answered well where that is empty.

    What can be planned: ``truncate`` and ``stall`` (half of what is due, then nothing until ``released`` is
    set), ``corrupt``, ``no_range``, ``stuck`` (``no_range``, and half), or a status.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.plan: deque = deque()
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0
        self.released = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that goes away is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, name = self.server, self.path.rpartition("/")[2]
        server.requests.append((self.path, self.headers["Range"]))
        step = server.plan.popleft() if server.plan else "good"
        if isinstance(step, int) or name not in server.files:
            self.send_response(step if isinstance(step, int) else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(server.files[name], step)

    def _send(self, content, step):
        server, start = self.server, 0
        if self.headers["Range"] and step not in ("no_range", "stuck"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Encoding", "x-gzip")  # as some servers say of archives
        self.end_headers()
        body = content[start:]
        if step == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        if step in ("stall", "truncate", "stuck"):
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.wfile.flush()
        server.sent += len(body)
        if step == "stall":
            server.released.wait(30)
        self.close_connection = True


@contextmanager
def running_server():
    """A server in a thread, until the block ends."""
    server = MisbehavingServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
