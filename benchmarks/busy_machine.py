"""How fast a student learns while another program has one of the cores: OpenMP's waiting as it comes, and as wakesmith sets it.

    python benchmarks/busy_machine.py [--seconds 8] [--turns 2]

Each way is a process of its own, on all cores; ways take turns and the fastest turn counts. The other program is a loop.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from wakesmith import tables

OURS = os.environ["GOMP_SPINCOUNT"]
AS_IT_COMES = "300000"
"""What the GNU OpenMP library takes where nothing is set."""
WARM_UP_STEPS = 3


def learn(seconds: float) -> float:
    """Steps a second of a mixednet on noise."""
    import torch

    from wakesmith.students import mixednet

    student = mixednet.build(mixednet.Config(first_width=64, width=128), 40, 150, 4).train()
    optimizer, heard = torch.optim.AdamW(student.parameters(), fused=True), torch.randn(64, 150, 40)
    n_steps, started = 0, 0.0
    while n_steps <= WARM_UP_STEPS or time.perf_counter() - started < seconds:
        student(heard)[0].square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        n_steps += 1
        if n_steps == WARM_UP_STEPS:
            started = time.perf_counter()
    return (n_steps - WARM_UP_STEPS) / (time.perf_counter() - started)


def steps_per_s(spins: str, seconds: float) -> float:
    words = [sys.executable, __file__, "--child", "--seconds", str(seconds)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "GOMP_SPINCOUNT": spins})
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(learn(asked.seconds))
        return
    best: dict[tuple[str, str], float] = {}
    for _ in range(asked.turns):
        for machine in ("free", "one core taken"):
            other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if machine != "free" else None
            try:
                for way, spins in (("as it comes", AS_IT_COMES), ("wakesmith", OURS)):
                    best[machine, way] = max(best.get((machine, way), 0.0), steps_per_s(spins, asked.seconds))
            finally:
                if other is not None:
                    other.kill()
                    other.wait()
    rows = []
    for machine in ("free", "one core taken"):
        usual, ours = (best[machine, way] for way in ("as it comes", "wakesmith"))
        rows.append([machine, f"{usual:.1f}", f"{ours:.1f}", f"{ours / usual:.2f}"])
    print("\n".join(tables.markdown([["machine", "steps/s as it comes", "steps/s with wakesmith", "ratio"], *rows])))


if __name__ == "__main__":
    main()
