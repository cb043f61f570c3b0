"""Who is calling: the bearer token of a request, turned into an actor."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from shared.access.actors import Actor, Actors
from shared.problems import Unauthenticated

_bearer = HTTPBearer(auto_error=False, description="A token of an actor of a hosted agency.")


async def caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Actor:
    """Raises Unauthenticated without a valid token."""
    if credentials is None:
        raise Unauthenticated("Send `Authorization: Bearer <token>`. Ask your agency's admin for a token.")
    actors: Actors = request.app.state.actors
    known = actors.cached(credentials.credentials)
    if known is not None:
        return known
    return await run_in_threadpool(actors.by_token, credentials.credentials)


Caller = Annotated[Actor, Depends(caller)]
