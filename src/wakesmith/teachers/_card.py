"""The teacher bundle: head.safetensors and card.json, which says what the head was trained on and how well it hears."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wakesmith import config, registry
from wakesmith.errors import ConfigError, TeacherError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from wakesmith.teachers._base import Encoder
    from wakesmith.teachers._head import Head

CARD, HEAD = "card.json", "head.safetensors"


class HeadSettings(config.Settings):
    """Shape of the head."""

    pooling: Literal["attention", "mean"] = "attention"
    """How the time segments become one vector."""
    embedding_size: int = Field(default=96, ge=4, le=1024)
    """Size of the vector that the student may imitate."""
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    """High, for the head learns from synthetic voices and must hear real ones. From 0.3 to 0.5, Moonshine's recall at 0 false
    accepts rose from 0.86 to 0.92 on 270 recordings of "computer", and from 0.56 to 0.70 in babble of 10 dB (one seed)."""


class Card(config.Settings):
    """What card.json holds."""

    format: Literal[1] = 1
    teacher: dict[str, Any]
    """Settings of the encoder's part."""
    encoder_fingerprint: str
    encoder_source: str
    encoder_licence: str
    labels: list[str]
    n_layers: int
    n_segments: int
    hidden_size: int
    clip_samples: int
    head: HeadSettings
    head_sha256: str
    trained: bool
    calibration_temperature: float = Field(gt=0.0)
    """The head's logits are divided by it; fitted on dev."""
    dev: dict[str, float]
    """Metrics on dev, after calibration."""
    gate: dict[str, Any]
    """Policy, verdict and reasons."""
    made_by: dict[str, Any]
    """Fingerprints of the views, the seed, and the settings of `teach`."""


class Teacher:
    """A frozen encoder with its trained head. `answer` is what the student imitates."""

    def __init__(self, encoder: Encoder, head: Head, card: Card, fingerprint: str) -> None:
        self.encoder, self.head, self.card = encoder, head.eval().requires_grad_(False), card
        self.fingerprint = fingerprint

    def pooled(self, samples: Tensor) -> npt.NDArray[Any]:
        """(B, N) -> (B, L, S, D) fp16: what is cached between encoder and head."""
        return pooled(self.encoder, samples)

    def answer_pooled(self, states: npt.NDArray[Any]) -> tuple[Tensor, Tensor]:
        """(B, L, S, D) fp16 -> calibrated logits (B, C), embedding (B, E)."""
        import torch

        with torch.no_grad():
            logits, embedding = self.head(torch.from_numpy(states).float())
        return logits / self.card.calibration_temperature, embedding

    def answer(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) float32 at 16 kHz -> calibrated logits (B, C), embedding (B, E); the same as through the cache."""
        return self.answer_pooled(self.pooled(samples))


def pooled(encoder: Encoder, samples: Tensor) -> npt.NDArray[Any]:
    """Encode, average to a few time segments, round to fp16. (B, N) -> (B, L, S, D)."""
    from wakesmith.teachers._head import pool_time

    return pool_time(encoder.encode(samples)).half().numpy()  # type: ignore[no-any-return]


def head_bytes(head: Head) -> bytes:
    """The head as a safetensors file: the same weights give the same bytes."""
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in sorted(head.state_dict().items())})


def save_card(folder: Path, card: Card, weights: bytes) -> None:
    """Write the head, then the card that names its hash: aside and renamed."""
    for name, data in ((HEAD, weights), (CARD, (json.dumps(card.model_dump(mode="json"), indent=1) + "\n").encode())):
        aside = folder / f"{name}.part"
        aside.write_bytes(data)
        aside.replace(folder / name)


def load_card(folder: Path) -> Card:
    """Raises TeacherError when there is no card, or one that does not fit."""
    path = folder / CARD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TeacherError(f"{folder}: no trained teacher here. Run `teach` first.") from error
    except ValueError as error:
        raise TeacherError(f"{path}: not JSON ({error}). Run `teach` again.") from error
    try:
        return config.parse(Card, data, str(path))  # type: ignore[no-any-return]
    except ConfigError as error:
        raise TeacherError(f"{error} Run `teach` again.") from error


def load_teacher(folder: Path) -> Teacher:
    """The teacher that `teach` left. Raises TeacherError when it is untrained, or head or encoder changed since."""
    from safetensors.torch import load

    from wakesmith.teachers._head import Head

    card = load_card(folder)
    if not card.trained:
        raise TeacherError(f"{folder}: the head was never trained, its answers mean nothing. Run `teach` first.")
    try:
        weights = (folder / HEAD).read_bytes()
    except FileNotFoundError as error:
        raise TeacherError(f"{folder / HEAD}: missing. Run `teach` again.") from error
    if hashlib.sha256(weights).hexdigest() != card.head_sha256:
        raise TeacherError(f"{folder / HEAD}: not the weights that {CARD} names. Run `teach` again.")
    encoder = registry.build("teachers", config.part("teachers", **card.teacher))
    if encoder.fingerprint() != card.encoder_fingerprint:
        raise TeacherError(f"{folder}: the head was trained on another encoder than {encoder.source} is now. Run `teach` again.")
    head = Head(card.head, card.n_layers, card.n_segments, card.hidden_size, len(card.labels))
    head.load_state_dict(load(weights))
    fingerprint = hashlib.sha256(
        f"{card.encoder_fingerprint}/{card.head_sha256}/{card.calibration_temperature}".encode()
    ).hexdigest()[:32]
    return Teacher(encoder, head, card, fingerprint)
