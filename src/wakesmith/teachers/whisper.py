"""Any Whisper encoder: 16 kHz samples -> hidden states of every layer, one each 20 ms. From a local folder or a hub id. MIT.

transformers asks for 30 s at a time; here the positional table is cut to the clip, so that 1.5 s cost a forward over 1.5 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wakesmith.config import PartSettings

if TYPE_CHECKING:
    from wakesmith.teachers._whisper import Whisper


class Config(PartSettings):
    name: Literal["whisper"] = "whisper"
    path: str = ""
    """A folder with config.json and model.safetensors; empty: `hub_id` is used."""
    hub_id: str = "openai/whisper-tiny.en"
    revision: str = "main"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is faster on a GPU or a processor with AMX or AVX512-BF16; with AVX2 alone it took five times as long.

    The mel is always float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


def build(config: Config) -> Whisper:
    from wakesmith.teachers import _whisper

    return _whisper.load(config)
