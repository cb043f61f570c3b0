"""What reading a post brings to light: faults refuse it, notices travel with the answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from shared.problems import Fault, Invalid

SHOWN = 60  # characters of a found value that a sentence repeats
MOST_GUESSES = 40
MOST_FAULTS = 200  # a post with more is not a slip; the first ones tell enough

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the poster should know although the post was accepted. Same fields as a fault."""

    field: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "detail": self.detail}


@dataclass(slots=True)
class Findings:
    """Collects what was found; raises once, with everything."""

    faults: list[Fault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    _faulty: set[str] = field(default_factory=set)
    _guesses: int = 0

    def fault(self, at: str, code: str, detail: str) -> None:
        """One fault a place: the first is the cause, a second would be its echo."""
        if not self.faulty(at):
            self._faulty.add(at)
            self.faults.append(Fault(at, code, detail))

    def missing(self, at: str, detail: str) -> None:
        """A fault for what is not there, unless something faulty stood there and was taken out."""
        inside = (f"{at}.", f"{at}[")
        if not any(fault.field == at or fault.field.startswith(inside) for fault in self.faults):
            self.fault(at, "missing", detail)

    def notice(self, at: str, code: str, detail: str) -> None:
        notice = Notice(at, code, detail)
        if notice not in self.notices:
            self.notices.append(notice)

    def may_guess(self) -> bool:
        """Whether to look for what was meant: costs milliseconds, so a hostile post gets the first 40 only."""
        self._guesses += 1
        return self._guesses <= MOST_GUESSES

    def faulty(self, at: str) -> bool:
        return at in self._faulty

    def refuse_if_faulty(self) -> None:
        """Raises `Invalid` with all faults (the first 200); notices go with them, since a slip may explain a fault."""
        if not self.faults:
            return
        if self.notices:
            raise Invalid(self.faults[:MOST_FAULTS], notices=[notice.as_json() for notice in self.notices])
        raise Invalid(self.faults[:MOST_FAULTS])


def child(at: str, key: str | int) -> str:
    """The path of a member: `needs[0].code`; a name that is no plain word is quoted: `extra["a b"]`."""
    if isinstance(key, int):
        return f"{at}[{key}]"
    if _PLAIN_KEY.fullmatch(key):
        return f"{at}.{key}" if at else key
    return f"{at}[{json.dumps(key[:SHOWN])}]"


def shown(value: object) -> str:
    """A found value as it can stand in a sentence: JSON, ASCII escapes where text would not encode, cut short."""
    if isinstance(value, str):
        cut = value if len(value) <= SHOWN else value[:SHOWN] + "…"
        return '"' + cut.encode("utf-8", "backslashreplace").decode() + '"'
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**SHOWN else "a number of more than 60 digits"
    if isinstance(value, float):
        return repr(value)
    return "a list" if isinstance(value, list) else "an object"
