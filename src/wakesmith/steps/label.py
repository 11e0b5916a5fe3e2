"""`label`: the trained teacher answers every view that the student will hear, once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from wakesmith import config, ranks
from wakesmith.errors import TeacherError
from wakesmith.progress import say, track

if TYPE_CHECKING:
    import numpy.typing as npt

    from wakesmith.data.records import Clip
    from wakesmith.data.targets import TargetStore
    from wakesmith.data.views import ViewStore
    from wakesmith.steps._recipe import Recipe
    from wakesmith.teachers._card import Teaches
    from wakesmith.teachers._encodings import Heard

    Keys = npt.NDArray[np.int64]

MAX_NON_FINITE = 0.01


class Settings(config.Settings):
    batch: int = Field(default=32, ge=1)
    """Views that the teacher hears at once."""
    keep_encodings: bool = False
    """Keep what the encoder heard, so that another head or an ensemble need not hear it again."""


def run(recipe: Recipe, folder: Path) -> Path:
    """Write folder/label: logits.npy, embedding.npy, state.npy, manifest.json. See `answer_all`."""
    answer_all(folder, recipe.label.batch, recipe.label.keep_encodings)
    return folder / "label"


def answer_all(folder: Path, batch: int, keep_encodings: bool = False, teacher: Path | None = None) -> int:
    """Answer all views of train and view 0 of dev that have no answer yet. -> how many the teacher answered now.

    `teacher`: the folder that `teach` left, when not folder/teach.
    What is in folder/encodings is not heard again; `keep_encodings` writes there what is heard here.
    Raises TeacherError for an untrained teacher, or when over 1 % of the answers are not finite.
    """
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.data.targets import OK
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._card import load_teacher
    from wakesmith.teachers._encodings import FOLDER, heard_by

    taught = load_teacher(teacher or folder / "teach")
    clips, views = AudioStore.open(folder / "prepare").clips, ViewStore.open(folder / "views")
    keys = keys_to_label(clips, views.n_views)
    with ranks.first_goes_first():
        targets = _targets(folder, taught, views, len(clips))
        heard = heard_by(taught.encoders, folder / FOLDER, views)
        todo = _unanswered(keys, targets, batch)
        if keep_encodings and todo:
            needed = sum(one.make_room(np.concatenate(todo)) for one in set(heard))
            say(f"label: {needed / 1e6:.0f} MB of encodings are kept")
    ranks.barrier()  # no answer before every process has its list, or the shares would not add up to the whole
    answered = _answer(taught, ranks.of_this_rank(todo), -(-len(keys) // batch), targets, heard, keep_encodings)
    ranks.barrier()
    bad = keys[targets.state[keys[:, 0], keys[:, 1]] != OK]
    if len(bad) > MAX_NON_FINITE * len(keys):
        names = ", ".join(clips[clip].id for clip in bad[:3, 0])
        raise TeacherError(
            f"label: {len(bad)} of {len(keys)} answers are not finite (clips {names} ...). Use teacher.dtype float32."
        )
    here = f" by this process of {ranks.n_ranks()}" if ranks.n_ranks() > 1 else ""
    say(f"label: {answered} views answered now{here}, {len(keys)} in all, {len(bad)} not finite")
    return answered


def keys_to_label(clips: Collection[Clip], n_views: int) -> Keys:
    """(n, 2) of (clip index, view): all views of train, then view 0 of dev."""
    from wakesmith.data.records import SPLITS, split_numbers

    splits = split_numbers(clips)
    train, dev = (np.flatnonzero(splits == SPLITS.index(split)) for split in ("train", "dev"))
    views = np.tile(np.arange(n_views), len(train))
    return np.concatenate([np.stack([np.repeat(train, n_views), views], axis=1), np.stack([dev, np.zeros_like(dev)], axis=1)])


def _targets(folder: Path, teacher: Teaches, views: ViewStore, n_clips: int) -> TargetStore:
    from wakesmith.data.answers import size_bytes
    from wakesmith.data.targets import TargetStore

    card = teacher.card
    made_by = {"teacher": teacher.fingerprint, "views": views.fingerprint, "labels": card.labels}
    n_classes, size = len(card.labels), teacher.embedding_size
    keys = (n_clips, views.n_views)
    say(f"label: {size_bytes(keys, {'logits': (n_classes,), 'embedding': (size,)}) / 1e6:.1f} MB on disk")
    return TargetStore.create(folder / "label", made_by, keys, n_classes, size)


def _unanswered(keys: Keys, targets: TargetStore, batch: int) -> list[Keys]:
    """Batches that lack an answer; they lie the same in every run."""
    from wakesmith.data.targets import EMPTY
    from wakesmith.teachers._encodings import whole_batches

    parts = [keys[part] for part in whole_batches(len(keys), batch)]
    return [part for part in parts if (targets.state[part[:, 0], part[:, 1]] == EMPTY).any()]


def _answer(teacher: Teaches, todo: list[Keys], n_batches: int, targets: TargetStore, heard: list[Heard], keep: bool) -> int:
    """Fill what is empty. -> how many views were answered."""
    done = n_batches - len(todo) * ranks.n_ranks()
    for part in track(todo, "label: batches", total=len(todo) + max(0, done), done=max(0, done)):
        logits, embedding = teacher.answer_pooled([one.states(part, keep) for one in heard])
        targets.write(part[:, 0], part[:, 1], logits.numpy(), embedding.numpy())
    for one in heard:
        one.flush()
    targets.stored.flush()
    return sum(len(part) for part in todo)
