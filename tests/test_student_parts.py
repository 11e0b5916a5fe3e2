"""What students cost, which front-end suits them, and that each of them learns from a teacher's answers."""

import json
import re

import numpy as np
import pytest
import torch
import transformers

from tests import students
from tests.test_students import STUDENTS, built, front_end_of
from wakesmith import registry
from wakesmith.cli import app
from wakesmith.config import part
from wakesmith.data.sampling import BalancedSampler
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe
from wakesmith.students import _facts, _suits
from wakesmith.training.dataset import Rows, dev_metrics
from wakesmith.training.distillation import DistillationTrainer
from wakesmith.training.learner import Learner

torch.set_num_threads(1)
NO_BANDS = {"band_stretch": 0.0, "band_shift": 0.0, "band_gain": 0.0}


def test_a_convolutions_multiplications_are_counted_as_by_hand():
    conv = torch.nn.Conv2d(4, 6, (3, 5), stride=(2, 1), groups=2)

    assert _facts.macs(conv, torch.zeros(1, 4, 9, 8)) == (4 * 4) * 6 * (2 * 3 * 5)  # places, channels out, weights of each


def test_products_of_matrices_are_counted_and_everything_that_is_run():
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Conv1d(3, 2, 1))

    assert _facts.macs(model, torch.zeros(1, 3, 5)) == 3 * 5 * 7 + 2 * 3 * 7


def test_the_facts_of_tc_resnet_are_those_counted_by_hand():
    """Each 80 ms: 8 frames of the first layer, 4, 2 and 1 of the blocks."""
    blocks = [(4, 16, 24, 9), (2, 24, 32, 9), (1, 32, 64, 5)]
    by_hand = 8 * 40 * 3 * 16 + sum(n * (a * k + b * k + a) * b for n, a, b, k in blocks) + 64 * 4

    found = _facts.of("tc_resnet")

    assert found.macs_per_s == by_hand * 12.5
    assert (found.hop_ms, found.latency_ms) == (80.0, 80.0)
    # 3 frames and 9 + 9 of 10 and 20 ms, of 20 and 40 ms, 5 + 5 of 40 and 80 ms, a mean of 4 of 80 ms; and the window's 15 ms
    frames = 1 + 2 + 8 + 2 * 8 + 2 * 8 + 4 * 8 + 4 * 4 + 8 * 4 + 8 * 3
    assert found.receptive_ms == 10 * frames + 15


def test_a_streaming_student_costs_as_much_a_second_in_any_steps():
    student = built("bc_resnet").eval()
    one, four = torch.zeros(1, student.hop_frames, 40), torch.zeros(1, 4 * student.hop_frames, 40)

    assert 4 * _facts.macs(student.step, one, student.initial_state()) == _facts.macs(student.step, four, student.initial_state())


