"""Weights files: every shape is read, nothing in them runs, what does not fit is listed, and encoders start from them."""

import json
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import tiny_encoders
from wakesmith import registry
from wakesmith.config import part
from wakesmith.errors import TeacherError
from wakesmith.teachers import _checkpoints
from wakesmith.teachers._checkpoints import CONTAINERS, Checkpoint

torch.set_num_threads(1)
WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}
LABELS = ["wake", "near", "speech", "noise"]


def wrapped(*wrappers):
    return {"".join(wrappers) + key: tensor for key, tensor in WEIGHTS.items()}


def saved(path, content):
    torch.save(content, path)
    return path


def holds_weights(found):
    assert found.weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(found.weights[key], WEIGHTS[key]) for key in WEIGHTS)
    return True


@pytest.mark.parametrize("name", CONTAINERS)
def test_weights_inside_a_checkpoint_are_taken_and_it_is_said(name, tmp_path, capsys):
    found = _checkpoints.read(saved(tmp_path / "a.pt", {"epoch": 3, name: WEIGHTS, "optimizer": {"state": {}}}))

    assert holds_weights(found)
    assert f"under {name} are taken" in capsys.readouterr().err


def test_of_several_the_first_in_the_order_is_taken(tmp_path, capsys):
    other = {key: tensor + 1 for key, tensor in WEIGHTS.items()}

    assert holds_weights(
        _checkpoints.read(saved(tmp_path / "a.pt", {"ema": other, "ema_state_dict": None, "state_dict": WEIGHTS}))
    )
    assert "under state_dict" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_a_bare_state_dict_is_read(kind, tmp_path):
    assert holds_weights(_checkpoints.read(saved(tmp_path / "a.bin", kind(WEIGHTS))))


