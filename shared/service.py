"""What a running service is made of: the ground it shares with its neighbours in the process, and its own parts.

Only a service's app.py puts these together. Nothing here is made before the app starts, so that the API
documents can be written without a server.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import mongoengine
from faststream.nats import NatsBroker
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from shared.access.actors import Actors
from shared.bus.homing import Homes
from shared.bus.news import News
from shared.bus.nudging import Neighbours, Nudges
from shared.bus.recalling import recalling
from shared.bus.recovery import Recovery
from shared.facts.fact import Fact
from shared.ledger.appender import Appender
from shared.ledger.documents import StateRow
from shared.ledger.folding import RowsFold
from shared.ledger.follower import Fold, Follower
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.lease import Lease, replica_name
from shared.ledger.ledger import Ledger
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import Document, LedgerStore
from shared.ledger.witness import Witness
from shared.settings import Settings
from shared.telemetry import counter, histogram
from shared.traffic import Traffic

log = logging.getLogger(__name__)

RUSH_SECONDS = 0.5
"""For so long followers whose readers can wait gather news while commands rush in."""
GIVE_WAY_SECONDS = 2.0
"""How long reactions give way to callers' commands, each time they have something to do."""
HUB_SECONDS = 4.0
"""How long a start waits for the hub to say whom this node hosts."""

_grounds: dict[tuple[str, str, str], Ground] = {}
_grounds_lock = threading.Lock()


@dataclass(frozen=True)
class Ground:
    """What all services of one process stand on: one database client, one store, one key ring."""

    settings: Settings
    client: MongoClient[Document]
    store: LedgerStore
    keyring: Keyring
    actors: Actors
    identity: Identity
    roster: Roster
    homes: Homes
    neighbours: Neighbours = field(default_factory=Neighbours)
    traffic: Traffic = field(default_factory=Traffic)

    def database(self, service: str) -> Database[Document]:
        return self.client[self.settings.database(service)]


def open_ground(settings: Settings) -> Ground:
    """The ground for these settings, made once a process. Needs a database that answers and a node identity."""
    uri = settings.mongodb_uri or "mongodb://127.0.0.1:27017"
    name = (uri, settings.database_prefix, str(settings.home))
    with _grounds_lock:
        if name not in _grounds:
            client: MongoClient[Document] = MongoClient(
                uri, tz_aware=True, serverSelectionTimeoutMS=5000, appname="pilotmesh"
            )
            store = LedgerStore(client, settings.database("ledger"))
            identity = Identity.read(settings.home)
            actors = Actors(client[settings.database("node")])
            actors.ensure_indexes()
            keyring = Keyring(settings.home / "keys")
            roster = Roster(store, identity)
            homes = Homes(store, identity, roster, keyring)
            _grounds[name] = Ground(settings, client, store, keyring, actors, identity, roster, homes)
        return _grounds[name]


def use_database(settings: Settings, service: str) -> None:
    """Points the service's mongoengine documents (alias = the service's name) at its database."""
    mongoengine.disconnect(service)
    for document in _documents_of(service, StateRow):
        document._disconnect()  # mongoengine forgets those only whose class name it has seen once
    mongoengine.connect(
        db=settings.database(service),
        alias=service,
        host=settings.mongodb_uri or "mongodb://127.0.0.1:27017",
        tz_aware=True,
        uuidRepresentation="standard",
        serverSelectionTimeoutMS=5000,
    )


def _documents_of(service: str, base: type[StateRow]) -> Iterator[type[StateRow]]:
    for document in base.__subclasses__():
        yield from _documents_of(service, document)
        if document._meta.get("db_alias") == service:
            yield document


class Worker:
    """A thread that calls `step` when woken, and every `every` seconds; `step` answers whether there is more."""

    def __init__(self, name: str, step: Callable[[], bool], every: float = 1.0) -> None:
        self.name = name
        self.step = step
        self._every = every
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.trouble: str | None = None

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def rest(self, seconds: float) -> None:
        """Waits, unless the worker is being stopped."""
        self._stopping.wait(seconds)

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._stopping.is_set():
            more = False
            try:
                more = self.step()
                self.trouble = None
            except PyMongoError as error:
                self.trouble = f"store unreachable: {type(error).__name__}"
                self._stopping.wait(0.5)
            except Exception as error:  # shown in readiness and tried again; a worker never ends by itself
                self.trouble = f"{type(error).__name__}: {error}"
                log.exception("%s failed", self.name)
                self._stopping.wait(1.0)
            if not more:
                self._wake.wait(self._every)
            self._wake.clear()


