"""Speech models of random weights, 2 layers of 32, saved as transformers saves them."""

import json
from pathlib import Path

import torch

CONVOLUTIONS = {"conv_dim": (16, 16, 16), "conv_kernel": (10, 3, 2), "conv_stride": (5, 4, 4)}  # 30 samples for the first frame
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
POSITIONS = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
FAMILIES = ("wav2vec2", "hubert", "wavlm", "whisper")
CLASSES = {"wav2vec2": ("Wav2Vec2Config", "Wav2Vec2"), "hubert": ("HubertConfig", "Hubert"), "wavlm": ("WavLMConfig", "WavLM")}


def save(family: str, folder: Path, kind: str = "Model", normalise: bool | None = True, **options) -> Path:
    """A whole model of a family in `folder`; `kind` is the end of the class's name, as in ForCTC."""
    import transformers

    torch.manual_seed(0)
    if family == "whisper":
        sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
        tokens = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "suppress_tokens": []}
        config = transformers.WhisperConfig(**sizes, **tokens, **heads, init_std=0.1, **options)
        model = transformers.WhisperForConditionalGeneration(config)
    else:
        config_class, start = CLASSES[family]
        config = getattr(transformers, config_class)(**{**SIZES, **CONVOLUTIONS, **POSITIONS, "vocab_size": 12, **options})
        model = getattr(transformers, start + kind)(config)
    model.save_pretrained(folder)
    if normalise is not None and family != "whisper":
        told = {"sampling_rate": 16_000, "do_normalize": normalise}
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def save_onnx(path: Path, layout: str = "BTD", mask: bool = False) -> Path:
    """One convolution of 8 channels, 160 samples a frame, as ONNX: x (1, N) -> states (1, T, 8) or (1, 8, T)."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    filters = np.random.default_rng(0).standard_normal((8, 1, 160)).astype(np.float32) / 10
    consts = [numpy_helper.from_array(filters, "filters"), numpy_helper.from_array(np.array([1]), "axis")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "n"])]
    heard, nodes = "x", []
    if mask:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT64, ["b", "n"]))
        nodes += [
            helper.make_node("Cast", ["mask"], ["ones"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "ones"], ["xm"]),
        ]
        heard = "xm"
    nodes += [
        helper.make_node("Unsqueeze", [heard, "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "filters"], ["frames"], strides=[160]),
        helper.make_node("Transpose", ["frames"], ["states"], perm=[0, 2, 1] if layout == "BTD" else [0, 1, 2]),
    ]
    outputs = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", None, None])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, consts)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path
