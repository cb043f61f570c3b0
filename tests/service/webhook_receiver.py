"""A webhook receiver on this machine that checks every signature, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Notice:
    """What came: headers with lower-case names, and the CloudEvent."""

    path: str
    headers: dict[str, str]
    event: dict[str, Any]
    answered: int


Answering = Callable[[int], tuple[int, dict[str, str]]]
"""From how many notices came before to status and headers of the answer."""


@dataclass
class Receiver:
    """Keeps what came. `secret` is set once the subscription is made; notices signed otherwise are `forged`."""

    url: str
    answering: Answering
    secret: str = ""
    notices: list[Notice] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    is_slow: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)

    @property
    def taken(self) -> list[dict[str, Any]]:
        """Events of notices that were answered with 2xx."""
        return [notice.event for notice in self.notices if 200 <= notice.answered < 300]

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.taken]


@contextmanager
def receiving(answering: Answering = lambda _: (204, {})) -> Iterator[Receiver]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if receiver.is_slow.is_set():
                receiver.may_answer.wait(30)
            try:
                event = Webhook(receiver.secret).verify(body, headers)
            except Exception as error:
                receiver.forged.append(repr(error))
                self.send_error(401)
                return
            with lock:
                status, more = receiver.answering(len(receiver.notices))
                receiver.notices.append(Notice(self.path, headers, event, status))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The test says what it expects."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook", answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.may_answer.set()
        server.shutdown()
        server.server_close()
        thread.join()
