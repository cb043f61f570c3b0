"""The one next step of a pilot, and on whom it waits: read from the records, decided nowhere here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

STANDING = ("open", "draft", "no_partner", "formed")
"""Statuses of a proposal that still says something about its pilot, most telling first."""

ASKED = ("invited", "interest")
WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Step:
    """`code` names a phrase (`step.<code>`); `on` are the agencies that it waits for, `until` a date if one is set.

    `path` is where it is taken; empty where there is nothing to do but wait.
    """

    code: str
    on: tuple[str, ...] = ()
    until: str = ""
    path: str = ""
    values: tuple[tuple[str, Any], ...] = ()

    @property
    def waits(self) -> bool:
        return bool(self.on)


def current_proposal(proposals: Iterable[Record]) -> Record | None:
    """The proposal that counts for a pilot now; of several, the one of the latest round."""
    standing = [one for one in proposals if one.get("status") in STANDING]
    return max(standing, key=lambda one: (-STANDING.index(str(one["status"])), *_age(one)), default=None)


def _age(proposal: Record) -> tuple[int, str]:
    """Grows with each proposal of a chain; ids say nothing of it."""
    number = proposal.get("round")
    return number if isinstance(number, int) else 0, str(proposal.get("made_at") or "")


def next_step(pilot: Record, proposals: Sequence[Record]) -> Step:
    """What comes next for a pilot, told as its lead would hear it."""
    lead, here = str(pilot.get("lead_agency")), f"/pilots/{pilot.get('id')}"
    life = pilot.get("life")
    if life == "draft":
        return Step("finish_draft", (lead,), path=f"{here}/draft")
    if life == "open":
        return _while_open(pilot, current_proposal(proposals), lead, here)
    if life == "forming":
        return _while_forming(pilot, lead, here)
    if life == "ready":
        return Step("assess", (lead,), path=here)
    if life == "running":
        return Step("observe", path=f"{here}#results")
    if life == "paused":
        return Step("resume", (lead,), path=here)
    if life == "closing":
        return Step("lesson", (lead,), path=here)
    return Step("nothing", path=here)


def _while_open(pilot: Record, proposal: Record | None, lead: str, here: str) -> Step:
    if not pilot.get("needs"):
        return Step("say_need", (lead,), path=f"{here}/draft")
    if proposal is None:
        return Step("matching", path=here)
    path = f"/proposals/{proposal.get('id')}"
    if proposal.get("status") == "no_partner":
        return Step("no_partner", (lead,), path=path)
    if proposal.get("status") == "draft" or proposal.get("released") is False:
        return Step("release", (lead,), path=path)
    if proposal.get("status") == "formed":
        return Step("forming", path=path)
    asked = tuple(str(one.get("agency")) for one in waiting_invitations(proposal))
    if asked:
        return Step("answers", asked, str(proposal.get("deadline") or ""), path)
    queued = [one for one in proposal.get("invitations") or () if one.get("status") == WAITING]
    if queued:
        return Step("queued", tuple(str(one.get("agency")) for one in queued), path=path)
    if lead in (proposal.get("awaits") or (lead,)):
        return Step("close", (lead,), path=path)
    return Step("forming", path=path)


def _while_forming(pilot: Record, lead: str, here: str) -> Step:
    if (pilot.get("screening") or {}).get("status") != "passed":
        return Step("screen", (lead,), path=f"{here}/screening")
    if not any(one.get("question") for one in pilot.get("learning") or () if isinstance(one, Mapping)):
        return Step("learning", (lead,), path=f"{here}/screening")
    return Step("ready", (lead,), path=here)


def waiting_invitations(proposal: Record) -> list[Record]:
    """Invitations that have gone out and are not answered."""
    return [one for one in proposal.get("invitations") or () if one.get("status") in ASKED]


def invitation_of(proposal: Record, agency: str) -> Record | None:
    return next((one for one in proposal.get("invitations") or () if one.get("agency") == agency), None)


def member_of(proposal: Record, agency: str) -> Record | None:
    return next((one for one in proposal.get("team") or () if one.get("agency") == agency), None)
