"""A draft that waits for the appender, and the ends it can come to besides being recorded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from shared.facts.fact import Fact
from shared.ledger.drafts import Draft, Recorded
from shared.ledger.store import Command
from shared.problems import ReusedKey, Stale


@dataclass(slots=True)
class Waiting:
    """One draft in the queue; `done` is its answer."""

    draft: Draft
    payload: bytes
    done: Future[Recorded] = field(default_factory=Future)
    attempts: int = 0
    tried: list[Fact] = field(default_factory=list)
    """What was sent for it before: an insert whose answer was lost may still land."""


def answer_repetition(waiting: Waiting, earlier: Command, fact: Fact) -> None:
    command = waiting.draft.command
    assert command is not None
    if command.digest != earlier.digest:
        refuse(
            [waiting],
            ReusedKey("This Idempotency-Key came with another body before; send a new key with a new request."),
        )
    elif waiting.done.set_running_or_notify_cancel():
        waiting.done.set_result(Recorded(fact, replayed=True, answer=earlier.answer))


def stale(draft: Draft, there: int) -> Stale:
    return Stale(
        f"{draft.subject} is at version {there}; this change was made for version {draft.version - 1}. "
        "Read it again and repeat the change.",
        current_version=there,
    )


def refuse(waiting: Sequence[Waiting], problem: Exception) -> None:
    for one in waiting:
        if one.done.set_running_or_notify_cancel():
            one.done.set_exception(problem)
