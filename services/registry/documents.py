"""The registry's read models: one collection a kind of record, and the queries that its lists answer."""

from __future__ import annotations

from typing import Any

from mongoengine import BooleanField, DictField, ListField, StringField

from services.registry import folds
from shared.ledger.documents import Columns, Rows, StateRow, rows_of
from shared.ledger.rows import Row

NAME = "registry"


def _meta(collection: str, *indexes: str) -> dict[str, Any]:
    usual = ["id_", "agency", *indexes]
    return {
        "db_alias": NAME,
        "collection": collection,
        "strict": False,
        "auto_create_index": False,
        "indexes": usual,
    }


class AgencyRow(StateRow):
    meta = _meta("agencies")
    title = DictField()
    kind = StringField()
    illustrative = BooleanField()
    search = StringField()


class OfficeRow(StateRow):
    meta = _meta("offices", "countries")
    title = DictField()
    kind = StringField()
    countries = ListField(StringField())
    visibility = StringField()
    search = StringField()


class PilotRow(StateRow):
    meta = _meta("pilots", "lead", "countries", "goals", "needs", "life")
    title = DictField()
    lead = StringField()
    countries = ListField(StringField())
    goals = ListField(StringField())
    targets = ListField(StringField())
    needs = ListField(StringField())
    groups = ListField(StringField())
    life = StringField()
    screening = StringField()
    visibility = StringField()
    illustrative = BooleanField()
    search = StringField()


class CapabilityRow(StateRow):
    meta = _meta("capabilities", "code", "delivers_to")
    title = DictField()
    code = StringField()
    layer = StringField()
    delivers_to = ListField(StringField(), null=True)
    visibility = StringField()
    illustrative = BooleanField()
    search = StringField()


class ScreeningRow(StateRow):
    meta = _meta("screenings", "pilot")
    pilot = StringField()
    result = StringField()


class TestbedRow(StateRow):
    """What matching says of testbeds: the registry only follows which pilots are in one."""

    __test__ = False
    meta = _meta("testbeds", "pilots")
    pilots = ListField(StringField())
    status = StringField()


DOCUMENTS: dict[str, type[StateRow]] = {
    "agency": AgencyRow,
    "office": OfficeRow,
    "pilot": PilotRow,
    "capability": CapabilityRow,
    "screening": ScreeningRow,
    "testbed": TestbedRow,
}

COLUMNS: dict[str, Columns] = {
    "agency": lambda row: folds.agency_columns(row.state),
    "office": lambda row: folds.office_columns(row.state),
    "pilot": lambda row: folds.pilot_columns(row.state),
    "capability": lambda row: folds.capability_columns(row.state),
    "screening": lambda row: folds.screening_columns(row.state),
    "testbed": lambda row: folds.testbed_columns(row.state),
}


def registry_rows() -> Rows:
    return Rows(DOCUMENTS, COLUMNS)


def find(kind: str, record_id: str) -> Row | None:
    """The record with this id, whoever owns it."""
    rows = rows_of(DOCUMENTS[kind].objects(id_=record_id).limit(2))
    return rows[0] if rows else None


def page(
    kind: str, query: dict[str, Any], *, reader: str, after: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """Live records that `reader`'s agency may see, newest first, at most `limit`; and the cursor if there may be more.

    `query` is a MongoDB filter over the kind's columns.
    """
    visible: dict[str, Any] = {"live": True, "$or": [{"visibility": {"$ne": "private"}}, {"agency": reader}]}
    clauses = [visible, query]
    if after is not None:
        clauses.append({"id": {"$lt": after}})
    found = DOCUMENTS[kind].objects(__raw__={"$and": clauses}).order_by("-id_").limit(limit + 1)
    rows = rows_of(found)
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
