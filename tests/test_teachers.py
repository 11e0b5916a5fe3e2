"""Teachers' encoders: the true Whisper mel and forward, clips independent of their batch, and what goes wrong told clearly."""

import numpy as np
import pytest
import torch

from tests import tiny_encoders
from wakesmith import registry
from wakesmith.config import part
from wakesmith.errors import ConfigError, TeacherError, WakesmithError
from wakesmith.teachers._card import HeadSettings
from wakesmith.teachers._head import Head, pool_time

torch.set_num_threads(1)


OWN_FILES = ("onnx_encoder", *tiny_encoders.FAMILIES)  # their weights are the user's, so a test makes them
ENCODERS = [name for name in registry.names("teachers") if "path" in registry.load("teachers", name).Config.model_fields]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Tiny files of random weights for the encoders that no package carries."""
    folder = tmp_path_factory.mktemp("teachers")
    made = {name: tiny_encoders.save(name, folder / name) for name in tiny_encoders.FAMILIES}
    return made | {"onnx_encoder": tiny_encoders.save_onnx(folder / "tiny.onnx")}


@pytest.fixture(scope="module")
def tiny_whisper(paths):
    """A folder with a whole Whisper of random weights: 2 layers of 32."""
    return paths["whisper"]


def sounds(n=4, n_samples=24_000):
    """Clips of very different loudness. -> (n, n_samples)"""
    torch.manual_seed(1)
    return torch.randn(n, n_samples) * torch.logspace(-3, -0.5, n)[:, None]


def built(name, paths):
    """An encoder; one whose package is not installed skips the test."""
    try:
        return registry.build("teachers", part("teachers", name, **({"path": str(paths[name])} if name in paths else {})))
    except TeacherError as error:
        if name in OWN_FILES:
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_clip_is_answered_alone_as_in_a_batch(name, paths):
    encoder, clips = built(name, paths), sounds()

    together = encoder.encode(clips)

    alone = torch.cat([encoder.encode(clip[None]) for clip in clips])
    assert together.shape[:2] == (4, encoder.n_layers)
    assert together.shape[3] == encoder.hidden_size
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_says_what_it_is_and_refuses_too_short_clips(name, paths):
    encoder = built(name, paths)

    assert encoder.fingerprint() == built(name, paths).fingerprint()
    assert encoder.licence
    assert encoder.encode(sounds(1, encoder.min_samples)).shape[2] >= 1
    with pytest.raises(TeacherError, match="at least"):
        encoder.encode(sounds(1, encoder.min_samples - 1))


def test_the_mel_is_whispers_own():
    from transformers import WhisperFeatureExtractor

    from wakesmith.teachers._whisper import log_mel

    padded = torch.zeros(2, 480_000)
    padded[:, :24_000] = sounds(2)

    wanted = WhisperFeatureExtractor()(list(padded.numpy()), sampling_rate=16_000, return_tensors="np")["input_features"]

    np.testing.assert_allclose(log_mel(padded, 80).numpy(), wanted, atol=1e-4)


def test_thirty_seconds_are_encoded_as_transformers_does(paths):
    from transformers import WhisperForConditionalGeneration

    from wakesmith.teachers._whisper import log_mel

    padded = torch.zeros(1, 480_000)
    padded[:, :24_000] = sounds(1)
    theirs = WhisperForConditionalGeneration.from_pretrained(paths["whisper"]).eval().model.encoder

    with torch.no_grad():
        wanted = theirs(log_mel(padded, 80), output_hidden_states=True)

    ours = built("whisper", paths).encode(padded)
    for layer, states in enumerate(wanted.hidden_states[:-1]):
        torch.testing.assert_close(ours[:, layer], states, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours[:, -1], wanted.last_hidden_state, atol=1e-5, rtol=1e-4)


def test_a_short_clip_costs_its_own_frames_only(paths):
    assert built("whisper", paths).encode(sounds(1)).shape == (1, 3, 75, 32)


def test_the_encoder_stays_frozen(paths):
    whisper = built("whisper", paths)

    assert not whisper.module.training
    assert not whisper.encode(sounds(1).requires_grad_()).requires_grad


def test_weights_of_another_shape_are_listed(tiny_whisper, tmp_path):
    import json
    import shutil

    shutil.copytree(tiny_whisper, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config.update(d_model=48, encoder_layers=3)
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))

    with pytest.raises(TeacherError, match=r"missing \(layers\.2.*of another shape \(conv1"):
        registry.build("teachers", part("teachers", "whisper", path=str(tmp_path / "other")))


def test_a_weights_file_that_is_cut_short_is_named(tiny_whisper, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_whisper / name).read_bytes()[:1000])
    (tmp_path / "config.json").write_bytes((tiny_whisper / "config.json").read_bytes())

    with pytest.raises(TeacherError, match=r"model\.safetensors: not readable"):
        registry.build("teachers", part("teachers", "whisper", path=str(tmp_path)))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_path_that_is_not_there_is_named(name, tmp_path):
    with pytest.raises(WakesmithError, match="no such"):
        registry.build("teachers", part("teachers", name, path=str(tmp_path / "nowhere")))


def test_an_unknown_teacher_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"Did you mean 'whisper'.*moonshine"):
        part("teachers", "wisper")


def test_a_missing_package_is_told_with_the_command_that_installs_it():
    from wakesmith.teachers._base import package_file

    with pytest.raises(TeacherError, match=r"pip install --no-deps no-such-thing==1\.0"):
        package_file("no_such_thing", "1.0", "no-such-thing", "file.onnx")


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_the_head_gives_four_logits_and_an_embedding(pooling):
    head = Head(HeadSettings(pooling=pooling), n_layers=3, n_segments=16, hidden_size=8, n_classes=4)

    logits, embedding = head(pool_time(torch.randn(5, 3, 75, 8)))

    assert (logits.shape, embedding.shape) == ((5, 4), (5, 96))


def with_content(states: torch.Tensor, size: int) -> Head:
    _, layers, segments, hidden = states.shape
    head = Head(HeadSettings(content=size), layers, segments, hidden, n_classes=4)
    assert head.content is not None
    head.content.fit(states)
    return head.eval()


def test_content_tells_sounds_apart_that_the_classes_do_not():
    torch.manual_seed(1)
    states = torch.randn(200, 4, 16, 8) * torch.linspace(3, 0.3, 8)
    head = with_content(states, 4)

    answers = head(states)[1]

    assert answers.shape == (200, head.answer_size) == (200, 64)
    kept = answers.reshape(-1, 4).std(dim=0)
    upper = head.content.upper(states)
    whole = torch.linalg.svdvals((upper - upper.mean(dim=0)).flatten(0, 1))[:4] / (200 * 16) ** 0.5
    torch.testing.assert_close(kept, whole.sqrt(), rtol=0.02, atol=0)


def test_content_hears_the_upper_half_of_the_layers_alone():
    states = torch.randn(50, 4, 16, 8)
    head = with_content(states, 4)
    lower, higher = states.clone(), states.clone()
    lower[:, :2] += torch.randn(50, 2, 16, 8)
    higher[:, 2:] += torch.randn(50, 2, 16, 8)

    assert torch.equal(head(lower)[1], head(states)[1])
    assert not torch.allclose(head(higher)[1], head(states)[1], atol=0.1)


def test_content_changes_no_logit():
    torch.manual_seed(1)
    states = torch.randn(20, 3, 16, 8)
    plain = Head(HeadSettings(), 3, 16, 8, 4).eval()
    head = with_content(states, 4)
    head.load_state_dict(plain.state_dict(), strict=False)

    torch.testing.assert_close(head(states)[0], plain(states)[0])


def test_more_numbers_than_the_encoder_has_are_refused():
    with pytest.raises(ConfigError, match=r"teach\.head\.content: 9 numbers of 8; take at most 8"):
        Head(HeadSettings(content=9), 3, 16, 8, 4)
    with pytest.raises(TeacherError, match="8 numbers from 4 segments"):
        with_content(torch.randn(1, 3, 4, 8), 8)


def test_content_beside_stage_two_is_refused():
    from wakesmith.config import parse
    from wakesmith.steps import teach

    with pytest.raises(ConfigError, match="before stage two"):
        parse(teach.Settings, {"head": {"content": 8}, "tune": {"steps": 5}})


def test_pooling_over_time_keeps_the_mean_of_equal_segments():
    states = torch.randn(2, 1, 64, 8)

    torch.testing.assert_close(pool_time(states)[:, :, 3], states[:, :, 12:16].mean(dim=2))
