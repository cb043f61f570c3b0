"""A pilot from its registration at one agency to results from two, over four nodes; then a link is cut and heals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console

from deploy.cli.connection import Connection
from deploy.cli.speaking import Trouble, table
from deploy.demo.federation.levelling import Standing, standing, until_level
from deploy.demo.federation.nodes import Federation, Node, until

AGENCIES = ("wfp", "fao", "unicef")
LEAD, EARTH, STAFF = AGENCIES
CUT_OFF = EARTH
WHILE_CUT = 20
"""Pilots that each agency registers while one of them is cut off."""

PERIOD = {"start": "2025-07-01", "end": "2025-09-30"}

Json = dict[str, Any]


class Story:
    """Tells what it does on `console`, with the time of each step."""

    def __init__(self, federation: Federation, console: Console) -> None:
        self._federation = federation
        self._console = console
        self.times: list[tuple[str, float]] = []

    def tell(self) -> Standing:
        """Everything; what all nodes hold alike at its end. Raises Trouble when a step fails."""
        with self.step(f"a hub, and the nodes of {', '.join(AGENCIES)}: invited, joined, ready"):
            self._federation.start()
        pilot = self._becomes_a_testbed()
        self._gets_results(pilot)
        with self.step("all four nodes hold the same"):
            until_level(self._federation.nodes)
        self._is_cut_off()
        return self._heals()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self.times.append((what, took))
        self._console.print(f"  {took:6.2f} s  {what}", soft_wrap=True)

    def at(self, agency: str, role: str) -> Connection:
        return self._federation.members[agency].as_(agency, role)

    def _becomes_a_testbed(self) -> str:
        with self.step(f"{EARTH} and {STAFF} offer what they have, each on its own node"):
            for agency, code in ((EARTH, "data.earth_observation"), (STAFF, "human.field_staff")):
                offer = {"agency": agency, "code": code, "title": {"en": f"{code} of {agency}"}, "units": 3}
                self.at(agency, "officer").post("/registry/v1/capabilities", {**offer, "countries": ["ZMB", "MWI"]})
        with self.step(f"both offers are known to {LEAD}'s node"):
            until(lambda: len(self._items(LEAD, "/registry/v1/capabilities")) == 2, "offers arrive")
            lead = self._federation.members[LEAD]
            until(lambda: not lead.as_("node").get("/matching/v1/lag")["behind"], "matching has folded them")
        with self.step(f"{LEAD} registers a pilot that needs both; matching drafts a team"):
            pilot = str(self.at(LEAD, "officer").post("/registry/v1/pilots", _pilot())["id"])
            draft = until(lambda: self._proposal(LEAD, pilot, "draft"), "a draft")
        with self.step(f"{LEAD} releases it; {EARTH} and {STAFF} find it on their nodes and accept"):
            self.at(LEAD, "approver").post(
                f"/matching/v1/proposals/{draft['id']}/release", {"proposal_hash": draft["hash"]}
            )
            for agency in (EARTH, STAFF):
                self._accept(agency, until(partial(self._proposal, agency, pilot, "open"), "the proposal"))
        with self.step(f"{LEAD} hears of both and accepts as well; the testbed is known everywhere"):
            until(lambda: self._accepted(pilot) == {EARTH, STAFF}, "both acceptances arrive")
            opened = self._proposal(LEAD, pilot, "open")
            if opened is not None:
                self._accept(LEAD, opened)
            for agency in AGENCIES:
                until(
                    partial(self._items, agency, "/matching/v1/testbeds", pilot=pilot),
                    f"the testbed is known to {agency}",
                )
        return pilot

    def _gets_results(self, pilot: str) -> None:
        with self.step(f"{LEAD} plans an indicator of which {EARTH} owns the figures in Malawi"):
            until(lambda: self._results(LEAD, pilot) is not None, "metrics knows the pilot")
            plan = self.at(LEAD, "monitor").post("/metrics/v1/plans", _plan(pilot))["id"]
            until(lambda: self._has(EARTH, f"/metrics/v1/plans/{plan}"), "the plan arrives")
        with self.step(f"{LEAD} and {EARTH} observe; raw rows stay home, the sum is known to both"):
            for agency, country, value in ((LEAD, "ZMB", 400), (EARTH, "MWI", 250)):
                row = {"id": f"{agency}-1", "indicator": plan, "pilot": pilot, "country": country, "period": PERIOD}
                self.at(agency, "monitor").post(
                    "/metrics/v1/observations",
                    [{**row, "value": value, "basis": "reported"}],
                    params={"wait": "folded"},
                )
            for agency in (LEAD, EARTH):
                until(partial(self._tells, agency, pilot, 650), f"the sum at {agency}")

    def _is_cut_off(self) -> None:
        wire = self._federation.wire
        assert wire is not None
        wire.cut()
        with self.step(f"{CUT_OFF} is cut off; all three register {WHILE_CUT} pilots each and lose nothing"):
            for agency in AGENCIES:
                for number in range(WHILE_CUT):
                    self.at(agency, "officer").post("/registry/v1/pilots", _pilot(agency, f"{agency} {number}"))
            others = [node for node in self._federation.nodes if node.name != CUT_OFF]
            until_level(others)
        here, there = standing(self._federation.members[CUT_OFF]), standing(self._federation.hub)
        if here.heads == there.heads:
            raise Trouble(f"{CUT_OFF} was to be cut off, and holds what the others hold.")
        self._console.print(
            f"           {CUT_OFF} holds {here.facts} facts, the others {there.facts}; neither knows the other's news"
        )

    def _heals(self) -> Standing:
        wire = self._federation.wire
        assert wire is not None
        wire.heal()
        with self.step("the link returns: all four nodes hold the same again"):
            found, _ = until_level(self._federation.nodes)
        return found

    def _accept(self, agency: str, proposal: Json) -> None:
        body = {"agency": agency, "decision": "accept", "proposal_hash": proposal["hash"]}
        self.at(agency, "approver").post(f"/matching/v1/proposals/{proposal['id']}/responses", body)

    def _accepted(self, pilot: str) -> set[str]:
        """Partners whose acceptance the lead's node knows."""
        return {
            one["agency"]
            for proposal in self._items(LEAD, "/matching/v1/proposals", pilot=pilot)
            for one in proposal.get("invitations") or ()
            if one["status"] == "accepted" and one["agency"] != LEAD
        }

    def _proposal(self, agency: str, pilot: str, status: str) -> Json | None:
        found = self._items(agency, "/matching/v1/proposals", pilot=pilot)
        return next((one for one in found if one["status"] == status and len(one["team"]) == len(AGENCIES)), None)

    def _items(self, agency: str, path: str, **params: str) -> list[Json]:
        return list(self.at(agency, "approver").items(path, **params))

    def _has(self, agency: str, path: str) -> bool:
        return self.at(agency, "monitor").reach("GET", path).is_success

    def _tells(self, agency: str, pilot: str, figure: float) -> bool:
        return self._results(agency, pilot) == figure

    def _results(self, agency: str, pilot: str) -> float | None:
        """The pilot's first figure as the agency's node tells it: -1 where there is none yet, None if not known."""
        answer = self.at(agency, "monitor").reach("GET", f"/metrics/v1/pilots/{pilot}/results")
        if not answer.is_success:
            return None
        results = answer.json()["results"]
        return float(results[0]["value"]) if results and results[0]["value"] is not None else -1.0


