"""The page of a proposal: why these agencies, what is not covered, who has answered, what the visitor may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.next_steps import invitation_of, member_of
from services.pages.node import if_there
from services.pages.show import Show
from services.pages.visitor import Person, Visiting, Visitor

router = APIRouter(include_in_schema=False)

Record = Mapping[str, Any]

CONFIDENCES = ("confirmed", "likely", "to_be_asked")
ANSWERABLE = ("invited", "interest")
GIVEN = ("accepted", "conditional")


@dataclass(frozen=True, slots=True)
class Seen:
    """A proposal with the pilot it is about, as far as the visitor may see that."""

    proposal: Record
    pilot: Record
    etag: str | None

    @property
    def id(self) -> str:
        return str(self.proposal.get("id"))

    @property
    def lead(self) -> str:
        return str(self.proposal.get("lead") or self.pilot.get("lead_agency") or self.proposal.get("agency"))

    @property
    def needs(self) -> dict[str, Record]:
        """The pilot's needs as they were when this was proposed, else as they are."""
        needs = self.proposal.get("needs") or self.pilot.get("needs") or ()
        return {str(need.get("id")): need for need in needs if isinstance(need, dict)}

    @property
    def title(self) -> Any:
        return self.pilot.get("title") or self.proposal.get("title")

    @property
    def countries(self) -> list[Any]:
        return list(self.pilot.get("countries") or self.proposal.get("countries") or ())

    @property
    def dates(self) -> tuple[Any, Any]:
        held = self.pilot if self.pilot.get("starts_on") else self.proposal
        return held.get("starts_on"), held.get("ends_on")

    def need_name(self, show: Show, need_id: Any) -> str:
        """What a need of the pilot is called; its id where the pilot's record is closed to the visitor."""
        need = self.needs.get(str(need_id))
        if need is None:
            return str(need_id)
        name = show.plain(need.get("words")) if need.get("code") == "other" else show.code(need.get("code"))
        return f"{name} ({show.place(need['country'])})" if need.get("country") else name

    def brings(self, show: Show, agency: str) -> str:
        covers = (member_of(self.proposal, agency) or {}).get("covers") or ()
        return show.listed(self.need_name(show, cover.get("need")) for cover in covers) if covers else ""


async def seen_by(visitor: Visitor, proposal_id: UUID) -> Seen:
    """Raises `Refusal` (404) where there is no such proposal, or none that the visitor may see."""
    proposal, etag = await visitor.node.read(f"/matching/v1/proposals/{proposal_id}", **visitor.owner)
    pilot: Record = await if_there(
        visitor.node.get(f"/registry/v1/pilots/{proposal.get('pilot')}", agency=str(proposal.get("lead"))), {}
    )
    return Seen(proposal, pilot, etag)


def sentences(show: Show, proposal: Record) -> tuple[list[str], str]:
    """The explanation in the visitor's language, or in the one it was written in, and which that is."""
    told = proposal.get("sentences") or proposal.get("explanation") or {}
    if not isinstance(told, Mapping) or not told:
        return [], show.language
    language = show.language if show.language in told else next(iter(told))
    said = told[language]
    return ([said] if isinstance(said, str) else [str(one) for one in said]), str(language)


EVERYDAY = ("officer", "coordinator", "approver")


def acts_open_to(seen: Seen, person: Person) -> list[str]:
    """What this person's buttons are. The API decides whether it is so; this leaves out what it would refuse."""
    proposal, own = seen.proposal, invitation_of(seen.proposal, person.agency) or {}
    is_open, leads = proposal.get("status") == "open", seen.lead == person.agency
    asked = is_open and own.get("status") in ANSWERABLE
    open_to = {
        "accept": asked and person.has("approver"),
        "conditions": asked and person.has("approver"),
        "decline": asked and person.has("approver", "coordinator"),
        "interest": is_open and own.get("status") == "invited" and person.has(*EVERYDAY),
        "withdraw": own.get("status") in GIVEN
        and proposal.get("status") in ("open", "formed")
        and person.has("approver"),
        "ask": is_open and bool(own) and person.has(*EVERYDAY),
        "agree": leads and is_open and not _said_yes(proposal, person.agency) and person.has("approver"),
        "release": leads and proposal.get("status") == "draft" and person.has("coordinator", "approver"),
        "form": leads and is_open and person.has("approver"),
    }
    return [act for act, may in open_to.items() if may]


@router.get("/proposals/{proposal_id}")
async def one_proposal(visitor: Visiting, proposal_id: UUID, said: str = "") -> Response:
    person = visitor.person
    seen = await seen_by(visitor, proposal_id)
    lines, tongue = sentences(visitor.show, seen.proposal)
    mine = invitation_of(seen.proposal, person.agency)
    return visitor.page(
        "proposal.html",
        seen=seen,
        proposal=seen.proposal,
        pilot=seen.pilot,
        lines=lines,
        tongue=tongue,
        acts=acts_open_to(seen, person),
        mine=mine,
        asked=bool(mine) and (mine or {}).get("status") in ANSWERABLE and seen.proposal.get("status") == "open",
        leads=seen.lead == person.agency,
        said=said if said in SAID else "",
        invitations={one.get("agency"): one for one in seen.proposal.get("invitations") or ()},
        questions=_questions(seen.proposal),
        may_reply=seen.lead == person.agency and person.has("officer", "coordinator", "approver"),
    )


def _said_yes(proposal: Record, agency: str) -> bool:
    response = (member_of(proposal, agency) or {}).get("response") or {}
    return response.get("decision") in ("accept", "accept_with_conditions")


SAID = ("accept", "agree", "conditions", "decline", "interest", "withdraw", "ask", "reply", "release", "form")


def _questions(proposal: Record) -> Sequence[Record]:
    return [one for one in proposal.get("questions") or () if isinstance(one, dict)]
