"""Whatever is sent to a documented operation, the answer is an answer: never a fault of the software.

Operations and inputs come from each service's own OpenAPI document (schemathesis), as an actor who holds every role
of one agency sends them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig

from shared.access.actors import ROLES
from tests.service.running import RunningNode

SERVICES = ("registry", "matching", "metrics", "notifier", "mesh")
EXAMPLES = int(os.environ.get("PILOTMESH_FUZZ_EXAMPLES", "6"))
"""Requests per operation; more in a long run."""

UNENDING = "/v1/stream"
"""An answer that never ends by itself has tests of its own."""


@pytest.fixture(scope="module")
def fuzzed_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of its own: what is sent here withdraws, redacts and rebuilds."""
    running = RunningNode(tmp_path_factory.mktemp("fuzzed"))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def token(fuzzed_node: RunningNode) -> str:
    return fuzzed_node.actor("wfp", list(ROLES))


@pytest.mark.parametrize("service", SERVICES)
def test_no_input_makes_a_service_fail(fuzzed_node: RunningNode, token: str, service: str) -> None:
    config = SchemathesisConfig.from_dict({"generation": {"max-examples": EXAMPLES, "database": "none"}})
    schema = schemathesis.openapi.from_url(f"{fuzzed_node.url}/{service}/openapi.json", config=config)
    headers = {"Authorization": f"Bearer {token}"}
    tried = 0
    for found in schema.exclude(path_regex=UNENDING).get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @_given(operation)
        def never_a_fault_of_the_software(case: schemathesis.Case) -> None:
            response = case.call(headers=headers, timeout=30)
            case.validate_response(response, checks=[not_a_server_error], headers=headers)

        never_a_fault_of_the_software()
        tried += 1
    assert tried > 3, f"{service} documents hardly anything"


def _given(operation: object) -> object:
    from hypothesis import given

    return given(case=operation.as_strategy())  # type: ignore[attr-defined] # one of schemathesis' operations


def test_the_node_is_well_after_all_that(fuzzed_node: RunningNode) -> None:
    with fuzzed_node.client(fuzzed_node.operator) as operator:
        assert operator.get("/readyz").json()["ok"], operator.get("/readyz").text
        proof = operator.post("/mesh/v1/verification").json()
        assert proof["proven"], [ledger for ledger in proof["ledgers"] if ledger["fault"]]
