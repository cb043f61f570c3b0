"""The keys here against the roster: whether they are in force, and what is left unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymongo import MongoClient

from deploy.cli.checks.finding import Finding, odd, wrong
from shared.facts.names import ANCHOR
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import NEXT, REVOKED, Keyring
from shared.ledger.store import LedgerStore
from shared.settings import Settings

Client = MongoClient[dict[str, Any]]


def keys_are_in_force(settings: Settings, client: Client) -> Iterator[Finding]:
    identity = Identity.read(settings.home)
    roster = Roster(LedgerStore(client, settings.database("ledger")), identity)
    listed, book = {member.agency: member for member in roster.members()}, roster.book()
    keyring = Keyring(settings.home / "keys")
    for agency in keyring.hosted():
        key = keyring.key(agency)
        if agency not in listed or key.public == listed[agency].public:
            continue
        if agency in book.owners(key.keyid):
            remedy = "The anchor takes it up by itself once it hears of it; nothing waits for that."
            yield odd("keys", f"{agency} has announced a new key, and the roster names the one before", remedy)
        else:
            remedy = "The key here is another than the roster names: put the right one back from the backup."
            yield wrong("roster", f"{agency}'s key is not the one in the roster", remedy)
    for path in sorted(keyring.folder.glob(f"*{NEXT}")):
        remedy = f"Repeat it: `pilotmesh keys rotate {path.stem}` (or `keys recover`, if that was it)."
        yield odd("keys", f"a rotation of {path.stem} is not finished", remedy)
    for path in sorted(keyring.folder.glob(f"*{REVOKED}")):
        if not path.with_suffix(".key").exists():
            remedy = f"`pilotmesh keys recover {path.stem} --recovery-key FILE` makes another."
            yield wrong("keys", f"{path.stem}'s signing key was revoked: nothing can be written in its name", remedy)
    yield from _moves(keyring)
    if keyring.hosts(ANCHOR) and identity.domain is not None and roster.anchor_recovery() is None:
        remedy = "`pilotmesh hub anchor recovery-key FILE`, before it is too late: it is bound once and for all."
        yield odd("keys", "the anchor has no recovery key: if its own is lost or stolen, nothing replaces it", remedy)


def _moves(keyring: Keyring) -> Iterator[Finding]:
    """Agencies that are neither quite here nor there."""
    for agency, sentence in keyring.absent().items():
        if keyring.left(agency) is not None:
            remedy = f"`pilotmesh node export-agency {agency} --undo` takes it back, if its file was imported nowhere."
            yield odd("moving", sentence, remedy)
    for suffix, command in ((".arriving", "node import-agency FILE"), (".taking", "node take-over")):
        for path in sorted(keyring.folder.glob(f"*{suffix}")):
            yield odd(
                "moving", f"{path.stem} is not wholly here yet", f"Give the command again: `pilotmesh {command}`."
            )