def test_the_table_of_students_holds_a_row_each(capsys):
    app(["parts", "students"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split()[:3] == ["student", "features", "parameters"]
    assert [line.split()[0] for line in lines[1:]] == STUDENTS
    assert re.search(r"^ds_cnn +log_mel +26,500 +3\.65 M +8\.32 M +1455 ms +40 ms +80 ms +streaming$", "\n".join(lines), re.M)
    assert not any("\x1b" in line for line in lines)


def test_the_facts_of_students_are_given_as_json(capsys):
    app(["parts", "students", "--json"], standalone_mode=False)

    rows = {row["student"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == STUDENTS
    assert (rows["raw_cnn"]["features"], rows["raw_cnn"]["features_macs_per_s"]) == ("raw", 0)
    assert rows["mobilenet_v3"]["hop_ms"] == 80.0


def test_parts_of_other_kinds_are_listed_by_name(capsys):
    app(["parts", "features"], standalone_mode=False)
    assert capsys.readouterr().out == f"features: {', '.join(registry.names('features'))}\n"

    app(["parts", "features", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"features": registry.names("features")}


def test_a_student_of_samples_behind_bands_is_refused():
    with pytest.raises(
        ConfigError, match=r"student raw_cnn hears samples, and features log_mel give bands. Set features to .*raw; .*\.$"
    ):
        _recipe.load({"phrase": "hey nova", "student": "raw_cnn"})


def test_a_student_of_bands_behind_samples_is_refused():
    with pytest.raises(
        ConfigError, match=r"student ds_cnn hears bands, and features raw give samples. Set features to .*log_mel"
    ):
        _recipe.load({"phrase": "hey nova", "features": "raw"})


def test_moving_bands_that_are_none_is_refused_with_what_to_set():
    sound = {"phrase": "hey nova", "features": "raw", "student": "raw_cnn"}
    with pytest.raises(ConfigError, match=r"--set train.band_stretch=0 --set train.band_shift=0 --set train.band_gain=0"):
        _recipe.load(sound)

    assert _recipe.load(sound, {"train": NO_BANDS}).student.name == "raw_cnn"


def test_frames_that_hold_no_samples_are_refused_when_a_student_is_built():
    with pytest.raises(ConfigError, match=r"160 a frame, and was given 40\. Set features: raw"):
        registry.build("students", part("students", "raw_cnn"), 40, 150, 4)


def test_every_student_has_a_front_end():
    assert [name for name in STUDENTS if not _suits.front_ends(name)] == []


def raw(samples: torch.Tensor, **options: float) -> torch.Tensor:
    return registry.build("features", part("features", "raw", **options))(samples)


def test_raw_frames_are_the_samples_in_order():
    frames = raw(torch.cat([torch.zeros(1, 320), torch.full((1, 160), 0.5)], dim=1), emphasis=0.0)

    assert frames[0, :2].abs().max() == 0
    assert torch.allclose(frames[0, 2], torch.log1p(torch.tensor(0.5 / 1e-3)) / 1.5)


@pytest.mark.parametrize("option", [{"emphasis": 0.5}, {"floor": 0.01}, {"spread": 3.0}])
def test_every_option_of_raw_changes_its_frames(option: dict[str, float]):
    samples = 0.1 * torch.randn(1, 1_600)

    assert not torch.allclose(raw(samples), raw(samples, **option))


def test_a_voice_twenty_times_as_loud_gives_frames_at_most_three_times_as_large():
    voice = 0.01 * torch.randn(1, 16_000)

    assert raw(20 * voice).std() < 3 * raw(voice).std()


@pytest.mark.parametrize("name", students.each("ds_cnn", "mixednet"))
def test_every_student_learns_from_a_teachers_answers(name: str, tmp_path):
    """Sounds of four kinds, and answers that know the kind: the losses fall within a few steps, and a checkpoint is kept."""
    trainer = taught(name, tmp_path)

    trainer.train()

    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for term in ("loss/KnowledgeDistillation", "loss/Embedding"):
        heard = [row[term] for row in rows if term in row]
        assert np.mean(heard[-2:]) < 0.9 * np.mean(heard[:2]), heard


class Answers:
    """Of a teacher that is sure of each clip's kind."""

    def __init__(self, labels: np.ndarray) -> None:
        self.kinds = np.eye(4, dtype=np.float32)[labels]

    def batch(self, clips: np.ndarray, views: np.ndarray) -> dict[str, np.ndarray]:
        logits = 6 * self.kinds[clips]
        return {"teacher_logits": logits, "teacher_embedding": logits, "teacher_state": np.ones(len(clips), np.uint8)}


def kinds_of_sound(labels: np.ndarray) -> torch.Tensor:
    """(n,) -> (n, 24000): tones of 300, 600, 1200 and 2400 Hz in noise."""
    hz = torch.from_numpy(300.0 * 2.0**labels)[:, None].float()
    return 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(24_000) / 16_000) + 0.02 * torch.randn(len(labels), 24_000)


def taught(name: str, folder) -> DistillationTrainer:
    labels = np.arange(16) % 4
    student = built(name)
    torch.manual_seed(0)
    frames = front_end_of(name)(kinds_of_sound(labels))[:, None].numpy().astype(np.float16)
    losses = [
        registry.build("losses", part("losses", loss, **options), student.embedding_size, 4, 4)
        for loss, options in (("cross_entropy", {}), ("kd", {"warm_up_steps": 0}), ("embedding", {"warm_up_steps": 0}))
    ]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "checkpoints"), max_steps=8, per_device_train_batch_size=16, learning_rate=3e-3, logging_steps=1,
        save_steps=8, remove_unused_columns=False, label_names=["labels"], report_to=[], disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    clips = list(range(16))
    rows, dev = Rows(frames, labels, clips, 1, Answers(labels)), Rows(frames, labels, clips, 1, None)
    sampler = BalancedSampler(labels, 1, 16, [1.0] * 4, seed=5)
    return DistillationTrainer(
        Learner(student, losses), arguments, rows, dev, sampler, 0.9, folder / "metrics.jsonl", dev_metrics
    )
