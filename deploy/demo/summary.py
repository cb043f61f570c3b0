"""What came out of the sample, on one screen: asked of the public HTTP API, like anybody would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from deploy.cli import tokens
from deploy.cli.proposals import explanation
from deploy.cli.speaking import Trouble, words
from deploy.demo.answers import standing_proposals
from deploy.demo.loading import Loader
from deploy.demo.people import GUEST_AGENCY, GUEST_COUNTRY
from deploy.demo.portfolio import Record
from shared.settings import Settings
from shared.vocabulary import capability, places

MOST_PROPOSALS, MOST_ROWS = 8, 12
UNDER_WAY = ("running", "paused", "closing", "closed")
EXPLAINED = "fao-fall-armyworm"
"""The pilot whose proposal is explained in full: it waits for WFP Zambia, whom the reader can be."""


class NotProven(Trouble):
    """A ledger of the demo's node does not prove."""

    def __init__(self, faults: str) -> None:
        super().__init__(f"Not proven: {faults}", remedy="`pilotmesh verify` and `pilotmesh doctor` say more.")


def tell(loader: Loader, settings: Settings, link: str, console: Console) -> None:
    """Prints the summary. Raises `NotProven` if a ledger is not: a demo that hid that would lie."""
    node = loader.node
    pilots = {one["id"]: one for one in node.items("/registry/v1/pilots")}
    proposals = standing_proposals(loader)
    testbeds = list(node.items("/matching/v1/testbeds"))
    _registered(loader, pilots, console)
    _proposed(pilots, proposals, testbeds, console)
    _explained(loader, pilots, proposals, console)
    _lacking(list(node.items("/matching/v1/gaps")), console)
    _reached(node.get("/metrics/v1/overview"), pilots, console)
    _proven(node.post("/mesh/v1/verification"), console)
    _invitation(loader, link, console)
    _addresses(loader, settings, console)


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/]")


def _registered(loader: Loader, pilots: Mapping[str, Record], console: Console) -> None:
    leads = {one["lead_agency"] for one in pilots.values()}
    countries = {country for one in pilots.values() for country in one.get("countries") or ()}
    offers = sum(1 for _ in loader.node.items("/registry/v1/capabilities"))
    _heading(console, "Registered")
    console.print(
        f"{len(pilots)} pilots led by {len(leads)} agencies in {len(countries)} countries; {offers} capabilities. "
        "Fields that were invented for the sample are marked on the pages.",
    )


def _proposed(
    pilots: Mapping[str, Record], proposals: Mapping[str, Record], testbeds: list[Record], console: Console
) -> None:
    with_team = [one for one in proposals.values() if one["status"] != "no_partner"]
    alone = [one for one in proposals.values() if one["status"] == "no_partner"]
    _heading(console, f"Testbeds proposed: {len(with_team)}; formed: {len(testbeds)}")
    ranked = sorted(with_team, key=lambda one: (one["status"] != "formed", -one["priority"]["score"]))
    for one in ranked[:MOST_PROPOSALS]:
        partners = [_member(one, member) for member in one["team"] if member["role"] != "lead"]
        team = f"{one['lead']} + {', '.join(partners)}"
        stands = f"{one['status']}, {one['coverage']:.0%} of needs"
        console.print(f"  {escape(_title(pilots, one['pilot']))} [dim]({stands})[/]")
        console.print(f"    {escape(team)}")
    if len(ranked) > MOST_PROPOSALS:
        console.print(f"  … and {len(ranked) - MOST_PROPOSALS} more: `pilotmesh proposals --full`")
    for one in alone:
        console.print(f"[bold]{escape(_title(pilots, one['pilot']))}[/]: {escape(explanation(one))}")


def _member(proposal: Record, member: Record) -> str:
    answers = {one["agency"]: one["status"] for one in proposal.get("invitations") or ()}
    said = {"accepted": " (yes)", "conditional": " (yes, if …)", "declined": " (no)"}
    return f"{member['agency']}{said.get(answers.get(member['agency'], ''), '')}"


