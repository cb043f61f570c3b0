"""The private keys of the agencies this node hosts: one file each under <home>/keys, readable by its owner only."""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path

from shared.facts.keys import SigningKey
from shared.facts.names import AGENCY, ANCHOR
from shared.problems import Misdirected


class Keyring:
    """Hands out an agency's signing key. Looks at the folder again when asked for one it has not seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[str, SigningKey] = {}
        self._lock = threading.Lock()

    def key(self, agency: str) -> SigningKey:
        """Raises Misdirected if this node does not host the agency."""
        with self._lock:
            held = self._keys.get(agency)
            if held is None:
                path = self._path(agency)
                if not path.is_file():
                    raise Misdirected(f"This node does not host {agency}; send this to the node that does.")
                held = SigningKey.from_bytes(bytes.fromhex(path.read_text().strip()))
                self._keys[agency] = held
            return held

    def hosts(self, agency: str) -> bool:
        return agency in self._keys or self._path(agency).is_file()

    def hosted(self) -> list[str]:
        """The agencies of this node; the roster's anchor is none."""
        if not self.folder.is_dir():
            return []
        names = {path.stem for path in self.folder.glob("*.key")} - {ANCHOR}
        return sorted(name for name in names if AGENCY.fullmatch(name))

    def make(self, agency: str) -> SigningKey:
        """A new signing key for `agency`; never overwrites one. Raises FileExistsError."""
        key = SigningKey.make()
        write_secret(self._path(agency), key.secret().hex() + "\n")
        return key

    def _path(self, agency: str) -> Path:
        if not AGENCY.fullmatch(agency):
            raise Misdirected(f"{agency!r} is no agency slug (lower-case letters, digits and hyphens).")
        return self.folder / f"{agency}.key"


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
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, is on disk: a key that signed must outlive a power cut
    finally:
        os.close(folder)
