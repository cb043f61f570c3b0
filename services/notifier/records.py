"""Reads and writes subscriptions and deliveries; hands out plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mongoengine.queryset.visitor import Q
from pymongo import InsertOne, ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from shared.ledger.appender import DUPLICATE_KEY
from shared.ledger.store import JOURNALED
from shared.ledger.store import Document as Raw
from shared.problems import NotFound

from .documents import (
    DeliveryDocument,
    SubscriptionDocument,
    delivery_of_raw,
    raw_of_attempt,
    raw_of_delivery,
    raw_of_subscription,
    subscription_of,
)
from .domain.deliveries import CANCELLED, WAITING, Attempt, Delivery
from .domain.subscriptions import ACTIVE, ENDED, Subscription

KEPT_ATTEMPTS = 20
CLAIM = timedelta(seconds=60)
"""A delivery that is being sent is not begun again for this long: longer than an attempt may take."""


def _journaled(document: Any) -> Collection[Raw]:
    collection: Collection[Raw] = document._get_collection().with_options(write_concern=JOURNALED)
    return collection


class Subscriptions:
    """Reads and writes subscriptions. Journaled: who was told that it is subscribed is subscribed."""

    def add(self, subscription: Subscription) -> bool:
        """False if it is there already."""
        try:
            _journaled(SubscriptionDocument).insert_one(raw_of_subscription(subscription))
        except DuplicateKeyError:
            return False
        return True

    def get(self, subscription_id: str, agency: str | None = None) -> Subscription:
        """Raises NotFound, also if it is another agency's."""
        query = SubscriptionDocument.objects(id=subscription_id)
        found = (query if agency is None else query.filter(agency=agency)).as_pymongo().first()
        if found is None:
            raise NotFound("Your agency has no such subscription.")
        return subscription_of(found)

    def of_agency(self, agency: str, limit: int, after: str | None) -> list[Subscription]:
        """In the order of their ids, which is that of their making."""
        query = SubscriptionDocument.objects(agency=agency)
        if after is not None:
            query = query.filter(id__gt=after)
        return [subscription_of(raw) for raw in query.order_by("id").limit(limit).as_pymongo()]

    def count(self, agency: str) -> int:
        return int(SubscriptionDocument.objects(agency=agency, status__ne=ENDED).count())

    def living(self) -> list[Subscription]:
        """All that have not ended, paused ones too."""
        return [subscription_of(raw) for raw in SubscriptionDocument.objects(status__ne=ENDED).as_pymongo()]

    def with_late(self) -> list[Subscription]:
        """Those for which late events wait for a digest."""
        query = SubscriptionDocument.objects(status__ne=ENDED, late_since__ne=None)
        return [subscription_of(raw) for raw in query.as_pymongo()]

    def active(self) -> dict[str, Subscription]:
        found = (subscription_of(raw) for raw in SubscriptionDocument.objects(status=ACTIVE).as_pymongo())
        return {subscription.id: subscription for subscription in found}

    def change(self, subscription_id: str, agency: str, **fields: Any) -> Subscription:
        """Sets these fields. Raises NotFound."""
        changed = _journaled(SubscriptionDocument).find_one_and_update(
            {"_id": subscription_id, "agency": agency}, {"$set": fields}, return_document=ReturnDocument.AFTER
        )
        if changed is None:
            raise NotFound("Your agency has no such subscription.")
        return subscription_of(changed)

    def remove(self, subscription_id: str, agency: str) -> None:
        """Raises NotFound."""
        if _journaled(SubscriptionDocument).delete_one({"_id": subscription_id, "agency": agency}).deleted_count == 0:
            raise NotFound("Your agency has no such subscription.")

    def note_late(self, first_positions: Mapping[str, int], at: datetime) -> None:
        """Late events, from these positions on, wait for a digest."""
        for subscription_id, position in first_positions.items():
            _journaled(SubscriptionDocument).update_one(
                {"_id": subscription_id}, {"$min": {"late_since": position}, "$set": {"late_at": at}}
            )

    def settle_late(self, subscription_id: str, since: int, following: int | None) -> None:
        """What was late from `since` on has its digest; `following` is the first late event after it, if any."""
        change = {"$unset": {"late_since": ""}} if following is None else {"$set": {"late_since": following}}
        _journaled(SubscriptionDocument).update_one({"_id": subscription_id, "late_since": since}, change)


