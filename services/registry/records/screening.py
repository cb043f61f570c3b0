"""What is posted as a screening: an answer and a note to each question, and the learning question."""

from __future__ import annotations

from typing import Annotated, Any

from services.registry.records.findings import Findings, child, shown
from services.registry.records.marks import OneOf, Words
from services.registry.records.parts import Sentence, WrittenIn
from services.registry.records.reading import Json, Record, read
from services.registry.screening import CURRENT, QUESTIONNAIRES, Questionnaire


class Answer(Record):
    answer: Annotated[str | None, OneOf(("yes", "no"))] = None
    note: Annotated[dict[str, str] | None, Words(2000)] = None


class ScreeningPost(Record):
    """`answers` holds one entry a question, by its id: `{"right_tool": {"answer": "yes", "note": {"en": "…"}}}`.

    `draft` saves what is answered so far.
    """

    questionnaire: str | None = None
    answers: dict[str, Any] | None = None
    learning_question: Sentence = None
    language: WrittenIn = None
    draft: bool | None = None


def read_screening(post: Any, findings: Findings) -> tuple[Json, Questionnaire]:
    """The post with its answers checked against the questionnaire it names (the current one by itself)."""
    screening = read(ScreeningPost, post, findings)
    named = screening.setdefault("questionnaire", CURRENT.version)
    if named not in QUESTIONNAIRES:
        known = ", ".join(QUESTIONNAIRES)
        findings.fault("questionnaire", "unknown-code", f"{shown(named)} is no questionnaire known here: use {known}.")
    asked = QUESTIONNAIRES.get(named, CURRENT)
    answers: Json = {}
    for name, posted in (screening.get("answers") or {}).items():
        at = child("answers", name)
        if name not in asked:
            known = ", ".join(question.id for question in asked.questions)
            findings.fault(at, "unknown-question", f"{shown(name)} is not asked in {asked.version}: it asks {known}.")
        elif not isinstance(posted, dict):
            detail = f'Found {shown(posted)}: an answer is an object, as in {{"answer": "yes"}}.'
            findings.fault(at, "wrong-type", detail)
        else:
            answers[name] = _read_answer(posted, at, findings)
    screening["answers"] = answers
    if screening.pop("draft", False) is not True:
        _check_complete(screening, asked, findings)
    return screening, asked


def _read_answer(posted: Json, at: str, findings: Findings) -> Json:
    inner = Findings()
    answer = read(Answer, posted, inner)
    for fault in inner.faults:
        findings.fault(f"{at}.{fault.field}" if fault.field else at, fault.code, fault.detail)
    for notice in inner.notices:
        findings.notice(f"{at}.{notice.field}", notice.code, notice.detail)
    return answer


def _check_complete(screening: Json, asked: Questionnaire, findings: Findings) -> None:
    for question in asked.questions:
        at = child("answers", question.id)
        answer = screening["answers"].get(question.id)
        if answer is None:
            findings.missing(at, f"Not answered yet: {question.text['en']}")
            continue
        if answer.get("answer") is None:
            findings.missing(f"{at}.answer", 'Say "yes" or "no", or save the screening with draft: true.')
        if answer.get("answer") == "no" and not answer.get("note"):
            findings.missing(f"{at}.note", 'A "no" needs a note: what is open, and what will be done by when.')
