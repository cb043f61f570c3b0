"""When notices are tried again, how they are signed, and where they never go."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from services.notifier.channels.addresses import Refused, address_for, is_public
from services.notifier.channels.webhook import WebhookClient, signed_headers
from services.notifier.domain.deliveries import delivery_of, digest_of, goes_into_digest
from services.notifier.domain.entries import About
from services.notifier.domain.filters import Filters
from services.notifier.domain.places import position_in, told_place
from services.notifier.domain.schedule import ATTEMPTS, DELAYS, JITTER, asked_delay, outcome
from services.notifier.domain.subscriptions import (
    ROTATION,
    Secret,
    Subscription,
    read_subscription,
    rotated,
    secret_of,
)
from services.notifier.domain.visibility import Sight
from shared.problems import Invalid

from .examples import MESH, NOW, entry

OLD, NEW = secret_of(b"o" * 32), secret_of(b"n" * 32)


def subscription(**changed: object) -> Subscription:
    fields: dict[str, object] = {
        "id": "0198c0de-0000-7000-8000-00000000b00c",
        "agency": "wfp",
        "actor": "0198c0de-0000-7000-8000-0000000000ac",
        "url": "https://example.org/hook",
        "filters": Filters(),
        "secrets": (Secret(OLD),),
        "created_at": NOW,
        "begins_epoch": "abc",
        "begins_after": 10,
    }
    return Subscription(**{**fields, **changed})  # type: ignore[arg-type]


def after(status: int | None, attempt: int = 1, chance: float = 0.0, **headers: str) -> tuple[str, timedelta | None]:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    result = outcome(status, told, attempt=attempt, planned_at=NOW, now=NOW, chance=chance)
    return result.what, None if result.at is None else result.at - NOW


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_means_delivered(status: int) -> None:
    assert after(status) == ("delivered", None)


def test_gone_ends_the_subscription() -> None:
    assert after(410) == ("gone", None)


@pytest.mark.parametrize("status", [None, 301, 400, 401, 404, 429, 500, 503])
def test_everything_else_is_tried_again_with_growing_delay_and_then_given_up(status: int | None) -> None:
    delays = [after(status, attempt)[1] for attempt in range(1, ATTEMPTS)]
    assert delays == list(DELAYS)
    assert sorted(DELAYS) == list(DELAYS)
    assert after(status, ATTEMPTS) == ("dead", None)
    assert timedelta(days=3) <= sum(DELAYS, timedelta()) <= timedelta(days=4)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, ATTEMPTS - 1))
def test_chance_lengthens_a_delay_by_a_fifth_at_most(chance: float, attempt: int) -> None:
    what, delay = after(500, attempt, chance)
    assert what == "retry"
    assert delay is not None
    assert DELAYS[attempt - 1] <= delay <= DELAYS[attempt - 1] * (1 + JITTER)


def test_a_receivers_retry_after_is_honoured_within_a_day() -> None:
    assert after(429, retry_after="120")[1] == timedelta(minutes=2)
    assert after(503, retry_after="Sun, 22 Nov 2026 12:30:00 GMT")[1] == timedelta(minutes=30)
    assert after(503, retry_after="99999999999")[1] == timedelta(days=1)
    assert after(503, retry_after="1")[1] == DELAYS[0], "never sooner than by itself"
    assert after(500, retry_after="120")[1] == DELAYS[0], "only with 429 and 503"
    for nonsense in ("", "soon", "-5", "²"):
        assert asked_delay(nonsense, NOW) == timedelta(0)


def test_what_waited_too_long_for_room_is_given_up() -> None:
    result = outcome(500, {}, attempt=2, planned_at=NOW - timedelta(days=8), now=NOW, chance=0)
    assert result.what == "dead"


def test_a_notice_verifies_with_the_library_that_receivers_use() -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    body = json.dumps({"title": "Café"}, ensure_ascii=False)
    headers = signed_headers("msg", now, body, [NEW, OLD])
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(body.encode(), headers) == {"title": "Café"}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(b"x" * 32)).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body + " ", headers)


def test_the_old_secret_signs_for_a_day_after_it_was_replaced() -> None:
    both = subscription(secrets=rotated((Secret(OLD),), NEW, NOW))
    assert both.signing_secrets(NOW + ROTATION / 2) == [NEW, OLD]
    assert both.signing_secrets(NOW + ROTATION * 2) == [NEW]
    third = rotated(both.secrets, secret_of(b"t" * 32), NOW + ROTATION * 2)
    assert OLD not in [secret.value for secret in third]


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1"),
    ],
)
def test_loopback_private_link_local_and_other_inner_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "::1", "no-such-host.invalid"])
def test_names_are_judged_by_where_they_lead(host: str) -> None:
    with pytest.raises(Refused):
        asyncio.run(address_for(host, 80, allow_private=False))


def test_what_is_refused_is_said_and_never_raised() -> None:
    async def post() -> str | None:
        client = WebhookClient(allow_private=False, user_agent="test")
        try:
            return (await client.post("http://localhost:1/x", "{}", {})).error
        finally:
            await client.close()

    assert "no public address" in (asyncio.run(post()) or "")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/", "https://", "example.org/hook", "https://user:pass@example.org/", "https://a.b/#there"),
        *(
            "https://exa mple.org/",
            "http://[::1",
            "https://a:99999/",
            "javascript:alert(1)",
            "https://ex\u00e4mple.org/",
            "",
        ),
        *("http://a\\@b/", "http://a:0/", 5, None),
    ],
)
def test_addresses_that_are_none_are_refused(url: object) -> None:
    with pytest.raises(Invalid) as refusal:
        read_subscription({"url": url})
    assert [fault.field for fault in refusal.value.faults] == ["url"]


def test_a_subscription_is_told_what_it_asked_for_from_where_it_began() -> None:
    mine = subscription(filters=Filters(countries=frozenset({"ZMB"})))
    sight = Sight("wfp")
    assert not mine.wants(entry(10), "abc", sight)
    assert mine.wants(entry(11), "abc", sight)
    assert mine.wants(entry(1), "another journal", sight)
    assert not mine.wants(entry(11, About(("pilot",), ("MWI",))), "abc", sight)
    assert not mine.wants(entry(11, agency="fao", audience="private"), "abc", sight)
    assert not mine.wants(entry(11, planned=False), "abc", sight), "rebuilds never plan"
    assert not subscription(begins_after=None).wants(entry(11), "abc", sight)
    assert not subscription(status="ended").wants(entry(11), "abc", sight)
    assert subscription(status="paused").wants(entry(11), "abc", sight)


def test_a_delivery_planned_twice_is_one() -> None:
    assert delivery_of(subscription(), entry(11), NOW) == delivery_of(subscription(), entry(11), NOW)
    assert delivery_of(subscription(), entry(11), NOW).id != delivery_of(subscription(), entry(12), NOW).id


def test_late_events_go_into_a_digest_unless_they_ask_for_an_action() -> None:
    yesterday = NOW - timedelta(hours=25)
    assert goes_into_digest(entry(time=yesterday))
    assert not goes_into_digest(entry(time=NOW - timedelta(hours=23)))
    assert not goes_into_digest(entry(about=About(("proposal",), asks=True), time=yesterday))


def test_a_digest_counts_everything_names_the_first_ones_and_holds_no_content() -> None:
    entries = [entry(position, time=NOW - timedelta(days=2)) for position in range(11, 300)]
    digest = digest_of(subscription(), MESH, entries, ("abc.10", "abc.299"), NOW)
    assert digest.upto == 299
    assert digest.body is not None
    event = json.loads(digest.body)
    assert event["type"] == "org.pilotmesh.digest.compiled.v1"
    assert event["data"]["count"] == 289
    assert event["data"]["by_type"] == {"org.pilotmesh.pilot.registered.v1": 289}
    assert len(event["data"]["events"]) == 200
    assert set(event["data"]["events"][0]) == {"id", "type", "subject", "time"}
    assert (event["data"]["after"], event["data"]["upto"]) == ("abc.10", "abc.299")


def test_a_place_is_good_for_its_own_journal_and_no_further_than_that_has_come() -> None:
    assert position_in(told_place("abc", 5), "abc", 5) == 5
    for place in ("abc.6", "abd.5", "abc", "5", "abc.-1", "abc.5.5", "abc.٥", ""):
        assert position_in(place, "abc", 5) is None
