"""The database: reachable, in time, its roster readable, its folds level, its quarantine empty."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.cli.checks.finding import Finding, odd, some, well, wrong
from shared.facts.names import ANCHOR
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.quarantine import REMEDIES
from shared.ledger.store import LedgerStore
from shared.settings import SERVICES, Settings

Client = MongoClient[dict[str, Any]]

DRIFT = timedelta(seconds=1)
"""Clocks further apart than this make leases change hands too early (they trust two thirds of three seconds)."""
PATIENCE_SECONDS = 3.0
"""A fold that is behind and does not move for so long is stuck."""
WORK = ("work", "redactions")
"""Collections of a service in which tasks wait, by shared.ledger.work."""


def database_answers(settings: Settings, client: Client) -> Iterator[Finding]:
    before = datetime.now(UTC)
    try:
        said = client.admin.command("hello")
    except PyMongoError as error:
        remedy = "Start it, or mend PILOTMESH_MONGODB_URI. Nothing is acknowledged until it answers."
        yield wrong("database", f"{settings.mongodb_uri}: {type(error).__name__}", remedy)
        return
    yield well("database", f"answers at {settings.mongodb_uri}")
    there = said.get("localTime")
    if there is None:
        return
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    drift = max(before - there, there - datetime.now(UTC), timedelta())
    if drift > DRIFT:
        remedy = "Keep both machines' clocks by NTP: leases and deadlines go by them."
        yield wrong("clock", f"the database's clock differs by {drift.total_seconds():.1f} s", remedy)
    else:
        yield well("clock", "the database's clock agrees")


def no_fact_from_the_future(settings: Settings, client: Client) -> Iterator[Finding]:
    facts = client[settings.database("ledger")]["facts"]
    newest = facts.find_one({"stored_at": {"$gt": datetime.now(UTC) + timedelta(minutes=1)}}, {"stored_at": 1})
    if newest is not None:
        remedy = "This machine's clock was ahead, or is behind now: set it by NTP."
        yield wrong("clock", f"a fact was stored at {newest['stored_at']:%Y-%m-%d %H:%M}, which is to come", remedy)


def roster_can_be_read(settings: Settings, client: Client) -> Iterator[Finding]:
    """The roster, and that every key here has its line in it."""
    try:
        identity = Identity.read(settings.home)
        members = Roster(LedgerStore(client, settings.database("ledger")), identity).members()
    except (OSError, ValueError, KeyError, PyMongoError) as error:
        remedy = "Run `pilotmesh verify`; put mesh.json back from the backup if it is damaged."
        yield wrong("roster", f"cannot be read: {type(error).__name__}: {error}", remedy)
        return
    keyring = Keyring(settings.home / "keys")
    listed = {member.agency for member in members}
    for agency in keyring.hosted():
        if agency not in listed:
            yield odd("roster", f"{agency} has a key here and is not in the roster", f"pilotmesh agency host {agency}")
    if not keyring.hosts(ANCHOR) and identity.hub is None:
        remedy = "Right if it is kept offline: `pilotmesh hub anchor put-back FILE` for as long as it is needed."
        yield odd("roster", "the anchor's key is not on this node, so that nobody can be admitted", remedy)
    yield well("roster", f"{len(members)} agencies")


def quarantine_is_empty(settings: Settings, client: Client) -> Iterator[Finding]:
    entries = client[settings.database("node")]["quarantine"]
    count = entries.count_documents({})
    if not count:
        yield well("quarantine", "empty")
        return
    newest = entries.find_one(sort=[("last_at", -1)])
    assert newest is not None
    remedy = REMEDIES.get(newest["code"], "Look at the detail, and at the sender.")
    yield odd("quarantine", f"{count} refused; the newest: {newest['code']}: {newest['detail']}", remedy)


def folds_are_level(settings: Settings, client: Client) -> Iterator[Finding]:
    """What each service has folded, against the ledgers' heads. Behind and moving is no trouble."""
    behind = _behind(settings, client)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while behind and time.monotonic() < deadline:
        time.sleep(0.3)
        now = _behind(settings, client)
        behind = {place: lag for place, lag in now.items() if lag >= behind.get(place, lag + 1)}
    for (service, ledger), lag in sorted(behind.items()):
        remedy = f"Start the node if it is stopped; else see logs/node.log, then `pilotmesh rebuild {service}`."
        yield wrong("folds", f"{service} is {lag} facts behind in {ledger} and does not move", remedy)
    if not behind:
        yield well("folds", "every service has folded what it follows")


def _behind(settings: Settings, client: Client) -> dict[tuple[str, str], int]:
    store = LedgerStore(client, settings.database("ledger"))
    heads = store.heads()
    found = {}
    for service in SERVICES:
        for cursor in client[settings.database(service)]["cursors"].find({}):
            head = heads.get(cursor["_id"])
            if head is not None and (cursor["epoch"], cursor["sequence"]) < head.position:
                found[(service, cursor["_id"])] = max(head.sequence - cursor["sequence"], 1)
    return found


def no_task_fails(settings: Settings, client: Client) -> Iterator[Finding]:
    """Reactions that were tried and failed: they are tried again for ever, and say nothing by themselves."""
    for service in SERVICES:
        for name in WORK:
            tasks = client[settings.database(service)][name]
            failing = list(tasks.find({"attempts": {"$gt": 0}}).limit(6))
            if failing:
                told = some(f"{task['_id']} ({task['attempts']} times): {task.get('error', '')}" for task in failing)
                yield wrong("reactions", f"{service}: {told}", "They are tried again by themselves; see logs/node.log.")
                return
    yield well("reactions", "none has failed")
