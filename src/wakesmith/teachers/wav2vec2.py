"""wav2vec 2.0: 16 kHz samples -> hidden states of every layer, one each 20 ms. From a local folder or a hub id (95M, 317M)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wakesmith.teachers._base import Switch, TorchSettings

if TYPE_CHECKING:
    from wakesmith.teachers._wav2vec2 import Wav2Vec2

LICENCES = {  # by name: models of the same family trained on VoxPopuli are for non-commercial use
    "facebook/wav2vec2-base": "Apache-2.0",
    "facebook/wav2vec2-base-960h": "Apache-2.0",
    "facebook/wav2vec2-large": "Apache-2.0",
    "facebook/wav2vec2-large-960h*": "Apache-2.0",
    "facebook/wav2vec2-large-lv60": "Apache-2.0",
    "facebook/wav2vec2-large-xlsr-53": "Apache-2.0",
    "facebook/wav2vec2-xls-r-*": "Apache-2.0",
}


class Config(TorchSettings):
    name: Literal["wav2vec2"] = "wav2vec2"
    hub_id: str = "facebook/wav2vec2-base"
    normalise: Switch = "auto"
    """Whether each clip is brought to mean 0 and variance 1; auto: as the folder's preprocessor_config.json says."""


def build(config: Config) -> Wav2Vec2:
    from wakesmith.teachers import _wav2vec2

    return _wav2vec2.load(config, LICENCES)
