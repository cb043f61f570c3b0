"""Signed HTTP notices as Standard Webhooks 1.0 describes them (standardwebhooks.com)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from standardwebhooks import Webhook

from shared.facts.cloudevents import MEDIA_TYPE

from .addresses import Refused, address_for

TIMEOUT_SECONDS = 15.0
"""For one attempt, from resolving the name to the end of the answer's head."""
CONNECT_SECONDS = 5.0
READ_BYTES = 4096
BODY_SECONDS = 1.0
"""Of an answer's body no more is read than this, and no longer."""
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. Without an answer `status` is None and `error` says why."""

    milliseconds: int
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None


def signed_headers(message_id: str, at: datetime, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers of Standard Webhooks; one signature for each secret, the present one first."""
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


class WebhookClient:
    """Posts notices. Follows no redirects, keeps no connections, uses no proxies of the environment."""

    def __init__(self, *, allow_private: bool, user_agent: str) -> None:
        self._allow_private = allow_private
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            # A connection is made to an address, and could otherwise be used again for another name that has it.
            limits=httpx.Limits(max_keepalive_connections=0, max_connections=None),
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
            headers={"User-Agent": user_agent, "Accept": "*/*"},
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, url: str, body: str, headers: dict[str, str]) -> Answer:
        """Never raises for what a receiver does, or for where an address leads."""
        began = time.perf_counter()

        def spent() -> int:
            return round((time.perf_counter() - began) * 1000)

        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, answered = await self._post(url, body, headers)
        except TimeoutError:
            return Answer(spent(), error=f"no answer within {TIMEOUT_SECONDS:.0f} s")
        except Refused as refused:
            return Answer(spent(), error=str(refused))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Answer(spent(), error=f"{type(error).__name__}: {error}"[:300])
        if 300 <= status < 400:
            return Answer(spent(), status, answered, "redirects are not followed: subscribe the address itself")
        return Answer(spent(), status, answered)

    async def _post(self, url: str, body: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        target = httpx.URL(url)
        port = target.port or PORTS[target.scheme]
        host = target.raw_host.decode("ascii")
        address = await address_for(host.strip("[]"), port, allow_private=self._allow_private)
        request = self._client.build_request(
            "POST",
            target.copy_with(host=str(address)),
            content=body.encode(),
            headers={"Content-Type": MEDIA_TYPE, **headers, "Host": target.netloc.decode("ascii")},
            extensions={"sni_hostname": host},
        )
        answer = await self._client.send(request, stream=True)
        try:
            await _read_some(answer)
        finally:
            await answer.aclose()
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}


async def _read_some(answer: httpx.Response) -> None:
    """Takes a short body off the wire, so that the receiver sees its answer taken. The status alone counts."""
    read = 0
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(BODY_SECONDS):
            async for part in answer.aiter_raw():
                read += len(part)
                if read >= READ_BYTES:
                    return
