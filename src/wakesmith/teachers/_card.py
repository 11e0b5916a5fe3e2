"""The teacher bundle: head.safetensors and card.json, which says what the head was trained on and how well it hears; and
encoder.safetensors where the encoder was tuned.

An ensemble's bundle holds one such folder a member, and a card with their shares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from pydantic import Field

from wakesmith import config, registry
from wakesmith.errors import ConfigError, TeacherError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from wakesmith.teachers._base import Encoder, Tunable
    from wakesmith.teachers._head import Head

CARD, HEAD, ENCODER, MEMBERS = "card.json", "head.safetensors", "encoder.safetensors", "members"


class HeadSettings(config.Settings):
    """Shape of the head."""

    pooling: Literal["attention", "mean"] = "attention"
    """How the time segments become one vector."""
    embedding_size: int = Field(default=96, ge=4, le=1024)
    """Size of the vector between the pooled segments and the classes; the student may imitate it."""
    content: int = Field(default=0, ge=0, le=128)
    """Numbers kept of each time segment that the encoder heard: what was said, which the student then imitates in place of the
    head's embedding. 0: the head's embedding, which knows the phrase alone."""
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    """High, for the head learns from synthetic voices and must hear real ones. From 0.3 to 0.5, Moonshine's recall at 0 false
    accepts rose from 0.86 to 0.92 on 270 recordings of "computer", and from 0.56 to 0.70 in babble of 10 dB (one seed)."""


class CardBase(config.Settings):
    """What every teacher's card.json holds."""

    format: Literal[2] = 2
    teacher: dict[str, Any]
    """Settings of the teacher's part."""
    encoder_source: str
    encoder_licence: str
    labels: list[str]
    clip_samples: int
    dev: dict[str, float]
    """Metrics on dev, after calibration."""
    gate: dict[str, Any]
    """Policy, verdict, reasons and what was checked; {} for a member of an ensemble, which is judged as a whole."""
    made_by: dict[str, Any]
    """Fingerprints of the views, the seed, and the settings of `teach`."""


class Card(CardBase):
    """The card of one encoder with its head."""

    encoder_fingerprint: str
    n_layers: int
    n_segments: int
    hidden_size: int
    head: HeadSettings
    head_sha256: str
    trained: bool
    calibration_temperature: float = Field(gt=0.0)
    """The head's logits are divided by it; fitted on dev."""
    encoder_sha256: str = ""
    """Of the tuned encoder in the bundle; empty: the encoder is as its source has it."""
    tuning: list[dict[str, Any]] = []
    """Each look of stage two at dev; empty without it."""

    @property
    def fingerprint(self) -> str:
        """Names everything that changes an answer."""
        return _hashed(f"{self.encoder_fingerprint}/{self.head_sha256}/{self.calibration_temperature}")


class EnsembleCard(CardBase):
    """The card of several teachers that answer together; each has a folder of its own under `MEMBERS`."""

    members: list[str] = Field(min_length=2)
    """Names of their folders, in order."""
    member_fingerprints: list[str]
    weights: dict[str, float]
    """Share of each member in the mean of probabilities."""
    weights_rule: str

    @property
    def fingerprint(self) -> str:
        return _hashed("/".join([*self.member_fingerprints, *map(str, self.weights.values())]))


