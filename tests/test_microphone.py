"""The microphone by a stand-in for sounddevice: chunks come, and one that was pulled out or lost sound is told."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wakesmith.runtime import microphone
from wakesmith.steps.record import record


@pytest.fixture
def pulled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A microphone that gives three chunks, of which the last two come late, and is pulled out."""

    class Stream:
        def __init__(self, rate_hz: int, chunk_samples: int, device: object, channels: int, dtype: str, callback: object) -> None:
            self.chunk, self.callback = np.zeros(chunk_samples, np.int16), callback

        def __enter__(self) -> None:
            for number in range(3):
                self.callback(self.chunk + number, len(self.chunk), None, SimpleNamespace(input_overflow=number > 0))

        def __exit__(self, *error: object) -> None:
            pass

    fake = SimpleNamespace(RawInputStream=Stream, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(microphone, "SILENT_S", 0.05)


@pytest.mark.usefixtures("pulled_out")
def test_a_microphone_that_is_pulled_out_is_told_and_does_not_hang():
    heard = microphone.chunks()

    assert [next(heard)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(microphone.Silent, match=r"went silent: nothing came for .* s\. Plug it in"):
        next(heard)


@pytest.mark.usefixtures("pulled_out")
def test_sound_that_was_lost_is_told_once(capsys: pytest.CaptureFixture[str]):
    heard = microphone.chunks()
    for _ in range(3):
        next(heard)

    assert capsys.readouterr().err.count("sound was lost") == 1


@pytest.mark.usefixtures("pulled_out")
def test_record_says_that_good_takes_are_kept(tmp_path: Path):
    with pytest.raises(microphone.AudioError, match=r"went silent\. What was good is kept"):
        record(tmp_path / "ana", "hey nova", 1, microphone.chunks())