class Deliveries:
    """Reads and writes deliveries. What is planned, claimed or recorded is on disk.

    `replica` names this process: a claim of another one is void, for only where the follower leads is anything sent.
    """

    def __init__(self, replica: str) -> None:
        self._me = replica

    def plan(self, deliveries: Iterable[Delivery]) -> int:
        """Adds those that are not there yet; returns how many were new."""
        operations = [InsertOne(raw_of_delivery(delivery)) for delivery in deliveries]
        if not operations:
            return 0
        try:
            return int(_journaled(DeliveryDocument).bulk_write(operations, ordered=False).inserted_count)
        except BulkWriteError as error:
            if any(problem["code"] != DUPLICATE_KEY for problem in error.details["writeErrors"]):
                raise
            return int(error.details["nInserted"])

    def get(self, delivery_id: str, agency: str | None = None) -> Delivery:
        """Raises NotFound, also if it is another agency's."""
        query = DeliveryDocument.objects(id=delivery_id)
        found = (query if agency is None else query.filter(agency=agency)).as_pymongo().first()
        if found is None:
            raise NotFound("Your agency has no such delivery.")
        return delivery_of_raw(found)

    def of_agency(self, agency: str, limit: int, before: str | None, **asked: str | None) -> list[tuple[str, Delivery]]:
        """Newest first, each with its place in the list; `asked` names fields that must have a value."""
        query = DeliveryDocument.objects(agency=agency, **{name: value for name, value in asked.items() if value})
        if before is not None:
            query = query.filter(order__lt=before)
        return [(raw["order"], delivery_of_raw(raw)) for raw in query.order_by("-order").limit(limit).as_pymongo()]

    def due(self, now: datetime, among: Sequence[str], limit: int) -> list[Delivery]:
        """Those of subscriptions `among` that wait no longer, longest waiting first."""
        free = Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_by__ne=self._me)
        query = DeliveryDocument.objects(free, status=WAITING, next_at__lte=now, subscription__in=list(among))
        return [delivery_of_raw(raw) for raw in query.order_by("next_at", "order").limit(limit).as_pymongo()]

    def claim(self, delivery: Delivery, now: datetime) -> bool:
        """Counts one more attempt before it is made; False if somebody else makes it, or nobody should any more."""
        answer = _journaled(DeliveryDocument).update_one(
            {
                "_id": delivery.id,
                "status": WAITING,
                "attempts": delivery.attempts,
                "$or": [{"claimed_until": None}, {"claimed_until": {"$lte": now}}, {"claimed_by": {"$ne": self._me}}],
            },
            {"$set": {"claimed_until": now + CLAIM, "claimed_by": self._me}, "$inc": {"attempts": 1}},
        )
        return answer.modified_count == 1

    def record(self, delivery_id: str, attempt: Attempt | None, **fields: Any) -> None:
        """Sets these fields after an attempt, which joins the record, and lets go of the claim."""
        change: Raw = {"$set": {**fields, "claimed_until": None}}
        if attempt is not None:
            change["$push"] = {"history": {"$each": [raw_of_attempt(attempt)], "$slice": -KEPT_ATTEMPTS}}
        _journaled(DeliveryDocument).update_one({"_id": delivery_id}, change)

    def again(self, delivery_id: str, agency: str, now: datetime) -> Delivery:
        """The delivery waits anew, with all its attempts before it. Raises NotFound."""
        fields: Raw = {"status": WAITING, "next_at": now, "attempts": 0, "planned_at": now}
        changed = _journaled(DeliveryDocument).find_one_and_update(
            {"_id": delivery_id, "agency": agency},
            {"$set": {**fields, "ended_at": None, "reason": None, "claimed_until": None}},
            return_document=ReturnDocument.AFTER,
        )
        if changed is None:
            raise NotFound("Your agency has no such delivery.")
        return delivery_of_raw(changed)

    def cancel(self, subscription_id: str, reason: str, now: datetime) -> int:
        """Ends all that still waits for this subscription."""
        answer = _journaled(DeliveryDocument).update_many(
            {"subscription": subscription_id, "status": WAITING},
            {"$set": {"status": CANCELLED, "reason": reason, "ended_at": now}},
        )
        return int(answer.modified_count)
