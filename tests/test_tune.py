"""Stage two of `teach` on a tiny encoder of convolution and two transformer layers, and on clips of four tones."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from tests import tiny_encoders
from wakesmith import registry
from wakesmith.config import part
from wakesmith.data.records import LABELS
from wakesmith.errors import TeacherError
from wakesmith.teachers import _checkpoints, _fit, _tune, _tune_plan, _tune_state
from wakesmith.teachers._card import HeadSettings
from wakesmith.teachers._head import Head, pool_time
from wakesmith.teachers._tune_settings import Tuning
from wakesmith.teachers._tune_step import MicroBatch, Step

torch.set_num_threads(1)
SIZE, N_SAMPLES, N_FRAMES = 16, 1_600, 10


class TinyEncoder:
    """See `Tunable`. Convolution -> (B, T, 16) -> two transformer layers."""

    rate_hz, n_layers, hidden_size, min_samples = 16_000, 3, SIZE, 160
    licence, source = "made in the test", "tiny"

    def __init__(self, dropout=0.0, gain=10.0, most=10**9):
        torch.manual_seed(0)
        layers = [nn.TransformerEncoderLayer(SIZE, 2, 32, dropout, batch_first=True) for _ in range(2)]
        self.module = nn.ModuleDict({"stem": nn.Conv1d(1, SIZE, 160, 160), "norm": nn.BatchNorm1d(SIZE)})
        self.module["layers"] = nn.ModuleList(layers)
        self.module.eval().requires_grad_(False)
        self.gain, self.most, self.recomputes, self.sha256 = gain, most, False, ""
        self.heard = []
        """Clips and precision of each hidden() with gradients."""

    def fingerprint(self):
        return "tiny" + self.sha256

    def layers(self):
        return list(self.module["layers"])

    def activation_checkpointing(self, on):
        self.recomputes = on

    def hidden(self, samples):
        if torch.is_grad_enabled():
            half = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
            self.heard.append((len(samples), half))
            if len(samples) > self.most:
                raise RuntimeError(f"out of memory: {len(samples)} clips")
        states = [self.module["norm"](self.module["stem"](samples[:, None]) * self.gain).transpose(1, 2)]
        for layer in self.layers():
            run = torch.utils.checkpoint.checkpoint if self.recomputes else lambda f, x, **_: f(x)
            states.append(run(layer, states[-1], use_reentrant=False))
        return torch.stack([state.float() for state in states], dim=1)

    def encode(self, samples):
        with torch.no_grad():
            return self.hidden(samples)

    def take(self, weights, sha256):
        self.module.load_state_dict(weights)
        self.sha256 = sha256


class Tones:
    """Views of 80 clips: each class has its frequency. Ends the run like Ctrl-C after `most` reads."""

    fingerprint = "tones"

    def __init__(self, most=10**9):
        rng = np.random.default_rng(0)
        self.labels = np.arange(80) % 4
        t = np.arange(N_SAMPLES) / 16_000
        tones = np.sin(2 * np.pi * (300 + 60 * self.labels[:, None]) * t + rng.uniform(0, 2, (80, 1)))
        self.samples = (0.3 * tones + rng.normal(0, 0.1, (80, N_SAMPLES))).astype(np.float32)
        self.left = most

    def read(self, clip, view):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.samples[clip]


def tiny_head(dropout=0.0):
    torch.manual_seed(1)
    return Head(HeadSettings(embedding_size=8, dropout=dropout), 3, N_FRAMES, SIZE, 4)


def settings(**options):
    few = {"steps": 4, "batch": 8, "micro_batch": 8, "evaluate_every": 2, "lr": 1e-3, "head_lr": 1e-3}
    return Tuning(**{**few, **options})


def tune(folder, encoder=None, head=None, views=None, seed=3, **options):
    """Tune on 48 clips, judge on 32. -> (outcome, encoder, head)"""
    encoder, head, views = encoder or TinyEncoder(), head or tiny_head(), views or Tones()
    keys = np.stack([np.arange(80), np.zeros(80, int)], axis=1)
    parts = keys[:48], views.labels[:48], keys[48:], views.labels[48:]
    how = options.pop("how", None) or settings(**options)
    return _tune.tune(encoder, head, how, views, *parts, folder, seed, list(LABELS)), encoder, head


def gradients(micro_batch, encoder=None, n=16, **options):
    """Of one step on 16 clips, by name."""
    encoder, head, views = encoder or TinyEncoder(), tiny_head(), Tones()
    for module in (*encoder.layers(), head):
        module.requires_grad_(True)
    how = settings(batch=n, micro_batch=micro_batch, **options)
    encoder.activation_checkpointing(how.activation_checkpointing)
    step = Step(encoder, head, how, torch.tensor([3.0, 1.0, 0.5, 0.5]), label_smoothing=0.05, seed=0)
    step.gradients(0, torch.from_numpy(views.samples[:n]), torch.from_numpy(views.labels[:n]))
    modules = (("encoder", encoder.module), ("head", head))
    return {f"{k}.{name}": p.grad for k, m in modules for name, p in m.named_parameters() if p.grad is not None}, step


def last_checkpoint(folder):
    return load_file(_tune_state.checkpoints(folder)[-1])


def changed(before, after, prefix):
    return [name for name in before if name.startswith(prefix) and not torch.equal(before[name], after[name])]


def starting_weights():
    modules = (("encoder", TinyEncoder().module), ("head", tiny_head()))
    return {f"{prefix}.{name}": value for prefix, m in modules for name, value in m.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_tuning_improves_the_loss_on_dev(tmp_path):
    outcome, _, _ = tune(tmp_path, steps=30, evaluate_every=10, batch=16, lr=1e-2, head_lr=1e-2)

    losses = {look["step"]: look["loss"] for look in outcome.history}
    assert losses[outcome.best_step] < 0.8 * losses[0]
    assert changed(starting_weights(), last_checkpoint(tmp_path), "encoder.layers")


def test_tuning_of_the_encoder_beats_the_head_alone(tmp_path):
    both, _, _ = tune(tmp_path / "both", steps=30, evaluate_every=30, lr=3e-3, head_lr=3e-3)
    head_alone, _, _ = tune(tmp_path / "head", steps=30, evaluate_every=30, lr=1e-9, head_lr=3e-3)

    assert both.history[-1]["loss"] < head_alone.history[-1]["loss"]


def test_only_the_transformer_layers_and_the_head_change(tmp_path):
    before = starting_weights()
    tune(tmp_path)

    after = last_checkpoint(tmp_path)
    assert not changed(before, after, "encoder.stem") + changed(before, after, "encoder.norm")
    assert len(changed(before, after, "head.")) > 5
    for layer in "01":
        assert changed(before, after, f"encoder.layers.{layer}")


def test_n_layers_leaves_the_layers_below_as_they_were(tmp_path):
    tune(tmp_path, n_layers=1)

    before, after = starting_weights(), last_checkpoint(tmp_path)
    assert not changed(before, after, "encoder.layers.0")
    assert changed(before, after, "encoder.layers.1")


def test_more_layers_than_there_are_is_told(tmp_path):
    with pytest.raises(TeacherError, match="n_layers: 3, but tiny has 2"):
        tune(tmp_path, n_layers=3)


def test_each_layer_below_learns_at_its_share_of_the_rate(tmp_path):
    tune(tmp_path, steps=1, warm_up_share=1.0, lr=1e-3, layer_decay=0.25, head_lr=5e-3, weight_decay=0.0)

    before, after = starting_weights(), last_checkpoint(tmp_path)
    # The first step of Adam changes each number by its rate.
    most = {
        prefix: max(float((after[name] - before[name]).abs().max()) for name in before if name.startswith(prefix))
        for prefix in ("encoder.layers.0", "encoder.layers.1", "head.")
    }
    assert most == pytest.approx({"encoder.layers.0": 0.25e-3, "encoder.layers.1": 1e-3, "head.": 5e-3}, rel=1e-2)


def test_the_rates_rise_along_a_line_then_fall_along_a_cosine():
    shares = [_fit.rate_share(step, 100, 0.1) for step in range(100)]

    assert shares[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert shares[10] == 1.0
    assert shares[55] == pytest.approx(0.5)
    assert shares[99] < 0.001
    assert _fit.rate_share(0, 100, 0.0) == 1.0


def test_warm_up_makes_the_first_step_smaller(tmp_path):
    tune(tmp_path / "warm", steps=10, evaluate_every=1, patience=1, keep=100, warm_up_share=1.0)
    tune(tmp_path / "cold", steps=10, evaluate_every=1, patience=1, keep=100, warm_up_share=0.0)

    before = starting_weights()["head.classify.bias"]
    warm, cold = (
        load_file(_tune_state.checkpoint(tmp_path / name, 1))["head.classify.bias"] - before for name in ("warm", "cold")
    )
    assert warm.abs().max() < 0.2 * cold.abs().max()


def test_weight_decay_pulls_weights_towards_zero(tmp_path):
    tune(tmp_path / "none", steps=1, warm_up_share=1.0, weight_decay=0.0)
    tune(tmp_path / "some", steps=1, warm_up_share=1.0, weight_decay=50.0)

    none, some = (last_checkpoint(tmp_path / name)["encoder.layers.1.linear1.weight"].norm() for name in ("none", "some"))
    assert some < 0.97 * none


def test_the_gradients_are_those_of_the_whole_batch_however_it_is_cut():
    whole, _ = gradients(micro_batch=16)
    for size in (4, 5):
        cut, _ = gradients(micro_batch=size)

        assert whole.keys() == cut.keys()
        assert max(float((whole[name] - cut[name]).abs().max()) for name in whole) < 1e-5


def test_the_gradient_is_the_weighted_sum_over_the_rows_by_their_number():
    found, step = gradients(micro_batch=4)
    encoder, head, views = TinyEncoder(), tiny_head(), Tones()
    for module in (*encoder.layers(), head):
        module.requires_grad_(True)

    logits, _ = head(encoder.hidden(torch.from_numpy(views.samples[:16])))
    weight = torch.tensor([3.0, 1.0, 0.5, 0.5])
    each = nn.functional.cross_entropy(
        logits, torch.from_numpy(views.labels[:16]), weight, reduction="none", label_smoothing=0.05
    )
    (each.sum() / 16).backward()
    nn.utils.clip_grad_norm_(step.params, 1.0)

    assert torch.allclose(found["head.classify.weight"], head.classify.weight.grad, atol=1e-6)


def test_rare_classes_weigh_more(tmp_path):
    views = Tones()
    views.labels = np.where(np.arange(80) % 8 == 0, 0, np.maximum(views.labels, 1))
    tune(tmp_path / "rare", views=views, steps=1)
    tune(tmp_path / "even", steps=1)

    rare, even = (last_checkpoint(tmp_path / name)["head.classify.bias"] for name in ("rare", "even"))
    assert not torch.equal(rare, even)


def test_without_memory_the_micro_batch_shrinks_and_the_result_stays(tmp_path):
    enough, _, _ = tune(tmp_path / "enough")
    small = TinyEncoder(most=3)
    short, _, _ = tune(tmp_path / "short", encoder=small)

    assert (enough.micro_batch, short.micro_batch) == (8, 2)
    assert [n for n, _ in small.heard[:3]] == [8, 4, 2]
    wanted, found = last_checkpoint(tmp_path / "enough"), last_checkpoint(tmp_path / "short")
    for name in wanted.keys() - {"head.attend.bias"}:  # the softmax after it takes it out: its gradient is rounding alone
        assert torch.allclose(felt(wanted[name], name), felt(found[name], name), atol=1e-5), name


def felt(weights: torch.Tensor, name: str) -> torch.Tensor:
    """Without the biases of attention's keys, which its softmax takes out too."""
    if not name.endswith("in_proj_bias"):
        return weights
    query, _, value = weights.chunk(3)
    return torch.cat([query, value])


