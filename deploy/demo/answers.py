"""What follows when the sample is loaded: matching proposes, and the invented agencies answer among themselves.

Real agencies answer nothing here; their invitations stay open for the reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from deploy.cli.speaking import Refused, Unreachable
from deploy.demo.loading import PATIENCE_SECONDS, Loader
from deploy.demo.portfolio import Record

WAITING = ("open", "forming")
"""Where in its life a pilot is proposed for."""
STANDING = ("open", "formed", "no_partner")
"""Proposals that stand; others were superseded or closed."""

CHANGED = 409
"""The status of an answer to a proposal that is not what it was."""

Proposals = Mapping[str, Record]


def wait_for_proposals(loader: Loader, advance: Callable[[int], None]) -> Proposals:
    """The standing proposal of every pilot of the sample that waits for one, by pilot id. `advance` hears how many
    there are. Raises `Unreachable` with the pilots that have none."""
    names = {id_: name for name, id_ in loader.notes.ids("pilot").items()}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        waiting = {one["id"] for one in loader.node.items("/registry/v1/pilots") if one["life"] in WAITING}
        found = standing_proposals(loader)
        missing = (waiting & set(names)) - set(found)
        advance(len(found))
        if not missing:
            return found
        if time.monotonic() > deadline:
            told = ", ".join(sorted(names[id_] for id_ in missing))
            raise Unreachable(
                f"Matching proposed nothing for {told}.", remedy="`pilotmesh doctor` looks for the cause."
            )
        time.sleep(0.1)


def standing_proposals(loader: Loader) -> dict[str, Record]:
    """By pilot; the newest where there are several."""
    found: dict[str, Record] = {}
    for one in loader.node.items("/matching/v1/proposals"):
        if one["status"] in STANDING:
            known = found.get(one["pilot"])
            if known is None or known["changed_at"] < one["changed_at"]:
                found[one["pilot"]] = one
    return found


def answer(loader: Loader, advance: Callable[[], None]) -> list[str]:
    """Gives the sample's answers, each once; returns the pilots (by name) on which everybody of the team answered yes.

    An answer for which there is no open invitation (the reader has changed something) is passed over.
    """
    said: dict[str, list[Record]] = {}
    for one in loader.portfolio.answers:
        said.setdefault(one["pilot"], []).append(one)
    for pilot, answers in said.items():
        for one in answers:
            name = f"{pilot}/{one['agency']}"
            if loader.notes.id_of("answer", name) is None:
                _say(loader, pilot, one)
                loader.notes.note("answer", name, str(one["decision"]))
            advance()
    loader.notes.save()
    return [pilot for pilot, answers in said.items() if _all_in(loader, pilot, answers)]


def _say(loader: Loader, pilot: str, one: Record) -> None:
    """Says it, again where the proposal was replaced in the moment of answering: an answer is bound to what it saw."""
    deadline, refused_before = time.monotonic() + PATIENCE_SECONDS, ""
    while time.monotonic() < deadline:
        proposal = standing_proposals(loader).get(loader.notes.ids("pilot")[pilot])
        if proposal is None or proposal["status"] != "open" or not _is_awaited(proposal, one["agency"]):
            return
        body = {name: value for name, value in one.items() if name != "pilot"}
        try:
            loader.acting(one["agency"], "approver").post(
                f"/matching/v1/proposals/{proposal['id']}/responses",
                {**body, "proposal_hash": proposal["hash"]},
                key=f"sample/answer/{pilot}/{one['agency']}/{proposal['hash']}",
            )
        except Refused as refused:
            if refused.problem.status != CHANGED or proposal["hash"] == refused_before:
                raise
            refused_before = proposal["hash"]
        loader.wait_until_level("matching")
    raise Unreachable(f"The answer of {one['agency']} on {pilot} is not taken: its proposal keeps changing.")


def _is_awaited(proposal: Record, agency: str) -> bool:
    return any(member["agency"] == agency and not member["response"] for member in proposal["team"])


def _all_in(loader: Loader, pilot: str, answers: list[Record]) -> bool:
    proposal = standing_proposals(loader).get(loader.notes.ids("pilot")[pilot])
    accepting = {one["agency"] for one in answers if one["decision"] == "accept"}
    return proposal is not None and {member["agency"] for member in proposal["team"]} <= accepting


def wait_for_testbeds(loader: Loader, pilots: list[str]) -> list[Record]:
    """The testbeds, once each of `pilots` (by name) has its own. Raises `Unreachable` with those without."""
    wanted = {loader.notes.ids("pilot")[name]: name for name in pilots}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = list(loader.node.items("/matching/v1/testbeds"))
        missing = set(wanted) - {pilot for one in found for pilot in one["pilots"]}
        if not missing:
            return found
        if time.monotonic() > deadline:
            told = ", ".join(sorted(wanted[id_] for id_ in missing))
            raise Unreachable(f"No testbed formed for {told}, although everybody accepted.")
        time.sleep(0.1)
