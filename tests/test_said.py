"""Phrases in streams: the moments around each end, and a layer that learns from the best of them."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tests.test_nearest import ears, stream  # noqa: F401
from tests.test_teach import make_run
from wakesmith import config, registry
from wakesmith.augment import _bank
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.records import UNLABELLED, save_jsonl
from wakesmith.errors import WakesmithError
from wakesmith.losses._base import Answers, Moment
from wakesmith.steps import _in_streams, _recipe
from wakesmith.training import last_layer, said, streamed
from wakesmith.training.perturb import Perturbation


def bags(ears, *ends_s, perturb=None, seed=1):  # noqa: F811
    spoken = streamed.Stream(stream(0).samples, np.array(ends_s), np.arange(len(ends_s)))
    return said.bags(*ears, perturb, [spoken], seed)


def test_the_moments_are_those_around_the_end_as_the_stream_is_heard(ears):  # noqa: F811
    student, front = ears
    seen = []
    with student.head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0])), torch.no_grad():
        student.step(front(torch.from_numpy(stream(0).samples)[None])[:, :798], student.initial_state())
    first = round((3.0 - said.BEFORE_S) / 0.03)

    got = bags(ears, 3.0, 5.0)

    assert got.embedding.shape == (2, 22, student.embedding_size)
    torch.testing.assert_close(got.embedding[0].float(), seen[0][first : first + 22], atol=2e-3, rtol=2e-3)
    assert got.labels.tolist() == [0, 1]


def test_a_phrase_whose_moments_the_stream_does_not_hold_is_left_out(ears):  # noqa: F811
    assert bags(ears, 0.1, 4.0, 7.9).labels.tolist() == [1]
    with pytest.raises(WakesmithError, match=r"train\.last_layer_said: train's streams hold no phrase whole"):
        bags(ears, 0.1, 7.9)


def test_microphones_are_drawn_from_the_seed(ears):  # noqa: F811
    one, again, other = (bags(ears, 3.0, perturb=Perturbation(0.1, 1.5, 0.8), seed=seed).embedding for seed in (1, 1, 2))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_one_good_moment_is_enough_and_the_others_are_left_alone():
    """Of two moments only one looks like the phrase; rows that look like the other are other speech."""
    loss = registry.build("losses", config.part("losses", "cross_entropy"), 2, 0, 2)
    labels = torch.tensor([0, 1] * 50)
    rows = torch.stack([1.0 - labels, 1.0 * labels], 1)
    phrase = said.Bags(torch.tensor([[[0.5, 0.0], [0.0, 1.0]]] * 10).half(), torch.zeros(10, dtype=torch.long))

    def learned(bags):
        layer = nn.Linear(2, 2)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        last_layer.learn(layer, Answers(torch.empty(0), rows, labels), [loss], Moment(0, 1), 300, 0.0, 1, None, bags)
        return torch.softmax(layer(torch.tensor([[0.5, 0.0], [0.0, 1.0]])), 1)[:, 0]

    without, with_them = learned(None), learned(phrase)

    assert with_them[0] > without[0]
    assert with_them[1] < 0.5


def test_without_steps_of_the_last_layer_it_is_refused():
    with pytest.raises((WakesmithError, ValidationError), match=r"last_layer_said: .*--set train\.last_layer_steps=3000"):
        _recipe.load({"phrase": "hey nova", "train": {"last_layer_said": 10}})


def test_phrases_whose_label_was_taken_away_are_not_heard(tmp_path, monkeypatch):
    clips = make_run(tmp_path)
    said_by = [clip for clip in clips if (clip.label, clip.split) == ("wake", "train")]
    kept = {clip.recording for clip in said_by[:2]}
    others = [dataclasses.replace(clip, label=UNLABELLED) if clip in said_by[2:] else clip for clip in clips]
    save_jsonl(tmp_path / "prepare" / "clips.jsonl", others)
    store = AudioStore.open(tmp_path / "prepare")
    _bank.make(store, tmp_path / "views" / "bank", seed=1, n_rooms=0, most_beds=4, jobs=1)
    recipe = _recipe.load({"phrase": "hey nova", "train": {"last_layer_steps": 1, "last_layer_said": 10}})
    heard, read = set(), AudioStore.recording
    monkeypatch.setattr(AudioStore, "recording", lambda own, name: heard.add(name) or read(own, name))

    streams, _, _ = _in_streams._phrase_streams(recipe, store, tmp_path, seed=1)

    assert sum(len(one.at_s) for one in streams) > 0
    assert heard == kept
