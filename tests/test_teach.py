"""`teach` and `label` on a tiny run: sounds of four kinds, a Whisper of random weights, everything else as it ships."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wakesmith.audio import to_int16
from wakesmith.config import part
from wakesmith.data.records import LABELS, Clip, Recording, save_jsonl
from wakesmith.data.targets import OK, TargetStore
from wakesmith.errors import DataError, TeacherError
from wakesmith.steps import label, teach
from wakesmith.teachers._card import HeadSettings

torch.set_num_threads(1)
N_SAMPLES, N_VIEWS = 24_000, 3


def sound(kind, rng):
    """A rising sweep, a falling one, beats, or noise, at a random place and pitch. -> (24000,) float32"""
    t = np.arange(N_SAMPLES) / 16_000
    low, start = rng.uniform(200, 400), rng.uniform(0.2, 0.7)
    inside = ((t > start) & (t < start + 0.7)).astype(float)
    tone = {
        "wake": np.sin(2 * np.pi * (low + 900 * (t - start)) * (t - start)) * inside,
        "near_miss": np.sin(2 * np.pi * (low + 1200 - 700 * (t - start)) * (t - start)) * inside,
        "speech": np.sin(2 * np.pi * low * t) * (np.sin(2 * np.pi * 6 * t) > 0),
        "noise": 0.0 * t,
    }[kind]
    return (0.3 * tone + rng.normal(0, 0.01, N_SAMPLES)).astype(np.float32)


def make_run(folder, shuffled=False, texts=("",)):
    """folder/prepare and folder/views: 10 train, 5 dev and 1 test clip of each kind, saying `texts` in turn.

    `shuffled`: labels that mean nothing.
    """
    rng = np.random.default_rng(0)
    kinds = [(kind, split) for kind in LABELS for split, n in (("train", 10), ("dev", 5), ("test", 1)) for _ in range(n)]
    views = np.stack([[to_int16(sound(kind, rng)) for _ in range(N_VIEWS)] for kind, _ in kinds])
    named = [LABELS[i] for i in rng.integers(4, size=len(kinds))] if shuffled else [kind for kind, _ in kinds]
    clips = [Clip(f"c{i}", f"r{i}", 0, N_SAMPLES, named[i], split) for i, (_, split) in enumerate(kinds)]
    recordings = [
        Recording(
            f"r{i}",
            f"/given/{i}.wav" if clip.label == "speech" else "",
            texts[i % len(texts)],
            clip.label,
            "",
            "",
            "",
            N_SAMPLES,
            clip.split,
            phrase_end=N_SAMPLES if clip.label == "wake" else 0,
        )
        for i, clip in enumerate(clips)
    ]
    for name in ("prepare", "views"):
        (folder / name).mkdir(parents=True)
    save_jsonl(folder / "prepare" / "clips.jsonl", clips)
    save_jsonl(folder / "prepare" / "recordings.jsonl", recordings)
    np.save(folder / "prepare" / "audio.npy", views[:, 0].reshape(-1))
    np.save(folder / "prepare" / "offsets.npy", np.arange(len(clips)) * N_SAMPLES)
    (folder / "prepare" / "store.json").write_text("{}")
    np.save(folder / "views" / "views.npy", views)
    np.save(folder / "views" / "state.npy", np.ones(views.shape[:2], np.uint8))
    (folder / "views" / "manifest.json").write_text(json.dumps({"fingerprint": f"made in the test, shuffled {shuffled}"}))
    return clips


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """Settings of a teacher on an encoder of random weights."""
    from safetensors.torch import save_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    config = WhisperConfig(d_model=32, encoder_layers=1, encoder_ffn_dim=32, encoder_attention_heads=2, init_std=0.2)
    folder = tmp_path_factory.mktemp("whisper")
    config.save_pretrained(folder)
    weights = WhisperEncoder(config).state_dict()
    save_file({f"model.encoder.{name}": value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return part("teachers", "whisper", path=str(folder))


def recipe(whisper, keep_encodings=False, **options):
    few = {"batch_size": 16, "lr": 3e-3, "epochs": 20, "patience": 20, **options}
    labelling = label.Settings(batch=8, keep_encodings=keep_encodings)
    return SimpleNamespace(seed=3, phrases=["wake"], teacher=whisper, teach=teach.Settings(**few), label=labelling)


@pytest.fixture(scope="module")
def taught(whisper, tmp_path_factory):
    """A run folder in which the teacher is taught and has answered."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder)
    teach.run(recipe(whisper), folder)
    label.run(recipe(whisper), folder)
    return folder