def test_a_clip_too_much_for_the_memory_is_told_with_the_way_out(tmp_path):
    with pytest.raises(TeacherError, match="activation_checkpointing: true"):
        tune(tmp_path, encoder=TinyEncoder(most=0))


def test_another_error_than_memory_is_not_tried_again():
    def fails(size):
        tried.append(size)
        raise RuntimeError("shapes do not fit")

    tried = []
    with pytest.raises(RuntimeError, match="shapes"):
        MicroBatch(8).fit(fails)
    assert tried == [8]


def test_micro_batch_is_how_many_clips_are_heard_at_once(tmp_path):
    encoder = TinyEncoder()
    tune(tmp_path, encoder=encoder, batch=8, micro_batch=3, steps=1)

    assert [n for n, _ in encoder.heard] == [3, 3, 2]


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32"])
def test_the_encoder_hears_in_the_asked_precision(tmp_path, precision):
    encoder = TinyEncoder()
    outcome, _, _ = tune(tmp_path, encoder=encoder, precision=precision)

    assert {half for _, half in encoder.heard} == {getattr(torch, precision)}
    assert outcome.n_redone == 0
    assert outcome.history[-1]["loss"] == pytest.approx(tune(tmp_path / "exact")[0].history[-1]["loss"], rel=0.02)


