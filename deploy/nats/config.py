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
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.nats.link import (
    INTAKE,
    Link,
    intake_publishes,
    intake_subscribes,
    leaf_user_text,
    link_of,
    listener_text,
    remote_text,
    subjects_text,
)
from deploy.nats.streams import CONSUMERS, NUDGES, STREAMS
from shared.settings import Settings

MAX_PAYLOAD = 2**20
"""Bytes of one message: NATS's own default. A fact is at most 256 KiB."""

USERS = ("provisioner", *CONSUMERS, INTAKE, "system")
"""`intake` reads the peers, for the mesh service. `system` belongs to the system account (server events and
statistics, reloading) and sees no fact."""

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
    missing = [user for user in USERS if user not in known]
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


def write_configuration(settings: Settings, place: Place) -> Path:
    """`<home>/nats/nats-server.conf` with the links as they stand now."""
    folder = settings.home / "nats"
    text = render(
        credentials(settings.home),
        listen=place.listen,
        store_dir=Path(place.store),
        domain=settings.nats_domain,
        max_file_store=settings.stream_max_bytes * len(STREAMS),
        link=link_of(settings.home),
        folder=Path(place.folder),
    )
    write_private(folder / CONFIGURATION, text)
    write_private(folder / "place.json", json.dumps(asdict(place)) + "\n")
    return folder / CONFIGURATION


def written_place(home: Path) -> Place:
    """The place that the configuration was written for. Raises FileNotFoundError if none was."""
    return Place(**json.loads((home / "nats" / "place.json").read_text()))


def render(
    passwords: Mapping[str, str],
    *,
    listen: str,
    store_dir: Path,
    domain: str,
    max_file_store: int,
    link: Link = ALONE,
    folder: Path | None = None,
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
    ends = listener_text(link.listener, folder) if link.listener and folder else ""
    ends += remote_text(link.remote, domain, folder) if link.remote and folder else ""
    return f"""\
# Rendered at each start; changes made here are lost. See docs/operating.md.
server_name: {json.dumps(domain)}
listen: {json.dumps(listen)}
max_payload: {MAX_PAYLOAD}

jetstream {{
  store_dir: {json.dumps(str(store_dir))}
  domain: {json.dumps(domain)}
  sync_interval: always
  max_memory_store: {64 * 2**20}
  max_file_store: {max_file_store}
}}
{ends}
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
