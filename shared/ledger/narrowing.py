"""Records that moved to a narrower ledger: what the wider one still shows of them is withdrawn there, by id only."""

from __future__ import annotations

from shared.ledger.ledger import Ledger
from shared.ledger.rows import WITHDRAWN, Row


def wider_ledger(row: Row) -> str | None:
    """The mesh-wide ledger that still shows the record although a later version stands in a narrower one."""
    shown = row.shown
    if not shown.is_live or shown.ledger.count(".") == 1:
        return None
    for track in row.tracks:
        if track.is_live and track.ledger.count(".") == 1 and track.version < shown.version:
            return track.ledger
    return None


def withdraw_from_mesh(ledger: Ledger, row: Row, trace: str | None = None) -> None:
    """The reaction to a narrowing; nothing where no wider ledger shows the record."""
    if wider_ledger(row) is None:
        return
    ledger.react(
        row.shown.hash,
        row.key[0],
        row.kind,
        WITHDRAWN,
        row.id,
        {"id": row.id, "withdrawn": True},
        version=row.version + 1,
        audience="mesh",
        trace=trace,
    )
