"""Free text is scanned before it leaves the agency; what only looks like personal data passes."""

from __future__ import annotations

import pytest

from shared.personal_data import personal_data

from .examples import codes_of, notices_of, register


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to anna.mwale@wfp.org for more", "an e-mail address"),
        ("anna.mwale (at) wfp.org", "an e-mail address"),
        ("Call +260 977 123 456", "a telephone number"),
        ("00 260 977-123-457", "a telephone number"),
        ("0977 123 456", "a telephone number"),
        ("(0211) 123456", "a telephone number"),
        ("tel. ٠٩٧٧١٢٣٤٥٦", "a telephone number"),
        ("WhatsApp: 977123456", "a telephone number"),
        ("Téléphone 97 71 23 45 6", "a telephone number"),
        ("Passport AB1234567", "a document number"),
        ("her passport number is 12345678", "a document number"),
        ("NRC 123456/78/1", "a document number"),
        ("паспорт 4509 123456", "a document number"),
        ("pay to GB82 WEST 1234 5698 7654 32", "an account or card number"),
        ("card 4111 1111 1111 1111", "an account or card number"),
    ],
)
def test_personal_data_is_found(text: str, found: str):
    assert personal_data(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "120 000 000 people in 2027",
        "from 2027-01-01 to 2027-12-31",
        "2019 2020 2021 2022 2023",
        "between -13.123456 and 28.123456 degrees",
        "US$ 1,200,000,000 in all",
        "1 000 000 000 000 000 operations",
        "https://example.org/report/0977123456",
        "0190f3c2-1234-7abc-8def-0123456789ab",
        "CEB/2019/1/Add.3, para. 9 (j)",
        "Passports of 120000 people are not collected",
        "visa rules change on 2027-01-01",
        "WhatsApp messages to 120000 households, SMS to 2500000 farmers",
        "XM-DAC-41140-ZM-0001",
        "ISBN 978-3-16-148410-0",
        "@wfp on the usual channels",
        "a resolution of 0.000123456 degrees",
    ],
)
def test_what_is_no_personal_data_passes(text: str):
    assert personal_data(text) is None


def test_a_shared_record_with_personal_data_is_refused_naming_each_field():
    assert codes_of(
        summary={"en": "Call +260 977 123 456"},
        unknown={"notes": ["write to a.b@wfp.org"]},
        needs=[{"code": "other", "words": {"fr": "appeler +260 977 123 456"}}],
    ) == {
        "summary.en": "personal-data",
        "unknown.notes[0]": "personal-data",
        "needs[0].words.fr": "personal-data",
    }


def test_a_private_record_may_hold_it_and_is_told_that_it_cannot_be_shared():
    change = register(summary={"en": "Call +260 977 123 456"}, visibility="private")
    assert (change.audience, notices_of(change)) == ("private", {"summary.en": "personal-data"})


def test_identifiers_of_other_registers_are_not_scanned():
    assert codes_of(external_ids=[{"scheme": "x", "id": "0977123456"}]) == {}
