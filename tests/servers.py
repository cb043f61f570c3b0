"""Real servers for the tests, by the first of these that is to be had:

1. an address in the environment: PILOTMESH_TEST_MONGODB_URI, PILOTMESH_TEST_NATS_URL,
2. Docker, when an engine answers and has the image or can pull it (testcontainers),
3. the embedded servers, as `pilotmesh up` starts them.

PILOTMESH_TEST_DOCKER=0 leaves the second step out. pytest's header says which were used.
"""

from __future__ import annotations

import gc
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.nats import config
from deploy.nats.streams import STREAMS
from deploy.node.embedded import embedded
from shared.settings import Settings

MONGO_IMAGE = "mongo:8.0"
NATS_IMAGE = "nats:2.15-alpine"
REAPER_IMAGE = "testcontainers/ryuk:0.8.1"


@dataclass(frozen=True)
class Nats:
    """A NATS server and its users' passwords by name; none when the environment's address carries its own."""

    url: str
    passwords: dict[str, str]

    def give_users_to(self, home: Path) -> None:
        """Puts the users where `Settings.nats_login` looks for them."""
        if self.passwords:
            config.write_private(home / "nats" / "users.json", json.dumps(self.passwords))


def describe() -> str:
    return f"servers: MongoDB from {choice(MONGO_IMAGE)}, NATS from {choice(NATS_IMAGE)}"


def are_our_own() -> bool:
    """Whether every server of the tests is started by them."""
    return not any(choice(image).startswith("environment") for image in (MONGO_IMAGE, NATS_IMAGE))


@cache
def choice(image: str) -> str:
    """`environment`, `docker …` or `embedded …`, the latter with the reason."""
    variable = "PILOTMESH_TEST_MONGODB_URI" if image == MONGO_IMAGE else "PILOTMESH_TEST_NATS_URL"
    if os.environ.get(variable):
        return f"environment ({variable})"
    missing = why_not_docker(image)
    return f"embedded ({missing})" if missing else f"docker ({image})"


@cache
def why_not_docker(image: str) -> str | None:
    """Why a container of `image` cannot be had here, None when it can."""
    if os.environ.get("PILOTMESH_TEST_DOCKER") == "0":
        return "Docker switched off"
    import docker
    from docker.errors import DockerException, ImageNotFound

    client = None
    with suppress(DockerException):
        client = docker.from_env(timeout=10)
    if client is None:
        with warnings.catch_warnings():  # the library leaves the socket open that led nowhere
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        return "no Docker engine"
    try:
        client.images.get(image)
    except ImageNotFound:
        try:
            client.images.get_registry_data(image)
        except DockerException:
            return f"Docker cannot get {image}"
    except DockerException:
        return "the Docker engine does not answer"
    finally:
        client.close()
    return None


@contextmanager
def mongodb(folder: Path) -> Iterator[str]:
    """The address of a MongoDB, for as long as the context lasts."""
    match choice(MONGO_IMAGE).split()[0]:
        case "environment":
            yield os.environ["PILOTMESH_TEST_MONGODB_URI"]
        case "docker":
            with container(MONGO_IMAGE, 27017) as address:
                yield f"mongodb://{address}/?directConnection=true"
        case _:
            with embedded(Settings(home=folder, nats_url="nats://unused")) as settings:
                assert settings.mongodb_uri is not None
                yield settings.mongodb_uri


@contextmanager
def nats_server(folder: Path) -> Iterator[Nats]:
    """A NATS with the node's users and permissions, for as long as the context lasts; streams are not made here."""
    match choice(NATS_IMAGE).split()[0]:
        case "environment":
            yield Nats(os.environ["PILOTMESH_TEST_NATS_URL"], {})
        case "docker":
            passwords = config.credentials(folder)
            with container(NATS_IMAGE, 4222, nats_configuration(folder, passwords)) as address:
                yield Nats(f"nats://{address}", passwords)
        case _:
            with embedded(Settings(home=folder, mongodb_uri="mongodb://unused")) as settings:
                assert settings.nats_url is not None
                yield Nats(settings.nats_url, config.credentials(folder))


def nats_configuration(folder: Path, passwords: dict[str, str]) -> Path:
    """A configuration file for NATS in a container, which listens on all of the container's addresses."""
    file = folder / "nats" / "nats-server.conf"
    text = config.render(
        passwords,
        listen="0.0.0.0:4222",
        store_dir=Path("/data"),
        domain="node",
        max_file_store=Settings().stream_max_bytes * len(STREAMS),
    )
    config.write_private(file, text)
    return file


@contextmanager
def container(image: str, port: int, configuration: Path | None = None) -> Iterator[str]:
    """`host:port` of a container of `image` that takes connections."""
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import PortWaitStrategy

    if why_not_docker(REAPER_IMAGE):  # it removes containers of killed runs; without it, they are removed at the end
        testcontainers_config.ryuk_disabled = True
    started = DockerContainer(image).with_exposed_ports(port).waiting_for(PortWaitStrategy(port))
    if configuration is not None:
        inside = "/etc/pilotmesh/nats-server.conf"
        started.with_volume_mapping(str(configuration), inside).with_command(["--config", inside])
    with started:
        yield f"{started.get_container_host_ip()}:{started.get_exposed_port(port)}"
