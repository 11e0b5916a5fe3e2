"""The report: every figure that it is given appears, nothing is loaded from elsewhere, and dev never passes for test."""

import copy
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from wakesmith import metrics, report
from wakesmith.errors import DataError
from wakesmith.report import plots


def share(missed: int, n: int) -> dict[str, Any]:
    low, high = metrics.wilson(missed, n)
    return {"missed": missed, "n": n, "frr": missed / n, "low": low, "high": high}


def rate(count: int, hours: float) -> dict[str, Any]:
    low, high = metrics.poisson(count, hours)
    return {"count": count, "hours": hours, "per_hour": count / hours, "low": low, "high": high}


def judged(split: str, hours: float, count: int) -> dict[str, Any]:
    chance = np.random.default_rng(len(split))
    _, fa, misses = metrics.det(chance.beta(5, 1, 50), chance.beta(1, 6, 40), hours)
    return {
        "split": split,
        "hours": hours,
        "false_accepts": rate(count, hours),
        "conditions": [{"name": name, **share(missed, 50)} for name, missed in (("clean", 2), ("babble 5 dB", 23), ("room", 7))],
        "rates": [
            {
                "target_fa_per_hour": target,
                "threshold": 0.9 - target / 10,
                "is_bound": target * hours < 1,
                "kept_on_dev": True,
                "clean": share(2, 50),
                "all_conditions": share(25, 100),
                "false_accepts": rate(count, hours),
            }
            for target in (0.1, 0.5, 1.0, 2.0)
        ],
        "by_recording": {f"{split}-{i}": 0.9 for i in range(50)},
        "det": {"fa_per_hour": fa.tolist(), "frr": misses.tolist()},
    }


def predictions(hours: float, count: int) -> list[dict[str, Any]]:
    low, high = metrics.expected_count(0, hours, hours, set_by_peak=True)
    mean, least, most = metrics.expected_rate(0, hours, set_by_peak=True)
    told = {
        "per_hour": mean, "low": least, "high": most, "dev_count": 0, "dev_hours": hours, "set_by_peak": True, "burst": 1.4,
        "dev_voices": 9,
        "hours": hours, "least": low, "most": high,
    }  # fmt: skip
    made = {
        "threshold": 0.7, "predicted": told, "observed": rate(count, hours), "is_inside": low <= count <= high,
        "kept_on_dev": True,
    }  # fmt: skip
    return [{"is_shipped": number == 0, "target_fa_per_hour": target, **made} for number, target in enumerate((0.5, 0.1, 2.0))]


def a_report(hours: float = 8.0, count: int = 3, **changes: Any) -> dict[str, Any]:
    plain = {
        "phrase": "hey <nova> & co",
        "student": {"name": "ds_cnn", "parameters": 26_500, "bytes": 451_000},
        "operating_point": {
            "threshold": 0.731, "smoothing_window": 4, "refractory_s": 1.0, "target_fa_per_hour": 0.5, "chosen_on": "dev, 8.00 h",
            "set_by": "tail",
        },
        "teacher": {"teacher": {"name": "moonshine"}, "encoder_licence": "MIT", "head_sha256": "ab" * 32},
        "training": [{"step": 10, "loss/KnowledgeDistillation": 1.9}, {"step": 20, "loss/KnowledgeDistillation": 0.4}],
        "data": [{
            "split": "test", "label": "wake", "source": "crowd", "n": 50, "speakers": 9, "hours": 0.1, "licences": ["CC-BY-4.0"],
        }],
        "sources": [{"source": "crowd", **share(1, 20)}, {"source": "espeak", **share(1, 30)}],
        "near_misses": [
            {"text": "hey nora", "n": 4, "fired": 1, "highest": 0.8}, {"text": "nova", "n": 2, "fired": 0, "highest": 0.2},
        ],
        "tried_on_dev": [{"smoothing_window": 4, "refractory_s": 1.0}] * 15,
        "speakers": {
            "mostly_missed": [{"source": "crowd", **share(2, 9)}],
            "worst": [{"source": "crowd", "speaker": "quiet <ann>", "missed": 4, "n": 5}],
        },
        "false_accepts_by_source": [{"source": "talk", **rate(count, hours)}],
        "predictions": predictions(hours, count),
        "dev": judged("dev", hours, count),
        "test": judged("test", hours, count),
    }  # fmt: skip
    return {**plain, **changes}


