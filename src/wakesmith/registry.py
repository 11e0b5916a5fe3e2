"""Parts are found by name: a part is a module of its kind's folder, or an entry point `wakesmith.<kind>` of another package.

A part module holds `Config` (a subclass of `config.PartSettings`) and `build(config, ...)`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from wakesmith.errors import ConfigError

KINDS = ("voices", "importers", "augment", "features", "teachers", "students", "losses", "exporters")
MOST_NAMED = 30
"""Of what there is, in a message: a voice has hundreds of speakers."""


def names(kind: str) -> list[str]:
    """Names of every part of a kind; modules are listed, not imported."""
    assert kind in KINDS, kind
    package = importlib.import_module(f"wakesmith.{kind}")
    own = {module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")}
    return sorted(own | {entry.name for entry in entry_points(group=f"wakesmith.{kind}")})


def load(kind: str, name: str) -> ModuleType:
    """The module of one part. An unknown name lists what there is."""
    known = names(kind)
    if name not in known:
        raise ConfigError(unknown(kind, name, known))
    for entry in entry_points(group=f"wakesmith.{kind}", name=name):
        return entry.load()  # type: ignore[no-any-return]
    return importlib.import_module(f"wakesmith.{kind}.{name}")


def unknown(what: str, name: str, known: list[str]) -> str:
    """One sentence for a name that is not known, with the nearest that is."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    more = f", and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"{what}: unknown name '{name}'. {hint}There are: {', '.join(known[:MOST_NAMED])}{more}."


def build(kind: str, settings: Any, *args: Any, **kwargs: Any) -> Any:
    """Build the part that `settings` (an instance of its Config) describes."""
    return load(kind, settings.name).build(settings, *args, **kwargs)
