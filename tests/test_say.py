"""`say`: a voice that took no part in training can be asked for by the run."""

import pytest

from wakesmith import config
from wakesmith.config import to_yaml
from wakesmith.data.records import Recording, save_jsonl
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe, say


def recording(speaker, source, split, label="wake"):
    return Recording(f"{speaker}{split}", "x.flac", "hey nova", label, speaker, source, "CC0", 16_000, split)


def test_the_unheard_voice_is_a_synthetic_one_of_the_test_split(tmp_path):
    (tmp_path / "prepare").mkdir()
    rows = [
        recording("espeak/en+f1", "espeak", "train"), recording("someone", "real", "test"),
        recording("espeak/en+m2", "espeak", "test", "speech"), recording("espeak/en+m3", "espeak", "test"),
    ]  # fmt: skip
    save_jsonl(tmp_path / "prepare" / "recordings.jsonl", rows)
    (tmp_path / "config.yaml").write_text(to_yaml(_recipe.load({"phrase": "hey nova", "language": "en-gb"})))

    voice, speaker = say.unheard(tmp_path)

    assert (voice.name, voice.language, speaker) == ("espeak", "en-gb", "en+m3")


def test_a_speaker_that_is_not_there_names_the_nearest_and_not_all_of_hundreds(tmp_path):
    with pytest.raises(ConfigError, match=r"Did you mean 'en\+f1'\? .* more\.$") as told:
        say.run("hey nova", tmp_path / "x.wav", config.part("voices", "espeak", language="en"), "en-f1", None, 1)

    assert len(str(told.value)) < 600


def test_nothing_is_not_said(tmp_path):
    with pytest.raises(ConfigError, match="expected words with letters"):
        say.run(" ", tmp_path / "x.wav", config.part("voices", "espeak", language="en"), None, None, 1)

    assert not (tmp_path / "x.wav").exists()


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(ConfigError, match="not a prepared run"):
        say.unheard(tmp_path)
