"""Pages on one node about what another node's agencies do: read there, answered here."""

from __future__ import annotations

import re

from .across import EARTH, STAFF, formed, proposed
from .running import until
from .two_nodes import Desks, Link, Mesh, MeshNode


def submitted(node: MeshNode, path: str, token: str, **fields: str) -> tuple[int, str]:
    """A form of a page, filled in and sent as a browser does; where it leads, or what it says."""
    form = node.page(path, token).text
    hidden = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', form))
    with node.client() as browser:
        answer = browser.post(
            path.split("?", maxsplit=1)[0],
            data={**hidden, **fields},
            headers={"Cookie": f"pilotmesh_session={token}", "Origin": node.url},
        )
    return answer.status_code, answer.headers.get("location") or answer.text


def test_a_proposal_for_another_nodes_pilot_is_read_and_accepted_on_the_own_node(
    mesh: Mesh, desks: Desks, link: Link
) -> None:
    proposal = proposed(desks, "undp", "unesco", "PNG", STAFF)
    b, token = mesh["b"], mesh["b"].actor("unesco", ["approver"])
    page = until(
        lambda: "A pilot of undp in PNG" in (told := b.page(f"/proposals/{proposal['id']}", token).text) and told,
        "the page names the pilot of the other node",
    )
    assert "The weakest point is" in page
    assert f"/proposals/{proposal['id']}/accept?seen={proposal['hash']}" in page
    assert f"/pilots/{proposal['pilot']}" in b.page("/countries/PNG", token).text
    address = f"/proposals/{proposal['id']}/accept?seen={proposal['hash']}"
    status, reviewed = submitted(b, address, token)
    if status == 200:
        hidden = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', reviewed))
        status, reviewed = submitted(b, address, token, **hidden, confirmed="yes")
    assert status == 303, reviewed
    until(
        lambda: desks.a.again(proposal, "undp")["invitations"][0]["status"] == "accepted",
        "the lead's node hears of the acceptance",
    )


def test_a_country_page_shows_pilots_of_both_nodes(mesh: Mesh, desks: Desks, link: Link) -> None:
    there = desks.a.registers("who", "FJI", EARTH)
    here = desks.b.registers("itu", "FJI", STAFF)
    for name, agency in (("a", "wfp"), ("b", "fao")):
        token = mesh[name].actor(agency, ["viewer"])
        until(
            lambda node=mesh[name], who=token: all(  # type: ignore[misc]
                f"/pilots/{pilot}" in node.page("/countries/FJI", who).text for pilot in (there, here)
            ),
            f"the page on {name} has both",
        )


def test_the_testbed_page_shows_a_suspension_declared_on_another_node(mesh: Mesh, desks: Desks, link: Link) -> None:
    testbed = formed(desks, "undp", "fao", "SLB", EARTH)
    suspended = desks.b.as_("fao").post(
        f"/matching/v1/testbeds/{testbed['id']}/suspensions",
        json={"agency": "fao", "reason": {"en": "A cyclone took our boats."}},
    )
    assert suspended.status_code == 201, suspended.text
    reader = mesh["a"].actor("undp", ["officer"])
    until(
        lambda: "A cyclone took our boats." in mesh["a"].page(f"/testbeds/{testbed['id']}", reader).text,
        "the lead's people read why",
    )
    stranger = mesh["a"].page(f"/testbeds/{testbed['id']}", mesh["a"].actor("ilo", ["viewer"]))
    assert stranger.status_code == 200
    assert "cyclone" not in stranger.text
