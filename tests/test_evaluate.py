"""The judge on scores made by hand, and the whole step on a tiny real bundle whose score is how loud its tone is."""

import dataclasses
import json
import os
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.test_bundle import card
from wakesmith import audio, bundle, metrics
from wakesmith.card import OperatingPoint
from wakesmith.data import audio_store
from wakesmith.data.records import Recording, save_jsonl
from wakesmith.errors import DataError, WakesmithError
from wakesmith.run import write_json
from wakesmith.runtime.detector import Detector
from wakesmith.steps import _groups, _heard, _judge, _model_card, _predict, _score, evaluate, export
from wakesmith.steps._heard import Heard
from wakesmith.steps._streams import Condition, Event, Stream

POINT = OperatingPoint(threshold=0.5, refractory_s=1.0, chosen_on="dev, by hand")
STEP = 1280
TONE_HZ = 1_000


def heard(split: str, phrases: list[float], negatives: list[float], hours: float) -> Heard:
    """Phrases and other sounds 5 s apart, each a single score of its height."""
    made = Heard(split)

    def scores(heights: list[float]) -> tuple[np.ndarray, np.ndarray]:
        times_s = np.arange(1, 63 * len(heights) + 63) * 0.08
        found = np.zeros(len(times_s))
        found[[63 * (i + 1) for i in range(len(heights))]] = heights
        return times_s, found

    times_s, found = scores(phrases)
    events = [Event(f"{split}-{i}", times_s[63 * (i + 1)] - 0.5, times_s[63 * (i + 1)] - 0.1) for i in range(len(phrases))]
    made.add("positives", "clean", Condition(), events, times_s, found)
    made.add("negatives", "other", None, [Event("other", 0.0, 3600 * hours)], *scores(negatives))
    return made


def test_dev_chooses_the_lowest_threshold_that_keeps_to_the_rate():
    dev = heard("dev", [0.9, 0.7], [0.8, 0.6, 0.5], hours=4.0)
    settings = evaluate.Settings(target_fa_per_hour=0.5, smoothing_windows=[1])

    point, _ = _judge.choose(dev, settings)

    assert 0.5 < point.threshold < 0.501
    assert dev.false_accepts(point) == 2
    assert point.chosen_on == "dev, 4.00 h"


def test_test_is_judged_at_the_thresholds_of_dev():
    dev, test = heard("dev", [0.9, 0.7], [0.6], hours=1.0), heard("test", [0.9, 0.55, 0.3], [0.95, 0.65], hours=2.0)
    told = _judge.judge(test, dev, POINT, evaluate.Settings(smoothing_windows=[1]))

    row = next(row for row in told["rates"] if row["target_fa_per_hour"] == 0.5)
    assert (row["is_bound"], row["clean"]["missed"], row["false_accepts"]["count"]) == (True, 2, 2)
    assert 0.6 < row["threshold"] < 0.601


def test_the_shipped_point_is_told_with_its_intervals():
    dev = heard("dev", [0.9], [0.6], hours=1.0)
    told = _judge.judge(heard("test", [0.9, 0.55, 0.3], [0.95], hours=2.0), dev, POINT, evaluate.Settings())

    clean = told["conditions"][0]
    assert (clean["missed"], clean["n"], clean["frr"]) == (1, 3, pytest.approx(1 / 3))
    assert (clean["low"], clean["high"]) == metrics.wilson(1, 3)
    assert told["false_accepts"]["per_hour"] == 0.5
    assert (told["false_accepts"]["low"], told["false_accepts"]["high"]) == metrics.poisson(1, 2.0)


def test_a_score_long_after_the_phrase_does_not_count_for_it():
    made = heard("test", [0.9], [], hours=1.0)
    stream = made.streams["positives"][0]
    late = dataclasses.replace(stream, events=[Event("test-0", 1.0, 1.5)])

    assert _heard.best(stream, 1, 1.0).tolist() == [0.9]
    assert _heard.best(late, 1, 1.0).tolist() == [0.0]


