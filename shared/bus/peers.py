"""With whom this node exchanges facts: a member with its hub, the hub with every member's node. One connection each way
is enough: links lead between the nodes' NATS servers, and a peer is reached by its JetStream domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nats
from nats.aio.client import Client

from shared.bus.links import HUB_READS, INTAKE, MEMBER_READS, inbox_for
from shared.ledger.identity import SUSPENDED, Identity, Member, Roster
from shared.ledger.keyring import Keyring
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its JetStream domain and the streams that are pulled from it."""

    domain: str
    outlets: tuple[str, ...]
    agencies: frozenset[str] | None = field(default=None, compare=False)
    """Whose facts may come from there; None from a hub, which carries everybody's."""


def peers_of(identity: Identity, members: Sequence[Member], keyring: Keyring, own_domain: str) -> list[Peer]:
    """The hub, for a member; every member's node, for the hub. A node whose agencies are all suspended is none."""
    if identity.hub is not None:
        return [Peer(identity.hub.domain, MEMBER_READS)]
    return member_nodes(members, keyring, own_domain)


def takes_links(home: Path) -> bool:
    """Whether this node is a hub, or a standby: `hub init` has written how others link to it."""
    return (home / "nats" / "hub.json").exists()


def visitors_of(identity: Identity, members: Sequence[Member], keyring: Keyring, own_domain: str) -> list[Peer]:
    """Nodes that may come to a standby hub, which is itself a member: everybody's but its own hub's. They are its peers
    while they are linked."""
    if identity.hub is None:
        return []
    return [peer for peer in member_nodes(members, keyring, own_domain) if peer.domain != identity.hub.domain]


def member_nodes(members: Sequence[Member], keyring: Keyring, own_domain: str) -> list[Peer]:
    """The nodes of active agencies that are hosted elsewhere."""
    by_domain: dict[str, set[str]] = {}
    for member in members:
        if member.domain not in (None, own_domain) and not keyring.hosts(member.agency):
            hosted = by_domain.setdefault(str(member.domain), set())
            if member.status != SUSPENDED:
                hosted.add(member.agency)
    return [Peer(domain, HUB_READS, frozenset(hosted)) for domain, hosted in sorted(by_domain.items()) if hosted]


def peers_now(identity: Identity, roster: Roster, keyring: Keyring, own_domain: str) -> list[Peer]:
    return peers_of(identity, roster.members(), keyring, own_domain)


async def connect_intake(settings: Settings, peer: str | None = None, *, patient: bool = True) -> Client:
    """A connection to this node's NATS as the intake, for what `peer` (its domain) delivers; without one, for
    questions and what concerns the node itself. Raises nats.errors.Error; `patient` ones reconnect for ever."""
    user, password = settings.nats_login(INTAKE)
    return await nats.connect(
        settings.nats_servers,
        user=user,
        password=password,
        name="pilotmesh-intake",
        inbox_prefix=inbox_for(settings.nats_domain, peer or settings.nats_domain),
        connect_timeout=5,
        reconnect_time_wait=0.5,
        max_reconnect_attempts=-1 if patient else 2,
        error_cb=_quiet,
    )


async def _quiet(_: Exception) -> None:
    """What goes wrong is noticed where it is waited for."""
