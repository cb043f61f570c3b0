"""A small part of a node for tests of its ledgers: the real store, keys on disk, appenders; and a wire that is cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pymongo import MongoClient

from shared.facts.ids import new_id
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.appender import Appender
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Identity, Member, Roster, ensure_identity, roster_state
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.store import Command, Document, LedgerStore
from shared.settings import Settings

OFFICER = Author("0198c0de-0000-7000-8000-0000000000ac", "officer")
PATIENCE_SECONDS = 30


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.01)


@dataclass
class LedgerNode:
    """The ledgers of one node, in databases of its own."""

    settings: Settings
    uri: str
    client: MongoClient[Document] = field(init=False)
    store: LedgerStore = field(init=False)
    keyring: Keyring = field(init=False)
    identity: Identity = field(init=False)
    appenders: list[Appender] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = MongoClient(self.uri, tz_aware=True, serverSelectionTimeoutMS=5000)
        self.store = LedgerStore(self.client, self.settings.database("ledger"))
        self.identity = ensure_identity(self.settings.home)
        self.keyring = Keyring(self.settings.home / "keys")

    @property
    def roster(self) -> Roster:
        return Roster(self.store, self.identity)

    def appender(self, **more: object) -> Appender:
        """A running appender, as another replica of a service would have it."""
        made = Appender(self.store, self.keyring, self.identity.mesh, **more)  # type: ignore[arg-type]
        made.start()
        self.appenders.append(made)
        return made

    def ledger(self, service: str = "registry", **more: object) -> Ledger:
        return Ledger(service, self.store, self.appender(**more), self.keyring)

    def host(self, *agencies: str) -> LedgerNode:
        """Keys for these agencies, and a roster that names them."""
        for agency in agencies:
            if not self.keyring.hosts(agency):
                self.keyring.make(agency)
        members = [
            Member(agency, self.keyring.key(agency).public, SigningKey.make().public)
            for agency in self.keyring.hosted()
        ]
        newest = self.store.newest(ANCHOR, "mesh", "roster/mesh")
        appender = self.appender()
        appender.record(
            Draft(
                agency=ANCHOR,
                service="mesh",
                kind="roster",
                verb="issued",
                id="mesh",
                version=1 if newest is None else newest.header.version + 1,
                state=roster_state(members),
                author=Author("operator", "admin"),
            )
        )
        return self

    def close(self) -> None:
        for appender in self.appenders:
            appender.stop()
        self.client.close()


def pilot(
    *,
    id: str | None = None,  # noqa: A002 - as the draft has it
    version: int = 1,
    verb: str | None = None,
    key: str | None = None,
    body: str = "a body",
    audience: str = "mesh",
    agency: str = "wfp",
    **state: object,
) -> Draft:
    """A draft of a pilot's change. `key` makes it a command that may be repeated with the same `body`."""
    pilot_id = id or new_id()
    return Draft(
        agency=agency,
        service="registry",
        kind="pilot",
        verb=verb or ("registered" if version == 1 else "revised"),
        id=pilot_id,
        version=version,
        state={"lead_agency": agency, **state},
        author=OFFICER,
        audience=audience,
        command=None if key is None else Command(key, f"digest of {body}", pilot_id),
    )


class Wire:
    """A TCP proxy before the database that cuts connections when told: the request arrives, the answer does not."""

    def __init__(self, uri: str) -> None:
        target = urlsplit(uri)
        self._target = (target.hostname or "127.0.0.1", target.port or 27017)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self.cuts = 0
        self._word: bytes | None = None
        self._left = 0
        self._before = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self._listener.getsockname()[1]}/?directConnection=true"

    def cut_answers_to(self, word: bytes, times: int = 1, *, before: bool = False) -> None:
        """The next `times` requests that hold `word` reach the server and are not answered (or, `before`, get lost)."""
        self._word, self._left, self._before = word, times, before

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._links.append((near, far))
            link = _Link(near, far)
            threading.Thread(target=self._forward, args=(link,), daemon=True).start()
            threading.Thread(target=link.backward, daemon=True).start()

    def _forward(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while True:
                message = link.read_message(link.near)
                if not message:
                    break
                if self._word is not None and self._left > 0 and self._word in message:
                    self._left -= 1
                    if not self._before:
                        link.swallow.set()
                        link.far.sendall(message)
                        link.answered.wait(10)
                    self.cuts += 1
                    break
                link.far.sendall(message)
        link.close()

    def close(self) -> None:
        self._listener.close()
        for near, far in self._links:
            near.close()
            far.close()


class _Link:
    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.swallow = threading.Event()
        self.answered = threading.Event()

    def read_message(self, source: socket.socket) -> bytes:
        head = self._exactly(source, 4)
        return head + self._exactly(source, int.from_bytes(head, "little") - 4) if head else b""

    def _exactly(self, source: socket.socket, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = source.recv(size - len(parts))
            if not part:
                return b""
            parts += part
        return bytes(parts)

    def backward(self) -> None:
        with contextlib.suppress(OSError):
            while message := self.read_message(self.far):
                if self.swallow.is_set():
                    self.answered.set()
                    break
                self.near.sendall(message)
        self.answered.set()
        self.close()

    def close(self) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def ledger_node(settings: Settings, uri: str | None = None) -> Iterator[LedgerNode]:
    assert settings.mongodb_uri is not None
    node = LedgerNode(settings, uri or settings.mongodb_uri)
    try:
        yield node
    finally:
        node.close()
