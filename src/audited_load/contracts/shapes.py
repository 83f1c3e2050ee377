"""What may stand in a YAML file → its data, or every fault in it, each with its path and its line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias

import yaml  # type: ignore[import-untyped]

from audited_load.shown import show_text

SHOWN_WORDS = 12
_LIKE = 0.5
_TYPES: dict[type, str] = {str: "text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True)
class Free:
    """Anything: people read it, nothing follows from it."""


@dataclass(frozen=True)
class Scalar:
    """One value: of a type, or of one of some; and one of some words if there are any."""

    kind: type[str] | type[int] | type[bool] | tuple[type, ...]
    words: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Items:
    """A list of things of one shape."""

    of: Shape


@dataclass(frozen=True)
class Fields:
    """Named things; those that are required, must be there."""

    of: Mapping[str, Shape]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """The standard's list of `property` and `value`, which is read as named things."""

    of: Mapping[str, Shape]


Shape: TypeAlias = Free | Scalar | Items | Fields | Pairs


@dataclass
class Reading:
    """What was found while a file was read.

    Attributes:
        lines: The line of each path, from 1.
        faults: Sentences, each with path and line.
    """

    lines: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def fault(self, path: str, what: str) -> None:
        """Note a fault at a path, or at the nearest one around it that is known."""
        place = path
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        self.faults.append(f"line {self.lines.get(place, 1)}: {show_text(path, 200) or 'the file'} {what}")


def nearest(word: str, words: Collection[str]) -> str:
    """Say which of the known words was meant, or which there are."""
    fits = get_close_matches(word.lower(), {known.lower(): known for known in words}, 1, _LIKE)
    if fits:
        return f"did you mean {next(known for known in words if known.lower() == fits[0])!r}?"
    shown = ", ".join(sorted(words)[:SHOWN_WORDS])
    return f"known are {shown}{' and others' if len(words) > SHOWN_WORDS else ''}"


def read_node(node: yaml.Node, shape: Shape, path: str, reading: Reading) -> Any:  # noqa: ANN401 - what a file holds
    """Read a node of YAML by its shape; what doesn't fit is noted, and left out.

    Args:
        node: As `yaml.compose` gives it.
        shape: What may stand there.
        path: Where it stands, for the faults.
        reading: Is told lines and faults.

    Returns:
        Dictionaries, lists and values.
    """
    reading.lines.setdefault(path, node.start_mark.line + 1)
    match shape:
        case Free():
            return None
        case Scalar():
            return _read_scalar(node, shape, path, reading)
        case Items(of):
            if not isinstance(node, yaml.SequenceNode):
                reading.fault(path, "must be a list")
                return None
            return [read_node(item, of, f"{path}[{number}]", reading) for number, item in enumerate(node.value)]
        case Fields(of, required):
            return _read_fields(node, of, required, path, reading)
        case Pairs(of):
            return _read_pairs(node, of, path, reading)


def _read_scalar(node: yaml.Node, shape: Scalar, path: str, reading: Reading) -> Any:  # noqa: ANN401 - what a file holds
    value = yaml.SafeLoader("").construct_object(node) if isinstance(node, yaml.ScalarNode) else None
    kinds = shape.kind if isinstance(shape.kind, tuple) else (shape.kind,)
    if type(value) not in kinds:
        reading.fault(path, f"must be {' or '.join(_TYPES[kind] for kind in kinds)}")
        return None
    if shape.words and value not in shape.words:
        known = [str(word) for word in shape.words]
        reading.fault(path, f"can't be {show_text(str(value))!r}: {nearest(str(value), known)}")
        return None
    return value


def _read_fields(
    node: yaml.Node, of: Mapping[str, Shape], required: tuple[str, ...], path: str, reading: Reading
) -> Any:  # noqa: ANN401 - what a file holds
    if not isinstance(node, yaml.MappingNode):
        reading.fault(path, "must be a mapping of names to values")
        return None
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value)
        place = f"{path}.{name}" if path else name
        if name not in of:
            reading.lines.setdefault(place, key.start_mark.line + 1)
            reading.fault(place, f"isn't supported: {nearest(name, of)}")
        elif name in found:
            reading.faults.append(f"line {key.start_mark.line + 1}: {place} is there twice")
        else:
            found[name] = read_node(value, of[name], place, reading)
    for name in required:
        if name not in found:
            reading.fault(f"{path}.{name}" if path else name, "is missing")
    return found


def _read_pairs(node: yaml.Node, of: Mapping[str, Shape], path: str, reading: Reading) -> dict[str, Any]:
    found: dict[str, Any] = {}
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    if not isinstance(node, yaml.SequenceNode):
        reading.fault(path, "must be a list of `property` and `value`")
    for number, item in enumerate(items):
        place = f"{path}[{number}]"
        pair = _read_fields(item, {"property": Scalar(str), "value": Free(), "description": Free()},
                            ("property", "value"), place, reading)  # fmt: skip
        name = (pair or {}).get("property")
        if name is None or "value" not in pair:
            continue
        if name not in of:
            reading.fault(f"{place}.property", f"can't be {show_text(name)!r}: {nearest(name, of)}")
        elif name in found:
            reading.fault(f"{place}.property", f"is {name!r} twice")
        else:
            value = next(value for key, value in item.value if key.value == "value")
            reading.lines[f"{path}.{name}"] = value.start_mark.line + 1
            found[name] = read_node(value, of[name], f"{path}.{name}", reading)
    return found
