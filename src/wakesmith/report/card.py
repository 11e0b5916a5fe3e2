"""The model card: a bundle's card in, Markdown for people out. The same card gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from wakesmith import text as texts
from wakesmith.report import licences
from wakesmith.report.facts import SET_BY, SHARE_HEAD, VOICES, Row, condition_row, rate_text

if TYPE_CHECKING:
    from wakesmith.card import Card, Measured, Phrase

DATA_HEAD = ["source", "licence", "recordings", "hours", "commercial use"]
OPENWAKEWORD = "speech_embedding"
"""Features that no front-end of ours computes beside a model."""


def text(card: Card, model_bytes: int | None) -> str:
    """The whole model card."""
    return "\n\n".join([
        f"# {_plain(card.phrase)}",
        f"A wake-word model that hears {' and '.join(map(_quoted, card.texts))} (language: {_plain(card.language)}). It runs "
        "where the microphone is: sound goes in, a score comes out, and nothing is sent anywhere. Made with "
        f"Wakesmith {_plain(card.versions.get('wakesmith', 'of unknown version'))}. `card.json` says the same to programs.",
        "## How well it hears", *(part for one in card.phrases for part in _heard(one, card)),
        "## What it is", _table(["", ""], _facts(card, model_bytes)),
        "## What it learned from", *_data(card),
        "## How to load it", "`FOLDER` is the folder of this file.", *(part for one in places(card) for part in one.parts),
    ]) + "\n"  # fmt: skip


def commercial_use(card: Card) -> dict[str, Any]:
    """Whether the licences of data and teacher allow it: the answer for all together, and each with its reason."""
    taught = (card.teacher or {}).get("encoder_licence")
    known = [one.licence for one in card.data] or card.data_licences or ["unknown"]
    rows: list[dict[str, Any]] = [{"what": what, "licence": licence, **_verdict(licence)} for what, licence in
            [*(("data", one) for one in sorted(set(known))), *([("teacher", str(taught))] if card.teacher else [])]]  # fmt: skip
    return {"answer": licences.worst(row["answer"] for row in rows), "by_licence": rows}


def _verdict(licence: str) -> dict[str, Any]:
    answer, reason = licences.commercial(licence)
    return {"answer": answer, "reason": reason}


def _heard(phrase: Phrase, card: Card) -> list[str]:
    """The operating point of a phrase, and what was measured there."""
    point, measured = phrase.operating_point, phrase.measured
    if point is None:
        return [f"{_quoted(phrase.text)} was not evaluated yet: it has no threshold. Run `wakesmith evaluate` on its run folder."]
    asked = f" for {point.target_fa_per_hour:g} false accepts an hour" if point.target_fa_per_hour else ""
    mean_s = point.smoothing_window * card.score_samples / card.rate_hz
    told = (
        f"{_quoted(phrase.text)} is heard when the mean of {point.smoothing_window} scores ({mean_s * 1000:.0f} ms) reaches "
        f"{point.threshold:.4g}; for {point.refractory_s:g} s after that it is not heard again. This was chosen{asked} on: "
        f"{_plain(point.chosen_on)}."
    )
    found = measured.predicted if measured else None
    if found and point.target_fa_per_hour and found.hours * point.target_fa_per_hour < 1:
        told += " Those hours are too few for one false accept at that rate"
        told += f": the threshold {SET_BY[point.set_by]}." if point.set_by else "."
    elif point.set_by == "tail":
        told += f" Those hours hold few false accepts at that rate: the threshold {SET_BY['tail']}."
    return [told, *(_measured(measured) if measured else ["Nothing was measured at this threshold."])]


def _measured(found: Measured) -> list[str]:
    rate = rate_text(found.false_accepts.model_dump())
    parts = [
        _table(["phrase said, on test", *SHARE_HEAD], [condition_row(one.model_dump()) for one in found.conditions]),
        f"In {found.false_accepts.hours:.2f} h of other sounds on test it fired by mistake: {rate}.",
    ]
    if found.predicted:
        told = found.predicted
        parts[-1] += (
            f" From {told.count} in {told.hours:.2f} h of dev, {told.per_hour:.2f} an hour ({told.low:.2f} to {told.high:.2f}) "
            "were to be expected of sound like that of dev."
        )
    if found.near_misses:
        parts.append(f"Near misses that woke it: {found.near_misses_fired} of {found.near_misses} phrases made to sound like it.")
    if found.delay_s is not None and found.late_s is not None:
        parts.append(
            f"A detection comes {_after(found.delay_s)} the end of the phrase (median; 95 of 100 by {_after(found.late_s)} it)."
        )
    if len(found.sources) > 1:
        parts.append(_table(["clean, by source", *SHARE_HEAD], [condition_row(one.model_dump()) for one in found.sources]))
    if found.sources and all(one.name in VOICES for one in found.sources):
        parts.append("Every phrase of the test was said by a synthetic voice. Real voices are missed more often.")
    return [*parts, "Intervals are of 95 %. Nothing is known of conditions that are not in this list."]


def _after(delay_s: float) -> str:
    return f"{abs(delay_s):.2f} s {'after' if delay_s >= 0 else 'before'}"


def _facts(card: Card, model_bytes: int | None) -> list[Row]:
    size = f", {model_bytes:,} bytes" if model_bytes is not None else ""
    score_ms, step_ms = 1000 * card.score_samples / card.rate_hz, 1000 * card.step_s
    return [
        ["file", f"`{card.model}`{size}; sha256 `{card.sha256}`"],
        ["student", f"{_settings(card.student)}; {card.parameters:,} parameters, {card.listens}"],
        ["teacher", _teacher(card)],
        ["sound", f"{card.rate_hz:,} Hz mono, {step_ms:g} ms at once ({card.step_samples:,} samples)"],
        ["latency", f"a score each {score_ms:g} ms, at most {step_ms:g} ms late by the step, and the time the machine takes"],
        ["memory of the sound", f"{card.receptive_samples / card.rate_hz:.2f} s; a state of {card.state_size:,} numbers"],
        [f"front-end, {card.front_end} of the file", _settings(card.features)],
        ["classes inside", ", ".join(card.labels)],
        ["seed", str(card.seed)],
        ["made with", ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items())) or "not recorded"],
    ]  # fmt: skip


def _teacher(card: Card) -> str:
    if not card.teacher:
        return "none: it learned from labels alone"
    source = PurePath(str(card.teacher.get("encoder_source", "not recorded")))
    where = source.name if source.is_absolute() else str(source)  # folders of the maker's machine say nothing to others
    return f"{where}; licence: {card.teacher.get('encoder_licence') or 'unknown'}"


def _settings(part: dict[str, Any]) -> str:
    options = ", ".join(f"{key} {value}" for key, value in part.items() if key != "name")
    return f"{part.get('name', 'unknown')}{f' ({options})' if options else ''}"


def _data(card: Card) -> list[str]:
    use = commercial_use(card)
    told = {
        "yes": "Commercial use: the licences of data and teacher allow it, under the conditions named here.",
        "no": "Commercial use: no, a licence here forbids it.",
        "unknown": "Commercial use: unknown, because not every licence is known.",
    }[use["answer"]]
    if card.data:
        rows = [
            [one.name, one.licence, f"{one.recordings:,}", f"{one.hours:.2f}", "{}: {}".format(*licences.commercial(one.licence))]
            for one in card.data
        ]
        return [_table(DATA_HEAD, rows), *_of_teacher(use), f"{told} This is a table of known licences, no legal advice."]
    rows = [[row["licence"], f"{row['answer']}: {row['reason']}"] for row in use["by_licence"] if row["what"] == "data"]
    return [
        _table(["licence", "commercial use"], rows),
        *_of_teacher(use),
        f"{told} This is a table of known licences, no legal advice.",
    ]


def _of_teacher(use: dict[str, Any]) -> list[str]:
    return [
        f"Teacher, {_plain(row['licence'])}: {row['answer']}, {row['reason']}."
        for row in use["by_licence"]
        if row["what"] == "teacher"
    ]


class Place(NamedTuple):
    """Something that runs a bundle: in words, and what to type, if anything."""

    told: str
    code: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.told, self.code) if self.code else (self.told,)


def places(card: Card, folder: str = "FOLDER") -> list[Place]:
    """A way for each place that runs this file, as Markdown. folder: where the bundle lies."""
    if card.front_end == "outside" and card.features.get("name") == OPENWAKEWORD:
        return [
            Place(
                "Programs of openWakeWord compute the speech embeddings that this file hears: give them `model.tflite` "
                "(pyopen-wakeword) or `model.onnx` (openwakeword). Wakesmith runs the `bundle` of the same run."
            )
        ]
    names = ", ".join(f"`{texts.file_name(one)}`" for one in card.texts)
    made = [
        Place(f"Python (`pip install {_package(card)}`, no torch):",
              f"```python\nfrom wakesmith import load_bundle\n\ndetector = load_bundle(\"{folder}\")\n"
              "print(detector.process(samples))  # 16 kHz mono, float in -1..1 or int16, chunks of any size\n```"),
        Place(f"Command line (`pip install {_package(card, 'cli', 'live')}` for the microphone):",
              f"```\nwakesmith detect {folder} recording.wav\nwakesmith listen {folder}\n```"),
        Place(f"Home Assistant and other Wyoming clients (`pip install {_package(card, 'cli', 'serve')}`), as {names}:",
              f"```\nwakesmith serve {folder} --host 0.0.0.0\n```"),
    ]  # fmt: skip
    if card.model.endswith(".onnx") and card.front_end == "inside":
        made.append(
            Place(
                f"Browser: the page of `examples/browser` in the sources of Wakesmith takes `{card.model}` and `card.json`, and "
                "listens on the user's machine."
            )
        )
    return made


def on_device(card: Card) -> list[Place]:
    """What to do with the folder `device` of a bundle that ESPHome devices take."""
    name = texts.file_name(card.phrase)
    return [
        Place(
            f"ESPHome, on an ESP32-S3 with a microphone: copy `device/{name}.json` and `device/{name}.tflite` beside the "
            "configuration, and name the manifest in it:",
            f"```yaml\nmicro_wake_word:\n  models:\n    - model: {name}.json\n      id: {name}\n```",
        ),
        Place(
            "Home Assistant offers the two files to satellites that load wake words at run time: put them in "
            "`<config>/custom_wake_words/`."
        ),
    ]


def _package(card: Card, *also: str) -> str:
    """What runs the bundle: the extras of its engine, and of a front-end that lies outside of the model."""
    outside = [str(card.features["name"])] if card.front_end == "outside" else []
    extras = [*also, *(["lite"] if card.model.endswith(".tflite") else [*outside, "onnx"])]
    return f"'wakesmith[{','.join(extras)}]'"


def _table(head: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [head, ["---"] * len(head), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _quoted(phrase: str) -> str:
    return f"'{_plain(phrase)}'"


def _plain(cell: str) -> str:
    """What others wrote must not become a table, a link or HTML of ours."""
    for mark in "\\|<[*":
        cell = cell.replace(mark, "\\" + mark)
    return " ".join(cell.split())
