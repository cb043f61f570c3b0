"""Reach: how many people, each counted once, between what is certain and what is possible.

Nobody keeps lists of people, so overlaps are not known. Of groups of which only the sizes are known, the union
has at least as many people as the largest and at most as many as the sum (Boole's inequality); an intersection
of groups within a population is bounded likewise (Fréchet, 1935).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


def named(agency: str, pilot: str) -> str:
    """A pilot, by its lead and its id."""
    return f"{agency}/{pilot}" if agency else pilot


Kind = Literal["direct", "indirect", "extreme_poverty"]
KINDS: tuple[Kind, ...] = ("direct", "indirect", "extreme_poverty")


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `lower` to `upper` people among those who reported; `unknown` did not: null is not 0.

    Both None when nobody reported. With `unknown` > 0 the truth may lie above `upper`.
    """

    lower: int | None = None
    upper: int | None = None
    unknown: int = 0

    @property
    def complete(self) -> bool:
        return self.unknown == 0 and self.lower is not None


NOT_KNOWN = Bounds(unknown=1)


def exactly(people: int | None) -> Bounds:
    """A reported number of people; None is not known, and not 0."""
    if people is None:
        return NOT_KNOWN
    if people < 0:
        raise ValueError(f"{people} people")
    return Bounds(people, people)


@dataclass(frozen=True, slots=True)
class SiteReach:
    """People reached at one site of a pilot, as it reported them; None where it did not.

    `indirect` are others than `direct`; `extreme_poverty` are among the direct ones. `method` says how the
    people were counted.
    """

    pilot: str
    site: str
    country: str
    direct: int | None = None
    indirect: int | None = None
    extreme_poverty: int | None = None
    method: str | None = None
    agency: str = ""
    """The pilot's lead: pilots of two agencies with one id are two pilots."""

    @property
    def of_pilot(self) -> str:
        return named(self.agency, self.pilot)

    def of(self, kind: Kind) -> Bounds:
        counts: dict[Kind, int | None] = {
            "direct": self.direct,
            "indirect": self.indirect,
            "extreme_poverty": self.extreme_poverty,
        }
        return exactly(counts[kind])


def union(parts: Iterable[Bounds], *, apart: bool = False) -> Bounds:
    """People in any of the parts. `apart`: nobody is in two of them (declared), so that they add up."""
    lower: list[int] = []
    upper: list[int] = []
    unknown = 0
    for part in parts:
        unknown += part.unknown
        if part.lower is not None and part.upper is not None:
            lower.append(part.lower)
            upper.append(part.upper)
    if not lower:
        return Bounds(unknown=unknown)
    return Bounds(sum(lower) if apart else max(lower), sum(upper), unknown)


def shared_union(parts: Mapping[str, Bounds], shared: Collection[frozenset[str]]) -> Bounds:
    """People reached by any of the pilots, where the pairs in `shared` reach the same people.

    "The same people" means that the smaller of the two reaches nobody whom the larger does not. A pilot that
    is certainly not larger than one it shares with is therefore contained, and adds nothing to the sum.
    Where the sizes are not certain, nothing is taken off.
    """
    kept = {pilot: bounds for pilot, bounds in parts.items() if not _contained(pilot, parts, shared)}
    union_of_kept = union(kept.values())
    unknown = sum(bounds.unknown for bounds in parts.values())
    return Bounds(union_of_kept.lower, union_of_kept.upper, unknown)


def _contained(pilot: str, parts: Mapping[str, Bounds], shared: Collection[frozenset[str]]) -> bool:
    own = parts[pilot]
    if own.lower is None or own.upper is None:
        return False
    for pair in shared:
        other = next(iter(pair - {pilot}), pilot)
        around = parts.get(other)
        if pilot not in pair or other == pilot or around is None or around.lower is None or around.upper is None:
            continue
        equal = around.upper <= own.lower
        if own.upper <= around.lower and not (equal and pilot < other):
            return True
    return False


def agreed_sharing(declared: Mapping[str, Collection[str]], lead_of: Mapping[str, str]) -> Sharing:
    """Which declarations of shared reach count: those that both leads made, or one lead for its own pilots.

    Pilots are named `<agency>/<id>` (`named`), also in what is answered.

    One agency's word does not take people off another's figure; a one-sided declaration is a question.
    """
    agreed: set[frozenset[str]] = set()
    one_sided: set[tuple[str, str]] = set()
    meant = {pilot: {_meant(pilot, other, lead_of) for other in others} for pilot, others in declared.items()}
    for pilot, others in meant.items():
        for other in others - {pilot}:
            same_lead = pilot in lead_of and lead_of.get(other) == lead_of[pilot]
            if same_lead or pilot in meant.get(other, ()):
                agreed.add(frozenset((pilot, other)))
            else:
                one_sided.add((pilot, other))
    return Sharing(frozenset(agreed), tuple(sorted(one_sided)))


def _meant(pilot: str, other: str, lead_of: Mapping[str, str]) -> str:
    """The pilot that a declaration names: `<agency>/<id>`; by an id alone the declaring lead's own with that id, else
    the only one. Where several agencies have one, it names none."""
    if other in lead_of:
        return other
    own = named(lead_of.get(pilot, ""), other)
    claims = [own] if own in lead_of else [one for one in lead_of if one.endswith(f"/{other}")]
    return claims[0] if len(claims) == 1 else other


@dataclass(frozen=True, slots=True)
class Sharing:
    """`one_sided`: (the pilot that declares, the pilot whose lead has not)."""

    agreed: frozenset[frozenset[str]]
    one_sided: tuple[tuple[str, str], ...]


def intersection(groups: Sequence[Bounds], whole: Bounds) -> Bounds:
    """People who are in every one of the groups, each counted once, within a population of `whole`.

    At least what the groups exceed (n - 1) populations by, at most the smallest group.
    """
    uppers = [group.upper for group in (*groups, whole) if group.upper is not None]
    lowers = [group.lower for group in groups if group.lower is not None]
    unknown = sum(group.unknown for group in (*groups, whole))
    if not groups or len(lowers) < len(groups):
        return Bounds(0, min(uppers), unknown) if uppers else Bounds(unknown=max(unknown, 1))
    lower = lowers[0] if len(groups) == 1 else 0
    if whole.upper is not None:
        lower = max(lower, sum(lowers) - (len(groups) - 1) * whole.upper)
    return Bounds(max(lower, 0), max(min(uppers), lower), unknown)


def of_pilot(sites: Iterable[SiteReach], kind: Kind, *, apart: bool = False) -> Bounds:
    """A pilot's reach from its sites; `apart` where its plan declares that nobody is met at two of them."""
    return union((site.of(kind) for site in sites), apart=apart)


def of_pilots(
    sites: Iterable[SiteReach], kind: Kind, shared: Collection[frozenset[str]] = (), apart: Collection[str] = ()
) -> Bounds:
    """Reach of all pilots that have one of the sites; `apart` are the pilots that declare disjoint sites."""
    by_pilot: dict[str, list[SiteReach]] = {}
    for site in sites:
        by_pilot.setdefault(site.of_pilot, []).append(site)
    parts = {pilot: of_pilot(own, kind, apart=pilot in apart) for pilot, own in by_pilot.items()}
    return shared_union(parts, shared)
