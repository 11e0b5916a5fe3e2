"""Kokoro-82M in ONNX: natural speech; speakers are its style vectors and mixtures of two. Apache-2.0.

A folder holds MODEL.onnx (inputs: tokens (1, n), style (1, 256), speed (1,) -> audio at 24 kHz), the vocabulary, voices/NAME.bin.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from wakesmith.audio import Samples
from wakesmith.config import span
from wakesmith.errors import ConfigError
from wakesmith.rng import rng as named_rng
from wakesmith.voices import _accents, _kokoro_sounds, _texts
from wakesmith.voices._base import Utterance, VoiceSettings, finished, need

RATE_HZ = 24_000
STYLE_SIZE = 256
FIRST_LETTERS = {
    "en": "ab",
    "en-us": "a",
    "en-gb": "b",
    "es": "e",
    "fr": "f",
    "hi": "h",
    "it": "i",
    "ja": "j",
    "pt": "p",
    "pt-br": "p",
}
FIRST_LETTERS |= {"zh": "z", "cmn": "z"}


class Config(VoiceSettings):
    name: Literal["kokoro"] = "kokoro"
    path: str = ""
    """Folder with the model, the vocabulary and voices/."""
    hub: str = ""
    """Instead of a folder: a repository of the Hugging Face hub, such as onnx-community/Kokoro-82M-v1.0-ONNX."""
    styles: list[str] = []
    """Style names such as af_heart; empty: all of the language."""
    accents: bool = False
    """Styles of every other language too, which speak this one with an accent."""
    accent_share: float = Field(default=0.5, ge=0, le=1)
    """Of what those say in English: how much has another language's sounds too, not its melody alone."""
    mixes: int = Field(default=60, ge=0)
    """Further speakers, each a mixture of two styles."""
    g2p: Literal["espeak", "hibari"] = "espeak"
    """What turns English text into phonemes: espeakng-loader, or hibari-tts (no GPL part). Near misses always need espeak."""
    speed: Annotated[list[float], span(0.3, 3)] = [0.85, 1.6]
    """Slowest and fastest speech; 1 is the model's own pace, and people say a wake word faster."""

    @model_validator(mode="after")
    def _one_choice(self) -> Config:
        if self.accents and self.styles:
            raise ValueError("styles names who speaks, and accents asks for all; give one of them")
        return self