def test_a_step_that_overflows_is_done_again_in_float32(tmp_path):
    half, encoder, _ = tune(tmp_path / "half", encoder=TinyEncoder(gain=1e6), precision="float16")
    tune(tmp_path / "exact", encoder=TinyEncoder(gain=1e6))

    assert half.n_redone == 4
    assert [kind for _, kind in encoder.heard] == [torch.float16, torch.float32] * 4
    assert_equal(last_checkpoint(tmp_path / "half"), last_checkpoint(tmp_path / "exact"))


def test_an_overflow_lowers_the_scale_of_the_loss():
    _, calm = gradients(micro_batch=16, precision="float16")
    _, overflown = gradients(micro_batch=16, encoder=TinyEncoder(gain=1e6), precision="float16")

    assert (calm.scale, calm.calm) == (2.0**16, 1)
    assert (overflown.scale, overflown.calm) == (2.0**15, 0)


def test_scaled_gradients_are_scaled_back():
    half, _ = gradients(micro_batch=16, precision="float16")
    exact, _ = gradients(micro_batch=16)

    assert torch.allclose(half["head.classify.weight"], exact["head.classify.weight"], rtol=0.02, atol=1e-3)


def test_a_loss_that_is_not_finite_stops_with_the_way_out(tmp_path):
    views = Tones()
    views.samples[:48] = np.nan  # those of train

    with pytest.raises(TeacherError, match=r"not finite.*teach\.tune\.lr"):
        tune(tmp_path, views=views)