def bytes_of(folder, *names):
    return [(folder / name).read_bytes() for name in names]


def test_a_head_that_learned_passes_the_gate(taught):
    card = json.loads((taught / "teach" / "card.json").read_text())

    assert card["trained"]
    assert card["gate"]["passed"]
    assert card["dev"]["wake_auc"] > 0.95
    assert card["dev"]["majority_accuracy"] == 0.25


def test_every_view_of_train_and_the_first_of_dev_is_answered(taught):
    from wakesmith.data.audio_store import AudioStore

    clips, state = AudioStore.open(taught / "prepare").clips, TargetStore.open(taught / "label").state

    wanted = {"train": [OK] * N_VIEWS, "dev": [OK] + [0] * (N_VIEWS - 1), "test": [0] * N_VIEWS}
    assert state.tolist() == [wanted[clip.split] for clip in clips]


def test_live_answers_equal_the_stored_ones(taught):
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._card import load_teacher

    teacher, views, targets = load_teacher(taught / "teach"), ViewStore.open(taught / "views"), TargetStore.open(taught / "label")

    for clip, view in [(0, 0), (17, 2), (40, 1)]:
        logits, embedding = teacher.answer(torch.from_numpy(views.read(clip, view))[None])

        stored = targets.read(clip, view)
        np.testing.assert_allclose(logits[0].numpy(), stored[0], atol=1e-2, rtol=1e-2)
        np.testing.assert_allclose(embedding[0].numpy(), stored[1], atol=1e-2, rtol=1e-2)


def test_content_is_stored_segment_by_segment_and_loaded_again(whisper, taught, tmp_path):
    from wakesmith.data.views import ViewStore
    from wakesmith.teachers._card import load_teacher

    for name in ("prepare", "views"):
        (tmp_path / name).symlink_to(taught / name)
    spoken = recipe(whisper, head={"content": 4})
    teach.run(spoken, tmp_path)
    label.run(spoken, tmp_path)

    stored, own = TargetStore.open(tmp_path / "label"), TargetStore.open(taught / "label")
    assert (stored.embedding_size, own.embedding_size) == (16 * 4, 96)
    np.testing.assert_array_equal(stored.read(17, 2)[0], own.read(17, 2)[0])  # the logits stay as they were
    teacher, views = load_teacher(tmp_path / "teach"), ViewStore.open(tmp_path / "views")
    _, embedding = teacher.answer(torch.from_numpy(views.read(17, 2))[None])
    np.testing.assert_allclose(embedding[0].numpy(), stored.read(17, 2)[1], atol=2e-2, rtol=2e-2)


def test_labelling_again_asks_the_teacher_nothing(taught):
    assert label.answer_all(taught, batch=8) == 0


def test_interrupted_labelling_goes_on_and_ends_in_the_same_bytes(taught):
    names = ("logits.npy", "embedding.npy", "state.npy", "manifest.json")
    whole = bytes_of(taught / "label", *names)
    store = TargetStore.create(taught / "label", TargetStore.open(taught / "label").made_by, (64, N_VIEWS), 4, 96)
    for values in (store.stored.state, *store.stored.arrays.values()):
        values[20:] = 0
    store.stored.flush()

    answered = label.answer_all(taught, batch=8)

    assert 0 < answered < 140
    assert bytes_of(taught / "label", *names) == whole


