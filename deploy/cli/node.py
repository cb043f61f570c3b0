"""`node`: what an agency's IT does. Joining a mesh, and how the node stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
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
            joined = join_mesh(settings, read, _post, domain=domain)
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


def _post(address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
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


def _show(stands: Mapping[str, Any]) -> None:
    own = stands["domain"] + (f", member of {stands['hub']}" if stands["hub"] else "")
    console.print(
        f"Mesh {escape(stands['mesh'])}, this node is {escape(own)}; agencies here: "
        f"{', '.join(stands['agencies']) or 'none'}",
        soft_wrap=True,
    )
    if stands["peers"]:
        console.print(table("", ("peer", "last contact", "to fetch", "stands"), _peers(stands)))
    columns = ("agency", "ledger", "head here", "witnessed elsewhere", "lag", "stands")
    console.print(table("", columns, _ledgers(stands)))
    trouble = {kind: count for kind, count in stands["trouble"].items() if count}
    told = ", ".join(f"{kind.replace('_', ' ')}: {count}" for kind, count in trouble.items())
    console.print(f"Trouble: {told or 'none'}.")
    if stands["roster"]["expired"]:
        console.print(f"[bold red]The roster expired on {stands['roster']['expires_on']}: nobody new is admitted.[/]")
    verified = stands["verified"]
    console.print(f"Last verified: {_verified(verified)}.")


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
            one.get("trouble") or "well",
        )
        for one in stands["ledgers"]
    ]