def measures(**changes: float) -> dict[str, float]:
    plain = {
        "accuracy": 0.912, "balanced_accuracy": 0.874, "majority_accuracy": 0.513, "chance_accuracy": 0.25, "wake_auc": 0.9876,
        "ece": 0.0213, "nll": 0.3141, "frr": 0.063, "fa_per_hour": 0.5, "fa_hours": 3.2, "n_clips": 1234.0,
    }  # fmt: skip
    return {**plain, **changes}


def compared(teacher: dict[str, float] | None, student: dict[str, float] | None) -> dict[str, Any]:
    made = a_report()
    for side, dev in (("teacher", teacher), ("student", student)):
        made[side] |= {} if dev is None else {"dev": dev}
    return made


class Tags(HTMLParser):
    """Raises AssertionError at a tag that closes another."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """A tag that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def seen(made: dict[str, Any]) -> str:
    tags = Tags()
    tags.feed(report.html(made))
    assert tags.open == []
    return tags.text


def test_the_terminal_shows_misses_rates_hours_and_near_misses():
    text = report.table(a_report())

    for figure in ("26,500 parameters", "threshold 0.731", "2 of 50", "46.0 %", "3 in 8.00 h", "fire: 1 of 6", "crowd", "espeak"):
        assert figure in text


def test_the_page_shows_what_the_terminal_shows_and_where_it_comes_from():
    text = seen(a_report())

    for figure in (
        "2 of 50",
        "3 in 8.00 h",
        "1 of 6",
        "hey nora",
        "distilled from moonshine",
        "MIT",
        "CC-BY-4.0",
        "load_bundle",
    ):
        assert figure in text


def test_the_page_needs_nothing_else():
    page = report.html(a_report())

    assert not re.search(r"https?://|<script|<link|url\(|@import", page)
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_a_phrase_cannot_write_into_the_page():
    page = report.html(a_report())

    assert "<nova>" not in page
    assert "hey &lt;nova&gt; &amp; co" in page


@pytest.mark.parametrize("show", [report.html, report.table])
def test_dev_cannot_pass_for_test(show: Any):
    made = a_report()
    made["test"] = copy.deepcopy(made["dev"])

    with pytest.raises(DataError, match="figures under 'test' come from 'dev'"):
        show(made)


def test_a_recording_in_dev_and_test_is_refused():
    made = a_report()
    made["test"]["by_recording"]["dev-3"] = 0.9

    with pytest.raises(DataError, match="'dev-3' is in dev and in test"):
        report.html(made)


def test_no_false_accept_is_told_as_a_bound_and_not_as_zero():
    made = a_report(hours=2.0, count=0)

    assert "0 in 2.00 h (under 1.50/h with 95 %)" in report.table(made)
    assert "< 1.50" in seen(made)


def test_few_hours_are_warned_of():
    told = " ".join(report.warnings(a_report(hours=0.06, count=0)))

    assert "Dev holds 0.06 h" in told
    assert "Test holds 0.06 h" in told


def test_enough_hours_and_real_voices_need_no_warning():
    assert report.warnings(a_report(hours=8.0)) == []


def test_made_voices_alone_are_warned_of():
    assert "synthetic voice" in report.warnings(a_report(sources=[{"source": "espeak", **share(1, 30)}]))[0]


def test_rooms_speakers_and_sources_of_false_accepts_are_shown():
    text = seen(a_report())

    for figure in ("room", "7 of 50", "2 of 9", "quiet <ann>", "4 of 5", "talk"):
        assert figure in text
    for figure in ("mostly missed, clean", "speakers", "quiet <ann>", "4 of 5"):
        assert figure in report.table(a_report())


def test_predicted_and_observed_stand_side_by_side():
    for text in (report.table(a_report()), seen(a_report())):
        assert "Predicted 0.12 (0.00 to 0.46) false accepts an hour from 0 in 8.00 h of dev; observed 3 in 8.00 h" in text
        assert "Chosen on dev among 15 ways: mean of 4 scores, 1 s between detections." in text
        assert "0 to 5 in 8.00 h" in text


def test_a_count_outside_its_prediction_is_warned_of():
    assert report.warnings(a_report(count=5)) == []
    assert "Test held 6 false accepts where dev predicted 0 to 5" in report.warnings(a_report(count=6))[0]


def test_the_bars_are_as_long_as_their_intervals():
    bars = re.findall(r"class=interval x1='([\d.]+)' x2='([\d.]+)'", report.html(a_report()))
    predicted, observed = ([float(end) for end in bar] for bar in bars[3:5])  # after those of three conditions
    low, high = metrics.poisson(3, 8.0)
    told = predictions(8.0, 3)[0]["predicted"]

    assert len(bars) == 3 + 6
    per_pixel = (told["high"] - told["low"]) / (predicted[1] - predicted[0])
    assert (observed[1] - observed[0]) * per_pixel == pytest.approx(high - low, rel=0.01)


