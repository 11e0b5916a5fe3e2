"""Kill every step of a tiny run again and again, and compare what it leaves, byte for byte, with an undisturbed run.

    python benchmarks/kills.py [--kills 20] [--steps views,train] [--seed 1] [--json]

How it kills, and what is compared, stands in tests/kills.py. A kill is inside when the step had begun to write. Ends with 1 where
anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import kills
from wakesmith import tables

HEAD = ["step", "took", "moments", "kills", "inside", "starts", "differences"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="at least so many of each step")
    parser.add_argument("--steps", default=",".join(kills.STEPS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    told = []
    with tempfile.TemporaryDirectory() as folder:
        for one in kills.both(Path(folder), asked.kills, asked.seed, asked.steps.split(",")):
            told.append(one)
            print(
                f"{one.step}: {one.kills} kills, {len(one.differences)} differences",
                *one.differences,
                sep="\n  ",
                file=sys.stderr,
            )
    rows = [
        [one.step, f"{one.took_s:.1f} s", *map(str, (one.moments, one.kills, one.inside, one.starts, len(one.differences)))]
        for one in told
    ]
    print(json.dumps([asdict(one) for one in told], indent=2) if asked.json else "\n".join(tables.markdown([HEAD, *rows])))
    return int(any(one.differences for one in told))


if __name__ == "__main__":
    sys.exit(main())
