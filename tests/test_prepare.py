"""What was spoken and the user's files become one store; what cannot be used is told."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from wakesmith import audio, config
from wakesmith.data import clips
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import Clip, Recording, load_jsonl, save_jsonl
from wakesmith.data.splits import group_of, leaks
from wakesmith.errors import DataError
from wakesmith.rng import rng
from wakesmith.steps import _listed, prepare

RATE = audio.SAMPLE_RATE_HZ


def hiss(name, seconds=1.0, level=0.1):
    return (level * rng("hiss", name).standard_normal(round(seconds * RATE))).astype(np.float32)


def spoken(folder, speakers=8):
    """A run folder as `speak` leaves it."""
    (folder / "speak").mkdir(parents=True)
    (folder / "prepare").mkdir()
    rows = []
    for label in ("wake", "near_miss", "speech"):
        for number in range(speakers):
            name = f"{label}-{number}.wav"
            audio.write(folder / "speak" / name, hiss(name))
            rows.append(Recording(name[:-4], name, label, label, f"v/{number}", "v", "CC0-1.0", RATE, "", 1000, 12_000))
    save_jsonl(folder / "speak" / "recordings.jsonl", rows)
    return folder


def go(folder, *sources, **settings):
    parts = [config.part("importers", "wav_folders", **source) for source in sources]
    settings = prepare.Settings(sources=parts, n_generated=settings.pop("n_generated", 4), **settings)
    prepare.run(SimpleNamespace(data=settings, seed=5, phrases=["hey nova"]), folder)
    return AudioStore.open(folder / "prepare")


def noise_folder(folder):
    """Every rate and channel count, one long file, and files that cannot be used."""
    import soundfile

    folder.mkdir()
    soundfile.write(folder / "stereo.wav", np.stack([hiss("a", 3), hiss("b", 3)], axis=1), 44_100)
    soundfile.write(folder / "low.flac", hiss("c", 1), 8_000)
    soundfile.write(folder / "long.ogg", hiss("long", 30), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    audio.write(folder / "silent.wav", np.zeros(RATE, np.float32))
    audio.write(folder / "short.wav", hiss("short", 0.05))
    audio.write(folder / "whole.wav", hiss("whole"))
    (folder / "cut.wav").write_bytes((folder / "whole.wav").read_bytes()[:9000])
    (folder / "text.mp3").write_text("this is no sound")
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = spoken(tmp_path_factory.mktemp("run"))
    store = go(folder, {"path": noise_folder(folder / "noises"), "label": "noise"}, most_clips={"speech": 3000, "noise": 9})
    return folder, store


def test_every_rate_and_channel_count_becomes_16_khz_mono(run):
    lengths = {id.split("/")[-1]: one.n_samples for id, one in run[1].recordings.items() if one.label == "noise"}

    assert lengths == pytest.approx({"stereo.wav": 17_415, "low.flac": 32_000, "long.ogg": 480_000, "whole.wav": RATE}, abs=2)


def test_what_cannot_be_used_lies_in_quarantine_with_its_reason(run):
    lines = (run[0] / "prepare/quarantine.jsonl").read_text().splitlines()
    reasons = {row["path"].split("/")[-1]: row["reason"] for row in map(json.loads, lines)}

    assert set(reasons) == {"nan.wav", "silent.wav", "short.wav", "cut.wav", "text.mp3"}
    for name, told in (("nan.wav", "NaN"), ("silent.wav", "silent"), ("short.wav", "too short"), ("cut.wav", "truncated")):
        assert told in reasons[name]


def test_a_phrase_that_is_said_to_end_after_its_recording_lies_in_quarantine(tmp_path):
    rows = load_jsonl(spoken(tmp_path) / "speak/recordings.jsonl", Recording)
    wrong = {"wake-0": 3 * RATE, "wake-1": RATE + 400}  # two seconds off; rounded to a fortieth of a second
    rows = [dataclasses.replace(row, phrase_end=wrong.get(row.id, row.phrase_end)) for row in rows]
    save_jsonl(tmp_path / "speak/recordings.jsonl", rows)

    store = go(tmp_path)

    assert "wake-0" not in store.recordings
    assert "wake-1" in store.recordings
    assert "end at 3.00 s, but it is 1.00 s long" in (tmp_path / "prepare/quarantine.jsonl").read_text()


def test_the_store_gives_back_what_was_recorded(run):
    heard = run[1].recording("wake-3")

    assert np.abs(heard - audio.read(run[0] / "speak/wake-3.wav")).max() <= 1 / 32_767


def test_a_phrase_ends_at_the_same_place_in_every_clip(run):
    wakes = [clip for clip in run[1].clips if clip.label in ("wake", "near_miss")]

    assert len(wakes) == 16
    assert {clip.event_end for clip in wakes} == {clips.EVENT_END_SAMPLES}
    assert {clip.start + clip.event_end for clip in wakes} == {12_000}


def test_outside_the_recording_a_clip_is_silent(run):
    clip = next(clip for clip in run[1].clips if clip.recording == "wake-3")
    heard, whole = run[1].clip(clip), run[1].recording("wake-3")

    assert len(heard) == clips.CLIP_SAMPLES
    assert not heard[: -clip.start].any()
    assert np.array_equal(heard[-clip.start : RATE - clip.start], whole)
    assert not heard[RATE - clip.start :].any()


def test_clips_of_a_label_are_capped_by_chance(run):
    splits = [clip.split for clip in run[1].clips if clip.label == "noise"]

    assert max(splits.count(split) for split in set(splits)) <= 9


def test_no_group_is_in_two_splits_and_the_report_says_so(run):
    report = json.loads((run[0] / "prepare/leakage.json").read_text())

    assert not leaks(run[1].recordings.values())
    assert report["groups_in_two_splits"] == {}
    assert len({group_of(one) for one in run[1].recordings.values()}) == 8 + 4


def test_other_speech_whose_text_holds_the_phrase_is_left_out(tmp_path, capsys):
    audio.write(tmp_path / "a.wav", hiss("a", 2))
    audio.write(tmp_path / "b.wav", hiss("b", 2))
    (tmp_path / "manifest.csv").write_text(
        'path,label,speaker,text,licence\na.wav,speech,a,"Well, Hey Nova!",CC0-1.0\nb.wav,speech,b,They know a thing,CC0-1.0\n'
    )
    source = config.part("importers", "manifest_csv", path=str(tmp_path / "manifest.csv"))
    settings = prepare.Settings(sources=[source], n_generated=4)

    prepare.run(SimpleNamespace(data=settings, seed=5, phrases=["hey nova"]), spoken(tmp_path / "run"))

    store = AudioStore.open(tmp_path / "run" / "prepare")
    told = [one.text for split in ("train", "dev", "test") for one in store.of(split, "speech") if one.source != "v"]
    assert told == ["They know a thing"]
    assert "1 left out: labelled as other speech, and their text holds hey nova" in " ".join(capsys.readouterr().err.split())


def test_the_store_survives_a_trip_to_a_worker(run):
    import pickle

    again = pickle.loads(pickle.dumps(run[1]))

    assert np.array_equal(again.clip(again.clips[0]), run[1].clip(run[1].clips[0]))
    assert again.fingerprint == run[1].fingerprint


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    one, two = (go(spoken(tmp_path / name)) for name in ("one", "two"))

    for name in ("audio.npy", "offsets.npy", "recordings.jsonl", "clips.jsonl"):
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_a_copy_in_another_split_is_left_out_and_named(tmp_path):
    sound = hiss("known", 2)
    for name, heard in (("a/one.wav", sound), ("b/two.wav", 0.3 * sound[500:]), ("b/three.wav", hiss("other", 2))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        audio.write(tmp_path / name, heard)

    sources = [
        {"path": str(tmp_path / name), "label": "speech", "split": split} for name, split in (("a", "test"), ("b", "train"))
    ]
    store = go(spoken(tmp_path / "run"), *sources)

    (copy,) = json.loads((store.folder / "leakage.json").read_text())["copies_across_splits"]
    assert "one.wav" in copy["kept"]
    assert "two.wav" in copy["left_out"]
    assert {"a/one.wav", "b/three.wav"} <= set(store.recordings)
    assert "b/two.wav" not in store.recordings


def test_a_speaker_given_to_two_splits_stops_the_run(tmp_path):
    folder = spoken(tmp_path / "run")
    rows = load_jsonl(folder / "speak/recordings.jsonl", Recording)
    rows[0], rows[8] = dataclasses.replace(rows[0], split="train"), dataclasses.replace(rows[8], split="test")
    save_jsonl(folder / "speak/recordings.jsonl", rows)

    with pytest.raises(DataError, match="speaker v/v/0 lies in test and train"):
        go(folder)


def test_a_source_without_a_usable_file_is_an_error_with_the_reason(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/x.wav").write_text("no sound")

    with pytest.raises(DataError, match=r"bad: none of 1 files can be used.*x\.wav: not a readable"):
        go(spoken(tmp_path / "run"), {"path": str(tmp_path / "bad"), "label": "noise"})


def test_one_voice_alone_is_an_error_with_the_way_out(tmp_path):
    with pytest.raises(DataError, match=r"no wake in dev.*2 speakers"):
        go(spoken(tmp_path / "run", speakers=1))


def test_a_run_folder_without_a_store_says_so(tmp_path):
    with pytest.raises(DataError, match="no audio store here"):
        AudioStore.open(tmp_path)


def test_silent_stretches_make_no_clips_and_the_rest_is_covered():
    sound = np.concatenate([hiss("x", 4), np.zeros(4 * RATE, np.float32), hiss("y", 3)])
    one = Recording("r", "r.wav", "", "speech", "s", "v", "CC0-1.0", len(sound), "train")

    cut = clips.clips_of(one, audio.to_int16(sound), -60.0, 100, 1)

    assert [clip.start for clip in cut] == [0, 2 * RATE, 8 * RATE, 9 * RATE]


def test_a_view_fits_into_the_clip_at_every_shift():
    for margin_ms in (50, 350):
        start = clips.EVENT_END_SAMPLES + margin_ms * RATE // 1000 - clips.VIEW_SAMPLES
        assert 0 <= start <= clips.SLACK_SAMPLES


def test_a_clip_past_both_ends_is_filled_with_silence(run):
    heard = run[1].clip(Clip("c", "wake-3", -100, RATE + 300, "wake", "train"))

    assert not heard[:100].any()
    assert not heard[-200:].any()
    assert heard[100:-200].any()


def test_train_clips_beyond_the_most_labelled_lose_their_label_and_those_of_dev_keep_theirs(tmp_path):
    store = go(spoken(tmp_path, speakers=16), most_labelled=3)

    labels = {split: [clip.label for clip in store.clips if clip.split == split] for split in ("train", "dev")}
    assert labels["train"].count("wake") == 3
    assert labels["train"].count("unlabelled") > 3
    assert "wake" in labels["dev"]
    assert "unlabelled" not in labels["dev"]


def test_the_beginning_of_a_phrase_becomes_a_near_miss_where_that_is_asked(tmp_path):
    store = go(spoken(tmp_path), partial_share=1.0)

    cut = [clip for clip in store.clips if clip.id.endswith("+partial")]
    wake = [clip for clip in store.clips if clip.label == "wake" and clip.split == "train"]
    assert len(cut) == len(wake) > 0
    assert {clip.label for clip in cut} == {"near_miss"}
    assert store.clip(cut[0])[-1_000:].any()


def takes(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(folder / name, hiss(f"{folder}/{name}"))
    return str(folder)


def test_two_source_folders_of_one_name_are_told_apart(tmp_path):
    ana, ben = (takes(tmp_path / name / "takes", "001.wav") for name in ("ana", "ben"))
    own = {"path": ana, "label": "wake", "split": "train", "speaker": "folder"}

    store = go(spoken(tmp_path / "run"), own, {**own, "path": ben, "split": "test"})

    found = [one for one in store.recordings.values() if not one.is_spoken]
    assert {(one.id, one.source, one.split) for one in found} == {
        ("ana/takes/001.wav", "ana/takes", "train"),
        ("ben/takes/001.wav", "ben/takes", "test"),
    }


def test_a_manifest_and_a_folder_of_one_name_are_told_apart(tmp_path):
    ana, ben = (takes(tmp_path / name / "takes", "001.wav") for name in ("ana", "ben"))
    (tmp_path / "ben/takes/manifest.csv").write_text("path,source\n001.wav,own\n")
    sources = [
        config.part("importers", "wav_folders", path=ana, label="noise"),
        config.part("importers", "manifest_csv", path=f"{ben}/manifest.csv", label="noise"),
    ]

    found = [(one.id, one.source) for _, one, _ in _listed.of_sources(sources, [])]

    assert found == [("ana/takes/001.wav", "ana/takes"), ("ben/takes/001.wav", "own")]


@pytest.mark.parametrize("other", ["takes", "link", "."])
def test_a_file_listed_twice_is_told_before_anything_is_made(tmp_path, other):
    takes(tmp_path / "takes", "ana/001.wav")
    (tmp_path / "link").symlink_to(tmp_path / "takes")
    sources = [config.part("importers", "wav_folders", path=str(tmp_path / name), label="wake") for name in ("takes/ana", other)]

    with pytest.raises(DataError, match=r"001\.wav is listed twice, in .*takes/ana and .*Name each file in one source only"):
        _listed.check_once(lambda: _listed.of_sources(sources, ["hey nova"]))


def test_two_files_of_one_id_are_told_with_a_way_out(tmp_path):
    tops = [takes(tmp_path / "x" / "ana", "takes/1.wav"), *(takes(tmp_path / name, "1.wav") for name in ("ana/takes", "b/takes"))]
    sources = [config.part("importers", "wav_folders", path=top, label="wake") for top in tops]

    with pytest.raises(DataError, match=r"x/ana/takes/1\.wav and .*are both called ana/takes/1\.wav. Rename a folder"):
        _listed.check_once(lambda: _listed.of_sources(sources, ["hey nova"]))