def silence(folder):
    """From now on an encoder that is asked hears nothing, though the views go by the same fingerprint."""
    np.save(folder / "views" / "views.npy", np.zeros((64, N_VIEWS, N_SAMPLES), np.int16))


def heard(folder):
    """(n_clips, K) state of the one store of encodings."""
    (store,) = (folder / "encodings").iterdir()
    return np.load(store / "state.npy")


def test_another_head_and_fewer_keys_hear_nothing_again(taught, whisper, tmp_path):
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    silence(tmp_path)
    before = heard(tmp_path)

    teach.run(recipe(whisper, head=HeadSettings(embedding_size=32), max_encodings=30, gate="off"), tmp_path)

    assert json.loads((tmp_path / "teach" / "card.json").read_text())["dev"]["wake_auc"] > 0.9
    np.testing.assert_array_equal(heard(tmp_path), before)
    assert before[:, 2].sum() == 0


def test_what_labelling_keeps_is_not_heard_again_and_gives_the_same_bytes(taught, whisper, tmp_path):
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    names = ("logits.npy", "embedding.npy", "state.npy")

    for quiet in (False, True):
        shutil.rmtree(tmp_path / "label")
        if quiet:
            silence(tmp_path)
        label.run(recipe(whisper, keep_encodings=not quiet), tmp_path)

        assert bytes_of(tmp_path / "label", *names) == bytes_of(taught / "label", *names)
    assert (heard(tmp_path) == TargetStore.open(tmp_path / "label").state).all()


def test_interrupted_labelling_that_keeps_encodings_ends_in_the_same_bytes(taught, whisper, tmp_path):
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "label")
    label.run(recipe(whisper, keep_encodings=True), tmp_path)
    (store,) = (tmp_path / "encodings").iterdir()
    for state, kept in ((tmp_path / "label" / "state.npy", 20), (store / "state.npy", 24)):  # stopped between the two writes
        values = np.load(state)
        values[kept:] = 0
        np.save(state, values)

    label.run(recipe(whisper, keep_encodings=True), tmp_path)

    names = ("logits.npy", "embedding.npy", "state.npy")
    assert bytes_of(tmp_path / "label", *names) == bytes_of(taught / "label", *names)


def test_an_interrupted_lesson_goes_on_and_ends_in_the_same_head(taught, whisper, tmp_path):
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    (store,) = (tmp_path / "encodings").iterdir()
    state = np.load(store / "state.npy")
    state[:, 1] = 0
    np.save(store / "state.npy", state)

    teach.run(recipe(whisper), tmp_path)

    names = ("head.safetensors", "card.json")
    assert bytes_of(tmp_path / "teach", *names) == bytes_of(taught / "teach", *names)


def test_labelling_keeps_no_encodings_unless_asked(taught):
    assert heard(taught)[:, 2].sum() == 0


def test_other_views_start_from_no_encodings(taught, whisper, tmp_path):
    shutil.copytree(taught, tmp_path, dirs_exist_ok=True)
    silence(tmp_path)
    (tmp_path / "views" / "manifest.json").write_text(json.dumps({"fingerprint": "other"}))

    with pytest.raises(TeacherError, match="the gate is closed"):
        teach.run(recipe(whisper, epochs=1), tmp_path)


def test_the_store_of_encodings_takes_the_disk_of_what_was_heard(tmp_path):
    from wakesmith.data import answers

    store = answers.create(tmp_path / "store", {}, (10_000, 100), {"states": (16, 4)}, most=1)
    store.write((np.array([5]), np.array([7])), states=np.ones((1, 16, 4), np.float16))
    store.flush()

    assert (tmp_path / "store" / "states.npy").stat().st_blocks * 512 < 100_000
    with pytest.raises(DataError, match="Make room"):
        answers.create(tmp_path / "store2", {}, (10**12, 1000), {"states": (16, 4)})


