"""A standby hub on real nodes: the first hub is lost with facts in flight, members move, somebody is admitted, and the
first hub comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.node.embedded import LOOPBACK, free_port
from deploy.node.hub import HubLink, make_hub, put_anchor_back, take_anchor_out
from shared.settings import Settings
from tests.node.federation import Hub, Member, heads, until_level
from tests.node.test_hub import findings, run, told
from tests.service.posting import pilot
from tests.service.running import RunningNode, until


class Standby(Member):
    """A member that takes links."""

    def become_standby(self) -> Standby:
        link = HubLink((LOOPBACK,), listen=f"{LOOPBACK}:{free_port()}")
        make_hub(Settings(home=self.home), link, standby=True)
        return self


def moved(node: RunningNode, hub: str, *options: str) -> None:
    """Moves to the hub at this address, or of this card, and starts again."""
    answer = run(node, "node", "rehome", hub, *options)
    assert answer.returncode == 0, answer.stderr
    node.stop()
    node.start()


def registered(node: RunningNode, agency: str, title: str) -> str:
    with node.client(node.actor(agency, ["officer"])) as client:
        answer = client.post("/registry/v1/pilots", json=pilot(agency, title={"en": title}))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@contextmanager
def registering(node: RunningNode, agency: str) -> Iterator[list[str]]:
    """Pilots are registered without a pause, for as long as the context lasts; the ids of those acknowledged."""
    acknowledged: list[str] = []
    over = threading.Event()
    with node.client(node.actor(agency, ["officer"])) as client:

        def register() -> None:
            while not over.is_set():
                answer = client.post("/registry/v1/pilots", json=pilot(agency))
                assert answer.status_code == 201, answer.text
                acknowledged.append(answer.json()["id"])

        thread = threading.Thread(target=register)
        thread.start()
        try:
            yield acknowledged
        finally:
            over.set()
            thread.join()


def holds(node: RunningNode, pilots: list[str]) -> bool:
    with node.client(node.operator) as client:

        def has(one: str) -> bool:
            return bool(client.get(f"/registry/v1/pilots/{one}").status_code == httpx.codes.OK)

        return all(has(one) for one in pilots)


@pytest.mark.timeout(900)
def test_members_move_to_a_standby_when_the_hub_is_lost_and_nothing_else_is(tmp_path: Path, long_form: bool) -> None:
    if not long_form:
        pytest.skip("whole nodes, started nine times: with --long; the same on servers and stores in test_rehoming.py")
    hub = Hub(tmp_path / "hub").start()
    nodes: list[RunningNode] = [hub]
    try:
        standby = Standby(tmp_path / "unicc", "unicc")
        standby.join(hub)
        standby.become_standby().start()
        nodes.append(standby)
        wfp, fao = (Member(tmp_path / agency, agency).join(hub) for agency in ("wfp", "fao"))
        for member in (wfp, fao):
            nodes.append(member.start())
        first = registered(wfp, "wfp", "Before")
        until_level(hub, standby, wfp, fao)
        until(lambda: not findings(standby), "doctor finds nothing")
        # By this the first hub is known again, although the anchor's key is not on it any more.
        take_anchor_out(hub.home, tmp_path / "anchor")
        card = tmp_path / "hub.card"
        card.write_text(json.dumps(told(hub, "hub", "card")))

        # What the hub and one member have, and the standby does not; then the hub and its author are lost.
        standby.stop()
        late = registered(wfp, "wfp", "Only fao has it")
        until(lambda: holds(fao, [late]), "it has crossed")
        with registering(wfp, "wfp") as in_flight:
            until(lambda: len(in_flight) > 5, "some are acknowledged")
            hub.kill()
            until(lambda: len(in_flight) > 15, "work goes on without a hub")
        wfp.stop()
        standby.start()

        moved(fao, standby.url)
        until(lambda: holds(standby, [first, late]), "the standby has from a member what only the hub had given it")
        assert not holds(fao, in_flight)
        wfp.start()
        moved(wfp, standby.url)
        until_level(standby, wfp, fao)
        for node in (standby, fao):
            assert holds(node, [first, late, *in_flight])
        until(lambda: findings(wfp) == findings(fao) == {}, "doctor finds nothing at either")
        # The standby tells that its own hub is away, and that nobody else is.
        away = {subject for subject, state in findings(standby) if state == "wrong"}
        assert away == {"link", "way to the hub", "intake"}
        for node, own in ((standby, "unicc"), (wfp, "wfp"), (fao, "fao")):
            private = {ledger for ledger in heads(node, private=True) if ledger.endswith(".private")}
            assert all(ledger.startswith(f"{own}.") for ledger in private)

        # Somebody is admitted: for that the anchor's key is put here.
        put_anchor_back(standby.home, tmp_path / "anchor")
        ilo = Member(tmp_path / "ilo", "ilo")
        invited = run(standby, "hub", "invite", "ilo")
        assert invited.returncode == 0, invited.stderr
        ilo.join_with(json.loads(invited.stdout)).start()
        nodes.append(ilo)
        until_level(standby, ilo, wfp)
        take_anchor_out(standby.home, tmp_path / "anchor-again")

        # The first hub comes back: the standby, its member all the time, brings it level, and the others return.
        hub.start()
        until_level(hub, standby)
        assert "ilo" in hub.members()
        moved(fao, str(card))
        registered(fao, "fao", "From the one hub to the other")
        until_level(hub, standby, wfp, fao, ilo)
        moved(wfp, hub.url)
        registered(wfp, "wfp", "Back again")
        levels = until_level(hub, standby, wfp, fao, ilo)
        assert levels["wfp.registry"][1] > len(in_flight) + 2
        for node in (hub, wfp, fao, ilo):
            if node is not hub:  # whose own doctor tells that ilo is not linked to it
                until(lambda one=node: not findings(one), "doctor finds nothing")
            with node.client(node.operator) as client:
                assert client.post("/mesh/v1/verification").json()["proven"]
                trouble = client.get("/mesh/v1/status").json()["trouble"]
                assert {kind for kind, count in trouble.items() if count} == set()
    finally:
        for node in nodes:
            node.stop()
