"""How well a detector hears: misses, false accepts per hour, curves and intervals. Arrays in, numbers out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wakesmith.errors import DataError

Numbers = npt.NDArray[np.floating]
Z_95 = 1.959963984540054


def wilson(k: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share k of n (Wilson 1927); (0, 1) for nothing tried."""
    if n == 0:
        return 0.0, 1.0
    share, spread = k / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half) if k else 0.0, min(1.0, middle + half) if k < n else 1.0


def poisson(k: int, hours: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a rate per hour from k events (Garwood 1936).

    With no event the upper end alone is one-sided: -ln(0.05) / hours.
    """
    from scipy.stats import chi2

    if hours <= 0:
        return 0.0, math.inf
    if k == 0:
        return 0.0, -math.log(1 - confidence) / hours
    tail = (1 - confidence) / 2
    return float(chi2.ppf(tail, 2 * k) / 2 / hours), float(chi2.ppf(1 - tail, 2 * k + 2) / 2 / hours)


def burstiness(counts: npt.NDArray[np.integer], hours: Numbers) -> float:
    """How much more the total of unlike groups varies than a Poisson count: (G,) events, (G,) hours each -> 1 or more.

    The variance of the total with the group as the unit that is drawn, over its mean: the design effect of cluster sampling
    (Kish 1965), which a bootstrap over whole groups estimates too. Where each event comes in a burst of b, it is b.
    """
    shares, total = hours / max(float(hours.sum()), 1e-9), int(counts.sum())
    free = 1 - np.square(shares).sum()
    if total == 0 or free <= 1e-9:
        return 1.0
    return max(1.0, float(np.square(counts - total * shares).sum() / (total * free)))


TAIL_PEAKS, LEAST_PEAKS = 50, 250
"""Peaks that make a tail, and of how many at least: fewer would reach into what is no tail any more."""
COUNTED_EVENTS = 2
"""So many events that the hours hold at a rate tell its threshold themselves; of fewer, one loud moment more or less decides.
Between halves of a dev the tail kept nearer to the rate at 1.7 events, the count at 2.5 (benchmarks/threshold_ways.py)."""
LEAST_SCORE = 1e-6
"""Scores are kept so far from 0 and 1 before their log-odds are taken."""


def expected_rate(k: int, hours: float, *, set_by_peak: bool, burst: float = 1.0) -> tuple[float, float, float]:
    """The rate per hour behind k events of a tuning set: (mean, low, high), 95 % from end to end.

    `set_by_peak`: the threshold lies just over the tuning set's peak number k + 1. Then the true rate over it times the hours
    is the (k + 1)-th arrival of a unit Poisson process, whatever the heights are: Gamma(k + 1) without any prior. A threshold
    fixed beforehand leaves Jeffreys' Gamma(k + 1/2). Events in bursts are fewer bursts; the wider interval is given.
    """
    from scipy.stats import gamma

    first = 1.0 if set_by_peak else 0.5
    ways = [gamma(k / size + first, scale=size / hours) for size in (1.0, burst)]
    return (k + first) / hours, min(float(way.ppf(0.025)) for way in ways), max(float(way.ppf(0.975)) for way in ways)


def expected_count(k: int, hours: float, new_hours: float, *, set_by_peak: bool, burst: float = 1.0) -> tuple[int, int]:
    """Between which counts the events in `new_hours` of unseen audio lie, 95 times of 100, after k in `hours` of tuning audio.

    A Poisson count whose rate is known as `expected_rate` knows it is negative binomial: exact for a threshold that a peak set
    (exceedances over an order statistic, Gumbel and von Schelling 1950). Both samples are finite, and both are counted in.
    """
    from scipy.stats import nbinom

    first = 1.0 if set_by_peak else 0.5
    ways = [(size, nbinom(k / size + first, hours / (hours + new_hours))) for size in (1.0, burst)]
    low = min(math.floor(size * way.ppf(0.025)) for size, way in ways)
    return low, max(math.ceil(size * way.ppf(0.975)) for size, way in ways)


def frr(positives: Numbers, threshold: float) -> float:
    """False reject rate: share of the phrases whose best score stays under the threshold. (n,) -> 0..1."""
    return float((np.asarray(positives) < threshold).mean())


def peaks(times_s: Numbers, scores: Numbers, refractory_s: float) -> npt.NDArray[np.intp]:
    """Where the peaks lie that stay apart by the refractory time, highest first: (n,), (n,) -> (n_peaks,) numbers of scores.

    Those at or over a threshold are close to the runtime's detections there, not the same: the runtime counts rises to the
    threshold, and two rises that are apart may have peaks that are not.
    """
    inside = np.r_[True, scores[1:] >= scores[:-1]] & np.r_[scores[:-1] > scores[1:], True] if len(scores) else np.zeros(0, bool)
    candidates = np.flatnonzero(inside)
    taken: list[int] = []
    busy = np.zeros(len(scores), bool)
    for index in candidates[np.argsort(-scores[candidates], kind="stable")]:
        if not busy[index]:
            taken.append(int(index))
            low, high = np.searchsorted(times_s, [times_s[index] - refractory_s, times_s[index] + refractory_s])
            busy[low:high] = True
    return np.array(taken, dtype=np.intp)


def threshold_at(heights: Numbers, hours: float, fa_per_hour: float, floor: float) -> tuple[float, bool]:
    """The lowest threshold with at most `fa_per_hour` among the peaks of negatives, not under `floor`.

    -> (threshold, whether it is only a bound: the hours are too few for a single event at that rate).
    """
    allowed = math.floor(fa_per_hour * hours + 1e-9)
    ordered = np.sort(heights)[::-1]
    over = float(ordered[allowed]) if allowed < len(ordered) else 0.0
    return max(floor, float(np.nextafter(np.float32(over), np.float32(2)))), allowed == 0


def threshold_beyond(heights: Numbers, hours: float, fa_per_hour: float) -> float | None:
    """The threshold at a rate of which the hours hold few events, from the tail of the peaks. (n,) -> 0..1.

    None where they hold `COUNTED_EVENTS`, so that `threshold_at` knows, and for too few peaks.

    What the log-odds of the loudest `TAIL_PEAKS` lie over the next one is taken as exponential, the limit of tails that are
    neither heavy nor bounded (peaks over threshold: Pickands 1975, https://doi.org/10.1214/aos/1176343003).
    """
    if fa_per_hour * hours + 1e-9 >= COUNTED_EVENTS or len(heights) < LEAST_PEAKS:
        return None
    loudest = np.clip(np.sort(heights)[::-1][: TAIL_PEAKS + 1].astype(np.float64), LEAST_SCORE, 1 - LEAST_SCORE)
    log_odds = np.log(loudest / (1 - loudest))
    slope = float((log_odds[:-1] - log_odds[-1]).mean())
    beyond = log_odds[-1] + slope * math.log(TAIL_PEAKS / (fa_per_hour * hours))
    return float(np.float32(1 / (1 + math.exp(-beyond))))


def det(positives: Numbers, heights: Numbers, hours: float) -> tuple[Numbers, Numbers, Numbers]:
    """Detection error trade-off: (thresholds, FA per hour, FRR), thresholds rising."""
    thresholds = np.unique(np.r_[np.linspace(0.01, 1.0, 100), 1 - np.geomspace(1e-4, 0.5, 60)])
    fa = np.array([(heights >= t).sum() / max(hours, 1e-9) for t in thresholds])
    return thresholds, fa, np.array([frr(positives, t) for t in thresholds])


def roc(positives: Numbers, negatives: Numbers) -> tuple[Numbers, Numbers]:
    """(false reject rates, false accept rates) over every score as threshold, rising thresholds."""
    thresholds = np.unique(np.r_[positives, negatives, np.inf])
    return (
        np.searchsorted(np.sort(positives), thresholds, "left") / len(positives),
        1 - np.searchsorted(np.sort(negatives), thresholds, "left") / len(negatives),
    )


def eer(positives: Numbers, negatives: Numbers) -> float:
    """Equal error rate, between the two thresholds where misses and false accepts cross."""
    misses, accepts = roc(positives, negatives)
    at = int(np.argmax(misses >= accepts))
    if at == 0:
        return float((misses[0] + accepts[0]) / 2)
    before, after = accepts[at - 1] - misses[at - 1], misses[at] - accepts[at]
    share = before / (before + after) if before + after else 0.0
    return float(misses[at - 1] + share * (misses[at] - misses[at - 1]))


def auc(positives: Numbers, negatives: Numbers) -> float:
    """Area under the ROC curve: how often a positive scores over a negative, ties counting half (Mann-Whitney)."""
    ordered = np.sort(negatives)
    below, upto = np.searchsorted(ordered, positives, "left"), np.searchsorted(ordered, positives, "right")
    return float(((below + upto) / 2).mean() / len(negatives))


def pauc(positives: Numbers, negatives: Numbers, most_accepts: float = 0.05) -> float:
    """Partial area under the ROC curve, over false accept rates up to `most_accepts`, as a share of the best: 0..1."""
    assert 0 < most_accepts <= 1, most_accepts
    misses, accepts = roc(positives, negatives)
    x, y = accepts[::-1], 1 - misses[::-1]  # false accept rates rising
    end = int(np.searchsorted(x, most_accepts))  # the curve crosses the limit between this point and the one before
    part = (most_accepts - x[end - 1]) / (x[end] - x[end - 1])
    last = y[end - 1] + part * (y[end] - y[end - 1])
    return float(np.trapezoid(np.r_[y[:end], last], np.r_[x[:end], most_accepts]) / most_accepts)


def ece(probabilities: Numbers, labels: npt.NDArray[np.integer], n_bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): (n, C), (n,) -> 0..1."""
    return _ece(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, n_bins)


def _ece(confidence: Numbers, right: npt.NDArray[np.bool_], n_bins: int = 15) -> float:
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in range(n_bins)]
    return float(sum(gaps) / len(right))


def ece_by_chance(probabilities: Numbers, draws: np.random.Generator, n_draws: int = 200, quantile: float = 0.95) -> float:
    """What `ece` stays under, 95 times of 100, for answers that mean what they say: few clips make an error of their own.

    (n, C) -> 0..1. The labels are drawn from the probabilities.
    """
    confidence = probabilities.max(axis=1)
    right = draws.random((n_draws, len(confidence))) < confidence
    return float(np.quantile([_ece(confidence, one) for one in right], quantile))


def answers(
    logits: Numbers, labels: npt.NDArray[np.integer], hours_per_clip: float, fa_per_hour: float = 0.5, n_phrases: int = 1,
    near_miss: int | None = None,
) -> dict[str, float]:  # fmt: skip
    """How well single clips are told apart, by a teacher or a student: (n, C) logits, (n,) classes from 0 -> figures by name.

    The first `n_phrases` classes are wake phrases; for several, `wake_auc` and `frr` are the means over the phrases. `frr` is the
    share of a phrase's clips that are missed at the lowest threshold on its probability that lets through at most `fa_per_hour`
    of the other clips; `fa_hours` is how long those are, and with few of them the rate is a bound: not one may pass. Clips of
    the class `near_miss` are no part of either: made to sound like the phrase, they come far denser than in any room.
    `prior_accuracy` is the accuracy of answers that were learned with all classes alike and are then told how often each comes,
    which the majority class is told too (Saerens et al., Neural Computation 14, 2002, equation 2.4).
    """
    assert logits.shape[:1] == labels.shape, (logits.shape, labels.shape)
    assert (labels >= 0).all(), "clips without a label cannot be counted"
    probabilities = softmax(logits)
    right = probabilities.argmax(axis=1) == labels
    counts = np.bincount(labels, minlength=logits.shape[1])
    told = [
        (probabilities[labels == k, k], probabilities[labels != k, k]) for k in range(n_phrases) if 0 < counts[k] < len(labels)
    ]
    if not told:
        raise DataError(
            "dev: holds no clip of a wake phrase, or nothing else. Give more speakers or other sources, then `prepare`."
        )
    with np.errstate(divide="ignore"):
        told_shares = logits.astype(np.float64) + np.log(counts / len(labels))
    far = [(probabilities[labels == k, k], probabilities[(labels != k) & (labels != near_miss), k]) for k in range(n_phrases)]
    misses = [frr(own, threshold_at(other, len(other) * hours_per_clip, fa_per_hour, 0.0)[0]) for own, other in far if len(own)]
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[labels == label].mean() for label in np.unique(labels)])),
        "prior_accuracy": float((told_shares.argmax(axis=1) == labels).mean()),
        "majority_accuracy": float(counts.max() / len(labels)),
        "chance_accuracy": float(1 / (counts > 0).sum()),
        "wake_auc": float(np.mean([auc(own, other) for own, other in told])),
        "frr": float(np.mean(misses)),
        "fa_per_hour": fa_per_hour,
        "fa_hours": float(np.mean([len(other) for own, other in far if len(own)]) * hours_per_clip),
        "ece": ece(probabilities, labels),
        "nll": float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-300)).mean()),
        "n_clips": float(len(labels)),
    }


def softmax(logits: Numbers) -> Numbers:
    """Probabilities in float64: (n, C) -> (n, C)."""
    powers: Numbers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
