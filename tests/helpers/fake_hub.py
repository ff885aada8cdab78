"""A Hugging Face hub on this machine: a few repositories of bytes, transfers that are cut off or damaged on request."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """The published files, and the faults to inject."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.cuts: list[int] = []  # so many bytes of an answer are sent, then the line is cut; one entry a transfer
        self.stall = threading.Event()  # when cut: wait for this first
        self.stall.set()
        self.reached = threading.Event()  # a cut has been reached
        self.damaged = False  # one byte of every file is another one
        self.asked: list[tuple[str, str, str]] = []  # method, path, range
        self.status = 200
        self.address = ""

    def starts(self, file: str) -> list[int]:
        """The first byte of each request for a file."""
        ranges = [where for method, path, where in self.asked if method == "GET" and path.endswith(f"/{file}")]
        return [int(where.removeprefix("bytes=").split("-")[0] or 0) if where else 0 for where in ranges]


def stranger(home: Path, hub: Hub | None, *paths: Path) -> dict[str, str]:
    """The environment of a new user, with more module search paths; the real hub without `hub`."""
    kept = {name: value for name, value in os.environ.items() if not re.match("HF_|XDG_|MESHCLI|U2NET|REMBG", name)}
    own = {"HOME": str(home), "PYTHONPATH": os.pathsep.join(map(str, paths)), "HF_HUB_DISABLE_XET": "1"}
    return {**kept, **own, "NO_COLOR": "1", **({"HF_ENDPOINT": hub.address} if hub else {})}


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a hub for the duration of a test."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *words: Any) -> None:
            """Quiet."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            hub.asked.append((self.command, path, self.headers.get("Range", "")))
            if hub.status != 200:
                self._send(hub.status, b"{}", {}, body)
            elif path.startswith("/api/models/"):
                self._describe(path.removeprefix("/api/models/").split("/revision/")[0], body)
            else:
                repository, _, rest = path.lstrip("/").partition("/resolve/")
                data = hub.repositories.get(repository, {}).get(rest.partition("/")[2])
                if data is None:
                    self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
                else:
                    self._give(data, body)

        def _describe(self, repository: str, body: bool) -> None:
            files = hub.repositories.get(repository)
            if files is None:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
                return
            rows = [_row(name, data) for name, data in files.items()]
            text = json.dumps({"id": repository, "sha": COMMIT, "siblings": rows}).encode()
            self._send(200, text, {"Content-Type": "application/json"}, body)

        def _give(self, data: bytes, body: bool) -> None:
            digest = hashlib.sha256(data).hexdigest()
            if hub.damaged:
                data = bytes([data[0] ^ 1]) + data[1:]
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
            wanted = self.headers.get("Range", "")
            if not wanted or not body:
                self._send(200, data, headers, body)
                return
            start = int(wanted.removeprefix("bytes=").split("-")[0] or 0)
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(206, data[start:], headers, body)

        def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if not body:
                return
            if not hub.cuts or "ETag" not in headers:
                self.wfile.write(data)
                return
            self.wfile.write(data[: hub.cuts.pop(0)])
            self.wfile.flush()
            hub.reached.set()
            hub.stall.wait()
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.stall.set()
        server.shutdown()
        server.server_close()


def _row(name: str, data: bytes) -> dict[str, Any]:
    """A file as the hub lists it; large ones, here all but JSON and text, have a sha256."""
    row: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}  # noqa: S324
    if not name.endswith((".json", ".txt")):
        row["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return row
