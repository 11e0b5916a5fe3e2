"""What a training step of each student costs, in CPU time of one thread: python benchmarks/student_steps.py [--steps 4]

Each at its default size and with its own front-end: 64 views of 1.5 s, features made beforehand, four classes, the least of a few
steps. Students take turns, so that a busy minute hits all of them.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch.nn.functional import cross_entropy

from wakesmith import config, registry
from wakesmith.students import _suits
from wakesmith.tables import aligned

BATCH, N_SAMPLES, N_CLASSES = 64, 24_000, 4
BESIDE = "ds_cnn"


class Training:
    def __init__(self, student: str) -> None:
        torch.manual_seed(1)
        front_end = registry.build("features", config.part("features", _suits.front_ends(student)[0]))
        with torch.no_grad():
            self.features = front_end(0.1 * torch.randn(BATCH, N_SAMPLES))
        settings = config.part("students", student)
        self.student = registry.build("students", settings, front_end.n_mels, self.features.shape[1], N_CLASSES).train()
        self.optimiser = torch.optim.AdamW(self.student.parameters())
        self.labels = torch.arange(BATCH) % N_CLASSES
        self.least_s = float("inf")

    def step(self) -> None:
        started = time.process_time()
        cross_entropy(self.student(self.features)[0], self.labels).backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.least_s = min(self.least_s, time.process_time() - started)


def main(n_steps: int) -> None:
    torch.set_num_threads(1)
    trainings = {name: Training(name) for name in registry.names("students")}
    for _ in range(n_steps):
        for one in trainings.values():
            one.step()
    beside = trainings[BESIDE].least_s
    rows = [[name, f"{1000 * one.least_s:.0f} ms", f"{one.least_s / beside:.1f}"] for name, one in trainings.items()]
    print("\n".join(aligned([["student", "CPU of a step", f"beside {BESIDE}"], *rows])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    main(parser.parse_args().steps)
