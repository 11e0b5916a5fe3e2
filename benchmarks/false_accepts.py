"""Are the predicted false accepts per hour those of unseen audio? The prediction of dev beside each of many streams of test.

    python benchmarks/false_accepts.py RUN [RUN ...] [--streams 12] [--rates 0.5 2 10]

Each RUN is a run folder with a bundle that `evaluate` gave an operating point. Its test negatives (other speakers than dev's, and
never tuned on) are cut into streams of one length. The shipped threshold comes first; thresholds that dev gives for higher rates
put more events into a stream, and so the interval to a harder test.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wakesmith import bundle, config, metrics
from wakesmith.card import OperatingPoint
from wakesmith.data.audio_store import AudioStore
from wakesmith.errors import DataError
from wakesmith.progress import mute
from wakesmith.run import CONFIG
from wakesmith.steps import _judge, _predict, _score, _streams, evaluate
from wakesmith.steps._heard import Heard, fired

Row = list[str]
HEAD = ["phrase", "stream", "threshold", "predicted FA/h", "hours", "expected", "observed", "FA/h", "inside"]
SUMMARY = ["phrase", "asked of dev (FA/h)", "predicted FA/h", "expected in all", "observed", "FA/h", "inside", "streams inside"]


def negatives(store: AudioStore, split: str, most_hours: float, seed: int, n_streams: int) -> Iterator[Any]:
    """What `_score.hear` takes; for n_streams > 0 as many streams of one length, else evaluate's own."""
    recordings = evaluate.negatives(store, split)
    piece_s = _streams.PIECE_S
    if n_streams:
        held_s = sum(r.n_samples + _streams.GAP_SAMPLES for r in recordings) / _streams.SAMPLE_RATE_HZ
        longest_s = max(r.n_samples for r in recordings) / _streams.SAMPLE_RATE_HZ
        piece_s = held_s / n_streams - longest_s / 2  # a stream ends with the recording that reaches its length
        if piece_s <= 0:
            raise DataError(f"{store.folder}: {held_s / 60:.1f} minutes of {split} are too few for {n_streams} streams.")
    for stream in _streams.of_negatives(store, recordings, most_hours, seed, split, piece_s):
        length_s = len(stream.samples) / _streams.SAMPLE_RATE_HZ
        if not n_streams or length_s > piece_s / 2:  # what the last one leaves over is no stream of their length
            yield "negatives", None, stream


def heard(run: Path, settings: evaluate.Settings, seed: int, n_streams: int) -> tuple[Heard, Heard]:
    """Dev as evaluate hears it, and test in streams of one length."""
    store = AudioStore.open(run / "prepare")
    dev = _score.hear(run, negatives(store, "dev", settings.max_dev_hours, seed, 0), "dev")
    test = _score.hear(run, negatives(store, "test", math.inf, seed, n_streams), "test")
    return dev, test


def stream_rows(phrase: str, dev: Heard, test: Heard, point: OperatingPoint) -> list[tuple[Row, bool]]:
    """A row a stream, and whether its count lies inside the interval that dev predicts for its hours."""
    rows = []
    for number, stream in enumerate(test.streams["negatives"], start=1):
        told, count = _predict.expected(dev, point, stream.hours), len(fired(stream, point))
        inside = told["least"] <= count <= told["most"]
        rate = f"{told['per_hour']:.2f} ({told['low']:.2f} to {told['high']:.2f})"
        cells = [phrase, str(number), f"{point.threshold:.3f}", rate, f"{stream.hours:.3f}", f"{told['least']} to {told['most']}"]
        rows.append(([*cells, str(count), f"{count / stream.hours:.2f}", "yes" if inside else "NO"], inside))
    return rows


def summary_row(phrase: str, asked: str, dev: Heard, test: Heard, point: OperatingPoint) -> Row:
    """All streams together, and how many of them lie inside."""
    told, count = _predict.expected(dev, point, test.hours), test.false_accepts(point)
    low, high = metrics.poisson(count, test.hours)
    n_inside = sum(inside for _, inside in stream_rows(phrase, dev, test, point))
    rate = f"{told['per_hour']:.2f} ({told['low']:.2f} to {told['high']:.2f}), bursts x{told['burst']:.1f}"
    observed = [f"{count} in {test.hours:.2f} h", f"{count / test.hours:.2f} ({low:.2f} to {high:.2f})"]
    inside = "yes" if told["least"] <= count <= told["most"] else "NO"
    streams = f"{n_inside} of {len(test.streams['negatives'])}"
    return [phrase, asked, rate, f"{told['least']} to {told['most']}", *observed, inside, streams]


def judged(run: Path, n_streams: int, rates: list[float]) -> tuple[list[Row], list[Row]]:
    """(rows by stream at the shipped threshold, summary rows) of a run."""
    card, recipe = bundle.load_card(run / "bundle"), config.read_yaml(run / CONFIG)
    settings: evaluate.Settings = config.parse(evaluate.Settings, recipe.get("evaluate", {}))
    shipped = card.operating_point
    if shipped is None:
        raise DataError(f"{run}: its bundle has no operating point. Run: wakesmith evaluate {run}")
    dev, test = heard(run, settings, int(recipe.get("seed", 1)), n_streams)
    by_rate = [
        _judge.at_rate(dev, rate, shipped.smoothing_window, shipped.refractory_s, settings.threshold_floor)[0] for rate in rates
    ]
    points = [("shipped", shipped), *((f"{rate:g}", point) for rate, point in zip(rates, by_rate, strict=True))]
    lines = [cells for cells, _ in stream_rows(card.phrase, dev, test, shipped)]
    return lines, [summary_row(card.phrase, asked, dev, test, point) for asked, point in points]


def markdown(rows: list[Row]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *body])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--streams", type=int, default=12, help="streams that the test negatives of each run are cut into")
    parser.add_argument(
        "--rates", type=float, nargs="*", default=[2.0, 10.0, 30.0], help="FA/h that dev gives further thresholds for"
    )
    chosen = parser.parse_args()
    mute()
    found = [judged(run, chosen.streams, chosen.rates) for run in chosen.runs]
    lines = [row for rows, _ in found for row in rows]
    print("At the shipped threshold, stream by stream:\n")
    print(markdown([HEAD, *lines]))
    print(f"\n{sum(row[-1] == 'yes' for row in lines)} of {len(lines)} streams lie inside their 95 % interval.\n")
    print(markdown([SUMMARY, *(row for _, rows in found for row in rows)]))


if __name__ == "__main__":
    main()
