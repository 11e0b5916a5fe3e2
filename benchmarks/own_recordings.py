"""What do 20 own recordings give? A phrase-only student against one that also learned from them, judged on other people.

    python benchmarks/own_recordings.py DATA alexa computer jarvis --teacher whisper:FOLDER [--kokoro FOLDER] [--seeds 2]

DATA as in real_voices.py. The recordings are drawn from the speakers that wake/manifest.csv gives to train, speaker by speaker in
turn, others for each seed; judged are the phrase's speakers of its test split (`--judged dev` to choose settings by). The arms
share voices, clips, views, what the encoder heard, settings and seeds; the head of the teacher and the student are each arm's
own. `--shares 0 0.15 0.3 0.5` makes an arm for each train.own_share. What is whole is not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from real_voices import sources as phrase_only_sources

from wakesmith import bundle, metrics
from wakesmith.config import assignment, merge, teacher_named
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import Clip, Recording, load_jsonl, save_jsonl
from wakesmith.errors import ConfigError
from wakesmith.importers import manifest_csv
from wakesmith.progress import say
from wakesmith.rng import rng
from wakesmith.run import Run
from wakesmith.steps import _recipe, _score, evaluate, forge
from wakesmith.steps._heard import best, missed
from wakesmith.steps._options import with_natural_voices

QUICK: dict[str, Any] = {
    "data": {"most_clips": {"speech": 2500, "noise": 400}},
    "teach": {"views": 2, "gate": "warn"},
    "label": {"keep_encodings": True},
    "train": {"keep_features": True},
    "evaluate": {"beds": ["noise"], "snrs_db": [10.0], "max_room_positives": 0},
}
"""Beside the preset `quick`: real speech and noise among what it learns from, and what the arms share is kept."""
RATES = (0.5, 2.0)
"""False accepts per hour of test at which the arms are compared, each at the threshold that gives it there."""
LEFT_OUT = "test"
"""Split of the clips that an arm does not learn from: of test none is heard, its streams are made from recordings."""


class Result(NamedTuple):
    """One student. `missed`: (n,) for each way to choose the threshold, over the real recordings; `speakers`: (n,) whose."""

    arm: str
    seed: int
    missed: dict[str, np.ndarray]
    speakers: list[str]
    fa_per_hour: float


def data_sources(data: Path, label: str, judged: str) -> list[dict[str, Any]]:
    """Train speakers' recordings to learn from, the judged split's as test, the other phrases as speech by yet other people."""
    manifest = data / "wake" / "manifest.csv"
    learned = {row["speaker"] for _, row in manifest_csv.rows(manifest) if row["label"] == label and row["split"] == "train"}
    wake = {"name": "manifest_csv", "path": str(manifest)}
    return [
        {**wake, "label": "wake", "split": "train", "keep": {"label": [label], "split": ["train"]}},
        {**wake, "label": "wake", "split": "test", "keep": {"label": [label], "split": [judged]}},
        {**wake, "label": "speech", "split": "test", "drop": {"label": [label], "speaker": sorted(learned)}},
        *(source for source in phrase_only_sources(data, label, "en") if source["path"] != str(manifest)),
    ]


def prepare(values: dict[str, Any], folder: Path) -> None:
    """What all arms share: voices, clips (with all recordings that may be learned from), views."""
    recipe = _recipe.load(values, preset="quick")
    place = forge.plan(recipe, folder)
    for step in ("speak", "prepare", "views"):
        forge.go(recipe, place, step)
    for shared in ("encodings", "features"):
        (folder / shared).mkdir(exist_ok=True)


def draw(recordings: list[Recording], count: int, seed: int) -> set[str]:
    """`count` of the recorded ones in train, speaker by speaker in turn."""
    chance = rng(seed, "own recordings")
    left: dict[str, list[str]] = {}
    for recording in recordings:
        if recording.label == "wake" and recording.split == "train" and not recording.is_spoken:
            left.setdefault(recording.speaker, []).append(recording.id)
    order = [sorted(left)[i] for i in chance.permutation(len(left))]
    queues = [[left[speaker][i] for i in chance.permutation(len(left[speaker]))] for speaker in order]
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    return set(turns[:count])


def arm_folder(shared: Path, folder: Path, kept: set[str], linked: dict[str, Path]) -> Run:
    """A run folder on the shared clips and views in which only `kept` of the recordings are learned from."""
    (folder / "prepare").mkdir(parents=True, exist_ok=True)
    for path in (shared / "prepare").iterdir():
        if path.name != "clips.jsonl":
            link(folder / "prepare" / path.name, path)
    own = {r.id for r in load_jsonl(shared / "prepare" / "recordings.jsonl", Recording) if r.split == "train" and not r.is_spoken}
    clips = load_jsonl(shared / "prepare" / "clips.jsonl", Clip)
    save_jsonl(
        folder / "prepare" / "clips.jsonl",
        [
            dataclasses.replace(clip, split=LEFT_OUT) if clip.label == "wake" and clip.recording in own - kept else clip
            for clip in clips
        ],
    )
    for name, target in {**{name: shared / name for name in ("views", "encodings", "features")}, **linked}.items():
        link(folder / name, target)
    return Run(folder)


def link(at: Path, target: Path) -> None:
    if not at.is_symlink():
        at.symlink_to(os.path.relpath(target, at.parent), target_is_directory=target.is_dir())


def travel(values: dict[str, Any], place: Run, seed: int, steps: list[str]) -> Any:
    """The steps of one arm. -> its recipe"""
    recipe = _recipe.load(merge(values, {"train": {"seed": 1000 + seed}}), preset="quick")
    for step in steps:
        forge.go(recipe, place, step, quiet=True)
    return recipe


def judge(recipe: Any, folder: Path, arm: str, seed: int) -> Result:
    """Misses of the recordings by real people in test: at the operating point, over noise there, and at equal FA/h."""
    settings, recordings = recipe.evaluate, AudioStore.open(folder / "prepare").recordings
    heard = _score.hear(folder, evaluate.streams(settings, recipe.seed, folder, "test"), "test")
    point = bundle.load_card(folder / "bundle").operating_point
    assert point is not None
    clean, *noisy = heard.streams["positives"]
    real = np.array([not recordings[event.recording].is_spoken for event in clean.events])
    found = {"operating point": missed(clean, point, settings.patience_s)[real]}
    found |= {f"operating point, {one.condition.name}": missed(one, point, settings.patience_s)[real] for one in noisy}
    heights, scores = (
        heard.heights(point.smoothing_window, point.refractory_s),
        best(clean, point.smoothing_window, settings.patience_s),
    )
    for rate in RATES:
        found[f"{rate:g} FA/h"] = scores[real] < metrics.threshold_at(heights, heard.hours, rate, 0.0)[0]
    whose = [recordings[event.recording].speaker for event, is_real in zip(clean.events, real, strict=True) if is_real]
    return Result(arm, seed, found, whose, heard.false_accepts(point) / heard.hours)


def of_phrase(chosen: argparse.Namespace, label: str) -> list[Result]:
    """Every arm and seed of one phrase."""
    values = merge(QUICK, {"phrase": label.replace("_", " "), "teacher": teacher_named(chosen.teacher)})
    values = merge(values, {"data": {"sources": data_sources(chosen.data, label, chosen.judged)}})
    if chosen.kokoro:
        values = with_natural_voices(values, "quick", str(chosen.kokoro))
    for text in chosen.set:
        values = merge(values, assignment(text))
    if _recipe.load(values, preset="quick").train.last_layer_said:
        raise ConfigError("train.last_layer_said: hears recordings that an arm leaves out. Leave it at 0 here.")
    home = chosen.out / f"{label}-{chosen.judged}"
    prepare(values, home / "shared")
    recordings = load_jsonl(home / "shared" / "prepare" / "recordings.jsonl", Recording)
    results = []
    for seed in range(chosen.seeds):
        for count in (0, chosen.count):
            kept = draw(recordings, count, seed)
            taught = home / ("taught-0" if not count else f"taught-{count}-{seed}")  # without own recordings: one for all seeds
            travel(values, arm_folder(home / "shared", taught, kept, {}), 0, ["teach", "label"])
            for share in chosen.shares if count else chosen.shares[:1]:
                arm = f"{count} recordings, share {share:g}" if count else "phrase only"
                say(f"{label}: {arm}, seed {seed}")
                folder = home / f"{arm.replace(', ', '-').replace(' ', '-')}-{seed}"
                place = arm_folder(home / "shared", folder, kept, {step: taught / step for step in ("teach", "label")})
                own = merge(values, {"train": {"own_share": share}})
                recipe = travel(own, place, seed, ["train", "export", "evaluate"])
                results.append(judge(recipe, folder, arm, seed))
    return results


def ratio_interval(plain: np.ndarray, own: np.ndarray, speakers: list[str]) -> tuple[float, float, float]:
    """Misses with own recordings over misses without, and its 95 % interval by drawing speakers anew. (n,), (n,) mean misses."""
    names = sorted(set(speakers))
    member = np.array([[speaker == name for speaker in speakers] for name in names], dtype=float)
    sums = np.stack([member @ own, member @ plain])  # (2, n_speakers)
    draws = rng(1, "bootstrap").integers(len(names), size=(4000, len(names)))
    drawn = sums[:, draws].sum(axis=2)
    low, high = np.percentile(drawn[0] / np.maximum(drawn[1], 1e-9), [2.5, 97.5])
    return float(own.sum() / max(plain.sum(), 1e-9)), float(low), float(high)


def table(phrase: str, results: list[Result]) -> list[str]:
    """Rows of one phrase: an arm and a way to choose the threshold each, over all seeds."""
    rows = []
    for arm in dict.fromkeys(result.arm for result in results):
        own = [result for result in results if result.arm == arm]
        n = len(own[0].speakers)
        for way in own[0].missed:
            rates = [result.missed[way].mean() for result in own]
            low, high = metrics.wilson(round(float(np.mean(rates)) * n), n)
            seeds = " ".join(f"{rate:.3f}" for rate in rates)
            accepts = f"{np.mean([result.fa_per_hour for result in own]):.2f}" if way == "operating point" else ""
            rows.append(
                f"| {phrase} | {arm} | {way} | {np.mean(rates):.3f} | {low:.3f} to {high:.3f} | {n} | {seeds} | {accepts} |"
            )
    return rows


def ratios(found: dict[str, list[Result]]) -> list[str]:
    """Rows over all phrases: misses against those of the phrase alone."""
    rows = []
    first = next(iter(found.values()))
    for arm in dict.fromkeys(result.arm for result in first if result.arm != "phrase only"):
        for way in first[0].missed:
            mean = {
                name: np.concatenate([np.mean([r.missed[way] for r in own if r.arm == name], axis=0) for own in found.values()])
                for name in ("phrase only", arm)
            }
            speakers = [f"{label}/{speaker}" for label, own in found.items() for speaker in own[0].speakers]
            ratio, low, high = ratio_interval(mean["phrase only"], mean[arm], speakers)
            rates = f"{mean['phrase only'].mean():.3f} | {mean[arm].mean():.3f}"
            rows.append(f"| {arm} | {way} | {rates} | {ratio:.2f} | {low:.2f} to {high:.2f} | {len(set(speakers))} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("labels", nargs="+", help="labels of phrases in wake/manifest.csv")
    parser.add_argument("--teacher", default="moonshine", help="name, or name:FOLDER")
    parser.add_argument("--kokoro", type=Path, help="folder of the Kokoro voices, which then speak a part of everything")
    parser.add_argument("--count", type=int, default=20, help="recordings to learn from")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3], help="train.own_share, an arm each")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--judged", choices=("dev", "test"), default="test", help="whose recordings are judged on")
    parser.add_argument("--out", type=Path, default=Path("runs/own_recordings"))
    parser.add_argument("--set", action="append", default=[], help="as in wakesmith forge")
    chosen = parser.parse_args()

    found = {label: of_phrase(chosen, label) for label in chosen.labels}
    print(
        "| phrase | arm | threshold by | FRR | 95 % interval | recordings | by seed | FA/h |\n|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(row for label, results in found.items() for row in table(label, results)))
    print("\n| arm | threshold by | FRR phrase only | FRR with them | ratio | 95 % interval | speakers |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(ratios(found)))


if __name__ == "__main__":
    main()
