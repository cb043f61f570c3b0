"""Files with records in them: YAML, JSON or NDJSON, one or many, and where in them a field stands."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deploy.cli.speaking import Misused

ENDINGS = (".yaml", ".yml", ".json", ".ndjson", ".jsonl")
LINES = (".ndjson", ".jsonl")


@dataclass(frozen=True)
class Entry:
    """One record of a file. `at` is its path in the file (`[3]` in a list), `lines` tells where fields stand."""

    file: Path
    at: str
    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, name: str) -> str:
        """`file:line: field`, the line being that of the field or of what holds it."""
        path = join(self.at, name)
        line = self._line(path)
        place = f"{self.file}:{line}" if line else str(self.file)
        return f"{place}: {path}" if path else place

    def _line(self, path: str) -> int | None:
        while path not in self.lines:
            if not path:
                return None
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines[path]


def join(path: str, name: str) -> str:
    """`join("[3]", "needs[0].code") == "[3].needs[0].code"`; an index needs no dot."""
    if not path or not name:
        return path or name
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def entries(paths: Iterable[Path]) -> Iterator[Entry]:
    """Every record of the files, and of the files in the folders, in the order of their names. Raises `Misused`."""
    for path in paths:
        for file in files_of(path):
            yield from entries_of(file)


def files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and file.is_file())
    if not found:
        raise Misused(f"{path} holds no file that ends in {', '.join(ENDINGS)}.")
    return found


def entries_of(file: Path) -> list[Entry]:
    """The records of one file: its one object, or each entry of its list. Raises `Misused`."""
    text = _text_of(file)
    if file.suffix in LINES:
        return _of_lines(file, text)
    lines: dict[str, int] = {}
    value = _json(file, text) if file.suffix == ".json" else _yaml(file, text, lines)
    if isinstance(value, list):
        return [Entry(file, f"[{number}]", one, lines) for number, one in enumerate(value)]
    return [Entry(file, "", value, lines)]


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeError as error:
        raise Misused(f"{file} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}") from error


def _json(file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Misused(f"{file} is not JSON: {error}") from error


def _of_lines(file: Path, text: str) -> list[Entry]:
    found: list[Entry] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise Misused(f"{file}:{number}: not JSON: {error}") from error
            found.append(Entry(file, f"[{len(found)}]", value, {f"[{len(found)}]": number}))
    return found


class _Loader(yaml.SafeLoader):
    """YAML whose plain scalars are those of JSON (close to YAML 1.2's core schema): no dates, no `no` for false, no
    numbers in base 60 or 8. A country code, a month or a target then stays what the writer sees."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML copies it per class


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _yaml(file: Path, text: str, lines: dict[str, int]) -> Any:
    loader = _Loader(text)
    try:
        documents: list[yaml.Node] = []
        while (node := loader.get_node() if loader.check_node() else None) is not None:
            documents.append(node)
        if len(documents) == 1:
            return _value(file, loader, documents[0], "", lines)
        return [_value(file, loader, node, f"[{number}]", lines) for number, node in enumerate(documents)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}" if mark else ""
        raise Misused(f"{file}{place}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise Misused(f"{file}: not YAML: {error}") from error
    finally:
        loader.dispose()


def _value(file: Path, loader: _Loader, node: yaml.Node, path: str, lines: dict[str, int]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        read: dict[Hashable, Any] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value)
            if name in read:
                raise Misused(f"{file}:{name_node.start_mark.line + 1}: {join(path, name)} stands here a second time")
            read[name] = _value(file, loader, value_node, join(path, name), lines)
            lines[join(path, name)] = name_node.start_mark.line + 1
        return read
    if isinstance(node, yaml.SequenceNode):
        return [_value(file, loader, one, f"{path}[{number}]", lines) for number, one in enumerate(node.value)]
    return loader.construct_object(node)
