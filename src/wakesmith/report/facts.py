"""What the terminal and the page both say of a report: its checks, its warnings, its rows of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wakesmith.errors import DataError
from wakesmith.metrics import COUNTED_EVENTS, LEAST_PEAKS, TAIL_PEAKS

Row = list[str]
SHARE_HEAD = ["missed", "FRR", "95 % interval"]
RATE_HEAD = ["FA/h on dev", "threshold", "FRR clean", "FRR all conditions", "false accepts on test"]
PREDICTION_HEAD = ["FA/h on dev", "predicted FA/h", "so on test", "observed on test", "as predicted"]
MOSTLY_HEAD = ["speakers", "share", SHARE_HEAD[2]]
BUNDLE_HEAD = ["file", "bytes", "threshold", "FRR clean", "over float", "FRR all conditions", "over float", RATE_HEAD[-1]]
SPEAKER_HEAD = ["speaker", "source", "missed"]
SET_BY = {
    "peak": "lies just over the loudest moment of those", "tail": "comes from how their loudest moments thin out",
    "floor": "is the least that is taken (evaluate.threshold_floor)",
}  # fmt: skip
"""What set a threshold, of hours that were too few to count in."""
VOICES = ("espeak", "kokoro", "hibari", "piper", "command")


def check(report: dict[str, Any]) -> None:
    """Refuse figures of dev, on which the threshold was chosen, where test is promised. Raises DataError."""
    for one in of_phrases(report):
        _check(one)


def of_phrases(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A report of several phrases -> one of each, with what they share; one of a single phrase is such already."""
    if "phrases" not in report:
        return [report]
    shared = {key: value for key, value in report.items() if key not in ("phrases", "confusion")}
    return [{**shared, **own} for own in report["phrases"]]


def _check(report: dict[str, Any]) -> None:
    for split in ("dev", "test"):
        found = report[split].get("split")
        if found != split:
            raise DataError(f"report: the figures under '{split}' come from '{found}'. Evaluate again: wakesmith evaluate RUN")
    shared = sorted(report["dev"]["by_recording"].keys() & report["test"]["by_recording"].keys())
    if shared:
        raise DataError(f"report: recording '{shared[0]}' is in dev and in test ({len(shared)} are). Prepare and evaluate again.")


