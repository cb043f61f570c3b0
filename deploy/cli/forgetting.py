"""`redactions`: what was redacted, and which nodes say that they have carried it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Json, Url, connected
from deploy.cli.speaking import console, plainly, tell_json

Redaction = Mapping[str, Any]


def redactions(
    redaction: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One redaction, as it was answered; all without it.")
    ] = None,
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Show who has confirmed redactions: your agency's, or as the operator those of every agency here.

    A node confirms once nothing of the content is left on it. That it says so truly cannot be proven.
    """
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        if redaction is not None:
            found = node.get(f"/mesh/v1/redactions/{redaction}")
            if as_json:
                tell_json(found)
                return
            _show([found])
            return
        listed = list(node.items("/mesh/v1/redactions"))
        if as_json:
            tell_json(listed)
        elif listed:
            _show(listed)
        else:
            console.print("Nothing was redacted.")


def _show(told: Iterable[Redaction]) -> None:
    for one in told:
        console.print(
            f"[bold]{escape(one['place'])}[/] of {one['recorded_at']} ({one['reason']}; "
            f"{len(one['facts'])} facts, {one['id']}): {summary(one)}",
            soft_wrap=True,
        )


def summary(one: Redaction) -> str:
    """`confirmed by 3 of 4 nodes; not yet: unicef (last heard of …)`."""
    said = f"confirmed by {one['confirmed']} of {one['expected']} nodes"
    missing = [_node(node) for node in one["nodes"] if node["confirmed_at"] is None]
    return f"{said}; not yet: {', '.join(missing)}" if missing else said


def _node(node: Mapping[str, Any]) -> str:
    if node["this_node"]:
        return f"{node['domain']} (this node)"
    if node["suspended"]:
        return f"{node['domain']} (suspended)"
    last = node["last_contact"]
    return f"{node['domain']} ({f'last heard of {last}' if last else 'never heard of'})"
