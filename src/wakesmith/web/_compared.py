"""Runs beside one another: their reports and configurations in, rows of text out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wakesmith import config, metrics
from wakesmith.report import of_phrases
from wakesmith.report.facts import teacher_name
from wakesmith.run import CONFIG
from wakesmith.steps import _recipe
from wakesmith.web import _judged

HEAD = [
    "run", "phrase", "FRR clean, %", "FRR all, %", "FA/h on test", "threshold", "teacher", "student", "parameters", "size, KB",
    "train, h", "minutes",
]  # fmt: skip
ABSENT, THERE = "(not set)", "there"


def rows(folder: Path) -> list[list[str]]:
    """A row a phrase, of test at the shipped threshold. Raises DataError for a run that was not evaluated."""
    return [_row(folder, one) for one in of_phrases(_judged.report(folder))]


def _row(folder: Path, report: dict[str, Any]) -> list[str]:
    test, student, teacher = report["test"], report["student"], report["teacher"]
    hours = sum(row["hours"] for row in report["data"] if row["split"] == "train" and row["label"] != "room")
    took_min = minutes(folder)
    fa = test["false_accepts"]
    return [
        folder.name, report["phrase"], _share(test["conditions"][0]), _share(_all(test["conditions"])),
        f"{fa['per_hour']:.2f} ({fa['low']:.2f} to {fa['high']:.2f})", f"{report['operating_point']['threshold']:.3f}",
        teacher_name(teacher) if teacher else "none", student["name"], f"{student['parameters']:,}",
        f"{student['bytes'] / 1024:,.0f}", f"{hours:.2f}", "not known" if took_min is None else f"{took_min:.1f}",
    ]  # fmt: skip


def _share(row: dict[str, Any]) -> str:
    return f"{100 * row['frr']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _all(conditions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All conditions as one, as the report's table of rates has them."""
    missed, n = (sum(row[key] for row in conditions) for key in ("missed", "n"))
    low, high = metrics.wilson(missed, n)
    return {"frr": missed / max(n, 1), "low": low, "high": high}


def minutes(folder: Path) -> float | None:
    """What the whole steps of a run took, each the last time that it ran; None when no step has told."""
    known = _recipe.took_s(folder)
    return sum(known.values()) / 60 if known else None


def differences(folders: Sequence[Path]) -> list[list[str]]:
    """A head, then a row for each setting that is not the same in all; the head alone when there is none.

    Of a part in a list that not every run has, that alone is told: its own settings would be a screen of `(not set)`.
    """
    flat = [_flat(config.read_yaml(folder / CONFIG)) for folder in folders]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = [[key, *(one.get(key, ABSENT) for one in flat)] for key in keys]
    alone = tuple(f"{row[0]}." for row in found if {ABSENT, THERE} == set(row[1:]))
    found = [row for row in found if not row[0].startswith(alone)]
    return [["setting", *(folder.name for folder in folders)], *(row for row in found if len(set(row[1:])) > 1)]


def _flat(values: Any, before: str = "") -> dict[str, str]:
    """Nested settings -> texts by dotted name; a part in a list is named by its `name`, so that one more moves no other."""
    if isinstance(values, dict) and values:
        pairs = [(f"{before}.{key}" if before else str(key), value) for key, value in values.items()]
    elif isinstance(values, list) and values and all(isinstance(one, dict) and "name" in one for one in values):
        pairs = [(f"{before}.{name}", one) for name, one in _named(values)]
        return {key: text for name, one in pairs for key, text in {name: THERE, **_flat(one, name)}.items()}
    else:
        return {before: json.dumps(values, ensure_ascii=False) if isinstance(values, list | dict) else str(values)}
    return {key: text for name, value in pairs for key, text in _flat(value, name).items()}


def _named(parts: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Names that are told apart: manifest_csv, manifest_csv 2."""
    seen: dict[str, int] = {}
    made = []
    for one in parts:
        seen[one["name"]] = number = seen.get(one["name"], 0) + 1
        made.append((one["name"] if number == 1 else f"{one['name']} {number}", one))
    return made
