"""Why an agency is not in the team: the exact rule that keeps it out, or the better candidate, need by need.

The answer is for the lead and for that agency alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.matching.candidates import NEARNESS, Refusal
from services.matching.gaps import said_barring, said_refusal
from services.matching.outcome import Reason
from services.matching.phrases import agency_name, both, code_name, listed, need_name, percent
from services.matching.plan import Plan, suit_of
from services.matching.problem import Problem, barring_rule, substitutes_of
from services.matching.solver import Solution, Solver
from services.matching.weights import PER_MILLE, POINT, fifths

WORK = 2_000


@dataclass(frozen=True, slots=True)
class WhyNot:
    """`rule` is the code of the deciding reason. `objective` is that of the best permitted team with the agency in it,
    where there is one, `proposed` that of the proposed team: what asking it would cost."""

    agency: str
    rule: str
    reasons: tuple[Reason, ...]
    proposed: float | None = None
    objective: float | None = None

    def as_state(self) -> dict[str, Any]:
        return {
            "agency": self.agency,
            "rule": self.rule,
            "reasons": [reason.as_state() for reason in self.reasons],
            "proposed": self.proposed,
            "objective": self.objective,
        }


def why_not(problem: Problem, plan: Plan, solver: Solver, agency: str) -> WhyNot:
    name = agency_name(problem.world, agency)
    if agency in plan.team:
        text = both("{agency} is in the team.", "{agency} fait partie de l’équipe.", agency=name)
        return WhyNot(agency, "in_team", (Reason("in_team", text),))
    rule = barring_rule(agency, problem.pilot, problem.rules, problem.usage)
    if rule is not None:
        return WhyNot(agency, rule, (said_barring(problem, agency, rule),))
    if agency not in problem.agencies:
        return _does_not_suit(problem, agency)
    number = problem.agencies.index(agency)
    able = [at for at in range(len(problem.needs)) if _part(problem, at, number) >= problem.instance.demands[at].least]
    if not able:
        text = both(
            "{agency} could give less than a fair part of any need: nobody is invited for so little.",
            "{agency} pourrait donner moins qu’une part équitable de chaque besoin ; on n’invite personne pour si peu.",
            agency=name,
        )
        return WhyNot(agency, "too_small", (Reason("too_small", text),))
    return _better_team(problem, plan, solver, agency, able)


def _part(problem: Problem, at: int, number: int) -> int:
    return sum(offer.cap for offer in problem.instance.demands[at].offers if offer.agency == number)


def _does_not_suit(problem: Problem, agency: str) -> WhyNot:
    """It has the right code and breaks a rule, or has only akin codes, or none."""
    mine = problem.index.of_agency(agency)
    reasons = []
    for need in problem.needs:
        codes = {need.code, *substitutes_of(problem.pilot, need, problem.rules)}
        answers = [problem.examined(need, one) for one in mine if one.code in codes]
        refusals = [one for one in answers if isinstance(one, Refusal)]
        if refusals:
            nearest = max(refusals, key=lambda one: NEARNESS.index(one.code))
            reasons.append(said_refusal(problem, need, nearest))
    if reasons:
        deciding = max(reasons, key=lambda one: NEARNESS.index(one.code))
        return WhyNot(agency, deciding.code, tuple(reasons))
    name = agency_name(problem.world, agency)
    akin = {code for need in problem.needs for code in problem.world.code(need.code).siblings}
    offered = sorted({one.code for one in mine if one.code in akin})
    if offered:
        text = both(
            "{agency} offers {offered}, which is akin to what is needed, but not the same.",
            "{agency} propose {offered}, proche de ce qui est demandé, mais pas identique.",
            agency=name,
            offered=listed([code_name(problem.world, code) for code in offered]),
        )
        return WhyNot(agency, "only_akin", (Reason("only_akin", text, {"codes": offered}),))
    text = both(
        "{agency} has offered nothing that this pilot needs.",
        "{agency} n’a rien proposé de ce dont ce pilote a besoin.",
        agency=name,
    )
    return WhyNot(agency, "offers_nothing_needed", (Reason("offers_nothing_needed", text),))


def _better_team(problem: Problem, plan: Plan, solver: Solver, agency: str, able: list[int]) -> WhyNot:
    number = problem.agencies.index(agency)
    with_it = solver.solve(must=1 << number, work_limit=WORK)
    reasons = [_better_candidate(problem, plan, agency, at) for at in able]
    proposed = plan.solution
    instance = problem.instance
    if not isinstance(proposed, Solution) or not isinstance(with_it, Solution):
        rule = "no_permitted_team"
        text = both(
            "No permitted team has {agency} in it.",
            "Aucune équipe permise ne comprend {agency}.",
            agency=agency_name(problem.world, agency),
        )
        return WhyNot(agency, rule, (Reason(rule, text), *reasons))
    essentials, points = instance.points(with_it.scaled)
    own_essentials, own_points = instance.points(proposed.scaled)
    if essentials < own_essentials:
        rule = "essential_lost"
    elif with_it.scaled == proposed.scaled:
        rule = "equal_order_decided"
    else:
        rule = "better_team_without"
    said = {
        "essential_lost": (
            "With {agency} in it, the best team would cover fewer of the needs the pilot cannot do without.",
            "Avec {agency}, la meilleure équipe couvrirait moins de besoins indispensables.",
        ),
        "equal_order_decided": (
            "A team with {agency} in it would be as good; only a fixed order decided.",
            "Une équipe avec {agency} se vaudrait ; seul un ordre fixe a décidé.",
        ),
        "better_team_without": (
            "The best team with {agency} in it covers less, or costs more effort.",
            "La meilleure équipe avec {agency} couvre moins, ou demande plus d’effort.",
        ),
    }[rule]
    text = both(*said, agency=agency_name(problem.world, agency))
    return WhyNot(
        agency,
        rule,
        (Reason(rule, text), *reasons),
        proposed=round(own_points / POINT, 6),
        objective=round(points / POINT, 6),
    )


def _better_candidate(problem: Problem, plan: Plan, agency: str, at: int) -> Reason:
    """For one need that the agency could cover: who was preferred and how both fit."""
    need = problem.needs[at]
    number = problem.agencies.index(agency)
    offers = [offer for offer in problem.instance.demands[at].offers if offer.agency == number]
    own = suit_of(problem, at, problem.capabilities[offers[0].capability])
    preferred = plan.covering(need.id)
    values: dict[str, object] = {"need": need_name(problem.world, need)}
    about: dict[str, Any] = {"need": need.id, "fit": own.fit / PER_MILLE}
    if not preferred:
        en = "For {need} nobody was added: one more member costs more effort than it brings, or the team is full."
        fr = "Pour {need}, personne n’a été ajouté : un membre de plus coûterait plus, ou l’équipe est pleine."
        return Reason("nobody_added", both(en, fr, **values), about)
    other, cover = preferred[0]
    theirs, mine = _told_apart(cover.fit, own.fit)
    values |= {"other": agency_name(problem.world, other), "theirs": theirs, "own": mine}
    about |= {"preferred": other, "preferred_fit": cover.fit / PER_MILLE}
    if cover.fit > own.fit:
        en = "For {need}, {other} fits better ({theirs} beside {own})."
        fr = "Pour {need}, {other} convient mieux ({theirs} contre {own})."
        return Reason("fits_better", both(en, fr, **values), about)
    en = "For {need}, {other} is in the team already and one agency is enough."
    fr = "Pour {need}, {other} est déjà dans l’équipe et une agence suffit."
    return Reason("enough_already", both(en, fr, **values), about)


def _told_apart(better: int, worse: int) -> tuple[dict[str, str], dict[str, str]]:
    """Two fits in fifths, or in per cent where fifths would not show the difference."""
    one, other = fifths(better / PER_MILLE), fifths(worse / PER_MILLE)
    if one != other:
        return both("{n} of 5", "{n} sur 5", n=one), both("{n} of 5", "{n} sur 5", n=other)
    return percent(better / PER_MILLE), percent(worse / PER_MILLE)
