"""`agency host`, `actor add`, `sign-in-link`: who takes part on this node, and how they come in."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from deploy.cli import tokens
from deploy.cli.connection import OPERATOR, As, Json, Url, connected
from deploy.cli.speaking import console, errors, plainly, tell_json
from shared.settings import Settings

agency = typer.Typer(help="Agencies that this node hosts.", no_args_is_help=True)
actor = typer.Typer(help="Who acts for an agency.", no_args_is_help=True)


@agency.command("host")
def host(
    slug: Annotated[str, typer.Argument(help="2 to 32 lower-case letters, digits or hyphens, such as wfp.")],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Host an agency: its keys are made on the node, its admin's token goes into tokens.json.

    The recovery key is shown once, here. Whoever keeps it offline can replace a lost signing key; nobody else can.
    """
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        told = node.post("/mesh/v1/agencies", {"agency": slug})
        home = Settings().home
        tokens.keep(home, slug, {"admin": told["admin"]["token"]})
        if as_json:
            tell_json(told)
            return
        console.print(f"This node hosts {escape(slug)} now. Its admin's token is in {tokens.path_in(home)}.")
        console.print(f"Recovery key: [bold]{told['recovery_key']}[/]", soft_wrap=True)
        errors.print("Keep the recovery key offline. It is not shown again, and not stored on this node.")


@actor.command("add")
def add(
    roles: Annotated[
        list[str], typer.Argument(metavar="ROLE…", help="viewer, officer, monitor, coordinator, approver, admin")
    ],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
    office: Annotated[str | None, typer.Option(help="Code of the office, such as zmb.")] = None,
    country: Annotated[list[str] | None, typer.Option(help="ISO 3166-1 alpha-3; may be repeated.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Such as fr; may be repeated.")] = None,
    name: Annotated[str | None, typer.Option(help="Stays on this node and can be erased.")] = None,
    keep_as: Annotated[
        str | None, typer.Option(metavar="NAME", help="Also keep the token in tokens.json, under this name.")
    ] = None,
) -> None:
    """Add an actor of your agency (with --as AGENCY:admin). The token is shown once."""
    with plainly(), connected(url, who) as node:
        body = {"roles": roles, "office": office, "countries": country or [], "languages": language or ["en"]}
        told = node.post("/mesh/v1/actors", {**body, "name": name})
        if keep_as:
            tokens.keep(Settings().home, told["agency"], {keep_as: told["token"]})
        if as_json:
            tell_json(told)
            return
        console.print(f"{told['agency']}: actor {told['id']} ({', '.join(told['roles'])})")
        console.print(f"Token: [bold]{told['token']}[/]", soft_wrap=True)


def sign_in_link(
    actor_id: Annotated[str, typer.Argument(metavar="ACTOR", help="Id of an actor of your agency.")],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Make a link that signs an actor in, once, within seven days (with --as AGENCY:admin)."""
    with plainly(), connected(url, who) as node:
        told = node.post("/mesh/v1/sign-in-links", {"actor": actor_id})
        if as_json:
            tell_json(told)
        else:
            console.print(escape(told["url"]), soft_wrap=True)
