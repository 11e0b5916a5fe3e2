"""Sources on disk become recordings; every mistake is told with its place."""

import json
import os
import re

import numpy as np
import pytest

from wakesmith import audio, config, registry
from wakesmith.errors import ConfigError, DataError

TONE = 0.1 * np.sin(np.arange(1600) * 0.2).astype(np.float32)


def source(name, **options):
    return registry.build("importers", config.part("importers", name, **options))


def listed(name, **options):
    return list(source(name, **options).recordings())


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, TONE)


def manifest(folder, text, name="manifest.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def test_every_importer_has_a_path_and_tells_of_a_missing_one(tmp_path):
    for name in registry.names("importers"):
        with pytest.raises(DataError, match=r"nowhere.*Check"):
            listed(name, path=str(tmp_path / "nowhere"), label="wake")


def test_a_folder_tree_takes_labels_from_its_top_folders(tmp_path):
    for name in ("wake/a.wav", "speech/deep/b.flac", "speech/notes.txt"):
        write(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("no sound")

    found = listed("wav_folders", path=str(tmp_path))

    assert [(recording.label, file.name) for recording, file in found] == [("speech", "b.flac"), ("wake", "a.wav")]


def test_a_folder_without_sub_folders_is_one_speaker_where_folders_are_speakers(tmp_path):
    write(tmp_path / "ana/1.wav")
    write(tmp_path / "ana/2.wav")
    flat = listed("wav_folders", path=str(tmp_path / "ana"), label="wake", speaker="folder")

    assert [recording.speaker for recording, _ in flat] == ["ana", "ana"]


def test_folders_that_the_mapping_does_not_name_are_left_out_and_counted(tmp_path):
    write(tmp_path / "nova/a.wav")
    write(tmp_path / "cat/b.wav")
    importer = source("wav_folders", path=str(tmp_path), labels={"nova": "wake"})

    assert [recording.label for recording, _ in importer.recordings()] == ["wake"]
    assert sum(importer.dropped.values()) == 1


def test_a_folder_that_may_not_be_read_is_left_out_and_told(tmp_path, monkeypatch):
    write(tmp_path / "open/a.wav")
    write(tmp_path / "shut/b.wav")
    scan = os.scandir

    def refusing(folder):  # who runs the tests as root may read everything
        if folder == tmp_path / "shut":
            raise PermissionError(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    importer = source("wav_folders", path=str(tmp_path), label="wake")

    assert [file.name for _, file in importer.recordings()] == ["a.wav"]
    assert list(importer.dropped) == ["the folder may not be read (change its permissions)"]


def test_the_speaker_comes_from_the_folder_or_the_file_name(tmp_path):
    write(tmp_path / "anna/17ab_nohash_0.wav")
    options = {"path": str(tmp_path), "label": "speech"}

    assert listed("wav_folders", **options)[0][0].speaker == ""
    assert listed("wav_folders", **options, speaker="folder")[0][0].speaker == "anna"
    assert listed("wav_folders", **options, speaker_pattern="([0-9a-f]+)_nohash_")[0][0].speaker == "17ab"


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no sound files here"):
        listed("wav_folders", path=str(tmp_path), label="noise")


def test_a_file_without_a_label_is_an_error_that_names_the_folders(tmp_path):
    write(tmp_path / "cat/b.wav")
    with pytest.raises(DataError, match=r"no label.*cat"):
        listed("wav_folders", path=str(tmp_path))


def test_csv_and_jsonl_give_the_same_recordings(tmp_path):
    row = {"path": "a.wav", "label": "wake", "text": "hey nova", "speaker": "p1", "split": "dev", "licence": "CC0-1.0"}
    text = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    one = listed("manifest_csv", path=manifest(tmp_path / "set", text), split="column")
    (tmp_path / "set/manifest.csv").unlink()
    two = listed("manifest_csv", path=manifest(tmp_path / "set", json.dumps(row), "manifest.jsonl"), split="column")

    assert one == two
    assert (one[0][0].speaker, one[0][0].split, one[0][0].licence) == ("p1", "dev", "CC0-1.0")


def test_rows_are_kept_and_dropped_by_column_and_their_split_can_be_fixed(tmp_path):
    path = manifest(tmp_path / "set", "path,label,split\na.wav,alexa,train\nb.wav,jarvis,train\nc.wav,alexa,dev\n")
    importer = source("manifest_csv", path=path, label="wake", split="test", keep={"label": ["alexa"]}, drop={"split": ["dev"]})

    assert [(r.id, r.label, r.split) for r, _ in importer.recordings()] == [("set/a.wav", "wake", "test")]
    assert sum(importer.dropped.values()) == 2


def test_seconds_of_the_phrase_become_samples(tmp_path):
    path = manifest(tmp_path / "set", "path,speech_start_s,speech_end_s\na.wav,0.5,1.25\n")

    recording = listed("manifest_csv", path=path, label="wake")[0][0]

    assert (recording.phrase_start, recording.phrase_end) == (8_000, 20_000)


@pytest.mark.parametrize("path", ["../a.wav", "/etc/passwd", "x/../../a.wav", "..\\a.wav", "link.wav", ""])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, path):
    write(tmp_path / "outside.wav")
    folder = manifest(tmp_path / "set", f"path,label\n{path},wake\n")
    (tmp_path / "set/link.wav").symlink_to(tmp_path / "outside.wav")

    with pytest.raises(DataError, match=r"line 2: the path .* leaves"):
        listed("manifest_csv", path=folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,label\na.wav,wake\n", "no column path. It has: file, label"),
        ("path,label\na.wav,alexa\n", "line 2: label 'alexa'"),
        ("path,label,split\na.wav,wake,valid\n", "line 2: split 'valid'"),
        ("path,label\na.wav\n", "line 2: not as many fields"),
        ("path,label,phrase_end_s\na.wav,wake,soon\n", "line 2: .*expected seconds"),
        ("path,label,phrase_start_s,phrase_end_s\na.wav,wake,2,1\n", "line 2: .*expected 0 <= start < end"),
        ("path,label\n", "no rows to use"),
    ],
)
def test_a_bad_manifest_is_told_with_its_line(tmp_path, text, told):
    folder = manifest(tmp_path / "set", text)
    with pytest.raises(DataError, match=told):
        listed("manifest_csv", path=folder, split="column" if "split" in text else "")


def test_a_broken_jsonl_line_is_an_error(tmp_path):
    folder = manifest(tmp_path / "set", '{"path": "a.wav"\n', "manifest.jsonl")
    with pytest.raises(DataError, match=re.escape("not readable")):
        listed("manifest_csv", path=folder, label="wake")


def test_an_unknown_label_in_the_settings_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="expected one of wake"):
        config.part("importers", "wav_folders", path=str(tmp_path), label="awake")


def test_the_text_may_stand_in_another_column(tmp_path):
    path = manifest(tmp_path / "words", "path,word\na.wav,stop\n")
    write(tmp_path / "words" / "a.wav")

    assert listed("manifest_csv", path=path, label="wake", text_from="word")[0][0].text == "stop"
    with pytest.raises(DataError, match="no column said"):
        listed("manifest_csv", path=path, label="wake", text_from="said")
