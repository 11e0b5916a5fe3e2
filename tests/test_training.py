"""The trainers on a tiny real student: the teacher changes the gradients, bad rows are dropped, a resumed run is bit-equal."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from wakesmith import config, registry
from wakesmith.data.sampling import BalancedSampler
from wakesmith.errors import TeacherError
from wakesmith.training.dataset import Rows, dev_metrics
from wakesmith.training.distillation import DistillationTrainer
from wakesmith.training.trainer import Learner, Trainer, last_whole_checkpoint

N_CLIPS, N_VIEWS, N_FRAMES, N_MELS, TEACHER_SIZE = 16, 2, 150, 40, 5


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def targets(state=1, seed=3):
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(N_CLIPS, N_VIEWS, 4)).astype(np.float32) * 3
    embedding = chance.normal(size=(N_CLIPS, N_VIEWS, TEACHER_SIZE)).astype(np.float32)
    states = np.broadcast_to(np.asarray(state), (N_CLIPS, N_VIEWS))
    return SimpleNamespace(read=lambda clip, view: (logits[clip, view], embedding[clip, view], states[clip, view]))


def trainer(folder, store, *, losses=None, steps=4, kind=DistillationTrainer):
    torch.manual_seed(0)
    chance = np.random.default_rng(1)
    frames = chance.normal(size=(N_CLIPS, N_VIEWS, N_FRAMES, N_MELS)).astype(np.float16)
    labels = np.arange(N_CLIPS) % 4
    student = registry.build("students", config.part("students", "ds_cnn", width=8), N_MELS, N_FRAMES, 4)
    losses = losses or [("cross_entropy", {}), ("kd", {"warm_up_steps": 0}), ("embedding", {"warm_up_steps": 0})]
    built = [registry.build("losses", config.part("losses", n, **o), student.embedding_size, TEACHER_SIZE) for n, o in losses]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "checkpoints"), max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-3,
        logging_steps=1, save_steps=2, save_total_limit=2, remove_unused_columns=False, label_names=["labels"],
        report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    clips = list(range(N_CLIPS))
    sampler = BalancedSampler(labels, N_VIEWS, N_CLIPS, [1.0] * 4, seed=5)
    rows, dev = Rows(frames, labels, clips, N_VIEWS, store), Rows(frames, labels, clips, 1, None)
    return kind(Learner(student, built), arguments, rows, dev, sampler, 0.9, folder / "metrics.jsonl", dev_metrics)


def gradients(one):
    batch = next(iter(one.get_train_dataloader()))
    one.model.train()
    one.model.zero_grad()
    one.compute_loss(one.model, batch).backward()
    return torch.cat([p.grad.flatten() for p in one.learner.student.parameters() if p.grad is not None])


def test_the_teacher_changes_the_gradients_through_the_real_loader(tmp_path):
    plain = gradients(trainer(tmp_path, None, losses=[("cross_entropy", {})], kind=Trainer))
    taught = gradients(trainer(tmp_path, targets()))
    other = gradients(trainer(tmp_path, targets(seed=4)))

    assert not torch.allclose(plain, taught)
    assert not torch.allclose(taught, other)


def test_alpha_zero_equals_plain_training(tmp_path):
    plain = gradients(trainer(tmp_path, None, losses=[("cross_entropy", {})], kind=Trainer))
    taught = gradients(trainer(tmp_path, targets(), losses=[("cross_entropy", {}), ("kd", {"alpha": 0.0})]))

    assert torch.equal(plain, taught)


def test_alpha_one_learns_from_the_teacher_alone(tmp_path):
    one = trainer(tmp_path, targets(), losses=[("cross_entropy", {}), ("kd", {"alpha": 1.0, "warm_up_steps": 0})])
    one.state.global_step = 1

    assert gradients(one).abs().sum() > 0


def test_a_row_that_is_not_finite_is_dropped_and_leaves_the_gradients_finite(tmp_path):
    states = np.ones((N_CLIPS, N_VIEWS), np.uint8)
    states[0] = 2
    store = targets(states)
    good = store.read
    store.read = lambda clip, view: (np.full(4, np.nan, np.float32), *good(clip, view)[1:]) if clip == 0 else good(clip, view)
    one = trainer(tmp_path, store)

    one.train()

    assert one.dropped > 0
    assert all(torch.isfinite(p).all() for p in one.learner.parameters())


def test_too_many_rows_that_are_not_finite_stop_the_run(tmp_path):
    one = trainer(tmp_path, targets(np.where(np.arange(N_CLIPS)[:, None] % 4 == 0, 2, 1)), steps=200)

    with pytest.raises(TeacherError, match="not finite"):
        one.train()


def test_an_epoch_that_distilled_nothing_fails(tmp_path):
    with pytest.raises(TeacherError, match="distilled no sample"):
        trainer(tmp_path, targets(2)).train()


def test_a_view_without_an_answer_fails(tmp_path):
    with pytest.raises(TeacherError, match="no teacher answer"):
        trainer(tmp_path, targets(0)).train()


def test_a_resumed_run_is_bit_equal_to_an_undisturbed_one(tmp_path):
    whole = trainer(tmp_path / "a", targets(), steps=4)
    whole.train()
    trainer(tmp_path / "b", targets(), steps=4)
    first = trainer(tmp_path / "b", targets(), steps=4)
    first.add_callback(stop_after(3))
    first.train()
    again = trainer(tmp_path / "b", targets(), steps=4)
    again.train(resume_from_checkpoint=str(last_whole_checkpoint(tmp_path / "b" / "checkpoints")))

    for name, value in whole.learner.state_dict().items():
        assert torch.equal(value, again.learner.state_dict()[name]), name
    for name, value in whole.ema.items():
        assert torch.equal(value, again.ema[name]), name


def stop_after(step):
    class Stop(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step >= step

        def on_save(self, args, state, control, **_):
            pass

    return Stop()


def test_half_a_checkpoint_is_not_resumed_from(tmp_path):
    for step, whole in ((2, True), (4, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / "whole").touch()

    assert last_whole_checkpoint(tmp_path).name == "checkpoint-2"
    assert not (tmp_path / "checkpoint-4").exists()


def test_every_loss_term_is_in_the_log(tmp_path):
    one = trainer(tmp_path, targets())
    one.train()

    log = (tmp_path / "metrics.jsonl").read_text()
    assert all(f"loss/{name}" in log for name in ("CrossEntropy", "KnowledgeDistillation", "Embedding"))


def test_classes_have_their_share_of_an_epoch_and_epochs_differ():
    labels = np.array([0] * 4 + [1] * 40)
    sampler = BalancedSampler(labels, 2, 100, [0.5, 0.5, 0.0, 0.0], seed=1)
    first = list(sampler)
    sampler.set_epoch(1)

    assert sum(row // 2 < 4 for row in first) == 50
    assert first != list(sampler)
    sampler.set_epoch(0)
    assert first == list(sampler)
