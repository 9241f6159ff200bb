"""What several commands need: a webhook of the operator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

ALERT_TOKEN = "made-up-token"


@pytest.fixture
def alerted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a webhook of the operator is told."""
    got: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alert = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(f"{alert['title']}: {alert['message']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("STALL_ALERT_URLS", f"json://127.0.0.1:{server.server_port}/{ALERT_TOKEN}")
        yield got
        server.shutdown()
        thread.join(20)
