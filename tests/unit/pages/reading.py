"""Reads a page the way an assistive technology does: elements, labels, headings, forms; and says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source"))
FIELDS = ("input", "select", "textarea")
HEADINGS = ("h1", "h2", "h3", "h4")


@dataclass(eq=False)
class Element:
    tag: str
    attributes: dict[str, str]
    parents: tuple[Element, ...] = ()
    text: str = ""

    def within(self, tag: str) -> bool:
        return any(parent.tag == tag for parent in self.parents)


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self.open: list[Element] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self.open))
        self.found.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1].tag != tag:
            self.faults.append(f"</{tag}> closes <{self.open[-1].tag if self.open else 'nothing'}>")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def elements(html: str) -> list[Element]:
    return _parsed(html).found


def _parsed(html: str) -> _Parser:
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser


def form_of(html: str, action: str) -> Form:
    """The form that goes to a path ending in `action`, with the fields as they are filled."""
    found = elements(html)
    owner = next(e for e in found if e.tag == "form" and e.attributes.get("action", "").endswith(action))
    form = Form(owner.attributes["action"])
    for element in found:
        name = element.attributes.get("name")
        if owner not in element.parents or not name:
            continue
        kind = element.attributes.get("type", "text")
        if element.tag == "input" and (kind not in ("radio", "checkbox") or "checked" in element.attributes):
            form.fields[name] = element.attributes.get("value", "")
        if element.tag == "textarea":
            form.fields[name] = element.text
        if element.tag == "select":
            form.fields[name] = ""
        if element.tag == "option" and "selected" in element.attributes:
            form.fields[element.parents[-1].attributes.get("name", name)] = element.attributes.get("value", "")
    for option in found:
        if option.tag == "option" and "selected" in option.attributes and owner in option.parents:
            select = next(parent for parent in reversed(option.parents) if parent.tag == "select")
            form.fields[select.attributes["name"]] = option.attributes.get("value", "")
    return form


def obstacles(html: str) -> list[str]:
    """What would stand in the way of somebody who uses a keyboard, a screen reader or no script."""
    parser = _parsed(html)
    found, faults = parser.found, list(parser.faults)
    faults += [f"<{element.tag}> is not closed" for element in parser.open]
    ids = [element.attributes["id"] for element in found if "id" in element.attributes]
    faults += [f"the id {one} stands there twice" for one in {one for one in ids if ids.count(one) > 1}]
    faults += _frame(found, set(ids))
    faults += _headings(found)
    for element in found:
        faults += _fields(element, found)
        faults += _tables(element, found)
        faults += _references(element, set(ids))
        if element.tag in ("script", "style", "iframe") or "style" in element.attributes:
            faults.append(f"<{element.tag}> brings script, a frame or a style of its own")
        faults += [f"<{element.tag}> has {name}" for name in element.attributes if name.startswith("on")]
        if element.tag == "img" and "alt" not in element.attributes:
            faults.append("an image has no alt")
        if element.tag in ("a", "button", "summary") and not element.text.strip():
            faults.append(f"<{element.tag}> has no words: {element.attributes}")
    return faults


def _frame(found: list[Element], ids: set[str]) -> list[str]:
    faults = []
    html = next(element for element in found if element.tag == "html")
    if html.attributes.get("lang") not in ("en", "fr"):
        faults.append("the page does not name its language")
    for tag in ("main", "header", "footer", "title"):
        if sum(element.tag == tag for element in found) != 1:
            faults.append(f"there is not exactly one <{tag}>")
    first_link = next(element for element in found if element.tag == "a")
    if first_link.attributes.get("href") != "#main" or "main" not in ids:
        faults.append("the first link does not skip to the content")
    return faults


def _headings(found: list[Element]) -> list[str]:
    levels = [int(element.tag[1]) for element in found if element.tag in HEADINGS]
    faults = [] if levels.count(1) == 1 else [f"{levels.count(1)} headings of the first level"]
    for before, after in pairwise(levels):
        if after > before + 1:
            faults.append(f"a heading of level {after} follows one of level {before}")
    return faults


def _fields(element: Element, found: list[Element]) -> list[str]:
    if element.tag not in FIELDS or element.attributes.get("type") == "hidden":
        return []
    own = element.attributes.get("id")
    labels = [one for one in found if one.tag == "label" and one.attributes.get("for") == own and own]
    named = len(labels) == 1 and labels[0].text.strip()
    faults = [] if named else [f"the field {element.attributes.get('name')} has no label"]
    if element.attributes.get("type") == "radio" and not element.within("fieldset"):
        faults.append("a choice stands outside a fieldset")
    return faults


def _tables(element: Element, found: list[Element]) -> list[str]:
    if element.tag == "th" and element.attributes.get("scope") not in ("col", "row", "rowgroup"):
        return ["a heading of a table does not say what it heads"]
    if element.tag != "table":
        return []
    captions = [one for one in found if one.tag == "caption" and element in one.parents and one.text.strip()]
    return [] if len(captions) == 1 else ["a table has no caption"]


def _references(element: Element, ids: set[str]) -> list[str]:
    faults = []
    for name in ("aria-labelledby", "aria-describedby", "for"):
        for one in element.attributes.get(name, "").split():
            if one not in ids:
                faults.append(f"{name} names {one}, which is not on the page")
    target = element.attributes.get("href", "")
    if target.startswith("#") and target[1:] not in ids:
        faults.append(f"a link leads to {target}, which is not on the page")
    return faults
