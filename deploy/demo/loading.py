"""Posts the sample's records through the public HTTP API, several at a time, each once however often it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from deploy.cli import tokens
from deploy.cli.connection import Connection
from deploy.cli.speaking import Unreachable
from deploy.demo.notes import Notes
from deploy.demo.portfolio import Portfolio, Record

AT_ONCE = 12
"""Posts under way at the same time: the ledger commits them in groups."""
PATIENCE_SECONDS = 60.0

Advance = Callable[[], None]


class Loader:
    """Posts in the names of the sample's actors."""

    def __init__(self, node: Connection, home: Path, notes: Notes, portfolio: Portfolio) -> None:
        self.node = node
        self.notes = notes
        self.portfolio = portfolio
        self.home = home
        self._held: tokens.Tokens = {}

    def acting(self, agency: str, role: str) -> Connection:
        """The node, called by that actor. A name that is missing is read anew: agencies are hosted meanwhile."""
        if role not in self._held.get(agency, {}):
            self._held = tokens.read(self.home)
        return self.node.acting(self._held[agency][role])

    def agencies(self, advance: Advance) -> None:
        self._post_all(
            "agency", "/registry/v1/agencies", self.portfolio.agencies, lambda slug: (slug, "admin"), advance
        )

    def offices(self, advance: Advance) -> None:
        self._post_all("office", "/registry/v1/offices", self.portfolio.offices, _admin, advance)

    def capabilities(self, advance: Advance) -> None:
        self._post_all("capability", "/registry/v1/capabilities", self.portfolio.capabilities, _officer, advance)

    def pilots(self, advance: Advance) -> None:
        owner = self.portfolio.owner_of
        self._post_all(
            "pilot", "/registry/v1/pilots", self.portfolio.pilots, lambda name: (owner(name), "officer"), advance
        )

    def plans(self, advance: Advance) -> None:
        """Indicator plans; pilots go by their ids from here on."""
        ids = self.notes.ids("pilot")
        plans = {
            f"{plan['pilot']}/{plan['code']}": {**with_ids(plan, ids), "code": plan["code"]}
            for results in self.portfolio.results.values()
            for plan in results["plans"]
        }
        owner = self.portfolio.owner_of
        self._post_all("plan", "/metrics/v1/plans", plans, lambda name: (owner(name.split("/")[0]), "monitor"), advance)

    def observations(self, advance: Advance) -> None:
        """Each file's observations as one upload, then its corrections, which supersede some of them, as another."""

        def upload(name: str, results: Record) -> None:
            parts = [part for part in ("observations", "corrections") if results.get(part)]
            for part in parts:
                if self.notes.id_of("upload", f"{name}/{part}") is None:
                    told = self.acting(self.portfolio.owner_of(name), "monitor").post(
                        "/metrics/v1/observations",
                        self._rows(results[part]),
                        key=_key("upload", f"{name}/{part}"),
                        params={"wait": "folded" if part == parts[-1] else None},
                    )
                    self.notes.note("upload", f"{name}/{part}", str(told["upload"]))
            advance()

        in_parallel(partial(upload, name, results) for name, results in self.portfolio.results.items())
        self.notes.save()

    def _rows(self, rows: list[Record]) -> list[Record]:
        pilots, plans = self.notes.ids("pilot"), self.notes.ids("plan")
        return [
            {**row, "pilot": pilots[row["pilot"]], "indicator": plans[f"{row['pilot']}/{row['indicator']}"]}
            for row in rows
        ]

    def _post_all(
        self,
        kind: str,
        path: str,
        records: Mapping[str, Record],
        author_of: Callable[[str], tuple[str, str]],
        advance: Advance,
    ) -> None:
        def post(name: str, record: Record) -> None:
            if self.notes.id_of(kind, name) is None:
                told = self.acting(*author_of(name)).post(path, record, key=_key(kind, name))
                self.notes.note(kind, name, str(told["id"]))
            advance()

        try:
            in_parallel(partial(post, name, record) for name, record in records.items())
        finally:
            self.notes.save()

    def wait_until_level(self, service: str) -> None:
        """Returns once `service` has folded everything recorded so far. Raises `Unreachable` when it does not."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while behind := self.node.get(f"/{service}/v1/lag")["behind"]:
            if time.monotonic() > deadline:
                told = ", ".join(f"{ledger} ({count})" for ledger, count in behind.items())
                raise Unreachable(
                    f"{service} does not get level: {told}", remedy="`pilotmesh doctor` looks for the cause."
                )
            time.sleep(0.05)


def in_parallel(tasks: Iterable[Callable[[], Any]]) -> None:
    """Runs all, several at a time; raises the first trouble after those that had begun have ended."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="load") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def with_ids(record: Record, pilots: Mapping[str, str]) -> Record:
    """The record with pilots' ids where it names them as the sample does."""

    def put(value: Any) -> Any:
        if isinstance(value, list):
            return [put(one) for one in value]
        return pilots.get(value, value) if isinstance(value, str) else value

    return {name: put(value) for name, value in record.items()}


def _admin(name: str) -> tuple[str, str]:
    """Whose post an `agency/…` is, and in which role."""
    return name.split("/", maxsplit=1)[0], "admin"


def _officer(name: str) -> tuple[str, str]:
    return name.split("/", maxsplit=1)[0], "officer"


def _key(kind: str, name: str) -> str:
    return f"sample/{kind}/{name}"
