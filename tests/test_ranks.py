"""Two processes under torchrun: each answers its share of the views and trains on its share of every batch, as one would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests import tiny_encoders
from tests.test_teach import N_VIEWS, make_run
from wakesmith.config import read_yaml
from wakesmith.data.targets import TargetStore
from wakesmith.run import CONFIG, Run
from wakesmith.steps import _recipe, forge

pytestmark = pytest.mark.slow  # eight processes are started one after another
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A run folder up to `teach`, as the steps leave it, and its recipe."""
    folder = tmp_path_factory.mktemp("ranks") / "run"
    make_run(folder)
    path = tiny_encoders.save("whisper", tmp_path_factory.mktemp("whisper"))
    values = {
        "phrase": "hey nova", "teacher": {"name": "whisper", "path": str(path)}, "views": {"n_views": N_VIEWS},
        "teach": {"gate": "off", "epochs": 2}, "label": {"batch": 8}, "student": {"name": "ds_cnn", "width": 8},
        "train": {"steps": 6, "batch": 32, "evaluations": 1, "log_every": 1, "last_layer_steps": 60,
                  "last_layer_nearest": 20},
    }  # fmt: skip
    recipe = _recipe.load(values)
    (folder / "config.yaml").touch()
    for step in ("prepare", "views"):
        Run(folder).finish(step, _recipe.fingerprint(recipe, step), 0.0)
    forge.one(recipe, folder, "teach")
    return recipe, folder


@pytest.fixture(scope="module")
def both(taught, tmp_path_factory):
    """The same steps by one process, and by two."""
    recipe, folder = taught
    one, two = (tmp_path_factory.mktemp(name) / "run" for name in ("one", "two"))
    for copy in (one, two):
        shutil.copytree(folder, copy)
    for step in ("label", "train"):
        forge.one(recipe, one, step)
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
        command += ["-m", "wakesmith.cli", step, str(two)]
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return one, two


def answers_are_equal(one: Path, two: Path) -> None:
    """Of two run folders, byte for byte."""
    stores = [TargetStore.open(folder / "label") for folder in (one, two)]
    assert np.array_equal(*(store.state for store in stores))
    for name, values in stores[0].stored.arrays.items():
        assert np.array_equal(values, stores[1].stored.arrays[name]), name


def students_are_alike(one: Path, two: Path) -> None:
    """To the last bits: sums of several processes are added in another order."""
    weights = [load_file(folder / "train" / "model.safetensors") for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=1e-4, rtol=1e-4, msg=name)


def test_two_processes_give_the_answers_of_one(both):
    answers_are_equal(*both)


def test_two_processes_train_the_student_of_one(both):
    students_are_alike(*both)


def test_both_runs_are_whole(both):
    for folder in both:
        recipe = _recipe.load(read_yaml(folder / CONFIG))
        assert all(Run(folder).is_whole(step, _recipe.fingerprint(recipe, step)) for step in ("label", "train"))


def test_the_benchmark_prints_what_a_second_process_gives():
    script = Path(__file__).parents[1] / "benchmarks" / "ranks.py"
    command = [sys.executable, str(script), "--clips", "64", "--steps", "6", "--turns", "1", "--student", "9k", "--batch", "32"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    told = done.stdout.splitlines()
    assert [line.split(":")[0] for line in told[:4:2]] == ["label", "train"]
    assert all(line.startswith("  two runs that share nothing") for line in told[1:4:2])
    assert "the same to the byte" in done.stdout
