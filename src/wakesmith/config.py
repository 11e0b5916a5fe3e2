"""Strict settings: YAML and `--set a.b=c` -> frozen pydantic models; all problems at once, with the nearest known name."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, SerializeAsAny, ValidationError, model_validator
from pydantic_core import ErrorDetails

from wakesmith import registry
from wakesmith.disk import is_file
from wakesmith.errors import ConfigError

MAX_YAML = 1 << 18
"""Letters in a file of settings."""
MOST_TOLD = 50
"""Problems in one message."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlist = _SHORT.maxdict = 10


def _short(value: Any) -> str:
    """A value in a message, whatever its size."""
    try:
        return _SHORT.repr(value) if not isinstance(value, str) or len(value) > 200 else repr(value)
    except ValueError:
        return "a number of thousands of digits"


class Settings(BaseModel):
    """Base of every settings model: unknown keys and wrong types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)
    RISING: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of keys that are the ends of a range: the second must not be below the first."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for low, high in self.RISING:
            least, most = getattr(self, low), getattr(self, high)
            if most < least:
                raise ValueError(f"{high} {most} must not be below {low} {least}")
        return self


class PartSettings(Settings):
    """Base of a part's `Config`; `name` says which part it is."""

    name: str


@dataclass(frozen=True, slots=True)
class Span(AfterValidator):
    """A check that tells what it allows."""

    allowed: str


def span(least: float, most: float) -> Span:
    """Mark of a field that holds the two ends of a range: `Annotated[list[float], span(0.5, 2)]`."""

    allowed = f"two rising numbers from {least:g} to {most:g}"

    def checked(ends: Sequence[float]) -> Sequence[float]:
        if len(ends) != 2 or not least <= ends[0] <= ends[1] <= most:
            raise ValueError(f"expected {allowed}")
        return ends

    return Span(checked, allowed)


