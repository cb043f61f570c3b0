"""A node in memory, and somebody who looks at its pages without script."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from services.pages.app import create_app
from services.pages.safety import SESSION
from shared.settings import Settings
from tests.unit.pages.fake_node import FakeNode
from tests.unit.pages.reading import form_of

HERE = "http://127.0.0.1:8000"


class Reader:
    """Opens pages, and sends the form it finds on one, with all that the form carries. Follows no redirects."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner = runner
        self.client = client

    def signed_in_as(self, name: str) -> Reader:
        self.client.cookies.set(SESSION, f"session-{name}")
        return self

    def opens(self, path: str, **headers: str) -> httpx.Response:
        return self._runner.run(self.client.get(path, headers=headers))

    def posts(self, path: str, form: dict[str, str] | bytes, headers: dict[str, str]) -> httpx.Response:
        if isinstance(form, bytes):
            return self._runner.run(self.client.post(path, content=form, headers=headers))
        return self._runner.run(self.client.post(path, data=form, headers=headers))

    def sends(self, page: httpx.Response, action: str, **fields: str) -> httpx.Response:
        """Presses the button of the form that goes to a path ending in `action`."""
        form = form_of(page.text, action)
        return self.posts(form.action, {**form.fields, **fields}, {"Origin": HERE})


@contextmanager
def reading(node: ASGIApp, settings: Settings, base: str = HERE) -> Iterator[Reader]:
    app = create_app(settings, httpx.ASGITransport(app=node))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=base)
        yield Reader(runner, client)
        runner.run(client.aclose())
        runner.run(lifespan.__aexit__(None, None, None))


class Ahead:
    """The node that stands behind the pages at the moment."""

    def __init__(self) -> None:
        self.node = FakeNode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.node.app(scope, receive, send)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ahead, Reader]]:
    """One application for all tests: to build it takes longer than to ask it."""
    ahead = Ahead()
    with reading(ahead, Settings(home=tmp_path_factory.mktemp("pages"))) as reader:
        yield ahead, reader


@pytest.fixture
def node(pages: tuple[Ahead, Reader]) -> FakeNode:
    """A node in which nothing has been said yet."""
    ahead, _ = pages
    ahead.node = FakeNode()
    return ahead.node


@pytest.fixture
def reader(node: FakeNode, pages: tuple[Ahead, Reader]) -> Reader:
    """Somebody who has not signed in and keeps no cookie."""
    _, one = pages
    one.client.cookies.clear()
    return one


@pytest.fixture
def approver(reader: Reader) -> Reader:
    """An approver of WFP, which is invited and has not answered."""
    return reader.signed_in_as("approver")
