"""`hub`: what the secretariat does. Making a node the hub, inviting agencies, suspending them, keeping the anchor."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Json, Url, connected
from deploy.cli.speaking import Misused, Trouble, console, errors, plainly, table, tell_json
from deploy.node.home import NodeError
from shared.settings import Settings

hub = typer.Typer(help="The node that others join: the secretariat's commands.", no_args_is_help=True)
anchor = typer.Typer(help="The key that signs the roster. It need not live on the hub.", no_args_is_help=True)
hub.add_typer(anchor, name="anchor")

Slug = Annotated[str, typer.Argument(metavar="AGENCY", help="Such as wfp.")]


@hub.command("init")
def init(
    address: Annotated[
        list[str] | None, typer.Option("--address", help="Name or address by which members reach it; may be repeated.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Where its NATS server takes links.")] = "0.0.0.0:7422",
    websocket: Annotated[
        str | None, typer.Option(help="Also take links by WebSocket, such as 0.0.0.0:443, for strict firewalls.")
    ] = None,
    leaf: Annotated[
        list[str] | None, typer.Option(help="Address to put into invites instead, such as tls://hub.example:7422.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Your own certificate (PEM) instead of a mesh CA's.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    authority: Annotated[Path | None, typer.Option(help="Whom members shall trust for it (PEM).")] = None,
    standby: Annotated[bool, typer.Option("--standby", help="A member: take links too, as a second hub.")] = False,
) -> None:
    """Make this node the hub of its mesh, from its next start on. May be repeated; keys that stand are kept."""
    from deploy.node.hub import HubLink, make_hub  # noqa: PLC0415 (certificates are slow to import)

    with plainly(), _told():
        link = HubLink(
            tuple(address or ()), listen, websocket, tuple(leaf or ()), certificate=certificate, key=key,
            authority=authority,
        )  # fmt: skip
        made = make_hub(Settings(), link, standby=standby)
        if standby:
            console.print(
                f"This node is a standby hub of mesh {made.mesh}, domain {made.domain}, from its next start on."
            )
            console.print("Start it again. Members move to it with: pilotmesh node rehome ADDRESS", soft_wrap=True)
            return
        console.print(f"This node is the hub of mesh {made.mesh}, domain {made.domain}, from its next start on.")
        console.print("Start it again, then: pilotmesh hub invite AGENCY > AGENCY.invite", soft_wrap=True)
        console.print(
            "The anchor's key signs the roster and is on this node. `pilotmesh hub anchor take-out FILE` moves it to "
            "a medium of yours; it is needed again only while somebody joins, is suspended or loses a key.",
            soft_wrap=True,
        )


@hub.command("card")
def card(url: Url = None, who: As = None) -> None:
    """Write this hub's card to stdout, by which members that cannot be told an address move to it. It is no secret."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        tell_json(node.get("/mesh/v1/hub")["card"])


@hub.command("take-over")
def take_over() -> None:
    """A standby becomes the first hub, from its next start on: when the former one is gone for good."""
    from deploy.node.hub import take_over as take_over_mesh  # noqa: PLC0415

    with plainly(), _told():
        made = take_over_mesh(Settings().home)
        console.print(f"This node is the first hub of mesh {made.mesh} from its next start on.")
        console.print(
            "To admit members put the anchor's key here (`pilotmesh hub anchor put-back FILE`), and nowhere else.",
            soft_wrap=True,
        )


@hub.command("invite")
def invite(
    slug: Slug,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days until it expires.")] = 14,
    url: Url = None,
    who: As = None,
) -> None:
    """Write an invite to stdout: `hub invite wfp > wfp.invite`. It lets one node in, once. Send it in confidence."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        told = node.post("/mesh/v1/invites", {"agency": slug, "days": days})
        tell_json(told)
        errors.print(
            f"For {escape(slug)}, once, until {told['expires_at']}. Whoever holds it first can join as {escape(slug)}.",
            soft_wrap=True,
        )


@hub.command("members")
def members(url: Url = None, who: As = None, as_json: Json = False) -> None:
    """Show who is in the mesh."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        told = node.get("/mesh/v1/agencies")
        if as_json:
            tell_json(told)
            return
        rows = [
            (one["agency"], one["status"], one["domain"] or "", one["node"] or "", one["public_key"][:16])
            for one in told["items"]
        ]
        console.print(table("", ("agency", "status", "domain", "node", "key"), rows))


@hub.command("suspend")
def suspend(slug: Slug, url: Url = None, who: As = None, as_json: Json = False) -> None:
    """Cut a member off: its node loses its link, new facts of it are taken in no more. What it shared stands."""
    _set_status("POST", slug, url, who, as_json)


@hub.command("resume")
def resume(slug: Slug, url: Url = None, who: As = None, as_json: Json = False) -> None:
    """Let a suspended member link again; it catches up by itself."""
    _set_status("DELETE", slug, url, who, as_json)


def _set_status(method: str, slug: str, url: str | None, who: str | None, as_json: bool) -> None:
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        told = node.call(method, f"/mesh/v1/members/{slug}/suspension")
        if as_json:
            tell_json(told)
        else:
            console.print(f"{escape(told['agency'])} is {told['status']} now.")


@hub.command("expires")
def expires(
    day: Annotated[str, typer.Argument(metavar="DATE|never", help="Such as 2027-12-31.")],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Set the last day of the roster. Afterwards nobody new is admitted; known keys go on."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        if day != "never":
            try:
                datetime.strptime(day, "%Y-%m-%d")  # noqa: DTZ007 - a date
            except ValueError as error:
                raise Misused(f"{day} is neither a date such as 2027-12-31 nor `never`.") from error
        told = node.call("PUT", "/mesh/v1/roster/expiry", json={"expires_on": None if day == "never" else day})
        if as_json:
            tell_json(told)
        else:
            console.print(f"The roster expires: {told['expires_on'] or 'never'}.")


@anchor.command("take-out")
def take_out(file: Annotated[Path, typer.Argument(help="A new file, on a medium that you keep offline.")]) -> None:
    """Move the anchor's key off this node. The hub goes on; the roster cannot be changed until it is back."""
    from deploy.node.hub import take_anchor_out  # noqa: PLC0415

    with plainly(), _told():
        take_anchor_out(Settings().home, file)
        console.print(f"The anchor's key is in {file} and no more on this node. Keep it, and a copy of it.")


@anchor.command("put-back")
def put_back(file: Annotated[Path, typer.Argument(help="Where take-out wrote it.")]) -> None:
    """Put the anchor's key back onto this node."""
    from deploy.node.hub import put_anchor_back  # noqa: PLC0415

    with plainly(), _told():
        put_anchor_back(Settings().home, file)
        console.print("The anchor's key is on this node; the roster can be changed.")


class _told:  # noqa: N801 - reads as a word
    """A node's own trouble as the command's."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NodeError):
            raise Trouble(str(error)) from error
