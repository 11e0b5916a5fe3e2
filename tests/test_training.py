"""The trainers on a tiny real student: the teacher changes the gradients, bad rows are dropped, a resumed run is bit-equal."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from wakesmith import config, registry
from wakesmith.data.sampling import BalancedSampler
from wakesmith.errors import ConfigError, TeacherError
from wakesmith.steps.train import looked_at
from wakesmith.training.checkpoints import cut_metrics, last_whole
from wakesmith.training.dataset import Rows, dev_metrics
from wakesmith.training.distillation import DistillationTrainer
from wakesmith.training.learner import Learner
from wakesmith.training.perturb import Perturbation
from wakesmith.training.trainer import Trainer

N_CLIPS, N_VIEWS, N_FRAMES, N_MELS, TEACHER_SIZE = 16, 2, 150, 40, 5


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def targets(state=1, seed=3):
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(N_CLIPS, N_VIEWS, 4)).astype(np.float32) * 3
    embedding = chance.normal(size=(N_CLIPS, N_VIEWS, TEACHER_SIZE)).astype(np.float32)
    states = np.broadcast_to(np.asarray(state, np.uint8), (N_CLIPS, N_VIEWS)).copy()
    arrays = {"teacher_logits": logits, "teacher_embedding": embedding, "teacher_state": states}
    read = lambda clips, views: {name: values[clips, views] for name, values in arrays.items()}  # noqa: E731
    return SimpleNamespace(batch=read, **arrays)


def trainer(
    folder, store, *, student="ds_cnn", losses=None, steps=4, kind=DistillationTrainer, labels=None, batch=8, micro_batch=0,
    **options,
):  # fmt: skip
    torch.manual_seed(0)
    chance = np.random.default_rng(1)
    frames = chance.normal(size=(N_CLIPS, N_VIEWS, N_FRAMES, N_MELS)).astype(np.float16)
    labels = np.arange(N_CLIPS) % 4 if labels is None else labels
    student = registry.build("students", config.part("students", student, width=8), N_MELS, N_FRAMES, 4)
    losses = losses or [("cross_entropy", {}), ("kd", {"warm_up_steps": 0}), ("embedding", {"warm_up_steps": 0})]
    built = [registry.build("losses", config.part("losses", n, **o), looked_at(student, n), TEACHER_SIZE, 4) for n, o in losses]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "checkpoints"), max_steps=steps, per_device_train_batch_size=batch, learning_rate=1e-3,
        logging_steps=1, save_steps=2, save_total_limit=2, remove_unused_columns=False, label_names=["labels"],
        report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    clips = list(range(N_CLIPS))
    sampler = BalancedSampler(labels, N_VIEWS, max(N_CLIPS, batch), [1.0] * 4, seed=5, unlabelled_share=0.5)
    rows, dev = Rows(frames, labels, clips, N_VIEWS, store), Rows(frames, labels, clips, 1, None)
    learner = Learner(student, built, Perturbation(0.1, 1.5, 0.4))
    return kind(
        learner, arguments, rows, dev, sampler, 0.9, folder / "metrics.jsonl", dev_metrics, micro_batch=micro_batch, **options
    )


def gradients(one):
    batch = next(iter(one.get_train_dataloader()))
    one.model.train()
    one.model.zero_grad()
    one.training_step(one.model, batch)
    return torch.cat([p.grad.flatten() for p in one.learner.student.parameters() if p.grad is not None])


def test_the_teacher_changes_the_gradients_through_the_real_loader(tmp_path):
    plain = gradients(trainer(tmp_path, None, losses=[("cross_entropy", {})], kind=Trainer))
    taught = gradients(trainer(tmp_path, targets()))
    other = gradients(trainer(tmp_path, targets(seed=4)))

    assert not torch.allclose(plain, taught)
    assert not torch.allclose(taught, other)


def test_gradients_of_everything_learned_are_cut_to_their_norm_and_forgotten_after_a_step(tmp_path):
    one = trainer(tmp_path, targets())
    gradients(one)
    assert {id(p) for p in one.learner.learned} == {id(p) for p in one.model.parameters()}
    one.args.max_grad_norm = 1e-3

    before = one._clip_grad_norm(one.model)

    after = torch.cat([p.grad.flatten() for p in one.model.parameters() if p.grad is not None]).norm()
    assert before > 1e-3
    assert float(after) == pytest.approx(1e-3, rel=1e-3)
    one.model.zero_grad()
    assert all(p.grad is None for p in one.model.parameters())


def test_steps_are_torch_s_own_optimizer_s(tmp_path):
    one = trainer(tmp_path, targets())

    one.train()

    assert type(one.optimizer) is torch.optim.AdamW
    assert one.lr_scheduler.optimizer is one.optimizer


def test_alpha_zero_equals_plain_training(tmp_path):
    plain = gradients(trainer(tmp_path, None, losses=[("cross_entropy", {})], kind=Trainer))
    taught = gradients(trainer(tmp_path, targets(), losses=[("cross_entropy", {}), ("kd", {"alpha": 0.0})]))

    assert torch.equal(plain, taught)


def test_alpha_one_learns_from_the_teacher_alone(tmp_path):
    one = trainer(tmp_path, targets(), losses=[("cross_entropy", {}), ("kd", {"alpha": 1.0, "warm_up_steps": 0})])
    one.state.global_step = 1

    assert gradients(one).abs().sum() > 0


def test_two_losses_of_one_class_are_both_minimised(tmp_path):
    def taught(*temperatures):
        soft = [("kd", {"alpha": 0.4, "temperature": one, "warm_up_steps": 0}) for one in temperatures]
        return gradients(trainer(tmp_path, targets(), losses=[("cross_entropy", {}), *soft]))

    labels = gradients(trainer(tmp_path, targets(), losses=[("cross_entropy", {}), ("kd", {"alpha": 0.0})]))

    # 0.2 labels + soft 1 + soft 4 = (0.6 labels + soft 1) + (0.6 labels + soft 4) - labels
    torch.testing.assert_close(taught(1.0, 4.0), taught(1.0) + taught(4.0) - labels, rtol=1e-4, atol=1e-6)


def test_a_row_that_is_not_finite_is_dropped_and_leaves_the_gradients_finite(tmp_path):
    store = targets()
    store.teacher_logits[0] = np.nan
    one = trainer(tmp_path, store)

    one.train()

    assert one.dropped.keys() == {0}
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
    again.train(resume_from_checkpoint=str(last_whole(tmp_path / "b" / "checkpoints")))

    for name, value in whole.learner.state_dict().items():
        assert torch.equal(value, again.learner.state_dict()[name]), name
    for name, value in whole.average.mean.items():
        assert torch.equal(value, again.average.mean[name]), name


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

    assert last_whole(tmp_path).name == "checkpoint-2"
    assert not (tmp_path / "checkpoint-4").exists()


def test_every_loss_term_is_in_the_log(tmp_path):
    one = trainer(tmp_path, targets())
    one.train()

    log = (tmp_path / "metrics.jsonl").read_text()
    assert all(f"loss/{name}" in log for name in ("CrossEntropy", "KnowledgeDistillation", "Embedding"))


def test_classes_have_their_share_of_an_epoch_and_epochs_differ():
    labels = np.array([0] * 4 + [1] * 40)
    sampler = BalancedSampler(labels, 2, 100, [0.5, 0.5, 0.0, 0.0], seed=1)
    first = [row.number for row in sampler]
    sampler.set_epoch(1)

    assert sum(row // 2 < 4 for row in first) == 50
    assert first != [row.number for row in sampler]
    sampler.set_epoch(0)
    assert first == [row.number for row in sampler]


def test_unlabelled_clips_have_their_share_of_an_epoch():
    sampler = BalancedSampler(np.array([0, 1, -1, -1, -1]), 1, 100, [1.0, 1.0, 0.0, 0.0], seed=1, unlabelled_share=0.3)

    assert sum(row.number >= 2 for row in sampler) == 30


EVERY_LOSS = [("focal", {}), *((name, {"warm_up_steps": 0}) for name in ("dist", "relation", "embedding"))]
OF_THE_MIDDLE = [("cross_entropy", {}), ("kd", {"warm_up_steps": 0}), ("segments", {"warm_up_steps": 0, "size": TEACHER_SIZE})]


@pytest.mark.parametrize("losses", [None, EVERY_LOSS, OF_THE_MIDDLE])
@pytest.mark.parametrize("micro_batch", [16, 32, 48])
def test_the_micro_batch_changes_no_gradient(tmp_path, micro_batch, losses):
    store = targets()
    store.teacher_logits[3] = np.inf  # pieces then have unequal numbers of valid rows
    labels = np.where(np.arange(N_CLIPS) % 5 == 0, -1, np.arange(N_CLIPS) % 4)

    student = "mixednet" if losses is OF_THE_MIDDLE else "ds_cnn"
    whole = trainer(tmp_path, store, batch=64, labels=labels, losses=losses, student=student)
    pieces = trainer(tmp_path, store, batch=64, labels=labels, losses=losses, student=student, micro_batch=micro_batch)

    torch.testing.assert_close(gradients(whole), gradients(pieces), atol=1e-5, rtol=1e-5)
    for name, value in whole.learner.state_dict().items():
        torch.testing.assert_close(value, pieces.learner.state_dict()[name], msg=name)  # running statistics too


def test_when_memory_runs_out_the_batch_is_done_again_in_smaller_pieces(tmp_path):
    class Small(torch.nn.Module):
        """A student on a machine that holds 16 rows."""

        def __init__(self, student):
            super().__init__()
            self.student = student

        def forward(self, features):
            if self.training and len(features) > 16:
                torch.empty(2**46, dtype=torch.uint8)  # the allocator's own error
            return self.student(features)

    whole, small = trainer(tmp_path, targets(), batch=64), trainer(tmp_path, targets(), batch=64)
    small.learner.student = Small(small.learner.student)

    torch.testing.assert_close(gradients(whole), gradients(small), atol=1e-5, rtol=1e-5)
    assert small.micro_batch == 16
    assert small.n_distilled == 64  # what was done again is counted once


def test_another_error_than_memory_is_not_tried_again(tmp_path):
    one = trainer(tmp_path, targets(), batch=64)
    one.learner.student.forward = lambda features: 1 / 0

    with pytest.raises(ZeroDivisionError):
        gradients(one)


def test_unlabelled_rows_reach_the_student_through_the_teacher_alone(tmp_path):
    labels = np.where(np.arange(N_CLIPS) < 8, -1, np.arange(N_CLIPS) % 4)
    store, other = targets(), targets()
    other.teacher_logits[:8] *= -1

    hard_only = [("cross_entropy", {}), ("kd", {"alpha": 0.0})]
    assert not torch.allclose(
        gradients(trainer(tmp_path, store, labels=labels)), gradients(trainer(tmp_path, other, labels=labels))
    )
    assert torch.equal(
        gradients(trainer(tmp_path, store, labels=labels, losses=hard_only)),
        gradients(trainer(tmp_path, other, labels=labels, losses=hard_only)),
    )


@pytest.mark.parametrize(("share", "value"), [(0.01, np.nan), (0.01, np.inf)])
def test_one_row_in_a_hundred_that_is_not_finite_is_dropped_and_the_run_goes_on(tmp_path, share, value):
    one = trainer(tmp_path, planted(share, value), steps=60, batch=16)

    one.train()

    assert 0 < sum(one.dropped.values()) < 0.03 * 60 * 16
    assert all(torch.isfinite(p).all() for p in one.learner.parameters())


def test_five_rows_in_a_hundred_that_are_not_finite_stop_the_run_and_name_clips(tmp_path):
    with pytest.raises(TeacherError, match=r"not finite \(clip-\d+"):
        trainer(tmp_path, planted(0.05, np.nan), steps=400, batch=16, names="clip-{}".format).train()


def planted(share, value):
    """A store in which a share of the answers, drawn anew for every batch, is not finite."""
    store, chance = targets(), np.random.default_rng(2)
    read = store.batch

    def batch(clips, views):
        found = read(clips, views)
        found["teacher_logits"][chance.random(len(clips)) < share, 1] = value
        return found

    store.batch = batch
    return store


def test_what_is_told_of_a_step(tmp_path):
    one = trainer(tmp_path, targets())
    one.train()

    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    shares = [first[f"gradient_share/{name}"] for name in ("hard", "KnowledgeDistillation", "Embedding")]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0
    assert 0 <= first["agreement"] <= 1
    assert 0 < first["teacher_entropy"] < np.log(4)
    assert {"learning_rate", "samples_per_s", "waiting_share", "dropped_rows", "KnowledgeDistillation/alpha"} <= first.keys()


def test_a_loss_on_the_middle_frames_has_its_share_of_their_gradient(tmp_path):
    one = trainer(tmp_path, targets(), student="mixednet", losses=OF_THE_MIDDLE)
    one.train()

    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    shares = [first[f"gradient_share/{name}"] for name in ("hard", "KnowledgeDistillation", "Segments")]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0


def test_a_student_without_middle_frames_is_refused_that_loss(tmp_path):
    with pytest.raises(ConfigError, match="'segments' needs a student with middle frames, such as mixednet"):
        trainer(tmp_path, targets(), losses=OF_THE_MIDDLE)


def test_alphas_that_leave_less_than_nothing_for_the_labels_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"alphas add up to 1\.80"):
        trainer(tmp_path, targets(), losses=[("cross_entropy", {}), ("kd", {}), ("logit_standard", {})])


def test_counts_go_on_where_a_checkpoint_left_them(tmp_path):
    trainer(tmp_path, targets(), steps=4).train()
    again = trainer(tmp_path, targets(), steps=6)

    again.train(resume_from_checkpoint=str(last_whole(tmp_path / "checkpoints")))

    assert again.n_distilled == 6 * 8


def test_dev_hears_the_averaged_weights_and_training_goes_on_with_its_own(tmp_path):
    one = trainer(tmp_path, targets())
    one.train()
    own = {name: value.clone() for name, value in one.average.own.items()}

    judged = one.predict(one.eval_dataset).predictions

    one.learner.student.load_state_dict(one.average.mean)
    with torch.no_grad():
        logits, _ = one.learner.student.eval()(one.eval_dataset.__getitems__(range(N_CLIPS))["features"])
    np.testing.assert_allclose(judged, logits.numpy(), atol=1e-5)
    assert any(not torch.equal(own[name], value) for name, value in one.average.mean.items())


def test_a_half_written_line_of_metrics_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')

    cut_metrics(path, 2)

    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_few_rows_still_hold_every_class_that_has_a_share():
    labels = np.arange(38)
    sampler = BalancedSampler(labels, 1, 128, [0.35 / 35] * 35 + [0.08, 0.4, 0.17], seed=1)

    drawn = np.bincount([row.number for row in sampler], minlength=38)
    assert drawn.min() >= 1
    assert drawn[36] == pytest.approx(0.4 * 128, abs=1)