def test_patience_that_reaches_the_next_phrase_hides_no_miss():
    made = heard("test", [0.9, 0.1] * 5, [], hours=1.0)  # a phrase each 5 s
    stream = made.streams["positives"][0]

    for patience_s in (1.0, 8.0):
        assert _judge.at_point(made, POINT, patience_s)["conditions"][0]["frr"] == 0.5
        assert _heard.best(stream, 1, patience_s).tolist() == [0.9, 0.1] * 5
        assert len(_model_card.delays_s(stream, POINT, patience_s)) == 5


def test_what_another_file_lost_is_pooled_over_conditions_as_the_rates_are():
    clean, room = ({"name": name, **_judge.share(np.arange(n) < 10)} for name, n in (("clean", 100), ("room", 20)))
    told = {"conditions": [clean, room], "false_accepts": {}}
    pooled = _judge.share(np.r_[np.arange(100) < 10, np.arange(20) < 10])["frr"]

    lost = evaluate._lost(told, {"conditions": [clean, {**room, "missed": 4, "frr": 0.2}]})

    assert lost["frr"] == pytest.approx(pooled)
    assert lost["lost"] == pytest.approx(6 / 120)


def voices(**speakers: str) -> dict[str, SimpleNamespace]:
    """Recordings by id: `espeak_0="ann"` is of espeak, by Ann."""
    return {name: SimpleNamespace(source=name.partition("_")[0], speaker=speaker) for name, speaker in speakers.items()}


def test_sources_are_never_averaged():
    known = voices(espeak_0="a", espeak_1="b", real_0="c", real_1="d")
    rows = _groups.by_source({"by_recording": dict.fromkeys(known, 0.9), "missed_recordings": ["real_0"]}, known)

    assert [(row["source"], row["missed"], row["n"]) for row in rows] == [("espeak", 0, 2), ("real", 1, 2)]


def test_speakers_who_are_mostly_missed_are_counted_by_source_and_named():
    known = voices(real_0="ann", real_1="ann", real_2="ann", real_3="bob", real_4="bob", real_5="", made_0="robot")
    judged = {"by_recording": dict.fromkeys(known, 0.9), "missed_recordings": ["real_0", "real_1", "real_3", "real_5"]}

    told = _groups.by_speaker(judged, known)

    assert [(row["source"], row["missed"], row["n"]) for row in told["mostly_missed"]] == [("made", 0, 1), ("real", 1, 2)]
    assert [(row["speaker"], row["missed"], row["n"]) for row in told["worst"]] == [("ann", 2, 3), ("bob", 1, 2)]


def test_near_misses_are_told_by_what_was_said():
    texts = {"a": SimpleNamespace(text="hey nora"), "b": SimpleNamespace(text="hey nora"), "c": SimpleNamespace(text="nova")}
    rows = _groups.by_text({"near_misses": {"a": 0.9, "b": 0.2, "c": 0.4}}, texts, 0.5)

    assert [(row["text"], row["n"], row["fired"]) for row in rows] == [("hey nora", 2, 1), ("nova", 1, 0)]


def plain_student(folder):
    (folder / "train").mkdir(exist_ok=True)
    write_json(folder / "train" / "card.json", {"dev": {"accuracy": 1.0}})


