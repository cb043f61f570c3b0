"""Makes `.venv` from the lock file on a machine that has Python and nothing else. Standard library only.

    python3 -m deploy.bootstrap [--dev]

The packages are put in place by uv (https://docs.astral.sh/uv/), which needs neither pip nor python3-venv. A
recent enough uv on PATH is used; otherwise the release pinned in deploy/uv.py is fetched from the Python package index
into `.bootstrap/`, through pip where there is one, and checked against its SHA-256. The index is the one that
UV_DEFAULT_INDEX, UV_INDEX_URL, PIP_INDEX_URL or pip's configuration file name, else pypi.org.

When `.venv` already fits the lock file nothing is run at all. Errors end with status 1 and one sentence.
"""

# ruff: noqa: S603, S606 (the commands are uv and a Python, their arguments are written here)
from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.uv import BOOTSTRAP, PYPI, ROOT, BootstrapError, certificates, find_uv, has_certificates, index_url, say

VENV = ROOT / ".venv"
STAMP = VENV / ".pilotmesh-synced"

PYTHON_FLOOR = (3, 11)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv from the lock file.")
    parser.add_argument("--dev", action="store_true", help="also what tests, lint and benchmarks need")
    dev = parser.parse_args().dev
    wanted = fingerprint()
    if is_synced(wanted, dev):
        return 0
    try:
        reexecute_on_recent_python()
        BOOTSTRAP.mkdir(exist_ok=True)
        with (BOOTSTRAP / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second finds the work done
            if not is_synced(wanted, dev):
                synchronise(find_uv(), dev)
                STAMP.write_text(json.dumps({"fingerprint": wanted, "dev": dev}))
    except BootstrapError as trouble:
        say(str(trouble))
        return 1
    return 0


# What is there already


def fingerprint() -> str:
    digest = hashlib.sha256(str(ROOT).encode())  # scripts in .venv name its place, so a moved folder is stale
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_synced(wanted: str, dev: bool) -> bool:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    fits = stamp.get("fingerprint") == wanted and (stamp.get("dev") or not dev)
    return bool(fits) and (VENV / "bin" / "python").exists()  # a dangling link when the base Python went away


def reexecute_on_recent_python() -> None:
    """Goes on under a Python that is recent enough, or says that there is none."""
    if sys.version_info >= PYTHON_FLOOR:
        return
    for minor in (14, 13, 12, 11):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], check=False).returncode == 0:
            os.execv(found, [found, "-m", "deploy.bootstrap", *sys.argv[1:]])
    floor = ".".join(map(str, PYTHON_FLOOR))
    raise BootstrapError(
        f"Python {floor} or newer is needed and {sys.executable} is {platform.python_version()}. "
        f"Install one (Debian 12: apt install python3) or name it: make PYTHON=/path/to/python3"
    )


# The environment


def synchronise(uv: Path, dev: bool) -> None:
    STAMP.unlink(missing_ok=True)
    say(f"putting the packages of uv.lock into {VENV.name}/")
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(VENV)}
    environment.pop("VIRTUAL_ENV", None)
    if named := certificates():
        environment["SSL_CERT_FILE"] = named
    elif has_certificates():
        environment["UV_SYSTEM_CERTS"] = "true"  # a proxy's CA may stand there; uv brings public ones only
    if not environment.get("HOME"):
        environment["UV_CACHE_DIR"] = str(BOOTSTRAP / "cache")
    # An environment that works stays as it is; without one, the Python that runs this makes it.
    choice = [] if runs(VENV / "bin" / "python") else ["--python", sys.executable]
    selection = ["--frozen", "--extra", "embedded", "--group" if dev else "--no-group", "dev"]
    if index_url() == PYPI:
        run(uv, environment, "sync", "--inexact", *selection, *choice)
    else:
        install_from_other_index(uv, environment, selection, choice)


def install_from_other_index(uv: Path, environment: dict[str, str], selection: list[str], choice: list[str]) -> None:
    """The same versions, held to the lock file's digests, from an index other than the one it was locked on."""
    environment = {**environment, "UV_DEFAULT_INDEX": index_url(), "VIRTUAL_ENV": str(VENV)}
    environment.pop("UV_INDEX_URL", None)
    with tempfile.NamedTemporaryFile("w", dir=BOOTSTRAP, suffix=".txt") as requirements:
        export = ["export", "--quiet", "--no-emit-project", "--output-file", requirements.name]
        run(uv, environment, *export, *selection)
        if choice:
            run(uv, environment, "venv", "--quiet", "--clear", *choice, str(VENV))
        run(uv, environment, "pip", "install", "--quiet", "--require-hashes", "-r", requirements.name)
    run(uv, environment, "pip", "install", "--quiet", "--no-deps", "--editable", str(ROOT))


def runs(python: Path) -> bool:
    check = f"import sys; sys.exit(sys.version_info < {PYTHON_FLOOR})"
    return python.exists() and subprocess.run([python, "-c", check], check=False).returncode == 0


def run(uv: Path, environment: dict[str, str], *arguments: str) -> None:
    if subprocess.run([uv, *arguments], cwd=ROOT, env=environment, check=False).returncode != 0:
        raise BootstrapError(f"`uv {arguments[0]}` failed; its own words stand above.")


if __name__ == "__main__":
    sys.exit(main())
