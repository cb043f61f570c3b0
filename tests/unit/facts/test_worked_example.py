"""docs/ledger.md is enough to check facts without this project's code, and this project's code says the same."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.facts.fact import Fact, fact_hash, read_header
from shared.facts.keys import KeyBook, KeyRange, SigningKey, Unsigned, seal
from shared.facts.verify import Head, check, head_statement
from shared.ledger.rows import redactions_in

PAGE = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text()
EXAMPLE = PAGE[PAGE.index("## 3. A worked example") : PAGE.index("## 4.")]
PAYLOADS, PROTECTED = (re.findall(r"```json\n(.*?)\n```", EXAMPLE, re.DOTALL)[start::2] for start in (0, 1))
SALTS = [bytes.fromhex(digits * 32) for digits in re.findall(r"32 times `(\w\w)`", EXAMPLE)]


NOT_CODES = {"head", "protected", "payload_digest", "keyid", "hash", "epoch", "sequence", "previous"}
"""Other words that the page's table of checks sets in code."""


def named(name: str) -> list[str]:
    return re.findall(rf"^ +{name} +(\S+)$", EXAMPLE, re.MULTILINE)


def test_the_page_holds_two_facts() -> None:
    assert [len(PAYLOADS), len(PROTECTED), len(SALTS), len(named("hash")), len(named("signature"))] == [2] * 5


def test_somebody_elses_program_can_check_the_example_from_the_page_alone() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert [public.hex()] == named("public key")
    assert ["ed25519:" + hashlib.sha256(public).digest()[:16].hex()] == named("keyid")
    previous = ""
    for number in range(2):
        protected, payload, salt = PROTECTED[number].encode(), PAYLOADS[number].encode(), SALTS[number]
        told = json.loads(protected)
        digest = hashlib.sha256(b"pilotmesh.fact.v1\0" + protected).digest()
        assert told["payload_digest"] == hashlib.sha256(salt + payload).hexdigest()
        assert told["previous"] == previous
        assert told["sequence"] == number + 1
        assert digest.hex() == named("hash")[number]
        signature = bytes.fromhex(named("signature")[number])
        assert signature == private.sign(digest)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
        previous = digest.hex()


def facts() -> list[Fact]:
    return [
        Fact(PROTECTED[number].encode(), PAYLOADS[number].encode(), SALTS[number], bytes.fromhex(signature))
        for number, signature in enumerate(named("signature"))
    ]


def test_this_projects_code_accepts_the_example_before_and_after_forgetting() -> None:
    key = SigningKey.from_bytes(bytes(range(32)))
    first, second = facts()
    for chain in ([first, second], [replace(first, payload=None, salt=None), second]):
        head = Head()
        for fact in chain:
            book = KeyBook([KeyRange("wfp", key.keyid, key.public)])
            head = check(fact, mesh="0198c0de-0000-7000-8000-000000000001", head=head, book=book)
        assert head.hash == named("hash")[1]
    (redaction,) = redactions_in(second)
    assert (redaction.ledger, redaction.epoch, redaction.sequence) == ("wfp.registry", 1, 1)
    assert redaction.key == ("wfp", "registry", first.header.subject)


def test_this_projects_code_writes_the_examples_bytes() -> None:
    key = SigningKey.from_bytes(bytes(range(32)))
    for fact in facts():
        header, told = fact.header, json.loads(fact.protected)
        names = ("mesh", "ledger", "id", "type", "subject", "version", "time", "actor", "role", "office")
        unsigned = Unsigned(**{name: told[name] for name in names}, payload=fact.payload or b"")
        assert fact.salt is not None
        epoch, sequence = header.position
        sealed = seal(unsigned, epoch=epoch, sequence=sequence, previous=header.previous, salt=fact.salt, key=key)
        assert sealed == fact


def test_the_attributes_of_the_page_are_those_that_are_read() -> None:
    table = PAGE[PAGE.index("### `protected`") : PAGE.index("### `payload`")]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(json.loads(PROTECTED[0]))
    assert read_header(PROTECTED[0].encode()).time.isoformat() == "2026-03-01T09:00:00+00:00"


def test_a_head_is_signed_over_the_bytes_on_the_page() -> None:
    head = Head(1, 2, named("hash")[1])
    told = head_statement("m", "wfp.registry", head)
    assert told == (
        b'pilotmesh.head.v1\0{"epoch":1,"hash":"%s","ledger":"wfp.registry","mesh":"m","sequence":2}'
        % head.hash.encode()
    )
    assert fact_hash(PROTECTED[1].encode()) == head.hash


def test_every_code_of_trouble_stands_on_the_page() -> None:
    source = (Path(__file__).parents[3] / "shared" / "facts" / "verify.py").read_text()
    raised = re.findall(r'(?:NotAuthentic|UnknownKey|ChainTrouble)\(\s*"(\w+)"', source)
    returned = re.findall(r'return "(\w+)", f', source)
    checks = PAGE[PAGE.index("## 4.") : PAGE.index("### Keys")]
    assert set(raised) | set(returned) == set(re.findall(r"`(\w+)`", checks)) - NOT_CODES
