"""Encoders in torch: what all four families promise, true to transformers; and any ONNX file through its declared contract."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests import tiny_encoders
from tests.tiny_encoders import FAMILIES
from wakesmith import registry
from wakesmith.audio import resample
from wakesmith.config import part
from wakesmith.errors import ConfigError, TeacherError

torch.set_num_threads(1)
WAV2VEC2 = ("wav2vec2", "hubert", "wavlm")
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {family: tiny_encoders.save(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


def built(name, folder, **options):
    return registry.build("teachers", part("teachers", name, path=str(folder), **options))


def sounds(n=3, n_samples=3_200):
    """Clips of very different loudness. -> (n, n_samples)"""
    torch.manual_seed(1)
    return torch.randn(n, n_samples) * torch.logspace(-3, -0.5, n)[:, None]


def edited(folder, target, **values):
    """A copy of a folder with other values in config.json."""
    import shutil

    shutil.copytree(folder, target)
    settings = json.loads((target / "config.json").read_text()) | values
    (target / "config.json").write_text(json.dumps(settings))
    return target


@pytest.mark.parametrize("name", FAMILIES)
def test_a_clip_padded_with_silence_is_answered_alone_as_in_a_batch(name, folders):
    encoder, clips = built(name, folders[name]), sounds()
    clips[1, 2_000:] = 0.0

    together = encoder.encode(clips)

    assert together.shape[:2] == (3, encoder.n_layers) == (3, 3)
    assert together.shape[3] == encoder.hidden_size == 32
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], encoder.encode(clips[i : i + 1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_clip_gets_the_same_answer_twice(name, folders):
    encoder, clips = built(name, folders[name]), sounds()

    assert torch.equal(encoder.encode(clips), encoder.encode(clips))
    assert not any(part.training for part in encoder.module.modules())
    assert not any(weight.requires_grad for weight in encoder.module.parameters())
    assert not encoder.encode(clips.requires_grad_()).requires_grad


@pytest.mark.parametrize("name", FAMILIES)
def test_the_shortest_clip_is_exact(name, folders):
    encoder = built(name, folders[name])

    assert encoder.encode(sounds(1, encoder.min_samples)).shape[2] == 1
    with pytest.raises(TeacherError, match=f"at least {encoder.min_samples} samples, got {encoder.min_samples - 1}"):
        encoder.encode(sounds(1, encoder.min_samples - 1))


def test_the_shortest_clip_of_the_published_models_is_400_samples():
    from wakesmith.teachers._wav2vec2 import min_samples

    assert min_samples([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]) == 400


@pytest.mark.parametrize("name", FAMILIES)
def test_what_stage_two_trains_is_what_is_encoded(name, folders):
    encoder, clips = built(name, folders[name]), sounds()

    assert torch.equal(encoder.hidden(clips).detach(), encoder.encode(clips))


def unfrozen(encoder, which):
    for layer in which:
        layer.requires_grad_(True)
    return encoder


def gradients(encoder, clips):
    encoder.module.zero_grad()
    encoder.hidden(clips).square().mean().backward()
    return {name: weight.grad.clone() for name, weight in encoder.module.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_the_unfrozen_layers_and_nothing_else(name, folders):
    encoder = built(name, folders[name])
    last = encoder.layers()[-1]

    found = gradients(unfrozen(encoder, [last]), sounds())

    inside = {id(weight) for weight in last.parameters()}
    assert len(encoder.layers()) == 2
    assert set(found) == {name for name, weight in encoder.module.named_parameters() if id(weight) in inside}
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert sum(float(gradient.abs().sum()) for gradient in found.values()) > 0


def saved_tensors(encoder, clips):
    """How many tensors the forward pass keeps for the backward pass."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(1) or tensor, lambda tensor: tensor):
        encoder.hidden(clips)
    return len(kept)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("trained", [False, True])
