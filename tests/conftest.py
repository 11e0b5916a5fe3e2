"""What several test files need."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle of a small DS-CNN with random weights, at threshold 0.5."""
    import torch
    from safetensors.torch import save_file

    from wakesmith import bundle, config, registry
    from wakesmith.card import OperatingPoint
    from wakesmith.run import write_json
    from wakesmith.steps import export

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("tiny")
    features, student = config.part("features", "log_mel"), config.part("students", "ds_cnn", width=8)
    (folder / "train").mkdir()
    save_file(registry.build("students", student, 40, 150, 4).state_dict(), folder / "train" / "model.safetensors")
    write_json(folder / "train" / "card.json", {"n_classes": 4, "n_frames": 150})
    made = export.run(
        SimpleNamespace(
            phrases=["hey nova"], language="en", seed=7, features=features, student=student,
            train=SimpleNamespace(distil=True, start=None),
            export=export.Settings(),
        ),
        folder,
    )  # fmt: skip
    bundle.set_operating_point(made, OperatingPoint(threshold=0.5, chosen_on="a test"))
    return made


@pytest.fixture(scope="session")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of sweeps and beats; copy it before it is changed, as `run` does."""
    pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")
    from tests import tiny_run

    return tiny_run.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run(forged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(forged, tmp_path / "run"))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of tones that was evaluated; nothing in it was trained."""
    from tests.test_evaluate import prepared, recipe
    from wakesmith.steps import evaluate

    folder = tmp_path_factory.mktemp("runs") / "tones"
    prepared(folder)
    evaluate.run(recipe(), folder)
    return folder
