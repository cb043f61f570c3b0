"""A node's API in the shapes of its contract, in memory: what the pages are tried against without servers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.unit.pages import sample_records

PEOPLE: dict[str, dict[str, Any]] = {
    "approver": {
        "id": "p1",
        "agency": "wfp",
        "roles": ["officer", "coordinator", "approver"],
        "office": None,
        "countries": ["ZMB"],
        "languages": ["en"],
        "name": "Chanda",
    },
    "officer": {
        "id": "p2",
        "agency": "wfp",
        "roles": ["officer"],
        "office": None,
        "countries": [],
        "languages": ["fr"],
        "name": None,
    },
    "viewer": {
        "id": "p3",
        "agency": "agency-a",
        "roles": ["viewer"],
        "office": None,
        "countries": [],
        "languages": ["en"],
        "name": None,
    },
    "admin": {
        "id": "p5",
        "agency": "wfp",
        "roles": ["admin"],
        "office": None,
        "countries": [],
        "languages": ["en"],
        "name": None,
    },
    "lead": {
        "id": "p4",
        "agency": "fao",
        "roles": ["officer", "coordinator", "approver"],
        "office": None,
        "countries": [],
        "languages": ["en"],
        "name": None,
    },
}


class FakeNode:
    """`said` holds every change that was asked for as (method, path, body); `refuse` makes a path refuse, for one
    method with `refuse_only`; `notices` travel with changes of a pilot; `told` are answers by path."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refuse: dict[str, tuple[int, dict[str, Any]]] = {}
        self.refuse_only = ""
        self.notices: list[dict[str, str]] = []
        self.sessions = {f"session-{name}": person for name, person in PEOPLE.items()}
        self.links = {"good-code": "approver"}
        self.pilots = copy.deepcopy(sample_records.PILOTS)
        self.proposals = copy.deepcopy(sample_records.PROPOSALS)
        self.testbeds = copy.deepcopy(sample_records.TESTBEDS)
        self.told: dict[str, Any] = {}
        self.app = Starlette(
            routes=[
                Route("/{path:path}", self.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            ]
        )

    async def answer(self, request: Request) -> Response:
        path, body = "/" + request.path_params["path"], await request.body()
        posted: Any = json.loads(body) if body else None
        if request.method != "GET":
            self.said.append((request.method, path, posted))
            self.headers.append(dict(request.headers))
        if path in self.refuse and self.refuse_only in ("", request.method):
            status, document = self.refuse[path]
            return JSONResponse(document, status, media_type="application/problem+json")
        if path.startswith("/mesh/v1/sign-in-links/"):
            name = self.links.get(path.rpartition("/")[2])
            return JSONResponse(PEOPLE[name]) if name else problem(404, "not-found", "This link was used already.")
        if (request.method, path) == ("POST", "/mesh/v1/sessions"):
            name = self.links.pop(posted["code"], None)
            if name is None:
                return problem(404, "not-found", "This link was used already.")
            return JSONResponse({"actor": PEOPLE[name], "token": f"session-{name}"}, 201)
        person = self.sessions.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if person is None:
            return problem(401, "unauthenticated", "The bearer token is unknown.")
        if request.method == "DELETE":
            return Response(status_code=204)
        return self.changed(path, posted) if request.method != "GET" else self.read(path, request, person)

    def changed(self, path: str, posted: Any) -> Response:
        if path == "/registry/v1/pilots":
            new = {"id": sample_records.DRAFT, "version": 1, **posted}
            return JSONResponse(new, 201, headers={"ETag": '"1"'})
        if path.startswith("/registry/v1/pilots/"):
            changed = {**posted, "version": 2, "notices": self.notices}
            return JSONResponse(changed, headers={"ETag": '"2"'})
        return JSONResponse({"id": "019a0000-0000-7000-8000-0000000000aa", **(posted or {})}, 201)

    def read(self, path: str, request: Request, person: dict[str, Any]) -> Response:
        if path == "/mesh/v1/me":
            return JSONResponse(person)
        kind, _, record = path.removeprefix("/").partition("/v1/")
        room, _, name = record.partition("/")
        lists: dict[str, list[dict[str, Any]]] = {
            "agencies": sample_records.AGENCIES,
            "pilots": self.pilots,
            "capabilities": sample_records.CAPABILITIES,
            "proposals": self.proposals,
            "testbeds": self.testbeds,
        }
        if kind in ("registry", "matching") and room in lists:
            if not name:
                found = [one for one in lists[room] if fits(one, dict(request.query_params))]
                return JSONResponse({"items": found, "next": None})
            record_id, _, part = name.partition("/")
            if part == "history":
                return JSONResponse(
                    {
                        "items": [
                            {
                                "version": 1,
                                "verb": "registered",
                                "time": "2026-11-15T09:00:00Z",
                                "actor": "p4",
                                "role": "officer",
                                "ledger_place": "fao.registry:1:12",
                            }
                        ],
                        "next": None,
                    }
                )
            one = next((one for one in lists[room] if one["id"] == record_id), None)
            if one is not None and not part:
                return JSONResponse(one, headers={"ETag": f'"{one["version"]}"'})
        told = self.told.get(path, sample_records.TOLD.get(path))
        if told is not None:
            return JSONResponse(told)
        return problem(404, "not-found", "No such record.")


def fits(record: dict[str, Any], asked: dict[str, str]) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "lead": lambda value: record.get("lead_agency", record.get("lead")) == value,
        "pilot": lambda value: value in (record.get("pilots") or [record.get("pilot")]),
        "country": lambda value: value in (record.get("countries") or ()),
        "life": lambda value: record.get("life") == value,
        "code": lambda value: record.get("code") == value,
        "need": lambda value: value in [need["code"] for need in record.get("needs") or ()],
        "ids": lambda value: record["id"] in value.split(","),
        "invited": lambda value: value in [one["agency"] for one in record.get("invitations") or ()],
        "agency": lambda value: (
            value
            in [record.get("agency"), *(one["agency"] for one in (record.get("team") or record.get("members") or ()))]
        ),
    }
    return all(tests[name](value) for name, value in asked.items() if name in tests)


def problem(status: int, slug: str, detail: str, **more: Any) -> JSONResponse:
    document = {"type": f"https://pilotmesh.org/problems/{slug}", "title": slug, "status": status, "detail": detail}
    return JSONResponse({**document, **more}, status, media_type="application/problem+json")
