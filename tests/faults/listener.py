"""Somebody who follows the node's events and, cut off, goes on after the last one heard."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx

from tests.service.running import RunningNode


class Listener:
    """Events as they came, over all cuts. `places` are their ids, `events` the facts' places."""

    def __init__(self, node: RunningNode, token: str) -> None:
        self.places: list[str] = []
        self.events: list[str] = []
        self.resets = 0
        self.cuts = 0
        self._stopping = threading.Event()
        self._client = node.client(token)
        self._last: str | None = None
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> Listener:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)
        self._client.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (httpx.TransportError, httpx.StreamError):
                self.cuts += 1
                time.sleep(0.1)  # a client's pause before it connects again, in a thread of its own

    def _listen(self) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        params = {} if self._last else {"from": "start"}
        timeout = httpx.Timeout(30, read=1)
        with self._client.stream(
            "GET", "/notifier/v1/stream", headers=headers, params=params, timeout=timeout
        ) as answer:
            if answer.status_code != 200:
                raise httpx.StreamError(f"{answer.status_code}")
            frame: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(":")
                    frame[name] = value.strip()
                    continue
                self._take(frame)
                frame = {}
                if self._stopping.is_set():
                    return

    def _take(self, frame: dict[str, str]) -> None:
        if frame.get("event") == "reset":
            self.resets += 1
        elif "data" in frame and "event" not in frame:
            told: dict[str, Any] = json.loads(frame["data"])
            self.events.append(told["id"])
            self.places.append(frame["id"])
        if "id" in frame:
            self._last = frame["id"]
