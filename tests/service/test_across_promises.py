"""A promise that two other nodes know of is heard here in pieces and in any order: it counts all the same."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from shared.facts.fact import Fact
from shared.settings import Settings

from .quiet_matching import QuietMatching, quiet_matching, team

STAFF = {"code": "human.field_staff"}
LEDGERS = ("fao.matching", "fao.registry", "who.matching", "who.registry")


def world(settings: Settings, name: str) -> Settings:
    """Settings of one of several nodes on the same servers."""
    home = Path(settings.home) / name
    home.mkdir()
    changed = {"home": home, "database_prefix": f"{settings.database_prefix}_{name}", "release": "auto"}
    return settings.model_copy(update=changed)


@pytest.fixture
def elsewhere(database_settings: Settings) -> dict[str, list[Fact]]:
    """What other nodes shared: fao's only unit of field staff is promised to a pilot of who."""
    with quiet_matching(world(database_settings, "elsewhere"), "who", "fao") as matching:
        matching.offer("fao", **STAFF, units=1)
        pilot = matching.pilot("who", STAFF)
        matching.settle()
        matching.says("fao", "accept", pilot, lead="who")
        matching.settle()
        return {ledger: matching.node.store.after(ledger, (1, 0), 100) for ledger in LEDGERS}


def arrive(matching: QuietMatching, facts: list[Fact]) -> None:
    matching.node.store.insert(facts, [None] * len(facts), own=False)
    matching.fold.fold(facts)
    matching.settle()


@pytest.mark.parametrize("order", list(permutations(LEDGERS))[::3], ids=" ".join)
def test_in_whatever_order_it_comes_what_is_promised_is_not_asked_for(
    database_settings: Settings, elsewhere: dict[str, list[Fact]], order: tuple[str, ...]
) -> None:
    with quiet_matching(world(database_settings, "here"), "wfp") as matching:
        pilot = matching.pilot("wfp", STAFF)
        matching.settle()
        assert matching.statuses(pilot) == ["no_partner"]
        for ledger in order:
            arrive(matching, elsewhere[ledger])
        assert (matching.statuses(pilot)[0], team(matching.chain(pilot)[0])) == ("no_partner", ["wfp"])
