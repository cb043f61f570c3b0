"""Bodies as the API documents show them; the rules that check them are in `domain`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Text = dict[str, str]


class ReleasePost(BaseModel):
    """The lead sends its proposal to the invited."""

    proposal_hash: str = Field(description="`hash` of the proposal that was read.")


class ResponsePost(BaseModel):
    """An agency's word on a proposal. Only approvers accept."""

    agency: str
    decision: Literal["accept", "accept_with_conditions", "decline", "interest", "withdraw"]
    proposal_hash: str
    reason: Literal["no_capacity", "not_our_mandate", "timing", "risk", "other"] | None = None
    words: Text | str | None = Field(None, description="Read by the agencies of the team alone.")
    conditions: Text | str | None = Field(None, description="Read by the agencies of the team alone.")
    units: dict[str, float] | None = Field(None, description="Fewer units than proposed, by need.")
    reserved_until: str | None = Field(None, description="Until when the units are held for this pilot (a date).")


class QuestionPost(BaseModel):
    """A question of a member of the team, read by the team alone."""

    agency: str
    proposal_hash: str
    question: Text | str


class AnswerPost(BaseModel):
    """The lead's answer to a question."""

    question: str = Field(description="The question's id.")
    asked_by: str | None = Field(None, description="Whose question; needed where several asked under one id.")
    answer: Text | str


class FormationPost(BaseModel):
    """The lead's approver says yes and closes the proposal with those who accepted."""

    proposal_hash: str


class SuspensionPost(BaseModel):
    """A member stops its part of a testbed at once."""

    agency: str
    reason: Text | str


class RulesPost(BaseModel):
    """An agency's rules; what is left out takes the node's defaults."""

    release: Literal["lead", "auto"] | None = None
    invitation_days: int | None = None
    open_invitations: int | None = None
    load_cap: int | None = Field(None, description="The most pilots the agency takes part in.")
    recusals: list[str] | None = Field(None, description="Pilots that the agency keeps out of.")
    substitutions: list[dict[str, str]] | None = Field(
        None, description="[{pilot, need, code}] that the lead confirms."
    )
    weights: dict[str, Any] | None = Field(None, description="Numbers of docs/matching.md, by name.")
