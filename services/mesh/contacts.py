"""When this node last heard of another one: from itself, where it is a peer; else by what its agencies signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.facts.fact import rfc3339
from shared.facts.names import ledger_name
from shared.ledger.identity import SUSPENDED, Member

from .status import Standing


class Contacts:
    """As of the moment in which it is made."""

    def __init__(self, standing: Standing, members: Sequence[Member]) -> None:
        self._own = standing.own_domain
        self._peers: Mapping[str, str | None] = {one["domain"]: one["last_contact"] for one in standing.peers()}
        self._suspended = {member.agency for member in members if member.status == SUSPENDED}
        self._heard: dict[str, str] = {}
        for ledger, head in standing.heads.all().items():
            agency, at = ledger_name(ledger).agency, rfc3339(head["at"])
            self._heard[agency] = max(at, self._heard.get(agency, at))

    def is_this_node(self, domain: str) -> bool:
        return domain == self._own

    def last(self, domain: str, agencies: Iterable[str]) -> str | None:
        """None where nothing was heard, and for this node itself."""
        if domain == self._own:
            return None
        known = [self._peers.get(domain), *(self._heard.get(agency) for agency in agencies)]
        return max((one for one in known if one is not None), default=None)

    def told(self, domain: str, agencies: Sequence[str]) -> dict[str, Any]:
        """`suspended`: all its agencies are, so that it has no link."""
        return {
            "last_contact": self.last(domain, agencies),
            "suspended": bool(agencies) and self._suspended.issuperset(agencies),
        }


def agencies_stand(
    ledgers: Iterable[Mapping[str, Any]], members: Sequence[Member], contacts: Contacts
) -> list[dict[str, Any]]:
    """Per agency of the roster: where it is, when it was last heard of, how far this node is behind its ledgers (or,
    for one that is hosted here, behind in publishing them), and what trouble there is with them."""
    by_agency: dict[str, list[Mapping[str, Any]]] = {}
    for one in ledgers:
        by_agency.setdefault(ledger_name(one["ledger"]).agency, []).append(one)
    told = []
    for member in sorted(members, key=lambda member: member.agency):
        own = by_agency.get(member.agency, [])
        lags = [one["lag"] for one in own if one["lag"] is not None]
        told.append(
            {
                "agency": member.agency,
                "domain": member.domain,
                "status": member.status,
                "hosted_here": any(one["hosted_here"] for one in own) or contacts.is_this_node(member.domain or ""),
                "last_contact": None if member.domain is None else contacts.last(member.domain, [member.agency]),
                "ledgers": len(own),
                "facts": sum(one["sequence"] for one in own),
                "lag": sum(lags) if lags else None,
                "trouble": sorted({one["trouble_kind"] for one in own if "trouble_kind" in one}),
            }
        )
    return told
