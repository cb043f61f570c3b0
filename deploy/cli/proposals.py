"""`proposals` and `respond`: who should work together and why; and a person's answer, bound to what they saw."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Connection, Json, Url, connected
from deploy.cli.speaking import Misused, console, plainly, table, tell_json, words


class Reason(StrEnum):
    """Why an agency declines; shared as a code, the words only within the proposal's circle."""

    no_capacity = "no_capacity"
    not_our_mandate = "not_our_mandate"
    timing = "timing"
    risk = "risk"
    other = "other"


def proposals(
    url: Url = None,
    who: As = None,
    as_json: Json = False,
    pilot: Annotated[str | None, typer.Option(help="Id of a pilot.")] = None,
    agency: Annotated[str | None, typer.Option(help="Leads or is in the team.")] = None,
    invited: Annotated[str | None, typer.Option(help="Slug of an agency that is invited.")] = None,
    status: Annotated[str | None, typer.Option(help="open, formed, superseded, closed, no_partner, draft.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-3.")] = None,
    full: Annotated[bool, typer.Option("--full", help="With the four sentences that say why.")] = False,
) -> None:
    """List proposals: who should work together on which pilot."""
    with plainly(), connected(url, who, else_as=OPERATOR) as node:
        wanted = {"pilot": pilot, "agency": agency, "invited": invited, "status": status, "country": country}
        found = list(node.items("/matching/v1/proposals", **wanted))
        if as_json:
            tell_json(found)
            return
        titles = titles_of(node, (one["pilot"] for one in found))
        if full:
            for one in found:
                console.print(f"[bold]{escape(titles.get(one['pilot'], one['pilot']))}[/]  [dim]{one['id']}[/]")
                console.print(f"  {escape(standing(one))}\n  {escape(explanation(one))}\n", soft_wrap=True)
        else:
            rows = [(one["id"], titles.get(one["pilot"], one["pilot"]), standing(one)) for one in found]
            console.print(table("", ("proposal", "pilot", "stands"), rows))
        console.print(f"{len(found)} proposals")


def respond(
    proposal: Annotated[str, typer.Argument(help="Id of the proposal.")],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
    accept: Annotated[bool, typer.Option("--accept", help="We take part as proposed.")] = False,
    conditions: Annotated[str | None, typer.Option(help="We take part on these conditions.")] = None,
    decline: Annotated[Reason | None, typer.Option(help="We do not take part; the code is shared.")] = None,
    words_: Annotated[str | None, typer.Option("--words", help="Only for the proposal's circle.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is said.")] = False,
) -> None:
    """Answer an invitation in your agency's name (with --as AGENCY:approver).

    Shows the proposal and what will be said, and asks. The answer is bound to the proposal as it was shown: if that
    changes in between, nothing is said.
    """
    with plainly(), connected(url, who) as node:
        answer = _answer(accept, conditions, decline, words_)
        me = node.get("/mesh/v1/me")
        shown = node.get(f"/matching/v1/proposals/{proposal}")
        if not as_json:
            _show(node, shown, me["agency"])
        _confirm(me, answer, yes=yes, quiet=as_json)
        body = {"agency": me["agency"], "proposal_hash": shown["hash"], **answer}
        told = node.post(f"/matching/v1/proposals/{proposal}/responses", body)
        if as_json:
            tell_json(told)
        else:
            console.print(f"[green]Said.[/] {escape(me['agency'])}: {escape(_in_words(answer))}", soft_wrap=True)


def _answer(accept: bool, conditions: str | None, decline: Reason | None, said: str | None) -> dict[str, Any]:
    given = [accept, conditions is not None, decline is not None]
    if sum(given) != 1:
        raise Misused("Say one of --accept, --conditions TEXT, --decline REASON.")
    more = {"words": {"en": said}} if said else {}
    if accept:
        return {"decision": "accept", **more}
    if conditions is not None:
        return {"decision": "accept_with_conditions", "conditions": {"en": conditions}, **more}
    assert decline is not None
    return {"decision": "decline", "reason": decline.value, **more}


def _in_words(answer: dict[str, Any]) -> str:
    said = {
        "accept": "we take part as proposed",
        "accept_with_conditions": f"we take part, if: {words(answer.get('conditions'))}",
        "decline": f"we do not take part ({answer.get('reason')})",
    }[answer["decision"]]
    return f"{said}. {words(answer.get('words'))}".rstrip()


def _confirm(me: dict[str, Any], answer: dict[str, Any], *, yes: bool, quiet: bool) -> None:
    if not quiet:
        acting = f"{me['agency']}, as {', '.join(me['roles'])}" + (f", office {me['office']}" if me["office"] else "")
        console.print(f"\nIn the name of [bold]{escape(acting)}[/]: {escape(_in_words(answer))}", soft_wrap=True)
    if yes:
        return
    if quiet:
        raise Misused("With --json nobody is asked: add --yes if it is to be said.")
    if not typer.confirm("Say this?"):
        console.print("Nothing was said.")
        raise typer.Exit(0)


def _show(node: Connection, proposal: dict[str, Any], agency: str) -> None:
    title = titles_of(node, [proposal["pilot"]]).get(proposal["pilot"], proposal["pilot"])
    console.print(f"[bold]{escape(title)}[/], led by {escape(proposal['lead'])}", soft_wrap=True)
    console.print(escape(explanation(proposal)), soft_wrap=True)
    mine = next((one for one in proposal["team"] if one["agency"] == agency), None)
    if mine is None:
        console.print(f"[yellow]{escape(agency)} is not in this team.[/]")
    else:
        for reason in mine["reasons"]:
            console.print(f"  - {escape(words(reason.get('text', reason) if isinstance(reason, dict) else reason))}")
    if proposal.get("deadline"):
        console.print(f"Answers until {escape(str(proposal['deadline'])[:10])}; after that silence is a no.")
    console.print(f"[dim]proposal {proposal['id']}, hash {proposal['hash']}[/]", soft_wrap=True)


def explanation(proposal: dict[str, Any], language: str = "en") -> str:
    """The four sentences, or why there is no partner."""
    sentences = (proposal.get("sentences") or {}).get(language) or ()
    return words(proposal.get("no_partner"), language) if not sentences else " ".join(sentences)


def standing(proposal: dict[str, Any]) -> str:
    """How a proposal stands, in one line: with whom, who has answered what."""
    members = [f"{one['agency']} {one['status']}" for one in proposal.get("invitations") or ()]
    team = ", ".join(members) or ", ".join(one["agency"] for one in proposal.get("team") or ())
    return f"{proposal['status']}: {team}" if team else str(proposal["status"])


def titles_of(node: Connection, pilots: Iterable[str]) -> dict[str, str]:
    """Titles of pilots by id; those that the caller may not see are missing."""
    wanted = sorted(set(pilots))
    found = {}
    for start in range(0, len(wanted), 50):
        ids = ",".join(wanted[start : start + 50])
        found.update({one["id"]: words(one.get("title")) for one in node.items("/registry/v1/pilots", ids=ids)})
    return found
