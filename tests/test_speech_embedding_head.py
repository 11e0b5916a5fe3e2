"""Google's speech embedding in torch, against the networks' own files, and the head on it."""

import numpy as np
import pytest
import torch

from tests import tflite_parts as parts
from wakesmith import config, registry
from wakesmith.errors import ConfigError
from wakesmith.features import speech_embedding

torch.set_num_threads(1)
FRONT_END = registry.build("features", config.part("features", "speech_embedding"))


def as_a_program_streams(samples: np.ndarray) -> np.ndarray:
    """(N,) int16 -> embeddings from the tenth chunk on, (T - 9, 96): the networks' own files, fed as openWakeWord does it."""
    import onnxruntime

    mel, embedding = (
        onnxruntime.InferenceSession(speech_embedding._package_file(name), providers=["CPUExecutionProvider"])
        for name in speech_embedding.FILES
    )
    heard, rows, found = np.concatenate([np.zeros(480, np.int16), samples]).astype(np.float32), np.zeros((0, 32)), []
    for start in range(0, len(samples), 1280):
        new = mel.run(None, {"input": heard[None, start : start + 1760]})[0].reshape(-1, 32)
        rows = np.concatenate([rows, new / 10 + 2])
        if len(rows) >= 76:
            found.append(embedding.run(None, {"input_1": rows[None, -76:, :, None].astype(np.float32)})[0].reshape(96))
    return np.array(found)


def test_the_features_are_those_of_the_networks_themselves_over_a_stream():
    samples = parts.sound(3.2, seed=5)
    wanted = as_a_program_streams(samples)

    found = FRONT_END(torch.from_numpy(samples.astype(np.float32))[None] / 32_768)[0]

    assert np.ptp(wanted) > 20
    assert found[9:].numpy() == pytest.approx(wanted, abs=1e-3)


def test_a_view_that_is_no_whole_number_of_chunks_ends_with_its_last_sample():
    samples = 0.1 * torch.randn(1, 24_000)

    whole, cut = FRONT_END(samples), FRONT_END(samples[:, 960:])

    assert whole.shape == cut.shape == (1, 18, 96)
    assert torch.allclose(whole[:, 10:], cut[:, 10:], atol=1e-3)


def test_the_last_nine_embeddings_of_a_view_are_those_of_a_stream():
    samples = 0.1 * torch.randn(1, 40 * 1280)

    stream, view = FRONT_END(samples), FRONT_END(samples[:, -24_000:])

    assert torch.allclose(view[:, -9:], stream[:, -9:], atol=1e-3)
    assert not torch.allclose(view[:, -10], stream[:, -10], atol=1e-3)


def test_a_head_that_hears_more_than_a_view_holds_is_refused_with_the_most():
    with pytest.raises(ConfigError, match=r"student\.frames: 16 do not fit into a view of 18 embeddings\. At most 9\."):
        registry.build("students", config.part("students", "speech_embedding_head", frames=16), 96, 18, 4)


def test_a_head_on_other_features_is_refused():
    with pytest.raises(ConfigError, match="Set features: speech_embedding"):
        registry.build("students", config.part("students", "speech_embedding_head"), 40, 150, 4)


def test_the_default_size_is_as_told():
    student = registry.build("students", config.part("students", "speech_embedding_head"), 96, 18, 4)

    assert 55_000 < sum(weight.numel() for weight in student.parameters()) < 65_000
