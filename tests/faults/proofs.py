"""What must be true of a node after any fault, looked up in its answers, its stores and its streams."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from deploy.nats.provision import PROVISIONER, connect
from shared.bus.reading import Stored, read_stream
from shared.bus.subjects import STREAMS, place_in
from shared.facts.fact import Fact
from shared.ledger.documents import row_of_raw
from shared.ledger.rows import digest_of_rows
from shared.ledger.store import Document, fact_of
from shared.settings import Settings
from tests.faults.faulty_node import FaultyNode
from tests.faults.listener import Listener
from tests.faults.officers import PILOTS, Office
from tests.faults.replicas import Replicas
from tests.service.running import RunningNode, until

UNIMPORTANT = {"revision", "set_at"}
"""Fields of a read model that differ between two folds of the same facts."""


class Evidence:
    """The node's databases and streams, read directly."""

    def __init__(self, node: FaultyNode | Replicas, client: MongoClient[Document]) -> None:
        self.node = node
        self.client = client
        there = set(client.list_database_names())
        self.services = sorted(name for name in node.services if node.settings.database(name) in there)

    def database(self, service: str) -> Database[Document]:
        return self.client[self.node.settings.database(service)]

    def documents(self) -> list[Document]:
        """Every stored fact, with the command that it answers."""
        return list(self.database("ledger")["facts"].find({}))

    def facts(self) -> list[Fact]:
        return [fact_of(document) for document in self.documents()]

    def tables(self, service: str) -> dict[str, list[Document]]:
        """The rows of each of a service's read models."""
        database = self.database(service)
        found = {}
        for name in sorted(database.list_collection_names()):
            if "__" in name:  # left by a rebuild that was cut off, and dropped by the next
                continue
            rows = list(database[name].find({}))
            if name == "figures" or (rows and "tracks" in rows[0]):
                found[name] = rows
        return found

    def digest(self, service: str) -> tuple[str, dict[str, Any]]:
        """Of rows, and of everything that is queried of them."""
        tables = self.tables(service)
        rows = [row_of_raw(raw) for raws in tables.values() for raw in raws if "tracks" in raw]
        columns = {
            f"{name} {raw['_id']}": {column: value for column, value in raw.items() if column not in UNIMPORTANT}
            for name, raws in tables.items()
            for raw in raws
        }
        return digest_of_rows(rows), columns

    def tasks(self) -> list[str]:
        """Reactions that are due, or that failed and wait for their next attempt."""
        now = datetime.now(UTC)
        waiting = {"$or": [{"due": {"$lte": now}}, {"attempts": {"$gt": 0}}]}
        return [
            f"{service}: {task['_id']} ({task.get('error', 'due')})"
            for service in self.services
            for name in ("work", "redactions")
            for task in self.database(service)[name].find(waiting)
        ]

    def messages(self) -> list[Stored]:
        """Everything that the streams hold."""
        return asyncio.run(_messages(self.node.settings))

    def streamed(self) -> Counter[tuple[str, int, int]]:
        """How often the streams hold each place."""
        named = (place_in(message.subject, message.headers) for message in self.messages())
        return Counter((ledger, head.epoch, head.sequence) for ledger, head in named)

    def is_level(self) -> bool:
        """Everything recorded is folded, followed up and published."""
        if self.tasks():
            return False
        with self.node.client(self.node.operator) as client:
            for service in self.services:
                lag = client.get(f"/{service}/v1/lag")
                if lag.status_code == 200 and lag.json()["behind"]:
                    return False
            ledgers = client.get("/mesh/v1/status").raise_for_status().json()["ledgers"]
        return all(ledger["lag"] == 0 for ledger in ledgers)


async def _messages(settings: Settings) -> list[Stored]:
    connection = await connect(settings, PROVISIONER)
    try:
        return [
            message for stream, subject in STREAMS.items() async for message in read_stream(connection, stream, subject)
        ]
    finally:
        await connection.close()


@contextmanager
def evidence(node: FaultyNode | Replicas) -> Iterator[Evidence]:
    with MongoClient[Document](node.settings.mongodb_uri, tz_aware=True) as client:
        yield Evidence(node, client)


def prove(
    node: FaultyNode | Replicas,
    office: Office,
    listener: Listener | None = None,
    *,
    repeats: int | None = None,
    wiped: bool = False,
) -> None:
    """Everything below, of a node that runs and whose officers have finished.

    `repeats`: so many of each officer's commands are sent again, all if None; `wiped`: streams were emptied meanwhile.
    """
    with evidence(node) as found:
        until(found.is_level, f"the node is level again; waiting: {found.tasks()}", 120)
        every_acknowledged_pilot_is_there_once(found, office, repeats)
        every_ledger_is_proven(found)
        no_reaction_happened_twice(found, office)
        every_fact_is_streamed(found, wiped=wiped)
        if "notifier" in found.services:
            every_event_is_told_once(found, listener)
        every_fold_equals_its_rebuild(found)


def every_acknowledged_pilot_is_there_once(found: Evidence, office: Office, repeats: int | None = None) -> None:
    for agency, acknowledged in office.registered().items():
        items = list(listing(found.node, agency))
        assert Counter(item["id"] for item in items) == Counter(acknowledged), f"{agency}: acknowledged is not listed"
        titles = Counter(item["title"]["en"] for item in items)
        assert set(titles.values()) <= {1}, f"{agency}: {titles.most_common(3)}"
    for officer in office.officers:
        for done in officer.repeatable[-repeats if repeats else 0 :]:
            officer.repeat(done)


