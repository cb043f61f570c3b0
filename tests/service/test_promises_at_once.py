"""Approvers of one agency who say yes in the same moment, each to another proposal, promise nothing twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from .desk import Desk, Json, partners
from .running import RunningNode

LEADS = ("wmo", "wipo", "itc", "upu")
STAFF = {"code": "human.field_staff"}


@pytest.fixture
def desk(node: RunningNode) -> Desk:
    return Desk(node)


def test_of_several_acceptances_in_one_moment_as_many_count_as_there_is_to_give(desk: Desk) -> None:
    for lead in LEADS:
        desk.releases_itself(lead)
    offer = desk.offers("unops", STAFF["code"], "LSO", units=1)
    desk.knows_offer(offer, "unops")
    proposals = [desk.proposal(desk.registers(lead, "LSO", STAFF), lead) for lead in LEADS]
    assert [partners(one) for one in proposals] == [["unops"]] * len(LEADS)
    together = Barrier(len(LEADS))
    approvers = [desk.node.client(desk.node.actor("unops", ["approver"])) for _ in LEADS]

    def accept(at: int) -> int:
        proposal: Json = proposals[at]
        said = {"agency": "unops", "decision": "accept", "proposal_hash": proposal["hash"]}
        together.wait()
        return approvers[at].post(f"/matching/v1/proposals/{proposal['id']}/responses", json=said).status_code

    with ThreadPoolExecutor(len(LEADS)) as pool:
        answers = sorted(pool.map(accept, range(len(LEADS))))
    assert answers == [201, 409, 409, 409]
    for client in approvers:
        client.close()
    desk.close()
