"""One next step for every pilot, and on whom it waits."""

from __future__ import annotations

from typing import Any

import pytest

from services.pages.next_steps import current_proposal, next_step
from services.pages.words import words_in


def pilot(life: str, **more: Any) -> dict[str, Any]:
    return {"id": "p", "lead_agency": "fao", "life": life, "needs": [{"id": "n1"}], **more}


def proposal(status: str, *invitations: tuple[str, str], **more: Any) -> dict[str, Any]:
    asked = [{"agency": agency, "status": standing} for agency, standing in invitations]
    return {"id": "q", "status": status, "invitations": asked, "deadline": "2027-01-01", "awaits": ["fao"], **more}


@pytest.mark.parametrize(
    ("record", "proposals", "code", "on"),
    [
        (pilot("draft"), [], "finish_draft", ("fao",)),
        (pilot("open", needs=[]), [], "say_need", ("fao",)),
        (pilot("open"), [], "matching", ()),
        (pilot("open"), [proposal("superseded")], "matching", ()),
        (pilot("open"), [proposal("no_partner")], "no_partner", ("fao",)),
        (pilot("open"), [proposal("draft")], "release", ("fao",)),
        (pilot("open"), [proposal("open", ("wfp", "invited"), ("wmo", "accepted"))], "answers", ("wfp",)),
        (pilot("open"), [proposal("open", ("wfp", "interest"))], "answers", ("wfp",)),
        (pilot("open"), [proposal("open", ("wfp", "waiting"))], "queued", ("wfp",)),
        (pilot("open"), [proposal("open", ("wfp", "accepted"))], "close", ("fao",)),
        (pilot("open"), [proposal("open", ("wfp", "accepted"), awaits=["x"])], "forming", ()),
        (pilot("open"), [proposal("formed")], "forming", ()),
        (pilot("forming"), [], "screen", ("fao",)),
        (pilot("forming", screening={"status": "void"}), [], "screen", ("fao",)),
        (pilot("forming", screening={"status": "passed"}), [], "learning", ("fao",)),
        (pilot("forming", screening={"status": "passed"}, learning=[{"question": {"en": "?"}}]), [], "ready", ("fao",)),
        (pilot("ready"), [], "assess", ("fao",)),
        (pilot("running"), [], "observe", ()),
        (pilot("paused"), [], "resume", ("fao",)),
        (pilot("closing"), [], "lesson", ("fao",)),
        (pilot("closed"), [], "nothing", ()),
        (pilot("a life of a newer node"), [], "nothing", ()),
    ],
)
def test_every_life_has_its_step(
    record: dict[str, Any], proposals: list[dict[str, Any]], code: str, on: tuple[str, ...]
) -> None:
    step = next_step(record, proposals)
    assert (step.code, step.on) == (code, on)
    assert step.path
    assert words_in("en")(f"step.{step.code}")


def test_the_proposal_that_counts_is_the_one_that_stands() -> None:
    older, newer = proposal("no_partner", id="a"), proposal("open", id="b")
    assert current_proposal([older, newer, proposal("superseded", id="c")]) is newer
    assert current_proposal([proposal("superseded")]) is None
