"""A whole teacher of the user's own: the head that lies in the checkpoint beside the encoder, in place of one trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from wakesmith.errors import TeacherError
from wakesmith.teachers import _checkpoints
from wakesmith.teachers._card import HeadSettings, pooled
from wakesmith.teachers._checkpoints import Checkpoint
from wakesmith.teachers._head import Head

if TYPE_CHECKING:
    from wakesmith.teachers._base import Encoder


def head_of(encoder: Encoder, shape: HeadSettings, labels: list[str], view: Tensor) -> Head | None:
    """The head that came with the encoder, None when there is none. `view` (1, N) says how many segments clips have.

    Raises TeacherError when its classes or its shape are not those of the run.
    """
    found: Checkpoint | None = getattr(encoder, "head", None)  # encoders in ONNX bring none
    if found is None:
        return None
    if found.labels is None:
        raise TeacherError(
            f"{found.source}: holds a head, but not the names of its classes. Save them beside it as labels, "
            "or save the encoder alone."
        )
    _checkpoints.check_fits(found, labels, {})  # the encoder has checked how sound is prepared
    _check_shape(found.weights, shape, found.source)
    head = Head(shape, encoder.n_layers, pooled(encoder, view).shape[2], encoder.hidden_size, len(labels))
    _checkpoints.load_strictly(head, found.weights, found.source)
    return head.eval()


def _check_shape(weights: dict[str, Tensor], shape: HeadSettings, source: Path) -> None:
    """What `teach.head` says must be what the weights are."""
    size = weights["classify.weight"].shape[-1] if "classify.weight" in weights else shape.embedding_size
    found = {"embedding_size": size, "pooling": "attention" if "attend.weight" in weights else "mean"}
    wrong = {key: value for key, value in found.items() if getattr(shape, key) != value}
    if wrong:
        told = ", ".join(f"{key} {value}, teach.head.{key} is {getattr(shape, key)}" for key, value in wrong.items())
        way_out = " ".join(f"--set teach.head.{key}={value}" for key, value in wrong.items())
        raise TeacherError(f"{source}: its head has {told}. Use: {way_out}")
