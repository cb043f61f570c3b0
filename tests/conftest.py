"""Fixtures that every room of the tests shares: real servers, fresh databases and streams, the `--long` form."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator

import hypothesis
import pytest
from nats.js.errors import NotFoundError
from pymongo import MongoClient

from deploy.nats.provision import PROVISIONER, connect, provision
from deploy.nats.streams import STREAMS
from shared.settings import Settings
from tests import servers

# How fast examples are made depends on what else the machine does: that is no test's finding.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


MOST_WORKERS = 4
"""Each is a node's servers, and now and then those of a whole mesh."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long form of the fault tests (make faults)")


def pytest_configure() -> None:
    """An operator's own settings must not decide how tests go."""
    for name in list(os.environ):
        if name.startswith("PILOTMESH_") and not name.startswith("PILOTMESH_TEST_"):
            del os.environ[name]


def pytest_xdist_auto_num_workers() -> int:
    """Each worker starts servers of its own; where servers were named there is one set of them, and one worker."""
    return min(os.cpu_count() or 1, MOST_WORKERS) if servers.are_our_own() else 0


def pytest_report_header() -> str:
    return servers.describe()


@pytest.fixture(scope="session")
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether `--long` was asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.mongodb(tmp_path_factory.mktemp("mongodb")) as uri:
        yield uri


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Nats]:
    with servers.nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(nats_server: servers.Nats) -> str:
    return nats_server.url


@pytest.fixture
def database_settings(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str) -> Iterator[Settings]:
    """Settings of a node with databases of its own, dropped afterwards; without NATS."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, mongodb_uri=mongodb_uri, database_prefix=f"test_{secrets.token_hex(5)}")
    yield settings
    with MongoClient[dict[str, object]](mongodb_uri) as client:
        for name in client.list_database_names():
            if name.startswith(settings.database_prefix):
                client.drop_database(name)


@pytest.fixture
def settings(database_settings: Settings, nats_server: servers.Nats) -> Settings:
    """Settings of a node with databases, and streams and consumers, that nobody used before."""
    nats_server.give_users_to(database_settings.home)
    made = database_settings.model_copy(update={"nats_url": nats_server.url})
    asyncio.run(renew_streams(made))
    return made


async def renew_streams(settings: Settings) -> None:
    connection = await connect(settings, PROVISIONER)
    try:
        for stream in STREAMS:
            try:
                await connection.jetstream().delete_stream(stream)
            except NotFoundError:
                continue
    finally:
        await connection.close()
    await provision(settings)
