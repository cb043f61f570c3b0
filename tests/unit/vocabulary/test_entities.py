"""The entities of the United Nations system."""

from __future__ import annotations

import re
from collections import Counter

from shared.vocabulary.entities import ENTITIES

SHARED_SLUGS = [
    "wfp", "fao", "unicef", "itu", "undp", "unhcr", "who", "ilo", "unesco", "ocha", "wmo", "iom", "unfpa",
    "un-women", "unep", "ifad", "unido", "unops", "unu", "unitar", "undrr", "unctad", "icao", "wipo", "unodc",
    "unaids", "iaea", "un-habitat", "uncdf", "ohchr", "un-global-pulse", "unicc", "desa", "eca", "escap",
    "escwa",
]  # fmt: skip
KINDS = {
    *("secretariat", "regional_commission", "fund_or_programme", "specialized_agency", "related_organization"),
    *("research_and_training", "joint_programme", "initiative", "service_provider"),
}


def test_there_are_more_than_forty_and_the_common_ones_among_them():
    assert len(ENTITIES) >= 40
    assert set(SHARED_SLUGS) <= set(ENTITIES)


def test_slugs_can_name_ledgers_and_subjects():
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{1,31}", slug) for slug in ENTITIES)


def test_each_has_names_and_a_kind():
    for entity in ENTITIES.values():
        assert entity.acronym
        assert {"en", "fr"} <= set(entity.name)
        assert entity.kind in KINDS, entity.slug


def test_an_iati_identifier_is_well_formed_and_no_one_elses():
    known = Counter(entity.iati for entity in ENTITIES.values() if entity.iati)
    assert all(re.fullmatch(r"XM-DAC-\d{3,5}", identifier) for identifier in known)
    assert set(known.values()) == {1}
    assert ENTITIES["wfp"].iati == "XM-DAC-41140"


def test_where_the_identifier_is_not_certain_there_is_none():
    assert ENTITIES["icao"].iati is None
