"""What is done once in a while, cut off in the middle and done again: a first start, hosting an agency, forgetting."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.faults.faulty_node import FaultyNode
from tests.faults.officers import PILOTS, pilot_post
from tests.faults.proofs import Evidence, every_fact_is_streamed, every_ledger_is_proven, evidence
from tests.faults.steps import FIRST_START, FORGETTING, HOSTING, Step
from tests.service.running import until

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("only_in_the_long_form")]

SECRET = "a name that should not have been written"


def each(*steps: Step) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("step", steps, ids=lambda step: step.name)


@each(*FIRST_START)
def test_a_first_start_that_ends_early_leaves_an_operator_who_can_act(tmp_path: Path, step: Step) -> None:
    with FaultyNode(tmp_path, "mesh") as node:
        node.begin(step, 1)
        node.wait_for_crash(step)
        node.start()
        with node.client(node.host("wfp")) as client:
            assert client.get("/mesh/v1/me").json()["agency"] == "wfp"


@each(*HOSTING)
def test_an_agency_whose_hosting_was_cut_off_is_hosted_by_the_next_call(tmp_path: Path, step: Step) -> None:
    with FaultyNode(tmp_path, "mesh") as node:
        node.start()
        node.kill()
        node.begin(step, 1)
        node.wait_ready()
        with pytest.raises(httpx.TransportError):
            node.host("wfp")
        node.wait_for_crash(step)
        node.start()
        with node.client(node.host("wfp")) as client:
            assert client.get("/mesh/v1/me").json()["roles"] == ["admin"]
            assert [one["agency"] for one in client.get("/mesh/v1/agencies").json()["items"]] == ["wfp"]
        with evidence(node) as found:
            every_ledger_is_proven(found)


@each(*FORGETTING)
def test_a_redaction_that_was_cut_off_is_carried_out_after_the_next_start(tmp_path: Path, step: Step) -> None:
    with FaultyNode(tmp_path, "mesh", "registry", PILOTMESH_LEASE_SECONDS="1") as node:
        node.start()
        admin = node.host("wfp")
        with node.client(node.actor("wfp", ["officer"])) as officer:
            place = [
                officer.post(PILOTS, json=pilot_post("wfp", title)).raise_for_status().json()["ledger_place"]
                for title in ("before", SECRET, "after")
            ][1]
        node.kill()
        node.begin(step, 1)
        node.wait_ready()
        forget(node, admin, place)
        node.wait_for_crash(step)
        node.start()
        with evidence(node) as found:
            until(found.is_level, "the redaction is carried out")
            until(lambda: not holds(found, SECRET), "nothing holds what was redacted")
            every_fact_is_streamed(found)
            every_ledger_is_proven(found)


def forget(node: FaultyNode, admin: str, place: str) -> None:
    post = {"ledger": "wfp.registry", "facts": [place], "reason": "personal_data"}
    with node.client(admin) as client:
        try:
            client.post("/registry/v1/redactions", json=post).raise_for_status()
        except httpx.TransportError:
            return  # it died of it before it could answer


def holds(found: Evidence, words: str) -> bool:
    """Whether the ledger, the streams or the registry's rows hold these words anywhere."""
    rows = [raw for table in found.tables("registry").values() for raw in table]
    stored = [repr(document) for document in [*found.documents(), *rows]]
    return any(words in text for text in stored) or any(words.encode() in one.data for one in found.messages())
