"""What is wrong with the node, or worth knowing, and what to do: drawn from its status. Pure.

Each alert has a code that stays, so that pages can say it in the reader's language; `detail` and `remedy` say it in
English. `wrong` does harm now, `odd` is worth knowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.facts.fact import rfc3339
from shared.ledger.store import LedgerStore

from .confirming import Redacted

Stands = Mapping[str, Any]
Alert = dict[str, Any]

SILENT = timedelta(minutes=10)
"""So long may a peer be away before that is worth a word."""
PROOF = timedelta(days=30)
"""After this long ledgers want proving again."""
BEFORE_EXPIRY = timedelta(days=30)

WRONG, ODD = "wrong", "odd"

TEXTS: Mapping[str, tuple[str, str, str]] = {
    "frozen": (
        WRONG,
        "{ledger} is frozen: two facts claim one place in it. It is read, not written.",
        "Its agency reopens it: `pilotmesh ledger reopen {ledger} --recovery-key FILE --reason …`.",
    ),
    "own_behind": (
        WRONG,
        "Other nodes hold more of {ledger} than this node, which writes it: its disk was put back.",
        "Restart the node, which takes its own facts back; then `pilotmesh verify`.",
    ),
    "not_proven": (
        WRONG,
        "The last walk over the ledgers did not prove them.",
        "`pilotmesh verify` says what is wrong.",
    ),
    "relay": (
        WRONG,
        "What is recorded here is not published: {why}.",
        "Nothing is lost. Look whether NATS runs and has room (`pilotmesh doctor`).",
    ),
    "intake": (WRONG, "Facts of other nodes are not taken in: {why}.", "See `pilotmesh doctor` and logs/node.log."),
    "fold_waits": (WRONG, "{ledger} is not folded on: {why}.", "`pilotmesh verify`; a gap is filled by itself."),
    "withheld": (
        WRONG,
        "{ledger}: its owner has signed more than {peer} hands out.",
        "Ask whoever runs {peer}; if it stays so, ask the agency itself.",
    ),
    "roster_expired": (
        WRONG,
        "The roster expired on {day}: nobody new is admitted, known keys go on.",
        "The secretariat extends it: `pilotmesh hub expires DATE`.",
    ),
    "roster_expires": (
        ODD,
        "The roster expires on {day}.",
        "The secretariat extends it: `pilotmesh hub expires DATE`.",
    ),
    "silent": (
        ODD,
        "Node {domain} was last reached {since}.",
        "Work goes on here, and is caught up with by itself. If it stays so: `pilotmesh doctor`, then call its people.",
    ),
    "never_reached": (
        ODD,
        "Node {domain} was never reached since this node started.",
        "`pilotmesh doctor` looks for what stands in the way; then call its people.",
    ),
    "refused": (
        ODD,
        "{count} things that came from other nodes were refused: not authentic, or no right to say it.",
        "See what was refused, from whom, and what to do about each.",
    ),
    "waiting_for_keys": (
        ODD,
        "{count} facts wait for a key or an agency that the roster does not name yet.",
        "They are looked at again when the roster moves; if it stays so, ask the secretariat.",
    ),
    "waiting_for_facts": (
        ODD,
        "{count} facts wait for others that come before them.",
        "Those are asked for by themselves; if it stays so, ask whoever runs the peer.",
    ),
    "not_foldable": (ODD, "{count} facts are newer than this node can read.", "Update the node; the facts are kept."),
    "given_up": (
        ODD,
        "{count} facts were given up, because a key was revoked or a ledger had two histories.",
        "If they were of your agency, enter again what is missing.",
    ),
    "paused": (ODD, "Nothing of {agency} is taken in: an operator paused it.", "`DELETE /mesh/v1/pauses/{agency}`."),
    "never_proven": (ODD, "The ledgers were never proven here.", "`pilotmesh verify` walks all of them."),
    "proven_long_ago": (ODD, "The ledgers were last proven {since}.", "`pilotmesh verify` walks all of them."),
    "unconfirmed": (
        ODD,
        "{count} redactions are not confirmed by every node; the oldest is of {since}.",
        "Nodes that were away confirm when they are back. Ask their people if it lasts.",
    ),
}
"""By code: level, what is so, what to do."""


def alerts(stands: Stands, now: datetime) -> list[Alert]:
    """The worst first."""
    found = [*_of_ledgers(stands), *_of_node(stands), *_of_peers(stands, now), *_of_time(stands, now), *_counts(stands)]
    return sorted(found, key=lambda one: one["level"] != WRONG)


def _alert(code: str, **about: Any) -> Alert:
    level, detail, remedy = TEXTS[code]
    told = {"code": code, "level": level, "about": about}
    return {**told, "detail": detail.format(**about), "remedy": remedy.format(**about)}


def _of_ledgers(stands: Stands) -> Iterable[Alert]:
    peers = {said.split(" ", 1)[0]: peer["domain"] for peer in stands["peers"] for said in peer["withheld"]}
    for one in stands["ledgers"]:
        kind = one.get("trouble_kind")
        if kind is not None:
            yield _alert(kind, ledger=one["ledger"], peer=peers.get(one["ledger"], "its peer"))
    for ledger, why in stands["waiting"].items():
        yield _alert("fold_waits", ledger=ledger, why=why)


def _of_node(stands: Stands) -> Iterable[Alert]:
    if stands["relay"]["trouble"]:
        yield _alert("relay", why=stands["relay"]["trouble"])
    intake = stands["intake"] or {}
    if intake.get("trouble"):
        yield _alert("intake", why=intake["trouble"])
    for agency in intake.get("paused", ()):
        yield _alert("paused", agency=agency)


def _of_peers(stands: Stands, now: datetime) -> Iterable[Alert]:
    for peer in stands["peers"]:
        last = peer["last_contact"]
        if last is None:
            yield _alert("never_reached", domain=peer["domain"])
        elif now - _time(last) > SILENT:
            yield _alert("silent", domain=peer["domain"], since=last)


def _of_time(stands: Stands, now: datetime) -> Iterable[Alert]:
    roster, verified = stands["roster"], stands["verified"]
    if roster["expired"]:
        yield _alert("roster_expired", day=roster["expires_on"])
    elif roster["expires_on"] and date.fromisoformat(roster["expires_on"]) - now.date() <= BEFORE_EXPIRY:
        yield _alert("roster_expires", day=roster["expires_on"])
    if verified is None:
        yield _alert("never_proven")
    elif not verified["proven"]:
        yield _alert("not_proven")
    elif now - _time(verified["at"]) > PROOF:
        yield _alert("proven_long_ago", since=verified["at"])


def _counts(stands: Stands) -> Iterable[Alert]:
    trouble = stands["trouble"]
    if trouble["not_authentic"]:
        yield _alert("refused", count=trouble["not_authentic"])
    for kind in ("waiting_for_keys", "waiting_for_facts", "not_foldable", "given_up"):
        if trouble[kind]:
            yield _alert(kind, count=trouble[kind])
    if stands["redactions"]["unconfirmed"]:
        redactions = stands["redactions"]
        yield _alert("unconfirmed", count=redactions["unconfirmed"], since=redactions["oldest"])


def _time(told: str) -> datetime:
    at = datetime.fromisoformat(told)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def unconfirmed(
    open_: Sequence[Redacted], confirmed: Callable[[Redacted], Mapping[str, Any]], store: LedgerStore
) -> dict[str, Any]:
    """How many redactions somebody has not confirmed, and when the oldest of them was recorded."""
    lacking = [one for one in open_ if one.expected.keys() - confirmed(one).keys()]
    facts = [store.by_hash(one.hash) for one in lacking]
    oldest = min((fact.header.time for fact in facts if fact is not None), default=None)
    return {"unconfirmed": len(lacking), "oldest": None if oldest is None else rfc3339(oldest)}