def test_dev_answers_that_are_not_finite_are_no_operating_point(tmp_path):
    views = Tones()
    views.samples[50] = np.nan

    with pytest.raises(TeacherError, match="NaN or infinity on dev"):
        tune(tmp_path, views=views)


def test_activation_checkpointing_keeps_the_gradients_and_less_in_memory():
    def measured(on):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            grads, _ = gradients(micro_batch=16, encoder=TinyEncoder(dropout=0.1), activation_checkpointing=on)
        return grads, sum(sizes)

    stored, stored_bytes = measured(False)
    recomputed, recomputed_bytes = measured(True)

    # What the backward pass recomputes is saved again while it runs, outside the hooks of the forward pass.
    assert recomputed_bytes < 0.5 * stored_bytes
    for name in stored:
        assert torch.allclose(stored[name], recomputed[name], atol=1e-6), name


def test_activation_checkpointing_is_on_while_tuning_alone(tmp_path):
    class Watching(TinyEncoder):
        seen = ()

        def activation_checkpointing(self, on):
            self.seen += (on,)
            super().activation_checkpointing(on)

    _, encoder, _ = tune(tmp_path, encoder=Watching(), activation_checkpointing=True)

    assert encoder.seen == (True, False)


def test_it_stops_early_and_ends_on_the_best_weights(tmp_path):
    outcome, encoder, head = tune(tmp_path, steps=40, evaluate_every=1, patience=2, lr=0.5, head_lr=0.5, keep=100)

    steps = [look["step"] for look in outcome.history]
    assert steps == list(range(outcome.best_step + 3))
    best = load_file(_tune_state.checkpoint(tmp_path, outcome.best_step))
    assert_equal({f"encoder.{name}": value for name, value in outcome.encoder_weights.items()}, best_of(best, "encoder."))
    assert_equal(dict(encoder.module.state_dict()), outcome.encoder_weights)
    assert_equal({f"head.{name}": value for name, value in head.state_dict().items()}, best_of(best, "head."))