@dataclass
class Parts:
    """A service's own parts. A part that a service has no use for is None."""

    name: str
    ground: Ground
    broker: NatsBroker
    quarantine: Quarantine
    appender: Appender | None = None
    ledger: Ledger | None = None
    follower: Follower | None = None
    news: News | None = None
    workers: list[Worker] = field(default_factory=list)
    reactors: list[Worker] = field(default_factory=list)
    """Those of the workers that act on what was folded."""
    loop: asyncio.AbstractEventLoop | None = None
    nudges: Nudges = field(init=False)

    def __post_init__(self) -> None:
        self.nudges = Nudges(self.name, self.ground.neighbours, self.broker.publish)

    def add_reactor(self, worker: Worker) -> None:
        """A worker that acts on what the fold touched: only where the follower leads, and as soon as there is news
        and callers' commands leave it the time."""
        step, follower, traffic = worker.step, self.follower, self.ground.traffic
        assert follower is not None

        def step_in_turn() -> bool:
            traffic.give_way(GIVE_WAY_SECONDS, worker.rest)
            return follower.leads and step()

        worker.step = step_in_turn
        self.workers.append(worker)
        self.reactors.append(worker)

    def wake(self) -> None:
        """Something was folded or committed: whoever acts on it looks now."""
        for worker in self.reactors:
            worker.wake()

    def readiness(self) -> Mapping[str, str | None]:
        """Each part with its trouble, or None."""
        parts: dict[str, str | None] = {}
        try:
            self.ground.store.is_alive()
            parts["database"] = None
        except PyMongoError as error:
            parts["database"] = f"unreachable ({type(error).__name__})"
        parts["nats"] = None if _is_connected(self.broker) else "not connected"
        if self.follower is not None:
            trouble = self.follower.trouble
            parts["follower"] = trouble or (None if self.follower.caught_up.is_set() else "catching up")
        for worker in self.workers:
            parts[worker.name] = worker.trouble
        return parts

    def nudge(self, ledgers: Iterable[str], *, told_ahead: bool = False) -> None:
        """Tells the node that there is news in these ledgers. May be called from any thread; may be lost."""
        self.nudges.tell(ledgers, self.loop, told_ahead=told_ahead)

    def heard(self, ledgers: frozenset[str]) -> None:
        """Somebody in this process has committed facts in these ledgers."""
        if self.news is not None:
            self.news.hear(ledgers, own=True)


def _is_connected(broker: NatsBroker) -> bool:
    connection = broker._connection
    return bool(connection is not None and connection.is_connected)


def assemble(
    ground: Ground,
    name: str,
    broker: NatsBroker,
    *,
    fold: Fold | None,
    writes: bool,
    inline: bool = False,
    gather: float = 0.0,
) -> Parts:
    """Makes the parts of one service. `inline`: the process folds its own facts before it acknowledges them;
    `gather`: seconds that the follower gathers news."""
    database = ground.database(name)
    quarantine = Quarantine(ground.database("node").get_collection("quarantine"))
    parts = Parts(name, ground, broker, quarantine)
    if isinstance(fold, RowsFold):
        fold.claimed = lambda row, others: quarantine.note_claim(row.key[0], row.key[2], others, row.shown.place)
    if fold is not None:
        lease = Lease(database["leases"], "follower", replica_name(), ground.settings.lease_seconds)
        parts.follower = Follower(
            name,
            ground.store,
            database["cursors"],
            lease,
            fold,
            poll=ground.settings.poll_seconds,
            gather=lambda: RUSH_SECONDS if gather and ground.traffic.is_rushing else gather,
            turn=ground.traffic.turn if gather else None,
            after_batch=parts.wake,
        )
        parts.news = News(ground.store, quarantine, parts.follower, ground.neighbours)
    if writes:

        def committed(facts: Sequence[Fact]) -> None:
            parts.nudges.tell_ahead(str(fact.header.ledger) for fact in facts)
            counter("pilotmesh.ledger.appended").add(len(facts), {"service": name})
            histogram("pilotmesh.ledger.batch").record(len(facts), {"service": name})
            if inline and fold is not None:
                fold.fold(facts)

        def afterwards(facts: Sequence[Fact]) -> None:
            parts.nudge((str(fact.header.ledger) for fact in facts), told_ahead=True)
            parts.wake()

        parts.appender = Appender(
            ground.store,
            ground.keyring,
            ground.identity.mesh,
            batch=ground.settings.group_commit_max,
            on_committed=committed,
            after_commit=afterwards,
        )
        parts.ledger = Ledger(name, ground.store, parts.appender, ground.keyring)
    return parts


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[None]:
    """Starts what the service has, in order, and stops it in the opposite one."""
    parts.loop = asyncio.get_running_loop()
    broker, follower = parts.broker, parts.follower
    connection = await broker.connect()
    if parts.appender is not None:
        ground = parts.ground
        witness = Witness(ground.settings.home)
        with suppress(TimeoutError):  # a name that nobody resolves holds nobody up either
            await asyncio.wait_for(asyncio.to_thread(ground.homes.before_the_first_command), HUB_SECONDS)
        async with recalling(ground.settings, ground.identity, ground.roster, ground.keyring) as others:
            recovery = Recovery(
                connection,
                ground.store,
                ground.identity,
                ground.roster,
                ground.keyring,
                parts.quarantine,
                witness,
                others,
            )
            parts.appender.frozen.update((await recovery.run(parts.name)).frozen)
        parts.appender.start()
    if follower is not None:
        follower.start()
    await broker.start()
    for worker in parts.workers:
        worker.start()
    try:
        with parts.ground.neighbours.listening(parts.heard):
            yield
    finally:
        for worker in parts.workers:
            await asyncio.to_thread(worker.stop)
        if parts.appender is not None:
            await asyncio.to_thread(parts.appender.stop)
        if follower is not None:
            await asyncio.to_thread(follower.stop)
        await broker.stop()