def test_recomputed_activations_are_fewer_and_give_the_same_gradients(name, trained, folders):
    encoder, clips = built(name, folders[name]), sounds()
    unfrozen(encoder, encoder.layers()).module.train(trained)

    def measured():
        torch.manual_seed(3)  # in train mode dropout is drawn again in the recomputation, and must be the same
        return gradients(encoder, clips), saved_tensors(encoder, clips)

    plain, n_plain = measured()
    encoder.activation_checkpointing(True)
    again, n_again = measured()
    encoder.activation_checkpointing(False)

    assert n_again < n_plain / 2
    assert measured()[1] == n_plain
    assert plain.keys() == again.keys()
    for key, gradient in plain.items():
        torch.testing.assert_close(again[key], gradient, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_tuned_weights_change_answer_and_fingerprint(name, folders):
    encoder, clips = built(name, folders[name]), sounds()
    before, answer = encoder.fingerprint(), encoder.encode(clips)
    tuned = {key: tensor + 0.01 if "layers" in key else tensor for key, tensor in encoder.module.state_dict().items()}

    encoder.take(tuned, "ab" * 32)

    tuned_once = encoder.fingerprint()
    encoder.take(tuned, "cd" * 32)
    assert len({name[:16] for name in (before, tuned_once, encoder.fingerprint())}) == 3  # stores are named after these
    assert not torch.allclose(encoder.encode(clips), answer)
    assert not any(weight.requires_grad for weight in encoder.module.parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_tuned_weights_that_do_not_fit_leave_the_encoder_as_it_was(name, folders):
    encoder, clips = built(name, folders[name]), sounds()
    before, answer = encoder.fingerprint(), encoder.encode(clips)
    weights = dict(encoder.module.state_dict())
    key, tensor = weights.popitem()

    with pytest.raises(TeacherError, match=rf"1 missing \({key}\); 1 unexpected \(surplus\)"):
        encoder.take({**{key: value * 2 for key, value in weights.items()}, "surplus": tensor}, "cd" * 32)

    assert encoder.fingerprint() == before
    assert torch.equal(encoder.encode(clips), answer)


@pytest.mark.parametrize("options", [{}, STABLE], ids=["group", "stable"])
@pytest.mark.parametrize("name", WAV2VEC2)
def test_the_layers_are_those_of_transformers(name, options, tmp_path):
    import transformers

    folder, clips = tiny_encoders.save(name, tmp_path, **options), sounds()
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    prepare = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    heard = np.stack(prepare(list(clips.numpy()), sampling_rate=16_000)["input_values"])

    with torch.no_grad():
        wanted = theirs(torch.from_numpy(heard), output_hidden_states=True)

    ours = built(name, folder).encode(clips)
    for layer, states in enumerate(wanted.hidden_states[:-1]):
        torch.testing.assert_close(ours[:, layer], states, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours[:, -1], wanted.last_hidden_state, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", WAV2VEC2)
def test_spec_augment_and_layerdrop_stay_off_in_train_mode(name, tmp_path):
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}
    hard = {"layerdrop": 0.9, "mask_time_prob": 0.5, "mask_time_length": 2, "mask_feature_prob": 0.5, "mask_feature_length": 2}
    encoder = built(name, tiny_encoders.save(name, tmp_path, **still, **hard))
    answer = encoder.encode(sounds())

    encoder.module.train()

    assert torch.equal(encoder.hidden(sounds()).detach(), answer)


def test_batch_norm_keeps_its_statistics_in_train_mode(tmp_path):
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}
    encoder = built("hubert", tiny_encoders.save("hubert", tmp_path, conv_pos_batch_norm=True, **still))
    answer, before = encoder.encode(sounds()), {key: value.clone() for key, value in encoder.module.state_dict().items()}

    encoder.module.train()

    assert torch.equal(encoder.hidden(sounds()).detach(), answer)
    assert all(torch.equal(value, before[key]) for key, value in encoder.module.state_dict().items())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_is_near_and_is_another_fingerprint(name, dtype, folders):
    full, half = built(name, folders[name]), built(name, folders[name], dtype=dtype)

    wanted, found = full.encode(sounds()), half.encode(sounds())

    assert found.dtype == torch.float32
    assert not torch.equal(found, wanted)
    assert torch.nn.functional.cosine_similarity(found, wanted, dim=-1).min() > 0.99
    assert half.fingerprint() != full.fingerprint()
    assert half.n_overflows == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_only_what_stage_two_hears_follows_the_autocast_around_it(name, folders):
    encoder, clips = built(name, folders[name]), sounds()
    encoded = encoder.encode(clips)

    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.encode(clips), encoded)
        hidden = encoder.hidden(clips)

    assert hidden.dtype == torch.float32
    assert 0 < (hidden - encoded).abs().max() < 0.5


