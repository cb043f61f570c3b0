"""Personal data in a registry post: a fault where the record leaves the agency, a notice where it stays."""

from __future__ import annotations

from typing import Any

from services.registry.records.findings import Findings
from shared.personal_data import finds_in


def check_personal(record: Any, findings: Findings, *, refuse: bool) -> None:
    """Adds a fault for each text that holds personal data; only a notice where the record stays in the agency."""
    for at, found in finds_in(record):
        said = f"{found[0].upper()}{found[1:]} was found:"
        if refuse:
            findings.fault(at, "personal-data", f"{said} take it out, or keep the record private.")
        else:
            findings.notice(at, "personal-data", f"{said} it must be taken out before the record is shared.")
