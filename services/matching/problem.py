"""From a pilot and what agencies offer to the solver's whole numbers, and back (docs/matching.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import gcd

from services.matching.candidates import Index, Refusal, Suit, capacity_asked, examine
from services.matching.instance import Demand, Instance, Offer, Pool, in_preference, mask_of
from services.matching.model import THOUSAND, Capability, Need, Offered, Pilot, Usage, World
from services.matching.weights import PER_MILLE, POINT, Rules


@dataclass(frozen=True)
class Problem:
    """One pilot's team problem. `needs` are open and matchable, in the order of their ids; `suits` stand beside them.

    `barred` says for each agency that has something to offer and may not be asked, which rule keeps it out.
    """

    pilot: Pilot
    world: World
    rules: Rules
    usage: Usage
    index: Index
    score: float
    needs: tuple[Need, ...]
    suits: tuple[tuple[Suit, ...], ...]
    barred: Mapping[str, str]
    base: tuple[str, ...]

    @property
    def weight(self) -> float:
        """What a full coverage of this pilot counts, 0 to 1: from the floor for priority 0 up to 1."""
        return self.rules.floor + (1 - self.rules.floor) * self.score

    @cached_property
    def agencies(self) -> tuple[str, ...]:
        offering = {suit.capability.agency for suits in self.suits for suit in suits}
        return tuple(sorted(offering.union(self.base) - set(self.barred)))

    @cached_property
    def capabilities(self) -> tuple[Offered, ...]:
        return tuple(sorted({suit.capability.key for suits in self.suits for suit in suits}))

    def need_weight(self, need: Need) -> int:
        return self.rules.essential_weight if need.essential else self.rules.optional_weight

    @cached_property
    def instance(self) -> Instance:
        number = {agency: at for at, agency in enumerate(self.agencies)}
        base = mask_of(number[agency] for agency in self.base)
        return Instance(
            agencies=self.agencies,
            un_entities=mask_of(number[slug] for slug in self.agencies if self.world.agency(slug).is_un_entity),
            base=base,
            candidates=mask_of(number.values()) & ~base,
            costs=tuple(self.member_cost(agency) for agency in self.agencies),
            demands=tuple(self._demand(at, number, base) for at in range(len(self.needs))),
            pools=self._pools(),
            limit=self.rules.team_limit,
            least_un=self.rules.least_un_entities,
            work_limit=self.rules.work_limit,
        )

    def member_cost(self, agency: str) -> int:
        """Points for adding an agency: the same for all, and more for those who carry much already."""
        cap = self.rules.cap_of(agency)
        carried = min(1.0, self.usage.load.get(agency, 0) / cap) if cap else 1.0
        return round(POINT * (self.rules.member_cost + self.rules.load_cost * carried))

    def _demand(self, at: int, number: Mapping[str, int], base: int) -> Demand:
        need = self.needs[at]
        total = sum(self.need_weight(one) for one in self.needs)
        quantity = capacity_asked(need, self.world.code(need.code).kind)
        place = {capability: where for where, capability in enumerate(self.capabilities)}
        offers = [
            Offer(number[suit.capability.agency], place[suit.capability.key], suit.fit, min(suit.free, quantity))
            for suit in self.suits[at]
            if suit.capability.agency not in self.barred
        ]
        return Demand(
            worth=round(POINT * self.weight * self.need_weight(need) / total),
            quantity=quantity,
            essential=need.essential,
            least=least_part(quantity, self.rules.least_share),
            offers=in_preference(offers, base),
        )

    def _pools(self) -> tuple[Pool, ...]:
        """Months (kind C) or stocks (kind X) of capabilities on which two or more needs draw more than there is."""
        users: dict[Offered, list[tuple[int, Suit]]] = {}
        for at, suits in enumerate(self.suits):
            for suit in suits:
                users.setdefault(suit.capability.key, []).append((at, suit))
        pools: dict[frozenset[tuple[int, int]], int] = {}
        for place, capability in enumerate(self.capabilities):
            drawing = users[capability]
            kind = self.world.code(drawing[0][1].capability.code).kind
            if len(drawing) < 2 or kind == "S" or drawing[0][1].capability.units is None:
                continue
            every_month = sorted({month for at, _ in drawing for month in self.needs[at].months}) or [""]
            for month in every_month if kind == "C" else [""]:
                together = [(at, suit) for at, suit in drawing if kind == "X" or self._in_month(at, month)]
                free = min((self._free_in(at, suit, kind, month) for at, suit in together), default=0)
                wanted = sum(min(suit.free, capacity_asked(self.needs[at], kind)) for at, suit in together)
                if len(together) > 1 and wanted > free:
                    cells = frozenset((at, place) for at, _ in together)
                    pools[cells] = min(free, pools.get(cells, free))
        return tuple(Pool(pools[cells], cells) for cells in sorted(pools, key=sorted))

    def _in_month(self, at: int, month: str) -> bool:
        months = self.needs[at].months
        return not months or not month or month in months

    def _free_in(self, at: int, suit: Suit, kind: str, month: str) -> int:
        if kind == "X" or not month:
            return suit.free
        units = suit.capability.units
        assert units is not None  # unlimited capabilities have no pools
        promised = self.usage.committed.get(suit.capability.key, {}).get(month, 0)
        return min(units - promised, suit.free) if not self.needs[at].months else units - promised

    def refusals(self, need: Need) -> list[Refusal]:
        """Why capabilities of the right code, wherever they are, do not suit a need."""
        answers = [self.examined(need, one) for one in self.index.of_code(need.code)]
        return [answer for answer in answers if isinstance(answer, Refusal)]

    def examined(self, need: Need, capability: Capability) -> Suit | Refusal:
        return examine(need, capability, self.pilot, self.world, self.rules, self.usage)


def problem_of(pilot: Pilot, index: Index, world: World, rules: Rules, usage: Usage, score: float) -> Problem:
    """Looks up who suits what. Time grows with the capabilities of the needed codes, not with all of them."""
    needs = tuple(
        sorted(
            (need for need in pilot.needs if not need.already_met and world.code(need.code).matchable),
            key=lambda need: need.id,
        )
    )
    suits = []
    for need in needs:
        countries = (need.country,) if need.country else pilot.countries
        codes = [need.code, *substitutes_of(pilot, need, rules)]
        found = [one for code in codes for one in index.near(code, countries)]
        answers = [examine(need, one, pilot, world, rules, usage) for one in found]
        suits.append(tuple(answer for answer in answers if isinstance(answer, Suit)))
    fixed = [one for one in pilot.fixed if one not in pilot.exclusions and (one, pilot.id) not in rules.recusals]
    base = tuple(sorted({pilot.lead, *fixed}))
    offering = sorted({suit.capability.agency for each in suits for suit in each} | set(pilot.fixed))
    barred = {
        agency: rule
        for agency in offering
        if agency not in base and (rule := barring_rule(agency, pilot, rules, usage)) is not None
    }
    return Problem(pilot, world, rules, usage, index, score, needs, tuple(suits), barred, base)


def substitutes_of(pilot: Pilot, need: Need, rules: Rules) -> list[str]:
    """Other codes that the lead confirmed for this need."""
    return sorted(
        code for one, of, code in rules.substitutions if (one, of) == (pilot.id, need.id) and code != need.code
    )


def barring_rule(agency: str, pilot: Pilot, rules: Rules, usage: Usage) -> str | None:
    """The rule that keeps an agency from being asked, if there is one."""
    if (agency, pilot.id) in rules.recusals:
        return "recused"
    if agency in pilot.exclusions:
        return "excluded"
    return "load_cap" if usage.load.get(agency, 0) >= rules.cap_of(agency) else None


def least_part(quantity: int, share: int) -> int:
    """The least thousandths a partner is asked for: `share` per mille of the need, in whole units where it has some."""
    step = gcd(quantity, THOUSAND)
    return -(-quantity * share // (PER_MILLE * step)) * step