@pytest.mark.parametrize("name", FAMILIES)
def test_a_clip_that_overflows_is_heard_in_float32_and_said_once(name, folders, capsys):
    full, half = built(name, folders[name]), built(name, folders[name], dtype="float16")
    for encoder in (full, half):
        feed = encoder.layers()[0]
        (feed.fc1 if name == "whisper" else feed.feed_forward.intermediate_dense).weight.data.mul_(3e5)
        (feed.fc2 if name == "whisper" else feed.feed_forward.output_dense).weight.data.mul_(1e-5)

    found = [half.encode(sounds()) for _ in range(2)]

    torch.testing.assert_close(found[0], full.encode(sounds()), atol=1e-5, rtol=1e-4)
    assert half.n_overflows == 6
    assert capsys.readouterr().err.count("overflowed in torch.float16") == 1


def test_one_overflow_neither_moves_the_other_clips_nor_spoils_gradients(folders):
    encoder, clips = built("wav2vec2", folders["wav2vec2"], dtype="float16", normalise="off"), sounds()
    alone = encoder.encode(clips)
    clips = torch.stack([clips[0], clips[1] * 1e8, clips[2]])  # 1e8 is more than float16 holds

    found = gradients(unfrozen(encoder, encoder.layers()), clips)

    assert encoder.n_overflows == 1
    assert all(gradient.isfinite().all() for gradient in found.values())
    answer = encoder.encode(clips)
    assert answer.isfinite().all()
    torch.testing.assert_close(answer[[0, 2]], alone[[0, 2]], atol=2e-2, rtol=2e-2)


