"""The steps between a command and everything that follows from it, as places where a process can be made to die.

Production code knows nothing of this: a step names a method, and `crash_at` wraps that method in a process that was
started for it (crashing_node.py). The process says where it dies and is gone, as by `kill -9`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CRASHED = "crashed at"
APPENDER = "appender"
"""The thread that inserts, folds inline and acknowledges; everything else that folds is the follower."""


@dataclass(frozen=True)
class Step:
    """`when`: before the method runs, after it succeeded, or `half`: after it did half of what it was asked.

    `thread`: only calls in threads with such a name count; with `!` before it, only calls in others. `service`:
    services without which the step is never reached. `most`: the crash comes at one of the first so many calls.
    """

    name: str
    owner: str
    method: str
    when: Literal["before", "after", "half"]
    thread: str = ""
    service: str = "registry"
    most: int = 12

    def counts(self, thread: str) -> bool:
        wanted, other = self.thread.removeprefix("!"), self.thread.startswith("!")
        return not wanted or thread.startswith(wanted) is not other


STORE, APPEND = "shared.ledger.store:LedgerStore", "shared.ledger.appender:Appender"
FOLLOWER, ROWS = "shared.ledger.follower:Follower", "shared.ledger.documents:Rows"
WORK, RELAY = "shared.ledger.work:Work", "services.mesh.relay:Relay"
PUBLISHER = "services.mesh.publishing:Publisher"
ACCEPTING, HEADS = "services.mesh.accepting:Accepting", "shared.ledger.witness:ForeignHeads"
LEDGER, JOURNAL = "shared.ledger.ledger:Ledger", "services.notifier.journal:Journal"
KEYRING = "shared.ledger.keyring:Keyring"
ACTORS, COLLECTION = "shared.access.actors:Actors", "pymongo.collection:Collection"

STEPS = (
    # the command
    Step("ledger listed, nothing inserted", STORE, "_list", "after"),
    Step("before the insert", STORE, "insert", "before"),
    Step("half of a batch inserted", STORE, "insert", "half", most=3),
    Step("inserted, tail not noted", STORE, "note_tails", "before"),
    Step("inserted, not folded inline", APPEND, "_acknowledge", "before"),
    Step("half of a batch folded inline", ROWS, "_write", "half", thread=APPENDER, most=2),
    Step("folded inline, not touched", ROWS, "fold", "after", thread=APPENDER),
    Step("touched inline, not acknowledged", WORK, "touch", "after", thread=APPENDER),
    Step("acknowledged, nobody told", APPEND, "_acknowledge", "after"),
    # the relay
    Step("before the publish", PUBLISHER, "publish_run", "before", service="mesh"),
    Step("published, position not kept", PUBLISHER, "publish_run", "after", service="mesh"),
    # the follower
    Step("before the fold", ROWS, "fold", "before", thread="!" + APPENDER),
    Step("folded, not touched", ROWS, "fold", "after", thread="!" + APPENDER),
    Step("touched, cursor not moved", WORK, "touch", "after", thread="!" + APPENDER),
    Step("before the cursor", FOLLOWER, "_move", "before"),
    Step("after the cursor", FOLLOWER, "_move", "after"),
    Step("lease taken, nothing loaded", FOLLOWER, "_load", "before", most=3),
    # reactions
    Step("before a reaction", LEDGER, "react", "before", most=4),
    Step("reacted, task not done", LEDGER, "react", "after", most=4),
    Step("after the task", WORK, "done", "after", most=6),
    # the notifier
    Step("before the journal", JOURNAL, "_insert", "before", service="notifier"),
    Step("half of a batch in the journal", JOURNAL, "_insert", "half", service="notifier", most=2),
    Step("in the journal, not learned", JOURNAL, "append", "after", service="notifier"),
)

REBUILDING = (
    Step("rebuilt, nothing swapped", ROWS, "take_the_place_of", "before", most=1),
    Step("some of the rebuilt rows swapped in", COLLECTION, "rename", "after", most=2),
    Step("rebuilt rows swapped in, cursors as before", ROWS, "take_the_place_of", "after", most=1),
)
"""Come to only while somebody has a service rebuilt."""

FIRST_START = (
    Step("before the operator is made", ACTORS, "add", "before", service="mesh", most=1),
    Step("after the operator is made", ACTORS, "add", "after", service="mesh", most=1),
)

HOSTING = (
    Step("key made, roster not written", KEYRING, "make", "after", service="mesh", most=1),
    Step("roster written, no admin made", APPEND, "_acknowledge", "before", service="mesh", most=1),
    Step("admin made, nobody told", ACTORS, "add", "after", service="mesh", most=1),
)
"""Come to only while an agency is hosted, on a node that has its operator."""

FORGETTING = (
    Step("forgotten in the store, no task kept", STORE, "forget", "after", service="mesh", most=1),
    Step("task kept, redacted copy not in the stream", RELAY, "fill", "before", service="mesh", most=1),
    Step("redacted copy in the stream, the other not deleted", RELAY, "fill", "after", service="mesh", most=1),
    Step("the other deleted, task not done", WORK, "done", "before", service="mesh", most=1),
)
"""Come to only while a fact is redacted."""

TAKING_IN = (
    Step("before others' facts are stored", ACCEPTING, "_insert", "before", service="mesh"),
    Step("half of others' facts stored", STORE, "insert", "half", thread="!" + APPENDER, service="mesh", most=2),
    Step("others' facts stored, not acknowledged", ACCEPTING, "take", "after", service="mesh"),
    Step("heads of others kept, nothing asked for", HEADS, "keep", "after", service="mesh", most=4),
)
"""Come to only while another node's facts come in."""

