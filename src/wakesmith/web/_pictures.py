"""A sound and its scores as one picture: samples and scores in, SVG out."""

from __future__ import annotations

import base64
import io

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ, Samples

WINDOW, HOP, N_FFT = 400, 80, 512
RANGE_DB = 65.0
"""From the loudest of a picture down to what is drawn as silence."""
COLOURS = ((13, 17, 33), (46, 49, 126), (33, 118, 150), (84, 189, 109), (250, 240, 150))
"""Silent to loud: readable on a light and on a dark page, and in grey."""
WIDTH, SOUND, SCORE, LEFT, BOTTOM, GAP = 640, 150, 110, 58, 42, 26
STYLE = """<style>.heard svg{width:100%;max-width:56rem;height:auto;display:block}
.heard text{fill:#56606c;font:13px system-ui,sans-serif}
.dark .heard text{fill:#a3adb9}
@media(max-width:40rem){.heard text{font-size:20px}}</style>"""


def spectrogram(samples: Samples) -> np.ndarray:
    """(N,) -> (257, T) decibels under the loudest, 0..1 from silence to loudest, low frequencies first; a column is 5 ms."""
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(WINDOW), N_FFT)))
    level_db = 10 * np.log10(np.maximum(power, 1e-10))
    return np.asarray(np.clip(1 + (level_db - level_db.max()) / RANGE_DB, 0, 1).T)


def _png(levels: np.ndarray) -> str:
    """(F, T) of 0..1 -> a PNG as a data address, high frequencies on top."""
    from PIL import Image

    anchors = np.linspace(0, 1, len(COLOURS))
    colours = np.stack([np.interp(levels[::-1], anchors, [one[i] for one in COLOURS]) for i in range(3)], axis=-1)
    file = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def heard(
    samples: Samples, times_s: np.ndarray, scores: np.ndarray, threshold: float, phrase_s: tuple[float, float] | None = None
) -> str:
    """(N,) sound; (n,) seconds in it, (n,) scores; where the phrase lies -> spectrogram over the score, on one time axis."""
    length_s = len(samples) / SAMPLE_RATE_HZ
    top, bottom = 20 + SOUND + GAP, 20 + SOUND + GAP + SCORE

    def x(at_s: float) -> float:
        return LEFT + at_s / length_s * (WIDTH - LEFT - 12)

    def y(score: float) -> float:
        return bottom - score * SCORE

    parts = [
        f"<image href='{_png(spectrogram(samples))}' x='{LEFT}' y=20 width='{WIDTH - LEFT - 12}' height='{SOUND}' "
        "preserveAspectRatio=none />",
        *(f"<text x=4 y='{24 + SOUND * (1 - khz / 8):.0f}'>{khz} kHz</text>" for khz in (4, 8)),
    ]
    if phrase_s:
        start, end = (x(min(max(at, 0.0), length_s)) for at in phrase_s)
        parts.append(f"<rect x='{start:.1f}' y='{top}' width='{max(2.0, end - start):.1f}' height='{SCORE}' class=said />")
        parts.append(f"<text x='{start + 4:.1f}' y='{top + 16}'>phrase</text>")
    for score in (0.0, 1.0):
        parts.append(f"<line x1='{LEFT}' x2='{WIDTH - 12}' y1='{y(score)}' y2='{y(score)}' class=rule />")
        parts.append(f"<text x=30 y='{y(score) + 5}'>{score:g}</text>")
    parts.append(f"<text x=4 y='{top + SCORE / 2 + 5}'>score</text>")
    for at_s in np.arange(0, length_s + 1e-9, 1.0 if length_s > 2 else 0.5):
        parts.append(f"<text x='{x(float(at_s)):.1f}' y='{bottom + 20}' text-anchor=middle>{at_s:g}</text>")
    line = " ".join(f"{x(float(at)):.1f},{y(float(score)):.1f}" for at, score in zip(times_s, scores, strict=True))
    parts.append(f"<polyline points='{line}' class=score />")
    parts.append(f"<line x1='{LEFT}' x2='{WIDTH - 12}' y1='{y(threshold):.1f}' y2='{y(threshold):.1f}' class=threshold />")
    parts.append(f"<text x='{WIDTH - 12}' y='{bottom + 38}' text-anchor=end>seconds; dashed: threshold {threshold:.3f}</text>")
    look = (
        "<style>.heard .rule{stroke:var(--border-color-primary,#ccc)}.heard .said{fill:#0b62a8;fill-opacity:.13}"
        ".heard .score{fill:none;stroke:#2f8fdc;stroke-width:2.5}.heard .threshold{stroke:#d9622b;stroke-width:2;"
        "stroke-dasharray:6 4}</style>"
    )
    told = f"Spectrogram and score over {length_s:.1f} seconds; highest score {max(scores, default=0.0):.3f}"
    svg = f"<svg viewBox='0 0 {WIDTH} {bottom + BOTTOM}' role=img aria-label='{told}'>{''.join(parts)}</svg>"
    return f"{STYLE}{look}<div class=heard>{svg}</div>"
