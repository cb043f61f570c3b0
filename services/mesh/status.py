"""How the node stands towards others: per ledger how far it is here and elsewhere, per peer the last contact, and what
trouble there is by kind. Plain values for `/mesh/v1/status`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pymongo.database import Database

from shared.facts.fact import rfc3339
from shared.facts.names import LedgerName, ledger_name
from shared.facts.verify import Head
from shared.ledger.keyring import Keyring
from shared.ledger.quarantine import CLAIMED, Quarantine
from shared.ledger.store import Document, LedgerStore
from shared.ledger.verification import NODE, last_verifications
from shared.ledger.witness import ForeignHeads

from .intake import Intake
from .relay import Relay


@dataclass(frozen=True)
class Standing:
    """What the status is made of."""

    store: LedgerStore
    keyring: Keyring
    quarantine: Quarantine
    database: Database[Document]
    heads: ForeignHeads
    relay: Relay | None
    intake: Intake | None
    own_domain: str = ""
    sees: Callable[[LedgerName], bool] = lambda _: True
    """Of which ledgers whoever asks is told."""

    def ledgers(self) -> list[dict[str, Any]]:
        """Every ledger that is held here, or of which another node's head is known, of those that the asker sees.

        `lag`: facts that are not published yet (a hosted agency's), or that are known of and not here (another's);
        None if nothing is known.
        """
        here, elsewhere = self.store.heads(), self._elsewhere()
        published = self.relay.positions() if self.relay is not None and self.relay.leads else {}
        self.store.tails()
        return [
            self._ledger(ledger, here.get(ledger, Head()), elsewhere.get(ledger), published.get(ledger))
            for ledger in sorted(here.keys() | elsewhere.keys())
            if self._is_seen(ledger)
        ]

    def _ledger(
        self, ledger: str, head: Head, witnessed: Mapping[str, Any] | None, published: tuple[int, int] | None
    ) -> dict[str, Any]:
        own = self.keyring.hosts(ledger_name(ledger).agency)
        lag = None
        if own:
            lag = None if published is None else _behind(published, head.position)
        elif witnessed is not None:
            lag = _behind(head.position, (witnessed["epoch"], witnessed["sequence"]))
        told: dict[str, Any] = {
            "ledger": ledger,
            "hosted_here": own,
            "epoch": head.epoch,
            "sequence": head.sequence,
            "hash": head.hash,
            "published": None if published is None else published[1],
            "lag": lag,
            "witnessed": None
            if witnessed is None
            else {
                "epoch": witnessed["epoch"],
                "sequence": witnessed["sequence"],
                "hash": witnessed["hash"],
                "told_by": witnessed["told_by"],
                "at": rfc3339(witnessed["at"]),
            },
        }
        told["verified"] = self._verified_of(ledger)
        trouble = self._trouble_of(ledger, own, head, witnessed)
        return told if trouble is None else {**told, "trouble": trouble[1], "trouble_kind": trouble[0]}

    def _is_seen(self, ledger: str) -> bool:
        return self.sees(ledger_name(ledger))

    def _verified_of(self, ledger: str) -> dict[str, Any] | None:
        """When the ledger was last walked and how far; None if it never was."""
        found = self._verified.get(ledger)
        if found is None:
            return None
        walked = {name: found[name] for name in ("proven", "epoch", "sequence", "fault")}
        return {"at": rfc3339(found["at"]), **walked}

    def _trouble_of(
        self, ledger: str, own: bool, head: Head, witnessed: Mapping[str, Any] | None
    ) -> tuple[str, str] | None:
        """Of which kind, and what it is in a sentence."""
        if ledger in self.store.frozen:
            epoch, sequence = self.store.frozen[ledger]
            return "frozen", f"frozen at {epoch}:{sequence}: two facts claim one place after it"
        if own and witnessed is not None and (witnessed["epoch"], witnessed["sequence"]) > head.position:
            return "own_behind", "other nodes hold more of this node's own ledger than it does: restart it, then verify"
        for attention in self.intake.attentions if self.intake is not None else ():
            if ledger in attention.withheld:
                return "withheld", attention.withheld[ledger]
        return None

    def _elsewhere(self) -> dict[str, dict[str, Any]]:
        return {ledger: head for ledger, head in self.heads.all().items() if not ledger_name(ledger).is_private}

    def peers(self) -> list[dict[str, Any]]:
        """Per peer: when it was last reached, by which streams, and what stands in the way."""
        if self.intake is None:
            return []
        told = []
        for attention in self.intake.attentions:
            outlets = [one for one in self.intake.outlets if one.peer.domain == attention.peer.domain]
            contacts = [attention.last_contact, *(one.last_contact for one in outlets)]
            troubles = [attention.trouble, *(one.trouble for one in outlets)]
            last = max((one for one in contacts if one is not None), default=None)
            told.append(
                {
                    "domain": attention.peer.domain,
                    "last_contact": _time(last),
                    "trouble": next((one for one in troubles if one is not None), None),
                    "withheld": sorted(said for one, said in attention.withheld.items() if self._is_seen(one)),
                    "outlets": [
                        {
                            "stream": one.stream,
                            "fetched": one.fetched,
                            "pending": one.pending,
                            "last_contact": _time(one.last_contact),
                            "trouble": one.trouble,
                        }
                        for one in outlets
                    ],
                }
            )
        return told

    def trouble(self) -> dict[str, int]:
        """How much of each kind: refused as not authentic (times), unknown keys and gaps that facts wait for just now,
        frozen ledgers, facts that this node cannot read, facts that were given up, ids that several agencies use."""
        kinds = self.quarantine.kinds()
        waiting = self.intake.accepting.waiting.counts() if self.intake is not None else {}
        return {
            "not_authentic": kinds.get("not_authentic", 0),
            "waiting_for_keys": sum(waiting.get(code, 0) for code in ("agency", "key", "key_range")),
            "waiting_for_facts": sum(waiting.get(code, 0) for code in ("gap", "blank", "fork")),
            "frozen": len(self.store.frozen),
            "not_foldable": kinds.get("not_foldable", 0),
            "given_up": self.store.database["given_up"].estimated_document_count(),
            "ids_claimed_by_several": kinds.get(CLAIMED, 0),
        }

    def intake_told(self) -> dict[str, Any] | None:
        if self.intake is None:
            return None
        return {
            "leads": self.intake.leads,
            "trouble": self.intake.trouble,
            "paused": self.intake.accepting.paused(),
            "over_quota": dict(self.intake.accepting.quotas.all_over()) if self.intake.accepting.quotas else {},
        }

    def verified(self) -> dict[str, Any] | None:
        """When the ledgers were last proven here, and whether they were."""
        found = self._verified.get(NODE)
        return None if found is None else {"at": rfc3339(found["at"]), "proven": found["proven"]}

    @cached_property
    def _verified(self) -> dict[str, Document]:
        return last_verifications(self.store)


def _behind(here: tuple[int, int], there: tuple[int, int]) -> int:
    """Facts between two places; across epochs only those of the later one can be counted."""
    if there <= here:
        return 0
    return there[1] - (here[1] if here[0] == there[0] else 0)


def _time(at: float | None) -> str | None:
    return None if at is None else rfc3339(datetime.fromtimestamp(at, UTC))
