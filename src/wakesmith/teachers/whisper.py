"""Any Whisper encoder: 16 kHz samples -> hidden states of every layer, one each 20 ms. From a local folder or a hub id.

transformers asks for 30 s at a time; here the positional table is cut to the clip, so that 1.5 s cost a forward over 1.5 s.
The mel is float32 in every `dtype`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wakesmith.teachers._base import TorchSettings

if TYPE_CHECKING:
    from wakesmith.teachers._whisper import Whisper


LICENCES = {"openai/whisper-*": "MIT"}


class Config(TorchSettings):
    name: Literal["whisper"] = "whisper"
    hub_id: str = "openai/whisper-tiny.en"


def build(config: Config) -> Whisper:
    from wakesmith.teachers import _whisper

    return _whisper.load(config, LICENCES)
