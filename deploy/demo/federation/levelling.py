"""What each node holds, so that it can be compared: the heads of the ledgers for the whole mesh, and a digest of the
rows that its services have folded from them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pymongo import MongoClient

from deploy.demo.federation.nodes import Node, until
from shared.facts.names import ledger_name
from shared.ledger.documents import row_of_raw
from shared.ledger.rows import Row, digest_of_rows

FOLDED = ("registry", "matching", "metrics")


@dataclass(frozen=True, slots=True)
class Standing:
    """One node at one moment. Equal for nodes that are level."""

    ledgers: int
    facts: int
    heads: str
    folds: tuple[tuple[str, str], ...]


def standing(node: Node) -> Standing:
    """Private ledgers and those of circles are left out: not every node may have them."""
    return standing_of(node.as_("node").get("/mesh/v1/status")["ledgers"], node.mongodb_uri)


def standing_of(told: Iterable[Mapping[str, Any]], mongodb_uri: str) -> Standing:
    """Of a node with these databases, whose status told this of its ledgers."""
    heads = {one["ledger"]: [one["epoch"], one["sequence"], one["hash"]] for one in told if _is_for_all(one["ledger"])}
    digest = hashlib.sha256(json.dumps(heads, sort_keys=True).encode()).hexdigest()
    with MongoClient[dict[str, Any]](mongodb_uri, tz_aware=True) as client:
        folds = tuple((service, digest_of_rows(_rows(client, service))) for service in FOLDED)
    return Standing(len(heads), sum(head[1] for head in heads.values()), digest, folds)


def until_level(nodes: Iterable[Node]) -> tuple[Standing, float]:
    """What all nodes hold alike, once they do, and how many seconds that took."""
    began = time.monotonic()

    def level() -> Standing | None:
        first, *others = (standing(node) for node in nodes)
        return first if all(other == first for other in others) else None

    return until(level, "all nodes hold the same"), time.monotonic() - began


def _rows(client: MongoClient[dict[str, Any]], service: str) -> Iterable[Row]:
    database = client[f"pilotmesh_{service}"]
    for name in sorted(database.list_collection_names()):
        for raw in database[name].find({"tracks": {"$exists": True}}):
            row = row_of_raw(raw)
            tracks = tuple(track for track in row.tracks if _is_for_all(track.ledger))
            if tracks:
                yield replace(row, tracks=tracks)


def _is_for_all(ledger: str) -> bool:
    return ledger_name(ledger).audience == "mesh"
