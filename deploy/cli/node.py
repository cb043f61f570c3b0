"""`node`: what an agency's IT does. Joining a mesh, and how the node stands in it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Connection, Json, Url, connected
from deploy.cli.speaking import Misused, NoAnswer, Trouble, console, errors, plainly, table, tell_json
from deploy.node.home import NodeError, read_note
from shared.settings import Settings

node = typer.Typer(help="This node in its mesh.", no_args_is_help=True)
Slug = Annotated[str, typer.Argument(metavar="AGENCY", help="The agency's slug.")]


@node.command("join")
def join(
    invite: Annotated[Path, typer.Argument(help="The file that the secretariat sent.")],
    domain: Annotated[str | None, typer.Option(help="This node's name on links; else the agency's slug.")] = None,
    as_json: Json = False,
) -> None:
    """Join a mesh: make this agency's keys here, tell the hub their public halves, configure the link.

    The recovery key is shown once, at the end. An answer that was lost costs nothing: run the same command again.
    """
    from deploy.node.joining import is_expired, read_invite  # noqa: PLC0415 (only who joins needs it)
    from deploy.node.joining import join as join_mesh  # noqa: PLC0415

    with plainly():
        settings = Settings()
        try:
            text = invite.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"{invite} cannot be read: {error}") from error
        try:
            read = read_invite(text)
            if read_note(settings.home):
                errors.print("The node in this home runs: stop it, and start it again when it has joined.")
            joined = join_mesh(settings, read, post_to, domain=domain)
        except NodeError as error:
            raise Trouble(str(error)) from error
        except NoAnswer as trouble:
            remedy = "Is the address right, and the hub up? Run the same command again: nothing is lost."
            raise NoAnswer(f"The hub gives no answer: {trouble.sentence}", remedy=remedy) from trouble
        except Trouble as trouble:
            if is_expired(read):
                trouble.remedy = trouble.remedy or f"The invite expired at {read.expires_at:%Y-%m-%d %H:%M} UTC."
            raise
        if as_json:
            tell_json({"agency": joined.agency, "domain": joined.domain, "recovery_key": joined.recovery_key})
            return
        console.print(f"This node has joined mesh {read.mesh} for {joined.agency}. `pilotmesh up` starts it.")
        if (urlsplit(settings.url).hostname or "") in ("127.0.0.1", "localhost"):
            console.print(
                f"Others were told that it answers at {settings.url}. If people elsewhere are to be sent to it, set "
                "PILOTMESH_PUBLIC_URL before joining.",
                soft_wrap=True,
            )
        console.print(f"Recovery key of {joined.agency}: [bold]{joined.recovery_key}[/]", soft_wrap=True)
        errors.print("Keep the recovery key offline. It is not shown again, and not stored on this node.")


@node.command("rehome")
def rehome(
    hub: Annotated[str, typer.Argument(metavar="ADDRESS|FILE", help="The other hub's address, or its card.")],
    even_if_behind: Annotated[
        bool, typer.Option("--even-if-behind", help="Although its roster is older than this node's, or not shown.")
    ] = False,
    url: Url = None,
    who: As = None,
) -> None:
    """Move to another hub of the same mesh: a standby, or back to the first. The node runs, and is then started again.

    Nothing is lost: what the old hub had and the other has not, this node and the others hand over.
    """
    from deploy.node.rehoming import read_card_file, rehome  # noqa: PLC0415 (only who moves needs it)

    with plainly(), connected(url, who, else_as=OPERATOR) as own:
        try:
            card = None if "://" in hub else read_card_file(Path(hub))
        except NodeError as error:
            raise Misused(str(error)) from error
        head = own.get("/mesh/v1/roster/head")
        try:
            shown = _shown_by(hub if card is None else str(card.get("url")), head)
        except NoAnswer as trouble:
            if card is None or not even_if_behind:
                raise NoAnswer(
                    f"The other hub gives no answer: {trouble.sentence}",
                    remedy="Is the address right, and that node up? Its roster is asked for there. With its card "
                    "(`pilotmesh hub card`) and --even-if-behind this node goes without.",
                ) from trouble
            shown = {"head": {"epoch": 1, "sequence": 0, "hash": ""}, "roster": []}
        shown = {**shown, "card": card or shown["card"], "even_if_behind": even_if_behind}
        told = own.post("/mesh/v1/rehoming", shown)
        try:
            moved = rehome(Settings().home, told)
        except NodeError as error:
            raise Trouble(str(error)) from error
        assert moved.hub is not None
        console.print(f"The hub of this node is {escape(moved.hub.domain)} ({escape(moved.hub.url)}).")
        console.print("Start it again; `pilotmesh node status` then shows how it comes level.", soft_wrap=True)


PAGES_AT_ONCE, PAGE_SECONDS = 40, 0.25
"""Of a roster: a hub answers anyone, and therefore nobody without end."""


def _shown_by(address: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """Card and roster of another hub, from this place of the roster on."""
    epoch, sequence = head["epoch"], max(1, head["sequence"])
    roster: list[Any] = []
    with closing(Connection(address, None)) as other:
        for page in count():
            if page > PAGES_AT_ONCE:
                time.sleep(PAGE_SECONDS)
            shown: dict[str, Any] = other.get("/mesh/v1/hub", epoch=epoch, sequence=sequence)
            roster += shown["roster"]
            if not shown["more"] or not shown["roster"]:
                return {"card": shown["card"], "head": shown["head"], "roster": roster}
            last = json.loads(shown["roster"][-1]["protected"])
            epoch, sequence = last["epoch"], last["sequence"] + 1
    raise AssertionError("counting never ends")


def post_to(address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = urlsplit(address)
    with closing(Connection(f"{parts.scheme}://{parts.netloc}", None)) as hub:
        told: Mapping[str, Any] = hub.call("POST", address.removeprefix(hub.url), json=document)
        return told


@node.command("status")
def status(url: Url = None, who: As = None, as_json: Json = False) -> None:
    """Show per peer, agency and ledger how far this node has come, and what is in trouble."""
    with plainly(), connected(url, who, else_as=OPERATOR) as connection:
        stands = connection.get("/mesh/v1/status")
        if as_json:
            tell_json(stands)
            return
        _show(stands)


@node.command("pause")
def pause(slug: Slug, url: Url = None, who: As = None) -> None:
    """Take in nothing more of one agency, until `node resume`. What it writes meanwhile is asked for then."""
    with plainly(), connected(url, who, else_as=OPERATOR) as connection:
        connection.post("/mesh/v1/pauses", {"agency": slug})
        console.print(f"Nothing more of {escape(slug)} is taken in.")


@node.command("resume")
def resume(slug: Slug, url: Url = None, who: As = None) -> None:
    """Take in an agency's facts again: after `node pause`, or when it has sent as much as its quotas allow."""
    with plainly(), connected(url, who, else_as=OPERATOR) as connection:
        connection.call("DELETE", f"/mesh/v1/pauses/{slug}")
        console.print(f"Facts of {escape(slug)} are taken in; what it has sent so far counts no more.")


