"""What a bundle promises to who listens: the part of card.json that hearing rests on, and no package but Python itself.

The whole card is held to its schema, `card.schema.json`, which `card.Card` gives; `bundle.load_card` reads it with pydantic.
"""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wakesmith import bundle
from wakesmith.errors import BundleError

SCHEMA = Path(__file__).with_name("card.schema.json")
KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "object": ("a mapping", dict), "array": ("a list", list), "string": ("a text", str), "integer": ("a whole number", int),
    "number": ("a number", (int, float)), "null": ("none", type(None)),
}  # fmt: skip
LIMITS = {
    "minimum": "from {}", "exclusiveMinimum": "over {}", "maximum": "to {}", "minLength": "of {} letters or more",
    "maxLength": "of at most {} letters", "minItems": "of {} or more", "maxItems": "of at most {}", "pattern": "like {}",
}  # fmt: skip
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Point:
    """Where a phrase's score fires: of `card.OperatingPoint`, what does not tell how it was chosen."""

    threshold: float
    smoothing_window: int = 1
    refractory_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    operating_point: Point | None = None


class Told:
    """What follows from the fields of a card: of a `Promise`, and of a whole `card.Card`."""

    __slots__ = ()
    if TYPE_CHECKING:
        phrases: Sequence[Any]
        rate_hz: int
        step_samples: int
        scores_per_step: int

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.phrases]

    @property
    def phrase(self) -> str:
        """For people: several with commas between them."""
        return ", ".join(self.texts)

    @property
    def score_samples(self) -> int:
        """Samples from one score to the next."""
        return self.step_samples // self.scores_per_step

    @property
    def step_s(self) -> float:
        return self.step_samples / self.rate_hz


@dataclass(frozen=True, slots=True)
class Promise(Told):
    """Fields as in `card.Card`."""

    phrases: list[Phrase]
    language: str
    labels: list[str]
    rate_hz: int
    step_samples: int
    scores_per_step: int
    state_size: int
    receptive_samples: int
    features: dict[str, Any]
    sha256: str
    front_end: str = "inside"
    model: str = "model.onnx"


def load(folder: str | Path) -> Promise:
    """The promise of a checked bundle, as `bundle.check` gives its card. Raises BundleError."""
    path, data = Path(folder) / bundle.CARD, bundle.read(folder)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    if told := fault(data, schema, schema["$defs"]):
        raise BundleError(f"{path}: {told}. Export the bundle again.")
    made = _of(data)
    if len(set(made.texts)) < len(made.texts):
        raise BundleError(f"{path}: phrases: a phrase is named twice. Export the bundle again.")
    bundle.check_counts(path, made)
    bundle.check_model(folder, made)
    return made


def _of(data: Mapping[str, Any]) -> Promise:
    phrases = []
    for one in data["phrases"]:
        point = one.get("operating_point")
        phrases.append(Phrase(one["text"], point and _taken(Point, point)))
    return _taken(Promise, {**data, "phrases": phrases})


def _taken(model: type[Made], data: Mapping[str, Any]) -> Made:
    return model(**{one.name: data[one.name] for one in fields(model) if one.name in data})  # type: ignore[arg-type]


def fault(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any], where: str = "") -> str:
    """What keeps a value from its JSON schema, of what pydantic writes of settings; empty: nothing. A 1.0 is no whole number."""
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return min((fault(value, one, parts, where) for one in schema["anyOf"]), key=bool)
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if allowed:
        is_one = any(type(value) is type(one) and value == one for one in allowed)
        return "" if is_one else f"{where}: expected {' or '.join(map(str, allowed))}, got {reprlib.repr(value)}"
    if "type" not in schema:
        return ""
    words, kind = KINDS[schema["type"]]
    if not isinstance(value, kind) or isinstance(value, bool) or not _is_within(value, schema):
        limits = " ".join(told.format(schema[key]) for key, told in LIMITS.items() if key in schema)
        return f"{where or 'the card'}: expected {f'{words} {limits}'.strip()}, got {reprlib.repr(value)}"
    if isinstance(value, list):
        items = (fault(one, schema["items"], parts, f"{where}[{i}]") for i, one in enumerate(value))
        return next(filter(None, items), "")
    if isinstance(value, dict):
        return next(filter(None, _faults_of_keys(value, schema, parts, f"{where}." if where else "")), "")
    return ""


def _faults_of_keys(value: dict[str, Any], schema: Mapping[str, Any], parts: Mapping[str, Any], before: str) -> Any:
    known, others = schema.get("properties", {}), schema["additionalProperties"]
    yield from (f"{before}{key}: is missing" for key in schema.get("required", ()) if key not in value)
    for key, one in value.items():
        if key in known:
            yield fault(one, known[key], parts, f"{before}{key}")
        elif others is False:
            yield f"{before}{reprlib.repr(key)[1:-1]}: there is no such key"
        else:
            yield fault(key, {"type": "string"}, parts, f"{before}a key")
            yield fault(one, {} if others is True else others, parts, f"{before}{reprlib.repr(key)[1:-1]}")


def _is_within(value: Any, schema: Mapping[str, Any]) -> bool:
    """The limits of a number, a text or a list."""
    if isinstance(value, (int, float)):
        least, over, most = (schema.get(key, end) for key, end in (
            ("minimum", -sys.float_info.max), ("exclusiveMinimum", -float("inf")), ("maximum", sys.float_info.max),
        ))  # fmt: skip
        return bool(over < value and least <= value <= most)
    if isinstance(value, str):
        fits = "pattern" not in schema or re.fullmatch(schema["pattern"], value) is not None
        return fits and _is_text(value) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if isinstance(value, list):
        return bool(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)))
    return True


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True
