"""From the state of a record to the columns that matching queries. Pure; reads any state, also a newer node's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.facts.fact import rfc3339
from shared.ledger.rows import Row

State = Mapping[str, Any]
Columns = dict[str, Any]


def pilot_columns(row: Row) -> Columns:
    state = row.state
    return {
        "lead": _word(state.get("lead_agency")),
        "life": _word(state.get("life")),
        "needs": _words(need.get("code") for need in _objects(state.get("needs"))),
        "countries": _words(state.get("countries")),
    }


def capability_columns(row: Row) -> Columns:
    return {"code": _word(row.state.get("code"))}


def nothing(_: Row) -> Columns:
    return {}


def proposal_columns(row: Row) -> Columns:
    state = row.state
    team = _objects(state.get("team"))
    invitations = _objects(state.get("invitations"))
    return {
        "audience": audience_of(row),
        "pilot": _word(state.get("pilot")),
        "lead": _word(state.get("lead")),
        "status": _word(state.get("status")),
        "agencies": _words(member.get("agency") for member in team),
        "invited": _words(one.get("agency") for one in invitations),
        "countries": _words(state.get("countries")),
        "capabilities": _words(cover.get("capability") for member in team for cover in _objects(member.get("covers"))),
        "readers": _circle_readers(row),
        "order": _order(row, state.get("made_at")),
    }


def response_columns(row: Row) -> Columns:
    state = row.state
    return {
        "audience": audience_of(row),
        "readers": _readers(row),
        "proposal": _word(state.get("proposal")),
        "lead": _word(state.get("lead")),
        "pilot": _word(state.get("pilot")),
        "decision": _word(state.get("decision")),
        "order": _order(row, state.get("responded_at")),
    }


def circle_columns(row: Row) -> Columns:
    """Questions and answers: within the circle that they name."""
    state = row.state
    return {
        "audience": audience_of(row),
        "readers": _readers(row),
        "proposal": _word(state.get("proposal")),
        "question": _word(state.get("question")),
    }


def testbed_columns(row: Row) -> Columns:
    state = row.state
    return {
        "audience": audience_of(row),
        "pilots": _words(state.get("pilots")),
        "agencies": _words(state.get("agencies")),
        "countries": _words(state.get("countries")),
        "status": _word(state.get("status")),
        "proposal": _word(state.get("proposal")),
        "readers": _circle_readers(row),
        "order": _order(row, state.get("formed_at")),
    }


def suspension_columns(row: Row) -> Columns:
    return {"testbed": _word(row.state.get("testbed")), "readers": _readers(row)}


def office_columns(row: Row) -> Columns:
    return {"countries": _words(row.state.get("countries"))}


def audience_of(row: Row) -> str:
    """`mesh`, `private` or a circle's UUID: where the shown state stands."""
    parts = row.shown.ledger.split(".")
    return parts[2] if len(parts) == 3 else "mesh"


def _readers(row: Row) -> list[str]:
    """Agencies of the circle that the record names, with its author's."""
    return sorted({row.key[0], *_words(row.state.get("agencies"))})


def _circle_readers(row: Row) -> list[str]:
    """Who reads what was taken back from the mesh to a circle; nobody is told of a draft by being in its team."""
    return _readers(row) if audience_of(row) not in ("mesh", "private") else []


def _order(row: Row, time: Any) -> str:
    """Sorts by time, newest last, and tells records of one moment apart, also those of one id."""
    return f"{time if isinstance(time, str) else rfc3339(row.shown.time)}|{row.id}|{row.key[0]}"


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _words(values: Any) -> list[str]:
    listed = values if isinstance(values, list) else [] if isinstance(values, (str, dict, type(None))) else list(values)
    return list(dict.fromkeys(one for one in listed if isinstance(one, str)))


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
