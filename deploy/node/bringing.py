"""What an agency brings to its new node, or gets back from a backup: facts, and who acts for it.

A file is what whoever sealed it wished it to be: it may say who acts for its own agency, and nothing about anybody
else on this node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from deploy.cli.store import Ledgers
from deploy.node.exporting import actors_of
from shared.access.actors import ROLES
from shared.ledger.arriving import check_keys
from shared.ledger.carrying import Carried, NotCarried
from shared.ledger.store import Command, Document, LedgerStore

AT_ONCE = 256
ATTEMPTS = 5
ACTOR_FIELDS = ("_id", "agency", "roles", "office", "countries", "languages", "name", "tokens", "made_at", "left_at")
COMMAND_FIELDS = {"key", "digest", "answer"}


def check_brought(
    agency: str,
    actors: Sequence[Mapping[str, Any]],
    facts: Sequence[Carried] = (),
    keys: Mapping[str, str] | None = None,
) -> None:
    """That the actors act for this agency alone, in roles that there are, that commands are commands, and that keys
    have the names of the agency's keys. Raises NotCarried with the first fault."""
    if keys is not None:
        try:
            check_keys(agency, keys)
        except ValueError as error:
            raise NotCarried(f"keys: {error}. Nothing was imported.") from error
    for number, one in enumerate(actors):
        where = f"actors[{number}]"
        if not isinstance(one, Mapping) or not isinstance(one.get("_id"), str):
            raise NotCarried(f"{where} has no id. Nothing was imported.")
        if one.get("agency") != agency:
            raise NotCarried(f"{where}.agency is {one.get('agency')!r}, not {agency}. Nothing was imported.")
        strange = [role for role in _texts(one, "roles", where) if role not in ROLES]
        if strange:
            raise NotCarried(f"{where}.roles: there is no role {strange[0]!r}. Nothing was imported.")
        _texts(one, "tokens", where)
    for carried in facts:
        if carried.command is not None and (
            set(carried.command) != COMMAND_FIELDS or not all(isinstance(one, str) for one in carried.command.values())
        ):
            raise NotCarried(f"{carried.fact.place}: its command has no key, digest and answer. Nothing was imported.")


def check_nobody_elses(
    ground: Ledgers, agency: str, actors: Sequence[Mapping[str, Any]], facts: Sequence[Carried] = ()
) -> None:
    """That no id of an actor and no Idempotency-Key is another agency's on this node. Raises NotCarried."""
    ids = [one["_id"] for one in actors]
    other = actors_of(ground).find_one({"_id": {"$in": ids}, "agency": {"$ne": agency}}) if ids else None
    if other is not None:
        raise NotCarried(f"The actor {other['_id']} acts for {other['agency']} on this node. Nothing was imported.")
    keys = [one.command["key"] for one in facts if one.command is not None]
    for start in range(0, len(keys), AT_ONCE):
        for _, fact in ground.store.by_command(keys[start : start + AT_ONCE]).values():
            if fact.header.agency != agency:
                raise NotCarried(f"A command of the file is that of {fact.place} on this node. Nothing was imported.")


def put_in(store: LedgerStore, facts: Sequence[Carried]) -> int:
    """Facts, ledger after ledger in order, that this node now writes on from; those it holds are not put in twice.
    Returns how many were new. Raises NotCarried if another fact stands in a place."""
    count = 0
    for start in range(0, len(facts), AT_ONCE):
        page = facts[start : start + AT_ONCE]
        for attempt in range(ATTEMPTS):
            held = store.hashes_present([one.fact.hash for one in page])
            new = [one for one in page if one.fact.hash not in held]
            try:
                if new:
                    commands = [None if one.command is None else Command(**one.command) for one in new]
                    twice = {one.fact.hash for one in new if one.twice}
                    store.insert([one.fact for one in new], commands, own=True, twice=twice)
            except BulkWriteError as error:  # the intake of the running node has put some in meanwhile
                if attempt == ATTEMPTS - 1:
                    raise NotCarried(f"Another fact stands where one of the file belongs: {error.details}") from error
                continue
            break
        count += len(new)
        known = [
            UpdateOne({"_id": one.fact.hash}, {"$set": {"own": True, "command": one.command}})
            for one in page
            if one.fact.hash in held and one.command is not None
        ]
        if known:
            store.facts.bulk_write(known, ordered=False)
    store.ensure_durable(one.fact for one in facts)
    return count


def put_actors(ground: Ledgers, agency: str, told: Sequence[Mapping[str, Any]]) -> int:
    """Actors keep their ids and tokens: who acted before acts on with what he has. Raises NotCarried for one who acts
    for anybody else."""
    check_brought(agency, told)
    check_nobody_elses(ground, agency, told)
    for one in told:
        raw = _actor_raw(one)
        actors_of(ground).replace_one({"_id": raw["_id"]}, raw, upsert=True)
    return len(told)


def _actor_raw(told: Mapping[str, Any]) -> Document:
    raw = {name: told[name] for name in ACTOR_FIELDS if name in told}
    for name in ("made_at", "left_at"):
        if isinstance(raw.get(name), str):
            raw[name] = datetime.fromisoformat(raw[name])
    return raw


def _texts(told: Mapping[str, Any], name: str, where: str) -> list[str]:
    found = told.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise NotCarried(f"{where}.{name} is no list of texts. Nothing was imported.")
    return found
