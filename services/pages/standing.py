"""How the node stands, for whoever looks after it: what is wrong and what to do first, then other nodes, agencies,
redactions, and what was refused. For the node's operator and agencies' admins; the API decides what each may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.node import Refusal, if_there, together
from services.pages.show import Show
from services.pages.visitor import Visiting, Visitor

router = APIRouter(include_in_schema=False)

ADMIN = "admin"
REDACTIONS = 20
REFUSED = 60
LEDGERS = 120
"""Rows of one table; with more a page would grow beyond what a slow link carries."""

Record = Mapping[str, Any]


def only_for_admins(visitor: Visitor) -> None:
    """Raises Refusal, as the API would for what only admins may read."""
    if not visitor.person.has(ADMIN):
        raise Refusal(403, {"detail": "This page is for admins of an agency and the node's operator."})


@router.get("/node")
async def node_stands(visitor: Visiting) -> Response:
    only_for_admins(visitor)
    stands, redactions = await together(
        visitor.node.get("/mesh/v1/status"),
        if_there(visitor.node.items("/mesh/v1/redactions", REDACTIONS), []),
    )
    told = [said(visitor.show, one) for one in _records(stands.get("alerts"))]
    trouble = stands.get("trouble") or {}
    return visitor.page(
        "node.html",
        stands=stands,
        wrong=[one for one in told if one[0] == "wrong"],
        odd=[one for one in told if one[0] != "wrong"],
        peers=_records(stands.get("peers")),
        agencies=_records(stands.get("by_agency")),
        trouble=[(kind, count) for kind, count in trouble.items() if count],
        redactions=[(one, lacking(one)) for one in redactions],
    )


@router.get("/node/refused")
async def refused(visitor: Visiting) -> Response:
    only_for_admins(visitor)
    entries = await visitor.node.items("/mesh/v1/quarantine", REFUSED + 1)
    return visitor.page("node_refused.html", entries=entries[:REFUSED], more=len(entries) > REFUSED)


@router.get("/node/agencies/{agency}")
async def agency_stands(visitor: Visiting, agency: str) -> Response:
    only_for_admins(visitor)
    stands = await visitor.node.get("/mesh/v1/status")
    known = next((one for one in _records(stands.get("by_agency")) if one.get("agency") == agency), None)
    if known is None:
        raise Refusal(404, {"detail": f"The roster names no agency {agency}."})
    ledgers = [one for one in _records(stands.get("ledgers")) if str(one.get("ledger")).split(".", 1)[0] == agency]
    return visitor.page(
        "node_agency.html", agency=known, ledgers=ledgers[:LEDGERS], left_out=max(0, len(ledgers) - LEDGERS)
    )


def said(show: Show, alert: Record) -> tuple[str, str, str, str | None]:
    """Level, what is so, what to do, and the language of both where it is not the reader's."""
    code, about = alert.get("code"), dict(alert.get("about") or {})
    what, do = f"alert.{code}.what", f"alert.{code}.do"
    level = str(alert.get("level"))
    phrases = show.words.phrases
    if what not in phrases or do not in phrases:  # of a newer node
        return level, str(alert.get("detail")), str(alert.get("remedy")), "en"
    values = dict(about)
    for name, write in (("since", show.moment), ("day", show.day), ("agency", show.agency)):
        if name in about:
            values[name] = write(about[name])
    try:
        return level, phrases[what].format_map(values), phrases[do].format_map(values), None
    except KeyError:  # a newer node tells it with other values
        return level, str(alert.get("detail")), str(alert.get("remedy")), "en"


def lacking(redaction: Record) -> list[Record]:
    """Nodes that have not confirmed it."""
    return [node for node in _records(redaction.get("nodes")) if not node.get("confirmed_at")]


def _records(value: Any) -> Sequence[Record]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
