"""`verify`: walks every ledger and proves it, on the database itself, whether or not the node runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from deploy.cli.connection import Json
from deploy.cli.speaking import REFUSED, console, plainly, table, tell_json
from deploy.cli.store import Ledgers, open_ledgers

if TYPE_CHECKING:
    from shared.ledger.verification import LedgerReport


def verify(as_json: Json = False) -> None:
    """Prove sequence, chain, digests and signatures of every ledger of the node in PILOTMESH_HOME, or name the first
    fact that is wrong (status 1). Heads that were witnessed before must still be there.

    Reads the database itself: that of the running node, or one started for this alone.
    """
    with plainly(), open_ledgers() as at:
        reports, missing = prove(at)
        proven = note(at, reports, missing)
        if as_json:
            ledgers = [_told(report) for report in reports]
            tell_json({"proven": proven, "ledgers": ledgers, "missing_heads": missing})
        else:
            _show(reports, missing)
        if not proven:
            raise typer.Exit(REFUSED)


def prove(at: Ledgers) -> tuple[list[LedgerReport], list[str]]:
    """A report for every ledger, and a sentence for every witnessed head that is gone."""
    from shared.ledger.verification import verify_node  # noqa: PLC0415 (imports the driver, as `open_ledgers` does)
    from shared.ledger.witness import Witness, foreign_heads  # noqa: PLC0415 (as above)

    missing = [*Witness(at.settings.home).missing(at.store), *foreign_heads(at.store).missing(at.store)]
    return verify_node(at.store, at.identity), missing


def note(at: Ledgers, reports: list[LedgerReport], missing: list[str]) -> bool:
    """Keeps when the ledgers were walked, for `node status`. Returns whether all is proven."""
    from shared.ledger.verification import note_verification  # noqa: PLC0415 (imports the driver)

    return note_verification(at.store, reports, missing, datetime.now(UTC))


def _told(report: LedgerReport) -> dict[str, object]:
    return {
        "ledger": report.ledger,
        "facts": report.facts,
        "redacted": report.redacted,
        "head": report.head.hash,
        "fault": report.fault,
    }


def _show(reports: list[LedgerReport], missing: list[str]) -> None:
    rows = [
        (one.ledger, str(one.facts), str(one.redacted or ""), one.head.hash[:16], "WRONG" if one.fault else "proven")
        for one in reports
    ]
    console.print(table("", ("ledger", "facts", "forgotten", "head", ""), rows))
    for report in reports:
        if report.fault:
            console.print(f"[bold red]{escape(report.ledger)}[/]: {escape(report.fault)}", soft_wrap=True)
    for sentence in missing:
        console.print(f"[bold red]A head that was witnessed is gone[/]: {escape(sentence)}", soft_wrap=True)
    facts = sum(report.facts for report in reports)
    wrong = sum(report.fault is not None for report in reports)
    if wrong or missing:
        console.print(f"[bold red]Not proven[/]: {wrong} of {len(reports)} ledgers, {len(missing)} witnessed heads.")
    else:
        console.print(f"[green]Proven[/]: {facts} facts in {len(reports)} ledgers; every witnessed head is there.")
