"""The soak of the Wyoming server: every detection arrives, a lost one is noticed, and memory stays flat."""

import json
from collections import Counter

import pytest

from tests import scripts, tone_bundle
from wakesmith import audio

pytest.importorskip("wyoming", reason="the extra `serve` is not installed")
pytest.importorskip("onnx", reason="the extra `train` is not installed")
soak = scripts.loaded("benchmarks/soak.py")


@pytest.mark.parametrize(("clients", "hours"), [(3, 1 / 60), pytest.param(20, 0.1, marks=pytest.mark.slow)])
def test_every_client_is_told_what_a_detector_finds(capsys, clients, hours):
    assert soak.main(["--clients", str(clients), "--hours", str(hours), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert len(told["clients"]) == clients
    assert all(one["found"] == one["expected"] > 0 for one in told["clients"])
    assert {"start", "100 %", "end"} <= told["memory"].keys()


@pytest.mark.slow
def test_a_bundle_of_ones_own_is_soaked_with_a_sound_that_holds_its_phrase(tmp_path, capsys):
    bundle = tone_bundle.make(tmp_path / "bundle", {"alexa": 2_000})
    audio.write(tmp_path / "beep.wav", tone_bundle.tone(2_000, 2.0, 0.5, 10.0))
    audio.write(tmp_path / "nothing.wav", tone_bundle.tone(3_000, 2.0, 0.5, 10.0))

    for sound, code in (("beep.wav", 0), ("nothing.wav", 1)):
        given = [str(bundle), "--sound", str(tmp_path / sound), "--clients", "2", "--hours", "0"]
        assert soak.main(given) == code
    assert "2 clients, 0.0 h of audio" in capsys.readouterr().out


def test_a_detection_that_is_lost_moved_or_made_up_is_counted():
    expected = Counter({("nova", 1_000): 1, ("nova", 5_000): 1})

    assert soak.compared(expected, Counter({("nova", 1_000): 1})) == {"expected": 2, "found": 1, "lost": 1, "made_up": 0}
    moved = soak.compared(expected, Counter({("nova", 1_000): 1, ("nova", 5_001): 1}))
    assert (moved["lost"], moved["made_up"]) == (1, 1)
