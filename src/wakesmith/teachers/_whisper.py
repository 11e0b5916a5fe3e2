"""Whisper's encoder in torch: its exact log-mel, its strict weights, and its forward over a clip of any length up to 30 s."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from wakesmith.audio import SAMPLE_RATE_HZ
from wakesmith.errors import TeacherError
from wakesmith.teachers._base import check_samples, fingerprint_of

if TYPE_CHECKING:
    from wakesmith.teachers.whisper import Config

N_FFT = 400
HOP_SAMPLES = 160
WEIGHTS, SETTINGS = "model.safetensors", "config.json"
PREFIXES = ("model.encoder.", "encoder.")
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
    spectrum = torch.stft(samples, N_FFT, HOP_SAMPLES, window=window, return_complex=True)
    power = (spectrum[..., :-1].abs() ** 2).contiguous()  # (B, 201, T)
    log = (mel_filters(n_mels).to(samples.device).T @ power).clamp_min(1e-10).log10()
    loudest = log.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(log, loudest - DYNAMIC_RANGE) + 4.0) / 4.0


def read_weights(path: Path) -> dict[str, Tensor]:
    """The encoder's tensors, of a file of the encoder or of a whole Whisper, as float32 under the encoder's own names."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            prefix = next((prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in keys)), "")
            return {key.removeprefix(prefix): file.get_tensor(key).float() for key in keys if key.startswith(prefix)}
    except (SafetensorError, OSError) as error:
        raise TeacherError(f"{path}: not readable as safetensors ({error}). Fetch the file again.") from error


def load_strictly(encoder: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Every key and shape must agree, else TeacherError lists what does not."""
    wanted = {key: tensor.shape for key, tensor in encoder.state_dict().items()}
    kinds = {
        "missing": [key for key in wanted if key not in weights],
        "unexpected": [key for key in weights if key not in wanted],
        "of another shape": [
            f"{key} {list(weights[key].shape)} for {list(shape)}"
            for key, shape in wanted.items()
            if key in weights and weights[key].shape != shape
        ],
    }
    problems = [
        f"{len(found)} {kind} ({', '.join(found[:3])}{' ...' * (len(found) > 3)})" for kind, found in kinds.items() if found
    ]
    if problems:
        raise TeacherError(f"{path}: does not fit its {SETTINGS}: {'; '.join(problems)}. Give weights and settings of one model.")
    encoder.load_state_dict(weights)


class Whisper:
    """See `_base.Encoder`. Layers: the embedded frames, then every transformer layer; the last one normalised as Whisper does."""

    rate_hz = SAMPLE_RATE_HZ
    min_samples = N_FFT
    licence = "MIT"

    def __init__(self, encoder: Any, source: str, files: list[Path], dtype: torch.dtype, device: torch.device) -> None:
        self.encoder = encoder.eval().requires_grad_(False).to(device)
        self.source = source
        self.n_layers = len(encoder.layers) + 1
        self.hidden_size: int = encoder.config.d_model
        self._files, self._dtype, self._device = files, dtype, device

    def fingerprint(self) -> str:
        return fingerprint_of(self._files, "whisper", self._dtype)

    @property
    def max_samples(self) -> int:
        return int(self.encoder.config.max_source_positions) * 2 * HOP_SAMPLES

    @torch.no_grad()
    def encode(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, L, N // 320, D)."""
        check_samples(samples, self.min_samples, "whisper")
        if samples.shape[1] > self.max_samples:
            raise TeacherError(
                f"whisper: hears at most {self.max_samples} samples at once, got {samples.shape[1]}. Cut the clips shorter."
            )
        mel = log_mel(samples.to(self._device, torch.float32), self.encoder.config.num_mel_bins)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            states = self._states(mel)
        return torch.stack([state.float() for state in states], dim=1).cpu()

    def _states(self, mel: Tensor) -> list[Tensor]:
        """(B, n_mels, T) -> L tensors (B, T / 2, D)."""
        encoder = self.encoder
        hidden = nn.functional.gelu(encoder.conv1(mel))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in encoder.layers:
            hidden = layer(hidden, None)
            states.append(hidden)
        states[-1] = encoder.layer_norm(hidden)
        return states


def load(config: Config) -> Whisper:
    """Raises TeacherError when folder, hub file, settings or weights cannot be used."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    files = _local(Path(config.path)) if config.path else _from_hub(config.hub_id, config.revision)
    try:
        settings = WhisperConfig.from_json_file(str(files[0]))
    except (OSError, ValueError, TypeError) as error:
        raise TeacherError(f"{files[0]}: not a Whisper configuration ({error}). Fetch the file again.") from error
    if settings.model_type != "whisper":
        raise TeacherError(f"{files[0]}: a {settings.model_type} model, expected whisper. Choose another teacher.")
    settings._attn_implementation = "sdpa"
    encoder = WhisperEncoder(settings)
    load_strictly(encoder, read_weights(files[1]), files[1])
    return Whisper(encoder, config.path or config.hub_id, files, getattr(torch, config.dtype), _device(config.device))


def _local(folder: Path) -> list[Path]:
    files = [folder / SETTINGS, folder / WEIGHTS]
    for file in files:
        if not file.is_file():
            raise TeacherError(f"teacher.path: {file}: no such file. Give a folder with {SETTINGS} and {WEIGHTS}.")
    return files


def _from_hub(hub_id: str, revision: str) -> list[Path]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return [Path(hf_hub_download(hub_id, name, revision=revision)) for name in (SETTINGS, WEIGHTS)]
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TeacherError(
            f"teacher.hub_id: {hub_id} cannot be fetched ({reason}). Check id and network, or set teacher.path to a folder."
        ) from error


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TeacherError("teacher.device: cuda was asked for, but torch sees no GPU. Set it to cpu or auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
