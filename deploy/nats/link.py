"""The link between two nodes' NATS servers: leaf listener and leaf users on a hub, a leaf remote on a member.

Least permissions both ways. A leaf user may call the API of its own consumers (which this node made for it), take
their deliveries, acknowledge, and ask; nothing else has a way through. Facts never cross as plain publishes: what a
node holds under `facts.`, `verified.`, `private.` or `circle.` it published itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.nats.streams import CONSUMERS, NUDGES, STREAMS
from shared.bus.links import HUB_READS, INTAKE, MEMBER_READS, ask_subject, consumer_of, inbox_for
from shared.ledger.keyring import replace_secret

NEVER_CROSSES = (*STREAMS.values(), NUDGES)
"""Denied on the link in both directions, besides that nothing allows it."""

LINK_FILE, MEMBERS_FILE = "link.json", "members.json"
"""In `<home>/nats/`: this node's end of its links; on a hub, who may link (the mesh service writes it)."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A member's node: its JetStream domain, and the public half of the nkey that its server signs in with."""

    domain: str
    public: str


@dataclass(frozen=True, slots=True)
class Listener:
    """A hub's end. Paths are relative to the folder of the configuration file."""

    listen: str
    certificate: str
    key: str
    authority: str
    websocket: str | None = None
    """`host:port` of a WebSocket listener, for members whose firewall lets only 443 out."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A member's end: the hub's domain and addresses (`tls://…`, `wss://…`), and this node's nkey seed."""

    domain: str
    urls: tuple[str, ...]
    seed: str
    authority: str | None
    """The certificate that the hub's is checked against; None: those that the machine trusts."""


@dataclass(frozen=True, slots=True)
class Link:
    """Everything about links that this node's server must know; nothing for a node alone."""

    listener: Listener | None = None
    leaves: tuple[Leaf, ...] = ()
    remote: Remote | None = None


def link_of(home: Path) -> Link:
    """As `<home>/nats/link.json` and `members.json` say. Raises ValueError, KeyError when they are damaged."""
    told = _read(home / "nats" / LINK_FILE)
    listener = Listener(**told["listener"]) if told.get("listener") else None
    remote = None
    if told.get("remote"):
        remote = Remote(**{**told["remote"], "urls": tuple(told["remote"]["urls"])})
    leaves = _read(home / "nats" / MEMBERS_FILE).get("leaves", []) if listener else []
    return Link(listener, tuple(Leaf(leaf["domain"], leaf["public"]) for leaf in leaves), remote)