ALL = (*STEPS, *REBUILDING, *FIRST_START, *HOSTING, *FORGETTING, *TAKING_IN)


def crash_at(step: Step, call: int) -> None:
    """This process dies at the `call`-th time that it comes to `step`."""
    module, _, name = step.owner.partition(":")
    owner = getattr(importlib.import_module(module), name)
    original = owner.__dict__[step.method]
    die = _Countdown(step, call)
    setattr(owner, step.method, _WRAPPERS[step.when](original, die))


class _Countdown:
    def __init__(self, step: Step, calls: int) -> None:
        self._step, self._left = step, calls
        self._lock = threading.Lock()

    def counts(self) -> bool:
        return self._step.counts(threading.current_thread().name)

    def is_due(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0

    def now(self) -> None:
        os.write(1, f"{CRASHED} {self._step.name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def maybe_now(self) -> None:
        if self.counts() and self.is_due():
            self.now()


def _before(original: Callable[..., Any], die: _Countdown) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(*args: Any, **more: Any) -> Any:
        die.maybe_now()
        return original(*args, **more)  # a coroutine, where it is one: not yet begun

    return wrapper


def _after(original: Callable[..., Any], die: _Countdown) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(*args: Any, **more: Any) -> Any:
        answer = original(*args, **more)
        die.maybe_now()
        return answer

    @functools.wraps(original)
    async def asynchronous(*args: Any, **more: Any) -> Any:
        answer = await original(*args, **more)
        die.maybe_now()
        return answer

    return asynchronous if inspect.iscoroutinefunction(original) else wrapper


def _half(original: Callable[..., Any], die: _Countdown) -> Callable[..., Any]:
    """Only calls with two things or more to do count."""

    @functools.wraps(original)
    def wrapper(itself: Any, *args: Any, **more: Any) -> Any:
        if len(args[0]) > 1 and die.counts() and die.is_due():
            original(itself, *(first_half(one) for one in args), **more)
            die.now()
        return original(itself, *args, **more)

    return wrapper


_WRAPPERS = {"before": _before, "after": _after, "half": _half}


def first_half(things: Sequence[Any] | Mapping[Any, Any]) -> Any:
    if isinstance(things, Mapping):
        return dict(list(things.items())[: len(things) // 2])
    return things[: len(things) // 2]