@pytest.mark.parametrize(
    "wrappers", [("module.",), ("_orig_mod.",), ("module.", "_orig_mod."), ("_orig_mod.", "module.", "module.")]
)
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_names_of_wrappers_are_taken_off(wrappers, ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    (torch.save if ending == "pt" else save_file)(wrapped(*wrappers), path)

    assert holds_weights(_checkpoints.read(path))


def test_a_compiled_inner_part_and_an_averaged_model_are_plain(tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.ModuleDict({"layer": torch.nn.Linear(3, 2)})).state_dict()
    inner = {key.replace("layer.", "layer._orig_mod."): value for key, value in averaged.items()}

    assert "n_averaged" in inner
    assert _checkpoints.read(saved(tmp_path / "a.pt", {"ema": inner})).weights.keys() == WEIGHTS.keys()


def test_a_part_that_is_called_module_keeps_its_name(tmp_path):
    found = _checkpoints.read(saved(tmp_path / "a.pt", {**wrapped("module."), "other": torch.ones(1)}))

    assert "module.layer.weight" in found.weights


def test_a_transformers_folder_gives_weights_and_preparation(tmp_path):
    folder = tiny_encoders.save("hubert", tmp_path, normalise=True)

    found = _checkpoints.read(folder)

    assert found.weights.keys() == load_file(folder / "model.safetensors").keys()
    assert found.preprocessing == {"rate_hz": 16_000, "normalise": True}
    assert found.source == folder / "model.safetensors"


def test_our_own_file_tells_classes_and_preparation(tmp_path):
    path = tmp_path / "teacher.safetensors"
    _checkpoints.save(path, WEIGHTS, LABELS, {"rate_hz": 16_000, "normalise": False})

    found = _checkpoints.read(path)

    assert holds_weights(found)
    assert (found.labels, found.preprocessing) == (LABELS, {"rate_hz": 16_000, "normalise": False})
    assert [file.name for file in tmp_path.iterdir()] == ["teacher.safetensors"]


def test_the_same_weights_give_the_same_bytes(tmp_path):
    def written():
        _checkpoints.save(tmp_path / "a.safetensors", WEIGHTS, LABELS, {"rate_hz": 16_000, "normalise": False})
        return (tmp_path / "a.safetensors").read_bytes()

    assert len({written() for _ in range(8)}) == 1


def test_safetensors_without_our_metadata_tell_nothing(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors", {"format": "pt"})

    found = _checkpoints.read(tmp_path / "a.safetensors")

    assert (found.labels, found.preprocessing) == (None, None)


def test_classes_beside_the_weights_of_a_torch_file_are_read(tmp_path):
    content = {"model_state_dict": WEIGHTS, "labels": LABELS, "preprocessing": {"normalise": True}}

    found = _checkpoints.read(saved(tmp_path / "a.pt", content))

    assert (found.labels, found.preprocessing) == (LABELS, {"normalise": True})


@pytest.mark.parametrize("place", ["alone", "inside"])
def test_a_crafted_pickle_never_runs(place, tmp_path):
    target = tmp_path / "ran"

    class Crafted:
        def __reduce__(self):
            return open, (str(target), "w")

    torch.save(Crafted() if place == "alone" else {"state_dict": WEIGHTS, "extra": Crafted()}, tmp_path / "a.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Crafted(), protocol=2))

    for name in ("a.pt", "raw.pt"):
        with pytest.raises(TeacherError, match="it was not run"):
            _checkpoints.read(tmp_path / name)
    assert not target.exists()


def test_the_size_of_a_torch_file_is_bounded_packed_or_not(tmp_path, monkeypatch):
    import zipfile

    monkeypatch.setattr(_checkpoints, "MAX_TORCH_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1_000_000))

    for path in (saved(tmp_path / "a.pt", {"a": torch.zeros(10_000)}), tmp_path / "packed.pt"):
        with pytest.raises(TeacherError, match="at most 10000 are read"):
            _checkpoints.read(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([torch.ones(1)], "holds a list"),
        ({}, "no named tensors"),
        ({"epoch": 3, "net": {"a": torch.ones(1)}}, "epoch, net: no tensor"),
        ({"ema": {"decay": 0.9, "shadow": [torch.ones(1)]}}, "decay, shadow: no tensor"),
        ({"state_dict": WEIGHTS, "labels": "wake"}, "labels: expected a list"),
        ({"state_dict": WEIGHTS, "preprocessing": 3}, "preprocessing: expected keys"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(content, told, tmp_path):
    with pytest.raises(TeacherError, match=told):
        _checkpoints.read(saved(tmp_path / "a.pt", content))


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("data", [b"", b"not weights at all", None])
def test_a_damaged_file_is_one_clear_error(name, data, tmp_path):
    path = tmp_path / name
    if data is None:
        (torch.save if name == "a.pt" else save_file)(WEIGHTS, path)
        data = path.read_bytes()[:-200]
    path.write_bytes(data)

    with pytest.raises(TeacherError, match=rf"{name}: (not readable|holds more)"):
        _checkpoints.read(path)


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TeacherError, match="nowhere: no such file"):
        _checkpoints.read(tmp_path / "nowhere")


def test_a_file_of_a_later_version_is_refused(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors", {"format": "wakesmith-teacher-2"})

    with pytest.raises(TeacherError, match="wakesmith-teacher-2, this version reads wakesmith-teacher-1"):
        _checkpoints.read(tmp_path / "a.safetensors")


def test_metadata_that_is_no_json_is_refused(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors", {"labels": "wake, near"})

    with pytest.raises(TeacherError, match="metadata is not JSON"):
        _checkpoints.read(tmp_path / "a.safetensors")


def test_everything_that_does_not_fit_is_listed_at_once():
    module = torch.nn.Sequential(OrderedDict(a=torch.nn.Linear(3, 2), b=torch.nn.Linear(2, 2), c=torch.nn.BatchNorm1d(2)))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    weights = {key: value + 1 for key, value in before.items()}
    weights["a.weight"], weights["b.weight"] = torch.ones(2, 4), torch.full((2, 2), torch.inf)
    weights["c.weight"], weights["z"] = weights["c.weight"].long(), weights.pop("a.bias")

    with pytest.raises(TeacherError) as caught:
        _checkpoints.load_strictly(module, weights, "some.pt")

    for told in (
        "some.pt: does not fit", "1 missing (a.bias)", "1 unexpected (z)", "1 of another shape (a.weight [2, 4] for [2, 3])",
        "1 of another type (c.weight torch.int64 for torch.float32)", "1 not finite (b.weight)",
    ):  # fmt: skip
        assert told in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_long_list_is_cut(tmp_path):
    with pytest.raises(TeacherError, match=r"8 missing \(0\.weight, 0\.bias, 1\.weight \.\.\.\)"):
        _checkpoints.load_strictly(torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(4))), {}, tmp_path)


def test_half_precision_weights_are_loaded_as_the_network_wants_them():
    module = torch.nn.Linear(3, 2)
    weights = {key: value.detach().bfloat16() for key, value in module.state_dict().items()}

    _checkpoints.load_strictly(module, weights, "half.pt")

    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight.detach(), weights["weight"].float())


def checkpoint(tmp_path, labels=LABELS, **preprocessing):
    return Checkpoint(WEIGHTS, labels, preprocessing or None, tmp_path / "a.pt")


def test_classes_and_preparation_that_agree_or_are_not_told_fit(tmp_path):
    run = {"rate_hz": 16_000, "normalise": True}

    _checkpoints.check_fits(checkpoint(tmp_path, **run), LABELS, run)
    _checkpoints.check_fits(checkpoint(tmp_path, labels=None), LABELS, run)
    _checkpoints.check_fits(checkpoint(tmp_path, labels=["other"]), None, run)


@pytest.mark.parametrize(("labels", "how"), [(LABELS[::-1], "in another order"), (["yes", "no"], "others")])
def test_other_classes_or_another_order_show_both_lists(labels, how, tmp_path):
    with pytest.raises(TeacherError) as caught:
        _checkpoints.check_fits(checkpoint(tmp_path, labels), LABELS, {})

    assert f"its classes are {how}: {', '.join(labels)}; the run's are wake, near, speech, noise" in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("rate_hz", 8_000), ("normalise", False)])
def test_another_preparation_is_refused(key, value, tmp_path):
    with pytest.raises(TeacherError, match=f"trained with {key} {value}"):
        _checkpoints.check_fits(checkpoint(tmp_path, **{key: value}), LABELS, {"rate_hz": 16_000, "normalise": True})


# Encoders that start from a checkpoint


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: tiny_encoders.save(name, tmp_path_factory.mktemp(name)) for name in tiny_encoders.FAMILIES}


def built(name, folder, **options):
    return registry.build("teachers", part("teachers", name, path=str(folder), **options))


def tuned(encoder):
    return {key: value * 1.1 if value.is_floating_point() else value for key, value in encoder.module.state_dict().items()}


def answer(encoder):
    torch.manual_seed(1)
    return encoder.encode(torch.randn(2, 3_200) * 0.1)


@pytest.mark.parametrize("name", tiny_encoders.FAMILIES)
@pytest.mark.parametrize("shape", ["bare", "container", "wrapped"])
def test_a_checkpoint_takes_the_place_of_the_weights(name, shape, folders, tmp_path):
    plain = built(name, folders[name])
    weights = tuned(plain)
    content = {
        "bare": weights,
        "container": {"model_state_dict": weights},
        "wrapped": {"module." + k: v for k, v in weights.items()},
    }

    encoder = built(name, folders[name], checkpoint=str(saved(tmp_path / "a.pt", content[shape])))

    assert not torch.allclose(answer(encoder), answer(plain))
    plain.take(weights, "ab" * 32)
    assert torch.equal(answer(encoder), answer(plain))
    assert encoder.head is None


@pytest.mark.parametrize("name", tiny_encoders.FAMILIES)
def test_a_whole_teacher_gives_its_head_too(name, folders, tmp_path):
    plain = built(name, folders[name])
    weights = {f"encoder.{key}": value for key, value in tuned(plain).items()} | {"head.classify.weight": torch.ones(4, 3)}
    _checkpoints.save(tmp_path / "teacher.safetensors", weights, LABELS, plain.preprocessing)

    encoder = built(name, folders[name], checkpoint=str(tmp_path / "teacher.safetensors"))

    assert not torch.allclose(answer(encoder), answer(plain))
    assert encoder.head.labels == LABELS
    assert encoder.head.weights.keys() == {"classify.weight"}


@pytest.mark.parametrize("name", tiny_encoders.FAMILIES)
def test_a_checkpoint_needs_no_weights_in_the_folder_and_may_be_a_folder(name, folders, tmp_path):
    for file in folders[name].glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())

    assert torch.equal(answer(built(name, tmp_path, checkpoint=str(folders[name]))), answer(built(name, folders[name])))
    with pytest.raises(TeacherError, match=r"no such file: model\.safetensors or pytorch_model\.bin"):
        built(name, tmp_path)


