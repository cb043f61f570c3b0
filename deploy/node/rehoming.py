"""Moves a member to another hub: a standby, or back to the first. What decides is checked by the running node, which
holds the roster; here its link is pointed elsewhere. Keys, domain and ledgers stay as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.nats.config import write_private
from deploy.nats.link import Remote, link_of, write_link
from deploy.node.home import NodeError
from shared.ledger.identity import HubAddress, Identity

SEED = "link.seed"
"""In `<home>/nats/`: the nkey of a link that was given up."""


def read_card_file(file: Path) -> Mapping[str, Any]:
    """The card in a file that `hub card` wrote. Raises NodeError."""
    try:
        told = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise NodeError(f"{file} cannot be read as a hub's card: {error}") from error
    if not isinstance(told, dict) or "pilotmesh_hub" not in told:
        raise NodeError(f"{file} is no hub's card. `pilotmesh hub card` on that hub writes one.")
    return told


def rehome(home: Path, hub: Mapping[str, Any]) -> Identity:
    """From the node's next start on `hub` (domain, url, leaf, authority, as the node has found it good) is its hub.

    It may be repeated; the link is switched in one step, `mesh.json` last. Raises NodeError.
    """
    home = home.expanduser().absolute()
    identity = Identity.read(home)
    link = link_of(home)
    seed = link.remote.seed if link.remote is not None else _seed_kept(home)
    if seed is None:
        raise NodeError("This node has no key for a link: it has never been a member. `pilotmesh node join FILE`.")
    authority = None
    if hub["authority"] is not None:
        # A name of its own: the link that stands goes on with its authority until it is switched.
        authority = f"ca-{hashlib.sha256(hub['authority'].encode()).hexdigest()[:16]}.pem"
        write_private(home / "nats" / authority, hub["authority"])
    write_link(home, replace(link, remote=Remote(hub["domain"], tuple(hub["leaf"]), seed, authority)))
    moved = replace(identity, hub=HubAddress(hub["domain"], hub["url"], tuple(hub["leaf"])))
    moved.write(home)
    return moved


def keep_seed(home: Path) -> None:
    """Before a link is given up (`hub take-over`): its key is what the roster knows this node by."""
    remote = link_of(home).remote
    if remote is not None:
        write_private(home / "nats" / SEED, remote.seed + "\n")


def _seed_kept(home: Path) -> str | None:
    try:
        return (home / "nats" / SEED).read_text().strip()
    except FileNotFoundError:
        return None
