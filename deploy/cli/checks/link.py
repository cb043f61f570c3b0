"""The links to other nodes: configured as they must be, standing, and let through what the intake needs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors

from deploy.cli.checks.finding import Finding, odd, some, well, wrong
from deploy.cli.connection import Connection
from deploy.cli.speaking import Trouble
from deploy.nats.authority import expires
from deploy.nats.config import CONFIGURATION
from deploy.nats.link import Link, Remote, link_of
from deploy.nats.linking import linked
from deploy.nats.reaching import reach
from shared.ledger.identity import Identity
from shared.settings import Settings

SOON = timedelta(days=30)
"""A certificate or a roster that ends within this time is told of."""
STALE = timedelta(minutes=2)
"""A peer that was not reached for so long is told of, although nothing failed."""


def domain_is_its_own(settings: Settings) -> Iterator[Finding]:
    """One domain on both sides breaks links silently; so does one that others do not know this node by."""
    identity = Identity.read(settings.home)
    if identity.domain is not None and settings.nats_domain != identity.domain:
        remedy = f"Take PILOTMESH_NATS_DOMAIN out of the environment, or set it to {identity.domain}."
        yield wrong("domain", f"set to {settings.nats_domain}, and others know it as {identity.domain}", remedy)
    elif identity.hub is not None and identity.hub.domain == settings.nats_domain:
        remedy = "Two nodes with one domain never link: join with a fresh home and --domain NAME."
        yield wrong("domain", f"this node and its hub are both {settings.nats_domain}", remedy)
    elif identity.domain is not None:
        yield well("domain", settings.nats_domain)


def certificate_holds(settings: Settings) -> Iterator[Finding]:
    """The certificate of a hub's leaf listener."""
    listener = link_of(settings.home).listener
    if listener is None:
        return
    remedy = "`pilotmesh hub init` with the same options makes a new one (or takes yours); then start the node again."
    try:
        left = expires(settings.home / "nats" / listener.certificate) - datetime.now(UTC)
    except (OSError, ValueError) as error:
        yield wrong("certificate", f"of the leaf listener cannot be read: {error}", remedy)
        return
    if left < timedelta():
        yield wrong("certificate", "of the leaf listener has expired: no member can link", remedy)
    elif left < SOON:
        yield odd("certificate", f"of the leaf listener ends in {left.days} days", remedy)
    else:
        yield well("certificate", f"of the leaf listener holds for {left.days} days")


def links_stand(settings: Settings) -> Iterator[Finding]:
    """What the NATS server says: who is linked."""
    link = link_of(settings.home)
    if link.listener is None and link.remote is None:
        return
    rendered = settings.home / "nats" / CONFIGURATION
    if not rendered.exists() or "leafnodes {" not in rendered.read_text():
        yield wrong("link", "the NATS server runs without it", "Start the node again: links are set up at its start.")
        return
    try:
        leafs = asyncio.run(linked(settings))
        there = {str(leaf["name"]) for leaf in leafs if not leaf.get("is_spoke")}
    except (nats.errors.Error, OSError, KeyError) as error:
        yield wrong("link", f"the NATS server does not tell its links: {error!r}", "See logs/nats-server.log.")
        return
    if link.remote is not None:
        if any(leaf.get("is_spoke") for leaf in leafs):
            yield well("link", f"to the hub ({link.remote.domain}) stands")
        else:
            yield wrong("link", f"to the hub ({link.remote.domain}) is down", _why_down(link.remote.urls))
            yield from _ways(settings, link.remote)
    if link.listener is not None:
        yield from _members(link, {leaf.domain for leaf in link.leaves}, there)


def _why_down(urls: tuple[str, ...]) -> str:
    return (
        f'Is the hub up, and does the firewall let {some(urls)} out? "Authorization Violation" in '
        "logs/nats-server.log means that the hub does not know this node (any more): ask the secretariat whether it "
        "is suspended. All work goes on meanwhile, and is caught up."
    )


def _ways(settings: Settings, remote: Remote) -> Iterator[Finding]:
    """Each address as far as it is reached: what lies between this machine and the hub's server."""
    authority = None if remote.authority is None else settings.home / "nats" / remote.authority
    for address in remote.urls:
        reached = reach(address, authority)
        if reached.trouble is not None:
            yield wrong("way to the hub", f"{address}: {reached.trouble}", reached.remedy)
        else:
            remedy = "What is missing is the hub's consent: see above."
            yield odd("way to the hub", f"{address} is reached, and its certificate is right", remedy)


def _members(link: Link, may: set[str], there: set[str]) -> Iterator[Finding]:
    assert link.listener is not None
    away = may - there
    if away and link.remote is None:  # a standby's are linked elsewhere until they rehome
        remedy = "Their nodes may be off; they catch up by themselves. Else: `pilotmesh doctor` on their side."
        yield odd("link", f"not linked: {some(sorted(away))}", remedy)
    yield well("link", f"takes links at {link.listener.listen}; {len(may & there)} of {len(may)} members are linked")


def peers_are_reached(node: Connection) -> Iterator[Finding]:
    """What the intake says of each peer: an API call that is refused or unanswered is said nowhere else."""
    try:
        stands = node.get("/mesh/v1/status")
    except Trouble:
        return  # said by the checks of the node
    over = (stands.get("intake") or {}).get("over_quota") or {}
    for agency, why in over.items():
        remedy = (
            f"Ask the agency what it is doing. If it is right: `pilotmesh node resume {agency}`, or a higher quota."
        )
        yield odd("intake", why, remedy)
    for peer in stands.get("peers", ()):
        yield from _peer(peer, set(over.values()))
    roster = stands.get("roster") or {}
    yield from _roster(roster)


def _peer(peer: dict[str, Any], held: Collection[str] = ()) -> Iterator[Finding]:
    failing = [(one["stream"], one["trouble"]) for one in peer["outlets"] if one["trouble"] not in (None, *held)]
    for stream, said in failing:
        remedy = (
            f"If the link stands, the other side has no consumer for this node or refuses it: `pilotmesh doctor` on "
            f"{peer['domain']} says which; starting that node again makes consumers and permissions anew."
        )
        yield wrong("intake", f"{stream} of {peer['domain']}: {said}", remedy)
    if not failing and peer["trouble"]:
        yield wrong("intake", f"{peer['domain']}: {peer['trouble']}", "It is tried again by itself; is the link up?")
    for why in peer["withheld"]:
        yield odd("intake", f"{peer['domain']} does not hand out: {why}", "Ask its operator.")
    if failing or peer["trouble"]:
        return
    last = peer["last_contact"]
    if last is None or datetime.now(UTC) - datetime.fromisoformat(last) > STALE:
        yield wrong("intake", f"{peer['domain']} was last reached: {last or 'never'}", "Is its node up, and the link?")
    else:
        yield well("intake", f"reaches {peer['domain']}")


def _roster(roster: dict[str, Any]) -> Iterator[Finding]:
    ends = roster.get("expires_on")
    if not ends:
        return
    remedy = "The secretariat renews it: `pilotmesh hub expires DATE`. Until then nobody new is admitted."
    if roster.get("expired"):
        yield wrong("roster", f"expired on {ends}", remedy)
    elif datetime.fromisoformat(ends).replace(tzinfo=UTC) - datetime.now(UTC) < SOON:
        yield odd("roster", f"expires on {ends}", remedy)
