"""Saying something about a proposal, in three steps: what (a link), with what words, and the second click.

No link and no review says anything; only the confirmed form does, bound to the proposal's hash as it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.pages.next_steps import member_of
from services.pages.node import Refusal
from services.pages.proposals import Seen, seen_by
from services.pages.visitor import Visiting, Visitor
from shared.vocabulary.tables import LANGUAGES

router = APIRouter(include_in_schema=False)

REASONS = ("no_capacity", "not_our_mandate", "timing", "risk", "other")
LONGEST = 2000
LONGEST_KEY = 64

Fault = tuple[str, str, str]
"""Field, words, and the language of the words where it is not the page's."""


@dataclass(frozen=True, slots=True)
class Act:
    """`words` is the name of its free text, `needed` whether it must be filled; `decision` what the API calls it."""

    words: str = ""
    needed: bool = False
    decision: str = ""
    grave: bool = False

    @property
    def asks_first(self) -> bool:
        return bool(self.words)


ACTS: Mapping[str, Act] = {
    "accept": Act(decision="accept"),
    "agree": Act(decision="accept"),
    "conditions": Act("conditions", True, "accept_with_conditions"),
    "decline": Act("words", False, "decline", grave=True),
    "interest": Act("words", False, "interest"),
    "withdraw": Act("words", False, "withdraw", grave=True),
    "ask": Act("question", True),
    "reply": Act("answer", True),
    "release": Act(),
    "form": Act(),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What is about to be said. `key` is the confirmation's own, so that two clicks on it are one command."""

    act: str
    words: str = ""
    tongue: str = "en"
    reason: str = ""
    units: Mapping[str, float] | None = None
    question: str = ""
    proposal_hash: str = ""
    key: str = ""

    @property
    def text(self) -> dict[str, str]:
        return {self.tongue: self.words}


@router.get("/proposals/{proposal_id}/{act}")
async def prepare(visitor: Visiting, proposal_id: UUID, act: str, seen: str = "", question: str = "") -> Response:
    """Where a link leads: to the words, or to the confirmation. It says nothing yet."""
    _known(act)
    assert visitor.person is not None
    shown = await seen_by(visitor, proposal_id)
    statement = Statement(
        act,
        tongue=visitor.words.language,
        question=question,
        proposal_hash=str(seen or shown.proposal.get("hash") or ""),
    )
    if ACTS[act].asks_first:
        return _ask(visitor, shown, statement, [])
    return _confirm(visitor, shown, statement)


@router.post("/proposals/{proposal_id}/{act}")
async def say(visitor: Visiting, proposal_id: UUID, act: str) -> Response:
    _known(act)
    fields = await visitor.form()
    shown = await seen_by(visitor, proposal_id)
    statement, faults = read_statement(visitor, shown, act, fields)
    if faults or fields.get("change"):
        return _ask(visitor, shown, statement, faults, 422 if faults else 200)
    if not fields.get("confirmed"):
        return _confirm(visitor, shown, statement)
    try:
        await _send(visitor, shown, statement)
    except Refusal as refusal:
        if refusal.status == 401:
            raise
        return await _refused(visitor, proposal_id, statement, refusal)
    return visitor.go(visitor.at(f"/proposals/{proposal_id}", said=act))


def read_statement(visitor: Visitor, shown: Seen, act: str, fields: Mapping[str, str]) -> tuple[Statement, list[Fault]]:
    t, faults = visitor.words, []
    name = ACTS[act].words
    words = fields.get(name, "") if name else ""
    if ACTS[act].needed and not words:
        faults.append((name, t(f"answer.{act}.missing"), ""))
    if len(words) > LONGEST:
        faults.append((name, t("answer.too_long", most=LONGEST), ""))
    reason = fields.get("reason", "")
    if act == "decline" and reason not in REASONS:
        faults.append(("reason", t("answer.reason_missing"), ""))
    tongue = fields.get("tongue", "")
    units = _units(visitor, shown, fields, faults) if act == "conditions" else None
    statement = Statement(
        act,
        words,
        tongue if tongue in LANGUAGES else t.language,
        reason if reason in REASONS else "",
        units,
        fields.get("question_id", ""),
        fields.get("proposal_hash", ""),
        fields.get("key", "")[:LONGEST_KEY],
    )
    return statement, faults


def _units(visitor: Visitor, shown: Seen, fields: Mapping[str, str], faults: list[Fault]) -> dict[str, float]:
    """Fewer units than proposed, where the form says so."""
    units: dict[str, float] = {}
    for cover in (member_of(shown.proposal, visitor.person.agency) or {}).get("covers") or ():
        name = f"units-{cover.get('need')}"
        written = fields.get(name, "").replace(",", ".")
        try:
            offered = float(written) if written else float(cover.get("units") or 0)
        except ValueError:
            offered = -1
        most = float(cover.get("units") or 0)
        if not 0 <= offered <= most:
            faults.append((name, visitor.words("answer.units_wrong", most=visitor.show.number(most)), ""))
        elif offered != most:
            units[str(cover.get("need"))] = offered
    return units


async def _send(visitor: Visitor, shown: Seen, said: Statement) -> None:
    """One call of the API; a second click on the same form is the same command."""
    agency = visitor.person.agency

    async def send(what: str, body: Mapping[str, Any]) -> None:
        await visitor.node.post(visitor.at(f"/matching/v1/proposals/{shown.id}/{what}"), body, said.key)

    bound = {"proposal_hash": said.proposal_hash}
    if said.act == "release":
        await send("release", bound)
    elif said.act == "form":
        await send("formation", bound)
    elif said.act == "ask":
        await send("questions", {"agency": agency, **bound, "question": said.text})
    elif said.act == "reply":
        await send("answers", {"question": said.question, "answer": said.text})
    else:
        body: dict[str, Any] = {"agency": agency, "decision": ACTS[said.act].decision, **bound}
        if said.reason:
            body["reason"] = said.reason
        if said.words:
            body[ACTS[said.act].words] = said.text
        if said.units:
            body["units"] = dict(said.units)
        await send("responses", body)


def _ask(visitor: Visitor, shown: Seen, said: Statement, faults: list[Fault], status: int = 200) -> Response:
    covers = (member_of(shown.proposal, visitor.person.agency) or {}).get("covers") or ()
    return visitor.page(
        "answer.html",
        status,
        seen=shown,
        said=said,
        act=ACTS[said.act],
        faults=faults,
        reasons=REASONS,
        tongues=LANGUAGES,
        counted=[
            cover for cover in covers if visitor.show.unit(shown.needs.get(str(cover.get("need")), {}).get("code"))
        ],
        asked=_question(shown, said.question),
    )


def _confirm(visitor: Visitor, shown: Seen, said: Statement) -> Response:
    return visitor.page(
        "confirm.html",
        seen=shown,
        said=said,
        act=ACTS[said.act],
        key=uuid4(),
        outdated=said.proposal_hash != str(shown.proposal.get("hash")),
        asked=_question(shown, said.question),
    )


async def _refused(visitor: Visitor, proposal_id: UUID, said: Statement, refusal: Refusal) -> Response:
    """Nothing was recorded: says why, and where to go on. The proposal is read again, as it may have been replaced."""
    shown = await seen_by(visitor, proposal_id)
    return visitor.page("refused.html", refusal.status, seen=shown, said=said, refusal=refusal)


def _question(shown: Seen, question_id: str) -> Mapping[str, Any]:
    return next((one for one in shown.proposal.get("questions") or () if str(one.get("id")) == question_id), {})


def _known(act: str) -> None:
    if act not in ACTS:
        raise HTTPException(404)
