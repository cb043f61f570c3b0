"""Whose record an id names. An id names a record only together with its owner.

Ids are given out by whoever makes a record, and nobody can keep another agency from using one a second time in its own
ledger. So what one record says of another is looked up by owner and id; only where somebody asks by id alone (an
address) is it decided here whose record is meant, by who asks and never by what arrived first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.facts.names import SERVICE_OF
from shared.ledger.documents import StateRow, row_id, rows_of
from shared.ledger.rows import Key, Row
from shared.problems import SeveralOwners

Documents = Mapping[str, type[StateRow]]

Ref = tuple[str, str]
"""(agency, id): a record of a known kind."""


def key_of(kind: str, agency: str, record_id: str) -> Key:
    return (agency, SERVICE_OF[kind], f"{kind}/{record_id}")


def ref_of(row: Row) -> Ref:
    return (row.key[0], row.id)


def owned(documents: Documents, kind: str, agency: str, record_id: str) -> Row | None:
    """This agency's record with this id."""
    return those_owned(documents, kind, [(agency, record_id)]).get((agency, record_id))


def those_owned(documents: Documents, kind: str, refs: Iterable[Ref]) -> dict[Ref, Row]:
    """The records that these agencies have under these ids, gone or not."""
    wanted = sorted({row_id(key_of(kind, *ref)) for ref in refs})
    if not wanted:
        return {}
    return {ref_of(row): row for row in rows_of(documents[kind].objects(__raw__={"_id": {"$in": wanted}}))}


def claims_to(documents: Documents, kind: str, record_id: str) -> list[Row]:
    """Every agency's record with this id, gone or not, by the agencies' names."""
    return sorted(rows_of(documents[kind].objects(id_=record_id)), key=lambda row: row.key)


def page_of(
    document: type[StateRow], clauses: Sequence[Mapping[str, Any]], after: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """Rows that meet all clauses, by id, newest first; and the cursor if there may be more. At most `limit`, but that
    records of one id, each of another agency, stand on one page."""
    asked = [*clauses, *([{"id": {"$lt": after}}] if after is not None else [])]
    rows = rows_of(document.objects(__raw__={"$and": asked}).order_by("-id_").limit(limit + 1))
    shown = rows[:limit]
    if len(rows) > limit and rows[limit].id == shown[-1].id:
        last = rows_of(document.objects(__raw__={"$and": [*clauses, {"id": shown[-1].id}]}))
        shown += [row for row in last if row.key not in {one.key for one in shown}]
    return shown, shown[-1].id if len(rows) > limit else None


def the_one(
    claims: Sequence[Row], *, own: str | None, hosts: Callable[[str], bool], agency: str | None = None
) -> Row | None:
    """Which of the records with one id is meant: that of the `agency` named; else that of `own`, the agency that asks;
    else that of the only agency of this node that has one; else the only one there is. None where there is none.

    Raises SeveralOwners where that does not settle it. A record that was withdrawn is still somebody's: another's does
    not take its place.
    """
    if agency is not None:
        return next((row for row in claims if row.key[0] == agency), None)
    here = [row for row in claims if hosts(row.key[0])]
    asking = [row for row in claims if row.key[0] == own]
    for some in (asking, here, claims):
        if len(some) == 1:
            return some[0]
        if some:
            raise SeveralOwners.of(some[0].kind, some[0].id, [row.key[0] for row in some])
    return None
