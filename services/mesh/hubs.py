"""Moving to another hub: a node that takes links shows its card and its roster; a member checks both before it goes.

What is shown of the roster proves its chain and tells nothing of its content: headers and signatures, no states.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.bus.asking import wire_object
from shared.bus.peers import takes_links
from shared.facts.fact import Fact, Unreadable, from_wire, to_bytes
from shared.facts.keys import signature_is_valid
from shared.facts.names import ANCHOR
from shared.facts.verify import REKEYED, Head, Trouble, announcements_of, check
from shared.ledger.identity import ACTIVE, ROSTER_LEDGER, Identity, Roster
from shared.ledger.keyring import ANCHOR_PUBLIC, Keyring, replace_secret
from shared.ledger.signing import public_named_by, signer
from shared.ledger.store import LedgerStore
from shared.problems import Conflict, Fault, Invalid
from shared.settings import Settings

from .cards import HubCard, read_card
from .joining import hub_end

MOST_SHOWN = 50
"""Facts of the roster in one answer."""
CARD = "card.json"
"""In `<home>/nats/`: the card that the anchor signed, for when its key is not on the node."""


@dataclass(frozen=True)
class Hubs:
    """Both sides of it, for one node."""

    settings: Settings
    store: LedgerStore
    identity: Identity
    roster: Roster
    keyring: Keyring

    # -- the node that takes links ---------------------------------------------------------------------------

    def shown(self, epoch: int, sequence: int) -> dict[str, Any]:
        """Card, head of the roster, and its facts from this place on. Raises Conflict if this node is no hub."""
        card = self.card()
        facts = self.store.after(ROSTER_LEDGER, (epoch, sequence - 1), MOST_SHOWN)
        head = self.store.head(ROSTER_LEDGER)
        return {
            "card": card.as_json(),
            "head": {"epoch": head.epoch, "sequence": head.sequence, "hash": head.hash},
            "roster": [_without_content(fact) for fact in facts],
            "more": len(facts) == MOST_SHOWN,
        }

    def card(self) -> HubCard:
        """This node's, signed. Raises Conflict."""
        end = hub_end(self.settings.home)
        if end is None:
            raise Conflict("This node takes no links: it is no hub (`hub init`) and no standby (`hub init --standby`).")
        agency = self._vouching()
        if agency is None and not self.keyring.hosts(ANCHOR):
            return self._kept(end)
        who = agency or ANCHOR
        ledger = announcements_of(who)
        key = signer(self.store, self.keyring, ledger, self.store.head(ledger))
        return self._unsigned(end, who).signed(key)

    def step(self) -> bool:
        """Keeps the card that only the anchor can sign, while its key is here; and else, by which key the roster goes
        on: no other may be put back."""
        home = self.settings.home
        if not takes_links(home):
            return False
        if not self.keyring.hosts(ANCHOR):
            named = public_named_by(self.store.rekeyings(ROSTER_LEDGER)) or self.identity.anchor
            _keep(home / "keys" / ANCHOR_PUBLIC, named.hex())
        elif self._vouching() is None:
            _keep(home / "nats" / CARD, json.dumps(self.card().as_json(), indent=2) + "\n")
        return False

    def _kept(self, end: Mapping[str, Any]) -> HubCard:
        """The card that the anchor signed before its key was taken out."""
        kept = _read(self.settings.home / "nats" / CARD)
        if kept is None or not kept.says_the_same(self._unsigned(end, ANCHOR)):
            raise Conflict(
                "This node hosts no agency that could sign its card, and the anchor has not signed it as it is now. "
                "Put the anchor's key back for a moment: `pilotmesh hub anchor put-back FILE`."
            )
        return kept

    def _unsigned(self, end: Mapping[str, Any], who: str) -> HubCard:
        return HubCard(
            self.identity.mesh,
            self.identity.anchor,
            self.settings.nats_domain,
            self.settings.url,
            tuple(end["leaf"]),
            end["authority"],
            None if self.identity.hub is None else self.identity.hub.domain,
            who,
        )

    def _vouching(self) -> str | None:
        """An agency hosted here that the roster places here."""
        placed = {
            one.agency
            for one in self.roster.members()
            if one.domain == self.settings.nats_domain and one.status == ACTIVE
        }
        for agency in self.keyring.hosted():
            if agency in placed:
                return agency
        return None

    # -- the member ------------------------------------------------------------------------------------------

    def check(self, told: Mapping[str, Any], *, even_if_behind: bool = False) -> HubCard:
        """The card in what a hub has shown, if this node may go there.

        It is of the same mesh, under the same anchor; an agency on that node, or the anchor, signed the card; its
        roster holds all that this node's does, or, `even_if_behind`, a part of it. Raises Conflict, Invalid.
        """
        card = read_card(told.get("card"))
        self._may_go()
        self._check_card(card)
        self._check_roster(card, told, even_if_behind)
        return card

    def _may_go(self) -> None:
        domain = self.settings.nats_domain
        if self.keyring.hosts(ANCHOR):
            raise Conflict(
                "The anchor's key is on this node; a member has none. Move it out first (`pilotmesh hub anchor "
                "take-out FILE`), and put it where the roster is to be changed from now on."
            )
        if not any(one.domain == domain and one.leaf and one.status == ACTIVE for one in self.roster.members()):
            raise Conflict(
                f"The roster names no agency that links from {domain}, so no hub would let this node in. A first hub "
                "goes on as one (members rehome to it), or its agencies join from a fresh home with invites."
            )

    def _check_card(self, card: HubCard) -> None:
        mine = self.identity
        if card.mesh != mine.mesh:
            raise Conflict(f"That is a hub of another mesh: expected {mine.mesh}, found {card.mesh}.")
        if card.anchor != mine.anchor:
            raise Conflict(
                f"That hub follows another anchor: expected {mine.anchor.hex()}, found {card.anchor.hex()}. Ask the "
                "secretariat."
            )
        own = self.settings.nats_domain
        if card.domain == own:
            raise Conflict(f"{own} is this node itself.")
        if card.member_of == own:
            raise Conflict(
                f"{card.domain} is a member of this node, and two nodes cannot be each other's hub. If {card.domain} "
                "is to be the first hub from now on, run `pilotmesh hub take-over` there before."
            )
        if card.signer != ANCHOR and not any(
            (one.agency, one.domain, one.status) == (card.signer, card.domain, ACTIVE) for one in self.roster.members()
        ):
            raise Conflict(
                f"The card is signed by {card.signer} for {card.domain}: expected an active agency that the roster "
                f"places on {card.domain}, or the anchor."
            )
        ledger = announcements_of(card.signer)
        head, book = self.store.head(ledger), self.roster.book()
        following = (head.epoch, head.sequence + 1)
        held = book.find(card.signer, card.keyid, ledger, following)
        if held is None or not signature_is_valid(held.public, card.statement(), card.signature):
            raise Conflict(
                f"The card is not signed under a key of {card.signer} that holds now (found {card.keyid}). It was "
                "altered, or it is an old one: ask for it anew."
            )

    def _check_roster(self, card: HubCard, told: Mapping[str, Any], even_if_behind: bool) -> None:
        mine = self.store.head(ROSTER_LEDGER)
        facts = [_read_fact(one, number) for number, one in enumerate(_listed(told.get("roster")))]
        if not facts:
            self._behind(card, mine, _head(told.get("head")), even_if_behind)
            return
        first = facts[0]
        if (first.header.position, first.hash) != (mine.position, mine.hash):
            raise _another(card, mine, Head(*first.header.position, first.hash))
        head, book = mine, self.roster.book()
        try:
            for fact in facts[1:]:
                head = check(fact, mesh=self.identity.mesh, head=head, book=book)
        except Trouble as trouble:
            raise Conflict(f"The roster of {card.domain} does not follow from this node's: {trouble.detail}.") from None

    def _behind(self, card: HubCard, mine: Head, its: Head, even_if_behind: bool) -> None:
        """Its roster ends before this node's does: still the same one?"""
        held = self.store.at(ROSTER_LEDGER, its.epoch, its.sequence) if its.sequence else None
        if its.sequence and (held is None or held.hash != its.hash):
            raise _another(card, mine, its)
        if not even_if_behind:
            raise Conflict(
                f"The roster of {card.domain} is older than this node's: expected {mine.epoch}:{mine.sequence} or "
                f"later, found {its.epoch}:{its.sequence}. If it cannot have the newer one from elsewhere, one member "
                "brings it: `pilotmesh node rehome … --even-if-behind`; the others follow when it is level."
            )


