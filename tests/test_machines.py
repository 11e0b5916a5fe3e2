"""Several machines: two network namespaces with a cable between them, and torchrun on both; one process gives the same."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.test_ranks import answers_are_equal, students_are_alike, taught  # noqa: F401 (a fixture)
from wakesmith.steps import forge

pytestmark = pytest.mark.slow  # processes are started one after another
torch.set_num_threads(1)
PORT = 29_517


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def machines() -> Iterator[list[tuple[str, str, str]]]:
    """(namespace, its end of the cable, its address) of two."""
    mark = f"ws{os.getpid() % 100_000}"
    ends = [(f"{mark}{end}", f"{mark}{end}", f"198.18.0.{number}") for number, end in enumerate("ab", start=1)]
    try:
        for space, *_ in ends:
            ip("netns", "add", space)
        ip("link", "add", ends[0][1], "type", "veth", "peer", "name", ends[1][1])
        for space, cable, address in ends:
            ip("link", "set", cable, "netns", space)
            ip("-n", space, "address", "add", f"{address}/30", "dev", cable)
            ip("-n", space, "link", "set", cable, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield ends
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces need root and iproute2: {getattr(error, 'stderr', error)!r}")
    finally:
        for space, *_ in ends:
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


def together(machines: list[tuple[str, str, str]], step: str, run: Path) -> None:
    """The same command on each; they meet at the first one's address."""
    started = []
    for number, (space, cable, _) in enumerate(machines):
        command = ["ip", "netns", "exec", space, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--node-rank", str(number), "--nproc-per-node", "1", "--master-addr", machines[0][2]]
        command += ["--master-port", str(PORT), "-m", "wakesmith.cli", step, str(run)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": cable}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for one in started:
        _, told = one.communicate(timeout=1800)
        assert one.returncode == 0, told[-3000:]


@pytest.fixture(scope="module")
def both(taught, machines, tmp_path_factory):  # noqa: F811
    """`label` and `train` by one process, and by two machines that share the run folder."""
    recipe, folder = taught
    one, two = (tmp_path_factory.mktemp(name) / "run" for name in ("one", "two"))
    for copy in (one, two):
        shutil.copytree(folder, copy)
    for step in ("label", "train"):
        forge.one(recipe, one, step)
        together(machines, step, two)
    return one, two


def test_two_machines_give_the_answers_of_one(both):
    answers_are_equal(*both)


def test_two_machines_train_the_student_of_one(both):
    students_are_alike(*both)
