"""Rounds: clips that were found after a training. Run folder in, the rounds that count out, with what they change of a training.

RUN/rounds/NN is shaped as a run's folder: prepare/, views/ and label/ of its own clips alone, so that nothing of the run is made
again. plan.json says what began it, before/ and bundle_before/ hold what was there, round.json tells what it gave.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wakesmith import run as record
from wakesmith.data import sources
from wakesmith.data.audio_store import AUDIO, CARD, CLIPS, OFFSETS, RECORDINGS, AudioStore
from wakesmith.data.records import Clip, Recording, save_jsonl
from wakesmith.data.sampling import Part
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe

FOLDER, PLAN, FOUND, TOLD = "rounds", "plan.json", "found.json", "round.json"
BEFORE, BUNDLE_BEFORE = "before", "bundle_before"
KINDS = ("learn", "mine")
"""What gave the clips: a user's own recordings, or the run's own other sounds."""
MOST_OFTEN = 20
"""A clip of a round is heard at most so many times as often as its neighbours: five would be learned by heart."""


@dataclass(frozen=True)
class Round:
    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def plan(self) -> dict[str, Any]:
        """kind, share, steps; fingerprints of prepare and train when it began."""
        return dict(json.loads((self.folder / PLAN).read_text(encoding="utf-8")))

    @property
    def is_found(self) -> bool:
        """Whether its clips are all there."""
        return (self.folder / "prepare" / CARD).exists() and (self.folder / FOUND).exists()

    @property
    def is_told(self) -> bool:
        return (self.folder / TOLD).exists()

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / TOLD).read_text(encoding="utf-8")))

    @property
    def store(self) -> AudioStore:
        return AudioStore.open(self.folder / "prepare")

    @property
    def found(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / FOUND).read_text(encoding="utf-8")))

    @property
    def fingerprint(self) -> str:
        return record.fingerprint("round", self.plan, self.store.fingerprint)


def of(recipe: Recipe, folder: Path) -> list[Round]:
    """The rounds that a training learns from, first to last. What was mined from other recordings than the run's counts no more:
    of those, some may lie in test now."""
    every = [Round(path) for path in sorted((folder / FOLDER).glob("[0-9][0-9]*"))]
    found = [one for one in every if one.is_found]
    return [one for one in found if one.plan["kind"] == "learn" or one.plan["prepare"] == _recipe.fingerprint(recipe, "prepare")]


def fingerprints(recipe: Recipe, folder: Path) -> list[str]:
    return [one.fingerprint for one in of(recipe, folder)]


def started_from(recipe: Recipe, rounds: Sequence[Round]) -> Round | None:
    """The last round, when its training goes on from the student before it; None when other settings ask for a new student."""
    own = rounds and rounds[-1].plan["train"] == _recipe.fingerprint(recipe, "train")
    return rounds[-1] if own else None


def bring_up(recipe: Recipe, folder: Path) -> None:
    """Views and answers of every round's clips as the recipe wants them now; those that are whole stay as they are."""
    from wakesmith import ranks
    from wakesmith.augment._bank import Bank
    from wakesmith.data.views import ViewStore
    from wakesmith.steps import _kept_out, label, views

    rounds = of(recipe, folder)
    if rounds:
        _kept_out.check_learned(AudioStore.open(folder / "prepare"), rounds, recipe.data.near_duplicate)
    needed = _recipe.road(recipe, "train")
    for one in rounds:
        with ranks.first_goes_first():
            (one.folder / "views").mkdir(exist_ok=True)
            views.make(recipe, one.folder, Bank(folder / "views" / "bank"), [ViewStore.open(folder / "views").fingerprint])
        if "label" in needed:
            label.answer_all(one.folder, recipe.label.batch, teacher=folder / "teach")


def check_share(kind: str, share: float, own_share: float, earlier: Mapping[str, float]) -> None:
    """Raises ConfigError where a new round and what it meets in a class would fill it.

    own_share: of a phrase's rows that were recorded, which mining never meets. earlier: kind -> share of the rounds before.
    """
    beside = {"train.own_share": own_share} if kind == "learn" else {}
    beside |= {f"{other}.share": given for other, given in earlier.items() if other != kind}
    for key, given in beside.items():
        if share + given >= 1:
            raise ConfigError(
                f"{kind}.share: {share:g} and {key} {given:g} leave other clips of a class no rows; expected under 1 in sum. "
                f"Lower it: --set {kind}.share={(1 - given) / 2:.2g}"
            )


def parts(rounds: Sequence[Round], n_before: int, clips: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> list[Part]:
    """Shares of what the rounds gave, kind by kind and class by class, where it is less than that by number.

    n_before: clips of the run itself; those of the rounds follow. clips (n,): the numbers of those that take part; labels (n,).
    """
    kinds = np.concatenate([np.full(n_before, ""), *(np.full(len(one.store.clips), one.plan["kind"]) for one in rounds)])[clips]
    made = []
    for kind in KINDS:
        given = [one.plan["share"] for one in rounds if one.plan["kind"] == kind]
        for label in np.unique(labels[(kinds == kind) & (labels >= 0)]):
            members, of_class = (kinds == kind) & (labels == label), int((labels == label).sum())
            share = min(given[-1], MOST_OFTEN * members.sum() / of_class)
            if members.sum() < share * of_class:
                made.append(Part(members, int(label), float(share)))
    return made


def store(out: Path, recordings: Sequence[Recording], sounds: Sequence[npt.NDArray[np.int16]], clips: Sequence[Clip]) -> None:
    """Write an audio store; the card, which makes it one, comes last."""
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / AUDIO, np.concatenate(sounds))
    np.save(out / OFFSETS, np.cumsum([0, *map(len, sounds[:-1])]).astype(np.int64))
    save_jsonl(out / RECORDINGS, recordings)
    save_jsonl(out / CLIPS, clips)
    digests = [hashlib.blake2b(sound.tobytes()).hexdigest() for sound in sounds]
    sources.write(out, zip(recordings, digests, strict=True))
    digest = record.fingerprint(digests)[:32]
    record.write_json(out / CARD, {"audio": digest, "n_recordings": len(recordings), "n_clips": len(clips)})
