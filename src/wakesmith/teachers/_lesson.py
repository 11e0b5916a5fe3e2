"""What a teacher learns from, and how one is made of it: an encoder with its head, or several of them with their shares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wakesmith import metrics, registry
from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.config import PartSettings
from wakesmith.data.answers import OK
from wakesmith.errors import TeacherError
from wakesmith.teachers import _ensemble
from wakesmith.teachers._card import Card, EnsembleCard, HeadSettings, Teacher, Teaches, head_bytes
from wakesmith.teachers._encodings import Heard, Keys, heard_by, whole_batches
from wakesmith.teachers._ensemble import Ensemble
from wakesmith.teachers._fit import Encodings, FitSettings, fit_head, fit_temperature, logits_of

if TYPE_CHECKING:
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._base import Encoder
    from wakesmith.teachers._head import Head

MAX_NON_FINITE = 0.01


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
            logits.numpy()[finite], self.numbers[self.is_dev][finite], self.hours_per_clip, n_phrases=self.n_phrases
        )


def teach_one(lesson: Lesson, part: PartSettings, shape: HeadSettings, how: FitSettings) -> Teacher:
    """A frozen encoder, a head trained on train and calibrated on dev."""
    encoder: Encoder = registry.build("teachers", part)
    heard = Heard(lesson.encodings, encoder, lesson.views)
    heard.fill(lesson.keys)
    train, dev = _split(lesson, heard)
    head = fit_head(shape, how, train, dev, len(lesson.labels))
    temperature = fit_temperature(logits_of(head, dev), dev.labels)
    teacher = Teacher(encoder, head, _card(lesson, part, encoder, head, train.states.shape[2], temperature))
    teacher.card = teacher.card.model_copy(update={"dev": lesson.measures(answers_on_dev(teacher, lesson))})
    return teacher


def teach_all(lesson: Lesson, part: Any, shape: HeadSettings, how: FitSettings) -> Ensemble:
    """Each member by itself; their shares from their answers on dev."""
    members = [teach_one(lesson, member, shape, how) for member in part.members]
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


def answers_on_dev(teacher: Teaches, lesson: Lesson, batch: int = 256) -> Tensor:
    """Calibrated logits (n_dev, C) through the store of encodings; NaN where an encoder gave no finite answer."""
    keys = lesson.keys[lesson.is_dev]
    heard = heard_by(teacher.encoders, lesson.encodings, lesson.views)
    parts = (keys[part] for part in whole_batches(len(keys), batch))
    return torch.cat([teacher.answer_pooled([one.states(part) for one in heard])[0] for part in parts])


def _split(lesson: Lesson, heard: Heard) -> tuple[Encodings, Encodings]:
    """Finite encodings of train and of dev, with their class numbers."""
    finite = heard.state(lesson.keys) == OK
    if (bad := int((~finite).sum())) > MAX_NON_FINITE * len(lesson.keys):
        raise TeacherError(
            f"teach: the encoder gave NaN or infinity for {bad} of {len(lesson.keys)} views. Use teacher.dtype float32."
        )
    chosen = (np.flatnonzero(finite & rows) for rows in (~lesson.is_dev, lesson.is_dev))
    train, dev = (Encodings(heard.states(lesson.keys[rows]), lesson.numbers[rows]) for rows in chosen)
    return train, dev


def _card(lesson: Lesson, part: PartSettings, encoder: Encoder, head: Head, n_segments: int, temperature: float) -> Card:
    return Card(
        teacher=part.model_dump(mode="json"), encoder_fingerprint=encoder.fingerprint(), encoder_source=encoder.source,
        encoder_licence=encoder.licence, labels=lesson.labels, n_layers=encoder.n_layers, n_segments=n_segments,
        hidden_size=encoder.hidden_size, clip_samples=lesson.views.n_samples, head=head.settings,
        head_sha256=hashlib.sha256(head_bytes(head)).hexdigest(), trained=True, calibration_temperature=temperature,
        dev={}, gate={}, made_by=lesson.made_by,
    )  # fmt: skip
