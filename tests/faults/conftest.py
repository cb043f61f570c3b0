"""What of the fault tests takes minutes runs in the long form alone."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def only_in_the_long_form(long_form: bool) -> None:
    """For the whole session, so that nothing is set up for a test that is then left out."""
    if not long_form:
        pytest.skip("the long form: make faults")
