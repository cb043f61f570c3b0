"""`pilotmesh demo`: the sample on a whole node, told on one screen; a second run doubles nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo import portfolio
from services.pages import safety
from tests.service.running import until

PATIENCE_SECONDS = 150


class Demo:
    """One run of the command, its words collected."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.url = f"http://127.0.0.1:{found.getsockname()[1]}"
        settings = {"PILOTMESH_HOME": str(home), "PILOTMESH_PORT": self.url.rpartition(":")[2]}
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("pilotmesh")), "demo"],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.words = ""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as words:
            for line in words:
                self.words += line

    def until_said(self, words: str) -> Demo:
        until(lambda: words in self.words or self.process.poll() is not None, words, PATIENCE_SECONDS)
        assert words in self.words, self.words
        return self

    def loaded(self) -> Demo:
        self.until_said("  curl -s")
        return self

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        self._reading.join(10)
        return status

    def tokens(self) -> dict[str, dict[str, str]]:
        held: dict[str, dict[str, str]] = json.loads((self.home / "tokens.json").read_text())
        return held

    def as_actor(self, agency: str, role: str) -> httpx.Client:
        token = self.tokens()[agency][role]
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def items(self, path: str) -> list[dict[str, Any]]:
        found, cursor = [], ""
        with self.as_actor("node", "admin") as node:
            while True:
                page = node.get(f"{path}{'&' if '?' in path else '?'}limit=200{cursor}").raise_for_status().json()
                found += page["items"]
                if not page["next"]:
                    return found
                cursor = f"&cursor={page['next']}"

    def facts(self) -> dict[str, int]:
        """How many facts each ledger holds that people write in; progress follows the calendar by itself."""
        with self.as_actor("node", "admin") as node:
            ledgers = node.get("/mesh/v1/status").raise_for_status().json()["ledgers"]
        return {one["ledger"]: one["sequence"] for one in ledgers if not one["ledger"].endswith(".metrics")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def demo(home: Path) -> Iterator[Demo]:
    """A run that finishes what one before it began, which was killed in the middle of its posts."""
    cut_off = Demo(home).until_said("  offices")
    cut_off.process.kill()  # no note of the last posts is written
    cut_off.stop()
    running = Demo(home)
    try:
        yield running.loaded()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def sample() -> portfolio.Portfolio:
    return portfolio.read()[0]


pytestmark = pytest.mark.timeout(400)


def test_after_a_run_that_was_cut_off_the_whole_sample_is_there_once(demo: Demo, sample: portfolio.Portfolio) -> None:
    pilots = Counter(pilot["title"]["en"] for pilot in demo.items("/registry/v1/pilots"))
    assert pilots == Counter(pilot["title"]["en"] for pilot in sample.pilots.values())
    assert len(demo.items("/registry/v1/capabilities")) == len(sample.capabilities)
    assert {one["slug"] for one in demo.items("/registry/v1/agencies")} == set(sample.agencies)
    assert len(demo.items("/registry/v1/offices")) == len(sample.offices)


def test_every_agency_has_its_actors_and_their_tokens_are_private(demo: Demo, sample: portfolio.Portfolio) -> None:
    assert (demo.home / "tokens.json").stat().st_mode & 0o777 == 0o600
    held = demo.tokens()
    for agency in sample.agencies:
        roles = {"admin", "viewer", "officer", "officer_2", "monitor", "coordinator", "approver"}
        assert roles <= set(held[agency])
        assert len(set(held[agency].values())) == len(held[agency])


def test_a_testbed_formed_among_invented_agencies_and_no_real_one_has_answered(
    demo: Demo, sample: portfolio.Portfolio
) -> None:
    testbeds = demo.items("/matching/v1/testbeds")
    assert testbeds
    for testbed in testbeds:
        assert {member["agency"] for member in testbed["members"]} <= sample.invented
    answered = {one["agency"] for one in demo.items("/matching/v1/responses")}
    assert answered
    assert answered <= sample.invented


def test_an_invitation_of_wfp_zambia_waits(demo: Demo) -> None:
    waiting = [
        one
        for one in demo.items("/matching/v1/proposals?invited=wfp&country=ZMB")
        for invitation in one["invitations"]
        if invitation["agency"] == "wfp" and invitation["status"] in ("invited", "waiting")
    ]
    assert waiting
    assert re.search(r"\d+ invitations? waits? for your answer", demo.words)


def test_the_summary_says_what_the_api_says(demo: Demo) -> None:
    assert f"{len(demo.items('/registry/v1/pilots'))} pilots led by" in demo.words
    assert f"formed: {len(demo.items('/matching/v1/testbeds'))}" in demo.words
    assert f"What nobody can provide: {len(demo.items('/matching/v1/gaps'))} needs" in demo.words
    assert "The weakest point is" in demo.words.replace("\n", " ")
    assert re.search(r"Between [\d ]+ and [\d ]+ people", demo.words)
    assert re.search(r"\d+ facts in \d+ ledgers: every sequence, chain, digest and signature proven", demo.words)


def test_the_curl_line_works_when_pasted(demo: Demo) -> None:
    line = next(line.strip() for line in demo.words.splitlines() if line.strip().startswith("curl "))
    told = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(told.stdout)["items"]


def test_the_link_signs_a_wfp_zambia_officer_in_once(demo: Demo) -> None:
    code = re.findall(r"/sign-in\?code=(\S+)", demo.words)[-1]
    with httpx.Client(base_url=demo.url, timeout=30) as reader:
        signed_in = reader.post("/mesh/v1/sessions", json={"code": code})
        assert signed_in.status_code == 201, signed_in.text
        actor = signed_in.json()["actor"]
        assert (actor["agency"], actor["office"], actor["countries"]) == ("wfp", "zmb", ["ZMB"])
        assert {"officer", "approver"} <= set(actor["roles"])
        assert reader.post("/mesh/v1/sessions", json={"code": code}).status_code == 404


def test_the_addresses_open(demo: Demo) -> None:
    addresses = re.findall(rf"({re.escape(demo.url)}/\S+)", demo.words)
    pages = {address for address in addresses if "code=" not in address and "'" not in address}
    assert len(pages) >= 3
    with demo.as_actor("wfp", "officer_zmb") as officer, demo.as_actor("wfp", "admin") as admin:
        me = officer.get("/mesh/v1/me").json()
        code = admin.post("/mesh/v1/sign-in-links", json={"actor": me["id"]}).json()["code"]
        session = admin.post("/mesh/v1/sessions", json={"code": code}).json()["token"]
    with httpx.Client(cookies={safety.SESSION: session}, timeout=30) as reader:
        for address in pages:
            assert reader.get(address).status_code == 200, address


def test_it_stops_cleanly_and_a_second_run_goes_on_without_doubling(demo: Demo, home: Path) -> None:
    before, held = demo.facts(), demo.tokens()
    links = re.findall(r"/sign-in\?code=(\S+)", demo.words)
    assert demo.stop() == 0, demo.words
    assert demo.words.rstrip().endswith("`pilotmesh demo` goes on from its data.")
    again = Demo(home)
    try:
        again.loaded()
        assert again.facts() == before
        assert again.tokens() == held
        assert not set(re.findall(r"/sign-in\?code=(\S+)", again.words)) & set(links)
    finally:
        assert again.stop() == 0


def test_ctrl_c_while_the_sample_is_loaded_ends_it_quietly(tmp_path: Path) -> None:
    run = Demo(tmp_path / "home").until_said("agencies registered")
    assert run.stop() == 0
    assert "The node stopped before the sample was loaded." in run.words
    assert "Traceback" not in run.words
