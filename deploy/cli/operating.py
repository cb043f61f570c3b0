"""`status`, `rebuild`, `ledger republish`: how the node stands, and two remedies that may be repeated."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Connection, Json, Url, connected
from deploy.cli.speaking import REFUSED, Misused, console, plainly, table, tell_json
from shared.settings import SERVICES

ledger = typer.Typer(help="The ledgers of this node.", no_args_is_help=True)


def status(url: Url = None, who: As = None, as_json: Json = False) -> None:
    """Show how the node stands: services, ledgers, relay, what was refused. Status 1 when it is not ready."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        ready = readiness(node)
        stands = node.get("/mesh/v1/status")
        if as_json:
            tell_json({"url": node.url, "ready": ready, **stands})
        else:
            _show(node.url, ready, stands)
        if not ready["ok"]:
            raise typer.Exit(REFUSED)


def readiness(node: Connection) -> dict[str, Any]:
    """What `/readyz` says of every part; a part that is not ready is an answer as well, not a failure."""
    told: dict[str, Any] = node.reach("GET", "/readyz").json()
    return told


def trouble_of(part: dict[str, Any]) -> str | None:
    """Why one part of `/readyz` is not ready, in one line; None when it is."""
    if part["ok"]:
        return None
    detail = part["detail"]
    if isinstance(detail, dict) and isinstance(detail.get("parts"), dict):
        return "; ".join(f"{name}: {said}" for name, said in detail["parts"].items() if said)
    return str(detail)


def _show(url: str, ready: dict[str, Any], stands: dict[str, Any]) -> None:
    console.print(f"{url} is {'[green]ready[/]' if ready['ok'] else '[bold red]not ready[/]'}", soft_wrap=True)
    parts = [(name, trouble_of(part) or "ready") for name, part in ready["parts"].items()]
    console.print(table("", ("part", "stands"), parts))
    rows = [
        (one["ledger"], f"{one['epoch']}:{one['sequence']}", "-" if one["lag"] is None else str(one["lag"]),
         "" if one["hosted_here"] else "another node", one["hash"][:16])
        for one in stands["ledgers"]
    ]  # fmt: skip
    console.print(table("", ("ledger", "head", "to publish", "of", "hash"), rows))
    relay = stands["relay"]
    told = relay["trouble"] or ("publishes" if relay["leads"] else "waits: another replica publishes")
    console.print(f"relay: {escape(told)}; refused and kept in quarantine: {stands['quarantine']}")
    for name, why in stands["waiting"].items():
        console.print(f"[yellow]{escape(name)} waits: {escape(why)}[/]")


def rebuild(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Fold everything again from the ledger store, for one service. The service goes on answering meanwhile."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        if service not in SERVICES:
            raise Misused(f"There is no service {service}; there are {', '.join(SERVICES)}.")
        told = node.post(f"/{service}/v1/rebuild")
        if as_json:
            tell_json(told)
            return
        facts = sum(head["sequence"] for head in told["ledgers"].values())
        console.print(f"{service} folded {facts} facts of {len(told['ledgers'])} ledgers again.")


@ledger.command("republish")
def republish(
    name: Annotated[
        str | None, typer.Argument(metavar="[LEDGER]", help="Such as wfp.registry; all without it.")
    ] = None,
    first: Annotated[int, typer.Option("--from", min=1, metavar="N", help="From this sequence on.")] = 1,
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Publish to JetStream what its streams lack of this node's ledgers. What is there is skipped."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        names = [name] if name else _own_ledgers(node)
        told = [node.post(f"/mesh/v1/ledgers/{one}/republication", params={"from": first}) for one in names]
        if as_json:
            tell_json(told)
            return
        rows = [(one["ledger"], str(one["published"]), str(one["already_there"])) for one in told]
        console.print(table("", ("ledger", "published", "was there"), rows))


def _own_ledgers(node: Connection) -> list[str]:
    stands = node.get("/mesh/v1/status")
    anchor = stands["anchor"] + "."
    return [one["ledger"] for one in stands["ledgers"] if one["hosted_here"] or str(one["ledger"]).startswith(anchor)]