def test_the_misses_of_each_condition_are_drawn_with_their_intervals():
    first, second = (
        [float(end) for end in bar]
        for bar in re.findall(r"class=interval x1='([\d.]+)' x2='([\d.]+)'", report.html(a_report()))[:2]
    )
    clean, babble = a_report()["test"]["conditions"][:2]
    per_pixel = (clean["high"] - clean["low"]) / (first[1] - first[0])

    assert (second[1] - second[0]) * per_pixel == pytest.approx(babble["high"] - babble["low"], rel=0.01)


@pytest.mark.parametrize(("high", "wanted"), [(0.3, [0, 0.1, 0.2, 0.3]), (0.9, [0, 0.2, 0.4, 0.6, 0.8]), (7.3, [0, 2, 4, 6])])
def test_ticks_are_round_and_even(high: float, wanted: list[float]):
    assert plots.ticks(high) == pytest.approx(wanted)


@pytest.mark.parametrize("high", [1e-3, 0.07, 1.0, 13.2, 812.0])
def test_ticks_are_few_and_reach_nearly_to_the_end(high: float):
    made = plots.ticks(high)

    assert 3 <= len(made) <= 6
    assert high * 0.6 < made[-1] <= high * (1 + 1e-9)


def test_the_shipped_point_lies_on_the_trade_off_with_both_intervals():
    page = report.html(a_report())
    cross = [[float(n) for n in line] for line in re.findall(r"class=cross x1='(.*?)' y1='(.*?)' x2='(.*?)' y2='(.*?)'", page)]
    at_x, at_y = (float(n) for n in re.search(r"class=point cx='(.*?)' cy='(.*?)'", page).groups())

    (left, y, right, same_y), (x, low, same_x, high) = cross
    assert y == same_y == at_y
    assert x == same_x == at_x
    assert left < at_x < right
    assert high < at_y < low  # y grows downwards


def test_minutes_of_each_step_are_told_where_the_run_knows_them():
    text = seen(a_report(cost=[{"step": "speak", "took_s": 90.0}, {"step": "train", "took_s": 240.0}]))

    assert "To make: 5.5 minutes" in text
    assert "speak" in text
    assert "How long its steps took is not known" in seen(a_report())


def test_the_verdict_comes_before_everything_else():
    text = seen(a_report())

    assert "Said clean, it is missed 4 times of 100 (1.1 % to 13.5 %)." in text
    assert text.index("Said clean") < text.index("2 of 50")


def test_every_section_can_be_reached_from_the_top():
    page = report.html(a_report())

    assert re.findall(r"<a href=#(\w+)>", page) == re.findall(r"<h2 id=(\w+)>", page)


def test_bursts_and_missing_music_are_told():
    assert "1.4 times Poisson's variance" in seen(a_report())
    assert "music is not among them" in seen(a_report())
    made = a_report()
    made["predictions"][0]["predicted"]["burst"] = 1.0
    made["test"]["conditions"].append({"name": "music 10 dB", **share(1, 50)})
    assert "no more in bursts" in seen(made)
    assert "music is not among them" not in seen(made)


def test_one_voice_in_dev_cannot_tell_bursts():
    made = a_report()
    made["predictions"][0]["predicted"] |= {"burst": 1.0, "dev_voices": 1}

    assert "whether false accepts come in bursts is not known" in seen(made)


def test_without_known_speakers_nothing_is_said_of_them():
    text = seen(a_report(speakers={"mostly_missed": [], "worst": []}))

    assert "By speaker" not in text


def test_the_trade_off_has_a_shade_for_its_interval():
    page = report.html(a_report())
    shade = re.search(r"<polygon points='([^']+)' fill='var\(--a\)'", page)
    assert shade
    heights = np.array([float(pair.split(",")[1]) for pair in shade[1].split()])
    curve = points(page, "var(--a)")[:, 1]

    assert heights.max() >= curve.max()
    assert heights.min() <= curve.min()
    assert len(heights) == 2 * len(curve)


def test_a_threshold_that_is_a_bound_says_so():
    assert "0.1 (few hours)" in report.table(a_report())


def test_more_of_dev_over_a_tails_threshold_than_asked_for_is_no_warning():
    made = a_report()
    made["predictions"][0]["predicted"]["dev_count"] = 5  # in 8 h, at 0.5 an hour

    assert report.warnings(made) == []


