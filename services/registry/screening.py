"""The screening: eight questions, ten minutes, before a pilot is ready. The questions are data with a version.

Source: CEB/2019/1/Add.3, paragraph 9 (a)–(j) and, for question 4, paragraph 12 (e). The wording is our own.
The full assessment asks more; this asks only what would stop a pilot before anybody's time is spent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """`paragraphs` names its sources; `rests_on` the material parts whose change asks it again; with `must` a "no"
    keeps the pilot from being ready, without it a "no" needs a note and stays an open point."""

    id: str
    paragraphs: tuple[str, ...]
    text: Text
    note: Text
    rests_on: tuple[str, ...]
    must: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "paragraphs": list(self.paragraphs),
            "text": dict(self.text),
            "note": dict(self.note),
            "rests_on": list(self.rests_on),
            "must": self.must,
        }


@dataclass(frozen=True, slots=True)
class Questionnaire:
    version: str
    questions: tuple[Question, ...]

    def __getitem__(self, name: str) -> Question:
        return next(question for question in self.questions if question.id == name)

    def __contains__(self, name: object) -> bool:
        return any(question.id == name for question in self.questions)


FIRST = Questionnaire(
    "2025-1",
    (
        Question(
            id="right_tool",
            paragraphs=("9 (j)",),
            text={
                "en": "Were other ways looked at, and is AI the right tool for this problem?",
                "fr": (
                    "D’autres solutions ont-elles été examinées, et l’IA est-elle l’outil qui convient à ce problème ?"
                ),
            },
            note={"en": "Which ways, and why not those?", "fr": "Lesquelles, et pourquoi pas celles-là ?"},
            rests_on=("needs", "ai_decides"),
            must=True,
        ),
        Question(
            id="no_harm",
            paragraphs=("9 (a)", "9 (b)"),
            text={
                "en": "Did you ask who could be harmed, and in which rights, and write down what stops the pilot?",
                "fr": (
                    "Vous êtes-vous demandé qui pourrait être lésé, et dans quels droits, et avez-vous écrit "
                    "ce qui arrête le projet ?"
                ),
            },
            note={
                "en": "What could go wrong, for whom, and what stops it?",
                "fr": "Que pourrait-il arriver, à qui, et qu’est-ce qui l’arrête ?",
            },
            rests_on=("sites", "target_groups", "ai_decides", "risk"),
            must=True,
        ),
        Question(
            id="data_allowed",
            paragraphs=("9 (b)",),
            text={
                "en": (
                    "May the data be used for this: lawfully, by agreement, and with no more personal data than needed?"
                ),
                "fr": (
                    "Les données peuvent-elles servir à cela : légalement, d’un commun accord, et sans plus "
                    "de données personnelles que nécessaire ?"
                ),
            },
            note={"en": "Which data, on what basis?", "fr": "Quelles données, sur quelle base ?"},
            rests_on=("needs", "sites"),
            must=True,
        ),
        Question(
            id="people_decide",
            paragraphs=("9 (b)", "12 (e)"),
            text={
                "en": "Does a person take every decision about people, and can the system be switched off?",
                "fr": (
                    "Une personne prend-elle chaque décision qui touche des personnes, et peut-on arrêter le système ?"
                ),
            },
            note={"en": "Who decides, and how is it switched off?", "fr": "Qui décide, et comment l’arrête-t-on ?"},
            rests_on=("ai_decides",),
            must=True,
        ),
        Question(
            id="furthest_behind",
            paragraphs=("9 (d)", "9 (f)", "9 (g)"),
            text={
                "en": (
                    "Were the people it is for asked, the furthest behind among them, and did that change something?"
                ),
                "fr": (
                    "Les personnes concernées, y compris les plus laissées pour compte, ont-elles été "
                    "consultées, et cela a-t-il changé quelque chose ?"
                ),
            },
            note={
                "en": "Who was asked, how, and what changed?",
                "fr": "Qui a été consulté, comment, et qu’est-ce qui a changé ?",
            },
            rests_on=("sites", "target_groups"),
            must=False,
        ),
        Question(
            id="women_and_ages",
            paragraphs=("9 (e)",),
            text={
                "en": (
                    "Do you know how it acts on women and girls, and on the young and the old, and will you measure it?"
                ),
                "fr": (
                    "Savez-vous comment il agit sur les femmes et les filles, les jeunes et les personnes "
                    "âgées, et le mesurerez-vous ?"
                ),
            },
            note={
                "en": "What is expected, and which figures will show it?",
                "fr": "Qu’attend-on, et quels chiffres le montreront ?",
            },
            rests_on=("target_groups",),
            must=False,
        ),
        Question(
            id="government_and_partners",
            paragraphs=("9 (g)", "9 (h)"),
            text={
                "en": "Do the authorities of every site know of it, and are all partners and their interests named?",
                "fr": (
                    "Les autorités de chaque site sont-elles informées, et tous les partenaires et leurs "
                    "intérêts sont-ils nommés ?"
                ),
            },
            note={
                "en": "Which institution was told, and who else takes part?",
                "fr": "Quelle institution a été informée, et qui d’autre participe ?",
            },
            rests_on=("sites",),
            must=False,
        ),
        Question(
            id="worth_it",
            paragraphs=("9 (c)", "9 (f)", "9 (i)"),
            text={
                "en": (
                    "Is there reason to think it works, nothing else already doing it, and are its costs to "
                    "work and environment weighed?"
                ),
                "fr": (
                    "A-t-on des raisons de penser que cela marche, que rien d’autre ne le fait déjà, et les "
                    "coûts pour l’emploi et l’environnement sont-ils pesés ?"
                ),
            },
            note={
                "en": "What evidence, which related programmes, which costs?",
                "fr": "Quelles preuves, quels programmes voisins, quels coûts ?",
            },
            rests_on=("needs", "risk"),
            must=False,
        ),
    ),
)

QUESTIONNAIRES: Mapping[str, Questionnaire] = MappingProxyType({FIRST.version: FIRST})
CURRENT = FIRST

LEARNING_QUESTION: Text = MappingProxyType(
    {
        "en": "What do you want to have learnt when the pilot ends, whatever its result?",
        "fr": "Que voulez-vous avoir appris à la fin du projet pilote, quel qu’en soit le résultat ?",
    }
)
"""Asked beside the eight: forming → ready needs it, in the pilot's `learning` or in the screening."""
