"""`node export-agency`, `node import-agency`, `node take-over`: an agency goes to another node. On the nodes' own
machines, whether or not they run; the hub must answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from deploy.cli.connection import Json
from deploy.cli.keys import RecoveryKey, read_recovery_key
from deploy.cli.node import post_to
from deploy.cli.speaking import Misused, NoAnswer, Trouble, console, errors, plainly, tell_json
from deploy.cli.store import Ledgers, database, open_ledgers
from deploy.node.home import NodeError, read_note
from shared.settings import Settings

LEAST = 16
"""Characters of a passphrase that somebody thought of himself."""
AGAIN = "Is the hub up, and its address right? Give the same command again: it goes on where it stopped."

Agency = Annotated[str, typer.Argument(metavar="AGENCY", help="Such as wfp.")]
Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase", metavar="FILE", help="File that holds the passphrase in its first line; - is stdin."),
]


def export_agency(
    agency: Agency,
    file: Annotated[Path | None, typer.Argument(help="The new file, such as wfp.agency.")] = None,
    passphrase: Passphrase = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: the agency stays, the file is void.")] = False,
    as_json: Json = False,
) -> None:
    """Export an agency for another node: its keys, ledgers, actors. From then on nobody writes in its name until
    `node import-agency`. May be repeated: each file is complete, and the first that is imported counts.

    Without --passphrase one is made, and shown once. The node may run.
    """
    with plainly(), told_plainly():
        if undo:
            _undo(agency, as_json)
            return
        if file is None:
            raise Misused("Say where the file shall be written: `pilotmesh node export-agency wfp wfp.agency`.")
        if file.exists():
            raise Misused(f"{file} is there already; name a new file.")
        from deploy.node.exporting import packed  # noqa: PLC0415 (only who exports needs it)
        from shared.ledger import carrying  # noqa: PLC0415 (as above)
        from shared.ledger.departing import Departing  # noqa: PLC0415 (as above)
        from shared.ledger.drafts import Author  # noqa: PLC0415 (as above)
        from shared.ledger.keyring import write_secret  # noqa: PLC0415 (as above)

        words = None if passphrase is None else _passphrase_in(passphrase, LEAST)
        with ground() as at:
            author, made = Author("operator", "admin"), words or carrying.new_passphrase()
            departing = Departing(at.store, at.identity, at.keyring, author, lambda: datetime.now(UTC))
            sealed, content = packed(at, departing, agency, made)
            try:
                write_secret(file.absolute(), content)
            except OSError as error:
                raise Misused(f"{file} cannot be written: {error}", remedy="Give the command again.") from error
        if as_json:
            ends = {ledger: f"{epoch}:{sequence}" for ledger, (epoch, sequence, _) in sealed.heads.items()}
            told = {"agency": agency, "file": str(file), "move": sealed.move, "ledgers": ends}
            tell_json({**told, "passphrase": None if words else made})
            return
        console.print(
            f"{escape(agency)} is in {escape(str(file))}, {len(sealed.heads)} ledgers. Nobody writes for it now."
        )
        if words is None:
            console.print(f"Passphrase: [bold]{made}[/]", soft_wrap=True)
            errors.print("It is not shown again. Send it by another way than the file.")
        console.print(f"On its new node: pilotmesh node import-agency {escape(file.name)}", soft_wrap=True)
        console.print(
            "Subscriptions, sign-in links and sessions stay behind: they are made anew there.", soft_wrap=True
        )


def _undo(agency: str, as_json: bool) -> None:
    from deploy.node.importing import take_back  # noqa: PLC0415 (only who takes back needs it)

    with ground() as at:
        move = take_back(at, agency, post_to)
    if as_json:
        tell_json({"agency": agency, "move": move})
    else:
        console.print(f"{escape(agency)} is back on this node; what was exported is good for nothing any more.")


def import_agency(
    file: Annotated[Path, typer.Argument(help="What `node export-agency` has written.")],
    passphrase: Passphrase = None,
    domain: Annotated[str | None, typer.Option(help="A fresh node's name on links; else the agency's slug.")] = None,
    as_json: Json = False,
) -> None:
    """Import an agency: from now on this node hosts it. A member or the hub, which may run, or a fresh home, which
    joins the mesh by it. Give the same command again if the hub gave no answer."""
    with plainly(), told_plainly():
        from deploy.node.importing import import_agency as take_in  # noqa: PLC0415 (only who imports needs it)
        from shared.ledger import carrying  # noqa: PLC0415 (as above)

        try:
            sealed = file.read_bytes()
        except OSError as error:
            raise Misused(f"{file} cannot be read: {error}") from error
        agency = carrying.head_of(sealed)["agency"]
        if passphrase is None:
            words = typer.prompt(f"Passphrase of {agency}", hide_input=True, err=True)
        else:
            words = _passphrase_in(passphrase, 1)
        contents = carrying.opened(sealed, words)
        arrived = take_in(settings_here(), contents, post_to, ground, domain=domain)
        if as_json:
            tell_json(
                {
                    "agency": arrived.agency,
                    "domain": arrived.domain,
                    "facts": arrived.facts,
                    "actors": arrived.actors,
                    "joined": arrived.fresh,
                }
            )
            return
        console.print(
            f"This node ({escape(arrived.domain)}) hosts {escape(arrived.agency)} now: {arrived.facts} facts that it "
            f"did not have, {arrived.actors} actors with their tokens.",
            soft_wrap=True,
        )
        console.print(
            "Its signing key was made by the node that exported it, whose backups may hold it. When that host must "
            f"not have it: pilotmesh keys rotate {escape(arrived.agency)}",
            soft_wrap=True,
        )
        if arrived.fresh:
            console.print("It has joined the mesh by this. `pilotmesh up` starts it.")


def take_over(
    agency: Agency,
    recovery_key: RecoveryKey,
    backup: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|URI", help="A restored home of the lost node, or a restored MongoDB of it."),
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait for facts that are on their way.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Take over an agency whose node is lost, with its recovery key. Its old key is revoked beyond what the hub has
    witnessed; what it shared comes from the hub, private facts from --backup alone. This node must run, so that it
    fetches; give the same command again if it was cut off."""
    with plainly(), told_plainly(), ground() as at:
        from deploy.node.taking_over import take_over as take  # noqa: PLC0415 (only who takes over needs it)

        recovery = read_recovery_key(recovery_key)
        with nullcontext() if backup is None else restored(backup) as old:
            done = take(at, agency, recovery, post_to, lambda: datetime.now(UTC), backup=old, patience_seconds=patience)
        if as_json:
            places = done.rotation.places
            told = {"agency": agency, "key": done.rotation.keyid, "ledgers": places}
            tell_json({**told, "private_restored": done.restored, "gone": done.gone})
            return
        console.print(f"This node hosts {escape(agency)} now, and signs with {done.rotation.keyid}.", soft_wrap=True)
        console.print(f"Private facts from the backup: {done.restored}.")
        for sentence in done.gone:
            console.print(f"[bold red]Gone[/]: {escape(sentence)}", soft_wrap=True)
        errors.print("Back up the key folder. Its actors are made anew, unless the backup held them.")


