"""How a revision meets the record it revises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def merged(held: Mapping[str, Any], post: Mapping[str, Any], *, whole: bool, known: frozenset[str]) -> Json:
    """`held` after `post`. With `whole` the post replaces every known field, and fields that this version does not
    know stay as they are: they were put there by somebody who does. Otherwise JSON Merge Patch, RFC 7396."""
    if whole:
        kept = {name: value for name, value in held.items() if name not in known and name not in post}
        return {**kept, **{name: value for name, value in post.items() if value is not None}}
    return _patched(held, post)


def _patched(held: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    result = dict(held)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            earlier = result.get(name)
            result[name] = _patched(earlier if isinstance(earlier, dict) else {}, value)
        else:
            result[name] = value
    return result