def write_link(home: Path, link: Link) -> None:
    """Both ends of this node's links into `<home>/nats/link.json`, whole or not at all; members stand elsewhere."""
    ends = {"listener": link.listener, "remote": link.remote}
    told = {name: asdict(end) for name, end in ends.items() if end is not None}
    (home / "nats").mkdir(parents=True, exist_ok=True)
    replace_secret(home / "nats" / LINK_FILE, json.dumps(told, indent=2) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return told


def readers_of(link: Link) -> dict[str, tuple[str, ...]]:
    """Domain of each peer that reads here, to the streams it pulls."""
    readers: dict[str, tuple[str, ...]] = {leaf.domain: MEMBER_READS for leaf in link.leaves}
    if link.remote is not None:
        readers[link.remote.domain] = HUB_READS
    return readers


def reading(reader: str, source: str, streams: Iterable[str]) -> list[str]:
    """What the node `reader` publishes to read `source`."""
    consumer = consumer_of(reader, source)
    subjects = [f"$JS.{source}.API.INFO", ask_subject(source, reader), f"{inbox_for(source, reader)}.>"]
    for stream in streams:
        subjects += [
            f"$JS.{source}.API.CONSUMER.INFO.{stream}.{consumer}",
            f"$JS.{source}.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
            f"$JS.ACK.{stream}.{consumer}.>",
        ]
    return subjects


def leaf_permissions(leaf: str, hub: str) -> tuple[list[str], list[str]]:
    """What the member `leaf` may send through the link to `hub`, and what may be sent to it."""
    return reading(leaf, hub, MEMBER_READS), reading(hub, leaf, HUB_READS)


def denied_from_hub(domain: str) -> list[str]:
    """What a member's own server (`domain`) takes from no hub, however that hub is configured.

    A leaf remote knows lists of what is denied only. These leave the calls that `reading` names, and replies.
    """
    api = f"$JS.{domain}.API"
    denied = [*NEVER_CROSSES, "$JS.API.>", "$JS.FC.>", "$SYS.>", "$KV.>", "$O.>"]
    denied += [f"{api}.{group}.>" for group in ("STREAM", "DIRECT", "ACCOUNT", "SERVER", "META")]
    calls = ("CREATE", "DURABLE", "DELETE", "LIST", "NAMES", "PAUSE", "LEADER", "UNPIN", "RESET")
    denied += [f"{api}.CONSUMER.{call}.>" for call in calls]
    for stream in STREAMS:
        whose = ("*",) if stream not in HUB_READS else CONSUMERS
        for consumer in whose:
            denied += [f"{api}.CONSUMER.{call}.{stream}.{consumer}" for call in ("INFO", "MSG.NEXT")]
            denied.append(f"$JS.ACK.{stream}.{consumer}.>")
    inboxes = [f"{inbox_for(domain, domain)}.>", *(f"_INBOX.{user}.>" for user in ("provisioner", *CONSUMERS))]
    return denied + inboxes


def denied_to_hub() -> list[str]:
    """What a member's own server sends through no link, whoever asks for it."""
    return list(NEVER_CROSSES)


def intake_publishes(domain: str) -> tuple[list[str], list[str]]:
    """What the local user `intake` may publish, and what not although the first would allow it.

    Peers come and go while the node runs; which of them it can really reach is pinned on the link.
    """
    allowed = ["verified.>", NUDGES, f"ask.*.{domain}", "$JS.*.API.INFO", "$JS.ACK.*.*.>"]
    allowed += ["$JS.*.API.CONSUMER.INFO.*.*", "$JS.*.API.CONSUMER.MSG.NEXT.*.*"]
    # What it has handed on itself: by this it finds where it stopped.
    allowed += ["$JS.API.INFO", "$JS.API.STREAM.INFO.VERIFIED", "$JS.API.STREAM.MSG.GET.VERIFIED"]
    allowed += ["$JS.API.DIRECT.GET.VERIFIED", "$JS.API.DIRECT.GET.VERIFIED.>"]
    denied = [f"$JS.ACK.*.{service}.>" for service in CONSUMERS]
    return allowed, denied


def intake_subscribes(domain: str) -> list[str]:
    return [NUDGES, f"{inbox_for(domain, '*')}.>", ask_subject(domain, "*")]


# -- as text of nats-server.conf ---------------------------------------------------------------------------------


def ends_text(link: Link, domain: str, folder: Path) -> str:
    """Both ends of links, for the server with this domain; `folder` is where it sees its configuration file. One
    block: of two the server would heed the later one only."""
    if link.listener is None and link.remote is None:
        return ""
    ends = "" if link.listener is None else _listener_text(link.listener, folder)
    ends += "" if link.remote is None else _remote_text(link.remote, domain, folder)
    text = f"""
leafnodes {{{ends}
}}
"""
    if link.listener is not None and link.listener.websocket is not None:
        text += f"""
websocket {{
  listen: {_quoted(link.listener.websocket)}
  tls {{ {_certificate_text(link.listener, folder)} }}
  compression: true
}}
"""
    return text


def _certificate_text(listener: Listener, folder: Path) -> str:
    return f"cert_file: {_quoted(str(folder / listener.certificate))}, key_file: {_quoted(str(folder / listener.key))}"


def _listener_text(listener: Listener, folder: Path) -> str:
    authority = _quoted(str(folder / listener.authority))
    return f"""
  listen: {_quoted(listener.listen)}
  tls {{ {_certificate_text(listener, folder)}, ca_file: {authority} }}
  compression: s2_auto
  no_advertise: true # members go by the addresses of their invites: they may lead through proxies
  isolate_leafnode_interest: true # a member is not told what another listens to"""


def _remote_text(remote: Remote, domain: str, folder: Path) -> str:
    authority = "" if remote.authority is None else f"ca_file: {_quoted(str(folder / remote.authority))}"
    tls = "" if not _is_encrypted(remote.urls) else f"tls {{ {authority} }}"
    return f"""
  reconnect: 1s
  remotes: [
    {{
      urls: {subjects_text(remote.urls)}
      account: MESH
      nkey: {_quoted(remote.seed)}
      compression: s2_auto
      ignore_discovered_servers: true
      {tls}
      deny_imports: {subjects_text(denied_from_hub(domain))}
      deny_exports: {subjects_text(denied_to_hub())}
    }}
  ]"""


def leaf_user_text(leaf: Leaf, hub: str) -> str:
    publish, subscribe = leaf_permissions(leaf.domain, hub)
    return f"""\
      {{
        nkey: {leaf.public} # {leaf.domain}
        allowed_connection_types: ["LEAFNODE", "LEAFNODE_WS"]
        permissions {{
          publish {{ allow: {subjects_text(publish)} }}
          subscribe {{ allow: {subjects_text(subscribe)} }}
        }}
      }}"""


def _is_encrypted(urls: Sequence[str]) -> bool:
    return any(url.startswith(("tls://", "wss://")) for url in urls)


def _quoted(text: str) -> str:
    return json.dumps(text)


def subjects_text(subjects: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(subject) for subject in subjects) + "]"


__all__ = ["INTAKE", "Leaf", "Link", "Listener", "Remote", "link_of", "readers_of"]
