"""Who is calling: the bearer token of a request, turned into an actor."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from shared.access.actors import Actor, Actors
from shared.problems import Unauthenticated


class CallerBearer(HTTPBearer):
    """The security scheme that answers the actor: one dependency a request, and not two."""

    def __init__(self) -> None:
        super().__init__(
            scheme_name="HTTPBearer", description="A token of an actor of a hosted agency.", auto_error=False
        )

    async def __call__(self, request: Request) -> Actor:  # type: ignore[override] # it answers whose token it is
        """Raises Unauthenticated without a valid token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send `Authorization: Bearer <token>`. Ask your agency's admin for a token.")
        actors: Actors = request.app.state.actors
        known = actors.cached(token)
        if known is not None:
            return known
        return await run_in_threadpool(actors.by_token, token)


Caller = Annotated[Actor, Depends(CallerBearer())]

Owner = Annotated[
    str | None,
    Query(alias="agency", max_length=32, description="Whose record is meant; needed where several have this id."),
]
