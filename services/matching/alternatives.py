"""Up to three genuinely different teams, and what each lacks beside the proposed one."""

from __future__ import annotations

from services.matching.instance import mask_of, members_of
from services.matching.outcome import Alternative, Reason
from services.matching.phrases import agency_name, both, listed, need_name
from services.matching.plan import Plan, read_back
from services.matching.problem import Problem
from services.matching.solver import Solution, Solver
from services.matching.weights import POINT

MOST = 3
WORK = 1_000
"""Steps for each alternative: it need not be the best of its kind, and seldom needs more to be."""


def alternatives_of(problem: Problem, plan: Plan, solver: Solver) -> tuple[Alternative, ...]:
    """The best teams without one of the partners, without all of them, and with one member fewer; by objective."""
    instance = problem.instance
    assert isinstance(plan.solution, Solution)  # only a permitted team has alternatives
    team = plan.solution.team
    partners = instance.partners(team)
    if not partners:
        return ()
    size = (team & instance.un_entities).bit_count()
    found = [solver.solve(without=1 << partner, work_limit=WORK) for partner in partners]
    if len(partners) > 1:
        found.append(solver.solve(without=mask_of(partners), work_limit=WORK))
        found.append(solver.solve(limit=size - 1, work_limit=WORK))
    teams: dict[int, Solution] = {}
    for solution in found:
        if isinstance(solution, Solution) and solution.team != team:
            known = teams.get(solution.team)
            if known is None or solution.scaled > known.scaled:
                teams[solution.team] = solution
    best = sorted(teams.values(), key=lambda one: (-one.scaled, members_of(one.team)))
    return tuple(_alternative(problem, plan, one) for one in best[:MOST])


def _alternative(problem: Problem, plan: Plan, solution: Solution) -> Alternative:
    other = read_back(problem, solution.team, solution.picks, solution)
    _, points = problem.instance.points(solution.scaled)
    return Alternative(
        other.team,
        other.covers,
        other.coverage,
        other.essential_covered,
        points / POINT,
        _lacks(problem, plan, other),
    )


def _lacks(problem: Problem, plan: Plan, other: Plan) -> tuple[Reason, ...]:
    """What is worse than in the proposed team; where nothing is, that is said."""
    result = []
    world = problem.world
    for at, need in enumerate(problem.needs):
        name = need_name(world, need)
        about = {"need": need.id}
        if other.units[at] < plan.units[at]:
            if other.units[at]:
                text = both("It covers less of {need}.", "Elle couvre moins : {need}.", need=name)
                result.append(Reason("covers_less", text, about))
            else:
                text = both("It does not cover {need}.", "Elle ne couvre pas : {need}.", need=name)
                result.append(Reason("lacks_need", text, about))
        elif other.units[at] and _fitted(other, need.id) < _fitted(plan, need.id):
            text = both("It fits {need} less well.", "Elle répond moins bien : {need}.", need=name)
            result.append(Reason("fits_less", text, about))
    if len(other.team) > len(plan.team):
        text = both(
            "It has {more} more members to bring together.",
            "Elle compte {more} membres de plus à réunir.",
            more=len(other.team) - len(plan.team),
        )
        if len(other.team) - len(plan.team) == 1:
            text = both("It has one more member to bring together.", "Elle compte un membre de plus à réunir.")
        result.append(Reason("more_members", text))
    busier = [one for one in other.team if one not in plan.team and problem.usage.load.get(one, 0)]
    if not result and busier:
        text = both(
            "It asks {agencies}, who carry more already.",
            "Elle sollicite {agencies}, qui sont déjà plus chargées.",
            agencies=listed([agency_name(world, one) for one in busier]),
        )
        result.append(Reason("busier", text, {"agencies": busier}))
    if not result:
        text = both("Nothing: it is as good, and only order decided.", "Rien : elle se vaut, seul l’ordre a décidé.")
        result.append(Reason("nothing", text))
    return tuple(result)


def _fitted(plan: Plan, need: str) -> int:
    return sum(cover.fit * cover.units for _, cover in plan.covering(need))
