"""Subscriptions and deliveries as the notifier's own documents: no facts, they concern this node alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mongoengine import (
    DateTimeField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentListField,
    IntField,
    ListField,
    StringField,
)

from shared.ledger.store import Document as Raw

from .domain.deliveries import Attempt, Delivery
from .domain.filters import Filters
from .domain.subscriptions import Secret, Subscription

ALIAS = "notifier"


class SecretDocument(EmbeddedDocument):  # type: ignore[misc] # mongoengine ships no types
    value = StringField(required=True)
    until = DateTimeField()


class SubscriptionDocument(Document):  # type: ignore[misc] # mongoengine ships no types
    meta = {  # noqa: RUF012 - mongoengine reads it so
        "db_alias": ALIAS,
        "collection": "subscriptions",
        "strict": False,
        "auto_create_index": False,
        "indexes": ["agency", "status"],
    }

    id = StringField(primary_key=True)
    agency = StringField(required=True)
    actor = StringField(required=True)
    url = StringField(required=True)
    kinds = ListField(StringField())
    agencies = ListField(StringField())
    countries = ListField(StringField())
    goals = ListField(StringField())
    secrets = EmbeddedDocumentListField(SecretDocument)
    created_at = DateTimeField(required=True)
    begins_epoch = StringField(required=True)
    begins_after = IntField()
    status = StringField(required=True)
    reason = StringField()
    late_since = IntField()
    late_at = DateTimeField()
    request_digest = StringField()


class AttemptDocument(EmbeddedDocument):  # type: ignore[misc] # mongoengine ships no types
    at = DateTimeField(required=True)
    milliseconds = IntField(required=True)
    status = IntField()
    error = StringField()


class DeliveryDocument(Document):  # type: ignore[misc] # mongoengine ships no types
    meta = {  # noqa: RUF012 - mongoengine reads it so
        "db_alias": ALIAS,
        "collection": "deliveries",
        "strict": False,
        "auto_create_index": False,
        "indexes": [("status", "next_at"), ("agency", "order"), ("subscription", "status"), "event"],
    }

    id = StringField(primary_key=True)
    order = StringField(required=True)
    """Sorts deliveries by the time they were planned, then by id."""
    subscription = StringField(required=True)
    agency = StringField(required=True)
    channel = StringField(required=True)
    event = StringField(required=True)
    type = StringField(required=True)
    subject = StringField(required=True)
    planned_at = DateTimeField(required=True)
    next_at = DateTimeField(required=True)
    status = StringField(required=True)
    attempts = IntField(required=True)
    body = StringField()
    upto = IntField()
    history = EmbeddedDocumentListField(AttemptDocument)
    ended_at = DateTimeField()
    reason = StringField()
    trace = StringField()
    claimed_until = DateTimeField()
    claimed_by = StringField()


def ensure_indexes() -> None:
    SubscriptionDocument.ensure_indexes()
    DeliveryDocument.ensure_indexes()


def raw_of_subscription(subscription: Subscription) -> Raw:
    return {
        "_id": subscription.id,
        "agency": subscription.agency,
        "actor": subscription.actor,
        "url": subscription.url,
        **subscription.filters.as_json(),
        "secrets": raw_of_secrets(subscription.secrets),
        "created_at": subscription.created_at,
        "begins_epoch": subscription.begins_epoch,
        "begins_after": subscription.begins_after,
        "status": subscription.status,
        "reason": subscription.reason,
        "request_digest": subscription.request_digest,
    }


def raw_of_secrets(secrets: Iterable[Secret]) -> list[Raw]:
    return [{"value": secret.value, "until": secret.until} for secret in secrets]


def subscription_of(raw: Mapping[str, Any]) -> Subscription:
    return Subscription(
        id=raw["_id"],
        agency=raw["agency"],
        actor=raw["actor"],
        url=raw["url"],
        filters=Filters(*(frozenset(raw[sort]) for sort in ("kinds", "agencies", "countries", "goals"))),
        secrets=tuple(Secret(one["value"], one.get("until")) for one in raw["secrets"]),
        created_at=raw["created_at"],
        begins_epoch=raw["begins_epoch"],
        begins_after=raw["begins_after"],
        status=raw["status"],
        reason=raw.get("reason"),
        late_since=raw.get("late_since"),
        late_at=raw.get("late_at"),
        request_digest=raw.get("request_digest") or "",
    )


def raw_of_attempt(attempt: Attempt) -> Raw:
    return {
        "at": attempt.at,
        "milliseconds": attempt.milliseconds,
        "status": attempt.status,
        "error": attempt.error,
    }


def raw_of_delivery(delivery: Delivery) -> Raw:
    return {
        "_id": delivery.id,
        "order": f"{delivery.planned_at.isoformat()}|{delivery.id}",
        "subscription": delivery.subscription,
        "agency": delivery.agency,
        "channel": delivery.channel,
        "event": delivery.event,
        "type": delivery.type,
        "subject": delivery.subject,
        "planned_at": delivery.planned_at,
        "next_at": delivery.next_at,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "body": delivery.body,
        "upto": delivery.upto,
        "history": [raw_of_attempt(attempt) for attempt in delivery.history],
        "ended_at": delivery.ended_at,
        "reason": delivery.reason,
        "trace": delivery.trace,
        "claimed_until": None,
    }


def delivery_of_raw(raw: Mapping[str, Any]) -> Delivery:
    return Delivery(
        id=raw["_id"],
        subscription=raw["subscription"],
        agency=raw["agency"],
        channel=raw["channel"],
        event=raw["event"],
        type=raw["type"],
        subject=raw["subject"],
        planned_at=raw["planned_at"],
        next_at=raw["next_at"],
        status=raw["status"],
        attempts=raw["attempts"],
        body=raw.get("body"),
        upto=raw.get("upto"),
        history=tuple(
            Attempt(one["at"], one["milliseconds"], one.get("status"), one.get("error"))
            for one in raw.get("history") or ()
        ),
        ended_at=raw.get("ended_at"),
        reason=raw.get("reason"),
        trace=raw.get("trace"),
    )
