"""What the encoders in torch share: where the weights come from, half precision, gradients for stage two, and a frozen rest."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.teachers import _checkpoints
from wakesmith.teachers._base import TorchSettings, check_samples, fingerprint_of
from wakesmith.teachers._folder import Folder, read_json

UNKNOWN_LICENCE = "as the source says"


class TorchEncoder(ABC):
    """See `_base.Tunable`. A family says how samples are prepared, and what states its network has."""

    rate_hz = SAMPLE_RATE_HZ
    n_layers: int
    hidden_size: int
    min_samples: int
    preprocessing: dict[str, Any]
    """`rate_hz` and `normalise`: what a checkpoint must agree with."""
    head: _checkpoints.Checkpoint | None = None
    """The head of a checkpoint that is a whole teacher."""

    def __init__(self, module: nn.Module, settings: TorchSettings, licence: str) -> None:
        self.module = module.eval().requires_grad_(False).to(device(settings.device))
        self.source = settings.path or settings.hub_id
        self.licence = settings.licence or licence
        self.n_overflows = 0
        """Clips heard again in float32, because the answer overflowed in half precision."""
        self._name = settings.name
        self._dtype: torch.dtype = getattr(torch, settings.dtype)
        self._batch_norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d)]
        self._made_of, self._tuned = "", ""

    def load(self, settings: TorchSettings, files: Folder, own_names: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
        """Fill the module with the weights of the folder or of `settings.checkpoint`, under its `own_names`."""
        chosen = settings.checkpoint or files.weights
        assert chosen, "neither weights nor a checkpoint"
        found = _checkpoints.read(chosen)
        weights, head = _checkpoints.split(found.weights)
        _checkpoints.load_strictly(self.module, own_names(weights), found.source)
        if settings.checkpoint:
            _checkpoints.check_fits(found, None, self.preprocessing)
            self.source = f"{self.source} with {settings.checkpoint}"
            self.head = dataclasses.replace(found, weights=head) if head else None
        # Taken now: the answers are those of the bytes that were read, whatever becomes of the file.
        self._made_of = fingerprint_of([files.settings, found.source], self._name, self._dtype, *self._words())

    def fingerprint(self) -> str:
        # One hash of both: stores are named after its beginning, and a tuned encoder hears otherwise than a frozen one.
        return fingerprint_of([], self._made_of, self._tuned) if self._tuned else self._made_of

    def encode(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, L, T, D) on the CPU, the same within the autocast of a training loop as without."""
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            return self.hidden(samples).cpu()

    def hidden(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, L, T, D) float32 on the module's device, with gradients where parameters ask for them.

        Computed in the precision of an autocast around it, as stage two sets one, else in that of the settings.
        """
        check_samples(samples, self.min_samples, self._name)
        for norm in self._batch_norms:
            norm.eval()  # its statistics stay frozen in stage two as well, and no clip hears its batch mates
        samples, kind = samples.to(self._device, torch.float32), self._device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self._dtype
        with torch.autocast(kind, enabled=False):  # the mel and the mean are float32 always
            prepared = self.prepare(samples)
        answers = self._answers(prepared, dtype)
        if dtype == torch.float32:
            return answers
        whole = answers.isfinite().flatten(1).all(dim=1)
        return answers if whole.all() else self._again(prepared, whole, dtype)

    def _again(self, prepared: Tensor, whole: Tensor, dtype: torch.dtype) -> Tensor:
        """Clips that overflowed are heard in float32; the others anew, for zero times infinity would spoil their gradients."""
        if self.n_overflows == 0:
            say(f"{self._name}: an answer overflowed in {dtype}; such clips are heard again in float32.")
        self.n_overflows += int((~whole).sum())
        parts = [self._answers(prepared[~whole], torch.float32)]
        if whole.any():
            parts.append(self._answers(prepared[whole], dtype))
        places = torch.cat([(~whole).nonzero(), whole.nonzero()]).flatten()
        return torch.cat(parts)[places.argsort()]

    def _answers(self, prepared: Tensor, dtype: torch.dtype) -> Tensor:
        with torch.autocast(prepared.device.type, dtype, enabled=dtype != torch.float32):
            states = self.states(prepared)
        return torch.stack([state.float() for state in states], dim=1)

    def activation_checkpointing(self, on: bool) -> None:
        """Recompute the layers in the backward pass. transformers' own switch does so in train mode only, and ours is eval."""
        for layer in self.layers():
            layer.__dict__.pop("forward", None)  # what was put over the class's own
            if on:
                layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)  # type: ignore[method-assign]

    def take(self, weights: dict[str, Tensor], sha256: str) -> None:
        """Load tuned weights strictly. From then on the fingerprint covers `sha256`."""
        _checkpoints.load_strictly(self.module, weights, f"tuned weights {sha256[:12]}")
        self._tuned = sha256

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    def _words(self) -> tuple[object, ...]:
        """Settings beside name and dtype that change an answer."""
        return ()

    @abstractmethod
    def layers(self) -> list[nn.Module]:
        """The transformer layers, lowest first."""

    @abstractmethod
    def prepare(self, samples: Tensor) -> Tensor:
        """(B, N) float32 -> what the network hears, float32; each clip by itself."""

    @abstractmethod
    def states(self, prepared: Tensor) -> list[Tensor]:
        """-> L tensors (B, T, D): the input of the first layer, then every layer, the last as the model itself answers."""


def device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TeacherError("teacher.device: cuda was asked for, but torch sees no GPU. Set it to cpu or auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def licence_of(settings: TorchSettings, licences: dict[str, str]) -> str:
    """The licence of the first pattern that the hub id matches; a folder may hold anything."""
    known = (licence for pattern, licence in licences.items() if not settings.path and fnmatchcase(settings.hub_id, pattern))
    return next(known, UNKNOWN_LICENCE)


def configuration(path: Path, family: str, config: Any) -> Any:
    """config.json of a family -> transformers' configuration, nothing random in it. Raises TeacherError for another family."""
    data = read_json(path)
    if data.get("model_type") != family:
        raise TeacherError(f"{path}: a {data.get('model_type')} model, expected {family}. Choose another teacher.")
    try:
        return config.from_dict(data)
    except Exception as error:  # transformers' checks of types have a base of their own
        raise TeacherError(f"{path}: not a {family} configuration ({_first_line(error)}). Fetch the file again.") from error


def network(path: Path, build: Callable[[Any], nn.Module], settings: Any) -> nn.Module:
    """Build the network of a configuration. Raises TeacherError where its numbers contradict each other."""
    try:
        return build(settings)
    except (ValueError, TypeError, RuntimeError, AssertionError, IndexError) as error:
        raise TeacherError(f"{path}: no network can be made of it ({_first_line(error)}). Fetch the file again.") from error


def own_names(weights: dict[str, Tensor], prefix: str, heads: tuple[str, ...]) -> dict[str, Tensor]:
    """Names of the encoder alone: `prefix` off, and the `heads` that a whole model has beside it left out; all else stays."""
    if not any(key.startswith(prefix) for key in weights):
        return weights
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix) or not key.startswith(heads)
    }


def only(answer: Any) -> Tensor:
    """What a layer answers, which in some versions of transformers is the first of a tuple."""
    return answer[0] if isinstance(answer, tuple) else answer  # type: ignore[no-any-return]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
