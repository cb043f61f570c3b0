"""The private keys of the agencies this node hosts: one file each under <home>/keys, readable by its owner only."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from shared.facts.keys import SigningKey
from shared.facts.names import AGENCY, ANCHOR
from shared.problems import Conflict, Misdirected

Stamp = tuple[int, int, int]


CURRENT, NEXT, OLD, REVOKED = ".key", ".next", ".old", ".revoked"
"""What a file in the folder holds: the key in use; its successor while ledgers are being rekeyed; a key that ledgers
begun under it may still need; a key that signs nothing any more."""


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
        raise Misdirected(f"This node does not host {agency}; send this to the node that does.")

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


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def write_secret(path: Path, text: str) -> None:
    """Writes a new file with mode 0600, on disk before this returns. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Every writer has a scratch file of its own: a shared one, once linked, would be the key that another truncates.
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
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
