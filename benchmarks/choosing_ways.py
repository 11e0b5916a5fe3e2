"""Why ways to listen are compared at ten false accepts of dev: what the comparison does to the promise of the threshold.

    python benchmarks/choosing_ways.py [--ways 15] [--draws 20000]

Simulated: in every way to listen the peaks of dev and of test are draws of one kind, so no way is better; the one that is chosen
only happens to be low in dev. Printed is how often test's count then lies inside the 95 % interval that dev predicts. `shared` is
how alike the ways are: the share of dev's peaks that all of them have at the same height.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from wakesmith import metrics

COMPARED_AT = (0, 1, 3, 10, 30)
"""False accepts in dev at which the ways are compared; where the target allows more, it is the target's."""
ALLOWED = (0, 1, 3)
"""False accepts in dev at the target rate."""
TEST_HOURS = (0.5, 1.0, 2.0, 4.0)
"""For each hour of dev."""


def levels(n_draws: int, n_ways: int, n_peaks: int, shared: float, chance: np.random.Generator) -> npt.NDArray[np.float64]:
    """(n_draws, n_ways, n_peaks) false accepts that unseen audio as long as dev is expected to hold over each of dev's peaks.

    The loudest comes first. Whatever the heights of the peaks are, these are the arrivals of a unit Poisson process.
    """
    own = chance.exponential(1, (n_draws, n_ways, n_peaks)).cumsum(axis=-1) / max(1 - shared, 1e-9)
    same = chance.exponential(1, (n_draws, 1, n_peaks)).cumsum(axis=-1) / max(shared, 1e-9)
    return np.sort(np.concatenate([own, np.broadcast_to(same, own.shape)], axis=-1), axis=-1)[..., :n_peaks]


def inside(found: npt.NDArray[np.float64], allowed: int, compared_at: int, hours: float, chance: np.random.Generator) -> float:
    """Share of the draws whose count in test lies in the interval that dev predicts for it."""
    lowest = found[..., max(allowed, compared_at)].argmax(axis=1)  # the threshold there lets the most of the phrases through
    counts = chance.poisson(found[np.arange(len(found)), lowest, allowed] * hours)
    least, most = metrics.expected_count(allowed, 1.0, hours, set_by_peak=True)
    return float(((least <= counts) & (counts <= most)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", type=int, default=15, help="ways to listen that are compared")
    parser.add_argument("--draws", type=int, default=20_000, help="simulated pairs of dev and test")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chance = np.random.default_rng(chosen.seed)
    print("| shared | compared at | inside its 95 % interval: least | most |\n| --- | --- | --- | --- |")
    for shared in (0.0, 0.5):
        found = levels(chosen.draws, chosen.ways, max(COMPARED_AT) + 1, shared, chance)
        for compared_at in COMPARED_AT:
            held = [inside(found, allowed, compared_at, hours, chance) for allowed in ALLOWED for hours in TEST_HOURS]
            print(f"| {shared:g} | {compared_at} | {100 * min(held):.1f} % | {100 * max(held):.1f} % |")


if __name__ == "__main__":
    main()
