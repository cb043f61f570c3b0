"""Renders nats-server.conf: JetStream on disk, one account for the mesh, users with the least permissions.

Only the relay and the intake (both in the mesh service) publish to the streams; the other services read through
their own consumer and wake each other with nudges. Nobody but the provisioner creates, changes, purges or deletes
anything, so a service that is broken into can neither forge a fact for the streams nor empty them.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deploy.nats.link import (
    INTAKE,
    Link,
    ends_text,
    intake_publishes,
    intake_subscribes,
    leaf_user_text,
    link_of,
    subjects_text,
)
from deploy.nats.streams import CONSUMERS, NUDGES, STREAMS
from shared.settings import Settings

MAX_PAYLOAD = 2**20
"""Bytes of one message: NATS's own default. A fact is at most 256 KiB."""

USERS = ("provisioner", *CONSUMERS, INTAKE, "system")
"""`intake` reads the peers, for the mesh service. `system` belongs to the system account (server events and
statistics, reloading) and sees no fact."""

ROUTES = "routes"
"""By this name the servers of a cluster know each other; no client signs in with it."""

ALONE = Link()
CONFIGURATION = "nats-server.conf"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish and subscribe to; everything else is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    publish_never: tuple[str, ...] = ()
    replies: bool = False
    """Whether it may answer a request, once, wherever the request says."""


def permissions(user: str, domain: str) -> Permissions:
    """What `user` may do in the mesh account of the server with this JetStream domain."""
    if user == "provisioner":
        return Permissions((">",), (">",))
    if user == INTAKE:
        allowed, denied = intake_publishes(domain)
        return Permissions(tuple(allowed), tuple(intake_subscribes(domain)), tuple(denied), replies=True)
    publish = [NUDGES]
    for stream in STREAMS:
        publish += [
            f"$JS.API.CONSUMER.INFO.{stream}.{user}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{user}",
            f"$JS.ACK.{stream}.{user}.>",
            # Single messages: a service whose store was put back looks for its own facts in the streams.
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}.>",
        ]
    if user == "mesh":
        publish += STREAMS.values()
        publish.append("$JS.API.INFO")
        for stream in STREAMS:
            publish += [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}"]
    # An inbox of one's own: replies to one service cannot be read by another.
    return Permissions(tuple(publish), (NUDGES, f"_INBOX.{user}.>"))


