"""Where to send what another node must take: the roster knows on which node an agency is hosted."""

from __future__ import annotations

from fastapi import Request
from pymongo.errors import PyMongoError

from shared.access.actors import Actor
from shared.ledger.ledger import Ledger
from shared.problems import Misdirected


def check_hosted(ledger: Ledger, caller: Actor) -> None:
    """Whoever acts for an agency that moved to another node is told so before anything else is found fault with.

    Raises Misdirected.
    """
    if not caller.is_operator and not ledger.hosts(caller.agency):
        raise Misdirected.of(caller.agency)


def with_address(problem: Misdirected, request: Request) -> Misdirected:
    """The refusal with `node` and `address`, the same request at the node that hosts the agency, if that is known."""
    agency, node = problem.more.get("agency"), None
    parts = getattr(request.app.state, "parts", None)
    if parts is None or not isinstance(agency, str):
        return problem
    absent = parts.ground.keyring.why_absent(agency)
    if absent is not None:
        problem = Misdirected(absent, agency=agency)
    try:
        members = parts.ground.roster.members()
    except PyMongoError:
        return problem
    node = next((member.node for member in members if member.agency == agency), None)
    if not node or node == parts.ground.settings.url:
        # Not heard yet, or never to be heard again by the link: what the hub answered when it was asked.
        node = (parts.ground.keyring.gone_to(agency) or {}).get("node")
    if not node:
        return problem
    url = request.url
    address = node.rstrip("/") + url.path + (f"?{url.query}" if url.query else "")
    detail = f"{agency} is hosted by the node at {node}: send this to {address}"
    return Misdirected(detail, agency=agency, node=node, address=address)
