"""Needs that the team does not cover: the exact reason, and what somebody could do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.matching.candidates import NEARNESS, Refusal, Suit
from services.matching.model import Need
from services.matching.outcome import Reason, Uncovered
from services.matching.phrases import agency_name, amount, both, code_name, listed, need_name, place_name
from services.matching.plan import Plan
from services.matching.problem import Problem, barring_rule

MOST_SIBLINGS = 3
MOST_NEAR = 2

REFUSALS: Mapping[str, tuple[str, str]] = {
    "wrong_place": (
        "{agency} offers {need}, but not for use in {place}.",
        "{agency} propose {need}, mais pas pour {place}.",
    ),
    "about_elsewhere": (
        "{agency} offers {need}, but about other places than {place}.",
        "{agency} propose {need}, mais pour d’autres lieux que {place}.",
    ),
    "wrong_mode": (
        "{agency} offers {need}, but not in the way asked for (on the spot or from afar).",
        "{agency} propose {need}, mais pas de la façon demandée (sur place ou à distance).",
    ),
    "wrong_goal": (
        "{agency} offers {need}, but for other sectors than the goal named.",
        "{agency} propose {need}, mais pour d’autres secteurs que l’objectif nommé.",
    ),
    "wrong_language": (
        "{agency} offers {need}, but not in the language asked for.",
        "{agency} propose {need}, mais pas dans la langue demandée.",
    ),
    "wrong_months": (
        "{agency} offers {need}, but is not available in the months asked for.",
        "{agency} propose {need}, mais n’est pas disponible pendant les mois demandés.",
    ),
    "screening_expired": (
        "{agency} offers {need} through a partner whose screening has expired.",
        "{agency} propose {need} par un partenaire dont l’examen a expiré.",
    ),
    "requests_reached": (
        "{agency} offers {need}, but has received all the requests it takes in a month.",
        "{agency} propose {need}, mais a reçu toutes les demandes qu’elle accepte en un mois.",
    ),
    "no_capacity": (
        "{agency} offers {need}, but has promised all of it to others.",
        "{agency} propose {need}, mais a tout promis à d’autres.",
    ),
}

BARRED: Mapping[str, tuple[str, str]] = {
    "recused": (
        "{agency} has recused itself from this pilot.",
        "{agency} s’est récusée pour ce pilote.",
    ),
    "excluded": (
        "This pilot asks not to invite {agency}.",
        "Ce pilote demande de ne pas inviter {agency}.",
    ),
    "load_cap": (
        "{agency} already takes part in as many pilots as its limit allows.",
        "{agency} participe déjà à autant de pilotes que sa limite le permet.",
    ),
}


def uncovered_needs(problem: Problem, plan: Plan) -> tuple[Uncovered, ...]:
    """Essential ones first, then in the order of their ids; needs no team can meet (funding, words) stand last."""
    result = []
    for at, need in enumerate(problem.needs):
        share = plan.units[at] / problem.instance.demands[at].quantity
        if share < 1:
            why = _why(problem, plan, at)
            suggestions = tuple(one for one in _suggestions(problem, at) if one != why)
            result.append(Uncovered(need.id, need.essential, share, why, suggestions))
    result.sort(key=lambda one: (not one.essential, one.need))
    for need in sorted(problem.pilot.needs, key=lambda one: one.id):
        if not need.already_met and not problem.world.code(need.code).matchable:
            result.append(Uncovered(need.id, need.essential, 0.0, _unmatchable(need), ()))
    return tuple(result)


def said_refusal(problem: Problem, need: Need, refusal: Refusal) -> Reason:
    """A refusal as a sentence about the agency, with the ids behind it."""
    en, fr = REFUSALS[refusal.code]
    countries = (need.country,) if need.country else problem.pilot.countries
    text = both(
        en,
        fr,
        agency=agency_name(problem.world, refusal.capability.agency),
        need=code_name(problem.world, need.code),
        place=listed([place_name(problem.world, one) for one in countries]),
    )
    about = {"agency": refusal.capability.agency, "capability": refusal.capability.id, "need": need.id}
    return Reason(refusal.code, text, about)


def said_barring(problem: Problem, agency: str, rule: str) -> Reason:
    en, fr = BARRED[rule]
    text = both(en, fr, agency=agency_name(problem.world, agency))
    return Reason(rule, text, {"agency": agency, "rules": problem.rules.version})


def nearest_refusals(problem: Problem, need: Need) -> list[Refusal]:
    """One refusal per agency, the nearest miss first; agencies that may not be asked are left out."""
    nearest: dict[str, Refusal] = {}
    for refusal in problem.refusals(need):
        agency = refusal.capability.agency
        if barring_rule(agency, problem.pilot, problem.rules, problem.usage) and agency not in problem.base:
            continue
        known = nearest.get(agency)
        if known is None or NEARNESS.index(refusal.code) > NEARNESS.index(known.code):
            nearest[agency] = refusal
    return sorted(nearest.values(), key=lambda one: (-NEARNESS.index(one.code), one.capability.agency))


def _unmatchable(need: Need) -> Reason:
    if need.code == "funding":
        return Reason(
            "met_by_funders",
            both("Funding is met by funders, not by a team.", "Le financement vient des bailleurs, pas d’une équipe."),
        )
    return Reason(
        "no_code",
        both(
            "This need has no code yet: the keepers of the vocabulary see it.",
            "Ce besoin n’a pas encore de code : les gardiens du vocabulaire le voient.",
        ),
        {"code": need.code},
    )


def _why(problem: Problem, plan: Plan, at: int) -> Reason:
    need, demand = problem.needs[at], problem.instance.demands[at]
    name = need_name(problem.world, need)
    if not problem.index.of_code(need.code) and not problem.suits[at]:
        return Reason("nobody_offers", both("Nobody has offered {need}.", "Personne n’a proposé {need}.", need=name))
    if not problem.suits[at]:
        near = nearest_refusals(problem, need)
        if near:
            return said_refusal(problem, need, near[0])
        return _barred(problem, sorted({one.capability.agency for one in problem.refusals(need)}))
    if not demand.offers:
        return _barred(problem, sorted({suit.capability.agency for suit in problem.suits[at]}))
    supply = sum(offer.cap for offer in demand.offers)
    if plan.units[at] and supply < demand.quantity:
        return Reason(
            "not_enough",
            both(
                "All who offer {need} together have {have} of the {asked} asked for.",
                "Tous ceux qui proposent {need} en ont ensemble {have} sur les {asked} demandés.",
                need=name,
                have=amount(supply),
                asked=amount(demand.quantity),
            ),
        )
    return _left_out(problem, plan, at, name)


def _left_out(problem: Problem, plan: Plan, at: int, name: Mapping[str, str]) -> Reason:
    """Somebody suits and is not in the team, or is in it and gives to another need."""
    instance, demand = problem.instance, problem.instance.demands[at]
    outside = sorted({instance.agencies[one.agency] for one in demand.offers} - set(plan.team))
    values: dict[str, object] = {
        "need": name,
        "agencies": listed([agency_name(problem.world, one) for one in outside]),
    }
    if not outside:
        en = "Those of the team who offer {need} are needed more elsewhere in this pilot."
        fr = "Ceux de l’équipe qui proposent {need} sont plus utiles ailleurs dans ce pilote."
        return Reason("used_elsewhere", both(en, fr, **values))
    able = [one for one in outside if _part(problem, at, one) >= demand.least]
    if not able:
        en = "{agencies} could give less than a fair part of {need}: nobody is invited for so little."
        fr = "{agencies} : moins qu’une part équitable de {need} ; on n’invite personne pour si peu."
        return Reason("too_small", both(en, fr, **values))
    un_entities = sum(problem.world.agency(one).is_un_entity for one in plan.team)
    if un_entities >= instance.limit:
        values["limit"] = instance.limit
        en = "The team has reached its limit of {limit} UN entities; {agencies} would cover {need}."
        fr = "L’équipe a atteint sa limite de {limit} entités des Nations Unies ; {agencies} couvrirait {need}."
        return Reason("team_full", both(en, fr, **values), {"agencies": able})
    en = "One more member for {need} would cost more effort than it brings; {agencies} could be asked."
    fr = "Un membre de plus pour {need} coûterait plus d’effort qu’il n’apporte ; on peut demander à {agencies}."
    return Reason("not_worth_a_member", both(en, fr, **values), {"agencies": able})


def _part(problem: Problem, at: int, agency: str) -> int:
    number = problem.agencies.index(agency)
    return sum(offer.cap for offer in problem.instance.demands[at].offers if offer.agency == number)


def _barred(problem: Problem, agencies: list[str]) -> Reason:
    rules = {one: barring_rule(one, problem.pilot, problem.rules, problem.usage) for one in agencies}
    said = [said_barring(problem, one, rule) for one, rule in rules.items() if rule]
    texts = {language: " ".join(reason.text[language] for reason in said) for language in ("en", "fr")}
    return Reason("all_barred", texts, {"agencies": agencies})


def _suggestions(problem: Problem, at: int) -> list[Reason]:
    need = problem.needs[at]
    result = _siblings(problem, need)
    if not problem.suits[at]:
        result += [said_refusal(problem, need, one) for one in nearest_refusals(problem, need)[:MOST_NEAR]]
    return result


def _siblings(problem: Problem, need: Need) -> list[Reason]:
    """Capabilities of the same group that would suit if the lead confirmed them; the best fits first."""
    found: list[Suit] = []
    countries = (need.country,) if need.country else problem.pilot.countries
    for code in problem.world.code(need.code).siblings:
        for capability in problem.index.near(code, countries):
            if barring_rule(capability.agency, problem.pilot, problem.rules, problem.usage):
                continue
            suit = problem.examined(replace(need, code=code), capability)
            if isinstance(suit, Suit):
                found.append(suit)
    found.sort(key=lambda suit: (-suit.fit, suit.capability.agency, suit.capability.id))
    return [
        Reason(
            "sibling",
            both(
                "{agency} offers {sibling}, which is akin; the lead may confirm that it serves instead.",
                "{agency} propose {sibling}, qui s’en rapproche ; le chef de file peut confirmer que cela convient.",
                agency=agency_name(problem.world, suit.capability.agency),
                sibling=code_name(problem.world, suit.capability.code),
            ),
            {"agency": suit.capability.agency, "capability": suit.capability.id, "code": suit.capability.code},
        )
        for suit in found[:MOST_SIBLINGS]
    ]
