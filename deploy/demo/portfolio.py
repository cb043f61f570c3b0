"""The sample portfolio of examples/portfolio as plain values, its dates moved so that they make sense today."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from deploy.cli.speaking import Misused

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "portfolio"

Record = dict[str, Any]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH = re.compile(r"\d{4}-\d{2}")

QUARTER = 3
"""Dates move by whole quarters: the sample's observations are quarterly and must stay whole quarters."""


@dataclass(frozen=True)
class Portfolio:
    """Records by the names they have in the sample: pilots and results by file, capabilities by file and place."""

    as_of: date
    invented: frozenset[str]
    agencies: Mapping[str, Record]
    offices: Mapping[str, Record]
    pilots: Mapping[str, Record]
    capabilities: Mapping[str, Record]
    results: Mapping[str, Record]
    answers: tuple[Record, ...]

    def owner_of(self, pilot: str) -> str:
        """The slug of a pilot's lead agency."""
        return str(self.pilots[pilot]["lead_agency"])


def read(folder: Path = FOLDER, *, shift: int | None = None, today: date | None = None) -> tuple[Portfolio, int]:
    """The sample, and by how many months its dates were moved: by `shift`, else as `today` asks for.

    Raises `Misused` when the sample is not there.
    """
    if not (folder / "portfolio.yaml").exists():
        raise Misused(
            f"The sample portfolio is not at {folder}.",
            remedy="Run the demo from a checkout of the repository: the sample is not part of the package.",
        )
    about = _yaml(folder / "portfolio.yaml")
    as_of = date.fromisoformat(about["as_of"])
    if shift is None:
        shift = months_to_shift(as_of, today or date.today())  # noqa: DTZ011 - the reader's day, not an instant
    agencies = {one["slug"]: one for one in moved(_yaml(folder / "agencies.yaml"), shift)}
    capabilities = {
        f"{file.stem}/{number}": one
        for file in sorted((folder / "capabilities").glob("*.yaml"))
        for number, one in enumerate(moved(_yaml(file), shift))
    }
    portfolio = Portfolio(
        as_of=as_of,
        invented=frozenset(about["invented_agencies"]),
        agencies={slug: {k: v for k, v in one.items() if k != "offices"} for slug, one in agencies.items()},
        offices={
            f"{slug}/{office['code']}": {**office, "agency": slug}
            for slug, one in agencies.items()
            for office in one["offices"]
        },
        pilots={file.stem: moved(_yaml(file), shift) for file in sorted((folder / "pilots").glob("*.yaml"))},
        capabilities=capabilities,
        results={file.stem: moved(_yaml(file), shift) for file in sorted((folder / "observations").glob("*.yaml"))},
        answers=tuple(_yaml(folder / "answers.yaml")),
    )
    return portfolio, shift


def months_to_shift(as_of: date, today: date) -> int:
    """Whole quarters from `as_of` to `today`, never beyond `today`: what was confirmed must not lie in the future."""
    months = (today.year - as_of.year) * 12 + today.month - as_of.month - (today.day < as_of.day)
    return months // QUARTER * QUARTER


def moved(document: Any, months: int) -> Any:
    """Every day and month in a document, so many months later. The last day of a month stays the last."""
    if isinstance(document, dict):
        return {name: moved(value, months) for name, value in document.items()}
    if isinstance(document, list):
        return [moved(one, months) for one in document]
    if isinstance(document, str) and _DAY.fullmatch(document):
        return _later(date.fromisoformat(document), months).isoformat()
    if isinstance(document, str) and _MONTH.fullmatch(document):
        return _later(date.fromisoformat(f"{document}-01"), months).isoformat()[:7]
    return document


def _later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    is_last = day.day == calendar.monthrange(day.year, day.month)[1]
    return date(year, month + 1, last if is_last else min(day.day, last))


def _yaml(file: Path) -> Any:
    # PyYAML's own C loader where the platform has it: ten times faster, the same values.
    return yaml.load(file.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
