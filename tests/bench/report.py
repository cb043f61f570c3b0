"""The measures as a table for people and as JSON for whatever keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .measures import Measure


def table(measures: Sequence[Measure], about: dict[str, Any]) -> Table:
    title = f"{about['database']}, {about['nats']}, {about['processors']} processors"
    shown = Table(title=title, caption="ratio: the node against the bare parts, in the same rounds", expand=False)
    shown.add_column("what")
    for column in ("node", "bare", "ratio", "to reach"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("remarks")
    for one in measures:
        shown.add_row(one.name, told(one.value, one.unit), _told_bare(one), _told_ratio(one), _told_goal(one), one.note)
    return shown


def told(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def _told_bare(measure: Measure) -> str:
    return "" if measure.bare_value is None else told(measure.bare_value, measure.unit)


def _told_ratio(measure: Measure) -> str:
    ratio = measure.ratio
    if ratio is None:
        return ""
    spread = [node / bare for node, bare in zip(measure.node, measure.bare, strict=True)]
    told_spread = f" ({min(spread):.2f}–{max(spread):.2f})" if len(spread) > 1 else ""
    return f"{ratio:.2f}×{told_spread}"


def _told_goal(measure: Measure) -> str:
    if measure.goal is None:
        return ""
    sign = "≥" if measure.goal.sense == "at least" else "≤"
    unit = f" {measure.unit}" if measure.ratio is None else "×"
    colour = "green" if measure.is_reached else "red"
    return f"[{colour}]{sign} {measure.goal.value:g}{unit}[/{colour}]"


def show(measures: Sequence[Measure], about: dict[str, Any]) -> None:
    Console(width=None if Console().is_terminal else 150).print(table(measures, about))


def write(file: Path, measures: Sequence[Measure], about: dict[str, Any]) -> None:
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "measures": [measure.as_json() for measure in measures],
    }
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
