"""An agency is exported: what its file holds besides the facts.

What two nodes could do at once is decided elsewhere: by keys (shared/ledger/departing.py) and by the roster
(services/mesh/moving.py).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from pymongo.collection import Collection

from deploy.cli import tokens
from deploy.cli.store import Ledgers
from deploy.nats.link import LINK_FILE
from deploy.node.home import NodeError
from services.mesh.joining import hub_end
from shared.facts.fact import to_wire
from shared.facts.names import ANCHOR
from shared.ledger import carrying
from shared.ledger.departing import Departing, Sealed
from shared.ledger.identity import ROSTER, ROSTER_LEDGER, HubAddress, Identity
from shared.ledger.signing import public_named_by
from shared.ledger.store import JOURNALED, Document
from shared.settings import Settings

Opening = Callable[[], AbstractContextManager[Ledgers]]
"""Opens the node's database, starting one if the node does not run."""


def actors_of(ground: Ledgers) -> Collection[Document]:
    """Who may act on the node, as shared/access/actors.py keeps it."""
    database = ground.store.client[ground.settings.database("node")]
    return database.get_collection("actors", write_concern=JOURNALED)


def packed(ground: Ledgers, departing: Departing, agency: str, words: str) -> tuple[Sealed, bytes]:
    """Seals the agency and packs its file. Whatever a stalled process of this node still wrote while it was packed is
    in it. Raises what `seal` raises, NodeError, NotCarried."""
    sealed = departing.seal(agency)
    while True:
        now = departing.clock()
        content = carrying.seal(manifest_of(ground, sealed), carrying.facts_of(ground.store, agency, now), words, now)
        if (again := departing.look_again(agency)) == sealed:
            return sealed, content
        sealed = again


def manifest_of(ground: Ledgers, sealed: Sealed) -> dict[str, Any]:
    """Everything about a sealed agency that is not a fact of its ledgers."""
    settings, identity, store = ground.settings, ground.identity, ground.store
    home, leaving = settings.home, ground.keyring.leaving().folder
    roster = store.newest(ANCHOR, "mesh", ROSTER)
    if roster is None:
        raise NodeError("This node holds no roster yet: wait until it has heard from the hub.")
    anchor_key = public_named_by(store.rekeyings(ROSTER_LEDGER)) or identity.anchor
    hub, authority = _hub_of(settings, identity)
    return {
        "agency": sealed.agency,
        "mesh": identity.mesh,
        "anchor": identity.anchor.hex(),
        "anchor_key": anchor_key.hex(),
        "roster": base64.b64encode(to_wire(roster)).decode(),
        "hub": {"domain": hub.domain, "url": hub.url, "leaf": list(hub.leaf)},
        "authority": authority,
        "from": {"domain": identity.domain, "url": settings.url},
        "move": sealed.move,
        "sealed_at": sealed.at,
        "heads": {ledger: list(place) for ledger, place in sealed.heads.items()},
        "keys": {path.name: path.read_text().strip() for path in leaving.glob(f"{sealed.agency}.*") if _is_key(path)},
        "tokens": tokens.read(home).get(sealed.agency, {}),
        "actors": [_actor_told(raw) for raw in actors_of(ground).find({"agency": sealed.agency})],
    }


def _is_key(path: Path) -> bool:
    return path.suffix in (".key", ".old")


def _hub_of(settings: Settings, identity: Identity) -> tuple[HubAddress, str | None]:
    """How the hub is reached by whoever comes from outside, and whom to trust for its certificate."""
    if identity.hub is None:
        told = hub_end(settings.home)
        if told is None:
            raise NodeError("This node is no hub and has joined none: there is no node that could take the agency.")
        return HubAddress(settings.nats_domain, settings.url, tuple(told["leaf"])), told["authority"]
    remote = json.loads((settings.home / "nats" / LINK_FILE).read_text()).get("remote") or {}
    name = remote.get("authority")
    return identity.hub, (settings.home / "nats" / name).read_text() if name else None


def _actor_told(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in raw.items()}
