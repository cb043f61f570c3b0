"""What another node said days ago, while the link was down, is told calmly; what still asks for an answer, at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.facts.fact import rfc3339
from shared.facts.ids import new_id
from shared.ledger.appender import Appender
from shared.ledger.drafts import Author, Draft
from shared.ledger.ledger import Ledger

from .posting import pilot as a_pilot
from .running import until
from .two_nodes import Desks, Link, Mesh, MeshNode
from .webhook_receiver import Receiver, receiving

OFFICER = Author("0198c0de-0000-7000-8000-0000000000ac", "officer")


class DaysAgo:
    """Writes into ledgers of a node as it would have done some days ago."""

    def __init__(self, node: MeshNode, days: int) -> None:
        self.then = datetime.now(UTC) - timedelta(days=days)
        self._appender = Appender(node.store, node.keyring, node.identity.mesh, clock=lambda: self.then)
        self._appender.start()
        self._node = node

    def __enter__(self) -> DaysAgo:
        return self

    def __exit__(self, *_: object) -> None:
        self._appender.stop()

    def said(self, agency: str, service: str, kind: str, verb: str, **state: object) -> str:
        """The place of the fact."""
        ledger = Ledger(service, self._node.store, self._appender, self._node.keyring)
        own_id = new_id()
        draft = Draft(agency, service, kind, verb, own_id, 1, {"id": own_id, **state}, OFFICER)
        return ledger.record(draft).fact.place


def subscribed(node: MeshNode, agency: str, receiver: Receiver, **asked: list[str]) -> None:
    with node.client(node.actor(agency, ["officer"])) as client:
        answer = client.post("/notifier/v1/subscriptions", json={"url": receiver.url, **asked})
        assert answer.status_code == 201, answer.text
        receiver.secret = answer.json()["secret"]


def test_old_news_come_in_one_digest_and_an_open_invitation_at_once(mesh: Mesh, desks: Desks, link: Link) -> None:
    link.level()
    with receiving() as receiver:
        subscribed(mesh["b"], "ifad", receiver, agencies=["undp"], countries=["VUT"])
        with link.down(), DaysAgo(mesh["a"], 3) as then:
            pilots = [
                then.said("undp", "registry", "pilot", "registered", **{**a_pilot("undp"), "countries": ["VUT"]})
                for _ in range(3)
            ]
            invited = {
                "agency": "ifad",
                "status": "invited",
                "deadline": rfc3339(datetime.now(UTC) + timedelta(days=9)),
            }
            asking = then.said(
                "undp",
                "matching",
                "proposal",
                "released",
                lead="undp",
                status="open",
                countries=["VUT"],
                invitations=[invited],
            )
        until(lambda: receiver.notices, "the invitation is told at once")
        assert [one.event["id"] for one in receiver.notices] == [asking]
        until(lambda: len(receiver.notices) > 1, "the rest is told when nothing more comes")
        digest = receiver.notices[1].event
        assert digest["type"] == "org.pilotmesh.digest.compiled.v1"
        assert sorted(one["id"] for one in digest["data"]["events"]) == sorted(pilots)
        client = mesh["b"].client(mesh["b"].actor("ifad", ["officer"]))
        deliveries = client.get("/notifier/v1/deliveries").json()["items"]
        assert len(deliveries) == 2, "each planned once"