def best_of(weights, prefix):
    return {name: value for name, value in weights.items() if name.startswith(prefix)}


def test_a_longer_patience_stops_later(tmp_path):
    short, long = (
        tune(tmp_path / str(patience), steps=40, evaluate_every=1, patience=patience, lr=0.5, head_lr=0.5)[0]
        for patience in (1, 3)
    )

    assert len(long.history) > len(short.history)


def test_tuning_that_makes_nothing_better_leaves_stage_one(tmp_path):
    outcome, encoder, _ = tune(tmp_path, evaluate_every=1, lr=5.0, head_lr=5.0)

    assert outcome.best_step == 0
    assert_equal(dict(encoder.module.state_dict()), dict(TinyEncoder().module.state_dict()))


def test_dev_is_heard_as_often_as_asked(tmp_path):
    outcome, _, _ = tune(tmp_path, steps=5, evaluate_every=2, patience=9)

    assert [look["step"] for look in outcome.history] == [0, 2, 4, 5]


@pytest.mark.parametrize("keep", [1, 2])
def test_only_the_newest_checkpoints_are_kept(tmp_path, keep):
    tune(tmp_path, steps=4, evaluate_every=1, keep=keep, patience=9)

    names = [path.name for path in _tune_state.checkpoints(tmp_path)]
    assert names == [f"step-{step}.safetensors" for step in (3, 4)][-keep:]


def test_a_checkpoint_says_what_it_is(tmp_path):
    tune(tmp_path, steps=1)

    with safe_open(_tune_state.checkpoint(tmp_path, 1), framework="pt") as file:
        assert file.metadata()["format"] == "wakesmith-teacher-1"
        assert json.loads(file.metadata()["labels"]) == list(LABELS)


@pytest.mark.parametrize(("reads", "goes_on_from"), [(85, 0), (150, 4)])
def test_an_interrupted_tuning_ends_as_an_undisturbed_one(tmp_path, reads, goes_on_from):
    same = {"steps": 8, "evaluate_every": 4, "micro_batch": 4, "patience": 9, "precision": "float16"}
    whole, _, head = tune(tmp_path / "whole", TinyEncoder(dropout=0.2), tiny_head(0.3), **same)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "cut", TinyEncoder(dropout=0.2), tiny_head(0.3), Tones(most=reads), **same)
    assert _tune_state.checkpoint(tmp_path / "cut", goes_on_from).exists()
    assert not _tune_state.checkpoint(tmp_path / "cut", goes_on_from + 4).exists()

    resumed, again, again_head = tune(tmp_path / "cut", TinyEncoder(dropout=0.2), tiny_head(0.3), **same)

    assert resumed.history == whole.history
    assert len(again.heard) == 2 * (8 - goes_on_from)
    assert_equal(dict(again_head.state_dict()), dict(head.state_dict()))
    assert_equal(last_checkpoint(tmp_path / "cut"), last_checkpoint(tmp_path / "whole"))
    assert (tmp_path / "cut" / "tuning.safetensors").read_bytes() == (tmp_path / "whole" / "tuning.safetensors").read_bytes()


