"""One node hosts two agencies of the mesh: each joined with an invite of its own, each stands for itself."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.node.joining import join, read_invite
from shared.settings import Settings
from tests.node.federation import Hub, Member, heads, post
from tests.service.posting import pilot
from tests.service.running import until


def test_a_second_agency_joins_on_a_members_node_and_suspending_one_leaves_the_other(tmp_path: Path) -> None:
    hub, node = Hub(tmp_path / "hub"), Member(tmp_path / "shared", "fao")
    try:
        hub.start()
        node.join(hub)
        invite = read_invite(json.dumps(hub.invite("ilo")))
        joined = join(Settings(home=node.home, public_url=node.url), invite, post)
        assert joined.domain == "fao", "a node has one domain, whomever it hosts"
        node.start()
        members = hub.members()
        assert {members[agency]["domain"] for agency in ("fao", "ilo")} == {"fao"}
        node._admins["ilo"] = joined.tokens["ilo"]["admin"]
        officers = {agency: node.actor(agency, ["officer"]) for agency in ("fao", "ilo")}

        def registers(agency: str) -> tuple[int, int, str]:
            """The head of the agency's ledger afterwards."""
            with node.client(officers[agency]) as officer:
                answer = officer.post("/registry/v1/pilots", json=pilot(agency))
                assert answer.status_code == 201, answer.text
            return heads(node)[f"{agency}.registry"]

        def is_at_hub(agency: str, head: tuple[int, int, str]) -> bool:
            return heads(hub).get(f"{agency}.registry") == head

        for agency in ("fao", "ilo"):
            head = registers(agency)
            until(lambda who=agency, at=head: is_at_hub(who, at), f"what {agency} wrote is at the hub")  # type: ignore[misc]

        before = heads(hub)["ilo.registry"]
        hub.set_status("ilo", suspended=True)
        until(lambda: members_as_seen_by(node)["ilo"] == "suspended", "the node has heard of it")
        behind, goes_on = registers("ilo"), registers("fao")
        until(lambda: is_at_hub("fao", goes_on), "the other agency's facts cross as before")
        assert is_at_hub("ilo", before), "and those of the suspended one do not"
        hub.set_status("ilo", suspended=False)
        until(lambda: is_at_hub("ilo", behind), "they are fetched when it is active again")
    finally:
        node.stop()
        hub.stop()


def members_as_seen_by(node: Member) -> dict[str, str]:
    with node.client(node.operator) as client:
        return {one["agency"]: one["status"] for one in client.get("/mesh/v1/agencies").json()["items"]}
