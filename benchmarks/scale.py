"""Ten times the clips: what each step then takes in time, memory and disk, and how that grows.

    python benchmarks/scale.py FOLDER [--clips 2000 20000] [--seconds 1.5] [--views 1] [--hours 1000 100000] [--json]

Sounds are generated, a manifest names them, and a tiny run (a Whisper of random weights, a small ds_cnn) goes the road, every
step in a process of its own: `prepare`, `views`, `teach`, `label`, `train`, with a step of training for each 64 clips, then
`export` and `evaluate`. Printed are CPU seconds of the step with its workers, the time on the clock, the most memory of a process
(looked at ten times a second, without mapped files), what that grew by for each clip more, and the disk its folder takes.
What is measured is measured no more, so a long measurement can go on; sounds go once they are prepared, and the run's folder with
its last step. What does not depend on the number of clips (imports, the bound number of encodings that the head learns from, of
hours that are heard) is in the figures too: a ratio below the clips' is no gain. What more hours would take is a straight line
through the two largest sizes. 200,000 clips of 1.5 s need 30 GB of disk, 100 kB for each and second in `prepare`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import tiny_encoders
from wakesmith import audio, tables
from wakesmith.config import to_yaml
from wakesmith.progress import track
from wakesmith.steps import _recipe

STEPS = ("prepare", "views", "teach", "label", "train", "export", "evaluate")
PLACES = {"export": "bundle"}
"""Folders that are not named after their step."""
LABELS = (("wake", 0.3), ("near_miss", 0.1), ("speech", 0.45), ("noise", 0.15))
TONES_HZ = (300.0, 900.0, 1800.0)
KNOT_S = 0.1
LOOK_EVERY_S = 0.1
FORETOLD = ["audio", "clips", *STEPS, "CPU", "most memory", "disk"]
HEAD = ["step", "clips", "CPU s", "clock s", "ms of CPU a clip", "times as long", "most memory", "more a clip", "disk"]


def sounds(folder: Path, n_clips: int, seconds: float) -> Path:
    """So many WAV files and their manifest: three tones that rise or fall and wander as they do, and noise.

    Steady tones are copies of one another, the more of them there are; `prepare` finds and judges each pair that may be one.
    """
    manifest = folder / "manifest.csv"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    chance, t = np.random.default_rng(n_clips), np.arange(round(seconds * audio.SAMPLE_RATE_HZ)) / audio.SAMPLE_RATE_HZ
    rows = []
    for number in track(range(n_clips), "sounds"):
        label = LABELS[int(np.searchsorted(np.cumsum([share for _, share in LABELS]), (number + 0.5) / n_clips))][0]
        slope = {"wake": 400.0, "near_miss": -400.0}.get(label, 0.0)
        tones = sum(wandering(chance, low_hz, slope, t) for low_hz in TONES_HZ) if label != "noise" else 0.0
        sound = tones + chance.normal(0, 0.05 if label == "noise" else 0.003, len(t))
        name, split = f"{number // 1000}/{number}.wav", {0: "dev", 1: "test"}.get(number % 20, "train")
        (folder / name).parent.mkdir(exist_ok=True)
        audio.write(folder / name, sound.astype(np.float32))
        rows.append({"path": name, "label": label, "split": split, "speaker": f"{split}{number % 500}", "text": label})
    with manifest.with_suffix(".part").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    manifest.with_suffix(".part").rename(manifest)
    return manifest


def wandering(chance: np.random.Generator, low_hz: float, slope: float, t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A tone from a drawn place over `low_hz`, that moves by `slope` Hz/s, and to and fro. (N,) seconds -> (N,)"""
    knots = np.arange(0, t[-1] + KNOT_S, KNOT_S)
    hz = low_hz + chance.uniform(0, 600) + slope * t + np.interp(t, knots, chance.normal(0, 150, len(knots)))
    return 0.1 * np.sin(2 * np.pi * np.cumsum(hz) / audio.SAMPLE_RATE_HZ)


