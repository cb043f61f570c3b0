"""HTTP of the mesh service: how the node stands, whom it hosts, who may act, what was refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from shared.access.actors import Actor
from shared.facts.names import ledger_name
from shared.http.caller import Caller
from shared.http.posted import Body, describes
from shared.ledger.drafts import Author
from shared.ledger.verification import note_verification, verify_node
from shared.ledger.witness import foreign_heads
from shared.problems import Fault, Forbidden, Invalid, NotFound

from . import domain, heads
from .api_status import may_see

router = APIRouter()


class AgencyToHost(BaseModel):
    """An agency that this node shall host."""

    agency: str = Field(description="Slug: 2 to 32 lower-case letters, digits or hyphens.", examples=["wfp"])


class ActorPost(BaseModel):
    """A new actor. The name stays on this node and never enters a fact."""

    roles: list[str] = Field(description="Of viewer, officer, monitor, coordinator, approver, admin.")
    office: str | None = None
    countries: list[str] = Field(default_factory=list, description="ISO 3166-1 alpha-3; empty is all.")
    languages: list[str] = Field(default_factory=lambda: ["en"])
    name: str | None = None


class LinkPost(BaseModel):
    """For whom a sign-in link is made."""

    actor: str


class SessionPost(BaseModel):
    """A sign-in link's code, used up by this."""

    code: str


def operator(actor: Actor) -> Author:
    if not actor.is_operator:
        raise Forbidden("Only the node's operator may do this (the token under `node` in tokens.json).")
    return Author(actor.id, "admin")


def told_actor(actor: Actor) -> dict[str, Any]:
    return {
        "id": actor.id,
        "agency": actor.agency,
        "roles": sorted(actor.roles),
        "office": actor.office,
        "countries": list(actor.countries),
        "languages": list(actor.languages),
        "name": actor.name,
    }


@router.get("/v1/me", tags=["actors"], summary="Who this token is")
def me(caller: Caller) -> dict[str, Any]:
    return told_actor(caller)


@router.get("/v1/agencies", tags=["agencies"], summary="The roster's agencies")
def agencies(request: Request, caller: Caller) -> dict[str, Any]:  # noqa: ARG001 - any actor may ask, nobody else
    ground = request.app.state.parts.ground
    return {
        "items": [
            {
                "agency": member.agency,
                "public_key": member.public.hex(),
                "hosted_here": ground.keyring.hosts(member.agency),
                "node": member.node,
                "domain": member.domain,
                "status": member.status,
            }
            for member in ground.roster.members()
        ],
        "next": None,
    }


@router.post(
    "/v1/agencies",
    tags=["agencies"],
    status_code=201,
    summary="Host an agency on this node",
    openapi_extra=describes(AgencyToHost),
)
def host_agency(request: Request, caller: Caller, body: Body) -> JSONResponse:
    author = operator(caller)
    agency = domain.agency_to_host(body.as_object())
    told = request.app.state.hosting.host(agency, author, request.app.state.settings.url)
    return JSONResponse(told, 201)


@router.get("/v1/actors", tags=["actors"], summary="Your agency's actors")
def actors(request: Request, caller: Caller) -> dict[str, Any]:
    caller.acting_as("admin")
    known = request.app.state.actors.of_agency(caller.agency)
    return {"items": [told_actor(actor) for actor in known], "next": None}


@router.post(
    "/v1/actors",
    tags=["actors"],
    status_code=201,
    summary="Add an actor of your agency; its token is shown once",
    openapi_extra=describes(ActorPost),
)
def add_actor(request: Request, caller: Caller, body: Body) -> JSONResponse:
    caller.acting_as("admin")
    new = domain.new_actor(body.as_object())
    actor, token = request.app.state.actors.add(
        caller.agency,
        new.roles,
        office=new.office,
        countries=new.countries,
        languages=new.languages,
        name=new.name,
    )
    return JSONResponse({**told_actor(actor), "token": token}, 201)


@router.delete("/v1/actors/{actor_id}", tags=["actors"], status_code=204, summary="An actor leaves")
def remove_actor(request: Request, caller: Caller, actor_id: str) -> Response:
    caller.acting_as("admin")
    _own_actor(request, caller, actor_id)
    request.app.state.actors.leave(actor_id)
    return Response(status_code=204)


