"""The espeak-ng library through ctypes: text or phonemes -> samples, text -> phonemes. Found by the package `espeakng-loader`.

The library keeps hidden state from one utterance to the next (noise, phase), and no call resets it. So it is loaded afresh
for every utterance (4 ms): then the sound depends on the utterance alone, in any process and any order.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wakesmith.errors import ConfigError
from wakesmith.voices._base import need

RATE_HZ = 22_050
SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples arrive in the callback
UTF8, READS_PHONEMES = 1, 0x100
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER
AS_MNEMONICS, AS_IPA, AS_SINGLE_IPA = ord("_") << 8, 2, ord("_") << 8 | 2
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Library:
    """One loaded library of this process."""

    def __init__(self) -> None:
        need("espeakng_loader", "espeakng-loader", "espeak")
        import espeakng_loader

        self.path, self.data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        self.chunks: list[npt.NDArray[np.int16]] = []
        self.callback = Callback(self._take)  # kept: the library holds only its address
        self.voice = ""
        self._load()

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], n: int, events: int) -> int:
        if n > 0 and samples:
            self.chunks.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    def _load(self) -> None:
        self.lib = ctypes.CDLL(self.path)
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        if self.lib.espeak_Initialize(SYNCHRONOUS, 0, str(self.data).encode(), 0) != RATE_HZ:
            raise ConfigError(f"{self.data}: espeak-ng cannot read its data. Install it again: pip install espeakng-loader")
        self.lib.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else breath is noise seeded with the time of day
        self.lib.espeak_SetSynthCallback(self.callback)
        self.voice = ""

    def fresh(self) -> None:
        """Forget everything that was said before."""
        self.lib.espeak_Terminate()
        if sys.platform == "win32":
            ctypes.windll.kernel32.FreeLibrary(ctypes.c_void_p(self.lib._handle))
        else:
            import _ctypes

            _ctypes.dlclose(self.lib._handle)
        self._load()

    def set_voice(self, voice: str) -> None:
        """`en-us` or `en-us+f3`. Raises ConfigError for a voice that is not there: the library would keep the last one."""
        if voice != self.voice and self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            known = ", ".join(sorted(name.split("/")[-1] for name in languages()))
            raise ConfigError(f"language: espeak has no voice '{voice}'. There are: {known}.")
        self.voice = voice

    def say(self, voice: str, text: str, rate: int, pitch: int, pitch_range: int) -> npt.NDArray[np.float32]:
        """Text (phonemes inside [[ ]]) -> (N,) float32 at 22,050 Hz; rate in words a minute, pitch and range 0..100."""
        self.fresh()
        self.set_voice(voice)
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        self.chunks.clear()
        data = text.encode() + b"\0"
        self.lib.espeak_Synth(data, len(data), 0, 0, 0, UTF8 | READS_PHONEMES, None, None)
        if not self.chunks:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate(self.chunks).astype(np.float32) / np.float32(32_768.0)

    def phonemes(self, text: str, language: str, mode: int = AS_MNEMONICS) -> str:
        """Text -> phonemes: mnemonics with `_` between sounds and a space between words, or IPA."""
        self.set_voice(base_voice(language))
        pointer = ctypes.c_char_p(text.encode())
        found = []
        while pointer.value is not None:
            part = self.lib.espeak_TextToPhonemes(ctypes.byref(pointer), UTF8, mode)
            found.append(part.decode().strip() if part else "")
        return " ".join(part for part in found if part)

    def ipa(self, text: str, language: str) -> str:
        """Text (phonemes inside [[ ]]) -> IPA with stress marks."""
        if "[[" in text:  # reading [[ ]] is a mode that only a call of espeak_Synth switches on
            self.set_voice(base_voice(language))
            self.lib.espeak_Synth(b"[[_]]\0", 6, 0, 0, 0, UTF8 | READS_PHONEMES, None, None)
        return self.phonemes(text, language, AS_IPA)


@cache
def library() -> Library:
    """The library of this process."""
    return Library()


def spoken(phonemes: str) -> str:
    """Phonemes as `Library.phonemes` gives them -> text that the library reads as phonemes: h_'eI n_'oU -> [[h|'eI n|'oU]]."""
    return "[[" + phonemes.replace("_", "|") + "]]"


@cache
def languages() -> dict[str, list[str]]:
    """Voice file name -> the language codes it gives, the first being its own: en -> [en-gb, en], en-us -> [en-us, en]."""
    need("espeakng_loader", "espeakng-loader", "espeak")
    import espeakng_loader

    found = {}
    for path in sorted((Path(espeakng_loader.get_data_path()) / "lang").rglob("*")):
        if path.is_file():
            lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
            found[path.name.lower()] = [words[1].lower() for words in lines if len(words) > 1 and words[0] == "language"]
    return found


def base_voice(language: str) -> str:
    """The voice whose phonemes stand for a language; American for plain English, as most word lists are.

    A region is said by the voice that names it (es-mx by es-419). Raises ConfigError for one that no voice names.
    """
    wanted = {"en": "en-us", "en-gb": "en"}.get(language.lower(), language.lower())
    known = languages()
    for name, codes in known.items():
        if wanted == name or wanted in codes[:1]:
            return name
    for name, codes in known.items():
        if wanted in codes:
            return name
    base = wanted.replace("_", "-").split("-")[0]
    near = sorted({code for codes in known.values() for code in codes if code.split("-")[0] == base})
    told = f"Of {base} there are: {', '.join(near)}" if near else f"There are: {', '.join(sorted(known))}"
    raise ConfigError(f"language: espeak does not know '{language}'. {told}.")