def test_each_clip_is_normalised_by_itself_where_the_folder_says_so(folders, tmp_path):
    plain = built("wav2vec2", tiny_encoders.save("wav2vec2", tmp_path / "plain", normalise=False))
    normed, clips = built("wav2vec2", folders["wav2vec2"]), sounds() + 0.1
    by_hand = (clips - clips.mean(1, keepdim=True)) / clips.std(1, correction=0, keepdim=True)

    torch.testing.assert_close(normed.encode(clips), plain.encode(by_hand), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(normed.encode(clips), plain.encode(clips), atol=1e-3)
    assert (normed.preprocessing["normalise"], plain.preprocessing["normalise"]) == (True, False)
    assert normed.fingerprint() != plain.fingerprint()


@pytest.mark.parametrize(("value", "wanted"), [("on", True), ("off", False), (True, True), (False, False)])
def test_normalise_can_be_told_as_yaml_reads_it(value, wanted, folders):
    assert built("hubert", folders["hubert"], normalise=value).preprocessing["normalise"] is wanted


@pytest.mark.parametrize("name", WAV2VEC2)
def test_a_folder_that_does_not_say_how_to_normalise_needs_the_setting(name, tmp_path):
    tiny_encoders.save(name, tmp_path, normalise=None)

    with pytest.raises(TeacherError, match=r"normalise: auto reads.*lacks. Set it to on"):
        built(name, tmp_path)
    assert built(name, tmp_path, normalise="off").encode(sounds()).isfinite().all()


def test_a_model_of_another_rate_is_refused(tmp_path):
    tiny_encoders.save("wavlm", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"sampling_rate": 8000, "do_normalize": true}')

    with pytest.raises(TeacherError, match="8000 Hz, clips have 16000"):
        built("wavlm", tmp_path)


@pytest.mark.parametrize("kind", ["ForCTC", "ForSequenceClassification", "ForPreTraining", "ForXVector"])
def test_a_model_with_a_head_on_gives_the_same_encoder(kind, tmp_path):
    from safetensors.torch import load_file, save_file

    extra = {"use_weighted_layer_sum": True} if kind != "ForCTC" else {}
    folder = tiny_encoders.save("wav2vec2", tmp_path / "whole", kind=kind, add_adapter=False, **extra)
    weights = load_file(folder / "model.safetensors")
    bare = tiny_encoders.save("wav2vec2", tmp_path / "bare")
    inner = {key.removeprefix("wav2vec2."): value for key, value in weights.items() if key.startswith("wav2vec2.")}
    save_file(inner, bare / "model.safetensors")

    assert len(inner) < len(weights)
    assert torch.equal(built("wav2vec2", folder).encode(sounds()), built("wav2vec2", bare).encode(sounds()))


def test_what_is_no_known_head_is_told(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_encoders.save("hubert", tmp_path, kind="ForCTC")
    save_file({**load_file(folder / "model.safetensors"), "decoder.weight": torch.zeros(2)}, folder / "model.safetensors")

    with pytest.raises(TeacherError, match=r"1 unexpected \(decoder\.weight\)"):
        built("hubert", folder)


def test_an_adapter_after_the_last_layer_is_left_out(tmp_path):
    folder = tiny_encoders.save("wav2vec2", tmp_path, add_adapter=True, num_adapter_layers=1, output_hidden_size=32)

    assert built("wav2vec2", folder).n_layers == 3


@pytest.mark.parametrize("name", WAV2VEC2)
def test_old_names_of_normed_weights_and_a_torch_file_give_the_same_answer(name, folders, tmp_path):
    from safetensors.torch import load_file

    weights = load_file(folders[name] / "model.safetensors")
    old = {key.replace("parametrizations.weight.original0", "weight_g"): value for key, value in weights.items()}
    old = {key.replace("parametrizations.weight.original1", "weight_v"): value for key, value in old.items()}
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).write_bytes((folders[name] / file).read_bytes())
    torch.save(old, tmp_path / "pytorch_model.bin")

    assert any("weight_g" in key for key in old)
    assert torch.equal(built(name, tmp_path).encode(sounds()), built(name, folders[name]).encode(sounds()))


def test_settings_of_another_family_are_refused(folders):
    with pytest.raises(TeacherError, match="a hubert model, expected wavlm"):
        built("wavlm", folders["hubert"])


@pytest.mark.parametrize("values", [{"hidden_size": "wide"}, {"num_attention_heads": 3}, {"conv_kernel": [10]}])
def test_settings_that_make_no_network_are_one_clear_error(values, folders, tmp_path):
    with pytest.raises(TeacherError, match=r"config\.json: n"):
        built("wavlm", edited(folders["wavlm"], tmp_path / "bad", **values))


def test_settings_that_are_no_json_are_named(folders, tmp_path):
    folder = edited(folders["hubert"], tmp_path / "bad")
    (folder / "config.json").write_text("{")

    with pytest.raises(TeacherError, match=r"config\.json: not readable as JSON"):
        built("hubert", folder)


def test_a_gpu_that_is_not_there_is_told(folders):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(TeacherError, match="torch sees no GPU"):
        built("hubert", folders["hubert"], device="cuda")


@pytest.mark.parametrize(
    ("name", "hub_id", "wanted"),
    [
        ("wav2vec2", "facebook/wav2vec2-base", "Apache-2.0"),
        ("wav2vec2", "facebook/wav2vec2-base-10k-voxpopuli", "as the source says"),
        ("hubert", "facebook/hubert-large-ll60k", "Apache-2.0"),
        ("wavlm", "microsoft/wavlm-base-plus", "as the source says"),
        ("whisper", "openai/whisper-base.en", "MIT"),
        ("whisper", "somebody/whisper-base", "as the source says"),
    ],
)
def test_a_licence_is_told_where_it_is_known(name, hub_id, wanted):
    from wakesmith.teachers._torch import licence_of

    assert licence_of(part("teachers", name, hub_id=hub_id), registry.load("teachers", name).LICENCES) == wanted


def test_the_licence_of_a_folder_is_not_guessed(folders):
    assert built("hubert", folders["hubert"]).licence == "as the source says"
    assert built("hubert", folders["hubert"], licence="CC0-1.0").licence == "CC0-1.0"


OFFLINE = """
import torch
from wakesmith import registry
from wakesmith.config import part
from wakesmith.errors import TeacherError
def heard(name, **options):
    encoder = registry.build("teachers", part("teachers", name, **options))
    return encoder.source, encoder.encode(torch.ones(1, 3200)).shape[1]
for name in {names}:
    print(heard(name, path={root!r} + "/" + name)[1])
    try:
        heard(name, hub_id="nobody/no-such-model")
    except TeacherError as error:
        print(error)
print(*heard("wavlm", hub_id="some/model"))
"""


@pytest.mark.slow
def test_offline_folders_and_cached_models_work_and_an_unknown_hub_id_is_one_clear_error(tmp_path):
    from safetensors.torch import load_file

    for name in FAMILIES:
        tiny_encoders.save(name, tmp_path / name)
    commit, cached = "0" * 40, tmp_path / "home" / "hub" / "models--some--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    snapshot = edited(tmp_path / "wavlm", cached / "snapshots" / commit)
    torch.save(load_file(snapshot / "model.safetensors"), snapshot / "pytorch_model.bin")
    (snapshot / "model.safetensors").unlink()  # as many models on the hub are
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}

    code = OFFLINE.format(names=FAMILIES, root=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)

    *lines, last = done.stdout.splitlines()
    assert lines[::2] == ["3"] * 4
    assert all("nobody/no-such-model cannot be fetched" in line and "teacher.path" in line for line in lines[1::2])
    assert last.split() == ["some/model", "3"]


