"""Clients that go on through every fault: each command has its Idempotency-Key and is repeated until it is answered."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.service.running import RunningNode, until

PILOTS = "/registry/v1/pilots"
PACE_SECONDS = 0.05
PATIENCE_SECONDS = 90
NOT_YET = ("unknown_pilot", "No pilot ")
"""A pilot that was acknowledged is shown when it is folded: by metrics a moment later, by the registry at once unless
the database or the process died between the two."""
QUIET_SECONDS = 0.1
"""Between two attempts of one command."""


@dataclass(frozen=True)
class Command:
    """A request as it can be sent again, word for word."""

    path: str
    body: Any
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Acknowledged:
    """What the node answered to a command."""

    command: Command
    id: str
    version: int


def pilot_post(agency: str, title: str) -> dict[str, Any]:
    return {
        "title": {"en": title},
        "summary": {"en": "Radar images and harvest reports, read together, warn of losses."},
        "problem": {"en": "Losses are known only after the harvest. Help comes a season late."},
        "lead_agency": agency,
        "countries": ["ZMB"],
        "sdg_targets": ["2.3", "2.4"],
        "roadmap_measures": ["3.3"],
        "layers": ["data"],
        "uncertainty": "some",
        "target_groups": ["extreme_poverty", "rural"],
        "people_reached": 120000,
        "needs": [{"code": "data.earth_observation", "country": "ZMB", "quantity": 1, "essential": True}],
        "starts_on": "2027-01-01",
        "ends_on": "2027-12-31",
    }


PLAN = {
    "code": "hectares-watched",
    "title": {"en": "Land that is watched"},
    "unit": "ha",
    "measure": "sum",
    "direction": "up",
    "calendar": "quarterly",
    "about_people": False,
    "baseline": {"value": 0, "on": "2025-01-01"},
    "target": {"value": 500, "on": "2027-12-31"},
}


class Refused(AssertionError):  # noqa: N818 - what happened
    """The node refused a command that it should have carried out."""


class Officer:
    """Somebody of one agency who registers pilots, screens every third and narrows every fourth to the agency."""

    def __init__(
        self,
        node: RunningNode,
        agency: str,
        name: str,
        seed: int,
        questions: Sequence[str],
        *,
        metrics: bool,
        pace: float = PACE_SECONDS,
    ) -> None:
        self.agency = agency
        self.name = name
        self.acknowledged: list[Acknowledged] = []
        self.repeatable: list[Acknowledged] = []
        """Those that the node knows again by their Idempotency-Key; a disk put back to a copy has forgotten some."""
        self.screened: list[str] = []
        self.narrowed: list[str] = []
        self.watched: list[str] = []
        """Ids of pilots of which that was acknowledged (`watched`: with observations)."""
        self.trouble: BaseException | None = None
        self.retries = 0
        self.refused_with: Counter[str] = Counter()
        """Statuses of answers after which a command was sent again."""
        self._questions = questions
        self._metrics = metrics
        self._pace = pace
        self._random = random.Random(f"{seed} {name}")
        self._client = node.client(node.actor(agency, ["officer", "monitor"]))
        self._stopping = threading.Event()
        self._thread = threading.Thread()
        self._number = 0

    @property
    def is_at_work(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """The command at hand is finished; nothing is begun after it."""
        self._stopping.set()

    def stop(self) -> None:
        self.ask_to_stop()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), f"{self.name} still waits for an answer"
        if self.trouble is not None:
            raise self.trouble

    def close(self) -> None:
        self.ask_to_stop()
        self._client.close()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._pace):
                self._register(self._number)
                self._number += 1
        except BaseException as error:
            self.trouble = error

    def _register(self, number: int) -> None:
        pilot = self.do(Command(PILOTS, pilot_post(self.agency, f"Pilot {number} of {self.name}")))
        if number % 3 == 0:
            answers = {name: {"answer": "yes", "note": {"en": "Looked into."}} for name in self._questions}
            learning = {"en": "Does the warning come in time?"}
            post = {"answers": answers, "learning_question": learning}
            self.do(Command(f"{PILOTS}/{pilot.id}/screening", post))
            self.screened.append(pilot.id)
        elif number % 4 == 1:
            path = f"{PILOTS}/{pilot.id}?understood=true"
            headers = {"If-Match": f'"{pilot.version}"'}
            self.do(Command(path, {"visibility": "private"}, "PATCH", headers))
            self.narrowed.append(pilot.id)
        elif self._metrics and number % 4 == 2:
            plan = self.do(Command("/metrics/v1/plans", {**PLAN, "pilot": pilot.id}))
            self.do(Command("/metrics/v1/observations", [observation(plan.id, pilot.id, number)]))
            self.watched.append(pilot.id)
        if self._random.random() < 0.2 and self.repeatable:
            self.repeat(self._random.choice(self.repeatable))

    # -- one command -----------------------------------------------------------------------------------------

    def do(self, command: Command) -> Acknowledged:
        told = self.answer(command)
        done = Acknowledged(command, str(told.get("id") or told["upload"]), int(told.get("version", 0)))
        self.acknowledged.append(done)
        self.repeatable.append(done)
        return done

    def repeat(self, done: Acknowledged) -> None:
        """The same command, sent again, is answered with the same record, and the answer says so."""
        told = self.answer(done.command, replayed=True)
        again = str(told.get("id") or told["upload"])
        assert again == done.id, f"{done.command.path}: acknowledged as {done.id}, then as {again}"

    def answer(self, command: Command, *, replayed: bool = False) -> dict[str, Any]:
        """Sent with the same key until the node answers; a refusal is a fault of the node."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        headers = {"Idempotency-Key": command.key, **command.headers}
        while True:
            try:
                answer = self._client.request(command.method, command.path, json=command.body, headers=headers)
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.is_success:
                    assert not replayed or answer.headers.get("Idempotency-Replayed") == "true", command
                    told: dict[str, Any] = answer.json()
                    return told
                said = f"{answer.status_code}: {answer.text}"
                not_yet = answer.status_code in (404, 422) and any(words in answer.text for words in NOT_YET)
                if answer.status_code < 500 and answer.status_code != 429 and not not_yet:
                    raise Refused(f"{self.name}: {command.method} {command.path}: {said}")
                if answer.status_code >= 500:
                    self.refused_with[str(answer.status_code)] += 1
            if time.monotonic() > deadline:
                raise Refused(f"{self.name}: {command.path} is not answered within {PATIENCE_SECONDS} s: {said}")
            self.retries += 1
            time.sleep(QUIET_SECONDS)  # a client's pause before it asks again, in a thread of its own