def test_an_interruption_leaves_the_encoder_frozen(tmp_path):
    encoder, head = TinyEncoder(), tiny_head()
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path, encoder, head, Tones(most=85))

    for module in (encoder.module, head):
        assert not any(part.training for part in module.modules())
        assert not any(param.requires_grad for param in module.parameters())


def test_a_finished_tuning_is_not_done_again(tmp_path):
    first, _, _ = tune(tmp_path)
    second, encoder, _ = tune(tmp_path)

    assert encoder.heard == []
    assert_equal(first.encoder_weights, second.encoder_weights)
    assert_equal(first.head_weights, second.head_weights)


def test_another_seed_or_setting_starts_again(tmp_path):
    tune(tmp_path)
    for other in ({"seed": 4}, {"lr": 2e-3}, {"batch": 4}):
        _, encoder, _ = tune(tmp_path, **other)

        assert len(encoder.heard) == 4, other


def test_a_broken_state_starts_again_and_says_so(tmp_path, capsys):
    whole, _, _ = tune(tmp_path)
    (tmp_path / "tuning.safetensors").write_bytes(b"broken")

    again, _, _ = tune(tmp_path)

    assert again.history == whole.history
    assert "cannot go on" in capsys.readouterr().err


def test_afterwards_encoder_and_head_are_frozen(tmp_path):
    _, encoder, head = tune(tmp_path)

    for module in (encoder.module, head):
        assert not any(part.training for part in module.modules())
        assert not any(param.requires_grad for param in module.parameters())


def test_dropout_is_on_in_the_layers_that_learn_alone(tmp_path):
    class Watching(TinyEncoder):
        def hidden(self, samples):
            if torch.is_grad_enabled():
                training = {name for name, part in self.module.named_modules() if part.training}
                assert {name.split(".")[1] for name in training} == {"1"}
            return super().hidden(samples)

    tune(tmp_path, encoder=Watching(dropout=0.1), n_layers=1)


def test_an_epoch_holds_every_clip_once_and_the_order_follows_from_seed_and_epoch():
    stream = np.concatenate([_tune_plan.rows_of(step, 8, 20, seed=1) for step in range(5)])

    assert sorted(stream[:20]) == sorted(stream[20:]) == list(range(20))
    assert stream[:20].tolist() != stream[20:].tolist()
    assert _tune_plan.rows_of(0, 8, 20, seed=2).tolist() != stream[:8].tolist()
    assert sorted(_tune_plan.rows_of(0, 30, 20, seed=1)[:20]) == list(range(20))  # a batch may be larger than the data


def test_the_fewest_misses_are_the_best_and_of_equal_ones_the_lowest_loss(tmp_path):
    outcome, _, _ = tune(tmp_path, steps=30, evaluate_every=3, batch=16, lr=1e-2, head_lr=1e-2, patience=99)

    best = min(outcome.history, key=lambda look: (look["frr"], look["loss"]))
    assert outcome.best_step == best["step"] > 0
    assert best["frr"] < outcome.history[0]["frr"]


def test_every_phrase_counts_in_the_operating_point(tmp_path):
    how = settings(steps=1)
    keys = np.stack([np.arange(80), np.zeros(80, int)], axis=1)
    labels = Tones().labels

    found = [
        _tune.tune(
            TinyEncoder(), tiny_head(), how, Tones(), keys[:48], labels[:48], keys[48:], labels[48:], tmp_path / str(n), 3,
            ["one", "two", "speech", "noise"], n_phrases=n,
        ).history[0]["wake_auc"]
        for n in (1, 2)
    ]  # fmt: skip
    assert found[0] != found[1]


def test_an_encoder_without_gradients_is_refused_with_the_teachers_that_have_them(tmp_path):
    class Fixed:
        source = "an ONNX file"

    with pytest.raises(TeacherError, match=r"an ONNX file cannot be tuned.*whisper.*teach\.tune\.steps: 0"):
        tune(tmp_path, encoder=Fixed())


