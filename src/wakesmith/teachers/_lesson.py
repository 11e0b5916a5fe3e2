"""What a teacher learns from, and how one is made of it: an encoder with its head, or several of them with their shares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wakesmith import metrics, registry
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.config import PartSettings
from wakesmith.data.answers import OK
from wakesmith.errors import TeacherError
from wakesmith.teachers import _ensemble, _tune, _tune_state, _whole
from wakesmith.teachers._card import Card, EnsembleCard, HeadSettings, Teacher, Teaches, head_bytes
from wakesmith.teachers._encodings import Heard, Keys, heard_by, read_views, whole_batches
from wakesmith.teachers._ensemble import Ensemble
from wakesmith.teachers._fit import Encodings, FitSettings, fit_head, fit_temperature, logits_of
from wakesmith.teachers._tune_settings import Tuning

if TYPE_CHECKING:
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._base import Encoder, Tunable
    from wakesmith.teachers._head import Head

MAX_NON_FINITE = 0.01
FROZEN = Tuning()
"""No stage two."""


@dataclass(frozen=True)
class Lesson:
    """Keys (n, 2) of (clip, view), train first, their classes (n,), and where it is kept what encoders hear of them."""

    views: ViewStore
    keys: Keys
    numbers: npt.NDArray[np.int64]
    is_dev: npt.NDArray[np.bool_]
    labels: list[str]
    """Names of the classes; the first `n_phrases` are wake phrases."""
    n_phrases: int
    encodings: Path
    made_by: dict[str, Any]
    """For the cards: fingerprint of the views, seed, settings."""

    @property
    def hours_per_clip(self) -> float:
        return self.views.n_samples / SAMPLE_RATE_HZ / 3600

    def measures(self, logits: Tensor) -> dict[str, float]:
        """Figures on dev of calibrated answers (n_dev, C); rows that are not finite are left out."""
        finite = logits.isfinite().all(dim=1).numpy()
        return metrics.answers(
            logits.numpy()[finite], self.numbers[self.is_dev][finite], self.hours_per_clip,
            n_phrases=self.n_phrases, near_miss=self.n_phrases,
        )  # fmt: skip


def teach_one(lesson: Lesson, part: PartSettings, shape: HeadSettings, how: FitSettings, tuning: Tuning = FROZEN) -> Teacher:
    """An encoder, a head trained on train and calibrated on dev; with `tuning`, the encoder learns too."""
    return _taught(lesson, part, _built(part, tuning), shape, how, tuning)


def teach_all(lesson: Lesson, part: Any, shape: HeadSettings, how: FitSettings, tuning: Tuning = FROZEN) -> Ensemble:
    """Each member by itself; their shares from their answers on dev."""
    encoders = [_built(member, tuning) for member in part.members]
    members = [
        _taught(lesson, member, encoder, shape, how, tuning) for member, encoder in zip(part.members, encoders, strict=True)
    ]
    answers = [answers_on_dev(member, lesson) for member in members]
    finite = torch.stack([one.isfinite().all(dim=1) for one in answers]).all(dim=0)
    numbers = lesson.numbers[lesson.is_dev][finite.numpy()]
    weights = _ensemble.shares(part.weights, [one[finite] for one in answers], numbers)
    names = [f"{number}-{member.name}" for number, member in enumerate(part.members, start=1)]
    cards = [member.card for member in members]
    mixed = _ensemble.mix(answers, torch.from_numpy(weights).float())
    card = EnsembleCard(
        teacher=part.model_dump(mode="json"), encoder_source=" + ".join(card.encoder_source for card in cards),
        encoder_licence=" + ".join(dict.fromkeys(card.encoder_licence for card in cards)), labels=lesson.labels,
        clip_samples=lesson.views.n_samples, dev=lesson.measures(mixed), gate={}, made_by=lesson.made_by, members=names,
        member_fingerprints=[card.fingerprint for card in cards], weights=dict(zip(names, weights.tolist(), strict=True)),
        weights_rule=_ensemble.RULES[part.weights],
    )  # fmt: skip
    return Ensemble(members, card)


def _built(part: PartSettings, tuning: Tuning) -> Encoder:
    encoder: Encoder = registry.build("teachers", part)
    if tuning.steps:
        _tune.check_tunable(encoder)  # before thousands of views are heard
    return encoder


def _taught(
    lesson: Lesson, part: PartSettings, encoder: Encoder, shape: HeadSettings, how: FitSettings, tuning: Tuning
) -> Teacher:
    heard = Heard(lesson.encodings, encoder, lesson.views)
    head = _whole.head_of(encoder, shape, lesson.labels, torch.from_numpy(read_views(lesson.views, lesson.keys[:1])))
    learns = head is None or tuning.steps > 0
    finite = _hear(lesson, heard, lesson.is_dev | learns)  # with a head of its own, dev is all that is asked
    if head is None:
        train, dev = (_encodings(lesson, heard, finite & rows) for rows in (~lesson.is_dev, lesson.is_dev))
        head = fit_head(shape, how, train, dev, len(lesson.labels))
    facts = _tuned(lesson, encoder, head, how, tuning, finite) if tuning.steps else {}
    if facts.get("encoder_sha256"):
        heard = Heard(lesson.encodings, encoder, lesson.views)
        finite = _hear(lesson, heard, lesson.is_dev)  # not train: only `label` asks for it again
    dev = _encodings(lesson, heard, finite & lesson.is_dev)
    temperature = fit_temperature(logits_of(head, dev), dev.labels)
    teacher = Teacher(encoder, head, _card(lesson, part, encoder, head, temperature, facts))
    teacher.card = teacher.card.model_copy(update={"dev": lesson.measures(answers_on_dev(teacher, lesson))})
    return teacher


def answers_on_dev(teacher: Teaches, lesson: Lesson, batch: int = 256) -> Tensor:
    """Calibrated logits (n_dev, C) through the store of encodings; NaN where an encoder gave no finite answer."""
    keys = lesson.keys[lesson.is_dev]
    heard = heard_by(teacher.encoders, lesson.encodings, lesson.views)
    parts = (keys[part] for part in whole_batches(len(keys), batch))
    return torch.cat([teacher.answer_pooled([one.states(part) for one in heard])[0] for part in parts])


def _hear(lesson: Lesson, heard: Heard, asked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Hear what is asked for of the keys. (n,) -> (n,) which of that has finite encodings."""
    heard.fill(lesson.keys[asked])
    finite: npt.NDArray[np.bool_] = asked & (heard.state(lesson.keys) == OK)
    if (bad := int((asked & ~finite).sum())) > MAX_NON_FINITE * asked.sum():
        raise TeacherError(
            f"teach: the encoder gave NaN or infinity for {bad} of {asked.sum()} views. Use teacher.dtype float32."
        )
    return finite