def _another(card: HubCard, mine: Head, its: Head) -> Conflict:
    return Conflict(
        f"{card.domain} follows another roster than this node: expected {mine.epoch}:{mine.sequence} with hash "
        f"{mine.hash}, found {its.epoch}:{its.sequence} with hash {its.hash}. Ask the secretariat which is right."
    )


def _without_content(fact: Fact) -> dict[str, Any]:
    told = wire_object(fact)
    if fact.header.type != REKEYED:  # what it says is a public key, which the facts after it need
        told |= {"payload": None, "salt": None}
    return told


def _read_fact(told: object, number: int) -> Fact:
    try:
        return from_wire(to_bytes(told))
    except (Unreadable, ValueError, TypeError) as error:
        raise Invalid([Fault(f"roster[{number}]", "fact", f"no fact: {error}")]) from error


def _head(told: object) -> Head:
    try:
        there: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
        return Head(int(there["epoch"]), int(there["sequence"]), str(there["hash"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid([Fault("head", "head", "epoch, sequence and hash of the roster's newest fact")]) from error


def _keep(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        replace_secret(path, text)


def _listed(told: object) -> Sequence[object]:
    if not isinstance(told, list):
        raise Invalid([Fault("roster", "list", "facts of the roster, as the hub shows them")])
    return told


def _read(path: Path) -> HubCard | None:
    try:
        return read_card(json.loads(path.read_text()))
    except (OSError, ValueError, Invalid):
        return None