class Teaches(Protocol):
    """What `label` and live training ask: one encoder with its head, or an ensemble."""

    fingerprint: str

    @property
    def card(self) -> CardBase: ...

    @property
    def encoders(self) -> list[Encoder]:
        """What hears; `answer_pooled` wants the pooled states of each."""

    @property
    def embedding_size(self) -> int: ...

    def answer_pooled(self, states: Sequence[npt.NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """One (B, L, S, D) fp16 an encoder -> calibrated logits (B, C), embedding (B, E)."""

    def answer(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) float32 at 16 kHz -> calibrated logits (B, C), embedding (B, E); the same as through the store of encodings."""


class Teacher:
    """A frozen encoder with its trained head. `answer` is what the student imitates."""

    def __init__(self, encoder: Encoder, head: Head, card: Card) -> None:
        self.encoder, self.head, self.card = encoder, head.eval().requires_grad_(False), card
        self.fingerprint = card.fingerprint

    @property
    def encoders(self) -> list[Encoder]:
        return [self.encoder]

    @property
    def embedding_size(self) -> int:
        return self.head.answer_size

    def answer_pooled(self, states: Sequence[npt.NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """[(B, L, S, D) fp16] -> calibrated logits (B, C), embedding (B, E)."""
        import torch

        (own,) = states
        with torch.no_grad():
            logits, embedding = self.head(torch.from_numpy(own).float())
        return logits / self.card.calibration_temperature, embedding

    def answer(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) float32 at 16 kHz -> calibrated logits (B, C), embedding (B, E)."""
        return self.answer_pooled([pooled(self.encoder, samples)])


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def pooled(encoder: Encoder, samples: Tensor) -> npt.NDArray[Any]:
    """Encode, average to a few time segments, round to fp16. (B, N) -> (B, L, S, D)."""
    from wakesmith.teachers._head import pool_time

    return pool_time(encoder.encode(samples)).half().numpy()  # type: ignore[no-any-return]


def head_bytes(head: Head) -> bytes:
    """The head as a safetensors file: the same weights give the same bytes."""
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in sorted(head.state_dict().items())})


def save_teacher(folder: Path, teacher: Teacher) -> None:
    """Write the weights, then the card that names their hashes: aside and renamed."""
    from wakesmith.teachers import _tune_state

    folder.mkdir(parents=True, exist_ok=True)
    write_aside(folder / HEAD, head_bytes(teacher.head))
    if teacher.card.encoder_sha256:
        _tune_state.write_encoder(folder / ENCODER, cast("Tunable", teacher.encoder).module.state_dict())
    else:
        (folder / ENCODER).unlink(missing_ok=True)
    save_card(folder, teacher.card)


def save_card(folder: Path, card: CardBase) -> None:
    write_aside(folder / CARD, (json.dumps(card.model_dump(mode="json"), indent=1) + "\n").encode())


def write_aside(path: Path, data: bytes) -> None:
    """What a name holds is always whole."""
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(data)
    aside.replace(path)


def load_card(folder: Path) -> Card | EnsembleCard:
    """Raises TeacherError when there is no card, or one that does not fit."""
    path = folder / CARD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TeacherError(f"{folder}: no trained teacher here. Run `teach` first.") from error
    except (ValueError, RecursionError) as error:
        raise TeacherError(f"{path}: not JSON ({error}). Run `teach` again.") from error
    kind = EnsembleCard if isinstance(data, dict) and "members" in data else Card
    try:
        return config.parse(kind, data, str(path))  # type: ignore[no-any-return]
    except ConfigError as error:
        raise TeacherError(f"{error} Run `teach` again.") from error


def load_teacher(folder: Path) -> Teaches:
    """The teacher that `teach` left. Raises TeacherError when it is untrained, or head or encoder changed since."""
    card = load_card(folder)
    if isinstance(card, EnsembleCard):
        from wakesmith.teachers import _ensemble

        return _ensemble.load(folder, card)
    return load_single(folder, card)


def load_single(folder: Path, card: Card) -> Teacher:
    """One encoder with its head."""
    from safetensors.torch import load

    from wakesmith.teachers import _tune_state
    from wakesmith.teachers._head import Head

    if not card.trained:
        raise TeacherError(f"{folder}: the head was never trained, its answers mean nothing. Run `teach` first.")
    try:
        weights = (folder / HEAD).read_bytes()
    except FileNotFoundError as error:
        raise TeacherError(f"{folder / HEAD}: missing. Run `teach` again.") from error
    if hashlib.sha256(weights).hexdigest() != card.head_sha256:
        raise TeacherError(f"{folder / HEAD}: not the weights that {CARD} names. Run `teach` again.")
    encoder = registry.build("teachers", config.part("teachers", **card.teacher))
    if card.encoder_sha256:
        _tune_state.take_encoder(encoder, folder / ENCODER, card.encoder_sha256)
    if encoder.fingerprint() != card.encoder_fingerprint:
        raise TeacherError(f"{folder}: the head was trained on another encoder than {encoder.source} is now. Run `teach` again.")
    head = Head(card.head, card.n_layers, card.n_segments, card.hidden_size, len(card.labels))
    head.load_state_dict(load(weights))
    return Teacher(encoder, head, card)
