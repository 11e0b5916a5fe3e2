"""The main figures of the test split, for a terminal."""

from __future__ import annotations

from typing import Any

from wakesmith.report.facts import (
    BUNDLE_HEAD,
    MOSTLY_HEAD,
    PREDICTION_HEAD,
    RATE_HEAD,
    SHARE_HEAD,
    SPEAKER_HEAD,
    bundle_rows,
    check,
    condition_row,
    confusion_rows,
    near_misses_fired,
    of_phrases,
    prediction,
    prediction_row,
    rate_row,
    side_by_side,
    source_row,
    speaker_row,
    tuning,
    warnings,
)
from wakesmith.tables import Look, aligned


def table(report: dict[str, Any], look: Look = aligned) -> str:
    """The main figures of the test split, for a terminal. Raises DataError as `check` does."""
    check(report)
    lines = [line for one in of_phrases(report) for line in (*_of_phrase(one, look), "")]
    others = bundle_rows(report)
    for rows in (confusion_rows(report), [BUNDLE_HEAD, *others] if others else [], side_by_side(report)):
        lines += [*look(rows), ""] if rows else []
    return "\n".join(lines[:-1])


def _of_phrase(report: dict[str, Any], look: Look) -> list[str]:
    test, point = report["test"], report["operating_point"]
    lines = [
        f"'{report['phrase']}': {report['student']['name']}, {report['student']['parameters']:,} parameters, "
        f"{report['student']['bytes'] / 1024:.0f} KB; threshold {point['threshold']:.3f} (chosen on {point['chosen_on']})",
        "",
        *look([["phrase under", *SHARE_HEAD], *map(condition_row, test["conditions"])]),
        "",
        *look([RATE_HEAD, *(rate_row(row) for row in test["rates"])]),
        "",
        *look([PREDICTION_HEAD, *map(prediction_row, report["predictions"])]),
        "",
        prediction(report),
        tuning(report),
        *warnings(report),
        "Near misses that fire: {} of {}.".format(*near_misses_fired(report)),
    ]
    if len(report["sources"]) > 1:
        lines += ["", *look([["clean, by source", *SHARE_HEAD], *map(source_row, report["sources"])])]
    if mostly := report["speakers"]["mostly_missed"]:
        lines += ["", *look([["mostly missed, clean", *MOSTLY_HEAD], *map(source_row, mostly)])]
    if worst := report["speakers"]["worst"]:
        lines += ["", *look([SPEAKER_HEAD, *map(speaker_row, worst[:5])])]
    return lines
