"""What a test of matching does at its desk: agencies offer, register, answer, over HTTP; it waits for what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from .running import RunningNode, until

Json = dict[str, Any]

PEOPLE = ("officer", "coordinator", "approver", "admin")


class Desk:
    """One token per agency and role, made when it is first needed."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self._clients: dict[tuple[str, str], httpx.Client] = {}

    def as_(self, agency: str, role: str = "approver") -> httpx.Client:
        if (agency, role) not in self._clients:
            self._clients[agency, role] = self.node.client(self.node.actor(agency, [role]))
        return self._clients[agency, role]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def releases_itself(self, agency: str, **rules: Any) -> None:
        answer = self.as_(agency, "coordinator").put(
            f"/matching/v1/rules/{agency}", json={"release": "auto", **rules}, headers=self._rules_version(agency)
        )
        assert answer.status_code == 200, answer.text

    def _rules_version(self, agency: str) -> dict[str, str]:
        return {"If-Match": self.as_(agency, "coordinator").get(f"/matching/v1/rules/{agency}").headers["etag"]}

    def offers(self, agency: str, code: str, country: str, **more: Any) -> str:
        body = {
            "agency": agency,
            "code": code,
            "title": {"en": f"{code} of {agency}"},
            "countries": [country],
            "mode": "on_site",
            **more,
        }
        answer = self.as_(agency, "officer").post("/registry/v1/capabilities", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def knows_offer(self, capability: str, reader: str) -> None:
        """Waits until this node's matching has heard of a capability: a team is proposed of what is known."""
        place = f"/registry/v1/capabilities/{capability}"
        until(lambda: self.as_(reader).get(place).is_success, "the registry knows the offer")
        with self.node.client(self.node.operator) as operator:
            until(lambda: not operator.get("/matching/v1/lag").json()["behind"], "matching knows the offer")

    def registers(self, lead: str, country: str, *needs: Json, **more: Any) -> str:
        body = {
            "title": {"en": f"A pilot of {lead} in {country}"},
            "summary": {"en": "What it is about."},
            "problem": {"en": "What is hard today."},
            "lead_agency": lead,
            "countries": [country],
            "sdg_targets": ["2.3"],
            "needs": [
                {"country": country, "quantity": 1, "essential": True, "delivery": "on_site", **need} for need in needs
            ],
            "starts_on": "2027-01-01",
            "ends_on": "2027-06-30",
            "visibility": "mesh",
            **more,
        }
        answer = self.as_(lead, "officer").post("/registry/v1/pilots", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def revises(self, pilot: str, lead: str, **changes: Any) -> httpx.Response:
        """The lead's officer changes parts of its pilot as it stands now."""
        read = self.as_(lead, "officer").get(f"/registry/v1/pilots/{pilot}")
        return self.as_(lead, "officer").patch(
            f"/registry/v1/pilots/{pilot}?understood=true", json=changes, headers={"If-Match": read.headers["etag"]}
        )

    def pilot(self, pilot: str, reader: str) -> Json:
        found: Json = self.as_(reader).get(f"/registry/v1/pilots/{pilot}").json()
        return found

    def proposals(self, pilot: str, reader: str) -> list[Json]:
        answer = self.as_(reader).get("/matching/v1/proposals", params={"pilot": pilot})
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["items"]
        return found

    def proposal(
        self, pilot: str, reader: str, where: Callable[[Json], bool] = lambda one: one["status"] == "open"
    ) -> Json:
        """The first proposal for the pilot of which `where` is true, as soon as there is one."""
        found: Json = until(
            lambda: next((one for one in self.proposals(pilot, reader) if where(one)), None), "the proposal"
        )
        return found

    def again(self, proposal: Json, reader: str) -> Json:
        answer = self.as_(reader).get(f"/matching/v1/proposals/{proposal['id']}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def says(self, agency: str, decision: str, proposal: Json, role: str = "approver", **more: Any) -> httpx.Response:
        return self.as_(agency, role).post(
            f"/matching/v1/proposals/{proposal['id']}/responses",
            json={"agency": agency, "decision": decision, "proposal_hash": proposal["hash"], **more},
        )

    def accepts(self, agency: str, proposal: Json) -> Json:
        answer = self.says(agency, "accept", proposal)
        assert answer.status_code == 201, answer.text
        said: Json = answer.json()
        return said

    def testbed(self, pilot: str, reader: str) -> Json:
        found: Json = until(
            lambda: next(
                iter(self.as_(reader).get("/matching/v1/testbeds", params={"pilot": pilot}).json()["items"]), None
            ),
            "the testbed",
        )
        return found


def partners(proposal: Json) -> list[str]:
    return [member["agency"] for member in proposal["team"] if member["role"] == "partner"]


def invitation(proposal: Json, agency: str) -> Json:
    return next(one for one in proposal["invitations"] if one["agency"] == agency)
