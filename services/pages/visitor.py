"""Who is looking at a page: their session, their agency and roles, their language."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.pages import safety
from services.pages.node import Node, Refusal, if_there
from services.pages.show import Marks, Show
from services.pages.words import LANGUAGES, language_for, words_in
from shared.facts.names import AGENCY
from shared.settings import Settings

NAMES_SECONDS = 30.0
"""How long names of agencies are kept; they are on every page and change once in years."""

MOST_AGENCIES = 200


class SignInFirst(Exception):  # noqa: N818 - leads to another page
    """The page is for somebody who is signed in."""


@dataclass(frozen=True, slots=True)
class Person:
    """An actor as /mesh/v1/me tells it. What a role may do the API decides; the pages only leave out dead buttons."""

    id: str
    agency: str
    roles: frozenset[str]
    office: str | None = None
    countries: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    name: str | None = field(default=None, repr=False)

    def has(self, *roles: str) -> bool:
        return bool(self.roles.intersection(roles))


def person_of(document: Mapping[str, Any]) -> Person:
    return Person(
        id=str(document.get("id")),
        agency=str(document.get("agency")),
        roles=frozenset(document.get("roles") or ()),
        office=document.get("office"),
        countries=tuple(document.get("countries") or ()),
        languages=tuple(document.get("languages") or ()),
        name=document.get("name"),
    )


class AgencyNames:
    """Names of all agencies the mesh knows, asked for now and then."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, Any]] = {}
        self._asked_at = float("-inf")

    async def known(self, node: Node) -> Mapping[str, Mapping[str, Any]]:
        if time.monotonic() - self._asked_at > NAMES_SECONDS:
            found = await if_there(node.items("/registry/v1/agencies", MOST_AGENCIES), [])
            if found:
                self._names = {str(one.get("slug") or one.get("id")): one for one in found}
                self._asked_at = time.monotonic()
        return self._names


class Visitor:
    """One request's view of the node: `node` acts in the visitor's name, `page` renders in their language."""

    def __init__(self, request: Request, session: str, person: Person | None, names: Mapping[str, Any]) -> None:
        self.request = request
        self.session = session
        self._person = person
        self.node = Node(request.app.state.client, session or None)
        asked = request.query_params.get("lang")
        kept = request.cookies.get(safety.LANGUAGE)
        own = person.languages if person else ()
        accepted = request.headers.get("accept-language", "")
        self.words = words_in(language_for(asked, kept, own, accepted))
        self.show = Show(self.words, names)
        self._keep_language = asked if asked in LANGUAGES else None

    @property
    def signed_in(self) -> bool:
        return self._person is not None

    @property
    def person(self) -> Person:
        """Raises `SignInFirst`."""
        if self._person is None:
            raise SignInFirst
        return self._person

    @property
    def settings(self) -> Settings:
        settings: Settings = self.request.app.state.settings
        return settings

    @property
    def whose(self) -> str:
        """The agency that this page's address names: whose record is meant, where several have the id. Else empty."""
        asked = self.request.query_params.get("agency", "")
        return asked if AGENCY.fullmatch(asked) else ""

    @property
    def owner(self) -> dict[str, str]:
        """The same, as the API is asked."""
        return {"agency": self.whose} if self.whose else {}

    def at(self, path: str, **query: str) -> str:
        """A path that goes on with the same agency's record."""
        asked = {**query, **self.owner}
        return f"{path}?{urlencode(asked)}" if asked else path

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template in the visitor's language and name."""
        rendered = self.request.app.state.templates.get_template(template).render(
            t=self.words,
            show=self.show,
            invented=Marks(),
            visitor=self,
            person=self._person,
            here=self._here(),
            other_languages=[(one, self._here(one)) for one in LANGUAGES if one != self.words.language],
            form_token=safety.form_token(self.session) if self.session else "",
            **values,
        )
        return self._keeping(HTMLResponse(rendered, status, headers={"Content-Language": self.words.language}))

    def go(self, path: str) -> Response:
        """On to another page of this node, by GET."""
        return self._keeping(RedirectResponse(path, 303))

    async def form(self) -> dict[str, str]:
        """The fields of a form of ours. Raises `NotOurForm`, `SignInFirst`."""
        assert self.person is not None
        safety.check_origin(self.request.headers, safety.own_hosts(self.request, self.settings.url))
        fields = await safety.read_form(self.request)
        safety.check_form(self.session, fields.get("form_token", ""))
        return fields

    def _here(self, language: str | None = None) -> str:
        """This page's address; a form that was refused is asked for anew at its own address."""
        url = self.request.url.remove_query_params("lang")
        if language:
            url = url.include_query_params(lang=language)
        path = f"/{url.path.lstrip('/')}"  # two slashes in front would be read as another host
        return f"{path}?{url.query}" if url.query else path

    def _keeping(self, answer: Response) -> Response:
        if self._keep_language:
            answer.set_cookie(
                safety.LANGUAGE,
                self._keep_language,
                max_age=safety.LANGUAGE_SECONDS,
                secure=safety.is_https(self.request, self.settings.url),
                httponly=True,
                samesite="lax",
            )
        return answer


async def visitor_of(request: Request) -> Visitor:
    """The visitor, signed in or not. Raises `Refusal` when the node cannot say who somebody with a session is."""
    session = request.cookies.get(safety.SESSION, "")
    if not session:
        return Visitor(request, "", None, {})
    node = Node(request.app.state.client, session)
    names: AgencyNames = request.app.state.names
    try:
        person = person_of(await node.get("/mesh/v1/me"))
    except Refusal as refusal:
        if refusal.status == 401:
            return Visitor(request, "", None, {})
        raise
    return Visitor(request, session, person, await names.known(node))


Visiting = Annotated[Visitor, Depends(visitor_of)]
