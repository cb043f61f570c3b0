"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["well", "odd", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`odd` is worth knowing and stops nothing; `wrong` does harm now. Neither comes without a remedy."""

    subject: str
    state: State
    said: str
    remedy: str = ""


def well(subject: str, said: str) -> Finding:
    return Finding(subject, "well", said)


def odd(subject: str, said: str, remedy: str) -> Finding:
    return Finding(subject, "odd", said, remedy)


def wrong(subject: str, said: str, remedy: str) -> Finding:
    return Finding(subject, "wrong", said, remedy)


def some(items: Iterable[str], most: int = 5) -> str:
    """The first few of a list, and how many more there are."""
    listed = list(items)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
