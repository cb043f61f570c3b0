"""The registry's read models: one collection a kind of record, and the queries that its lists answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mongoengine import BooleanField, DictField, ListField, StringField

from services.registry import folds
from shared.facts.names import MESH_AUDIENCE
from shared.http.recording import audience_of
from shared.ledger import owners
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
    audience = StringField()
    title = DictField()
    kind = StringField()
    illustrative = BooleanField()
    search = StringField()


class OfficeRow(StateRow):
    meta = _meta("offices", "countries")
    audience = StringField()
    title = DictField()
    kind = StringField()
    countries = ListField(StringField())
    visibility = StringField()
    search = StringField()


class PilotRow(StateRow):
    meta = _meta("pilots", "lead", "countries", "goals", "needs", "life")
    audience = StringField()
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
    audience = StringField()
    title = DictField()
    code = StringField()
    layer = StringField()
    delivers_to = ListField(StringField(), null=True)
    visibility = StringField()
    illustrative = BooleanField()
    search = StringField()


class ScreeningRow(StateRow):
    meta = _meta("screenings", "pilot")
    audience = StringField()
    pilot = StringField()
    result = StringField()


class TestbedRow(StateRow):
    """What matching says of testbeds: the registry only follows which pilots are in one."""

    __test__ = False
    meta = _meta("testbeds", "pilots")
    audience = StringField()
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


def _with_audience(project: Callable[[folds.State], dict[str, Any]]) -> Columns:
    """A record's columns, and the audience of the ledger that it stands in: what may be listed to whom goes by that
    and never by a field of the record, because a draft that is meant for the mesh is private until it opens."""
    return lambda row: {**project(row.state), "audience": audience_of(row)}


COLUMNS: dict[str, Columns] = {
    "agency": _with_audience(folds.agency_columns),
    "office": _with_audience(folds.office_columns),
    "pilot": _with_audience(folds.pilot_columns),
    "capability": _with_audience(folds.capability_columns),
    "screening": _with_audience(folds.screening_columns),
    "testbed": _with_audience(folds.testbed_columns),
}


def registry_rows() -> Rows:
    return Rows(DOCUMENTS, COLUMNS)


def owned(kind: str, agency: str, record_id: str) -> Row | None:
    """This agency's record with this id."""
    return owners.owned(DOCUMENTS, kind, agency, record_id)


def claims_to(kind: str, record_id: str) -> list[Row]:
    """Every agency's record with this id."""
    return owners.claims_to(DOCUMENTS, kind, record_id)


def screenings_of(agency: str, pilot: str) -> list[Row]:
    """What an agency answered about its own pilot."""
    return rows_of(ScreeningRow.objects(pilot=pilot, agency=agency))


def page(
    kind: str, query: dict[str, Any], *, reader: str, after: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """Live records that `reader`'s agency may see, newest first, about `limit`; and the cursor if there may be more.

    `query` is a MongoDB filter over the kind's columns.
    """
    visible: dict[str, Any] = {"live": True, "$or": [{"audience": MESH_AUDIENCE}, {"agency": reader}]}
    return owners.page_of(DOCUMENTS[kind], [visible, query], after, limit)
