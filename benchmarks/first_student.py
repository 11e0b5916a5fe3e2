"""Make the student that comes with Wakesmith: what it learned of speech is what a training of the preset `quick` begins with.

    python benchmarks/first_student.py DATA [--teacher NAME:FOLDER] [--kokoro FOLDER] [--out RUN]

DATA as for real_voices.py. Only the train splits are learned from, and only what may be passed on without conditions but a name:
see PERMITTED. Views, teacher and losses are those of `standard`, the student is that of `quick`. Its last layer knows this run's
phrase and does not ship. The file says whom it learned from and its data's licences; it is written to
src/wakesmith/first_students/. What it is worth is seen by forging with it and without (docs/log.md).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from real_voices import sources as all_sources

from wakesmith.config import assignment, merge, teacher_named
from wakesmith.steps import _recipe, _start, forge
from wakesmith.steps._options import with_natural_voices

PHRASE = "hey nova"
PERMITTED = ["Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "LicenseRef-Public-Domain", "LicenseRef-speechocean762-free"]
"""Licences in the manifests without share-alike: whether a model is derived from such data is not settled."""
SETTINGS: dict[str, Any] = {
    "phrase": PHRASE,
    "speak": {"n_wake": 1000, "n_near_miss": 600, "n_speech": 6000},
    "data": {"most_clips": {"speech": 10000, "noise": 800}},
    "train": {"steps": 20000},
    "teach": {"gate": "off"},
}  # fmt: skip
"""Over the preset `standard`."""


def sources(data: Path) -> list[dict[str, Any]]:
    """What real_voices.py hears besides wake phrases, of the licences that are permitted."""
    heard = [one for one in all_sources(data, "alexa", "en") if Path(one["path"]).parent.name != "wake"]
    return [{**one, "keep": {**one.get("keep", {}), "licence": PERMITTED}} for one in heard]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--teacher", default="moonshine", help="name, or name:FOLDER")
    parser.add_argument("--kokoro", help="as for wakesmith forge")
    parser.add_argument("--out", type=Path, default=Path("runs") / "first_student")
    parser.add_argument("--set", action="append", default=[], help="as in wakesmith forge")
    chosen = parser.parse_args()

    own = merge(SETTINGS, {"data": {"sources": sources(chosen.data)}, "teacher": teacher_named(chosen.teacher)})
    for text in chosen.set:
        own = merge(own, assignment(text))
    if chosen.kokoro:
        own = with_natural_voices(own, "standard", chosen.kokoro)
    started = time.monotonic()
    recipe = forge.checked(_recipe.load(own, preset="standard"))
    forge.plan(recipe, chosen.out)
    for step in _recipe.road(recipe, "label"):
        forge.one(recipe, chosen.out, step)
    student = _recipe.load(own, preset="quick").student
    forge.one(recipe.model_copy(update={"student": student}), chosen.out, "train")
    path = _start.FOLDER / "quick.safetensors"
    _start.ship(chosen.out / "train" / "model.safetensors", path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB after {(time.monotonic() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