class PartOf:
    """Mark of a field that holds the settings of a part: `Annotated[PartSettings, PartOf("students")]`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


Voice = Annotated[SerializeAsAny[PartSettings], PartOf("voices")]
Source = Annotated[SerializeAsAny[PartSettings], PartOf("importers")]
Effect = Annotated[SerializeAsAny[PartSettings], PartOf("augment")]
Features = Annotated[SerializeAsAny[PartSettings], PartOf("features")]
Teacher = Annotated[SerializeAsAny[PartSettings], PartOf("teachers")]
Student = Annotated[SerializeAsAny[PartSettings], PartOf("students")]
Loss = Annotated[SerializeAsAny[PartSettings], PartOf("losses")]
Exporter = Annotated[SerializeAsAny[PartSettings], PartOf("exporters")]


def part(kind: str, name: str, **options: Any) -> PartSettings:
    """Settings of a part by name: `part("students", "ds_cnn", width=48)`."""
    return parse_part(kind, {"name": name, **options}, kind)


def parse_part(kind: str, data: Any, where: str) -> PartSettings:
    problems: list[str] = []
    settings = _part(kind, data, where, problems)
    _stop_at(problems)
    assert settings is not None
    return settings


def parse(model: type[Settings], data: Mapping[str, Any], source: str = "configuration") -> Any:
    """Plain values -> a settings model. Raises one ConfigError that lists every problem."""
    problems: list[str] = []
    settings = _validate(model, data, "", problems)
    _stop_at(problems, source)
    return settings


def _stop_at(problems: list[str], source: str = "configuration") -> None:
    if len(problems) == 1:
        raise ConfigError(f"{source}: {problems[0]}")
    if problems:
        lines = [f"  - {line}" for line in problems[:MOST_TOLD]] + ["  - and more."] * (len(problems) > MOST_TOLD)
        raise ConfigError(f"{source}: {len(problems)} problems:\n" + "\n".join(lines))


def _part(kind: str, data: Any, where: str, problems: list[str]) -> PartSettings | None:
    if isinstance(data, PartSettings):
        return data
    if isinstance(data, str):
        data = {"name": data}
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        problems.append(f"{where}: expected a name or a mapping with 'name', one of {', '.join(registry.names(kind))}.")
        return None
    if data["name"] not in (known := registry.names(kind)):
        problems.append(registry.unknown(where, data["name"], known))
        return None
    try:
        model = registry.load(kind, data["name"]).Config
    except ModuleNotFoundError as error:
        problems.append(f"{where}: '{data['name']}' needs the package {error.name}. Install it: pip install 'wakesmith[all]'")
        return None
    return _validate(model, data, where, problems)  # type: ignore[no-any-return]


def _validate(model: type[Settings], data: Any, where: str, problems: list[str]) -> Any:
    if isinstance(data, model):
        return data
    if not isinstance(data, Mapping):
        problems.append(f"{where}: expected a mapping of keys to values, got {_short(data)}.".removeprefix(": "))
        return None
    before = len(problems)
    values = dict(data)
    for key, field in model.model_fields.items():
        if key in values:
            values[key] = _nested(field, values[key], f"{where}.{key}".lstrip("."), problems)
    known = [key for key in values if not (key in model.model_fields and values[key] is None and data[key] is not None)]
    try:
        return model.model_validate({key: values[key] for key in known})
    except ValidationError as error:
        fallen = values.keys() - set(known)
        for detail in error.errors():
            # What settings are wrong beside each other shows when each is right: defaults stand in for those that are not.
            if not fallen or (detail["loc"] and detail["loc"][0] not in fallen):
                problems.append(_told(detail, model, where) if len(problems) < MOST_TOLD else "")
        if len(problems) == before:
            problems.append(str(error))
        return None


def _nested(field: Any, value: Any, where: str, problems: list[str]) -> Any:
    """Settings inside settings are validated first, so that their problems are told under their own path."""
    marks = [mark for mark in field.metadata if isinstance(mark, PartOf)]
    if marks:
        return None if value is None else _part(marks[0].kind, value, where, problems)
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return _validate(annotation, value, where, problems)
    if isinstance(annotation, UnionType) and isinstance(value, Mapping):  # as float | Schedule
        for choice in get_args(annotation):
            if isinstance(choice, type) and issubclass(choice, Settings):
                return _validate(choice, value, where, problems)
    if get_origin(annotation) is list and isinstance(value, list):
        (inner,) = get_args(annotation)
        marks = [mark for mark in getattr(inner, "__metadata__", ()) if isinstance(mark, PartOf)]
        if marks:
            parts = [_part(marks[0].kind, item, f"{where}.{i}", problems) for i, item in enumerate(value)]
            return None if None in parts else parts
    return value


def _told(detail: ErrorDetails, model: type[Settings], where: str) -> str:
    path = ".".join([where, *map(str, detail["loc"])]).strip(".")
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), list(model.model_fields), n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(model.model_fields)}."
        return f"{path}: unknown key. {hint}"
    message = detail["msg"].removeprefix("Value error, ").rstrip(".")
    # A problem of settings with each other names the values itself; all of the settings would hide it.
    given = "" if detail["type"] == "missing" or not detail["loc"] else f" (given: {_short(detail['input'])})"
    return f"{path}: {message}{given}.".removeprefix(": ")


class _Loader(yaml.SafeLoader):
    """Values as they are written: no alias, so that no line stands for a million others; each key once; text that is text."""

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise yaml.MarkedYAMLError(problem="half a surrogate pair is no text", problem_mark=node.start_mark)
        return value

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"the alias *{event.anchor}: write the value out", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.MarkedYAMLError(problem=f"the key {twice} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _plain_values(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # beside its own errors PyYAML raises what Python does: for a 13th month, or 5000 digits
        place = getattr(error, "problem_mark", None)
        line = f"line {place.line + 1}: " if place else ""
        reason = (str(getattr(error, "problem", "") or error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{source}: not readable as YAML ({line}{_short(reason)}). Mend that line.") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of plain values."""
    if not is_file(path):
        raise ConfigError(f"{path}: no such file. Check the path.")
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_YAML + 1)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not readable as YAML ({str(error).splitlines()[0]}). Mend that line.") from error
    return from_yaml(text, str(path))


def from_yaml(text: str, source: str) -> dict[str, Any]:
    """Plain values from YAML. Raises ConfigError, which names the source."""
    if len(text) > MAX_YAML:
        raise ConfigError(f"{source}: longer than {MAX_YAML} letters, so no settings. Give a file of settings.")
    data = _plain_values(text, source)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: expected keys and values, got a {type(data).__name__}.")
    return data


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins; mappings are merged, except where they name another part. Options after a bare name are of that part."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        old = {"name": old} if isinstance(old, str) and isinstance(value, Mapping) else old
        other_part = (
            isinstance(value, Mapping) and isinstance(old, Mapping) and value.get("name", old.get("name")) != old.get("name")
        )
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both and not other_part else value  # type: ignore[arg-type]
    return merged


def assignment(text: str) -> dict[str, Any]:
    """`a.b=c` -> {"a": {"b": c}}, the value read as YAML."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text}: expected key=value, as in student.width=48.")
    nested = _plain_values(value, f"--set {text}")
    for key in reversed(path.split(".")):
        nested = {key: nested}
    return dict(nested)


def teacher_named(text: str) -> dict[str, Any]:
    """`whisper:FOLDER` -> settings of a teacher; `moonshine+whisper:FOLDER` -> of an ensemble."""
    members = []
    for one in text.split("+"):
        name, colon, path = one.partition(":")
        if colon and not path:
            raise ConfigError(f"--teacher {text}: expected a folder after the colon, as in whisper:FOLDER")
        members.append({"name": name, **({"path": path} if path else {})})
    return members[0] if len(members) == 1 else {"name": "ensemble", "members": members}


def to_yaml(settings: Settings) -> str:
    """All values, defaults included, as YAML."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
