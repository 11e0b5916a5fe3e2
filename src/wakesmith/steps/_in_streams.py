"""What the last layer learns from beside its rows: train's sound as streams, heard by the averaged student."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith import progress, registry
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.data import classes
from wakesmith.data.records import LABELS

if TYPE_CHECKING:
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.steps._recipe import Recipe
    from wakesmith.training.streamed import Stream

MOST_NEAREST_H = 20.0
"""Of other sound, in a drawn order, that is searched for what comes nearest to the phrase."""
SAID_UNDER = (("clean",), ("noise", 10.0), ("noise", 5.0), ("babble", 10.0), ("babble", 5.0))
"""What phrases in streams are said over, and the SNR in dB."""
SAID_GAP_S = (0.5, 1.0)
SAID_TOGETHER = 100
"""Phrases of one stream."""


def heard(recipe: Recipe, folder: Path, trainer: Any, seed: int) -> tuple[Any, Any]:
    """What the averaged student takes for the phrase in train's other sound, and train's phrases; None: not asked for.

    Of synthetic voices alone nothing is searched: what comes nearest among them teaches to hear fewer people (docs/log.md).
    """
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.training import nearest, said

    settings, student = recipe.train, trainer.learner.student
    store, front = AudioStore.open(folder / "prepare"), registry.build("features", recipe.features)
    given, near, phrases = (student, front, trainer.learner.perturb), None, None
    with trainer.average.inside():
        student.eval()
        searched = settings.last_layer_nearest
        if searched and not any(not one.is_spoken for one in store.of("train", "speech")):
            searched = 0
            progress.say("train: without last_layer_nearest, since train holds no recording of other speech")
        if searched:
            others = progress.track(*_other_streams(recipe, store, seed))
            near = nearest.moments(*given, others, searched, len(recipe.phrases), seed)
        if settings.last_layer_said:
            phrases = said.bags(*given, progress.track(*_phrase_streams(recipe, store, folder, seed)), seed)
        student.train()
    return near, phrases


def _other_streams(recipe: Recipe, store: AudioStore, seed: int) -> tuple[Iterator[Stream], str, int]:
    """Train's sound that holds no phrase: streams, what to call the work, and how many streams there are."""
    import numpy as np

    from wakesmith.steps import _peaks, _streams
    from wakesmith.training.streamed import Stream

    others = _peaks.others(store.recordings.values(), "train", LABELS[1:])
    number = {one.id: LABELS.index(one.label) + len(recipe.phrases) - 1 for one in others}
    hours = min(sum(one.n_samples for one in others) / SAMPLE_RATE_HZ / 3600, MOST_NEAREST_H)

    def heard() -> Iterator[Stream]:
        for stream in _streams.of_negatives(store, others, MOST_NEAREST_H, seed, "train"):
            starts_s = np.array([event.start_s for event in stream.events])
            yield Stream(stream.samples, starts_s, np.array([number[event.recording] for event in stream.events]))

    return heard(), "nearest to the phrase", math.ceil(hours * 3600 / _streams.PIECE_S)


def _phrase_streams(recipe: Recipe, store: AudioStore, folder: Path, seed: int) -> tuple[Iterator[Stream], str, int]:
    """Train's labelled phrases under each of `SAID_UNDER` whose kind of bed there is, a part of them under each."""
    import numpy as np

    from wakesmith.augment._bank import Bank
    from wakesmith.rng import rng
    from wakesmith.steps import _streams
    from wakesmith.training.streamed import Stream

    beds = _streams.Beds(store, Bank(folder / "views" / "bank"))
    labelled = {clip.recording for clip in store.clips if clip.label == "wake"}  # data.most_labelled spares the recordings
    phrases = [one for one in store.of("train", "wake") if one.id in labelled]
    under = [_streams.Condition(*one) for one in SAID_UNDER if one[0] == "clean" or beds.count(one[0], "train")]
    n_each = min(len(phrases), math.ceil(recipe.train.last_layer_said / len(under)))
    chunks = range(0, n_each, SAID_TOGETHER)

    def heard() -> Iterator[Stream]:
        for number, condition in enumerate(under):
            order = rng(seed, "said", number).permutation(len(phrases))[:n_each]
            for at in chunks:
                some = [phrases[i] for i in order[at : at + SAID_TOGETHER]]
                other = seed + 1000 * number + at  # else each stream would begin over the same bed
                stream = _streams.of_events(store, beds, some, "train", condition, SAID_GAP_S, other, "said")
                told = np.array([classes.said(one, recipe.phrases) for one in some])
                yield Stream(stream.samples, np.array([event.end_s for event in stream.events]), told)

    return heard(), "phrases in streams", len(under) * len(chunks)