def _show(stands: Mapping[str, Any]) -> None:
    own = stands["domain"] + (f", member of {stands['hub']}" if stands["hub"] else "")
    console.print(
        f"Mesh {escape(stands['mesh'])}, this node is {escape(own)}; agencies here: "
        f"{', '.join(stands['agencies']) or 'none'}",
        soft_wrap=True,
    )
    for sentence in stands["absent"].values():
        console.print(escape(sentence), soft_wrap=True)
    if stands["peers"]:
        console.print(table("", ("peer", "last contact", "to fetch", "stands"), _peers(stands)))
    if stands["by_agency"]:
        console.print(table("", ("agency", "node", "last heard of", "facts", "lag", "stands"), _agencies(stands)))
    columns = ("agency", "ledger", "head here", "witnessed elsewhere", "lag", "last verified", "stands")
    console.print(table("", columns, _ledgers(stands)))
    trouble = {kind: count for kind, count in stands["trouble"].items() if count}
    told = ", ".join(f"{kind.replace('_', ' ')}: {count}" for kind, count in trouble.items())
    for why in ((stands["intake"] or {}).get("over_quota") or {}).values():
        console.print(f"[bold red]{escape(why)}[/]", soft_wrap=True)
    console.print(f"Trouble: {told or 'none'}.")
    console.print(f"Last verified: {_verified(stands['verified'])}.")
    for alert in stands["alerts"]:
        colour = "bold red" if alert["level"] == "wrong" else "yellow"
        console.print(f"[{colour}]{escape(alert['detail'])}[/] {escape(alert['remedy'])}", soft_wrap=True)


def _verified(verified: Mapping[str, Any] | None) -> str:
    if verified is None:
        return "never; `pilotmesh verify` does it"
    return f"{verified['at']}, {'proven' if verified['proven'] else 'NOT proven: `pilotmesh verify` says why'}"


def _peers(stands: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            peer["domain"],
            peer["last_contact"] or "never",
            str(sum(one["pending"] or 0 for one in peer["outlets"])),
            peer["trouble"] or "well",
        )
        for peer in stands["peers"]
    ]


def _ledgers(stands: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            one["ledger"].split(".", 1)[0],
            one["ledger"].split(".", 1)[1] + (" (here)" if one["hosted_here"] else ""),
            f"{one['epoch']}:{one['sequence']}",
            f"{one['witnessed']['epoch']}:{one['witnessed']['sequence']}" if one["witnessed"] else "-",
            "-" if one["lag"] is None else str(one["lag"]),
            one["verified"]["at"] if one["verified"] else "never",
            one.get("trouble") or "well",
        )
        for one in stands["ledgers"]
    ]


def _agencies(stands: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            one["agency"],
            "here" if one["hosted_here"] else one["domain"] or "-",
            "-" if one["hosted_here"] else one["last_contact"] or "never",
            str(one["facts"]),
            "-" if one["lag"] is None else str(one["lag"]),
            ", ".join(one["trouble"]) or ("suspended" if one["status"] == "suspended" else "well"),
        )
        for one in stands["by_agency"]
    ]
