"""Killed at any moment and begun again, every step leaves what it leaves undisturbed: `benchmarks/kills.py` prints the same."""

import pytest

from tests import kills

N_KILLS = 20

pytestmark = pytest.mark.slow
pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")


def test_every_step_killed_and_begun_again_is_as_undisturbed(tmp_path):
    told = list(kills.both(tmp_path, N_KILLS, seed=1))

    assert {one.step for one in told} == set(kills.STEPS)
    assert all(one.inside >= N_KILLS for one in told), told
    assert [one.differences for one in told] == [[] for _ in told]
