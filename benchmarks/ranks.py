"""Labelling and training by two processes beside one: throughput, and whether the result is the same.

    python benchmarks/ranks.py [--clips 512] [--steps 300] [--turns 2] [--batch 64]

Generated sound, a Whisper encoder of tiny's size with random weights, one thread a process; the ways take turns, and of each the
fastest turn counts. Labelling is timed as a whole command without what one that finds everything done takes; training
tells its own rows a second. What the machine gives is told beside it: two runs that share nothing, at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from distillation_cost import N_VIEWS, STUDENTS, made_run, random_whisper
from safetensors.numpy import load_file

from wakesmith.progress import mute
from wakesmith.run import Run
from wakesmith.steps import _recipe, forge

WAYS = {"one": (1, 1), "two": (1, 2), "apart": (2, 1)}
"""Runs at the same time, and processes of each."""


def made(place: Path, n_clips: int, student: str, n_steps: int, batch: int) -> Path:
    """A run folder up to `teach`."""
    folder = place / "run"
    made_run(folder, n_clips)
    values: dict[str, Any] = {
        "phrase": "generated", "teacher": random_whisper(place / "whisper"), "views": {"n_views": N_VIEWS},
        "teach": {"gate": "off", "epochs": 2}, "student": STUDENTS[student],
        "train": {"steps": n_steps, "evaluations": 1, "batch": batch},
    }  # fmt: skip
    recipe = _recipe.load(values)
    (folder / "config.yaml").touch()  # makes it a run
    for step in ("prepare", "views"):
        Run(folder).finish(step, _recipe.fingerprint(recipe, step), 0.0)
    forge.one(recipe, folder, "teach")
    return folder


def took_s(step: str, folders: list[Path], n_ranks: int) -> float:
    """A step by so many processes, in each of these runs at the same time; start included."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n_ranks), "--standalone"]
    started = time.perf_counter()
    at_work = [
        subprocess.Popen(
            [*command, "-m", "wakesmith.cli", step, str(folder)], env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) for folder in folders
    ]  # fmt: skip
    for one in at_work:
        told = one.communicate()[1]
        if one.returncode:
            raise SystemExit(f"{step} by {n_ranks} processes failed:\n{told[-3000:]}")
    return time.perf_counter() - started


def measured(whole: Path, folders: list[Path], n_ranks: int, n_views: int) -> dict[str, float]:
    """Views labelled and rows trained a second, in fresh copies of the run, all of them together."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("encodings"))  # else `label` finds what `teach` heard
    first, again = (took_s("label", folders, n_ranks) for _ in range(2))
    took_s("train", folders, n_ranks)
    cards = [json.loads((folder / "train" / "card.json").read_text(encoding="utf-8")) for folder in folders]
    return {"label": len(folders) * n_views / (first - again), "train": sum(card["samples_per_s"] for card in cards)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=512, help="half of them are for training")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--turns", type=int, default=2, help="of each way; the fastest counts")
    parser.add_argument("--student", choices=sorted(STUDENTS), default="1.5M")
    parser.add_argument("--batch", type=int, default=64, help="rows of a step, over all processes")
    chosen = parser.parse_args()
    mute()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        whole = made(place, chosen.clips, chosen.student, chosen.steps, chosen.batch)
        best: dict[str, dict[str, float]] = {way: {} for way in WAYS}
        for _ in range(chosen.turns):
            for way, (n_runs, n_ranks) in WAYS.items():
                folders = [place / f"{way}{number}" for number in range(n_runs)]
                for key, value in measured(whole, folders, n_ranks, chosen.clips * N_VIEWS).items():
                    best[way][key] = max(value, best[way].get(key, 0.0))
        one, two, apart = best.values()
        for key, unit in (("label", "views/s"), ("train", "rows/s")):
            print(f"{key}: {one[key]:.1f} {unit} by one process, {two[key]:.1f} by two: {two[key] / one[key]:.2f} times")
            print(f"  two runs that share nothing, both: {apart[key]:.1f}, {apart[key] / one[key]:.2f} times")
        alike = True
        for store in ("logits.npy", "embedding.npy"):
            first, second = (np.load(place / f"{way}0" / "label" / store) for way in ("one", "two"))
            alike &= np.array_equal(first, second)
        print(f"the answers are {'the same to the byte' if alike else 'NOT the same'}")
        weights = [load_file(place / f"{way}0" / "train" / "model.safetensors") for way in ("one", "two")]
        one_s, two_s = (np.concatenate([value.ravel() for _, value in sorted(found.items())]) for found in weights)
        distance = float(np.linalg.norm(one_s - two_s) / np.linalg.norm(one_s))
        print(f"all weights and statistics together differ by {distance:.1e} of their length after {chosen.steps} steps")


if __name__ == "__main__":
    main()
