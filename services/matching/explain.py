"""Why these agencies, in words a lay reader follows: four sentences, a reason per member, the weakest point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.matching.model import Need
from services.matching.outcome import Cover, Reason, Status, Uncovered
from services.matching.phrases import added, agency_name, amount, both, code_name, listed, mid_sentence, need_name
from services.matching.plan import Plan
from services.matching.priority import Priority
from services.matching.problem import Problem, barring_rule
from services.matching.weakest import need_of, others_for
from services.matching.weights import PER_MILLE, fifths


def four_sentences(
    problem: Problem,
    plan: Plan,
    uncovered: Sequence[Uncovered],
    weakest: Reason,
    priority: Priority,
    status: Status,
) -> dict[str, str]:
    """`sentences_of` as one text per language."""
    said = sentences_of(problem, plan, uncovered, weakest, priority, status)
    return {language: " ".join(sentences) for language, sentences in said.items()}


def sentences_of(
    problem: Problem,
    plan: Plan,
    uncovered: Sequence[Uncovered],
    weakest: Reason,
    priority: Priority,
    status: Status,
) -> dict[str, list[str]]:
    """Exactly four sentences per language; the third begins "The weakest point is" / "Le point le plus faible est"."""
    first = _who(problem, plan, status, uncovered)
    second = _how_much(problem, plan, status)
    fourth = _how_urgent(priority)
    return {language: [part[language] for part in (first, second, weakest.text, fourth)] for language in ("en", "fr")}


def reasons_of(problem: Problem, plan: Plan, agency: str) -> tuple[Reason, ...]:
    """Why an agency is in the team: its role, each thing it covers, and whether others could."""
    name = agency_name(problem.world, agency)
    reasons = []
    if agency == problem.pilot.lead:
        text = both("{agency} leads the pilot.", "{agency} dirige le pilote.", agency=name)
        reasons.append(Reason("leads", text))
    elif agency in problem.base:
        text = both(
            "The pilot names {agency} as its partner.", "Le pilote désigne {agency} comme partenaire.", agency=name
        )
        reasons.append(Reason("declared_partner", text))
    for cover in plan.covers_of(agency):
        reasons.append(_covering(problem, name, cover))
        others = others_for(problem, cover.need, agency)
        need = need_of(problem, cover.need)
        if not others:
            text = both(
                "Nobody else who may be asked offers {need}.",
                "Personne d’autre qui puisse être sollicité ne propose {need}.",
                need=need_name(problem.world, need),
            )
            reasons.append(Reason("only_one", text, {"need": cover.need}))
    if not plan.covers_of(agency) and agency != problem.pilot.lead:
        text = both(
            "{agency} covers none of the needs; its part is for the pilot to say.",
            "{agency} ne couvre aucun besoin ; au pilote de dire quel est son rôle.",
            agency=name,
        )
        reasons.append(Reason("covers_nothing", text))
    return tuple(reasons)


def notes_of(problem: Problem, plan: Plan) -> tuple[Reason, ...]:
    """What a reader of the proposal should know beside it: fixed members that rules speak against, a cut search."""
    notes = []
    for agency in (problem.pilot.lead, *problem.pilot.fixed):
        rule = barring_rule(agency, problem.pilot, problem.rules, problem.usage)
        if rule is not None:
            name = agency_name(problem.world, agency)
            text = both(
                "{agency} is named by the pilot, but a rule speaks against it ({rule}).",
                "{agency} est désignée par le pilote, mais une règle s’y oppose ({rule}).",
                agency=name,
                rule=rule,
            )
            notes.append(Reason(f"named_but_{rule}", text, {"agency": agency}))
    un_entities = sum(problem.world.agency(one).is_un_entity for one in problem.base)
    if un_entities > problem.rules.team_limit:
        text = both(
            "The pilot names {count} UN entities; the limit is {limit}, so nobody was added.",
            "Le pilote désigne {count} entités des Nations Unies ; la limite est de {limit}, personne n’a été ajouté.",
            count=un_entities,
            limit=problem.rules.team_limit,
        )
        notes.append(Reason("more_named_than_limit", text))
    if not plan.solution.proven:
        text = both(
            "The search ended at its work limit: the bound says how much better another team could be at most.",
            "La recherche s’est arrêtée à sa limite : la borne dit de combien une autre équipe ferait mieux au plus.",
        )
        notes.append(Reason("work_limit", text))
    return tuple(notes)


def _who(problem: Problem, plan: Plan, status: Status, uncovered: Sequence[Uncovered]) -> dict[str, str]:
    lead = agency_name(problem.world, problem.pilot.lead)
    if status == "nothing_to_match":
        return both("{lead} leads and asks for no help.", "{lead} dirige et ne demande pas d’aide.", lead=lead)
    if status == "no_meaningful_partner":
        open_needs = [need_of(problem, one.need) for one in uncovered]
        missing = [need for need in open_needs if problem.world.code(need.code).matchable]
        names = listed([need_name(problem.world, need) for need in missing or problem.needs])
        return both(
            "No meaningful partner found: {needs}.",
            "Aucun partenaire utile n’a été trouvé : {needs}.",
            needs=names,
        )
    parts = []
    for agency in plan.team[1:]:
        things = _things(problem, plan.covers_of(agency))
        name = agency_name(problem.world, agency)
        if things:
            parts.append(both("{agency} brings {things}", "{agency} apporte {things}", agency=name, things=things))
        else:
            parts.append(both("{agency} is named by the pilot", "{agency} est désignée par le pilote", agency=name))
    own = _things(problem, plan.covers_of(problem.pilot.lead))
    if own:
        start = both(
            "{lead} leads and brings {own} itself", "{lead} dirige et apporte elle-même {own}", lead=lead, own=own
        )
    else:
        start = both("{lead} leads", "{lead} dirige", lead=lead)
    if not parts:
        return both("{start}.", "{start}.", start=start)
    return both("{start}; {parts}.", "{start} ; {parts}.", start=start, parts=listed(parts))


def _things(problem: Problem, covers: Sequence[Cover]) -> dict[str, str]:
    """`earth observation and base maps (Zambia)`: needs at the same place share its name."""
    by_place: dict[str, list[Need]] = {}
    for need in dict.fromkeys(cover.need for cover in covers):
        one = need_of(problem, need)
        by_place.setdefault(one.country or "", []).append(one)
    said = []
    for needs in by_place.values():
        names = [*(code_name(problem.world, need.code) for need in needs[:-1]), need_name(problem.world, needs[-1])]
        said.append(added(names))
    return added(said) if said else {}


def _how_much(problem: Problem, plan: Plan, status: Status) -> dict[str, str]:
    if status == "nothing_to_match":
        return both("So nobody needs to be invited.", "Personne n’est donc à inviter.")
    total = len(problem.needs)
    full = sum(units == demand.quantity for units, demand in zip(plan.units, problem.instance.demands, strict=True))
    essential = sum(need.essential for need in problem.needs)
    values: dict[str, object] = {
        "full": full,
        "total": total,
        "covered": plan.essential_covered,
        "essential": essential,
        "fifths": fifths(plan.coverage),
    }
    if status == "no_meaningful_partner":
        return both(
            "By itself the lead covers {full} of {total} needs, and an invitation would be for form's sake only.",
            "Seul, le chef de file couvre {full} besoins sur {total}, et une invitation serait de pure forme.",
            **values,
        )
    en, fr = (
        "Together they cover {full} of {total} needs in full",
        "Ensemble, elles couvrent {full} besoins sur {total}",
    )
    if essential and plan.essential_covered == essential:
        en += ", with everything the pilot cannot do without"
        fr += ", dont tout ce qui est indispensable au pilote"
    elif essential:
        en += ", but only {covered} of the {essential} that the pilot cannot do without"
        fr += ", mais seulement {covered} des {essential} qui lui sont indispensables"
    if plan.solution.proven:
        en += ", and no other permitted team does better."
        fr += ", et aucune autre équipe permise ne fait mieux."
    else:
        en += ", and no better team was found."
        fr += ", et aucune meilleure équipe n’a été trouvée."
    return both(en, fr, **values)


def _how_urgent(priority: Priority) -> dict[str, str]:
    """The priority in fifths, with the fact that carries it."""
    carrying = max(priority.parts, key=lambda part: part.points)
    values: dict[str, object] = {"fifths": fifths(priority.score)}
    if not carrying.points or not carrying.reasons:
        return both(
            "Its priority is {fifths} of 5: nothing in the record shows that it reaches those furthest behind.",
            "Sa priorité est de {fifths} sur 5 : rien dans le dossier ne montre qu’il atteint les plus démunis.",
            **values,
        )
    fact: Mapping[str, str] = carrying.reasons[0]["text"]
    values["fact"] = {language: mid_sentence(text.rstrip(".")) for language, text in fact.items()}
    return both("Its priority is {fifths} of 5: {fact}.", "Sa priorité est de {fifths} sur 5 : {fact}.", **values)


def _covering(problem: Problem, name: Mapping[str, str], cover: Cover) -> Reason:
    need = need_of(problem, cover.need)
    values: dict[str, object] = {
        "agency": name,
        "need": need_name(problem.world, need),
        "fifths": fifths(cover.fit / PER_MILLE),
        "units": amount(cover.units),
    }
    if cover.share < 1:
        en, fr = (
            "{agency} covers {units} of {need}, fit {fifths} of 5.",
            "{agency} couvre {units} de {need}, adéquation {fifths} sur 5.",
        )
    else:
        en, fr = "{agency} covers {need}, fit {fifths} of 5.", "{agency} couvre {need}, adéquation {fifths} sur 5."
    about = {"need": cover.need, "capability": cover.capability, "confidence": cover.confidence}
    return Reason("covers", both(en, fr, **values), about)
