"""Where the minutes of a forge go: each step's processor time, beside those of another version of the code.

    python benchmarks/road.py FOLDER [--preset quick] [--phrase "hey nova"] [--before SRC]

Every step is a process of its own with one thread for its sums (its workers have theirs), so that processor seconds can be
compared on a machine that others use. SRC is the folder `src` of another checkout, such as `git worktree add old COMMIT` makes;
both versions forge by the settings of this one's preset, without rounds of `mine`. Steps that are measured are measured no more:
another FOLDER begins anew.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import yaml
from scale import STEPS, measured

from wakesmith import tables
from wakesmith.steps import _recipe

ROAD = ("speak", *STEPS)
HEAD = ["step", "CPU s", "share", "clock s", "most memory", "disk"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--phrase", default="hey nova")
    parser.add_argument("--before", type=Path, help="folder `src` of another version")
    chosen = parser.parse_args()
    if chosen.before and not (chosen.before / "wakesmith").is_dir():
        parser.error(f"--before {chosen.before}: expected a folder that holds the package wakesmith")

    values = {**_recipe.preset_named(chosen.preset), "phrase": chosen.phrase}
    now = road(chosen.folder / "now", values, Path(_recipe.__file__).parents[2])
    before = road(chosen.folder / "before", values, chosen.before) if chosen.before else None
    print("\n".join(tables.markdown(table(now, before))))


def road(run: Path, values: dict[str, object], source: Path) -> dict[str, dict[str, float]]:
    """Step -> {cpu_s, clock_s, memory, disk} of the code in `source`."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    os.environ["PYTHONPATH"] = str(source.absolute())
    return {step: measured(step, run) for step in ROAD}


def table(now: dict[str, dict[str, float]], before: dict[str, dict[str, float]] | None) -> list[list[str]]:
    """A row a step; beside another version its processor time, and how much of it is left."""
    rows = [HEAD + (["CPU s before", "now / before"] if before else [])]
    whole = total(now)
    for step, cost in {**now, "all": whole}.items():
        row = [step, f"{cost['cpu_s']:.0f}", f"{cost['cpu_s'] / whole['cpu_s']:.0%}", f"{cost['clock_s']:.0f}"]
        row += [f"{cost['memory'] / 1e6:.0f} MB", f"{cost['disk'] / 1e6:.0f} MB"]
        if before:
            was = (before | {"all": total(before)})[step]["cpu_s"]
            row += [f"{was:.0f}", f"{cost['cpu_s'] / was:.2f}"]
        rows.append(row)
    return rows


def total(costs: dict[str, dict[str, float]]) -> dict[str, float]:
    summed = {key: sum(cost[key] for cost in costs.values()) for key in ("cpu_s", "clock_s", "disk")}
    return {**summed, "memory": max(cost["memory"] for cost in costs.values())}


if __name__ == "__main__":
    main()
