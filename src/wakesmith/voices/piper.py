"""piper: voice files of piper-tts (.onnx with .onnx.json beside it), all speakers of multi-speaker voices.

Package `piper-tts` (GPL-3.0-or-later); every voice has a licence of its own, named in its MODEL_CARD: write it into `licence`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from wakesmith.audio import Samples
from wakesmith.errors import ConfigError
from wakesmith.voices import _espeak, _texts
from wakesmith.voices._base import Utterance, VoiceSettings, finished, need

HUB = "rhasspy/piper-voices"
HUB_NAME = re.compile(r"(([a-z]{2,3})_[A-Z]{2})-([a-zA-Z0-9_]+)-(x_low|low|medium|high)")


class Config(VoiceSettings):
    name: Literal["piper"] = "piper"
    path: str
    """A voice file (.onnx), or the name of a voice on the hub, such as en_US-libritts-high."""
    licence: str = "piper voice of unknown licence: see its MODEL_CARD"
    """As its MODEL_CARD says."""
    length_scale: list[float] = Field(default=[0.8, 1.3], min_length=2, max_length=2)
    """Fastest and slowest speech; 1 is the voice's own pace."""


class Piper:
    name = "piper"
    says_phonemes = True
    foreign: frozenset[str] = frozenset()

    def __init__(self, config: Config) -> None:
        need("piper", "piper-tts", "piper")
        self.config = config
        self.licence = config.licence
        self.file = _file(config.path)
        try:
            card = json.loads(Path(f"{self.file}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.file}.json: expected the voice's settings there. Keep both files side by side.") from error
        self.language = str(card.get("espeak", {}).get("voice", "") or card.get("language", {}).get("code", ""))
        if not self.language or _texts.base(config.language or self.language) != _texts.base(self.language):
            raise ConfigError(
                f"voices.path: {self.file.name} speaks {self.language or 'a language its .json does not name'}, "
                f"not '{config.language}'. Name a voice file of that language."
            )
        self.ids: dict[str, int | None] = {f"{self.file.stem}+{name}": i for name, i in card.get("speaker_id_map", {}).items()}
        self.ids = self.ids or {self.file.stem: None}
        self._model: Any = None

    def speakers(self) -> list[str]:
        return list(self.ids)

    def say(self, utterance: Utterance, speaker: str, rng: np.random.Generator) -> Samples:
        from piper import SynthesisConfig

        text = utterance.text.replace("[", " ")
        if utterance.phonemes:  # piper reads IPA inside [[ ]]
            text = f"[[{_espeak.library().ipa(_espeak.spoken(utterance.phonemes), self.language)}]]"
        pace = float(np.exp(rng.uniform(*np.log(self.config.length_scale))))
        how = SynthesisConfig(speaker_id=self.ids[speaker], length_scale=pace)
        model = self._seeded(int(rng.integers(2**31)))
        chunks = [chunk.audio_float_array for chunk in model.synthesize(text, how)]
        samples = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)
        return finished(samples, model.config.sample_rate, rng, f"piper/{speaker}: {utterance.text!r}")

    def _seeded(self, seed: int) -> Any:
        """The model, loaded anew: the noise inside its graph takes its seed then."""
        import onnxruntime
        from piper import PiperVoice

        onnxruntime.set_seed(seed)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # loading counts most here
        session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        if self._model is None:
            self._model = PiperVoice.load(self.file)
        self._model.session = session
        return self._model


def _file(path: str) -> Path:
    if Path(path).is_file():
        return Path(path)
    match = HUB_NAME.fullmatch(path)
    if not match:
        raise ConfigError(
            f"voices.path: {path} is neither a file nor a voice's name such as en_US-lessac-medium. Check the path."
        )
    need("huggingface_hub", "huggingface_hub", "piper")
    from huggingface_hub import hf_hub_download

    locale, language, name, quality = match.groups()
    try:
        files = [hf_hub_download(HUB, f"{language}/{locale}/{name}/{quality}/{path}{end}") for end in (".onnx", ".onnx.json")]
    except Exception as error:  # the hub's client raises many kinds; all mean that the files are not here
        raise ConfigError(
            f"voices.path: {path} cannot be had from {HUB} ({error}). Check the name and the connection."
        ) from error
    return Path(files[0])


def build(config: Config) -> Piper:
    """Raises ConfigError without the package or the voice's two files."""
    return Piper(config)