class Kokoro:
    """One model; a speaker is a style, or `one+other@0.40`: 40 % of the first."""

    name = "kokoro"
    licence = "Kokoro-82M (Apache-2.0)"
    says_phonemes = True
    # of Japanese espeak gives other sounds than the model learned
    foreign = frozenset(FIRST_LETTERS) & frozenset(_texts.foreign()) - {"ja"}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.language = config.language or "en"
        self.folder = _folder(config)
        self.styles = self._styles()
        if config.g2p == "hibari":
            need("hibari", "hibari-tts", "kokoro")

    def speakers(self) -> list[str]:
        chance = named_rng("kokoro", "mixes", *self.styles)
        found = list(self.styles)
        for _ in range(self.config.mixes if len(self.styles) > 1 else 0):
            one, other = (self.styles[i] for i in chance.choice(len(self.styles), size=2, replace=False))
            found.append(f"{one}+{other}@{chance.uniform(0.3, 0.7):.2f}")
        return list(dict.fromkeys(found))

    def say(self, utterance: Utterance, speaker: str, rng: np.random.Generator) -> Samples:
        sounds = self._sounds(utterance, speaker)
        if not utterance.language and self._is_foreign(speaker) and rng.random() < self.config.accent_share:
            sounds = _accents.accented(sounds, "" if utterance.phonemes else utterance.text, rng)
        ids = [self.vocab[sound] for sound in sounds if sound in self.vocab]
        style = self._style(speaker, len(ids))
        speed = np.exp(rng.uniform(*np.log(self.config.speed))).astype(np.float32)
        names = [found.name for found in self.session.get_inputs()]
        tokens = np.array([[0, *ids, 0]], dtype=np.int64)
        (audio, *_) = self.session.run(None, dict(zip(names, (tokens, style, speed.reshape(1)), strict=True)))
        return finished(np.asarray(audio, dtype=np.float32).reshape(-1), RATE_HZ, rng, f"kokoro/{speaker}: {utterance.text!r}")

    @cached_property
    def session(self) -> Any:
        import onnxruntime

        files = sorted([*self.folder.glob("*.onnx"), *self.folder.glob("onnx/model_quantized.onnx")])
        if not files:
            raise ConfigError(f"{self.folder}: expected an ONNX file of Kokoro there. Check voices.path.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # speak runs one process a core
        return onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])

    @cached_property
    def vocab(self) -> dict[str, int]:
        for name in ("vocab.json", "config.json", "tokenizer.json"):
            if (self.folder / name).is_file():
                found = json.loads((self.folder / name).read_text(encoding="utf-8"))
                found = found.get("model", found).get("vocab", found) if isinstance(found, dict) else {}
                if isinstance(found.get("a"), int):
                    return found
        raise ConfigError(f"{self.folder}: expected vocab.json (phoneme -> token) there. Check voices.path.")

    @cached_property
    def _hibari(self) -> dict[bool, Any]:
        from hibari.g2p import G2P

        return {british: G2P(british=british) for british in (False, True)}

    def _sounds(self, utterance: Utterance, speaker: str) -> str:
        if utterance.language and _texts.base(utterance.language) != "en":
            return _kokoro_sounds.from_espeak(utterance, utterance.language)
        british = speaker.startswith("b")
        if self.config.g2p == "hibari" and not utterance.phonemes:
            return str(self._hibari[british](utterance.text))
        english = "en-gb" if british else "en-us"
        language = english if _texts.base(utterance.language or self.language) == "en" else self.language
        return _kokoro_sounds.from_espeak(utterance, language)

    def _is_foreign(self, speaker: str) -> bool:
        """Whether English is said by a style, or a mixture with one, that was made for another language."""
        return _texts.base(self.language) == "en" and any(name[0] not in FIRST_LETTERS["en"] for name in speaker.split("+"))

    def _style(self, speaker: str, n_tokens: int) -> npt.NDArray[np.float32]:
        """(1, 256): the row of a style for a text of n tokens, or the weighted mean of two."""
        names, _, weight = speaker.partition("@")
        rows = []
        for name in names.split("+"):
            table = np.fromfile(self.folder / "voices" / f"{name}.bin", dtype=np.float32).reshape(-1, STYLE_SIZE)
            rows.append(table[min(n_tokens, len(table) - 1)])
        mixed = rows[0] if len(rows) == 1 else float(weight) * rows[0] + (1 - float(weight)) * rows[1]
        return np.asarray(mixed, dtype=np.float32).reshape(1, STYLE_SIZE)

    def _styles(self) -> list[str]:
        there = sorted(path.stem for path in (self.folder / "voices").glob("*.bin"))
        first = FIRST_LETTERS.get(self.language.lower()) or FIRST_LETTERS.get(_texts.base(self.language), "")
        found = self.config.styles or [name for name in there if self.config.accents or name[0] in first]
        unknown = [name for name in found if name not in there]
        if unknown or not found:
            wrong = f"no {', '.join(unknown)}" if unknown else f"no style for the language '{self.language}'"
            raise ConfigError(f"voices: {self.folder / 'voices'} holds {wrong}. There are: {', '.join(there) or 'none'}.")
        return found


def _folder(config: Config) -> Path:
    if config.path:
        if not Path(config.path).is_dir():
            raise ConfigError(
                f"voices.path: {config.path} is no folder. Name one with Kokoro's ONNX file, vocab.json and voices/."
            )
        return Path(config.path)
    if not config.hub:
        raise ConfigError(
            "voices: 'kokoro' needs 'path' (a folder with its files) or 'hub' (onnx-community/Kokoro-82M-v1.0-ONNX)."
        )
    need("huggingface_hub", "huggingface_hub", "kokoro")
    from huggingface_hub import snapshot_download

    wanted = ["onnx/model_quantized.onnx", "voices/*.bin", "tokenizer.json", "config.json", "vocab.json"]
    try:
        return Path(snapshot_download(config.hub, allow_patterns=wanted))
    except Exception as error:  # the hub's client raises many kinds; all mean that the files are not here
        raise ConfigError(f"voices.hub: {config.hub} cannot be had ({error}). Check the name and the connection.") from error


def build(config: Config) -> Kokoro:
    """Raises ConfigError for a folder that lacks something, or an unknown style."""
    return Kokoro(config)
