"""The whole road in Spanish, small and real, by its own lists and voices; the phrase keeps its accents to the end."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from wakesmith import audio
from wakesmith.data.records import Recording, load_jsonl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="the extra `tts` is not installed"),
]
SMALL = """
language: es-419
speak: {n_wake: 60, n_near_miss: 40, n_speech: 80}
views: {n_views: 2, n_rooms: 10}
student: {name: ds_cnn, width: 8}
train: {steps: 40, batch: 16, evaluations: 4, distil: false}
data: {n_generated: 20}
"""


def wakesmith(*words: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "wakesmith.cli", *map(str, words)], capture_output=True, text=True, timeout=900, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spanish")
    (folder / "small.yaml").write_text(SMALL)
    wakesmith("forge", "¡Oye Señor López!", "--config", "small.yaml", cwd=folder)
    return folder / "runs" / "oye_señor_lópez"


def test_the_card_says_phrase_and_language(run):
    card = json.loads((run / "bundle" / "card.json").read_text(encoding="utf-8"))

    assert (card["phrases"][0]["text"], card["language"]) == ("¡Oye Señor López!", "es-419")


def test_only_spanish_was_spoken(run):
    recordings = [one for one in load_jsonl(run / "prepare" / "recordings.jsonl", Recording) if one.source == "espeak"]

    assert {one.speaker.split("+")[0] for one in recordings} == {"espeak/es-419"}
    assert {one.split for one in recordings if one.label == "wake"} == {"train", "dev", "test"}
    assert not any("señor lópez" in one.text.casefold() for one in recordings if one.label == "speech")


def test_a_detection_is_printed(run):
    heard = [r for r in load_jsonl(run / "prepare" / "recordings.jsonl", Recording) if (r.label, r.split) == ("wake", "test")]
    audio.write(run / "unheard.wav", audio.read(run / "speak" / heard[0].path))

    told = wakesmith("detect", run / "bundle", run / "unheard.wav", "--json", "--threshold", "0.01", cwd=run)

    assert json.loads(told)["detections"]


def test_a_voice_that_took_no_part_says_the_phrase_in_spanish(run):
    wakesmith("say", "oye señor lópez", "said.wav", "--unheard-by", run, cwd=run)

    assert 1.0 < len(audio.read(run / "said.wav")) / audio.SAMPLE_RATE_HZ < 4.0