def summary(nodes: list[Node], agreed: Standing, console: Console) -> bool:
    """A table of what each node holds; whether it is the same."""
    found = {node.name: standing(node) for node in nodes}
    rows = [
        (name, str(one.ledgers), str(one.facts), one.heads[:16], *(digest[:16] for _, digest in one.folds))
        for name, one in found.items()
    ]
    folds = (service for service, _ in agreed.folds)
    console.print(table("What each node holds", ("node", "ledgers", "facts", "heads", *folds), rows))
    return all(one == agreed for one in found.values())


def _pilot(lead: str = LEAD, title: str | None = None) -> Json:
    countries = ["ZMB", "MWI"] if title is None else ["KEN"]  # where nobody offers anything
    needs = [
        {"code": code, "country": countries[0], "quantity": 1, "essential": True}
        for code in ("data.earth_observation", "human.field_staff")
    ]
    return {
        "title": {"en": title or "Crop-loss early warning for smallholders"},
        "summary": {"en": "Warns farmers of crop loss from satellite images and field visits."},
        "problem": {"en": "Losses are known when it is too late to act."},
        "lead_agency": lead,
        "countries": countries,
        "sdg_targets": ["2.3", "13.1"],
        "roadmap_measures": ["3.3"],
        "layers": ["data"],
        "uncertainty": "some",
        "target_groups": ["rural"],
        "people_reached": 120000,
        "needs": needs,
        "starts_on": "2025-07-01",
        "ends_on": "2027-12-31",
        "visibility": "mesh",
    }


def _plan(pilot: str) -> Json:
    return {
        "pilot": pilot,
        "code": "farmers-told",
        "title": {"en": "Farmers who got a warning"},
        "unit": "people",
        "measure": "sum",
        "contributes_to": ["2.3"],
        "calendar": "quarterly",
        "dimensions": [],
        "owners": {"MWI": EARTH},
    }
