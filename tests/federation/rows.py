"""Rows as nodes may compare them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shared.facts.names import MESH_AUDIENCE, ledger_name
from shared.ledger.rows import Key, Row


def shared_rows(rows: dict[Key, Row]) -> Iterator[Row]:
    """Rows as every node of the mesh may know them."""
    for row in rows.values():
        tracks = tuple(one for one in row.tracks if ledger_name(one.ledger).audience == MESH_AUDIENCE)
        if tracks:
            yield replace(row, tracks=tracks)
