"""Request bodies: read whole, within a limit, as plain values; and what makes a repeated request recognisable."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Header, Request
from pydantic import BaseModel

from shared.access.actors import Actor
from shared.ledger.store import Command
from shared.problems import Fault, Invalid, PreconditionRequired, Problem, TooLarge

DEPTH = 64


@dataclass(frozen=True, slots=True)
class Posted:
    """A body as it came: the document, and the digest by which its repetition is known."""

    document: Any
    digest: str

    def as_object(self) -> dict[str, Any]:
        if not isinstance(self.document, dict):
            found = type(self.document).__name__
            raise Invalid([Fault("", "type", f"expected a JSON object, found {found}")])
        return self.document


class UnsupportedMedia(Problem):
    status, slug, title = 415, "unsupported-media-type", "This kind of body is not understood here"


async def read_body(request: Request, limit: int | None = None) -> bytes:
    """The whole body, at most `limit` bytes. Raises TooLarge before more is read."""
    most: int = limit if limit is not None else request.app.state.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
        raise TooLarge(f"The body has {declared} bytes; at most {most} are read. Send it in parts.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge(f"The body is larger than {most} bytes. Send it in parts.")
        parts.append(part)
    return b"".join(parts)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is beyond what a number holds")
    return number


def parse_json(body: bytes, field: str = "") -> Any:
    """JSON as RFC 8259 has it: UTF-8, no NaN, no number beyond a double, no lone surrogates, not nested beyond reason.

    Raises Invalid.
    """
    try:
        text = body.decode().removeprefix("\ufeff")
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:  # half a surrogate pair can only have come in as an escape
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise Invalid([Fault(field, "depth", f"nested deeper than {DEPTH} levels")]) from error
    except UnicodeError as error:
        raise Invalid([Fault(field, "encoding", "not UTF-8, or a lone surrogate in a text")]) from error
    except ValueError as error:
        raise Invalid([Fault(field, "json", f"not JSON: {error}")]) from error
    if text.count("{") + text.count("[") > DEPTH and _too_deep(document):
        raise Invalid([Fault(field, "depth", f"nested deeper than {DEPTH} levels")])
    return document


def _too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(DEPTH):
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


async def posted(request: Request) -> Posted:
    """The JSON body of a request. Raises Invalid, TooLarge, or 415."""
    media = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise UnsupportedMedia(f"Expected application/json, found {media}.")
    body = await read_body(request)
    return Posted(parse_json(body), hashlib.sha256(body).hexdigest())


Body = Annotated[Posted, Depends(posted)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Repeating a request with the same key does it once.",
    ),
]


def command_of(actor: Actor, route: str, key: str | None, digest: str, answer: str) -> Command | None:
    """What makes this request recognisable when it comes again: (agency, actor, route, key).

    `route` names method and record too where the path does: the same key there is another command.
    """
    if key is None:
        return None
    name = hashlib.sha256("\0".join((actor.agency, actor.id, route, key)).encode()).hexdigest()
    return Command(name, digest, answer)


def if_match(
    header: Annotated[
        str | None, Header(alias="If-Match", description='The version you changed, as ETag gave it: `"3"`.')
    ] = None,
) -> int:
    """The version that the client read. Raises PreconditionRequired (428) or Invalid."""
    if header is None:
        raise PreconditionRequired('Send If-Match with the ETag you read, such as If-Match: "3".')
    text = header.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid([Fault("If-Match", "etag", f'expected an ETag such as "3", found {header!r}')])
    return int(text)


IfMatch = Annotated[int, Depends(if_match)]


def etag(version: int) -> str:
    return f'"{version}"'


def describes(model: type[BaseModel], *, many: bool = False) -> dict[str, Any]:
    """`openapi_extra` for a route whose body is read by `posted` and checked by the rules, not by FastAPI."""
    BODIES[model.__name__] = model
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{model.__name__}"}
    if many:
        schema = {"type": "array", "items": schema}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


BODIES: dict[str, type[BaseModel]] = {}
"""Models named by `describes`, for the OpenAPI document."""