def test_the_fingerprint_covers_the_bytes_of_the_checkpoint(folders, tmp_path):
    path = tmp_path / "a.safetensors"
    plain = built("wavlm", folders["wavlm"])
    _checkpoints.save(path, plain.module.state_dict(), None, None)
    first = built("wavlm", folders["wavlm"], checkpoint=str(path)).fingerprint()
    again = built("wavlm", folders["wavlm"], checkpoint=str(path)).fingerprint()
    _checkpoints.save(path, tuned(plain), None, None)

    assert first == again
    assert len({plain.fingerprint(), first, built("wavlm", folders["wavlm"], checkpoint=str(path)).fingerprint()}) == 3


def test_a_checkpoint_of_another_preparation_is_refused(folders, tmp_path):
    plain = built("hubert", folders["hubert"])
    _checkpoints.save(tmp_path / "a.safetensors", plain.module.state_dict(), None, {"rate_hz": 16_000, "normalise": False})

    with pytest.raises(TeacherError, match=r"normalise False, this run has True.*or set teacher\.normalise"):
        built("hubert", folders["hubert"], checkpoint=str(tmp_path / "a.safetensors"))


def test_a_checkpoint_of_another_network_is_listed(folders, tmp_path):
    settings = json.loads((folders["wav2vec2"] / "config.json").read_text())
    other = tiny_encoders.save("wav2vec2", tmp_path, num_hidden_layers=settings["num_hidden_layers"] + 1)

    with pytest.raises(TeacherError, match=r"model\.safetensors: does not fit the network: 16 unexpected \(encoder\.layers\.2"):
        built("wav2vec2", folders["wav2vec2"], checkpoint=str(other))