def test_the_tuned_encoder_is_written_and_taken_as_it_was(tmp_path):
    outcome, encoder, _ = tune(tmp_path, steps=10, lr=3e-3, head_lr=3e-3)
    sha256 = _tune_state.write_encoder(tmp_path / "encoder.safetensors", outcome.encoder_weights)
    fresh = TinyEncoder()
    _tune_state.take_encoder(fresh, tmp_path / "encoder.safetensors", sha256)

    samples = torch.from_numpy(Tones().samples[:4])
    assert torch.equal(fresh.encode(samples), encoder.encode(samples))
    assert fresh.fingerprint() == "tiny" + sha256
    assert sha256 == _tune_state.write_encoder(tmp_path / "again.safetensors", outcome.encoder_weights)


def test_a_tuned_encoder_that_is_gone_or_another_is_told(tmp_path):
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(TeacherError, match="missing"):
        _tune_state.take_encoder(TinyEncoder(), path, "")
    _tune_state.write_encoder(path, dict(TinyEncoder().module.state_dict()))
    with pytest.raises(TeacherError, match="not the weights"):
        _tune_state.take_encoder(TinyEncoder(), path, "")


def test_the_teachers_that_can_be_tuned_are_named():
    assert sorted(_tune.TUNABLE) == sorted(tiny_encoders.FAMILIES)


@pytest.mark.parametrize("family", tiny_encoders.FAMILIES)
def test_every_family_is_tuned_and_its_front_end_stays(tmp_path, family):
    folder = tiny_encoders.save(family, tmp_path / family)
    encoder = registry.build("teachers", part("teachers", family, path=str(folder)))
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    n_segments = pool_time(encoder.encode(torch.zeros(1, N_SAMPLES))).shape[2]
    head = Head(HeadSettings(embedding_size=8, dropout=0.0), encoder.n_layers, n_segments, encoder.hidden_size, 4)

    outcome, _, _ = tune(tmp_path / "run", encoder, head, steps=2, lr=1e-2, n_layers=1, activation_checkpointing=True)

    found = _checkpoints.read(_tune_state.checkpoint(tmp_path / "run", 2))
    after, _ = _checkpoints.split(found.weights)
    assert (found.labels, found.preprocessing) == (list(LABELS), encoder.preprocessing)
    names = [name for name in before if not torch.equal(before[name], after[name])]
    assert names
    assert all(name.removeprefix("encoder.").startswith("layers.1.") for name in names), names
    fresh = registry.build("teachers", part("teachers", family, path=str(folder)))
    sha256 = _tune_state.write_encoder(tmp_path / "encoder.safetensors", outcome.encoder_weights)
    _tune_state.take_encoder(fresh, tmp_path / "encoder.safetensors", sha256)
    assert_equal(dict(fresh.module.state_dict()), dict(encoder.module.state_dict()))


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("family", tiny_encoders.FAMILIES)
def test_every_family_learns_in_the_asked_precision(tmp_path, family, precision):
    folder = tiny_encoders.save(family, tmp_path / family)
    encoder = registry.build("teachers", part("teachers", family, path=str(folder)))
    n_segments = pool_time(encoder.encode(torch.zeros(1, N_SAMPLES))).shape[2]
    head = Head(HeadSettings(embedding_size=8, dropout=0.0), encoder.n_layers, n_segments, encoder.hidden_size, 4)
    kinds = set()

    def watch(_, __, answer):
        if torch.is_grad_enabled():
            kinds.add(answer.dtype)

    for linear in (module for module in encoder.layers()[-1].modules() if isinstance(module, nn.Linear)):
        linear.register_forward_hook(watch)
    outcome, _, _ = tune(tmp_path / "run", encoder, head, steps=1, lr=1e-4, precision=precision)

    assert getattr(torch, precision) in kinds <= {getattr(torch, precision), torch.float32}
    assert outcome.n_redone == 0