# -- what they stand on --------------------------------------------------------------------------------------------


def settings_here() -> Settings:
    """The settings; the address told to others is the running node's, unless another is set."""
    settings = Settings()
    running = read_note(settings.home).get("url")
    return settings if settings.public_url or not running else settings.model_copy(update={"public_url": running})


@contextmanager
def ground() -> Iterator[Ledgers]:
    """Ledgers and keys of the node in PILOTMESH_HOME."""
    with open_ledgers() as at:
        yield replace(at, settings=at.settings.model_copy(update={"public_url": settings_here().public_url}))


@contextmanager
def restored(backup: str) -> Iterator[Ledgers]:
    """The ledgers of a node that was put back for this alone. Raises Misused."""
    from pymongo import MongoClient  # noqa: PLC0415 (imports the driver)

    from shared.ledger.identity import Identity  # noqa: PLC0415 (as above)
    from shared.ledger.keyring import Keyring  # noqa: PLC0415 (as above)
    from shared.ledger.store import Document, LedgerStore  # noqa: PLC0415 (as above)

    of_uri = backup.startswith("mongodb")
    settings = Settings()
    home = settings.home if of_uri else Path(backup)
    if not (home / "mesh.json").exists():
        raise Misused(f"{backup} is no home of a node: mesh.json is missing.")
    with database(settings.model_copy(update={"home": home, "mongodb_uri": backup if of_uri else None})) as found:
        client: MongoClient[Document] = MongoClient(found.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=5000)
        with client:
            store = LedgerStore(client, found.database("ledger"))
            yield Ledgers(found, store, Identity.read(home), Keyring(home / "keys"))


@contextmanager
def told_plainly() -> Iterator[None]:
    """What the file or the node is not fit for, and a hub that is silent, said with what to do."""
    from shared.ledger.carrying import NotCarried  # noqa: PLC0415 (imports cryptography, which takes its time)

    try:
        yield
    except (NodeError, NotCarried) as error:
        raise Trouble(str(error)) from error
    except NoAnswer as trouble:
        raise NoAnswer(f"The hub gives no answer: {trouble.sentence}", remedy=AGAIN) from trouble


def _passphrase_in(path: Path, least: int) -> str:
    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeError) as error:
        raise Misused(f"{path} cannot be read: {error}") from error
    words = text.splitlines()[0].strip() if text.strip() else ""
    if len(words) < least:
        raise Misused(f"The passphrase in {path} has {len(words)} characters; give it at least {least}, or none.")
    return words
