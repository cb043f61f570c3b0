"""Changes of plans, and who may make them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.metrics.plans import read_plan
from shared.access.actors import Actor, require
from shared.personal_data import finds_in
from shared.problems import Fault, Forbidden, Invalid

PLANNERS = ("officer", "monitor", "coordinator")
REPORTERS = ("monitor", "officer")


@dataclass(frozen=True, slots=True)
class Notice:
    field: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class PlanChange:
    """One change of an indicator plan. Plans are shared with the mesh: others see what is promised."""

    verb: str
    id: str
    version: int
    agency: str
    state: Mapping[str, Any]
    role: str
    kind: str = "plan"
    audience: str = "mesh"
    notices: tuple[Notice, ...] = field(default=())


def make_plan(
    post: Mapping[str, Any],
    *,
    plan_id: str,
    pilot: Mapping[str, Any],
    sites: Mapping[str, str],
    actor: Actor,
    audience: str = "mesh",
) -> PlanChange:
    """A new plan for a pilot of the actor's agency. Raises Invalid with all faults, or Forbidden."""
    agency = str(pilot["lead_agency"])
    author = require(actor, agency, *PLANNERS)
    return PlanChange(
        "registered", plan_id, 1, agency, _state(post, plan_id, agency, sites), author.role, audience=audience
    )


def revise_plan(
    state: Mapping[str, Any],
    post: Mapping[str, Any],
    *,
    version: int,
    sites: Mapping[str, str],
    actor: Actor,
    audience: str = "mesh",
) -> PlanChange:
    """The plan as posted; pilot and code stay what they were, because observations refer to them."""
    agency = str(state["agency"])
    author = require(actor, agency, *PLANNERS)
    fixed = [
        Fault(name, "fixed", f"{name} stays {state[name]}; make a new plan instead")
        for name in ("pilot", "code", "measure", "unit")
        if name in post and post[name] != state[name]
    ]
    if fixed:
        raise Invalid(fixed)
    plan_id = str(state["id"])
    kept = {name: state[name] for name in ("pilot", "code", "measure", "unit")}
    new = _state({**kept, **post}, plan_id, agency, sites)
    return PlanChange("revised", plan_id, version + 1, agency, new, author.role, audience=audience)


def withdraw_plan(state: Mapping[str, Any], *, version: int, actor: Actor, audience: str = "mesh") -> PlanChange:
    agency = str(state["agency"])
    author = require(actor, agency, *PLANNERS)
    gone = {"id": state["id"], "withdrawn": True}
    return PlanChange("withdrawn", str(state["id"]), version + 1, agency, gone, author.role, audience=audience)


def may_report(actor: Actor) -> str:
    """The role in which an actor hands in observations of its own agency. Raises Forbidden."""
    for role in REPORTERS:
        if role in actor.roles:
            return role
    raise Forbidden(f"To hand in observations you need the role {' or '.join(REPORTERS)} at {actor.agency}.")


def _state(post: Mapping[str, Any], plan_id: str, agency: str, sites: Mapping[str, str]) -> dict[str, Any]:
    managed = ("version", "etag", "audience", "ledger_place", "changed_at", "notices", "withdrawn")
    asked = {name: value for name, value in post.items() if name not in managed}
    asked["id"] = plan_id
    read_plan(asked, sites=sites or None)
    found = [
        Fault(at, "personal-data", f"{what[0].upper()}{what[1:]} was found: take it out.")
        for at, what in finds_in(asked)
    ]
    if found:
        raise Invalid(found)
    return {**asked, "agency": agency}
