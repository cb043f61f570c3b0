"""From a record's state to what is queried and shown of it. Pure; any state a fact may carry is projected, also one
of a newer node: what is not understood is left out, never guessed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from shared.vocabulary import capability, places, sdg, strategy

State = Mapping[str, Any]
Columns = dict[str, Any]

LONGEST_SEARCH = 8000  # characters of searchable text kept of one record


def agency_columns(state: State) -> Columns:
    return {
        "title": _text(state.get("name")),
        "kind": _word(state.get("kind")),
        "illustrative": bool(state.get("illustrative")),
        "search": search_text(state.get("name"), state.get("acronym"), state.get("slug")),
    }


def office_columns(state: State) -> Columns:
    return {
        "title": _text(state.get("name")),
        "kind": _word(state.get("kind")),
        "countries": _codes(state.get("countries")),
        "visibility": _word(state.get("visibility")) or "mesh",
        "search": search_text(state.get("name")),
    }


def pilot_columns(state: State) -> Columns:
    """The columns lists of pilots filter and sort by. Goals follow from targets, clusters from measures."""
    targets = _codes(state.get("sdg_targets"))
    measures = _codes(state.get("roadmap_measures"))
    needs = _objects(state.get("needs"))
    return {
        "title": _text(state.get("title")),
        "lead": _word(state.get("lead_agency")),
        "co_leads": _codes(state.get("co_leads")),
        "countries": _codes(state.get("countries")),
        "regions": _regions(state),
        "targets": targets,
        "goals": sorted({sdg.TARGETS[code].goal for code in targets if code in sdg.TARGETS}, key=_by_number),
        "measures": measures,
        "clusters": sorted({strategy.cluster_of(code) for code in measures if code in strategy.MEASURES}),
        "layers": _codes(state.get("layers")),
        "groups": sorted(set(_flat(state.get("target_groups")))),
        "needs": _codes([need.get("code") for need in needs]),
        "essential": _codes([need.get("code") for need in needs if need.get("essential") is True]),
        "uncertainty": _word(state.get("uncertainty")),
        "life": _word(state.get("life")),
        "screening": _word(_object(state.get("screening")).get("status")) or "none",
        "starts_on": _word(state.get("starts_on")),
        "ends_on": _word(state.get("ends_on")),
        "visibility": _word(state.get("visibility")) or "mesh",
        "retrospective": state.get("entry") == "retrospective",
        "illustrative": bool(state.get("illustrative")),
        "external": [f"{one.get('scheme')}:{one.get('id')}" for one in _objects(state.get("external_ids"))],
        "search": search_text(
            state.get("title"),
            state.get("summary"),
            state.get("problem"),
            [need.get("words") for need in needs],
            [one.get("id") for one in _objects(state.get("external_ids"))],
            [_place_name(code) for code in _codes(state.get("countries"))],
            state.get("lead_agency"),
        ),
    }


def capability_columns(state: State) -> Columns:
    """The columns of a capability; `covers` and `delivers_to` are None where it is for anywhere."""
    code = _word(state.get("code"))
    known = capability.CODES.get(code or "")
    return {
        "title": _text(state.get("title")),
        "owner": _word(state.get("agency")),
        "code": code,
        "layer": known.layer if known else None,
        "group": known.group if known else None,
        "covers": _codes(state["covers"]) if state.get("covers") else None,
        "delivers_to": _codes(state["delivers_to"]) if state.get("delivers_to") else None,
        "goals": _codes(state.get("goals")),
        "mode": _word(state.get("mode")),
        "cost": _word(state.get("cost")),
        "available_from": _word(state.get("available_from")),
        "available_to": _word(state.get("available_to")),
        "confirmed_on": _word(state.get("confirmed_on")),
        "visibility": _word(state.get("visibility")) or "mesh",
        "illustrative": bool(state.get("illustrative")),
        "search": search_text(state.get("title"), state.get("description"), state.get("words"), code),
    }


def screening_columns(state: State) -> Columns:
    return {"pilot": _word(state.get("pilot")), "result": _word(state.get("result"))}


def pilot_card(state: State) -> Columns:
    """What may be shown of a pilot before its record: title, kind of help, region, goal, lead, screened or not."""
    columns = pilot_columns(state)
    codes = (capability.CODES.get(code) for code in columns["needs"])
    return {
        "id": state.get("id"),
        "title": columns["title"],
        "lead": columns["lead"],
        "help": sorted({code.group for code in codes if code is not None and code.group is not None}),
        "regions": columns["regions"],
        "goals": columns["goals"],
        "life": columns["life"],
        "screened": columns["screening"] == "passed",
        "illustrative": _codes(state.get("illustrative")),
    }


def search_text(*parts: Any) -> str:
    """All strings of the parts as one line to search in: lower case, without accents, at most 8,000 characters."""
    return fold_for_search(" ".join(_strings(parts)))[:LONGEST_SEARCH]


def fold_for_search(text: str) -> str:
    """The form in which texts and queries are compared: "Éducation" is found by "education"."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(each for each in apart if not unicodedata.combining(each)).split())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _strings(member)


def _regions(state: State) -> list[str]:
    known = (places.PLACES.get(code) for code in _codes(state.get("countries")))
    return sorted({place.region for place in known if place is not None and place.region})


def _place_name(code: str) -> list[str]:
    place = places.PLACES.get(code)
    return list(place.names.values()) if place else []


def _text(value: Any) -> dict[str, str]:
    return {key: text for key, text in _object(value).items() if isinstance(text, str)}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _codes(value: Any) -> list[str]:
    """The strings of a list, each once, in their order."""
    return list(dict.fromkeys(code for code in value if isinstance(code, str))) if isinstance(value, list) else []


def _flat(value: Any) -> Iterator[str]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, list):
            yield from _codes(entry)
        elif isinstance(entry, str):
            yield entry


def _by_number(code: str) -> int:
    return int(code)


def testbed_columns(state: State) -> Columns:
    return {"pilots": _codes(state.get("pilots")), "status": _word(state.get("status"))}
