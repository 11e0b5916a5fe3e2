"""Whisper's encoder in torch: its exact log-mel, its strict weights, and its forward over a clip of any length up to 30 s."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import TeacherError
from wakesmith.teachers import _folder
from wakesmith.teachers._torch import TorchEncoder, configuration, licence_of, network, only, own_names

if TYPE_CHECKING:
    from wakesmith.teachers.whisper import Config

N_FFT = 400
HOP_SAMPLES = 160
PREFIXES = ("model.encoder.", "encoder.")
HEADS = (
    "model.decoder.", "decoder.", "proj_out.",  # what writes the text
    "projector.", "classifier.", "layer_weights",  # ForAudioClassification
)  # fmt: skip
DYNAMIC_RANGE = 8.0  # log10: what lies more than 80 dB under the loudest of the clip is raised to there


@functools.cache
def mel_filters(n_mels: int) -> Tensor:
    """Slaney's mel filters over 0..8 kHz as Whisper has them. -> (201, n_mels)."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(1 + N_FFT // 2, n_mels, 0.0, 8_000.0, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(np.asarray(bank, dtype=np.float32))


def log_mel(samples: Tensor, n_mels: int) -> Tensor:
    """Whisper's log-mel of each clip by itself, not padded to 30 s. (B, N) -> (B, n_mels, N // 160)."""
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = torch.stft(samples, N_FFT, HOP_SAMPLES, window=window, return_complex=True)[..., :-1]
    power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)  # (B, 201, T), in half the time of abs() ** 2
    log = (mel_filters(n_mels).to(samples.device).T @ power).clamp_min(1e-10).log10()
    loudest = log.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(log, loudest - DYNAMIC_RANGE) + 4.0) / 4.0


class Whisper(TorchEncoder):
    """Layers: the embedded frames, then every transformer layer; the last one normalised as Whisper does."""

    min_samples = N_FFT
    preprocessing = {"rate_hz": SAMPLE_RATE_HZ, "normalise": False}
    module: Any

    def __init__(self, module: nn.Module, settings: Config, licence: str) -> None:
        super().__init__(module, settings, licence)
        self.n_layers = len(self.module.layers) + 1
        self.hidden_size: int = self.module.config.d_model

    @property
    def max_samples(self) -> int:
        return int(self.module.config.max_source_positions) * 2 * HOP_SAMPLES

    def layers(self) -> list[nn.Module]:
        return list(self.module.layers)

    def prepare(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, n_mels, N // 160)."""
        if samples.shape[1] > self.max_samples:
            raise TeacherError(
                f"whisper: hears at most {self.max_samples} samples at once, got {samples.shape[1]}. Cut the clips shorter."
            )
        return log_mel(samples, self.module.config.num_mel_bins)

    def states(self, prepared: Tensor) -> list[Tensor]:
        """(B, n_mels, T) -> L tensors (B, T / 2, D)."""
        encoder = self.module
        hidden = nn.functional.gelu(encoder.conv1(prepared))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in encoder.layers:
            hidden = only(layer(hidden, None))
            states.append(hidden)
        states[-1] = encoder.layer_norm(hidden)
        return states


def load(config: Config, licences: dict[str, str]) -> Whisper:
    """Raises TeacherError when folder, hub file, settings or weights cannot be used."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    files = _folder.find(config)
    settings = configuration(files.settings, "whisper", WhisperConfig)
    settings._attn_implementation = "sdpa"
    encoder = Whisper(network(files.settings, WhisperEncoder, settings), config, licence_of(config, licences))
    encoder.load(config, files, _own_names)
    return encoder


def _own_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = next((prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in weights)), PREFIXES[0])
    return own_names(weights, prefix, HEADS)
