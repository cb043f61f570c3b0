"""`keys rotate`, `keys recover`, `ledger reopen`: on the node's own machine, whether or not the node runs; and
`hub revoke-key`, which the running hub carries out.

The first three work on the database and the key folder themselves: a recovery key never travels.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Json, Url, connected
from deploy.cli.speaking import REFUSED, Misused, console, errors, plainly, table, tell_json
from deploy.cli.store import Ledgers, open_ledgers

if TYPE_CHECKING:
    from shared.facts.keys import SigningKey
    from shared.ledger.rekeying import Rekeying, Rotation

keys = typer.Typer(help="Signing keys of the agencies of this node.", no_args_is_help=True)

RecoveryKey = Annotated[
    Path,
    typer.Option("--recovery-key", metavar="FILE", help="The recovery key as it was shown, 64 hex digits; - is stdin."),
]


def rekeying(at: Ledgers) -> Rekeying:
    """What replaces keys on this node, in the operator's name."""
    from shared.ledger.drafts import Author  # noqa: PLC0415 (imports the database's driver, as `open_ledgers` does)
    from shared.ledger.rekeying import Rekeying  # noqa: PLC0415 (as above)

    return Rekeying(at.store, at.identity, at.keyring, Author("operator", "admin"), lambda: datetime.now(UTC))


def read_recovery_key(path: Path) -> SigningKey:
    """Raises Misused if the file cannot be read, Conflict if it holds no key."""
    from shared.ledger.rekeying import recovery_key  # noqa: PLC0415 (as in `rekeying`)

    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeError) as error:
        raise Misused(f"{path} cannot be read: {error}") from error
    return recovery_key(text)


@keys.command("rotate")
def rotate(
    agency: Annotated[str, typer.Argument(help="An agency of this node, such as wfp; hub for the roster's anchor.")],
    as_json: Json = False,
) -> None:
    """Give an agency a new signing key, in all its ledgers. The node may run; repeat it if it was interrupted."""
    with plainly(), open_ledgers() as at:
        _tell(rekeying(at).rotate(agency), as_json)


@keys.command("recover")
def recover(
    agency: Annotated[str, typer.Argument(help="An agency of this node whose signing key is lost, stolen or revoked.")],
    recovery_key: RecoveryKey,
    as_json: Json = False,
) -> None:
    """Give an agency a new signing key by its recovery key. The node may run; repeat it if it was interrupted."""
    with plainly(), open_ledgers() as at:
        _tell(rekeying(at).rotate(agency, read_recovery_key(recovery_key)), as_json)


def reopen(
    ledger: Annotated[str, typer.Argument(help="A frozen ledger of this node, such as wfp.registry.")],
    recovery_key: RecoveryKey,
    reason: Annotated[str, typer.Option(help="Why; everybody who may read the ledger reads this.")],
    as_json: Json = False,
) -> None:
    """Go on with a frozen ledger, in its next epoch, from the newest fact that is left. What others have seen beyond
    it is given up for good: restore it first, if anybody still has it. The node may run."""
    with plainly(), open_ledgers() as at:
        from shared.ledger.drafts import Author  # noqa: PLC0415 (as in `rekeying`)
        from shared.ledger.reopening import reopen as reopen_ledger  # noqa: PLC0415

        try:
            fact = reopen_ledger(
                at.store,
                at.identity,
                ledger,
                read_recovery_key(recovery_key),
                Author("operator", "admin"),
                reason,
                datetime.now(UTC),
            )
        except ValueError as error:
            raise Misused(str(error)) from error
        at.keyring.touch(fact.header.agency)
        if as_json:
            tell_json({"ledger": ledger, "reopened": fact.place, "hash": fact.hash, "from": fact.header.previous})
            return
        console.print(f"{escape(ledger)} goes on at {fact.place}, from {fact.header.previous[:16]}.")


def anchor_recovery_key(
    file: Annotated[
        Path, typer.Argument(help="A new file, on a medium that you keep offline, not with the key itself.")
    ],
) -> None:
    """Make the anchor's recovery key: the roster names its public half, once and for all; the other goes into FILE.

    It alone replaces the anchor's key when that is lost or stolen (`pilotmesh keys recover hub`). The node may run.
    """
    with plainly(), open_ledgers() as at:
        from shared.ledger.anchoring import bind_anchor_recovery  # noqa: PLC0415 (as in `rekeying`)
        from shared.ledger.drafts import Author  # noqa: PLC0415 (as in `rekeying`)

        made = bind_anchor_recovery(at.store, at.identity, at.keyring, file, Author("operator", "admin"))
        console.print(
            f"The roster names {made.public.hex()} as the anchor's recovery key; its private half is in {file}.",
            soft_wrap=True,
        )
        errors.print("Keep it, and a copy of it, apart from the anchor's key. It can never be replaced.")


def revoke_key(
    agency: Annotated[str, typer.Argument(help="The agency whose signing key was stolen.")],
    ledger_head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEDGER=EPOCH:SEQUENCE[:HASH]",
            help="A ledger's last good fact; may be repeated. This node's heads where none is named; 1:0 for none.",
        ),
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEYID", help="Which key; the present one without it.")] = None,
    successor: Annotated[
        str | None, typer.Option(metavar="HEX", help="Public key that goes on from there, if the agency has named one.")
    ] = None,
    url: Url = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Revoke a signing key: what it signed beyond the last good facts is given up on every node, whatever its date.

    The agency makes a new key afterwards, on its own node: `pilotmesh keys recover`.
    """
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        body = {"keyid": key, "last_good": dict(map(_place, ledger_head or ())), "successor": successor}
        told = node.post(f"/mesh/v1/agencies/{agency}/revocations", body)
        if as_json:
            tell_json(told)
            return
        rows = [
            (ledger, f"{place['epoch']}:{place['sequence']}", place["hash"][:16])
            for ledger, place in told["last_good"].items()
        ]
        console.print(table("", ("ledger", "last good fact", "hash"), rows))
        console.print(f"{escape(agency)}'s key {told['keyid']} is revoked beyond these.")


def _place(told: str) -> tuple[str, dict[str, Any]]:
    """`wfp.registry=1:17:ab…` as ledger and place. Raises Misused."""
    ledger, _, place = told.partition("=")
    parts = place.split(":")
    if not ledger or len(parts) not in (2, 3) or not all(part.isdigit() for part in parts[:2]):
        raise Misused(f"--ledger-head {told}: write LEDGER=EPOCH:SEQUENCE or LEDGER=EPOCH:SEQUENCE:HASH.")
    found: dict[str, Any] = {"epoch": int(parts[0]), "sequence": int(parts[1])}
    return ledger, {**found, "hash": parts[2]} if len(parts) == 3 else found


def _tell(done: Rotation, as_json: bool) -> None:
    if as_json:
        told = {"agency": done.agency, "key": done.keyid, "replaces": done.before}
        tell_json({**told, "ledgers": done.places, "waiting": done.waiting})
    else:
        rows = sorted(done.places.items())
        console.print(table("", ("ledger", "rekeyed at"), rows))
        console.print(f"{escape(done.agency)} signs with {done.keyid} now, which replaces {done.before}.")
        errors.print("Back up the key folder: the key before it signs nothing more.")
    for ledger, why in done.waiting.items():
        errors.print(f"[bold red]{escape(ledger)}[/]: {escape(why)}", soft_wrap=True)
    if done.waiting:
        raise typer.Exit(REFUSED)