# Any ONNX file


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    return tiny_encoders.save_onnx(tmp_path_factory.mktemp("onnx") / "tiny.onnx")


def test_an_onnx_file_is_heard_and_its_size_is_found(onnx_file):
    encoder = built("onnx_encoder", onnx_file, min_samples=160, licence="MIT")

    assert (encoder.n_layers, encoder.hidden_size, encoder.licence) == (1, 8, "MIT")
    assert encoder.encode(sounds()).shape == (3, 1, 20, 8)


def test_layout_turns_the_hidden_axis(onnx_file, tmp_path):
    other = tiny_encoders.save_onnx(tmp_path / "tiny.onnx", layout="BDT")

    wanted = built("onnx_encoder", onnx_file).encode(sounds(2, 9_600))

    assert torch.equal(built("onnx_encoder", other, layout="BDT").encode(sounds(2, 9_600)), wanted)


def test_a_mask_of_ones_is_given_where_it_is_named(onnx_file, tmp_path):
    masked = tiny_encoders.save_onnx(tmp_path / "tiny.onnx", mask=True)

    found = built("onnx_encoder", masked, mask_input="mask").encode(sounds(2, 9_600))

    assert torch.equal(found, built("onnx_encoder", onnx_file).encode(sounds(2, 9_600)))


