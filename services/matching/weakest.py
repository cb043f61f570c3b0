"""The one thing about a team to look at first, as a sentence; there is always one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.matching.model import Need
from services.matching.outcome import Cover, Reason, Status, Uncovered
from services.matching.phrases import agency_name, both, listed, need_name
from services.matching.plan import Plan
from services.matching.problem import Problem
from services.matching.weights import PER_MILLE, fifths


def weakest_point(problem: Problem, plan: Plan, uncovered: Sequence[Uncovered], status: Status) -> Reason:
    """Essential needs before others; what is missing before what is unsure, before what rests on one agency."""
    if status == "nothing_to_match":
        return _weakest(
            "no_open_need",
            "that the pilot asks for nothing that an agency could bring",
            "que le pilote ne demande rien qu’une agence puisse apporter",
        )
    missing = [one for one in uncovered if problem.world.code(need_of(problem, one.need).code).matchable]
    essential = [one for one in missing if one.essential]
    if essential:
        names = listed([need_name(problem.world, need_of(problem, one.need)) for one in essential])
        return _weakest(
            "essential_uncovered",
            "that the team does not cover in full what the pilot cannot do without: {needs}",
            "que l’équipe ne couvre pas entièrement ce dont le pilote ne peut se passer : {needs}",
            needs=names,
            about={"needs": [one.need for one in essential]},
        )
    unsure = [one for one in plan.covers if one[1].confidence == "to_be_asked"]
    unsure.sort(key=lambda one: (not need_of(problem, one[1].need).essential, one[1].need, one[0]))
    if unsure and need_of(problem, unsure[0][1].need).essential:
        return _unsure(problem, *unsure[0])
    if missing:
        names = listed([need_name(problem.world, need_of(problem, one.need)) for one in missing])
        return _weakest(
            "uncovered",
            "that the team does not cover {needs} in full",
            "que l’équipe ne couvre pas entièrement {needs}",
            needs=names,
            about={"needs": [one.need for one in missing]},
        )
    if unsure:
        return _unsure(problem, *unsure[0])
    return _single_or_lowest(problem, plan)


def others_for(problem: Problem, need: str, agency: str) -> list[str]:
    """Other agencies that may be asked and suit the need."""
    at = next(at for at, one in enumerate(problem.needs) if one.id == need)
    offering = {suit.capability.agency for suit in problem.suits[at]}
    return sorted(offering - {agency} - set(problem.barred))


def need_of(problem: Problem, need: str) -> Need:
    return next(one for one in problem.pilot.needs if one.id == need)


def _single_or_lowest(problem: Problem, plan: Plan) -> Reason:
    """Everything is covered: what rests on one agency alone, else what fits least."""
    covers = sorted(plan.covers, key=lambda one: (not need_of(problem, one[1].need).essential, one[1].fit, one[1].need))
    for agency, cover in covers:
        if not others_for(problem, cover.need, agency):
            return _weakest(
                "rests_on_one",
                "that {need} rests on {agency} alone, which nobody could replace",
                "que {need} repose sur {agency} seule, que personne ne pourrait remplacer",
                need=need_name(problem.world, need_of(problem, cover.need)),
                agency=agency_name(problem.world, agency),
                about={"need": cover.need, "agency": agency},
            )
    agency, cover = min(covers, key=lambda one: (one[1].fit, one[1].need, one[0]))
    return _weakest(
        "lowest_fit",
        "how well {agency} fits {need} ({fifths} of 5)",
        "l’adéquation de {agency} à {need} ({fifths} sur 5)",
        agency=agency_name(problem.world, agency),
        need=need_name(problem.world, need_of(problem, cover.need)),
        fifths=fifths(cover.fit / PER_MILLE),
        about={"need": cover.need, "agency": agency},
    )


def _unsure(problem: Problem, agency: str, cover: Cover) -> Reason:
    return _weakest(
        "to_be_asked",
        "that {agency} has not confirmed lately that it can provide {need}",
        "que {agency} n’a pas confirmé récemment pouvoir fournir {need}",
        agency=agency_name(problem.world, agency),
        need=need_name(problem.world, need_of(problem, cover.need)),
        about={"need": cover.need, "agency": agency},
    )


def _weakest(code: str, en: str, fr: str, about: Mapping[str, object] | None = None, **values: object) -> Reason:
    text = both(f"The weakest point is {en}.", f"Le point le plus faible est {fr}.", **values)
    return Reason(code, text, about)