def listing(node: RunningNode, agency: str, reader: str | None = None) -> Iterator[dict[str, Any]]:
    """The agency's pilots as the node lists them to itself, or to another agency that is hosted there."""
    with node.client(node.host(reader or agency)) as client:
        cursor: str | None = None
        while True:
            params = {"lead": agency, "limit": "200", **({"cursor": cursor} if cursor else {})}
            page = client.get(PILOTS, params=params).raise_for_status().json()
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


def every_ledger_is_proven(found: Evidence) -> None:
    with found.node.client(found.node.operator) as client:
        report = client.post("/mesh/v1/verification", timeout=600).raise_for_status().json()
    assert report["proven"], report
    ledgers = Counter(str(fact.header.ledger) for fact in found.facts())
    assert {one["ledger"]: one["facts"] for one in report["ledgers"]} == ledgers


def no_reaction_happened_twice(found: Evidence, office: Office) -> None:
    """A reaction's key stands in a unique index; that keys do not differ where the reaction is one is seen here."""
    said: dict[tuple[str, str], list[str]] = defaultdict(list)
    documents = found.documents()
    for document in documents:
        said[document["aggregate"], document["type"].split(".", 2)[2]].append(document["_id"])
    keys = Counter(document["command"]["key"] for document in documents if "command" in document)
    assert set(keys.values()) <= {1}, keys.most_common(3)
    for officer in office.officers:
        for pilot in officer.screened:
            assert len(said[f"pilot/{pilot}", "pilot.screened.v1"]) == 1, f"{pilot} was screened once"
        for pilot in officer.narrowed:
            assert len(said[f"pilot/{pilot}", "pilot.withdrawn.v1"]) == 1, f"{pilot} was narrowed once"
    doubled = {key: len(ids) for key, ids in said.items() if len(ids) > 1 and key[1] in ONCE}
    assert not doubled, f"facts that there can be one of: {doubled}"
    if "matching" in found.services:
        proposals_are_not_doubled(found, office)


ONCE = {"pilot.registered.v1", "pilot.screened.v1", "pilot.withdrawn.v1", "progress.published.v1", "snapshot.taken.v1"}


def proposals_are_not_doubled(found: Evidence, office: Office) -> None:
    facts = [fact for fact in found.facts() if fact.header.kind == "proposal" and fact.header.version == 1]
    of_pilot: Counter[str] = Counter(str((fact.state or {}).get("pilot")) for fact in facts)
    # A pilot that was narrowed is withdrawn from one ledger and lives on in another: matching may see the one first,
    # close what it proposed, and propose anew when it sees the other.
    closed = {
        str((fact.state or {}).get("pilot"))
        for fact in found.facts()
        if fact.header.kind == "proposal" and (fact.state or {}).get("closed_because") == "pilot_withdrawn"
    }
    doubled = [pilot for pilot, count in of_pilot.items() if count > 1 and pilot not in closed]
    history = [
        (
            fact.place,
            fact.header.type,
            {key: (fact.state or {}).get(key) for key in ("id", "status", "closed_because", "round")},
        )
        for fact in found.facts()
        if fact.header.kind in ("proposal", "pilot")
        and doubled
        and doubled[0] in (fact.header.subject.split("/")[1], (fact.state or {}).get("pilot"))
    ]
    assert not doubled, f"{len(doubled)} pilots with several proposals, such as {doubled[0]}: {history}"
    narrowed = {pilot for officer in office.officers for pilot in officer.narrowed}
    shared = {pilot for pilots in office.registered().values() for pilot in pilots} - narrowed
    assert shared <= of_pilot.keys(), f"{len(shared - of_pilot.keys())} open pilots without a proposal"


def every_fact_is_streamed(found: Evidence, *, wiped: bool = False) -> None:
    held = {(str(fact.header.ledger), *fact.header.position) for fact in found.facts()}
    streamed = found.streamed()
    assert held == streamed.keys() or (wiped and held > streamed.keys()), (
        f"{len(held - streamed.keys())} facts not streamed, {len(streamed.keys() - held)} streamed and not held"
    )


def every_event_is_told_once(found: Evidence, listener: Listener | None) -> None:
    entries = list(found.database("notifier")["journal"].find({}))
    entries.sort(key=lambda entry: entry["_id"])
    assert [entry["_id"] for entry in entries] == list(range(1, len(entries) + 1)), "the journal has a gap"
    assert Counter(entry["event"] for entry in entries) == Counter(fact.place for fact in found.facts())
    if listener is None:
        return
    seen = [entry["event"] for entry in entries if entry["audience"] == "mesh" or entry["agency"] == "wfp"]
    until(lambda: len(listener.events) >= len(seen), f"{len(seen)} events are heard, not {len(listener.events)}", 30)
    assert listener.events == seen, "what a listener heard over all cuts is what happened, in order, once"
    assert listener.resets == 0


def every_fold_equals_its_rebuild(found: Evidence) -> None:
    for service in found.services:
        digest, columns = found.digest(service)
        rebuild(found.node, service)
        until(lambda: not found.tasks(), "figures are set again after the rebuild")
        rebuilt, again = found.digest(service)
        differing = [key for key in columns.keys() | again.keys() if columns.get(key) != again.get(key)]
        assert not differing, f"{service}: {len(differing)} rows differ after a rebuild, such as\n" + "\n".join(
            f"{key}: {columns.get(key)}\n    rebuilt: {again.get(key)}" for key in differing[:2]
        )
        assert rebuilt == digest


def rebuild(node: RunningNode, service: str) -> None:
    """By whichever replica follows: the others answer 409 and say so."""
    with node.client(node.operator) as client:

        def rebuilt() -> bool:
            answer = client.post(f"/{service}/v1/rebuild", timeout=600)
            assert answer.status_code in (200, 409), f"{service}: {answer.status_code} {answer.text}"
            return answer.status_code == 200

        until(rebuilt, f"{service} is rebuilt")