def test_scale_normalise_and_rate_change_what_the_network_hears(onnx_file):
    clip = sounds(1, 9_600)
    plain = built("onnx_encoder", onnx_file)

    scaled = built("onnx_encoder", onnx_file, scale=100.0).encode(clip)
    normed = built("onnx_encoder", onnx_file, normalise=True).encode(clip)
    slower = built("onnx_encoder", onnx_file, rate_hz=8_000).encode(clip)

    torch.testing.assert_close(scaled, plain.encode(clip) * 100)
    by_hand = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
    torch.testing.assert_close(normed, plain.encode(by_hand), atol=1e-5, rtol=1e-4)
    halved = torch.from_numpy(np.tile(resample(clip[0].numpy(), 16_000, 8_000), 2))[None]
    torch.testing.assert_close(slower, plain.encode(halved)[:, :, : slower.shape[2]])


@pytest.mark.parametrize("options", [{"scale": 2.0}, {"normalise": True}, {"rate_hz": 8_000}])
def test_what_changes_an_onnx_answer_changes_the_fingerprint(options, onnx_file):
    assert built("onnx_encoder", onnx_file, **options).fingerprint() != built("onnx_encoder", onnx_file).fingerprint()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"input": "audio"}, r"input.*not there.*inputs x tensor\(float\).*mask tensor\(int64\).*outputs states"),
        ({}, "expected one input for the samples"),
        ({"mask_input": "x"}, "mask: expected float32 of 2 axes"),
        ({"mask_input": "mask", "output": "logits"}, "output must name one"),
    ],
)
def test_an_onnx_file_that_breaks_the_contract_lists_what_it_has(options, told, tmp_path):
    path = tiny_encoders.save_onnx(tmp_path / "tiny.onnx", mask=True)

    with pytest.raises(TeacherError, match=told):
        built("onnx_encoder", path, **options)


def test_one_of_several_outputs_is_named(onnx_file, tmp_path):
    import onnx

    model = onnx.load(onnx_file)
    model.graph.output.append(onnx.helper.make_tensor_value_info("frames", onnx.TensorProto.FLOAT, ["b", 8, None]))
    onnx.save(model, tmp_path / "two.onnx")

    with pytest.raises(TeacherError, match=r"output must name one.*outputs states .*frames "):
        built("onnx_encoder", tmp_path / "two.onnx")
    found = built("onnx_encoder", tmp_path / "two.onnx", output="frames", layout="BDT").encode(sounds(2, 9_600))
    assert torch.equal(found, built("onnx_encoder", onnx_file).encode(sounds(2, 9_600)))


def test_weights_beside_the_onnx_file_count_in_the_fingerprint(onnx_file, tmp_path):
    import onnx

    path, beside = tmp_path / "big.onnx", tmp_path / "big.onnx.data"
    onnx.save(onnx.load(onnx_file), path, save_as_external_data=True, location=beside.name, size_threshold=1000)
    before, answer = built("onnx_encoder", path).fingerprint(), built("onnx_encoder", path).encode(sounds(1, 9_600))
    beside.write_bytes((np.fromfile(beside, np.float32) * 2).tobytes())
    after = built("onnx_encoder", path)

    assert not torch.equal(after.encode(sounds(1, 9_600)), answer)
    assert after.fingerprint() != before


def test_an_onnx_file_that_fails_on_the_shortest_clip_is_told(onnx_file):
    with pytest.raises(TeacherError, match=r"tiny\.onnx: .*159.*min_samples"):
        built("onnx_encoder", onnx_file, min_samples=159)


def test_an_onnx_encoder_needs_a_path():
    with pytest.raises(ConfigError, match=r"path: Field required"):
        part("teachers", "onnx_encoder")


def test_moonshines_file_is_heard_as_by_its_own_teacher():
    try:
        moonshine = registry.build("teachers", part("teachers", "moonshine"))
    except TeacherError as error:
        pytest.skip(str(error))
    path = moonshine._path
    encoder = built("onnx_encoder", path, mask_input="attention_mask", min_samples=moonshine.min_samples)

    assert encoder.hidden_size == 288
    assert torch.equal(encoder.encode(sounds(2, 16_000)), moonshine.encode(sounds(2, 16_000)))