def _encodings(lesson: Lesson, heard: Heard, rows: npt.NDArray[np.bool_]) -> Encodings:
    return Encodings(heard.kept(lesson.keys[rows]), lesson.numbers[rows])


def _tuned(
    lesson: Lesson, encoder: Encoder, head: Head, how: FitSettings, tuning: Tuning, finite: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Stage two. Encoder and head hold the best weights afterwards. -> what the card says of it."""
    folder = lesson.encodings.with_name("tuning") / encoder.fingerprint()[:16]
    train, dev = ((lesson.keys[rows], lesson.numbers[rows]) for rows in (finite & ~lesson.is_dev, finite & lesson.is_dev))
    tuned = _tune.tune(
        encoder, head, tuning, lesson.views, *train, *dev, folder, how.seed, lesson.labels, lesson.n_phrases, how.label_smoothing
    )
    if not tuned.best_step:  # stage one was better, and its encodings stay good
        return {"tuning": tuned.history}
    sha256 = hashlib.sha256(_tune_state.encoder_bytes(tuned.encoder_weights)).hexdigest()
    cast("Tunable", encoder).take(tuned.encoder_weights, sha256)
    return {"tuning": tuned.history, "encoder_sha256": sha256}


def _card(lesson: Lesson, part: PartSettings, encoder: Encoder, head: Head, temperature: float, facts: dict[str, Any]) -> Card:
    return Card(
        teacher=part.model_dump(mode="json"), encoder_fingerprint=encoder.fingerprint(), encoder_source=encoder.source,
        encoder_licence=encoder.licence, labels=lesson.labels, n_layers=encoder.n_layers, n_segments=len(head.positions),
        hidden_size=encoder.hidden_size, clip_samples=lesson.views.n_samples, head=head.settings,
        head_sha256=hashlib.sha256(head_bytes(head)).hexdigest(), calibration_temperature=temperature,
        trained=True, dev={}, gate={}, made_by=lesson.made_by, **facts,
    )  # fmt: skip
