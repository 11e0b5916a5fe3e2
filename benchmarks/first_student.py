"""Train a student that knows no phrase: what it learned of speech is what `wakesmith forge --start RUN` begins with.

    python benchmarks/first_student.py DATA --teacher whisper:FOLDER [--kokoro FOLDER] [--speech MANIFEST] [--out RUN]

DATA and MANIFEST as for real_voices.py. Only what may be passed on without conditions but a name is learned from: see PERMITTED.
The run says a phrase, as each must, but no batch holds it or its near misses, and no label is learned: the student imitates what
the teacher hears, segment by segment. The last step is `train`: there is nothing to export or to judge. What it is worth is seen
by forging a phrase with it and without (docs/log.md).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from real_voices import sources as all_sources

from wakesmith.config import assignment, merge, teacher_named
from wakesmith.steps import _recipe, forge
from wakesmith.steps._options import with_natural_voices

PHRASE = "hey nova"
PERMITTED = [
    "Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "LicenseRef-Public-Domain", "LicenseRef-speechocean762-free",
    "festvox-ru (BSD-like)",
]  # fmt: skip
"""Licences in the manifests without share-alike: whether a model is derived from such data is not settled."""
SETTINGS: dict[str, Any] = {
    "phrase": PHRASE,
    "speak": {"n_wake": 200, "n_near_miss": 100, "n_speech": 9000},
    "data": {"most_clips": {"speech": 14000, "noise": 800}},
    "teach": {"gate": "off"},
    "losses": [{"name": "embedding", "weight": 10.0}, {"name": "segments", "weight": 30.0}],
    "train": {
        "steps": 18000, "class_shares": [0.0, 0.0, 0.85, 0.15], "last_layer_steps": 0, "last_layer_nearest": 0,
        "last_layer_said": 0,
    },
}  # fmt: skip
"""Over the preset `standard`."""


def sources(data: Path, speech: list[str]) -> list[dict[str, Any]]:
    """What real_voices.py hears besides wake phrases, of the licences that are permitted."""
    heard = [one for one in all_sources(data, "alexa", "en") if Path(one["path"]).parent.name != "wake"]
    more = [{"name": "manifest_csv", "path": path, "label": "speech", "split": "column"} for path in speech]
    return [{**one, "keep": {**one.get("keep", {}), "licence": PERMITTED}} for one in [*heard, *more]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--teacher", default="moonshine", help="name, or name:FOLDER")
    parser.add_argument("--kokoro", help="as for wakesmith forge")
    parser.add_argument("--speech", action="append", default=[], help="manifest of more speech, its split in a column")
    parser.add_argument("--out", type=Path, default=Path("runs") / "first_student")
    parser.add_argument("--set", action="append", default=[], help="as in wakesmith forge")
    chosen = parser.parse_args()

    own = merge(SETTINGS, {"data": {"sources": sources(chosen.data, chosen.speech)}, "teacher": teacher_named(chosen.teacher)})
    for text in chosen.set:
        own = merge(own, assignment(text))
    if chosen.kokoro:
        own = with_natural_voices(own, "standard", chosen.kokoro)
    started = time.monotonic()
    recipe = forge.checked(_recipe.load(own, preset="standard"))
    forge.plan(recipe, chosen.out)
    for step in _recipe.road(recipe, "train"):
        forge.one(recipe, chosen.out, step)
    print(f"{chosen.out / 'train' / 'model.safetensors'}: {(time.monotonic() - started) / 60:.1f} minutes")
    print(f'begin with it: wakesmith forge "{PHRASE}" --preset standard --start {chosen.out}')


if __name__ == "__main__":
    main()
