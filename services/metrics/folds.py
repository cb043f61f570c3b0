"""From facts to what metrics queries: the columns of its rows. Pure; what is not understood is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.vocabulary import sdg

State = Mapping[str, Any]


def pilot_columns(state: State) -> dict[str, Any]:
    targets = [code for code in _words(state.get("sdg_targets")) if code in sdg.TARGETS]
    return {
        "lead": _word(state.get("lead_agency")),
        "countries": _words(state.get("countries")),
        "goals": sorted({sdg.TARGETS[code].goal for code in targets}),
        "life": _word(state.get("life")),
        "visibility": _word(state.get("visibility")) or "mesh",
    }


def agency_columns(state: State) -> dict[str, Any]:
    return {"small_cell": state["small_cell"] if isinstance(state.get("small_cell"), int) else None}


def plan_columns(state: State) -> dict[str, Any]:
    return {"pilot": _word(state.get("pilot")), "code": _word(state.get("code"))}


def lead_of(row: State, agency: str) -> str:
    """Whose indicator an observation is about: its reporter's own, unless it says whose."""
    return _word(row.get("lead")) or agency


def named(agency: str, record_id: str) -> str:
    """How columns and keys name a record: an id alone names none."""
    return f"{agency}/{record_id}"


def observations_columns(state: State, agency: str) -> dict[str, Any]:
    """Which indicators and pilots, with their leads, a batch speaks of, and to which upload it belongs."""
    rows = [row for row in state.get("rows") or () if isinstance(row, dict)]

    def spoken_of(field: str) -> list[str]:
        return sorted({named(lead_of(row, agency), row[field]) for row in rows if isinstance(row.get(field), str)})

    return {
        "upload": _word(state.get("upload")),
        "complete": state.get("complete") is True,
        "indicators": spoken_of("indicator"),
        "pilots": spoken_of("pilot"),
        "count": len(rows),
    }


def upload_columns(state: State) -> dict[str, Any]:
    return {"upload": _word(state.get("upload")), "parts": state.get("parts"), "count": state.get("rows")}


def figures_columns(state: State) -> dict[str, Any]:
    """Of a snapshot or of published progress: whose, of which indicator, for which period, in which edition."""
    progress = state.get("progress") if isinstance(state.get("progress"), dict) else state
    assert isinstance(progress, Mapping)
    period = progress.get("period")
    return {
        "pilot": _word(progress.get("pilot")),
        "indicator": _word(progress.get("indicator")),
        "period_start": _word(period.get("start")) if isinstance(period, dict) else None,
        "edition": progress.get("edition") if isinstance(progress.get("edition"), int) else None,
    }


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
