"""Writes what the code promises: docs/openapi/<service>.json, docs/asyncapi/<service>.json, and the table of settings
in docs/operating.md.

    python -m deploy.api_documents [--check]

`--check` writes nothing and ends with status 1 when a committed document is not what the code says. No server is
needed: applications are built, not started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from deploy.node.loading import PAGES, Factory, load_service
from shared.settings import SERVICES, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"
GUIDE = "operating.md"
TABLE = ("<!-- settings: written by `make api` -->\n", "<!-- end of settings -->\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the API documents.")
    parser.add_argument("--check", action="store_true", help="only compare; status 1 when they differ")
    check: bool = parser.parse_args().check
    found = dict(documents({name: load_service(name) for name in (*SERVICES, PAGES)}))
    found[GUIDE] = with_settings((DOCS / GUIDE).read_text())
    stale = differing(found, DOCS)
    if check:
        for path, difference in stale.items():
            sys.stderr.write(f"docs/{path} {difference}; run: make api\n")
        return 1 if stale else 0
    for path in stale:
        file = DOCS / path
        if path in found:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(found[path])
        else:
            file.unlink()
        sys.stdout.write(f"docs/{path}\n")
    return 0


def documents(factories: Mapping[str, Factory]) -> Iterator[tuple[str, str]]:
    """Path below docs/ and text of every document: what each service answers at `/openapi.json` (none when it has no
    paths for other programs) and at `/asyncapi.json` (none when it has no `app.state.broker`)."""
    with tempfile.TemporaryDirectory() as home:
        settings = defaults(Path(home))
        for name, create in factories.items():
            app = create(settings)
            assert isinstance(app, FastAPI)
            openapi = app.openapi()
            if openapi.get("paths"):
                yield f"openapi/{name}.json", text(openapi)
            if hasattr(app.state, "broker"):
                # FastStream keeps subscribers in a set: their order is another in every process
                yield f"asyncapi/{name}.json", text(asyncio.run(get(app, "/asyncapi.json")), sort_keys=True)


async def get(app: FastAPI, path: str) -> dict[str, Any]:
    """The document that the application answers with, its lifespan not entered."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://node") as client:
        answer = await client.get(path)
        document: dict[str, Any] = answer.raise_for_status().json()
        return document


def with_settings(guide: str) -> str:
    """`guide` with the table of settings between its two marks as `Settings` has them."""
    before, rest = guide.split(TABLE[0])
    _, after = rest.split(TABLE[1])
    rows = ["| variable | default | |", "|---|---|---|"]
    for name, setting in Settings.model_fields.items():
        default = "" if setting.default is None else f"`{setting.default}`"
        words = (setting.description or "").replace("<", "&lt;").replace("|", "\\|")
        rows.append(f"| `PILOTMESH_{name.upper()}` | {default} | {words} |")
    return before + TABLE[0] + "\n".join(rows) + "\n" + TABLE[1] + after


def defaults(home: Path) -> Settings:
    """Settings that no operator's environment has touched, so that the documents are the same everywhere."""
    for variable in [name for name in os.environ if name.startswith("PILOTMESH_")]:
        del os.environ[variable]
    return Settings(home=home, mongodb_uri="mongodb://localhost:27017", nats_url="nats://localhost:4222")


def text(document: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=sort_keys) + "\n"


def differing(found: Mapping[str, str], docs: Path) -> dict[str, str]:
    """Path to what is wrong with it: missing, out of date, or left over from a service that is gone."""
    stale = {}
    for path, content in found.items():
        file = docs / path
        if not file.exists():
            stale[path] = "is missing"
        elif file.read_text() != content:
            stale[path] = "is out of date"
    for folder in ("openapi", "asyncapi"):
        for file in (docs / folder).glob("*.json"):
            path = f"{folder}/{file.name}"
            if path not in found:
                stale[path] = "has no service behind it"
    return stale


if __name__ == "__main__":
    sys.exit(main())