def test_encodings_that_are_not_finite_stay_so_without_hearing_again(taught, whisper, tmp_path):
    from wakesmith.data.views import ViewStore
    from wakesmith.registry import build
    from wakesmith.teachers._encodings import Heard

    views, keys = ViewStore.open(taught / "views"), np.array([[0, 0], [1, 0]])
    store = Heard(tmp_path, build("teachers", whisper), views)
    store.fill(keys)
    store.store.write((np.array([1]), np.array([0])), states=np.full((1, *store.store.arrays["states"].shape[2:]), np.inf))

    states = store.states(keys, keep=True)

    assert np.isfinite(states[0]).all()
    assert np.isnan(states[1]).all()


def test_what_is_kept_is_read_row_by_row_as_it_was_heard(taught, whisper, tmp_path):
    from wakesmith.data.views import ViewStore
    from wakesmith.registry import build
    from wakesmith.teachers._encodings import Heard

    store = Heard(tmp_path, build("teachers", whisper), ViewStore.open(taught / "views"))
    keys = np.array([[0, 0], [1, 0], [2, 0]])
    store.fill(keys)

    kept = store.kept(keys[::-1])

    assert kept.shape == (3, *store.states(keys).shape[1:])
    assert np.array_equal(kept[np.array([2, 0])], store.states(keys[[0, 2]]))
    with pytest.raises(AssertionError, match="not heard"):
        store.kept(np.array([[3, 0]]))


def test_the_same_seed_teaches_the_same_head(taught, whisper, tmp_path):
    make_run(tmp_path)

    teach.run(recipe(whisper), tmp_path)

    assert bytes_of(tmp_path / "teach", "head.safetensors", "card.json") == bytes_of(
        taught / "teach", "head.safetensors", "card.json"
    )


def test_a_teacher_that_learned_nothing_stops_the_run_and_leaves_no_bundle(whisper, tmp_path):
    make_run(tmp_path, shuffled=True)

    with pytest.raises(TeacherError, match="the gate is closed"):
        teach.run(recipe(whisper, epochs=2), tmp_path)

    assert not (tmp_path / "teach" / "card.json").exists()
    assert json.loads((tmp_path / "teach" / "gate.json").read_text())["passed"] is False


def test_an_untrained_head_is_refused(taught, tmp_path):
    from wakesmith.teachers._card import load_teacher

    card = json.loads((taught / "teach" / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "trained": False}))

    with pytest.raises(TeacherError, match="never trained"):
        load_teacher(tmp_path)


def test_changed_head_weights_are_refused(taught, tmp_path):
    from wakesmith.teachers._card import load_teacher

    card, head = bytes_of(taught / "teach", "card.json", "head.safetensors")
    (tmp_path / "card.json").write_bytes(card)
    (tmp_path / "head.safetensors").write_bytes(head[:-1] + b"\x01")

    with pytest.raises(TeacherError, match="not the weights"):
        load_teacher(tmp_path)


def test_labels_that_lack_the_wake_phrase_are_told(tmp_path):
    clips = [dataclasses.replace(clip, label="speech") for clip in make_run(tmp_path)]

    with pytest.raises(TeacherError, match="train needs clips of the wake phrase"):
        teach.check_labels(clips)


def test_the_temperature_mends_logits_that_are_too_sure():
    from wakesmith.teachers._fit import fit_temperature

    torch.manual_seed(0)
    logits = torch.randn(4000, 4) * 2
    labels = torch.distributions.Categorical(logits=logits).sample().numpy()

    assert fit_temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.1)


def test_rare_classes_stay_whole_where_views_are_capped(tmp_path):
    from wakesmith.teachers._encodings import keys_to_teach

    clips = [clip for clip in make_run(tmp_path) if clip.split == "train"]
    clips = [clip for clip in clips if clip.label == "speech"] + [clip for clip in clips if clip.label == "wake"][:3]

    keys = keys_to_teach(clips, n_views=1, most=8, seed=0)

    assert [clips[clip].label for clip, _ in keys] == ["speech"] * 5 + ["wake"] * 3
