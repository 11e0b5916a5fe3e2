"""The family of wav2vec 2.0 in torch: (B, N) samples -> convolutions -> transformer layers -> (B, L, T, D).

wav2vec2, HuBERT and WavLM differ in how they were trained, and WavLM in a gated bias of relative positions that its first layer
makes and the others use. What transformers does at random when it trains (SpecAugment, layerdrop) is off for good.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from wakesmith.errors import TeacherError
from wakesmith.teachers import _folder
from wakesmith.teachers._torch import TorchEncoder, configuration, licence_of, network, only, own_names

MODELS = {
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
    "hubert": ("HubertConfig", "HubertModel"),
    "wavlm": ("WavLMConfig", "WavLMModel"),
}
HEADS = (
    "lm_head.",  # ForCTC: the letters
    "classifier.", "projector.", "layer_weights",  # ForSequenceClassification, ForAudioFrameClassification
    "tdnn.", "objective.", "feature_extractor.",  # ForXVector: the speaker; the encoder's own convolutions have the prefix
    "quantizer.", "project_q.", "project_hid.",  # ForPreTraining: the targets of the contrastive loss
)  # fmt: skip
UNHEARD = (
    "masked_spec_embed",  # what SpecAugment puts over masked frames, and nothing is masked
    "adapter.",  # shortens what comes after the last layer; the layers themselves are heard
)
POSITIONS = "encoder.pos_conv_embed.conv."
WEIGHT_NORM = {  # torch renamed the two parts of a normed weight in 2.0; the files on the hub are older
    f"{POSITIONS}weight_g": f"{POSITIONS}parametrizations.weight.original0",
    f"{POSITIONS}weight_v": f"{POSITIONS}parametrizations.weight.original1",
}
TINY = 1e-7  # added to the variance, as in the feature extractor that the models were trained behind


class Wav2Vec2(TorchEncoder):
    """Layers: the projected frames with their positions, then every transformer layer; the last as `last_hidden_state` has it."""

    module: Any

    def __init__(self, module: nn.Module, settings: Any, licence: str, normalise: bool) -> None:
        super().__init__(module, settings, licence)
        config = self.module.config
        self.n_layers, self.hidden_size = config.num_hidden_layers + 1, config.hidden_size
        self.min_samples = min_samples(config.conv_kernel, config.conv_stride)
        self.preprocessing = {"rate_hz": self.rate_hz, "normalise": normalise}

    def _words(self) -> tuple[object, ...]:
        return (self.preprocessing["normalise"],)

    def layers(self) -> list[nn.Module]:
        return list(self.module.encoder.layers)

    def prepare(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, N), each clip with mean 0 and variance 1 where the model was trained so."""
        if not self.preprocessing["normalise"]:
            return samples
        variance, mean = torch.var_mean(samples, dim=1, correction=0, keepdim=True)
        return (samples - mean) / (variance + TINY).sqrt()

    def states(self, prepared: Tensor) -> list[Tensor]:
        """(B, N) -> L tensors (B, T, D)."""
        encoder, stable = self.module.encoder, self.module.config.do_stable_layer_norm
        hidden = only(self.module.feature_projection(self.module.feature_extractor(prepared).transpose(1, 2)))
        hidden = hidden + encoder.pos_conv_embed(hidden)
        hidden = encoder.dropout(hidden if stable else encoder.layer_norm(hidden))
        states = [hidden]
        bias: dict[str, Tensor] = {}
        for layer in encoder.layers:
            answer = layer(hidden, attention_mask=None, **bias)
            hidden = only(answer)
            if self._name == "wavlm":
                bias = {"position_bias": answer[1]}
            states.append(hidden)
        if stable:
            states[-1] = encoder.layer_norm(hidden)
        return states


def min_samples(kernels: list[int], strides: list[int]) -> int:
    """The fewest samples that leave one frame after a stack of convolutions."""
    n = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        n = (n - 1) * stride + kernel
    return n


def load(config: Any, licences: dict[str, str]) -> Wav2Vec2:
    """Raises TeacherError when folder, hub file, settings or weights cannot be used."""
    import transformers

    files = _folder.find(config)
    config_class, model_class = (getattr(transformers, name) for name in MODELS[config.name])
    settings = configuration(files.settings, config.name, config_class)
    settings.apply_spec_augment, settings.layerdrop = False, 0.0
    settings.mask_time_prob = settings.mask_feature_prob = 0.0
    settings.add_adapter = False
    normalise = _normalise(config, files)
    encoder = Wav2Vec2(network(files.settings, model_class, settings), config, licence_of(config, licences), normalise)
    encoder.load(config, files, lambda weights: family_names(weights, f"{config.name}."))
    return encoder


def family_names(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Names as `*Model` has them today, of a file of the model alone or with a head on it."""
    weights = own_names(weights, prefix, HEADS)
    return {WEIGHT_NORM.get(key, key): value for key, value in weights.items() if not key.startswith(UNHEARD)}


def _normalise(config: Any, files: _folder.Folder) -> bool:
    """What `normalise` says, else what preprocessor_config.json says; its rate is checked on the way."""
    told = _folder.preprocessing(files.preprocessor)
    if told.get("rate_hz", TorchEncoder.rate_hz) != TorchEncoder.rate_hz:
        raise TeacherError(
            f"{files.preprocessor}: {told['rate_hz']} Hz, clips have {TorchEncoder.rate_hz}. Choose another model."
        )
    if config.normalise != "auto":
        return bool(config.normalise == "on")
    if not isinstance(told.get("normalise"), bool):
        raise TeacherError(
            f"teacher.normalise: auto reads do_normalize of {_folder.PREPROCESSOR}, which {config.path or config.hub_id} lacks. "
            "Set it to on where the model was trained on clips of mean 0 and variance 1, else to off."
        )
    return bool(told["normalise"])
