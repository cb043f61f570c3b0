"""The `pilotmesh` command."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.markup import escape

from deploy.node.home import NodeError
from deploy.node.launcher import run_node
from shared.settings import Settings

main = typer.Typer(
    help="Coordinates small AI pilots between UN agencies. Settings: PILOTMESH_… in the environment.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
console = Console()
errors = Console(stderr=True)


@main.callback()
def pilotmesh() -> None:
    """Named so that `pilotmesh up` stays a command of its own, however few there are."""


@main.command()
def up() -> None:
    """Run a whole node until Ctrl-C."""
    try:
        run_node(Settings(), on_ready=announce)
    except NodeError as error:
        errors.print(f"[bold red]The node did not start:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(1) from None
    console.print("The node has stopped.")


def announce(settings: Settings) -> None:
    """Says where the node answers."""
    console.print(f"The node answers at [bold]{settings.url}[/], its data is in {settings.home}. Ctrl-C stops it.")
