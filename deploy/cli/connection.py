"""To the node over its public HTTP API: where it is, who calls, and refusals as `Refused`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import tokens
from deploy.cli.speaking import Misused, NoAnswer, Refused, Unreachable, problem_of
from deploy.node.home import read_note
from shared.settings import Settings

if TYPE_CHECKING:
    import httpx

PAGE = 200
"""Items asked for at a time: the largest page the node gives."""
ANSWER_SECONDS = 60.0
CONNECTIONS = 32
OPERATOR = "node:admin"
"""The node's operator in tokens.json."""

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="PILOTMESH_URL", help="The node's address; else that of the node in PILOTMESH_HOME."),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        envvar="PILOTMESH_AS",
        metavar="AGENCY:ROLE",
        help="Whose token in PILOTMESH_HOME/tokens.json to use, such as wfp:officer. PILOTMESH_TOKEN goes before it.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]


class Connection:
    """Calls in one actor's name. Methods answer the document, or raise `Refused` or `Unreachable`."""

    def __init__(self, url: str, token: str | None, client: httpx.Client | None = None) -> None:
        import httpx  # noqa: PLC0415 (importing it takes longer than most commands)

        self.url = url.rstrip("/")
        self.identity = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = client or httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=5),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )

    def acting(self, token: str) -> Connection:
        """The same node and the same sockets in another actor's name. May be used in several threads."""
        return Connection(self.url, token, self.client)

    def close(self) -> None:
        self.client.close()

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params)

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, params: Mapping[str, Any] | None = None
    ) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.call("POST", path, json=body, headers=headers, params=params)

    def items(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=PAGE, **params, **cursor)
            yield from page["items"]
            if not page.get("next"):
                return
            cursor = {"cursor": page["next"]}

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = self.send(method, path, **request)
        return answer.json() if answer.content else None

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, if it is one of success."""
        return self.accepted(self.reach(method, path, **request))

    def reach(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, whatever it says. Raises `NoAnswer` when none comes."""
        import httpx  # noqa: PLC0415 (as above)

        request["headers"] = {**self.identity, **request.get("headers", {})}
        if request.get("params"):
            request["params"] = {name: value for name, value in request["params"].items() if value is not None}
        try:
            return self.client.request(method, path, **request)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    def accepted(self, answer: httpx.Response) -> httpx.Response:
        """The same, unless it is a refusal."""
        if answer.is_success:
            return answer
        try:
            document = answer.json()
        except ValueError:
            document = answer.text
        refused = Refused(problem_of(answer.status_code, document))
        if answer.status_code >= 500:
            sentence = f"The node failed while answering: {refused.problem.detail or refused.problem.title}"
            raise Unreachable(sentence, remedy="`pilotmesh doctor` looks for the cause.")
        if answer.status_code == 401:
            refused.remedy = "Name an actor with --as AGENCY:ROLE, or put a token into PILOTMESH_TOKEN."
        raise refused

    def unreachable(self, error: Exception) -> NoAnswer:
        return NoAnswer(
            f"No node answers at {self.url} ({error or type(error).__name__}).",
            remedy="Start one with `pilotmesh up`, or name another with --url.",
        )


@contextmanager
def connected(url: str | None, who: str | None, *, else_as: str | None = None) -> Iterator[Connection]:
    """A connection to the node at `url`, in the name of `who`, or of `else_as` if nobody is named."""
    settings = Settings()
    connection = Connection(address(url, settings), token_of(who or else_as, settings.home, named=who is not None))
    try:
        yield connection
    finally:
        connection.close()


def address(url: str | None, settings: Settings) -> str:
    """The address asked for, else that of the node that runs in the home, else the one it would have."""
    return url or str(read_note(settings.home).get("url") or settings.url)


def token_of(who: str | None, home: Path, *, named: bool = True) -> str | None:
    """The token of `agency:role`. PILOTMESH_TOKEN goes before; None where nobody is named. Raises `Misused`."""
    given = os.environ.get("PILOTMESH_TOKEN")
    if given:
        return given
    if who is None:
        return None
    agency, _, role = who.partition(":")
    held = tokens.read(home)
    if role and role in held.get(agency, {}):
        return held[agency][role]
    path = tokens.path_in(home)
    if not named:
        raise Misused(
            f"Who is calling? {path} has no token of {who}.",
            remedy="Name an actor with --as AGENCY:ROLE, or put a token into PILOTMESH_TOKEN.",
        )
    raise Misused(f"{path} has no token of {who}.", remedy=_what_there_is(agency, held))


def _what_there_is(agency: str, held: Mapping[str, Mapping[str, str]]) -> str:
    if agency in held:
        return f"It has these of {agency}: {', '.join(sorted(held[agency]))}."
    return f"It has tokens of: {', '.join(sorted(held)) or 'nobody'}. Write AGENCY:ROLE, such as wfp:officer."