@router.post(
    "/v1/sign-in-links",
    tags=["actors"],
    status_code=201,
    summary="A link that signs an actor in once",
    openapi_extra=describes(LinkPost),
)
def make_link(request: Request, caller: Caller, body: Body) -> JSONResponse:
    caller.acting_as("admin")
    actor = _own_actor(request, caller, body.as_object().get("actor"))
    code = request.app.state.actors.make_link(actor.id)
    return JSONResponse({"url": f"{request.app.state.settings.url}/sign-in?code={code}", "code": code}, 201)


def _own_actor(request: Request, caller: Actor, actor_id: Any) -> Actor:
    if not isinstance(actor_id, str):
        raise Invalid([Fault("actor", "text", "an actor's id")])
    actor: Actor = request.app.state.actors.get(actor_id)
    if actor.agency != caller.agency:
        raise NotFound("No such actor of your agency.")
    return actor


@router.get("/v1/sign-in-links/{code}", tags=["actors"], summary="Whom a link would sign in; does not use it up")
def whose_link(request: Request, code: str) -> dict[str, Any]:
    return told_actor(request.app.state.actors.whose_link(code))


@router.post(
    "/v1/sessions",
    tags=["actors"],
    status_code=201,
    summary="Sign in with a link's code, which is used up",
    openapi_extra=describes(SessionPost),
)
def sign_in(request: Request, body: Body) -> JSONResponse:
    code = body.as_object().get("code")
    if not isinstance(code, str):
        raise Invalid([Fault("code", "text", "the code of a sign-in link")])
    actor, token = request.app.state.actors.sign_in(code)
    return JSONResponse({"actor": told_actor(actor), "token": token}, 201)


@router.delete("/v1/sessions", tags=["actors"], status_code=204, summary="Sign out")
def sign_out(request: Request, caller: Caller) -> Response:  # noqa: ARG001 - proves that the token is one
    request.app.state.actors.sign_out(request.headers["authorization"].split(" ", 1)[1].strip())
    return Response(status_code=204)


@router.get("/v1/heads", tags=["node"], summary="Signed heads of the ledgers of hosted agencies")
def all_heads(request: Request, caller: Caller) -> dict[str, Any]:
    ground = request.app.state.parts.ground
    signed = heads.signed_heads(ground.store, ground.keyring, ground.identity.mesh)
    return {
        "mesh": ground.identity.mesh,
        "items": [head for head in signed if may_see(caller, ledger_name(head["ledger"]))],
        "next": None,
    }


@router.post("/v1/verification", tags=["node"], summary="Walk every ledger and prove it")
def verify(request: Request, caller: Caller) -> dict[str, Any]:
    operator(caller)
    ground = request.app.state.parts.ground
    reports = verify_node(ground.store, ground.identity)
    missing = [*request.app.state.witness.missing(ground.store), *foreign_heads(ground.store).missing(ground.store)]
    proven = note_verification(ground.store, reports, missing, request.app.state.parts.ledger.now())
    return {
        "proven": proven,
        "ledgers": [
            {
                "ledger": report.ledger,
                "facts": report.facts,
                "redacted": report.redacted,
                "head": report.head.hash,
                "fault": report.fault,
            }
            for report in reports
        ],
        "missing_heads": missing,
    }


@router.post("/v1/ledgers/{ledger}/republication", tags=["node"], summary="Publish again what the stream lacks")
async def republish(
    request: Request, caller: Caller, ledger: str, first: Annotated[int, Query(alias="from", ge=1)] = 1
) -> dict[str, Any]:
    operator(caller)
    try:
        ledger_name(ledger)
    except ValueError as error:
        raise Invalid([Fault("ledger", "ledger", str(error))]) from error
    if ledger not in request.app.state.parts.ground.store.ledgers():
        raise NotFound(f"This node holds no ledger {ledger}.")
    published, present = await request.app.state.relay.republish(ledger, first)
    return {"ledger": ledger, "from": first, "published": published, "already_there": present}