def _explained(loader: Loader, pilots: Mapping[str, Record], proposals: Mapping[str, Record], console: Console) -> None:
    pilot = loader.notes.id_of("pilot", EXPLAINED)
    one = proposals.get(pilot or "")
    if one is None:
        return
    _heading(console, f"Why, for example “{escape(_title(pilots, one['pilot']))}”")
    console.print(escape(explanation(one)))


def _lacking(gaps: list[Record], console: Console) -> None:
    _heading(console, f"What nobody can provide: {len(gaps)} needs")
    for one in gaps[:MOST_ROWS]:
        code = capability.CODES.get(one["code"])
        country = places.PLACES.get(one.get("country") or "")
        where = f" in {country.names['en']}" if country else ""
        wanted = len(one.get("pilots") or ())
        pilots = "1 pilot" if wanted == 1 else f"{wanted} pilots"
        console.print(f"  {escape((code.label['en'] if code else one['code']) + where)}, for {pilots}")
    if len(gaps) > MOST_ROWS:
        console.print(f"  … and {len(gaps) - MOST_ROWS} more")


def _reached(overview: Record, pilots: Mapping[str, Record], console: Console) -> None:
    """People counted once: at least the largest group, at most the sum, as the agencies published it."""
    reach = overview["reach"]["direct"]
    _heading(console, "People reached")
    if reach["upper"] is None:
        console.print("No pilot has published figures yet.")
        return
    under_way = sum(one["life"] in UNDER_WAY for one in pilots.values())
    console.print(
        f"Between {_number(reach['lower'])} and {_number(reach['upper'])} people, by the {under_way} pilots that "
        "run: the same people may have met several of them. The figures are invented; small groups are withheld."
    )
    told = [f"{count} {status.replace('_', ' ')}" for status, count in overview["statuses"].items() if count]
    console.print(f"Indicators: {', '.join(told)}.")


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _proven(told: Record, console: Console) -> None:
    _heading(console, "Ledgers")
    faults = [f"{one['ledger']}: {one['fault']}" for one in told["ledgers"] if one["fault"]]
    if not told["proven"]:
        raise NotProven("; ".join([*faults, *told["missing_heads"]]))
    facts = sum(one["facts"] for one in told["ledgers"])
    console.print(
        f"{facts} facts in {len(told['ledgers'])} ledgers: every sequence, chain, digest and signature proven."
    )


def _addresses(loader: Loader, settings: Settings, console: Console) -> None:
    viewer = tokens.read(loader.home)[GUEST_AGENCY]["viewer"]
    path = f"/matching/v1/proposals?invited={GUEST_AGENCY}&country={GUEST_COUNTRY}"
    _heading(console, "Then open, or ask")
    for address, about in _pages(loader):
        console.print(f"  {settings.url}{address}  [dim]{about}[/]", soft_wrap=True)
    console.print(f"  {tokens.path_in(loader.home)}  [dim]bearer tokens, by agency and role[/]", soft_wrap=True)
    console.print(f"\n  curl -s -H 'Authorization: Bearer {viewer}' '{settings.url}{path}'", soft_wrap=True)


def _pages(loader: Loader) -> Iterator[tuple[str, str]]:
    yield f"/countries/{GUEST_COUNTRY}", "everything in Zambia"
    pilot = loader.notes.id_of("pilot", EXPLAINED)
    yield f"/pilots/{pilot}", "one pilot"
    yield "/registry/openapi.json", "the API of one service; each has its own"


def _invitation(loader: Loader, link: str, console: Console) -> None:
    invited = [
        one
        for one in loader.node.items("/matching/v1/proposals", invited=GUEST_AGENCY, country=GUEST_COUNTRY)
        if one["status"] == "open"
    ]
    _heading(console, "Be an officer of WFP Zambia")
    number = len(invited)
    waiting = (
        f"{number} {'invitation waits' if number == 1 else 'invitations wait'} for your answer. " if number else ""
    )
    console.print(f"{waiting}This link signs you in, once:")
    console.print(f"  [bold]{escape(link)}[/]", soft_wrap=True)


def _title(pilots: Mapping[str, Record], id: str) -> str:  # noqa: A002 - the record's word
    pilot: Any = pilots.get(id)
    return id if pilot is None else words(pilot.get("title"))
