"""nkeys as NATS writes them."""

from __future__ import annotations

import pytest

from shared.bus import nkey


def test_a_pair_is_recognised_and_a_damaged_one_is_not() -> None:
    seed, public = nkey.make()
    assert (seed[:2], public[0]) == ("SU", "U")
    assert nkey.public_of(seed) == public
    assert nkey.is_public(public)
    other = "A" if public[10] != "A" else "B"
    for wrong in (seed, public[:-1], public.lower(), "", public[:10] + other + public[11:]):
        assert not nkey.is_public(wrong)
    for wrong in (public, seed[:-2], "SUA", seed[:10] + ("A" if seed[10] != "A" else "B") + seed[11:]):
        with pytest.raises(ValueError, match=r"seed|base32|padding"):
            nkey.public_of(wrong)


def test_the_example_of_the_nats_documentation_is_read() -> None:
    """docs.nats.io, "NKeys": the seed and user printed by `nk -gen user -pubout`."""
    seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
    assert nkey.public_of(seed) == "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
