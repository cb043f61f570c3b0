"""The vocabulary over HTTP: every list that posts are checked against, with its version and source."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from shared.http.caller import Caller
from shared.problems import NotFound
from shared.vocabulary.catalogue import catalogue

router = APIRouter(prefix="/v1/vocabulary", tags=["vocabulary"])


@router.get("", summary="All lists")
def vocabulary(caller: Caller) -> dict[str, Any]:  # noqa: ARG001 - any actor may ask, nobody else
    return catalogue()


@router.get("/{list_name}", summary="One list")
def vocabulary_list(caller: Caller, list_name: str) -> Any:  # noqa: ARG001 - any actor may ask, nobody else
    lists = catalogue()
    if list_name not in lists:
        raise NotFound(f"No list {list_name}; there are {', '.join(sorted(lists))}.")
    return lists[list_name]
