"""Renders nats-server.conf: JetStream on disk, one account for the mesh, users with the least permissions.

Only the relay and the intake (both in the mesh service) publish to the streams; the other services read through
their own consumer and wake each other with nudges. Nobody but the provisioner creates, changes, purges or deletes
anything, so a service that is broken into can neither forge a fact for the streams nor empty them.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.nats.streams import CONSUMERS, NUDGES, STREAMS

MAX_PAYLOAD = 2**20
"""Bytes of one message: NATS's own default. A fact is at most 256 KiB."""

USERS = ("provisioner", *CONSUMERS, "system")
"""`system` belongs to the system account (server events and statistics) and sees no fact."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish and subscribe to; everything else is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def permissions(user: str) -> Permissions:
    """What `user` may do in the mesh account."""
    if user == "provisioner":
        return Permissions((">",), (">",))
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


def render(
    passwords: Mapping[str, str],
    *,
    listen: str,
    store_dir: Path,
    domain: str,
    max_file_store: int,
) -> str:
    """The configuration file's text.

    `listen` is `host:port`, `domain` the JetStream domain and server name (each node needs its own),
    `max_file_store` bytes that all streams together may reserve. `sync_interval: always` makes an
    acknowledgement mean that the message is on disk: the default loses acknowledged messages at power loss.
    """
    mesh_users = "\n".join(_user(user, passwords[user]) for user in USERS if user != "system")
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


def _user(user: str, password: str) -> str:
    allowed = permissions(user)
    return f"""\
      {{
        user: "{user}", password: {json.dumps(password)}
        permissions {{
          publish {{ allow: {_subjects(allowed.publish)} }}
          subscribe {{ allow: {_subjects(allowed.subscribe)} }}
        }}
      }}"""


def _subjects(subjects: Sequence[str]) -> str:
    return "[" + ", ".join(json.dumps(subject) for subject in subjects) + "]"


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