def warnings(report: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a figure of one phrase."""
    test, dev, told = report["test"], report["dev"], []
    rate, set_by = (report["operating_point"].get(key) for key in ("target_fa_per_hour", "set_by"))
    if dev["hours"] * rate < 1:
        told.append(
            f"Dev holds {dev['hours']:.2f} h of negatives: too few to choose a threshold for {rate:g} false accepts an hour."
            + (f" It {SET_BY[set_by]}." if set_by else "")
        )
    if test["hours"] < 3 / rate:
        told.append(
            f"Test holds {test['hours']:.2f} h of negatives: a rate of {rate:g} an hour would show itself surely only in "
            f"{3 / rate:.0f} h or more."
        )
    shipped = report["predictions"][0]
    if not shipped.get("kept_on_dev", True):  # earlier reports do not say
        told.append(
            f"Dev holds {shipped['predicted']['dev_count']} false accepts even at the threshold {shipped['threshold']:.3f}, more "
            f"than {rate:g} an hour can explain. Train with more negatives like the loudest of dev, or ask for a higher "
            "evaluate.target_fa_per_hour."
        )
    if not shipped["is_inside"]:
        told.append(
            f"Test held {shipped['observed']['count']} false accepts where dev predicted {shipped['predicted']['least']} to "
            f"{shipped['predicted']['most']}: the two hold other kinds of sound. Give dev more of what test has."
        )
    if all(row["source"] in VOICES for row in report["sources"]):
        told.append(
            "Every phrase of the test was said by a synthetic voice. Real voices are missed more often: give recordings with "
            "--test-recordings."
        )
    return told


def method(report: dict[str, Any]) -> str:
    """What a miss, a false accept and the threshold are here."""
    each = of_phrases(report)
    heard = " ".join(row["name"] for row in each[0]["test"]["conditions"])
    refractory = _by_phrase(each, lambda one: f"{one['operating_point']['refractory_s']:g} s")
    chosen_on = _by_phrase(each, lambda one: str(one["operating_point"]["chosen_on"]))
    return (
        "The shipped bundle ran through the runtime over continuous audio. A phrase is heard when the smoothed score "
        "reaches the threshold between its start and shortly after its end; a bed of noise or others lies under the phrases at "
        f"the level named{_beds(heard)}. False accepts are detections in other speech and noise{_others(each)}, {refractory} "
        "apart at least; hours are of these sounds, without the silence between them; near misses are counted "
        "apart. Threshold, smoothing and the time between detections were chosen on "
        f"{chosen_on}, and applied to test unchanged. Where those hours hold under {COUNTED_EVENTS} events at a "
        f"rate, the threshold comes from how the {TAIL_PEAKS} loudest negatives of dev thin out, as one loud moment would decide "
        f"it else (with under {LEAST_PEAKS} peaks it does). It never goes under a floor "
        "(evaluate.threshold_floor): a quiet hour says little about the next hundred. The prediction is for audio of dev's kind: "
        "a threshold just over dev's peak number k + 1 lets through k + 1 in dev's hours on average, not k; of one from the tail "
        "dev's count over it tells. Its interval counts "
        f"in that dev and test are both samples, and that {_by_phrase(each, _bursts)}. FRR intervals are Wilson's, rates have "
        "exact Poisson intervals, both of 95 %; with no event at all the upper end is one-sided."
    )


def _by_phrase(each: list[dict[str, Any]], told: Callable[[dict[str, Any]], str]) -> str:
    """What is told of all phrases; with their names where it differs."""
    texts = [told(one) for one in each]
    return (
        texts[0]
        if len(set(texts)) == 1
        else ", ".join(f"{text} ({one['phrase']})" for one, text in zip(each, texts, strict=True))
    )


def _others(each: list[dict[str, Any]]) -> str:
    return "" if len(each) == 1 else " and in recordings of the other phrases, which are part of the hours"


def _beds(heard: str) -> str:
    room = "; 'room' is some of them through rooms of the split" if "room" in heard else ""
    return room + ("" if "music" in heard else "; music is not among them: it takes noise whose text is 'music'")


def _bursts(report: dict[str, Any]) -> str:
    predicted = report["predictions"][0]["predicted"]
    burst = predicted["burst"]
    if predicted["dev_voices"] < 2:
        return "whether false accepts come in bursts is not known, since dev has one voice or source only"
    if burst == 1:
        return "the loudest sounds of dev come no more in bursts than chance has it"
    return f"one voice sets it off again and again: dev's {burst:.1f} times Poisson's variance gave the wider interval"


def made_of(report: dict[str, Any]) -> str:
    student, teacher = report["student"], report["teacher"]
    taught = f", distilled from {teacher_name(teacher)}" if teacher else ", trained without a teacher"
    return f"{student['name']}, {student['parameters']:,} parameters, {student['bytes'] / 1024:.0f} KB{taught}"


def teacher_name(card: dict[str, Any]) -> str:
    """The part's name, as the teacher's card has it."""
    return str(card["teacher"]["name"])


def teacher_rows(card: dict[str, Any]) -> list[Row]:
    """What people ask about a teacher, from its card: who it is, whose, and how well it answers clips of dev."""
    rows = [["teacher", teacher_name(card)]]
    rows += [[key, str(card[of])] for key, of in (("from", "encoder_source"), ("licence", "encoder_licence")) if card.get(of)]
    dev = card.get("dev", {})
    return rows + [
        [label, f"{dev[key]:.4g}"]
        for key, label in (
            ("accuracy", "right, on clips of dev"), ("prior_accuracy", "the same, told how often each class comes"),
            ("majority_accuracy", "the largest class alone"),
            ("wake_auc", "tells the phrase apart (AUC)"), ("frr", "misses clips of the phrase"), ("ece", "calibration error"),
            ("n_clips", "clips of dev"),
        ) if key in dev
    ]  # fmt: skip


def condition_row(row: dict[str, Any]) -> Row:
    return [row["name"], f"{row['missed']} of {row['n']}", percent(row["frr"]), interval(row)]


def confusion_rows(report: dict[str, Any]) -> list[Row]:
    """Which phrases fired when each was said, clean, on test; [] for a single phrase."""
    rows = report.get("confusion", [])
    return [["said", "times", *(f"'{row['said']}' fired" for row in rows)], *map(_confusion_row, rows)] if rows else []


def _confusion_row(row: dict[str, Any]) -> Row:
    return [row["said"], str(row["n"]), *map(str, row["fired"].values())]


def interval(row: dict[str, Any]) -> str:
    return f"{percent(row['low'])} to {percent(row['high'])}"


def near_misses_fired(report: dict[str, Any]) -> tuple[int, int]:
    """Near misses of test at or over the shipped threshold, and all of them."""
    return sum(row["fired"] for row in report["near_misses"]), sum(row["n"] for row in report["near_misses"])


def source_row(row: dict[str, Any]) -> Row:
    return condition_row({"name": row["source"], **row})


def rate_row(row: dict[str, Any]) -> Row:
    bound = " (not kept)" if not row["kept_on_dev"] else " (few hours)" if row["is_bound"] else ""
    return [
        f"{row['target_fa_per_hour']:g}{bound}", f"{row['threshold']:.3f}", percent(row["clean"]["frr"]),
        percent(row["all_conditions"]["frr"]), rate_text(row["false_accepts"]),
    ]  # fmt: skip


def prediction_row(row: dict[str, Any]) -> Row:
    told = row["predicted"]
    target = "as shipped" if row["is_shipped"] else f"{row['target_fa_per_hour']:g}"
    return [
        target, predicted_text(told), f"{told['least']} to {told['most']} in {told['hours']:.2f} h", rate_text(row["observed"]),
        "yes" if row["is_inside"] else "no",
    ]  # fmt: skip


def predicted_text(told: dict[str, Any]) -> str:
    return f"{told['per_hour']:.2f} ({told['low']:.2f} to {told['high']:.2f})"


def prediction(report: dict[str, Any]) -> str:
    """The shipped threshold's prediction and what test held, in one sentence."""
    row = report["predictions"][0]
    told = row["predicted"]
    return (
        f"Predicted {predicted_text(told)} false accepts an hour from {told['dev_count']} in {told['dev_hours']:.2f} h of dev; "
        f"observed {rate_text(row['observed'])}."
    )


def tuning(report: dict[str, Any]) -> str:
    """What was chosen on dev, and among how many ways."""
    point, tried = report["operating_point"], report["tried_on_dev"]
    return (
        f"Chosen on dev among {len(tried)} ways: mean of {point['smoothing_window']} scores, "
        f"{point['refractory_s']:g} s between detections."
    )


def speaker_row(row: dict[str, Any]) -> Row:
    return [row["speaker"], row["source"], f"{row['missed']} of {row['n']}"]


def rate_text(rate: dict[str, Any]) -> str:
    if rate["count"] == 0:
        return f"0 in {rate['hours']:.2f} h (under {rate['high']:.2f}/h with 95 %)"
    return f"{rate['count']} in {rate['hours']:.2f} h = {rate['per_hour']:.2f}/h ({rate['low']:.2f} to {rate['high']:.2f})"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


_MEASURES: list[tuple[str, str, Callable[[float], str]]] = [
    ("accuracy", "accuracy", percent),
    ("accuracy, told how often each class comes", "prior_accuracy", percent),
    ("balanced accuracy", "balanced_accuracy", percent),
    ("always the commonest class", "majority_accuracy", percent),
    ("wake phrase against all else (AUC)", "wake_auc", "{:.4f}".format),
    ("calibration error (ECE)", "ece", "{:.3f}".format),
    ("negative log likelihood", "nll", "{:.3f}".format),
]


def side_by_side(report: dict[str, Any]) -> list[Row]:
    """Teacher and student on the views of dev, a head and a row for each measure; [] where only one was measured."""
    teacher, student = report["teacher"], report["student"]
    if not teacher or "dev" not in teacher or "dev" not in student:
        return []
    sides = [teacher["dev"], student["dev"]]
    known = [measure for measure in _MEASURES if all(measure[1] in side for side in sides)]  # earlier runs measured less
    measured = [[label, *(shown(side[key]) for side in sides)] for label, key, shown in known]
    return [
        ["dev views, clip by clip (not test)", f"teacher: {teacher_name(teacher)}", f"student: {student['name']}"],
        *measured, ["missed (FRR)", *map(_miss_text, sides)], ["clips", *(f"{side['n_clips']:.0f}" for side in sides)],
    ]  # fmt: skip


def _miss_text(side: dict[str, Any]) -> str:
    # Clips that together last less than one false accept takes at this rate: not one of them may pass.
    bound = " (bound)" if "fa_hours" in side and side["fa_hours"] * side["fa_per_hour"] < 1 else ""
    return f"{percent(side['frr'])} at {side['fa_per_hour']:g} false accepts/h{bound}"


def bundle_rows(report: dict[str, Any]) -> list[Row]:
    """What the other files of a run lost against the float bundle: a row a file and phrase; none when there are no others."""
    rows: list[Row] = []
    for one in report.get("bundles", []):
        size = f"{one['bytes']:,}"
        if "not_heard" in one:
            rows.append([one["name"], size, *["-"] * 5, one["not_heard"]])
            continue
        for own in one["phrases"]:
            name = one["name"] if len(one["phrases"]) == 1 else f"{one['name']}, {own['phrase']}"
            frr = [percent(own["frr_clean"]), _points(own["lost_clean"]), percent(own["frr"]), _points(own["lost"])]
            rows.append([name, size, f"{own['operating_point']['threshold']:.3f}", *frr, rate_text(own["false_accepts"])])
    return rows


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points"
