"""The `pilotmesh` command.

Exit status: 0 done; 1 the node refused, or what was to be proven or checked is not so; 2 called wrongly, or a file
cannot be read; 3 the node gives no answer. What a program would read comes with `--json` on stdout.
"""

from __future__ import annotations

import typer
from rich.markup import escape

from deploy.cli import (
    doctor,
    evidence,
    forgetting,
    hosting,
    hub,
    keys,
    moving,
    node,
    operating,
    proof,
    proposals,
    records,
    results,
    watching,
)
from deploy.cli.speaking import NoAnswer, Trouble, console, errors, plainly
from deploy.node.home import NodeError
from deploy.node.launcher import run_node
from shared.settings import Settings

main = typer.Typer(
    help="Coordinates small AI pilots between UN agencies. Settings: PILOTMESH_… in the environment.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@main.callback()
def pilotmesh() -> None:
    """Named so that `pilotmesh up` stays a command of its own, however few there are."""


@main.command()
def up() -> None:
    """Run a whole node until Ctrl-C."""
    try:
        run_node(Settings(), on_ready=announce)
    except NodeError as error:
        errors.print(f"[bold red]The node did not start:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None
    console.print("The node has stopped.")


@main.command()
def demo() -> None:
    """Run a whole node with the sample portfolio until Ctrl-C. A second run goes on from the data of the first."""
    from deploy.demo import story  # noqa: PLC0415 (only a demo needs it)

    with plainly():
        try:
            run_node(story.demo_settings(Settings()), on_ready=lambda settings: story.tell(settings, console))
        except NodeError as error:
            raise Trouble(f"The node did not start: {error}") from error
        except NoAnswer:  # Ctrl-C while the sample was being loaded: the node stops first
            console.print("The node stopped before the sample was loaded.")
    console.print("The node has stopped. `pilotmesh demo` goes on from its data.")


def announce(settings: Settings) -> None:
    """Says where the node answers."""
    console.print(f"The node answers at [bold]{settings.url}[/], its data is in {settings.home}. Ctrl-C stops it.")


main.command()(operating.status)
main.command()(doctor.doctor)
main.command()(proof.verify)
main.command()(evidence.evidence)
main.command()(proposals.proposals)
main.command()(proposals.respond)
main.command()(results.observe)
main.command()(watching.watch)
main.command()(forgetting.redactions)
main.command()(operating.rebuild)
main.command("sign-in-link")(hosting.sign_in_link)
main.add_typer(records.pilot, name="pilot")
main.add_typer(records.capability, name="capability")
operating.ledger.command("reopen")(keys.reopen)
main.add_typer(operating.ledger, name="ledger")
main.add_typer(keys.keys, name="keys")
hub.hub.command("revoke-key")(keys.revoke_key)
hub.anchor.command("recovery-key")(keys.anchor_recovery_key)
main.add_typer(hub.hub, name="hub")
node.node.command("export-agency")(moving.export_agency)
node.node.command("import-agency")(moving.import_agency)
node.node.command("take-over")(moving.take_over)
main.add_typer(node.node, name="node")
main.add_typer(hosting.agency, name="agency")
main.add_typer(hosting.actor, name="actor")
