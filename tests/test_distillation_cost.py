"""The benchmark of what distillation costs runs, and prints a ratio of every kind."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "distillation_cost.py"


def test_the_cost_of_distillation_is_printed():
    command = [sys.executable, str(SCRIPT), "--steps", "7", "--turns", "1", "--clips", "128"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    lines = [line.split() for line in done.stdout.splitlines()]
    assert {line[0]: len(line) for line in lines if line[0] in ("9k", "26k", "1.5M")} == {"9k": 11, "26k": 11, "1.5M": 11}
    assert sum("ratio" in line for line in lines) == 2


def test_a_step_of_a_preset_is_measured_with_its_losses():
    command = [sys.executable, str(SCRIPT), "--preset", "standard", "--steps", "7", "--turns", "1", "--clips", "128"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert [line.split()[0] for line in done.stdout.splitlines()][1:3] == ["student", "standard"]


def test_too_few_steps_are_refused():
    done = subprocess.run([sys.executable, str(SCRIPT), "--steps", "3"], capture_output=True, text=True)

    assert done.returncode == 2
    assert "expected at least 7" in done.stderr
