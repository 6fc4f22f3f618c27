"""A small HTTP server that takes batches of commands as the gateway does, and can be away, busy or refuse."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Document = dict[str, Any]
Answer = Callable[[Document], Document | None]


class Collector:
    """What arrived. `busy` answers 503 to everything; `refuses` gives the problem of a command, or None; `status` and
    `problem` answer whole batches from a size on."""

    def __init__(self) -> None:
        self.batches: list[list[Document]] = []
        self.busy = False
        self.status = 200
        self.problem: Document = {}
        self.refused_from_size = 1
        self.refuses: Answer = nothing_refused
        self.url = ""

    @property
    def commands(self) -> list[Document]:
        return [command for batch in self.batches for command in batch]

    @property
    def names(self) -> list[str]:
        return [command["name"] for command in self.commands]

    def answer(self, batch: list[Document]) -> tuple[int, Document]:
        if self.busy:
            return 503, {"code": "ledger_unavailable", "title": "busy", "retryable": True}
        if self.status != 200 and len(batch) >= self.refused_from_size:
            return self.status, self.problem
        results: list[Document] = []
        accepted = []
        for command in batch:
            problem = self.refuses(command)
            if problem is None:
                accepted.append(command)
            results.append({"receipt": receipt(command)} if problem is None else {"problem": problem})
        self.batches.append(accepted)
        return 200, {"results": results, "position": len(self.commands)}


def receipt(command: Document) -> Document:
    return {
        "command_id": command["id"],
        "kind": "run",
        "id": command["id"],
        "version": 1,
        "first_position": 1,
        "last_position": 1,
        "position": 1,
        "repeated": False,
        "events": [],
    }


def nothing_refused(command: Document) -> None:
    """Every command is accepted."""


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """The server, for as long as the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(*collector.answer(body["commands"]))

        def do_GET(self) -> None:
            self.reply(503, {"code": "projection_behind", "title": "no queries here", "retryable": True})

        def reply(self, status: int, document: Document) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
