"""The read models of metrics: plans, batches of observations, published progress, and figures set from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mongoengine import BooleanField, DateTimeField, DictField, Document, IntField, ListField, StringField
from pymongo import ReplaceOne

from services.metrics import folds
from shared.ledger import owners
from shared.ledger.documents import Columns, Rows, StateRow, row_id, rows_of
from shared.ledger.owners import Ref
from shared.ledger.rows import Row

NAME = "metrics"

ByPilot = dict[Ref, list[Row]]


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
    key = StringField(primary_key=True)  # <agency>/<pilot>|private or <agency>/<pilot>|published
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
    "observations": lambda row: folds.observations_columns(row.state, row.key[0]),
    "upload": lambda row: folds.upload_columns(row.state),
    "snapshot": lambda row: folds.figures_columns(row.state),
    "progress": lambda row: folds.figures_columns(row.state),
}


def metrics_rows() -> Rows:
    return Rows(DOCUMENTS, COLUMNS)


def owned(kind: str, agency: str, record_id: str) -> Row | None:
    """This agency's record with this id."""
    return owners.owned(DOCUMENTS, kind, agency, record_id)


def those_owned(kind: str, refs: Iterable[Ref]) -> dict[Ref, Row]:
    """The records that these agencies have under these ids."""
    return owners.those_owned(DOCUMENTS, kind, refs)


def claims_to(kind: str, record_id: str) -> list[Row]:
    """Every agency's record with this id."""
    return owners.claims_to(DOCUMENTS, kind, record_id)


def plans_claiming(indicators: Iterable[str]) -> dict[str, list[Row]]:
    """The live plans of all agencies with these ids, by id."""
    found: dict[str, list[Row]] = {}
    for row in rows_of(PlanRow.objects(__raw__={"id": {"$in": sorted(set(indicators))}})):
        if row.is_live:
            found.setdefault(row.id, []).append(row)
    return found


def pilot_of(row: Row) -> Ref:
    """The pilot that a plan or published progress is about: its lead's, who says so itself or is named in it."""
    return str(row.state.get("lead") or row.key[0]), str(row.state.get("pilot"))


def pilots_and_what_is_theirs(refs: Collection[Ref]) -> tuple[dict[Ref, Row], ByPilot, ByPilot]:
    """These pilots, gone or not; their live plans; their published progress, oldest first."""
    theirs = {"pilot": {"$in": sorted({pilot for _, pilot in refs})}}
    plans = _by_pilot(rows_of(PlanRow.objects(__raw__=theirs)))
    progress = _by_pilot(sorted(rows_of(ProgressRow.objects(__raw__=theirs)), key=_age))
    return those_owned("pilot", refs), plans, progress


def plans_of(lead: str, pilot: str) -> list[Row]:
    """The live plans of a lead for its pilot."""
    return [row for row in plans_about(pilot) if row.key[0] == lead]


def plans_about(pilot: str) -> list[Row]:
    """The live plans of every agency for its pilot with this id."""
    return [row for row in rows_of(PlanRow.objects(pilot=pilot)) if row.is_live]


def _by_pilot(rows: Iterable[Row]) -> ByPilot:
    found: ByPilot = {}
    for row in rows:
        if row.is_live:
            found.setdefault(pilot_of(row), []).append(row)
    return found


def _age(row: Row) -> tuple[datetime, tuple[int, int]]:
    return row.shown.time, row.shown.position


def batches_of(lead: str, indicator: str) -> list[Row]:
    """The batches that speak of a lead's indicator and count: their upload is complete."""
    batches = [row for row in rows_of(ObservationsRow.objects(indicators=folds.named(lead, indicator))) if row.is_live]
    open_uploads = {row.state["upload"] for row in batches if row.state.get("complete") is not True}
    complete = {
        (row.key[0], row.state.get("upload"))
        for row in rows_of(UploadRow.objects(__raw__={"upload": {"$in": sorted(open_uploads)}}))
        if row.is_live
    }
    return [
        row for row in batches if row.state.get("complete") is True or (row.key[0], row.state["upload"]) in complete
    ]


def standing_batches(lead: str, indicator: str) -> dict[str, int]:
    """The row of each batch that speaks of a lead's indicator and counts, and its revision; nothing of what it
    holds."""
    wanted = {"agency": 1, "upload": 1, "complete": 1, "live": 1, "revision": 1}
    asked = {"indicators": folds.named(lead, indicator), "live": True}
    found = list(ObservationsRow._get_collection().find(asked, wanted))
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


def snapshots_of(agency: str, lead: str, indicator: str) -> list[Row]:
    """Every edition that an agency made of a lead's indicator, oldest first."""
    found = rows_of(SnapshotRow.objects(indicator=indicator, agency=agency))
    theirs = [row for row in found if row.is_live and row.state.get("lead", row.key[0]) == lead]
    return sorted(theirs, key=_age)


def progress_of(lead: str, pilot: str) -> list[Row]:
    """What was published of a lead's pilot, by itself and by its partners."""
    found = [row for row in rows_of(ProgressRow.objects(pilot=pilot)) if row.is_live and pilot_of(row)[0] == lead]
    return sorted(found, key=_age)


def figures_key(pilot: Ref, source: str) -> str:
    return f"{folds.named(*pilot)}|{source}"


def set_figures(figures: Mapping[tuple[Ref, str], dict[str, Any]]) -> None:
    """Sets what is known of pilots, by (pilot, source)."""
    operations = [
        ReplaceOne(
            {"_id": figures_key(pilot, source)},
            {"_id": figures_key(pilot, source), **document, "agency": pilot[0], "pilot": pilot[1], "source": source},
            upsert=True,
        )
        for (pilot, source), document in figures.items()
    ]
    if operations:
        PilotFigures._get_collection().bulk_write(operations, ordered=False)


def figures(query: dict[str, Any]) -> list[dict[str, Any]]:
    return list(PilotFigures._get_collection().find(query))
