"""The private keys of the agencies this node hosts: one file each under <home>/keys, readable by its owner only."""

from __future__ import annotations

import json
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.facts.keys import SigningKey
from shared.facts.names import AGENCY, ANCHOR
from shared.ledger.arriving import SINCE, Position, check_keys, since_in
from shared.problems import Conflict, Misdirected

Stamp = tuple[int, int, int]


CURRENT, NEXT, OLD, REVOKED = ".key", ".next", ".old", ".revoked"
"""What a file in the folder holds: the key in use; its successor while ledgers are being rekeyed; a key that ledgers
begun under it may still need; a key that signs nothing any more."""
LEAVING, ELSEWHERE = "leaving", "elsewhere"
"""Folders in the folder: keys of agencies that were exported to another node, which sign nothing here; and what is left
of those that another node hosts by now."""

ANCHOR_PUBLIC = f"{ANCHOR}.public"
"""Beside the keys: the public half of the anchor's key, where the key itself is elsewhere."""


class Keyring:
    """Hands out an agency's signing keys. The folder decides at every call: all processes of a node share it, and a
    key that one of them replaced or put away must not be used by another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, tuple[Stamp, SigningKey]] = {}
        self._lock = threading.Lock()

    def key(self, agency: str) -> SigningKey:
        """The key in use. Raises Misdirected if this node does not host the agency, Conflict if it was revoked."""
        held = self._key_in(self._path(agency))
        if held is not None:
            return held
        if self._path(agency, REVOKED).exists():
            raise Conflict(
                f"The signing key of {agency} was revoked, or is lost. Make a new one with its recovery key: "
                f"`pilotmesh keys recover {agency} --recovery-key FILE`."
            )
        raise Misdirected(
            self.why_absent(agency) or f"This node does not host {agency}; send this to the node that does.",
            agency=agency,
        )

    def by_id(self, agency: str, keyid: str) -> SigningKey | None:
        """The key of that name, be it in use, to come or replaced; None if it is not here, or was revoked."""
        self._path(agency)
        for path in sorted((*self.folder.glob(f"{agency}.*"),)):
            if path.suffix in (CURRENT, NEXT, OLD) and path.name.split(".", 1)[0] == agency:
                held = self._key_in(path)
                if held is not None and held.keyid == keyid:
                    return held
        return None

    def stamp(self, agency: str) -> Stamp | None:
        """Changes whenever the agency's key is replaced, put away or touched: then nothing remembered counts."""
        return _stamp(self._path(agency))

    def touch(self, agency: str) -> None:
        """Every process of the node looks at the agency's ledgers anew before it appends to them."""
        path = self._path(agency)
        if path.is_file():
            os.utime(path)

    def hosts(self, agency: str) -> bool:
        return self._path(agency).is_file() or self._path(agency, REVOKED).is_file()

    def hosted(self) -> list[str]:
        """The agencies of this node that have a key; the roster's anchor is none."""
        if not self.folder.is_dir():
            return []
        names = {path.stem for path in self.folder.glob(f"*{CURRENT}")} - {ANCHOR}
        return sorted(name for name in names if AGENCY.fullmatch(name))

    def kept(self) -> list[str]:
        """The agencies of which any key lies here: in use, revoked, or exported and not yet taken over elsewhere."""
        folders = (self.folder, self.folder / LEAVING)
        names = {path.stem for folder in folders for end in (CURRENT, REVOKED) for path in folder.glob(f"*{end}")}
        return sorted(name for name in names - {ANCHOR} if AGENCY.fullmatch(name))

    def any_key(self, agency: str) -> SigningKey | None:
        """A key that the agency has or had, by which this node proves that it has something to do with it; in the
        ledgers it may sign nothing any more."""
        places = (self._path(agency), self.folder / LEAVING / f"{agency}{CURRENT}", self._path(agency, REVOKED))
        return next((key for path in places if (key := self._key_in(path)) is not None), None)

    def make(self, agency: str) -> SigningKey:
        """A new signing key for `agency`; never overwrites one. Raises FileExistsError."""
        key = SigningKey.make()
        write_secret(self._path(agency), key.secret().hex() + "\n")
        return key

    # -- a key follows another -------------------------------------------------------------------------------

    def make_next(self, agency: str) -> SigningKey:
        """The key that is to follow; the same one until `take_over`, so that a rotation can be taken up again."""
        path = self._path(agency, NEXT)
        held = self._key_in(path)
        if held is None:
            with suppress(FileExistsError):
                write_secret(path, SigningKey.make().secret().hex() + "\n")
            held = self._key_in(path)
        assert held is not None
        return held

    def next(self, agency: str) -> SigningKey | None:
        """The key to follow, while a rotation is under way."""
        return self._key_in(self._path(agency, NEXT))

    def take_over(self, agency: str) -> None:
        """The next key is the one in use from now on; the one before is kept as an old one. May be repeated."""
        path, following = self._path(agency), self._path(agency, NEXT)
        if not following.is_file():
            return
        held = self._key_in(path)
        if held is not None:
            with suppress(FileExistsError):
                os.link(path, self._path(agency, f".{held.keyid[-16:]}{OLD}"))
        following.replace(path)
        self._path(agency, REVOKED).unlink(missing_ok=True)
        _sync(self.folder)

    def put_away(self, agency: str) -> None:
        """The key in use signs nothing more: it was revoked. May be repeated."""
        path = self._path(agency)
        if path.is_file():
            path.replace(self._path(agency, REVOKED))
            _sync(self.folder)

    def drop_old(self, agency: str) -> None:
        """Deletes the keys that were replaced."""
        for path in self.folder.glob(f"{agency}.*{OLD}"):
            path.unlink(missing_ok=True)

    # -- an agency goes to another node -----------------------------------------------------------------------

    def leaving(self) -> Keyring:
        """The keys of agencies that were exported: a key ring of its own, which no service uses."""
        return Keyring(self.folder / LEAVING)

    def begin_leaving(self, agency: str, told: dict[str, Any]) -> None:
        """From the moment this returns no process of the node signs in the agency's name. Cut off before its end, the
        agency is still here, and it is done again. Raises what `key` raises."""
        self.key(agency)
        self.note_leaving(agency, told)
        self._path(agency).replace(self.folder / LEAVING / f"{agency}{CURRENT}")
        for old in self.folder.glob(f"{agency}.*{OLD}"):
            old.replace(self.folder / LEAVING / old.name)
        _sync(self.folder / LEAVING)
        _sync(self.folder)

    def left(self, agency: str) -> dict[str, Any] | None:
        """What was noted when the agency was exported from here; None if it was not, or was taken back."""
        return None if not self.leaving().hosts(agency) else _read(self._note(LEAVING, agency))

    def note_leaving(self, agency: str, told: dict[str, Any]) -> None:
        replace_secret(self._note(LEAVING, agency), json.dumps(told) + "\n")

    def take_back(self, agency: str, since: Position) -> None:
        """The keys of an exported agency are in use here again, by the roster at `since`. May be repeated."""
        replace_secret(self._path(agency, SINCE), json.dumps(since) + "\n")
        for path in sorted((self.folder / LEAVING).glob(f"{agency}.*{OLD}")):
            path.replace(self.folder / path.name)
        leaving = self.folder / LEAVING / f"{agency}{CURRENT}"
        if leaving.is_file():
            leaving.replace(self._path(agency))
            _sync(self.folder)
        self._note(LEAVING, agency).unlink(missing_ok=True)

    def give_up(self, agency: str, node: str | None) -> None:
        """Another node hosts the agency, at the address `node`: no key of it is in use here any more. What was exported
        is deleted, the node that imported it has it; any other is put aside. May be repeated."""
        aside = self.folder / ELSEWHERE
        replace_secret(self._note(ELSEWHERE, agency), json.dumps({"node": node}) + "\n")
        for path in sorted(self.folder.glob(f"{agency}.*")):
            if path.is_file():
                path.replace(aside / path.name)
        for path in sorted((self.folder / LEAVING).glob(f"{agency}.*")):
            path.unlink()
        _sync(self.folder)

    def gone_to(self, agency: str) -> dict[str, Any] | None:
        """What is known of the node that hosts an agency which this one gave up; None if it gave up none."""
        return None if self.hosts(agency) else _read(self._note(ELSEWHERE, agency))

    def arrive(self, agency: str, keys: dict[str, str], since: Position) -> None:
        """Takes over the keys of an agency (file names to 64 hex digits each), which the roster at `since` has here;
        the one in use last: with it the node hosts the agency. May be repeated."""
        check_keys(agency, keys)
        replace_secret(self._path(agency, SINCE), json.dumps(since) + "\n")
        for name in sorted(keys, key=lambda name: (name.endswith(CURRENT), name)):
            with suppress(FileExistsError):
                write_secret(self.folder / name, keys[name].strip() + "\n")
        self._note(ELSEWHERE, agency).unlink(missing_ok=True)

    def since(self, agency: str) -> Position | None:
        """The roster by which the agency came to this node; older ones do not know that it is here."""
        return since_in(self._path(agency, SINCE))

    def absent(self) -> dict[str, str]:
        """The agencies that were here, each with a sentence that says where they are."""
        folders = (self.folder / LEAVING, self.folder / ELSEWHERE)
        names = sorted({path.stem for folder in folders for path in folder.glob("*.json")})
        told = {name: self.why_absent(name) for name in names if not self.hosts(name)}
        return {name: sentence for name, sentence in told.items() if sentence is not None}

    def why_absent(self, agency: str) -> str | None:
        """A sentence about an agency that was here; None if it is, or never was."""
        left = self.left(agency)
        if left is not None:
            return (
                f"{agency} was exported from this node on {left['at'][:10]}, to be imported elsewhere; until then "
                "nobody can write in its name. Its new node answers once it is there."
            )
        gone = self.gone_to(agency)
        if gone is None:
            return None
        return f"{agency} is hosted by another node by now{': ' + gone['node'] if gone.get('node') else ''}."

    def _note(self, where: str, agency: str) -> Path:
        return self.folder / where / self._path(agency, ".json").name

    def _key_in(self, path: Path) -> SigningKey | None:
        stamp = _stamp(path)
        if stamp is None:
            return None
        with self._lock:
            held = self._read.get(path)
            if held is None or held[0] != stamp:
                try:
                    held = (stamp, SigningKey.from_bytes(bytes.fromhex(path.read_text().strip())))
                except FileNotFoundError:
                    return None
                self._read[path] = held
            return held[1]

    def _path(self, agency: str, suffix: str = CURRENT) -> Path:
        if not AGENCY.fullmatch(agency):
            raise Misdirected(f"{agency!r} is no agency slug (lower-case letters, digits and hyphens).")
        return self.folder / f"{agency}{suffix}"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return told


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def write_secret(path: Path, content: str | bytes) -> None:
    """Writes a new file with mode 0600, on disk before this returns. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Every writer has a scratch file of its own: a shared one, once linked, would be the key that another truncates.
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)  # fails if it is there: a key is never overwritten, half a key never seen
    finally:
        scratch.unlink(missing_ok=True)
    _sync(path.parent)


def replace_secret(path: Path, text: str) -> None:
    """Like `write_secret`, in the place of whatever is there."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    write_secret(scratch, text)
    scratch.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the names, too, are on disk: a key that signed must outlive a power cut
    finally:
        os.close(handle)