def recipe(manifest: Path, teacher: Path, n_clips: int, n_views: int) -> _recipe.Recipe:
    source = {"name": "manifest_csv", "path": str(manifest), "split": "column"}
    return _recipe.load({
        "phrase": "rise",
        "speak": {"n_wake": 0, "n_near_miss": 0, "n_speech": 2},
        "data": {"sources": [source], "near_duplicate": 1.0, "most_clips": {"speech": n_clips, "noise": n_clips}},
        "views": {"n_views": n_views, "n_rooms": 0, "effects": [{"name": "shift"}, {"name": "noise"}, {"name": "level"}]},
        "teacher": {"name": "whisper", "path": str(teacher)},
        "teach": {"gate": "off", "views": 1, "epochs": 3},
        "student": {"name": "ds_cnn", "width": 8},
        "train": {"steps": max(20, n_clips // 64), "evaluations": 1},
        "evaluate": {"snrs_db": [10.0], "max_positives": 100, "max_dev_hours": 0.5, "max_test_hours": 0.5},
    })  # fmt: skip


def of_size(folder: Path, teacher: Path, n_clips: int, n_views: int, seconds: float) -> list[dict[str, Any]]:
    """A row a step. Of what was made the costs alone are left."""
    run, heard = folder / f"run-{n_clips}-{n_views}-{seconds:g}", folder / f"sounds-{n_clips}-{seconds:g}"
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "prepare.cost.json").exists():
        manifest = sounds(heard, n_clips, seconds)
        (run / "config.yaml").write_text(to_yaml(recipe(manifest.absolute(), teacher.absolute(), n_clips, n_views)), "utf-8")
        measured("speak", run)  # two sentences, as a run has them
    rows = []
    for step in STEPS:
        rows.append({"step": step, "clips": n_clips, **measured(step, run)})
        shutil.rmtree(heard, ignore_errors=True)
    for path in run.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return rows


def measured(step: str, run: Path) -> dict[str, float]:
    """The step in a process of its own; it stands in a file once it is done."""
    kept = run / f"{step}.cost.json"
    if not kept.exists():
        words = [sys.executable, __file__, "--child", step, str(run)]
        told = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        cost = {**json.loads(told.stdout.splitlines()[-1]), "disk": disk_bytes(run / PLACES.get(step, step))}
        kept.write_text(json.dumps(cost), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def child(step: str, run: Path) -> None:
    """The command is the only process below this one, so what the children used is what it and its workers did."""
    started = time.perf_counter()
    command = subprocess.Popen([sys.executable, "-m", "wakesmith.cli", step, str(run)], stdout=subprocess.DEVNULL)
    memory = 0
    while command.poll() is None:
        memory = max([memory, *(own_bytes(pid) for pid in family(command.pid))])
        time.sleep(LOOK_EVERY_S)
    if command.returncode:
        sys.exit(command.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "clock_s": time.perf_counter() - started, "memory": memory}))


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        below = [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return []
    return [pid, *(one for child in below for one in family(child))]


def own_bytes(pid: int) -> int:
    """Memory that only this process can give back: mapped files, which the system may drop, are left out."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def disk_bytes(folder: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--seconds", type=float, default=1.5, help="of a sound")
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument(
        "--hours", type=int, nargs="+", default=[1000, 100_000], help="of audio, to foretell from what was measured"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]))
        return 0
    if asked.folder is None:
        parser.error("name a folder for the sounds and the runs")
    teacher = asked.folder / "whisper"
    if not teacher.exists():
        tiny_encoders.save("whisper", teacher)
    rows = [row for n_clips in sorted(asked.clips) for row in of_size(asked.folder, teacher, n_clips, asked.views, asked.seconds)]
    told = table(rows) if len(asked.clips) == 1 else f"{table(rows)}\n\n{foretold(rows, asked.hours, asked.seconds)}"
    print(json.dumps(rows, indent=2) if asked.json else told)
    return 0


def table(rows: list[dict[str, Any]]) -> str:
    rows = rows + [
        {"step": "all", "clips": n,
         **{key: sum(row[key] for row in rows if row["clips"] == n) for key in ("cpu_s", "clock_s", "disk")},
         "memory": max(row["memory"] for row in rows if row["clips"] == n)}
        for n in dict.fromkeys(row["clips"] for row in rows)
    ]  # fmt: skip
    lines = []
    for step in (*STEPS, "all"):
        before = None
        for row in (row for row in rows if row["step"] == step):
            longer = more = ""
            if before is not None:
                longer = f"{row['cpu_s'] / before['cpu_s']:.2f} for {row['clips'] / before['clips']:g} x"
                more = f"{(row['memory'] - before['memory']) / (row['clips'] - before['clips']) / 1e3:.2f} kB"
            lines.append([
                step, f"{row['clips']:,}", f"{row['cpu_s']:.1f}", f"{row['clock_s']:.0f}",
                f"{1000 * row['cpu_s'] / row['clips']:.2f}", longer, f"{row['memory'] / 1e6:.0f} MB", more,
                f"{row['disk'] / 1e6:.0f} MB",
            ])  # fmt: skip
            before = row
    return "\n".join(tables.markdown([HEAD, *lines]))


def foretold(rows: list[dict[str, Any]], hours: list[int], seconds: float) -> str:
    """What so many hours of audio would take, with clips, teacher and student as they were measured."""
    lines = []
    for n_hours in hours:
        n_clips = round(3600 * n_hours / seconds)
        there = {step: {key: at(rows, step, key, n_clips) for key in ("cpu_s", "memory", "disk")} for step in STEPS}
        cpu_h = [one["cpu_s"] / 3600 for one in there.values()]
        memory, disk = max(one["memory"] for one in there.values()), sum(one["disk"] for one in there.values())
        figures = [f"{took:.1f} h" for took in (*cpu_h, sum(cpu_h))]
        lines.append([f"{n_hours:,} h", f"{n_clips:,}", *figures, f"{memory / 1e9:.1f} GB", f"{disk / 1e9:,.0f} GB"])
    return "\n".join(tables.markdown([FORETOLD, *lines]))


def at(rows: list[dict[str, Any]], step: str, key: str, n_clips: int) -> float:
    """One figure of a step, along the line through its two largest sizes."""
    low, high = sorted((row for row in rows if row["step"] == step), key=lambda row: row["clips"])[-2:]
    slope = (high[key] - low[key]) / (high["clips"] - low["clips"])
    return float(high[key] + slope * (n_clips - high["clips"]))


if __name__ == "__main__":
    sys.exit(main())
