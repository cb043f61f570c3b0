"""A client of an event stream, as the HTML standard describes one, in a thread of its own."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

import httpx

from .running import RunningNode, until


@dataclass(frozen=True)
class Heard:
    """One dispatched event."""

    id: str
    name: str
    data: dict[str, Any]

    @property
    def position(self) -> int:
        return int(self.id.rsplit(".", 1)[1])


class EventReader:
    """Reads until the stream ends; with `comes_back`, opens it again after the last id, as browsers do."""

    def __init__(
        self, node: RunningNode, token: str, query: str = "", *, last_id: str = "", comes_back: bool = False
    ) -> None:
        self.heard: list[Heard] = []
        self.comments = 0
        self.last_id = last_id
        self.ended_well = False
        self.failures: list[int] = []
        self.connections = 0
        self._url = f"{node.url}/notifier/v1/stream{query}"
        self._token = token
        self._comes_back = comes_back
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[Heard]:
        return [one for one in self.heard if one.name == "message"]

    @property
    def ids(self) -> list[str]:
        """The CloudEvents' ids."""
        return [one.data["id"] for one in self.events]

    @property
    def types(self) -> list[str]:
        return [one.data["type"].removeprefix("org.pilotmesh.") for one in self.events]

    def opened(self) -> EventReader:
        """Once the stream is open: what happens from now on is heard."""
        until(lambda: self.connections and self.last_id, "the stream is open")
        return self

    def wait_for(self, count: int) -> EventReader:
        until(lambda: len(self.events) >= count, f"{count} events are heard, so far {self.types}")
        return self

    def wait_until_ended(self) -> EventReader:
        until(lambda: not self._thread.is_alive(), "the stream ends")
        return self

    def close(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except httpx.HTTPError:
                self.ended_well = False
            if not self._comes_back:
                return
            self._stopping.wait(0.2)

    def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        with (
            httpx.Client(timeout=httpx.Timeout(10, read=30), trust_env=False) as client,
            client.stream("GET", self._url, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                self.failures.append(answer.status_code)
                return
            self.connections += 1
            name, data = "message", []
            for line in answer.iter_lines():
                if self._stopping.is_set():
                    return
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if line == "":
                    if data:
                        self.heard.append(Heard(self.last_id, name, json.loads("\n".join(data))))
                    name, data = "message", []
                elif field == "":
                    self.comments += 1
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    self.last_id = value
            self.ended_well = True