def tone_model(folder: Path, gain: float = 4.0) -> None:
    """A bundle: score = min(1, gain * how much of a 1 kHz tone lies in the last 80 ms); the state only goes through."""
    angle = 2 * np.pi * TONE_HZ / 16_000 * np.arange(STEP)
    waves = (np.stack([np.sin(angle), np.cos(angle)], 1) * 2 / STEP).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["samples", "waves"], ["parts"]),
        helper.make_node("ReduceL2", ["parts", "axis"], ["size"], keepdims=1),
        helper.make_node("Mul", ["size", "gain"], ["scaled"]),
        helper.make_node("Min", ["scaled", "one"], ["scores"]),
        helper.make_node("Identity", ["state"], ["new_state"]),
    ]
    constants = {"waves": waves, "axis": np.array([1]), "gain": np.float32([gain]), "one": np.float32([1])}

    def value(name: str, size: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])

    graph = helper.make_graph(
        nodes, "tone", [value("samples", STEP), value("state", 1)], [value("scores", 1), value("new_state", 1)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    sha256 = bundle.file_sha256(folder / "model.onnx")
    bundle.save_card(folder, card(sha256=sha256, scores_per_step=1, state_size=1, receptive_samples=STEP))


def sound(label: str, number: int) -> tuple[np.ndarray, int, int]:
    """Wake: a 1 kHz tone. Near miss: a weak one under another. Speech: other tones; every fourth holds a little of it."""
    share = {"wake": 1.0, "near_miss": 0.4, "speech": 0.15 * (number % 4 == 0)}[label]
    t = np.arange(9_600) / 16_000
    tone = share * np.sin(2 * np.pi * TONE_HZ * t) + (1 - share) * np.sin(2 * np.pi * (300 + 20 * number) * t)
    made = np.zeros(16_000 if label != "speech" else 32_000, np.float32)
    made[3_200:12_800] = 0.2 * tone
    return made, 3_200, 12_800


def prepared(folder: Path) -> None:
    """folder/{prepare, views/bank, bundle, train, teach} as the steps before leave them."""
    recordings, sounds = [], []
    for split in ("dev", "test"):
        for label, n in (("wake", 6), ("near_miss", 4), ("speech", 12)):
            for number in range(n):
                made, start, end = sound(label, number)
                where = (start, end) if label != "speech" else (0, 0)
                source = "real" if label == "wake" and number == 0 else "espeak"
                name = f"{split}-{label}-{number}"
                recordings.append(
                    Recording(name, "-", f"{label} {number % 2}", label, name, source, "CC0-1.0", len(made), split, *where)
                )
                sounds.append(audio.to_int16(made))
    place = folder / "prepare"
    place.mkdir(parents=True)
    save_jsonl(place / audio_store.RECORDINGS, recordings)
    (place / audio_store.CLIPS).touch()
    (place / audio_store.CARD).write_text("{}")
    np.save(place / audio_store.AUDIO, np.concatenate(sounds))
    np.save(place / audio_store.OFFSETS, np.cumsum([0, *map(len, sounds[:-1])]))
    bank = folder / "views" / "bank"
    bank.mkdir(parents=True)
    hiss = audio.to_int16(0.1 * np.random.default_rng(0).standard_normal((2, 160_000)).astype(np.float32))
    for split in ("dev", "test"):
        np.save(bank / f"noise_{split}.npy", hiss)
        np.save(bank / f"babble_{split}.npy", hiss[:0])
        np.save(bank / f"room_{split}.npy", np.eye(2, 8_000, dtype=np.float32))
    tone_model(folder / "bundle")
    plain_student(folder)


def recipe(**settings: object) -> SimpleNamespace:
    options = {"snrs_db": [20.0, 0.0], "smoothing_windows": [1, 2], **settings}
    return SimpleNamespace(
        phrases=["hey nova"], seed=3, student=SimpleNamespace(name="tone"), train=SimpleNamespace(distil=False),
        export=export.Settings(), evaluate=evaluate.Settings(**options),
    )  # fmt: skip


def report_of(folder: Path) -> dict:
    return json.loads((folder / "evaluate" / "report.json").read_text())


def test_the_card_takes_the_operating_point_that_the_report_tells(run_folder: Path):
    point = bundle.load_card(run_folder / "bundle").operating_point

    assert point is not None
    assert point.model_dump(mode="json") == report_of(run_folder)["operating_point"]
    assert point.chosen_on.startswith("dev")


def test_a_detector_that_hears_the_tone_misses_nothing_clean(run_folder: Path):
    told = report_of(run_folder)["test"]

    assert (told["conditions"][0]["missed"], told["conditions"][0]["n"]) == (0, 6)
    assert told["false_accepts"]["count"] == 0
    assert [row["name"] for row in told["conditions"]] == ["clean", "noise 20 dB", "noise 0 dB", "room"]


def names(folder: Path, **settings: object) -> dict[str, int]:
    """Conditions of test and the phrases in each."""
    evaluate.run(recipe(**settings), folder)
    return {row["name"]: row["n"] for row in report_of(folder)["test"]["conditions"]}


def test_rooms_take_as_many_phrases_as_asked_for(tmp_path: Path):
    prepared(tmp_path)

    assert names(tmp_path, max_room_positives=4, snrs_db=[]) == {"clean": 6, "room": 4}
    assert names(tmp_path, max_room_positives=0, snrs_db=[]) == {"clean": 6}


def test_rooms_are_heard_over_babble_where_there_is_any(tmp_path: Path):
    prepared(tmp_path)
    bank = tmp_path / "views" / "bank"
    for split in ("dev", "test"):
        (bank / f"noise_{split}.npy").replace(bank / f"babble_{split}.npy")
        np.save(bank / f"noise_{split}.npy", np.zeros((0, 160_000), np.int16))

    assert "room babble 3 dB" in names(tmp_path, room_snr_db=3.0, snrs_db=[])


def test_music_is_a_bed_of_its_own_where_recordings_say_so(tmp_path: Path):
    prepared(tmp_path)
    path = tmp_path / "prepare" / audio_store.RECORDINGS
    path.write_text(path.read_text().replace('"text": "speech 0", "label": "speech"', '"text": "music", "label": "noise"'))

    assert names(tmp_path, snrs_db=[5.0], max_room_positives=0) == {"clean": 6, "noise 5 dB": 6, "music 5 dB": 6}
    assert names(tmp_path, snrs_db=[5.0], max_room_positives=0, beds=["noise"]) == {"clean": 6, "noise 5 dB": 6}


def test_what_was_tried_on_dev_is_told(run_folder: Path):
    told = report_of(run_folder)

    assert len(told["tried_on_dev"]) == 2 * 3
    assert told["operating_point"]["threshold"] in [row["threshold"] for row in told["tried_on_dev"]]


def test_speakers_sources_and_predictions_are_in_the_report(run_folder: Path):
    told = report_of(run_folder)

    assert [row["source"] for row in told["speakers"]["mostly_missed"]] == ["espeak", "real"]
    assert [row["source"] for row in told["false_accepts_by_source"]] == ["espeak"]
    assert told["predictions"][0]["observed"] == told["test"]["false_accepts"]
    assert told["test"]["loudest_negatives"][0]["recording"].startswith("test-speech-")


def test_the_shipped_bundle_fires_on_what_the_report_says_it_hears(run_folder: Path):
    made, _, _ = sound("wake", 0)

    assert len(Detector.load(run_folder / "bundle").process(np.concatenate([made, np.zeros(16_000, np.float32)]))) == 1


def test_hours_are_those_of_other_speech_and_noise_without_the_silence_between(run_folder: Path):
    assert report_of(run_folder)["test"]["hours"] == pytest.approx(12 * 32_000 / 16_000 / 3600)


def test_real_and_made_voices_stand_apart(run_folder: Path):
    assert [(row["source"], row["n"]) for row in report_of(run_folder)["sources"]] == [("espeak", 5), ("real", 1)]


def test_dev_and_test_share_no_recording(run_folder: Path):
    told = report_of(run_folder)

    assert not told["dev"]["by_recording"].keys() & told["test"]["by_recording"].keys()


def test_scores_that_an_interrupted_run_left_are_taken_up(run_folder: Path):
    first = (run_folder / "evaluate" / "report.json").read_bytes()
    made = {path: path.stat().st_mtime_ns for path in (run_folder / "evaluate" / "scores").iterdir()}
    next(iter(made)).unlink()

    evaluate.run(recipe(), run_folder)

    again = {path: path.stat().st_mtime_ns for path in (run_folder / "evaluate" / "scores").iterdir()}
    assert (run_folder / "evaluate" / "report.json").read_bytes() == first
    assert sum(made[path] != again[path] for path in made) == 1


def test_streams_that_wait_for_a_process_do_not_lie_in_memory(tmp_path: Path):
    tone_model(tmp_path / "bundle")
    n_samples, n_streams = 1_600_000, 2 * (os.cpu_count() or 1) + 4
    streams = (("negatives", None, Stream(f"s{n}", np.full(n_samples, n / 100, np.float32), [])) for n in range(n_streams))
    tracemalloc.start()
    try:
        heard = _score.hear(tmp_path, streams, "dev")
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(heard.streams["negatives"]) == n_streams
    assert taken < 2.5 * n_samples * 4
    assert {path.suffix for path in (tmp_path / "evaluate" / "scores").iterdir()} == {".npz"}


def test_scores_of_another_model_are_not_taken_up(tmp_path: Path):
    prepared(tmp_path)
    evaluate.run(recipe(), tmp_path)
    tone_model(tmp_path / "bundle", gain=0.0)

    evaluate.run(recipe(), tmp_path)

    assert report_of(tmp_path)["test"]["conditions"][0]["frr"] == 1.0


def without(folder: Path, *, label: str, split: str) -> None:
    path = folder / "prepare" / audio_store.RECORDINGS
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        if record["label"] == label and record["split"] == split:
            record["split"] = "train"
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")


@pytest.mark.parametrize(
    ("label", "told"), [("wake", "no recording of the phrase in test"), ("speech", "no other speech or noise in test")]
)
def test_a_split_without_what_it_is_judged_by_is_refused(tmp_path: Path, label: str, told: str):
    prepared(tmp_path)
    without(tmp_path, label=label, split="test")

    with pytest.raises(DataError, match=told):
        evaluate.run(recipe(), tmp_path)


def test_a_rate_of_nothing_is_refused():
    from wakesmith.config import parse

    with pytest.raises(WakesmithError, match="target_fa_per_hour"):
        parse(evaluate.Settings, {"target_fa_per_hour": 0.0})


@pytest.mark.parametrize(("key", "value"), [("smoothing_windows", [0]), ("gap_s", [-1.0, 2.0]), ("gap_s", [2.5, 1.5])], ids=str)
def test_a_mean_of_no_score_and_gaps_in_disorder_are_refused_by_their_name(key: str, value: list[float]):
    from wakesmith.config import parse

    with pytest.raises(WakesmithError, match=key):
        parse(evaluate.Settings, {key: value})


def always_on(split: str, level: float) -> Heard:
    made = heard(split, [0.9, 0.9], [0.3], hours=1.0)
    for streams in made.streams.values():
        streams[:] = [dataclasses.replace(s, scores=np.full(len(s.scores), level)) for s in streams]
    return made


def test_a_detector_that_is_always_on_hears_nothing():
    told = _judge.judge(always_on("test", 0.9), always_on("dev", 0.9), POINT, evaluate.Settings(smoothing_windows=[1]))

    assert told["conditions"][0]["frr"] == 1.0


@given(seed=st.integers(0, 10_000), allowed=st.integers(0, 6), window=st.integers(1, 5))
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_runtime_keeps_to_the_rate_on_dev(seed: int, allowed: int, window: int):
    chance = np.random.default_rng(seed)
    dev = heard("dev", [0.9], [0.1], hours=1.0)
    dev.streams["negatives"][0] = dataclasses.replace(
        dev.streams["negatives"][0], times_s=np.arange(1, 301) * 0.08, scores=chance.random(300) ** chance.uniform(0.5, 6)
    )
    point, _, kept = _judge.at_rate(dev, allowed + 0.5, window, 1.0, floor=0.05)

    assert kept
    assert dev.false_accepts(point) <= allowed


def thinning(split: str, seed: int, loudest: float = 0.0, hours: float = 0.5) -> Heard:
    """Hours with 400 peaks 4.5 s apart whose log-odds thin out, and one peak of another kind."""
    made = heard(split, [0.9], [0.1], hours=hours)
    times_s, scores = np.arange(1, 22_501) * 0.08, np.zeros(22_500)
    scores[20::56][:400] = 1 / (1 + np.exp(4 - np.random.default_rng(seed).exponential(0.5, 400)))
    scores[10] = loudest
    made.streams["negatives"][0] = dataclasses.replace(made.streams["negatives"][0], times_s=times_s, scores=scores)
    return made


def test_of_few_hours_the_tail_chooses_and_no_single_peak():
    usual, odd = thinning("dev", 1), thinning("dev", 1, loudest=0.99)
    points = [_judge.at_rate(dev, rate, 1, 1.0, floor=0.05) for dev in (usual, odd) for rate in (0.1, 0.5)]

    assert [(is_bound, kept) for _, is_bound, kept in points] == [(True, True)] * 4
    thresholds = [point.threshold for point, _, _ in points]
    assert thresholds[0] > thresholds[1]
    assert thresholds[1] < thresholds[3] < 0.9
    assert usual.false_accepts(points[1][0]) <= 1
    told = _predict.expected(usual, points[1][0], 2.0)
    assert (told["set_by_peak"], told["dev_count"]) == (False, usual.false_accepts(points[1][0]))


def test_of_a_few_events_the_tail_chooses_too_and_enough_of_them_are_counted():
    usual, odd = thinning("dev", 1, hours=3.0), thinning("dev", 1, loudest=0.99, hours=3.0)
    (one, few, kept), (other, *_) = (_judge.at_rate(dev, 0.5, 1, 1.0, floor=0.05) for dev in (usual, odd))

    assert (few, kept) == (False, True)  # one event and a half: nothing to warn of
    assert one.threshold < other.threshold < one.threshold + 0.15
    assert _predict.expected(usual, one, 2.0)["set_by_peak"] is False
    counted, *_ = _judge.at_rate(usual, 3.0, 1, 1.0, floor=0.05)
    assert usual.false_accepts(counted) == 9
    assert _predict.expected(usual, counted, 2.0)["set_by_peak"] is True


def test_a_few_events_over_a_tails_threshold_are_chance_and_many_are_not():
    dev = thinning("dev", 1, hours=2.0)
    point, _, kept = _judge.at_rate(dev, 0.5, 1, 1.0, floor=0.05)
    loudest = np.sort(dev.heights(1, 1.0))[::-1]
    low, lower = (point.model_copy(update={"threshold": float(loudest[n - 1])}) for n in (3, 10))

    assert (point.set_by, kept) == ("tail", True)
    assert (dev.false_accepts(low), dev.false_accepts(lower)) == (3, 10)
    assert _judge.is_kept(dev, low)
    assert not _judge.is_kept(dev, low.model_copy(update={"set_by": "peak"}))
    assert not _judge.is_kept(dev, lower)
    assert [row["kept_on_dev"] for row in _predict.compared(dev, dev, lower, floor=0.05)] == [False, True, True, True, True]


def test_negatives_at_the_very_top_are_told_as_a_rate_not_kept():
    dev = heard("dev", [1.0], [1.0, 1.0], hours=1.0)

    assert _judge.at_rate(dev, 0.5, 1, 1.0, floor=0.2)[2] is False


def bursting(split: str, n_bursts: int = 1, hours: float = 1.0) -> Heard:
    """Two phrases 1.5 s apart at 0.7; among the negatives one voice that reaches 0.8 twice in 1.5 s, and others at 0.3."""
    made = Heard(split)
    times_s = np.arange(1, 100 * n_bursts + 2_000) * 0.08
    scores = np.zeros(len(times_s))
    scores[[100, 119]] = 0.7
    events = [Event(f"{split}-{n}", times_s[at] - 0.4, times_s[at] - 0.1) for n, at in enumerate((100, 119))]
    made.add("positives", "clean", Condition(), events, times_s, scores)
    loud = np.zeros(len(times_s))
    loud[[500, 1_000]] = 0.3
    for burst in range(n_bursts):
        loud[[100 * burst + 60, 100 * burst + 79]] = 0.8
    others = [
        Event(name, start_s, start_s + share * hours * 3600, group)
        for name, start_s, share, group in (
            ("a", 0.0, 0.125, ("real", "ann")), ("b", 20.0, 0.25, ("real", "bob")), ("c", 60.0, 0.625, ("made", "x")),
        )
    ]  # fmt: skip
    made.add("negatives", "other", None, others, times_s, loud)
    return made


def test_a_long_quiet_time_is_chosen_when_it_makes_one_of_a_burst():
    dev = bursting("dev", n_bursts=11, hours=11.0)
    settings = evaluate.Settings(target_fa_per_hour=1.0, smoothing_windows=[1], refractory_s=[0.5, 2.0])

    point, tried = _judge.choose(dev, settings)

    assert [row["threshold"] > 0.8 for row in tried] == [True, False]
    assert [row["frr"] for row in tried] == [1.0, 0.5]  # the second phrase falls into the quiet time of the first
    assert point.refractory_s == 2.0


def test_a_short_quiet_time_is_chosen_when_nothing_comes_in_bursts():
    dev = bursting("dev", n_bursts=0, hours=11.0)

    point, tried = _judge.choose(dev, evaluate.Settings(target_fa_per_hour=1.0, smoothing_windows=[1], refractory_s=[2.0, 0.5]))

    assert [row["frr"] for row in tried] == [0.5, 0.0]
    assert point.refractory_s == 0.5


def test_one_loud_peak_does_not_choose_the_smoothing():
    """A mean of two scores halves the one loudest peak by luck. Ten others, and half of the phrases, speak for no mean."""
    dev = heard("dev", [0.7, 0.7, 0.6, 0.6], [0.9] + [0.5] * 10, hours=1.0)
    phrases, others = dev.streams["positives"][0], dev.streams["negatives"][0]
    phrases.scores[[63 * 3 + 1, 63 * 4 + 1]] = 0.6  # two of the phrases and ten of the others last for two scores
    others.scores[[63 * (n + 2) + 1 for n in range(10)]] = 0.5
    settings = evaluate.Settings(target_fa_per_hour=0.5, smoothing_windows=[1, 2], refractory_s=[1.0])

    point, tried = _judge.choose(dev, settings)

    assert [row["threshold"] > 0.9 for row in tried] == [True, False]
    assert [row["frr"] for row in tried] == [0.0, 0.5]
    assert (point.smoothing_window, tried[0]["compared_at_fa_per_hour"]) == (1, 10.0)


def test_of_equal_quiet_times_the_first_is_taken():
    dev = heard("dev", [0.9, 0.7], [0.1], hours=1.0)
    settings = evaluate.Settings(smoothing_windows=[1])

    assert _judge.choose(dev, settings)[0].refractory_s == 1.0
    assert _judge.choose(dev, evaluate.Settings(smoothing_windows=[1], refractory_s=[2.0, 1.0]))[0].refractory_s == 2.0


def test_a_single_quiet_time_is_given_not_chosen():
    assert evaluate.Settings(refractory_s=0.7).refractory_s == [0.7]


def test_a_false_accept_is_laid_to_the_source_that_was_playing():
    rows = _groups.false_accepts_by_source(bursting("test"), POINT)

    assert [(row["source"], row["count"]) for row in rows] == [("made", 0), ("real", 2)]
    assert [row["hours"] for row in rows] == pytest.approx([0.625, 0.375])


def test_one_voice_that_fires_twice_makes_the_prediction_wider():
    dev, alone = bursting("dev"), bursting("dev")
    alone.streams["negatives"][0].events[:] = [Event("a", 0.0, 3600.0)]  # nobody knows who spoke
    loud = POINT.model_copy(update={"threshold": 0.81, "set_by": "peak"})

    known, unknown = (_predict.expected(made, loud, 2.0) for made in (dev, alone))

    assert known["burst"] > unknown["burst"] == 1.0
    assert known["high"] > unknown["high"]
    assert (known["dev_count"], known["set_by_peak"]) == (0, True)


def test_a_threshold_at_its_floor_is_no_choice_of_devs_peaks():
    dev = heard("dev", [0.9], [0.1], hours=2.0)
    point, *_ = _judge.at_rate(dev, 0.5, 1, 1.0, floor=0.5)

    told = _predict.expected(dev, point, 1.0)

    assert point.set_by == "floor"
    assert told["set_by_peak"] is False
    assert told["per_hour"] == pytest.approx(0.25)


def test_predictions_stand_beside_what_test_held():
    dev, test = heard("dev", [0.9], [0.6], hours=2.0), heard("test", [0.9], [0.95] * 40, hours=2.0)

    rows = _predict.compared(dev, test, POINT.model_copy(update={"threshold": 0.61, "set_by": "peak"}), floor=0.2)

    assert [row["is_shipped"] for row in rows] == [True, False, False, False, False]
    assert rows[0]["predicted"]["per_hour"] == 0.5
    assert rows[0]["observed"]["count"] == 40
    assert rows[0]["is_inside"] is False
    assert _predict.compared(dev, dev, POINT, floor=0.2)[0]["is_inside"] is True
