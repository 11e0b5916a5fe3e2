"""Settings models as rows that people can read: each key with its type, default, allowed values and docstring."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from wakesmith.config import PartOf, PartSettings, Settings, Span

NAMES = {"augment": "effects"}
PLAIN = {Any: "anything", bool: "true or false", int: "whole number", float: "number", str: "text", NoneType: "none"}


@dataclass(frozen=True)
class Key:
    """One setting, as a person reads it."""

    path: str
    """With the sections before it, as `--set` takes it: train.steps."""
    type: str
    default: str
    """As YAML or JSON; empty: it must be given."""
    allowed: str
    """Beyond the type; empty: all of it."""
    text: str
    """What it does: its docstring."""
    part_of: str = ""
    """The kind of part that it names, such as students."""


def keys(model: type[Settings], before: str = "") -> Iterator[Key]:
    """Every key of a model in its order, those of sections inside it too; a part's own keys are those of its Config."""
    told = docstrings(model)
    for name, field in model.model_fields.items():
        path, inner = f"{before}{name}", field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings) and not issubclass(inner, PartSettings):
            yield from keys(inner, f"{path}.")
        elif not (name == "name" and issubclass(model, PartSettings)):
            kind = _part_of(inner, field.metadata)
            yield Key(path, _type(inner, field.metadata), _default(field), _allowed(model, name, field), told.get(name, ""), kind)


@cache
def docstrings(model: type[Settings]) -> dict[str, str]:
    """Field -> the text under it, in the model and those it inherits from."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not issubclass(one, Settings):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(body, ast.ClassDef)
        for line, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[ast.unparse(line.target)] = " ".join(str(below.value.value).split())
    return found


def _part_of(annotation: Any, marks: Any) -> str:
    """students, of `Student` or `list[Student]`."""
    inner = getattr(get_args(annotation)[0], "__metadata__", ()) if get_origin(annotation) is list else ()
    return next((mark.kind for mark in (*marks, *inner) if isinstance(mark, PartOf)), "")


def _type(annotation: Any, marks: Any = ()) -> str:
    """A type in words."""
    kind = next((mark.kind for mark in marks if isinstance(mark, PartOf)), "")
    if kind:
        return kind if kind == "features" else f"one of the {NAMES.get(kind, kind)}"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0], inner[1:])
    if origin is Literal:
        return "one of " + ", ".join(str(one) or '""' for one in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_type, inner)))
    if origin is list:
        return f"list of {_plural(_type(inner[0])).removeprefix('one of the ')}"
    if origin is dict:
        return f"mapping of {_plural(_type(inner[0]))} to {_plural(_type(inner[1]))}"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "mapping of " + ", ".join(annotation.model_fields)
    return PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _plural(text: str) -> str:
    return f"{text}s" if text in ("number", "whole number", "text") else text


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is PydanticUndefined else _shown(value)


def _shown(value: Any) -> str:
    """A part is told by its name: its own defaults stand with it."""
    if isinstance(value, PartSettings):
        return value.name
    if isinstance(value, Settings):
        return json.dumps(value.model_dump(mode="json"), ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) or not value else value


def _allowed(model: type[Settings], name: str, field: FieldInfo) -> str:
    """The marks of a field in words."""
    inner = field.annotation
    of_items = getattr(get_args(inner)[0], "__metadata__", ()) if get_origin(inner) is list else ()
    words = [_marks(field.metadata), f"each {each}" if (each := _marks(of_items)) else ""]
    words += [f"not below {low}" for low, high in model.RISING if high == name]
    return ", ".join(filter(None, words))


def _marks(marks: Any) -> str:
    """Limits first, as in `over 0 to 1`."""
    flat = [one for mark in marks for one in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    limits = [word for one in flat if (word := _limit(one))]
    return ", ".join(filter(None, [" ".join(limits), *map(_rule, flat)]))


def _limit(mark: Any) -> str:
    match mark:
        case Ge(ge=least):
            return f"from {least}"
        case Gt(gt=least):
            return f"over {least}"
        case Le(le=most):
            return f"to {most}"
        case Lt(lt=most):
            return f"under {most}"
    return ""


def _rule(mark: Any) -> str:
    match mark:
        case MinLen(min_length=least):
            return f"at least {least} of them" if least != 1 else "not empty"
        case MaxLen(max_length=most):
            return f"at most {most} long"
        case MultipleOf(multiple_of=step):
            return f"multiples of {step}"
        case Span(allowed=text):
            return text
    return f"like {mark.pattern}" if getattr(mark, "pattern", None) else ""
