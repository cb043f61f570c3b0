"""Matching's read models: what it follows of the registry, and its own records; the queries of its lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mongoengine import ListField, StringField

from services.matching import folds
from services.matching.domain.standing import Answer
from shared.facts.fact import Rest
from shared.ledger import owners
from shared.ledger.documents import Columns, Rows, StateRow, row_of_raw, rows_of
from shared.ledger.owners import Ref, ref_of
from shared.ledger.rows import Row, Track

NAME = "matching"
SHARED = "shared"
"""Verb of the copy, without words, that the mesh gets of a record of a circle; nobody signed it as a person."""


def _meta(collection: str, *indexes: str) -> dict[str, Any]:
    return {
        "db_alias": NAME,
        "collection": collection,
        "strict": False,
        "auto_create_index": False,
        "indexes": ["id_", *indexes],
    }


class PilotRow(StateRow):
    meta = _meta("pilots", "lead", "needs")
    lead = StringField()
    life = StringField()
    needs = ListField(StringField())
    countries = ListField(StringField())


class CapabilityRow(StateRow):
    meta = _meta("capabilities")
    code = StringField()


class AgencyRow(StateRow):
    meta = _meta("agencies")


class OfficeRow(StateRow):
    meta = _meta("offices", "countries")
    countries = ListField(StringField())


class ProposalRow(StateRow):
    meta = _meta("proposals", "pilot", "agencies", "invited", "status", "capabilities", "countries")
    audience = StringField()
    readers = ListField(StringField())
    pilot = StringField()
    lead = StringField()
    status = StringField()
    agencies = ListField(StringField())
    invited = ListField(StringField())
    countries = ListField(StringField())
    capabilities = ListField(StringField())
    order = StringField()


class ResponseRow(StateRow):
    meta = _meta("responses", "proposal", "agency")
    audience = StringField()
    readers = ListField(StringField())
    proposal = StringField()
    lead = StringField()
    pilot = StringField()
    decision = StringField()
    order = StringField()


class QuestionRow(StateRow):
    meta = _meta("questions", "proposal")
    audience = StringField()
    readers = ListField(StringField())
    proposal = StringField()
    question = StringField()


class AnswerRow(StateRow):
    meta = _meta("answers", "proposal")
    audience = StringField()
    readers = ListField(StringField())
    proposal = StringField()
    question = StringField()


class TestbedRow(StateRow):
    __test__ = False
    meta = _meta("testbeds", "pilots", "agencies", "countries", "proposal")
    audience = StringField()
    readers = ListField(StringField())
    pilots = ListField(StringField())
    agencies = ListField(StringField())
    countries = ListField(StringField())
    status = StringField()
    proposal = StringField()
    order = StringField()


class SuspensionRow(StateRow):
    meta = _meta("suspensions", "testbed")
    testbed = StringField()
    readers = ListField(StringField())


class RulesRow(StateRow):
    meta = _meta("rules")


DOCUMENTS: dict[str, type[StateRow]] = {
    "pilot": PilotRow,
    "capability": CapabilityRow,
    "agency": AgencyRow,
    "office": OfficeRow,
    "proposal": ProposalRow,
    "response": ResponseRow,
    "question": QuestionRow,
    "answer": AnswerRow,
    "testbed": TestbedRow,
    "suspension": SuspensionRow,
    "rules": RulesRow,
}

COLUMNS: dict[str, Columns] = {
    "pilot": folds.pilot_columns,
    "capability": folds.capability_columns,
    "agency": folds.nothing,
    "office": folds.office_columns,
    "proposal": folds.proposal_columns,
    "response": folds.response_columns,
    "question": folds.circle_columns,
    "answer": folds.circle_columns,
    "testbed": folds.testbed_columns,
    "suspension": folds.suspension_columns,
    "rules": folds.nothing,
}


def matching_rows() -> Rows:
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


def named_by(row: Row, kind: str) -> Ref:
    """The proposal or testbed that a record of somebody else names: an id, and the lead it belongs to."""
    return str(row.state.get("lead")), str(row.state.get(kind))


def proposals_of(pilot: str, lead: str) -> list[Row]:
    """The lead's proposals for its pilot, the newest round first."""
    rows = [row for row in rows_of(ProposalRow.objects(pilot=pilot)) if row.key[0] == lead and row.state]
    return sorted(rows, key=lambda row: (-int(row.state.get("round") or 0), row.id))


def answers_to(proposals: Iterable[Row]) -> list[Answer]:
    """The responses to these proposals, and to earlier ones from which they carry acceptances."""
    wanted: set[Ref] = set()
    for row in proposals:
        wanted.add(ref_of(row))
        wanted.update((row.key[0], one["proposal"]) for one in row.state.get("carried") or ())
    if not wanted:
        return []
    found = rows_of(ResponseRow.objects(proposal__in=sorted({proposal for _, proposal in wanted})))
    said = (row for row in found if named_by(row, "proposal") in wanted)
    return [answer for row in said if (answer := answer_of(row)) is not None]


def suspensions_of(testbeds: Iterable[Row]) -> dict[Ref, list[Row]]:
    """What members of these testbeds declared of their own parts, in the order of their names."""
    wanted = {ref_of(row) for row in testbeds}
    found: dict[Ref, list[Row]] = {}
    rows = rows_of(SuspensionRow.objects(testbed__in=sorted({testbed for _, testbed in wanted}))) if wanted else []
    for row in sorted(rows, key=lambda one: one.key):
        if row.is_live and row.state.get("agency") == row.key[0] and named_by(row, "testbed") in wanted:
            found.setdefault(named_by(row, "testbed"), []).append(row)
    return found


def answer_of(row: Row) -> Answer | None:
    """A response as matching counts it; None where nothing readable is left of it."""
    state = row.state
    if not row.is_live or state.get("agency") != row.key[0]:
        return None
    signed = signed_track(row)
    return Answer(
        row.id,
        row.key[0],
        str(state.get("proposal")),
        str(state.get("proposal_hash")),
        str(state.get("decision")),
        str(state.get("responded_at")),
        state,
        Rest(signed.ledger, signed.epoch, signed.sequence, signed.hash),
    )


def signed_track(row: Row) -> Track:
    """The newest fact about a record that an actor signed, rather than the mesh's copy of it."""
    signed = [track for track in row.tracks if track.verb != SHARED]
    return max(signed or row.tracks, key=lambda track: track.version)


def page(
    kind: str, query: dict[str, Any], *, reader: str, after: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """Live records that `reader`'s agency may see, newest first; and the cursor if there may be more."""
    seen = [{"audience": "mesh"}, {"agency": reader}, {"readers": reader}]
    clauses: list[dict[str, Any]] = [{"live": True, "$or": seen}, query]
    if after is not None:
        clauses.append({"order": {"$lt": after}})
    found = DOCUMENTS[kind].objects(__raw__={"$and": clauses}).order_by("-order").limit(limit + 1)
    raws = list(found.as_pymongo())
    rows = [row_of_raw(raw) for raw in raws[:limit]]
    return rows, raws[limit - 1]["order"] if len(raws) > limit else None
