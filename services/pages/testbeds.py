"""The page of a testbed, and the one thing that any member can do at once: suspend its part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.answering import LONGEST, LONGEST_KEY, Fault
from services.pages.node import Refusal, if_there
from services.pages.proposals import EVERYDAY, Seen
from services.pages.visitor import Person, Visiting, Visitor
from services.pages.work import pilots_of
from shared.vocabulary.tables import LANGUAGES

router = APIRouter(include_in_schema=False)

OVER = ("dissolved", "closed")


def member_in(testbed: Mapping[str, Any], agency: str) -> Mapping[str, Any] | None:
    return next((one for one in testbed.get("members") or () if one.get("agency") == agency), None)


def may_suspend(testbed: Mapping[str, Any], person: Person) -> bool:
    own = member_in(testbed, person.agency)
    over = testbed.get("status") in OVER or (own or {}).get("suspended") or (own or {}).get("status") == "withdrawn"
    return own is not None and not over and person.has(*EVERYDAY)


@router.get("/testbeds/{testbed_id}")
async def one_testbed(visitor: Visiting, testbed_id: UUID, said: str = "") -> Response:
    person = visitor.person
    testbed = await visitor.node.get(f"/matching/v1/testbeds/{testbed_id}", **visitor.owner)
    lead = str(testbed.get("lead"))
    pilots = await pilots_of(visitor.node, [(lead, one) for one in testbed.get("pilots") or ()])
    proposal: Mapping[str, Any] = {}
    if testbed.get("proposal"):
        proposal = await if_there(visitor.node.get(f"/matching/v1/proposals/{testbed['proposal']}", agency=lead), {})
    about = next(iter(pilots.values()), {})
    return visitor.page(
        "testbed.html",
        testbed=testbed,
        pilots=[pilots.get((lead, str(one)), {"id": one}) for one in testbed.get("pilots") or ()],
        seen=Seen(proposal, about, None),
        may_suspend=may_suspend(testbed, person),
        said=said == "suspend",
    )


@router.get("/testbeds/{testbed_id}/suspend")
async def prepare(visitor: Visiting, testbed_id: UUID) -> Response:
    """Where the link leads; it suspends nothing."""
    assert visitor.person is not None
    testbed = await visitor.node.get(f"/matching/v1/testbeds/{testbed_id}", **visitor.owner)
    return _form(visitor, testbed, {}, [])


@router.post("/testbeds/{testbed_id}/suspend")
async def suspend(visitor: Visiting, testbed_id: UUID) -> Response:
    """First shows what would be said, then, confirmed, says it."""
    fields = await visitor.form()
    testbed = await visitor.node.get(f"/matching/v1/testbeds/{testbed_id}", **visitor.owner)
    words = fields.get("reason", "")
    tongue = fields.get("tongue", "")
    written = {"words": words, "tongue": tongue if tongue in LANGUAGES else visitor.words.language}
    faults: list[Fault] = []
    if not words:
        faults.append(("reason", visitor.words("suspend.missing"), ""))
    if len(words) > LONGEST:
        faults.append(("reason", visitor.words("answer.too_long", most=LONGEST), ""))
    if faults or not fields.get("confirmed"):
        return _form(visitor, testbed, written, faults, review=not faults and not fields.get("change"))
    key = fields.get("key", "")[:LONGEST_KEY]
    body = {"agency": visitor.person.agency, "reason": {written["tongue"]: words}}
    try:
        await visitor.node.post(visitor.at(f"/matching/v1/testbeds/{testbed_id}/suspensions"), body, key)
    except Refusal as refusal:
        if refusal.status != 422:
            raise
        said = [("reason", str(fault.get("detail")), "en") for fault in refusal.faults]
        return _form(visitor, testbed, written, said or [("reason", refusal.detail, "en")])
    return visitor.go(visitor.at(f"/testbeds/{testbed_id}", said="suspend"))


def _form(
    visitor: Visitor, testbed: Mapping[str, Any], written: Mapping[str, str], faults: list[Fault], review: bool = False
) -> Response:
    return visitor.page(
        "suspend.html",
        422 if faults else 200,
        testbed=testbed,
        written=written,
        faults=faults,
        review=review,
        key=uuid4(),
        tongues=LANGUAGES,
    )