def credentials(home: Path) -> dict[str, str]:
    """User to password, from `<home>/nats/users.json` (mode 0600); what is missing there is made and kept."""
    file = home / "nats" / "users.json"
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    missing = [user for user in (*USERS, ROUTES) if user not in known]
    if missing:
        known |= {user: secrets.token_urlsafe(32) for user in missing}
        write_private(file, json.dumps(known, indent=2) + "\n")
    return known


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server listens, and where it sees its streams and the folder of its configuration."""

    listen: str
    store: str
    folder: str
    server: str | None = None
    """Its own name, where it is one of a cluster."""
    cluster: str | None = None
    """Where it listens for the others, as `host:port`."""
    routes: tuple[str, ...] = ()
    """Where all of them listen for each other."""

    leafs: str | None = None
    """Where it takes links, if not where `hub init` says: several servers on one machine."""

    @property
    def file(self) -> str:
        return CONFIGURATION if self.server is None else f"nats-server-{self.server}.conf"


def write_configuration(settings: Settings, *places: Place) -> Path:
    """The configuration with the links as they stand now: `<home>/nats/nats-server.conf`, or one for each server of a
    cluster, `nats-server-<name>.conf`. Answers the first."""
    folder = settings.home / "nats"
    for place in places:
        _write(settings, place)
    write_private(folder / "place.json", json.dumps([asdict(place) for place in places]) + "\n")
    return folder / places[0].file


def _write(settings: Settings, place: Place) -> None:
    folder = settings.home / "nats"
    link = link_of(settings.home)
    if link.listener is not None and place.leafs is not None:
        link = replace(link, listener=replace(link.listener, listen=place.leafs))
    text = render(
        credentials(settings.home),
        listen=place.listen,
        store_dir=Path(place.store),
        domain=settings.nats_domain,
        max_file_store=settings.stream_max_bytes * len(STREAMS),
        link=link,
        folder=Path(place.folder),
        place=place,
    )
    write_private(folder / place.file, text)


def written_places(home: Path) -> list[Place]:
    """The servers that configurations were written for. Raises FileNotFoundError if none was."""
    told = json.loads((home / "nats" / "place.json").read_text())
    return [
        Place(**{**one, "routes": tuple(one.get("routes", ()))}) for one in (told if isinstance(told, list) else [told])
    ]


def render(
    passwords: Mapping[str, str],
    *,
    listen: str,
    store_dir: Path,
    domain: str,
    max_file_store: int,
    link: Link = ALONE,
    folder: Path | None = None,
    place: Place | None = None,
) -> str:
    """The configuration file's text.

    `listen` is `host:port`, `domain` the JetStream domain and server name (each node needs its own),
    `max_file_store` bytes that all streams together may reserve. `link` says who is linked and how, `folder` where
    the server sees this file and the certificates beside it. `sync_interval: always` makes an
    acknowledgement mean that the message is on disk: the default loses acknowledged messages at power loss.
    """
    if (link.listener or link.remote) and folder is None:
        raise ValueError("a link needs the folder of its certificates")
    users = [_user(user, passwords[user], domain) for user in USERS if user != "system"]
    users += [leaf_user_text(leaf, domain) for leaf in link.leaves]
    mesh_users = "\n".join(users)
    ends = ends_text(link, domain, folder or Path())
    return f"""\
# Rendered at each start; changes made here are lost. See docs/operating.md.
server_name: {json.dumps(domain if place is None or place.server is None else f"{domain}-{place.server}")}
listen: {json.dumps(listen)}
max_payload: {MAX_PAYLOAD}

jetstream {{
  store_dir: {json.dumps(str(store_dir))}
  domain: {json.dumps(domain)}
  sync_interval: always
  max_memory_store: {64 * 2**20}
  max_file_store: {max_file_store}
}}
{_cluster_text(domain, place, passwords)}{ends}
system_account: SYSTEM
accounts {{
  SYSTEM {{
    users: [ {{ user: "system", password: {json.dumps(passwords["system"])} }} ]
  }}
  MESH {{
    jetstream: enabled
    users: [
{mesh_users}
    ]
  }}
}}
"""


def _cluster_text(domain: str, place: Place | None, passwords: Mapping[str, str]) -> str:
    """How the servers of a cluster find and know each other. Facts cross there: a network of their own, please."""
    if place is None or place.cluster is None:
        return ""
    login = f"{ROUTES}:{passwords[ROUTES]}"
    routes = ", ".join(json.dumps(f"nats://{login}@{route}") for route in place.routes)
    return f"""
cluster {{
  name: {json.dumps(domain)}
  listen: {json.dumps(place.cluster)}
  no_advertise: true # clients go by the addresses of their settings
  authorization {{ user: {ROUTES}, password: {json.dumps(passwords[ROUTES])} }}
  routes: [ {routes} ]
}}
"""


def _user(user: str, password: str, domain: str) -> str:
    allowed = permissions(user, domain)
    never = f", deny: {subjects_text(allowed.publish_never)}" if allowed.publish_never else ""
    replies = "\n          allow_responses: true" if allowed.replies else ""
    return f"""\
      {{
        user: "{user}", password: {json.dumps(password)}
        permissions {{
          publish {{ allow: {subjects_text(allowed.publish)}{never} }}
          subscribe {{ allow: {subjects_text(allowed.subscribe)} }}{replies}
        }}
      }}"""


def write_private(file: Path, text: str) -> None:
    """Writes `text` whole or not at all, readable by this user alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())
    unfinished.replace(file)
