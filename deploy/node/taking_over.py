"""An agency whose node is lost is taken over: by its recovery key, with the facts that other nodes hold.

The hub revokes the old signing key beyond what it has witnessed and names this node. When what was witnessed is here,
the recovery key puts a new signing key into force in each ledger. A node that was not dead after all finds its key
revoked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.cli import tokens
from deploy.cli.store import Ledgers
from deploy.node.bringing import check_brought, check_nobody_elses, put_actors, put_in
from deploy.node.exporting import actors_of
from deploy.node.home import NodeError
from deploy.node.importing import proven_place
from deploy.node.joining import Post, end_of
from services.mesh.moving import RECOVERY, MoveRequest
from shared.access.actors import Actors
from shared.facts.fact import from_wire, to_bytes
from shared.facts.ids import new_id
from shared.facts.keys import Place, SigningKey
from shared.facts.names import ledger_name
from shared.facts.verify import Head, Trouble, check
from shared.ledger.carrying import Carried, NotCarried, facts_of
from shared.ledger.drafts import Author
from shared.ledger.identity import Member, Roster
from shared.ledger.keyring import replace_secret, write_secret
from shared.ledger.rekeying import Rekeying, Rotation
from shared.ledger.witness import foreign_heads

OPERATOR = Author("operator", "admin")
LOOK_SECONDS = 0.2


@dataclass
class TakenOver:
    """What a takeover came to."""

    agency: str
    rotation: Rotation
    restored: int = 0
    """Private facts that came from a backup."""
    gone: list[str] = field(default_factory=list)
    """A sentence for each private ledger of which facts are with nobody."""


def take_over(
    ground: Ledgers,
    agency: str,
    recovery: SigningKey,
    post: Post,
    clock: Callable[[], datetime],
    *,
    backup: Ledgers | None = None,
    patience_seconds: float = 60.0,
) -> TakenOver:
    """May be repeated from wherever it was cut off. Raises NodeError with what to do, and what `post` raises."""
    settings, identity, keyring = ground.settings, ground.identity, ground.keyring
    if identity.domain is None:
        raise NodeError("This node is in no mesh with others: join the mesh first, or take the agency over at the hub.")
    pending = keyring.folder / f"{agency}.taking"
    if keyring.hosts(agency) and not pending.exists():
        raise NodeError(f"This node hosts {agency} already. A lost key is replaced with `pilotmesh keys recover`.")
    with suppress(FileExistsError):
        write_secret(pending, json.dumps({"move": new_id()}) + "\n")
    noted = json.loads(pending.read_text())
    leaf, node_key = end_of(settings.home, identity, keyring)
    request = MoveRequest(agency, noted["move"], identity.domain, leaf, settings.url, RECOVERY)
    at = settings.url if identity.hub is None else identity.hub.url
    answer = post(f"{at}/mesh/v1/members/{agency}/moves", request.signed(identity.mesh, recovery, node_key))
    member, _ = proven_place(answer, ground, request)
    _await_witnessed(ground, member, patience_seconds)
    restored = 0 if backup is None else _restore(ground, backup, agency, clock())
    if _private_heads(ground, agency):  # said once more if this is cut off after they were forgotten
        noted["gone"] = list(_gone(ground, agency))
        replace_secret(pending, json.dumps(noted) + "\n")
    rekeying = Rekeying(ground.store, identity, keyring, OPERATOR, clock)
    rotation = rekeying.rotate(agency, recovery)
    _give_admin(ground, agency)
    _forget_heads(ground, agency)
    pending.unlink()
    return TakenOver(agency, rotation, restored, noted.get("gone", []))


def _await_witnessed(ground: Ledgers, member: Member, patience_seconds: float) -> None:
    """Waits until this node holds the roster that names it, and all that the hub has witnessed."""
    places: dict[str, Place] = {}
    for revocation in member.revocations:
        for ledger, place in revocation.last_good.items():
            if ledger not in places or places[ledger].position < place.position:
                places[ledger] = place
    deadline = time.monotonic() + patience_seconds
    while True:
        missing = [
            f"{ledger} up to {at.epoch}:{at.sequence}" for ledger, at in places.items() if _lacks(ground, ledger, at)
        ]
        named = [one for one in Roster(ground.store, ground.identity).members() if one.agency == member.agency]
        if not named or named[0].domain != member.domain:
            missing.append("the roster that names this node")
        if not missing:
            return
        if time.monotonic() > deadline:
            raise NodeError(
                f"Not here yet: {', '.join(missing)}. The hub has recorded that {member.agency} moves here. Start the "
                "node (`pilotmesh up`) so that it fetches them, then give the same command again."
            )
        time.sleep(LOOK_SECONDS)


def _lacks(ground: Ledgers, ledger: str, place: Place) -> bool:
    if not place.sequence:
        return False
    held = ground.store.at(ledger, place.epoch, place.sequence)
    return held is None or held.hash != place.hash


def _restore(ground: Ledgers, backup: Ledgers, agency: str, now: datetime) -> int:
    """Private facts and actors as the backup holds them; each fact is checked. Raises NodeError."""
    book, reached = Roster(ground.store, ground.identity).book(), dict[str, Head]()
    facts: list[Carried] = []
    for line in facts_of(backup.store, agency, now):
        fact = from_wire(to_bytes(line["fact"]), line.get("trace"))
        ledger = str(fact.header.ledger)
        if not fact.header.ledger.is_private:
            continue
        try:
            reached[ledger] = check(fact, mesh=ground.identity.mesh, head=reached.get(ledger, Head()), book=book)
        except Trouble as trouble:
            raise NodeError(f"The backup's {fact.place} cannot be believed: {trouble.detail}") from trouble
        facts.append(Carried(fact, line.get("command"), bool(line.get("twice"))))
    actors = [dict(raw) for raw in actors_of(backup).find({"agency": agency})]
    try:
        check_brought(agency, actors, facts)
        check_nobody_elses(ground, agency, actors, facts)
    except NotCarried as fault:
        raise NodeError(f"The backup cannot be used: {fault}") from fault
    put_actors(ground, agency, actors)
    return put_in(ground.store, facts)


def _gone(ground: Ledgers, agency: str) -> Iterator[str]:
    """What private ledgers are known to have held, and nobody holds now."""
    for ledger, told in _private_heads(ground, agency):
        here = ground.store.head(ledger)
        if (told["epoch"], told["sequence"]) > here.position:
            count = told["sequence"] - (here.sequence if here.epoch == told["epoch"] else 0)
            yield f"{ledger}: {count} private facts are gone; it had {told['epoch']}:{told['sequence']}"


def _forget_heads(ground: Ledgers, agency: str) -> None:
    """Private ledgers go on from what is here: the lost node's heads are nothing to be measured by."""
    for ledger, _ in _private_heads(ground, agency):
        foreign_heads(ground.store).drop(ledger)


def _private_heads(ground: Ledgers, agency: str) -> list[tuple[str, dict[str, Any]]]:
    heads = sorted(foreign_heads(ground.store).all().items())
    names = {ledger: ledger_name(ledger) for ledger, _ in heads}
    return [(ledger, told) for ledger, told in heads if names[ledger].agency == agency and names[ledger].is_private]


def _give_admin(ground: Ledgers, agency: str) -> None:
    """Somebody must be able to act for the agency here."""
    actors = Actors(ground.store.client[ground.settings.database("node")])
    if not actors.of_agency(agency):
        _, token = actors.add(agency, ["admin"])
        tokens.keep(ground.settings.home, agency, {"admin": token})