def test_a_rate_that_no_threshold_keeps_is_told_and_not_called_a_bound():
    made = a_report()
    made["predictions"][0]["kept_on_dev"] = False
    made["test"]["rates"][0]["kept_on_dev"] = False

    assert "more than 0.5 an hour can explain" in " ".join(report.warnings(made))
    assert "0.1 (not kept)" in report.table(made)
    assert "0.1 (few hours)" not in report.table(made)


def points(page: str, colour: str) -> np.ndarray:
    found = re.search(rf"<polyline points='([^']+)' fill=none stroke='{re.escape(colour)}' stroke-width=2.5", page)
    assert found
    return np.array([[float(number) for number in pair.split(",")] for pair in found[1].split()])


def test_the_trade_off_only_falls_from_left_to_right():
    curve = points(report.html(a_report()), "var(--a)")
    curve = curve[::-1] if curve[0, 0] > curve[-1, 0] else curve

    assert (np.diff(curve[:, 0]) >= 0).all()
    assert (np.diff(curve[:, 1]) >= 0).all()  # y grows downwards


def test_the_trade_off_shows_no_rate_that_the_hours_cannot_hold():
    made = a_report(hours=0.5)
    made["test"]["det"] = made["dev"]["det"] = {"fa_per_hour": [40.0, 2.0, 0.0], "frr": [0.0, 0.1, 0.6]}

    assert len(points(report.html(made), "var(--a)")) == 2
    assert "an hour: test 2, dev 2" in seen(made)


def test_without_any_false_accept_there_is_no_curve():
    made = a_report()
    made["test"]["det"] = made["dev"]["det"] = {"fa_per_hour": [0.0, 0.0], "frr": [0.0, 0.1]}

    assert "no curve to draw" in seen(made)


def test_a_student_without_teacher_training_log_or_near_misses_is_reported_too():
    text = seen(a_report(teacher=None, training=[], near_misses=[]))

    assert "trained without a teacher" in text
    assert "none tried" in text
    assert "No log." in text


def test_hashes_are_not_for_people():
    assert "ab" * 32 not in report.html(a_report())


def test_teacher_and_student_stand_side_by_side_in_page_and_terminal():
    made = compared(measures(), measures(accuracy=0.801, frr=0.251, n_clips=1230.0))

    for text in (report.table(made), seen(made)):
        assert "dev views, clip by clip (not test)" in text
        assert "teacher: moonshine" in text
        assert "student: ds_cnn" in text
        for figure in ("91.2 %", "80.1 %", "87.4 %", "51.3 %", "0.9876", "0.021", "0.314", "1234", "1230"):
            assert figure in text
        assert "6.3 % at 0.5 false accepts/h" in text
        assert "25.1 % at 0.5 false accepts/h" in text


def test_accuracy_with_the_shares_of_the_classes_is_told_where_both_have_it():
    told = "accuracy, told how often each class comes"
    both = compared(measures(prior_accuracy=0.956), measures(prior_accuracy=0.943))

    for text in (report.table(both), seen(both)):
        for figure in (told, "95.6 %", "94.3 %"):
            assert figure in text
    assert told not in report.table(compared(measures(), measures(prior_accuracy=0.943)))


def test_what_stands_side_by_side_is_not_told_again_of_the_teacher():
    assert seen(compared(measures(), measures())).count("0.9876") == 2
    assert "tells the phrase apart (AUC)" not in seen(compared(measures(), measures()))
    assert "tells the phrase apart (AUC)" in seen(compared(measures(), None))


def test_the_report_speaks_of_no_key_or_class_of_the_code():
    text = seen(a_report())

    assert "knowledge distillation</span> 1.900 to 0.400" in report.html(a_report())
    assert not [word for word in ("KnowledgeDistillation", "encoder_licence", "made_by", "eval_loss") if word in text]


def test_the_licence_of_a_source_is_told_once():
    row = a_report()["data"][0]
    page = report.html(a_report(data=[{**row, "split": split} for split in ("train", "dev", "test")]))

    assert page.count("CC-BY-4.0") == 1


@pytest.mark.parametrize(("teacher", "student"), [(measures(), None), (None, measures()), (None, None)])
def test_one_side_alone_is_not_compared(teacher, student):
    made = compared(teacher, student)

    assert "clip by clip" not in report.table(made) + seen(made)


def test_a_plain_run_is_not_compared():
    made = compared(measures(), measures())
    made["teacher"] = None

    assert "clip by clip" not in report.table(made) + seen(made)


def test_a_miss_rate_at_fewer_hours_than_one_false_accept_takes_is_a_bound():
    made = compared(measures(), measures(fa_hours=1.9))

    assert "6.3 % at 0.5 false accepts/h  6.3 % at 0.5 false accepts/h (bound)" in report.table(made)
