"""How long one pilot's proposal takes among 60 agencies and 6,000 capabilities: the solver alone, in this process."""

from __future__ import annotations

import random
import time
from datetime import date

from services.matching.candidates import Index
from services.matching.model import Agency, Usage
from services.matching.records import capability_of, pilot_of
from services.matching.reference import world_on
from services.matching.team import propose
from services.matching.weights import Rules

from .samples import COUNTRIES

AGENCIES = 60
CAPABILITIES = 6_000
NEEDS = (2, 4, 6, 8)


def proposal_seconds(each: int) -> list[float]:
    """Seconds per proposal: `each` pilots of every size in NEEDS."""
    rng = random.Random(7)
    agencies = [f"agency-{number:02d}" for number in range(AGENCIES)]
    world = world_on(date(2026, 11, 22), [Agency(slug, True) for slug in agencies])
    codes = sorted(code for code, facts in world.codes.items() if facts.matchable)
    index = Index.of(
        capability_of(
            {
                "id": f"c{number:05d}",
                "agency": rng.choice(agencies),
                "code": rng.choice(codes),
                "countries": rng.sample(COUNTRIES, rng.randint(1, 4)) if rng.random() < 0.7 else [],
                "units": rng.randint(1, 4),
                "goals": ["2"],
                "confirmed_on": rng.choice(["2026-11-10", "2026-08-01", None]),
            }
        )
        for number in range(CAPABILITIES)
    )
    taken = []
    for needs in NEEDS * each:
        country = rng.choice(COUNTRIES)
        asked = pilot_of(
            {
                "id": "p1",
                "lead_agency": agencies[0],
                "countries": [country],
                "people_reached": 10_000,
                "starts_on": "2027-01-01",
                "ends_on": "2027-12-31",
                "needs": [
                    {"id": f"n{at}", "code": code, "country": country, "quantity": 1, "essential": at < needs // 3}
                    for at, code in enumerate(rng.sample(codes, needs))
                ],
            }
        )
        began = time.perf_counter()
        propose(asked, index, world, Rules(), Usage())
        taken.append(time.perf_counter() - began)
    return taken
