"""HuBERT: 16 kHz samples -> hidden states of every layer, one each 20 ms. From a local folder or a hub id (95M, 317M)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wakesmith.teachers._base import Switch, TorchSettings

if TYPE_CHECKING:
    from wakesmith.teachers._wav2vec2 import Wav2Vec2

LICENCES = {"facebook/hubert-*": "Apache-2.0"}


class Config(TorchSettings):
    name: Literal["hubert"] = "hubert"
    hub_id: str = "facebook/hubert-base-ls960"
    normalise: Switch = "auto"
    """Whether each clip is brought to mean 0 and variance 1; auto: as the folder's preprocessor_config.json says."""


def build(config: Config) -> Wav2Vec2:
    from wakesmith.teachers import _wav2vec2

    return _wav2vec2.load(config, LICENCES)
