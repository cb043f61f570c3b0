"""The node's events: as a stream (SSE), and as a list for clients that cannot hold a stream open."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from shared.http.caller import Caller
from shared.http.paging import Paged, list_answer
from shared.problems import Fault, Invalid, TooMany

from ..domain.filters import SORTS, Filters, read_filters
from ..domain.places import position_in, told_place
from ..journal import Journal
from ..stream import Start, Streams
from ..tail import Tail

router = APIRouter(tags=["events"])

MOST_STREAMS = 2000
"""Open streams of one process."""
MOST_STREAMS_OF_AN_AGENCY = 500
"""Of those, what the actors of one agency may hold, so that none can shut the others out."""


class EventStream(StreamingResponse):
    """FastAPI's own class for this encodes every event anew; ours are bytes already, the same for every reader."""

    media_type = "text/event-stream"


def filters(
    kinds: Annotated[str | None, Query(max_length=2000, description="Kinds, with commas: `proposal,testbed`.")] = None,
    agencies: Annotated[
        str | None, Query(max_length=2000, description="Agencies that own the record or are named in it: `wfp,fao`.")
    ] = None,
    countries: Annotated[str | None, Query(max_length=2000, description="ISO 3166-1: `ZMB,MWI`.")] = None,
    goals: Annotated[str | None, Query(max_length=2000, description="Goals from 1 to 17: `2,13`.")] = None,
) -> Filters:
    """Raises Invalid with every value that is none. What is left out, or empty, asks for everything."""
    faults: list[Fault] = []
    said = zip(SORTS, (kinds, agencies, countries, goals), strict=True)
    asked = {sort: [one for one in (value or "").split(",") if one.strip()] for sort, value in said}
    read = read_filters(asked, faults)
    if faults:
        raise Invalid(faults)
    return read


Filtered = Annotated[Filters, Depends(filters)]

RESET = "The journal was started anew, or does not know that id. Everything you may see follows from the start."


@router.get(
    "/v1/stream",
    summary="Follow what happens, live (SSE)",
    response_class=EventStream,
    responses={200: {"description": "CloudEvents 1.0, one per event; `id` is `<journal epoch>.<position>`."}},
)
async def stream(
    request: Request,
    caller: Caller,
    filtered: Filtered,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Goes on after this event, without loss or repetition.")
    ] = None,
    resume_after: Annotated[
        str | None, Query(alias="last_event_id", max_length=100, description="The same, where no header can be set.")
    ] = None,
    begin: Annotated[
        Literal["now", "start"], Query(alias="from", description="Where to begin without an event id.")
    ] = "now",
) -> EventStream:
    streams: Streams = request.app.state.streams
    if streams.open_now >= MOST_STREAMS:
        raise TooMany("Too many streams are open on this node; try again in a minute.", retry_after=60)
    if streams.open_by_agency[caller.agency] >= MOST_STREAMS_OF_AN_AGENCY:
        raise TooMany(
            f"Your agency holds {MOST_STREAMS_OF_AN_AGENCY} streams open here; close some of them.", retry_after=60
        )
    tail: Tail = request.app.state.tail
    journal: Journal = request.app.state.journal
    start = Start(tail.last if begin == "now" else 0)
    place = last_event_id or resume_after
    if place:
        head = await run_in_threadpool(journal.durable_head)
        position = position_in(place, journal.epoch, head)
        start = Start(0, RESET) if position is None else Start(position)
    token = request.headers["authorization"].split(" ", 1)[1].strip()
    return EventStream(
        streams.frames(caller, token, filtered, start),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/v1/events", summary="What happened, oldest first")
def events(
    request: Request,
    caller: Caller,
    filtered: Filtered,
    page: Paged,
    after: Annotated[
        str | None, Query(max_length=100, description="Begins after this event of the stream (its `id`).")
    ] = None,
) -> JSONResponse:
    """`items: [{id, event}]`; `upto` is the place to open the stream at (`last_event_id`) once `next` is null."""
    journal: Journal = request.app.state.journal
    begin, field = (after, "after") if page.after is None else (page.after, "cursor")
    head = journal.durable_head()
    position = 0 if begin is None else position_in(begin, journal.epoch, head)
    if position is None:
        raise Invalid(
            [Fault(field, "place", "not a place in this journal; it may have been started anew: leave it out")]
        )
    clauses = [request.app.state.circles.sight(caller.agency).as_query(), *filtered.as_query()]
    entries, upto = journal.page(position, page.limit, clauses, head)
    bodies = journal.bodies(entries)
    if len(bodies) < len(entries):
        upto = bodies[-1][0].position
    items: list[dict[str, Any]] = [
        {"id": told_place(journal.epoch, entry.position), "event": json.loads(body)} for entry, body in bodies if body
    ]
    place = told_place(journal.epoch, upto)
    return list_answer(request, items, place if upto < head else None, upto=place)
