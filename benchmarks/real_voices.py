"""Forge a phrase without one real recording of it, and judge it on real recordings that took no part.

    python benchmarks/real_voices.py DATA alexa --teacher whisper:FOLDER [--kokoro FOLDER] [--speech MANIFEST] [--out RUN]
    python benchmarks/real_voices.py DATA alexa --preset quick --all-test

DATA holds manifests (path, label, speaker, split, licence): wake/ (recordings of several wake phrases), words/, negative/ and
noise/ (with splits by speaker) and rir/ (room responses). All of wake/ is test: the phrase as positives, the other phrases as
negatives by the same kind of speakers. With --all-test no recording of DATA is learned from, or chooses a threshold: the
run is that of a person who has none (the student that it begins with learned other speech from DATA's train splits). The
report's table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from wakesmith import report
from wakesmith.config import assignment, merge, teacher_named
from wakesmith.importers import manifest_csv
from wakesmith.steps import _recipe, forge
from wakesmith.steps._options import with_natural_voices

IN_WAKE = ["pc_adocampo", "pc_eltocino"]
"""Speakers who also say a wake phrase; prepare would stop at them, since all of wake/ is test."""


def sources(data: Path, label: str, language: str) -> list[dict[str, Any]]:
    """What the run may hear: the phrase itself is test only, and with it all talk in another language by its speakers."""
    manifest = {"name": "manifest_csv"}
    drop = {"speaker": IN_WAKE}
    wake = {**manifest, "path": str(data / "wake" / "manifest.csv"), "split": "test"}
    negative = {**manifest, "path": str(data / "negative" / "manifest.csv"), "label": "speech"}
    rows = manifest_csv.rows(manifest_csv.find_manifest(data / "wake" / "manifest.csv"))
    holding = sorted({row["label"] for _, row in rows if label in row["label"]})  # hey_computer is no negative of computer
    same_speakers = [{**negative, "split": "test", "keep": drop}] if language != "en" else []
    return [
        *same_speakers,
        {**wake, "label": "wake", "keep": {"label": [label]}},
        {**wake, "label": "speech", "drop": {"label": holding}},
        {**manifest, "path": str(data / "words" / "manifest.csv"), "label": "speech", "split": "column"},
        {**negative, "split": "column", "drop": drop},
        {**manifest, "path": str(data / "noise" / "manifest.csv"), "label": "noise", "split": "column"},
        {**manifest, "path": str(data / "rir" / "manifest.csv"), "label": "room", "split": "column"},
    ]


def all_test(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, of which train and dev get nothing: speech of test alone."""
    spoken = [source for source in sources if source["label"] in ("wake", "speech")]
    return [
        source
        if source["split"] == "test"
        else {**source, "split": "test", "keep": {**source.get("keep", {}), "split": ["test"]}}
        for source in spoken
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("label", help="label of the phrase in wake/manifest.csv; the phrase is the label with spaces")
    parser.add_argument("--language", default="en", help="of the phrase, as espeak-ng names it")
    parser.add_argument("--teacher", default="moonshine", help="name, or name:FOLDER")
    parser.add_argument("--kokoro", help="as for wakesmith forge")
    parser.add_argument("--speech", action="append", default=[], help="manifest of more speech, its split in a column")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--all-test", action="store_true", help="learn from no recording of DATA: all that is used is test")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", action="append", default=[], help="as in wakesmith forge")
    chosen = parser.parse_args()

    more = [{"name": "manifest_csv", "path": path, "label": "speech", "split": "column"} for path in chosen.speech]
    heard = [*sources(chosen.data, chosen.label, chosen.language), *more]
    own: dict[str, Any] = {
        "phrase": chosen.label.replace("_", " "),
        "language": chosen.language,
        "data": {"sources": all_test(heard) if chosen.all_test else heard},
        "teacher": teacher_named(chosen.teacher),
    }
    if not chosen.language.startswith("en"):
        own["speak"] = {"voices": [{"name": "espeak"}]}  # hibari speaks English alone
    for text in chosen.set:
        own = merge(own, assignment(text))
    if chosen.kokoro:
        own = with_natural_voices(own, chosen.preset, chosen.kokoro)
    folder = chosen.out or Path("runs") / f"real_{chosen.label}"
    started = time.monotonic()
    forge.run(_recipe.load(own, preset=chosen.preset), folder)
    print(report.table(json.loads((folder / "evaluate" / "report.json").read_text(encoding="utf-8"))))
    print(f"this run took {(time.monotonic() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
