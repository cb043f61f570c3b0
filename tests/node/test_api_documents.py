"""The committed API documents follow the code, and say so when they do not."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import FastAPI
from faststream.nats import NatsBroker

from deploy.api_documents import differing, documents, with_settings
from shared.settings import Settings


def registry(settings: Settings) -> FastAPI:
    app = FastAPI(title="Registry", version="1")
    app.state.broker = NatsBroker(settings.nats_url or "")

    @app.get("/v1/pilots")
    def pilots() -> list[str]:
        return []

    @app.get("/asyncapi.json", include_in_schema=False)
    def asyncapi() -> dict[str, object]:
        return {"asyncapi": "3.0.0", "channels": {"facts.>": {"address": "facts.>"}}}

    return app


def pages(settings: Settings) -> FastAPI:
    return FastAPI(title="Pages", version="1")


def written(docs: Path) -> dict[str, str]:
    found = dict(documents({"registry": registry, "pages": pages}))
    for path, content in found.items():
        (docs / path).parent.mkdir(exist_ok=True)
        (docs / path).write_text(content)
    return found


def test_each_service_has_what_it_offers_written_down(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert set(found) == {"openapi/registry.json", "asyncapi/registry.json"}
    assert "/v1/pilots" in json.loads(found["openapi/registry.json"])["paths"]
    asyncapi = json.loads(found["asyncapi/registry.json"])
    assert asyncapi["asyncapi"] == "3.0.0"
    assert [channel["address"] for channel in asyncapi["channels"].values()] == ["facts.>"]


def test_documents_that_fit_the_code_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path)
    assert differing(written(tmp_path), tmp_path) == {}


def test_a_document_that_lags_behind_is_named(tmp_path: Path) -> None:
    found = written(tmp_path)
    (tmp_path / "openapi/registry.json").write_text("{}")
    (tmp_path / "asyncapi/registry.json").unlink()
    (tmp_path / "openapi/gone.json").write_text("{}")
    assert differing(found, tmp_path) == {
        "openapi/registry.json": "is out of date",
        "asyncapi/registry.json": "is missing",
        "openapi/gone.json": "has no service behind it",
    }


def test_every_setting_stands_in_the_operators_guide() -> None:
    guide = with_settings((Path(__file__).parents[2] / "docs" / "operating.md").read_text())
    for name in Settings.model_fields:
        assert f"`PILOTMESH_{name.upper()}`" in guide
    assert with_settings(guide) == guide