def observation(plan: str, pilot: str, number: int) -> dict[str, Any]:
    return {
        "id": f"observation {number} of {pilot}",
        "indicator": plan,
        "pilot": pilot,
        "period": {"start": "2025-01-01", "end": "2025-03-31"},
        "country": "ZMB",
        "value": 10 + number,
        "basis": "measured",
    }


class Office:
    """Officers of several agencies at work at once."""

    def __init__(self, node: RunningNode, agencies: Sequence[str], seed: int, *, pace: float = PACE_SECONDS) -> None:
        with node.client(node.host(agencies[0])) as client:
            asked = client.get("/registry/v1/screening").raise_for_status().json()
            metrics = client.get("/metrics/v1/plans").status_code == 200
        questions = [question["id"] for question in asked["questions"]]
        self.officers = [
            Officer(node, agency, f"officer {number} of {agency}", seed, questions, metrics=metrics, pace=pace)
            for number, agency in enumerate(agencies)
        ]

    def __enter__(self) -> Office:
        self.resume()
        return self

    def resume(self) -> None:
        for officer in self.officers:
            if not officer.is_at_work:
                officer.start()

    def __exit__(self, *_: object) -> None:
        for officer in self.officers:
            officer.close()

    def registered(self) -> dict[str, list[str]]:
        """Ids of acknowledged pilots, by agency."""
        pilots: dict[str, list[str]] = {officer.agency: [] for officer in self.officers}
        for officer in self.officers:
            pilots[officer.agency] += [one.id for one in officer.acknowledged if one.command.path == PILOTS]
        return pilots

    @property
    def count(self) -> int:
        """Acknowledged commands so far."""
        return sum(len(officer.acknowledged) for officer in self.officers)

    @property
    def retries(self) -> int:
        return sum(officer.retries for officer in self.officers)

    @property
    def refused_with(self) -> Counter[str]:
        return sum((officer.refused_with for officer in self.officers), Counter())

    def wait_for_more(self, commands: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Until so many more were acknowledged than now: the node works again, for everybody."""
        goals = {officer.name: len(officer.acknowledged) + commands for officer in self.officers}

        def reached() -> bool:
            troubled = next((officer.trouble for officer in self.officers if officer.trouble), None)
            if troubled is not None:
                raise troubled
            return all(len(officer.acknowledged) >= goals[officer.name] for officer in self.officers)

        until(reached, f"{commands} more commands of every officer are acknowledged", seconds)

    def finish(self) -> None:
        for officer in self.officers:
            officer.ask_to_stop()
        for officer in self.officers:
            officer.stop()
