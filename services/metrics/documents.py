"""The read models of metrics: plans, batches of observations, published progress, and figures set from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mongoengine import BooleanField, DateTimeField, DictField, Document, IntField, ListField, StringField
from pymongo import ReplaceOne

from services.metrics import folds
from shared.ledger.documents import Columns, Rows, StateRow, row_id, rows_of
from shared.ledger.rows import Row

NAME = "metrics"


def _meta(collection: str, *indexes: str) -> dict[str, Any]:
    """Indexes only for what is asked: each costs every fold."""
    return {
        "db_alias": NAME,
        "collection": collection,
        "strict": False,
        "auto_create_index": False,
        "indexes": ["id_", *indexes],
    }


class PilotRow(StateRow):
    meta = _meta("pilots")
    lead = StringField()
    countries = ListField(StringField())
    goals = ListField(StringField())
    life = StringField()
    visibility = StringField()


class AgencyRow(StateRow):
    meta = _meta("agencies")
    small_cell = IntField(null=True)


class PlanRow(StateRow):
    meta = _meta("plans", "pilot")
    pilot = StringField()
    code = StringField()


class ObservationsRow(StateRow):
    """One batch: as many observations as one fact holds."""

    meta = _meta("observations", "upload", "indicators", "pilots")
    upload = StringField()
    complete = BooleanField()
    indicators = ListField(StringField())
    pilots = ListField(StringField())
    count = IntField()


class UploadRow(StateRow):
    meta = _meta("uploads", "upload")
    upload = StringField()
    parts = IntField()
    count = IntField()


class SnapshotRow(StateRow):
    meta = _meta("snapshots", "indicator", "pilot")
    pilot = StringField()
    indicator = StringField()
    period_start = StringField()
    edition = IntField()


class ProgressRow(StateRow):
    meta = _meta("progress", "indicator", "pilot")
    pilot = StringField()
    indicator = StringField()
    period_start = StringField()
    edition = IntField()


class PilotFigures(Document):  # type: ignore[misc] # mongoengine ships no types
    """What is known of one pilot from one source; set from its children, never added to."""

    meta = {  # noqa: RUF012 - mongoengine reads it so
        "db_alias": NAME,
        "collection": "figures",
        "auto_create_index": False,
        "strict": False,
        "indexes": ["pilot", "agency", "countries", "goals"],
    }
    key = StringField(primary_key=True)  # <pilot>|private or <pilot>|published
    pilot = StringField()
    agency = StringField()
    source = StringField()
    countries = ListField(StringField())
    goals = ListField(StringField())
    figures = DictField()
    set_at = DateTimeField()


DOCUMENTS: dict[str, type[StateRow]] = {
    "pilot": PilotRow,
    "agency": AgencyRow,
    "plan": PlanRow,
    "observations": ObservationsRow,
    "upload": UploadRow,
    "snapshot": SnapshotRow,
    "progress": ProgressRow,
}

COLUMNS: dict[str, Columns] = {
    "pilot": lambda row: folds.pilot_columns(row.state),
    "agency": lambda row: folds.agency_columns(row.state),
    "plan": lambda row: folds.plan_columns(row.state),
    "observations": lambda row: folds.observations_columns(row.state),
    "upload": lambda row: folds.upload_columns(row.state),
    "snapshot": lambda row: folds.figures_columns(row.state),
    "progress": lambda row: folds.figures_columns(row.state),
}


def metrics_rows() -> Rows:
    return Rows(DOCUMENTS, COLUMNS)


def find(kind: str, record_id: str) -> Row | None:
    """The record with this id, whoever owns it."""
    rows = rows_of(DOCUMENTS[kind].objects(id_=record_id).limit(2))
    return rows[0] if rows else None


def those(kind: str, ids: Iterable[str]) -> dict[str, Row]:
    """The live records with these ids."""
    found = rows_of(DOCUMENTS[kind].objects(__raw__={"id": {"$in": list(ids)}}))
    return {row.id: row for row in found if row.is_live}


def pilots_and_what_is_theirs(ids: Sequence[str]) -> tuple[dict[str, Row], dict[str, list[Row]], dict[str, list[Row]]]:
    """The records with these ids, gone or not, by id; their live plans; their published progress, oldest first."""
    pilots: dict[str, Row] = {}
    for row in rows_of(PilotRow.objects(__raw__={"id": {"$in": list(ids)}})):
        pilots.setdefault(row.id, row)
    theirs = {"pilot": {"$in": list(ids)}}
    plans = _by_pilot(rows_of(PlanRow.objects(__raw__=theirs)))
    progress = _by_pilot(sorted(rows_of(ProgressRow.objects(__raw__=theirs)), key=_age))
    return pilots, plans, progress


def plans_of(pilot: str) -> list[Row]:
    return [row for row in rows_of(PlanRow.objects(pilot=pilot)) if row.is_live]


def _by_pilot(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.is_live:
            found.setdefault(str(row.state.get("pilot")), []).append(row)
    return found


def _age(row: Row) -> tuple[datetime, tuple[int, int]]:
    return row.shown.time, row.shown.position


def batches_of(indicator: str) -> list[Row]:
    """The batches that speak of an indicator and count: their upload is complete."""
    batches = [row for row in rows_of(ObservationsRow.objects(indicators=indicator)) if row.is_live]
    open_uploads = {row.state["upload"] for row in batches if row.state.get("complete") is not True}
    complete = {
        (row.key[0], row.state.get("upload"))
        for row in rows_of(UploadRow.objects(__raw__={"upload": {"$in": sorted(open_uploads)}}))
        if row.is_live
    }
    return [
        row for row in batches if row.state.get("complete") is True or (row.key[0], row.state["upload"]) in complete
    ]


def standing_batches(indicator: str) -> dict[str, int]:
    """The row of each batch that speaks of an indicator and counts, and its revision; nothing of what it holds."""
    wanted = {"agency": 1, "upload": 1, "complete": 1, "live": 1, "revision": 1}
    found = list(ObservationsRow._get_collection().find({"indicators": indicator, "live": True}, wanted))
    open_uploads = {row["upload"] for row in found if not row["complete"]}
    complete = (
        {
            (row["agency"], row["upload"])
            for row in UploadRow._get_collection().find(
                {"upload": {"$in": sorted(open_uploads)}, "live": True}, {"agency": 1, "upload": 1}
            )
        }
        if open_uploads
        else set()
    )
    return {
        row["_id"]: row["revision"] for row in found if row["complete"] or (row["agency"], row["upload"]) in complete
    }


def batches(row_ids: Sequence[str]) -> dict[str, Row]:
    """These batches, whole, by their rows' ids."""
    if not row_ids:
        return {}
    found = rows_of(ObservationsRow.objects(__raw__={"_id": {"$in": list(row_ids)}}))
    return {row_id(row.key): row for row in found}


def batches_of_upload(agency: str, upload: str) -> list[Row]:
    return [row for row in rows_of(ObservationsRow.objects(upload=upload, agency=agency)) if row.is_live]


def snapshots_of(indicator: str) -> list[Row]:
    """Every edition of an indicator, oldest first."""
    found = [row for row in rows_of(SnapshotRow.objects(indicator=indicator)) if row.is_live]
    return sorted(found, key=_age)


def progress_of(pilot: str) -> list[Row]:
    found = [row for row in rows_of(ProgressRow.objects(pilot=pilot)) if row.is_live]
    return sorted(found, key=_age)


def set_figures(figures: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Sets what is known of pilots, by (pilot, source)."""
    operations = [
        ReplaceOne(
            {"_id": f"{pilot}|{source}"},
            {"_id": f"{pilot}|{source}", **document, "pilot": pilot, "source": source},
            upsert=True,
        )
        for (pilot, source), document in figures.items()
    ]
    if operations:
        PilotFigures._get_collection().bulk_write(operations, ordered=False)


def figures(query: dict[str, Any]) -> list[dict[str, Any]]:
    return list(PilotFigures._get_collection().find(query))
