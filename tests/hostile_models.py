"""Malformed weights, models and cards; see `hostile`."""
# ruff: noqa: E501 (tables: an input a line)

import functools
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.hostile import MARKER, Hostile, flipped, plain, sparse
from wakesmith import bundle
from wakesmith.card import Card, OperatingPoint, Phrase

WEIGHTS = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}
"""What `Linear(3, 2)` under the name of a wants."""


def all_of_them() -> Iterator[Hostile]:
    yield from torch_files()
    yield from safetensors_files()
    yield from teacher_folders()
    yield from cards()
    yield from onnx_files()
    yield from tflite_files()


# Weights


class Payload:
    """Would write the marker beside its file when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.made = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def payloads(folder: Path) -> dict[str, Any]:
    ran = str(folder / MARKER)
    return {
        "open": Payload(open, ran, "w"), "system": Payload(os.system, f"touch {ran}"), "exec": Payload(exec, f"open({ran!r}, 'w')"),
        "eval": Payload(eval, f"open({ran!r}, 'w')"), "mknod": Payload(os.mknod, ran), "torch.save": Payload(torch.save, 1, ran),
        "numpy": Payload(np.save, ran + ".npy", 1),
    }  # fmt: skip


def saved(content: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def torch_files() -> Iterator[Hostile]:
    def made(name: str, content: Callable[[Path], bytes], ending: str = "pt", may: str = "error") -> Hostile:
        def make(folder: Path) -> Path:
            (folder / f"weights.{ending}").write_bytes(content(folder))
            return folder / f"weights.{ending}"

        return Hostile(name, "weights", make, may)

    for name in payloads(Path()):
        yield made(f"a call of {name}", lambda folder, n=name: saved(payloads(folder)[n]))
        yield made(
            f"a call of {name} beside weights",
            lambda folder, n=name: saved({"state_dict": WEIGHTS, "x": payloads(folder)[n]}),
            "bin",
        )
        yield made(f"a bare pickle that calls {name}", lambda folder, n=name: pickle.dumps(payloads(folder)[n], 2), "bin")
        yield made(
            f"safetensors that is a pickle of {name}", lambda folder, n=name: pickle.dumps(payloads(folder)[n]), "safetensors"
        )
        yield made(
            f"the old format with a call of {name}",
            lambda folder, n=name: saved(payloads(folder)[n], _use_new_zipfile_serialization=False),
        )
    whole, old = saved(WEIGHTS), saved(WEIGHTS, _use_new_zipfile_serialization=False)
    for label, data in (("zip", whole), ("old", old)):
        for n in (0, 1, 4, 30, len(data) // 4, len(data) // 2, len(data) - 30, len(data) - 1):
            yield plain("weights", f"{label} cut at {n}", data[:n], "weights.pt")
        for seed in range(10):
            yield plain("weights", f"{label} with bits turned {seed}", flipped(data, seed, 6), "weights.pt", "use")
    bomb: Any = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    looped: list[Any] = []
    looped.append(looped)
    nested: Any = []
    for _ in range(90):
        nested = [nested]
    views = {
        "of 2^50 numbers in one": torch.zeros(1).expand(2**25, 2**25), "of another place": torch.ones(2, 3, device="meta"),
        "with gaps": torch.sparse_coo_tensor([[0], [0]], [1.0], (2, 3)), "of complex numbers": torch.ones(2, 3, dtype=torch.complex64),
        "of int64": torch.ones(2, 3, dtype=torch.int64), "of truth": torch.ones(2, 3, dtype=torch.bool), "of NaN": torch.full((2, 3), torch.nan),
        "of infinity": torch.full((2, 3), torch.inf), "of another shape": torch.ones(3, 2), "of no axes": torch.tensor(1.0), "of nothing": torch.zeros(0),
        "of quanta": torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8), "of 1000 axes": torch.ones([1] * 60),
    }  # fmt: skip
    for name, tensor in views.items():
        yield made(f"a tensor {name}", lambda _, t=tensor: saved({**WEIGHTS, "a.weight": t}))
        yield made(f"a tensor {name} too many", lambda _, t=tensor: saved({**WEIGHTS, "b": t}))
    contents: dict[str, Any] = {
        "a list": [1], "a number": 3, "nothing": None, "no names": {}, "numbers as names": {1: torch.ones(1)}, "no tensors": {"a": "b"},
        "labels that explode": {"state_dict": WEIGHTS, "labels": bomb}, "preprocessing that explodes": {"state_dict": WEIGHTS, "preprocessing": bomb},
        "labels that hold themselves": {"state_dict": WEIGHTS, "labels": looped}, "nested labels": {"state_dict": WEIGHTS, "labels": nested},
        "weights that are a list": {"state_dict": [1]}, "a name of 1 MB": {"n" * 1_000_000: torch.ones(1)}, "100000 names": {f"n{i}": 1 for i in range(50_000)},
        "an escape as a name": {"\x1b[2J": torch.ones(1)}, "wrappers for ever": {"module." * 10_000 + "a": torch.ones(1)}, "the count alone": {"n_averaged": torch.ones(1)},
    }  # fmt: skip
    for name, content in contents.items():
        yield made(f"torch with {name}", lambda _, c=content: saved(c))
    yield made("a zip bomb", lambda _: _zip_bomb())
    yield made("a zip of zips", lambda _: _zipped({f"{i}.zip": _zipped({"x": bytes(1_000)}) for i in range(100)}))
    yield made("a zip with paths outside", lambda _: _zipped({"../../ran": b"x", "/ran": b"x"}))
    yield made(
        "a zip with a payload's name",
        lambda folder: _zipped({"archive/data.pkl": pickle.dumps(payloads(folder)["open"], 2), "archive/version": b"3"}),
    )
    yield made("a zip that declares little", lambda _: _lying_zip())
    yield made(
        "TorchScript",
        lambda _: _zipped(
            {"archive/code/x.py": b"open('ran', 'w')", "archive/constants.pkl": b"\x80\x02).", "archive/data.pkl": b"\x80\x02}."}
        ),
    )
    yield sparse("weights", "5 GB of zeros", b"", 5 * 2**30, "weights.pt")
    yield sparse("weights", "64 GB after a zip's head", b"PK\x03\x04", 2**36, "weights.pt")
    yield plain("weights", "text", b"no weights", "weights.bin")
    yield plain("weights", "a pickle without an end", pickle.dumps({"a": [1] * 1_000}, 2)[:-1], "weights.bin")
    yield plain("weights", "a pickle that names a huge string", b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.", "weights.bin")
    yield plain("weights", "a pickle of nested marks", b"\x80\x02" + b"(" * 100_000 + b".", "weights.bin")
    yield Hostile("a pipe of weights", "weights", lambda folder: os.mkfifo(folder / "weights.pt") or folder / "weights.pt")  # type: ignore[func-returns-value]
    yield Hostile("weights whose name no disk takes", "weights", lambda folder: folder / ("n" * 5_000 + ".pt"))


def _zipped(parts: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return file.getvalue()


@functools.cache
def _zip_bomb() -> bytes:
    """Declares 5 GB in some hundreds of bytes: the sizes alone say so."""
    data = bytearray(_zipped({"archive/data.pkl": bytes(100_000), "archive/version": b"3"}))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    at = data.find(b"PK\x01\x02", at + 4)
    data[at + 24 : at + 28] = struct.pack("<I", 2**31)
    return bytes(data)


def _lying_zip() -> bytes:
    """20 MB deflated that are said to be 100 bytes."""
    data = bytearray(_zipped({"archive/data.pkl": bytes(20_000_000), "archive/version": b"3"}))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    data[22:26] = struct.pack("<I", 100)
    return bytes(data)


def safetensors_files() -> Iterator[Hostile]:
    from safetensors.torch import save

    def one(name: str, head: dict[str, Any] | bytes, data: bytes = b"", may: str = "error", n_head: int | None = None) -> Hostile:
        text = head if isinstance(head, bytes) else json.dumps(head).encode()
        length = struct.pack("<Q", len(text) if n_head is None else n_head)
        return plain("weights", f"safetensors with {name}", length + text + data, "weights.safetensors", may)

    whole = save(WEIGHTS)
    for n in (0, 1, 7, 8, 9, 60, len(whole) // 2, len(whole) - 4, len(whole) - 1):
        yield plain("weights", f"safetensors cut at {n}", whole[:n], "weights.safetensors")
    for seed in range(20):
        yield plain("weights", f"safetensors with bits turned {seed}", flipped(whole, seed, 4), "weights.safetensors", "use")
    for n_head in (0, 1, 2**20, 2**31, 2**40, 2**63, 2**64 - 1):
        yield one(f"a head of {n_head}", {}, n_head=n_head)

    def tensor(dtype: str = "F32", shape: list[Any] | None = None, ends: list[Any] | None = None) -> dict[str, Any]:
        return {"a.weight": {"dtype": dtype, "shape": [2, 3] if shape is None else shape, "data_offsets": ends or [0, 24]}}

    data = bytes(24)
    for dtype in ("F4", "float32", "", "I128", "F64", "F8_E4M3", "C64", "BOOL"):
        yield one(f"the type {dtype!r}", tensor(dtype), data)
    for shape in ([2**40], [2**32, 2**32], [-1, -24], [0], [2.5], ["2"], [2, 3, 1] * 100, [2**63, 2]):
        yield one(f"the shape {shape}"[:60], tensor(shape=shape), data)
    for ends in ([24, 0], [0, 2**60], [2**60, 2**61], [-24, 0], [0, 23], [1, 25], [0]):
        yield one(f"the place {ends}", tensor(ends=ends), data)
    both = {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} for name in ("a", "b")}
    yield one("two in one place", both, data)
    yield one("a gap", {**tensor(ends=[8, 32])}, bytes(32))
    yield one("more than is told", tensor(), bytes(1_000))
    yield one("nested JSON", b'{"a": ' + b"[" * 50_000)
    yield one("no JSON", b"hello, this is no header")
    yield one("a list", b"[1, 2]")
    yield one("another encoding", '{"a": 1}'.encode("utf-16"))
    yield one(
        "100000 tensors of nothing", {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_000)}
    )
    for key in ("labels", "preprocessing"):
        for name, value in {
            "nested": "[" * 50_000,
            "no JSON": "{",
            "a number": "3",
            "5000 digits": "9" * 5_000,
            "nested a little": "[" * 900 + "]" * 900,
        }.items():
            yield one(f"{key} that are {name}", {"__metadata__": {key: value}, **tensor()}, data)
    yield one("metadata of numbers", {"__metadata__": {"labels": 3}, **tensor()}, data)
    yield one("another version", {"__metadata__": {"format": "wakesmith-teacher-99"}, **tensor()}, data)
    head = struct.pack("<Q", 2**36) + b"{}"
    yield sparse("weights", "safetensors with a head of 64 GB that is there", head, 2**36 + 8, "weights.safetensors")


def teacher_folders() -> Iterator[Hostile]:
    """transformers folders: config.json, preprocessor_config.json, weights."""
    base = {
        "model_type": "wav2vec2",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
    }
    texts: dict[str, bytes] = {
        "nothing": b"", "no JSON": b"{", "nested": b'{"a": ' + b"[" * 50_000, "a list": b"[1]", "another family": b'{"model_type": "gpt2"}', "utf-16": '{"a": 1}'.encode("utf-16"),
        "5000 digits": b'{"hidden_size": ' + b"9" * 5_000 + b"}", "text for a number": json.dumps({**base, "hidden_size": "32"}).encode(),
        "a size of nothing": json.dumps({**base, "hidden_size": 0}).encode(), "a size below nothing": json.dumps({**base, "hidden_size": -32}).encode(), "NaN": json.dumps({**base, "hidden_size": float("nan")}).encode(),
        "heads that do not divide": json.dumps({**base, "num_attention_heads": 7}).encode(), "lists of unlike lengths": json.dumps({**base, "conv_dim": [512], "conv_kernel": [1, 2]}).encode(),
        "an unknown activation": json.dumps({**base, "hidden_act": "system"}).encode(), "code of its own": json.dumps({**base, "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}}).encode(),
        "a huge size": json.dumps({**base, "hidden_size": 2**40, "num_attention_heads": 1}).encode(), "a huge vector": json.dumps({**base, "intermediate_size": 2**40}).encode(),
        "a million layers": json.dumps({**base, "num_hidden_layers": 10**7}).encode(),
    }  # fmt: skip
    for name, text in texts.items():

        def make(folder: Path, text: bytes = text) -> Path:
            (folder / "config.json").write_bytes(text)
            (folder / "evil.py").write_text(f"open({str(folder / MARKER)!r}, 'w')")
            torch.save(WEIGHTS, folder / "pytorch_model.bin")
            return folder

        yield Hostile(f"config.json with {name}", "teacher", make)
    for name, text in {
        "nested": b"[" * 50_000,
        "a list": b"[1]",
        "words": b'{"sampling_rate": "fast", "do_normalize": [1]}',
        "no JSON": b"{",
    }.items():

        def prepared(folder: Path, text: bytes = text) -> Path:
            (folder / "config.json").write_text(json.dumps(base))
            (folder / "preprocessor_config.json").write_bytes(text)
            torch.save(WEIGHTS, folder / "pytorch_model.bin")
            return folder

        yield Hostile(f"preprocessor_config.json with {name}", "teacher", prepared)
    yield Hostile("an empty teacher folder", "teacher", lambda folder: folder)


# Bundles


@functools.cache
def tone_model() -> tuple[bytes, dict[str, Any]]:
    """A whole model of a small bundle, and its card."""
    import tempfile

    from tests import tone_bundle

    with tempfile.TemporaryDirectory() as place:
        folder = tone_bundle.make(Path(place), {"hey nova": 1_000})
        return (folder / "model.onnx").read_bytes(), json.loads((folder / bundle.CARD).read_text())


def bundled(
    name: str, model: bytes, card: dict[str, Any] | None = None, may: str = "error", kind: str = "model", **says: Any
) -> Hostile:
    """A bundle with a card that fits its model file."""

    def make(folder: Path) -> Path:
        values = {**(card or tone_model()[1]), **says}
        file = folder / str(values["model"])
        file.write_bytes(model)
        (folder / bundle.CARD).write_text(json.dumps({**values, "sha256": bundle.file_sha256(file)}))
        return folder

    return Hostile(name, kind, make, may)


def cards() -> Iterator[Hostile]:
    model, whole = tone_model()

    def one(name: str, text: bytes, may: str = "error") -> Hostile:
        def make(folder: Path) -> Path:
            (folder / "model.onnx").write_bytes(model)
            (folder / bundle.CARD).write_bytes(text)
            return folder

        return Hostile(f"card with {name}", "card", make, may)

    def says(name: str, may: str = "error", **changes: Any) -> Hostile:
        return one(name, json.dumps({**whole, **changes}).encode(), may)

    text = json.dumps(whole).encode()
    for n in (0, 1, 10, len(text) // 2, len(text) - 1):
        yield one(f"an end at {n}", text[:n])
    for seed in range(10):
        yield one(f"bits turned {seed}", flipped(text, seed, 8), "use")
    for name, data in {
        "nested": b"[" * 100_000, "nested keys": b'{"a":' * 50_000, "5000 digits": b'{"format_version": ' + b"9" * 5_000 + b"}", "a list": b"[1]", "a word": b'"card"', "nothing": b"null", "utf-16": text.decode().encode("utf-16"),
        "a mark at its start": b"\xef\xbb\xbf" + text, "zeros": bytes(1_000), "two objects": text + text, "a comment": b"// card\n" + text,
        "a threshold twice": text[:-1] + b', "seed": 1, "seed": 2}',
    }.items():  # fmt: skip
        yield one(name, data, "use" if name == "a threshold twice" else "error")
    for key in whole:
        for value in (None, -1, "x", [], {}, 1e308):
            if not (
                value == whole[key]
                or (
                    value in (None, {}, [], -1)
                    and key in ("teacher", "data", "data_licences", "versions", "seed", "features", "student")
                )
            ):
                yield says(
                    f"{key} {value!r}",
                    "use" if key in ("language", "sha256", "code") and value == "x" else "error",
                    **{key: value},
                )
    for threshold in (float("nan"), float("inf"), -1, 0, 1.1, 1e308, "0.5", True, None):
        point = {**whole["phrases"][0]["operating_point"], "threshold": threshold}
        yield says(f"a threshold of {threshold!r}", phrases=[{"text": "hey nova", "operating_point": point}])
    for key, value in {"smoothing_window": 10**9, "refractory_s": 1e9, "target_fa_per_hour": -1, "chosen_on": 3}.items():
        yield says(
            f"{key} {value}",
            phrases=[{"text": "hey nova", "operating_point": {**whole["phrases"][0]["operating_point"], key: value}}],
        )
    for file in (
        "../model.onnx",
        "/dev/zero",
        "/etc/passwd",
        "..",
        ".",
        "a/b.onnx",
        "model.onnx\x00",
        "-rf",
        "model\n.onnx",
        "nowhere.onnx",
        "card.json",
        "model.pt",
        "m" * 101,
        "модель.onnx",
    ):
        yield says(f"the model {file[:20]!r}", model=file)
    for key, value in {
        "step_samples": 160_001,
        "scores_per_step": 7,
        "state_size": 10**7,
        "receptive_samples": 4_800_000,
        "rate_hz": 47_999,
        "format_version": 3,
        "parameters": 2**70,
    }.items():
        yield says(f"{key} {value}", "use" if key in ("receptive_samples", "rate_hz", "parameters") else "error", **{key: value})
    yield says("a step of a sample, and minutes before it", step_samples=1, receptive_samples=4_800_000)
    yield says("a phrase of 1 MB", phrases=[{"text": "a" * 900_000}])
    yield says("10000 phrases", phrases=[{"text": f"{i}"} for i in range(10_000)])
    yield says("the same phrase twice", phrases=[{"text": "a"}, {"text": "a"}])
    yield says("an escape in its phrase", "use", phrases=[{**whole["phrases"][0], "text": "\x1b[2J"}])
    yield says("half a surrogate in its phrase", phrases=[{**whole["phrases"][0], "text": "\ud800"}])
    yield says("an unknown front-end", front_end="outside", features={"name": "../../x"})
    yield says("a front-end that is a list", front_end="outside", features={"name": ["micro"]})
    yield says("a front-end without a name", front_end="outside", features={})
    yield says("an unknown key", evil=True)
    yield says("nested features", "use", features=_nested(400))
    yield sparse("card", "card of 64 GB", text, 2**36, bundle.CARD)
    for name, thing in {"a pipe": os.mkfifo, "a folder": Path.mkdir, "a link to itself": lambda p: p.symlink_to(p), "a link to zeros": lambda p: p.symlink_to("/dev/zero")}.items():  # fmt: skip
        for file in (bundle.CARD, "model.onnx"):
            yield Hostile(f"{file} that is {name}", "card", functools.partial(_replaced, file, thing))
    yield sparse("card", "a bundle that is a file", b"", 10, "bundle")
    yield Hostile("a bundle whose name no disk takes", "card", lambda folder: folder / ("n" * 5_000))
    yield Hostile("a bundle with a zero in its name", "card", lambda folder: folder / "a\x00b")


def _nested(depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(depth):
        made = {"a": made}
    return {"name": "log_mel", "a": made}


def _replaced(file: str, thing: Callable[[Path], object], folder: Path) -> Path:
    model, whole = tone_model()
    (folder / "model.onnx").write_bytes(model)
    (folder / bundle.CARD).write_text(json.dumps(whole))
    (folder / file).unlink()
    thing(folder / file)
    return folder


def onnx_files() -> Iterator[Hostile]:
    model, _ = tone_model()
    for n in (0, 1, 16, len(model) // 4, len(model) // 2, len(model) - 100, len(model) - 1):
        yield bundled(f"onnx cut at {n}", model[:n], may="error" if n < len(model) - 1 else "use")
    for seed in range(40):  # a half in the graph, a half anywhere: most of the file is plain numbers
        yield bundled(f"onnx with bits turned {seed}", flipped(model, seed, 4, 600 if seed % 2 else None), may="use")
    for name, data in {
        "text": b"no model",
        "zeros": bytes(4_000),
        "a pickle": pickle.dumps(1),
        "chance": np.random.default_rng(8).bytes(4_000),
        "a length beyond": b"\x3a\xff\xff\xff\xff\x0f" + bytes(50),
    }.items():
        yield bundled(f"onnx that is {name}", data)
    yield bundled("onnx of branches in branches", _wrapped(20), may="use")
    for name, node, constants in _nodes():
        yield bundled(f"onnx with {name}", _graph(node, constants))
    for where in ("../secret.bin", "/etc/passwd", "/dev/zero", "a/../../secret.bin", "nowhere.bin", "", "x" * 5_000):
        yield bundled(f"onnx with numbers in {where[:30]!r}", _outside(where))
    yield Hostile("onnx with numbers behind a link", "model", _behind_a_link)
    of_a_sample = _graph([helper.make_node("Identity", ["state"], ["x"])], {}, n_samples=1)
    yield bundled("onnx that hears minutes of silence sample by sample", of_a_sample, step_samples=1, receptive_samples=4_800_000)
    for where in ("../secret.bin", "/etc/passwd", "/dev/zero"):
        yield plain("encoder", f"encoder with numbers in {where}", _outside(where), "encoder.onnx")
    for seed in range(10):
        yield plain("encoder", f"encoder with bits turned {seed}", flipped(model, seed, 4), "encoder.onnx", "use")
    yield plain("encoder", "an encoder of text", b"no model", "encoder.onnx")
    yield plain("encoder", "an encoder of nothing", b"", "encoder.ort")


def _value(name: str, *sizes: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *sizes])


def _graph(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], opsets: tuple[str, ...] = ("", "evil"), n_samples: int = 1_280
) -> bytes:
    """The tone bundle's ports around other nodes: they make `x` (1, 1)."""
    ends = [helper.make_node("Identity", ["state"], ["new_state"]), helper.make_node("Reshape", ["x", "one_by_one"], ["scores"])]
    arrays = {"one_by_one": np.array([1, 1]), **constants}
    stored = [array if isinstance(array, TensorProto) else numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(
        [*nodes, *ends],
        "evil",
        [_value("samples", n_samples), _value("state", 1)],
        [_value("scores", 1), _value("new_state", 1)],
        stored,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(name, 18 if not name else 1) for name in opsets], ir_version=9
    ).SerializeToString()


def _nodes() -> Iterator[tuple[str, list[onnx.NodeProto], dict[str, Any]]]:
    node = helper.make_node
    mean = node("ReduceMean", ["big"], ["x"], keepdims=0)
    yield "2^50 numbers", [node("ConstantOfShape", ["n"], ["big"]), mean], {"n": np.array([2**50])}
    yield "2^62 numbers", [node("ConstantOfShape", ["n"], ["big"]), mean], {"n": np.array([2**31, 2**31])}
    yield "fewer than none", [node("ConstantOfShape", ["n"], ["big"]), mean], {"n": np.array([-5])}
    yield "a tile of 2^50", [node("Tile", ["samples", "n"], ["big"]), mean], {"n": np.array([2**20, 2**30])}
    yield "a spread of 2^50", [node("Expand", ["state", "n"], ["big"]), mean], {"n": np.array([2**25, 2**25])}
    yield (
        "a range of 2^40",
        [node("Range", ["a", "b", "c"], ["big"]), mean],
        {"a": np.float32(0), "b": np.float32(2**40), "c": np.float32(1)},
    )
    yield "an op of no one", [node("Evil", ["samples"], ["x"], domain="evil")], {}
    yield "an unknown op", [node("Sytsem", ["samples"], ["x"])], {}
    yield (
        "a ring of ops",
        [node("Add", ["samples", "b"], ["a"]), node("Add", ["a", "a"], ["b"]), node("ReduceMean", ["b"], ["x"], keepdims=0)],
        {},
    )
    yield "an input of no one", [node("ReduceMean", ["nobody"], ["x"], keepdims=0)], {}
    yield (
        "the same output twice",
        [node("ReduceMean", ["samples"], ["x"], keepdims=0), node("ReduceMax", ["samples"], ["x"], keepdims=0)],
        {},
    )
    yield "NaN as its score", [node("Div", ["zero", "zero"], ["x"])], {"zero": np.float32([0])}
    yield "an index far out", [node("Gather", ["samples", "at"], ["x"], axis=1)], {"at": np.array([2**40])}
    yield "an index below", [node("Gather", ["samples", "at"], ["x"], axis=1)], {"at": np.array([-(2**40)])}
    yield (
        "a division of integers by none",
        [node("Div", ["i", "z"], ["q"]), node("Cast", ["q"], ["x"], to=1)],
        {"i": np.array([1]), "z": np.array([0])},
    )
    yield (
        "the least integer over -1",
        [node("Div", ["i", "z"], ["q"]), node("Cast", ["q"], ["x"], to=1)],
        {"i": np.array([-(2**63)]), "z": np.array([-1])},
    )
    yield (
        "a filter of nothing",
        [node("Conv", ["c", "w"], ["big"], strides=[0]), mean],
        {"c": np.ones((1, 1, 9), np.float32), "w": np.ones((1, 1, 3), np.float32)},
    )
    yield "frames past all", [node("Pad", ["samples", "p"], ["big"]), mean], {"p": np.array([0, 2**45, 0, 0])}
    yield "a pool of 2^40", [node("MaxPool", ["c"], ["big"], kernel_shape=[2**40]), mean], {"c": np.ones((1, 1, 9), np.float32)}
    short = helper.make_tensor("big", TensorProto.FLOAT, [4], b"\x00" * 16, raw=True)
    short.raw_data = b"\x00" * 3
    yield "fewer numbers than it says", [mean], {"big": short}
    huge = helper.make_tensor("big", TensorProto.FLOAT, [4], b"\x00" * 16, raw=True)
    huge.dims[0] = 2**60
    yield "many fewer numbers than it says", [mean], {"big": huge}
    below = helper.make_tensor("big", TensorProto.FLOAT, [4], b"\x00" * 16, raw=True)
    below.dims[0] = -4
    yield "an axis below nothing", [mean], {"big": below}
    for name, trips in {"a loop for ever": 2**62, "a loop of a day": 2**40}.items():
        body = helper.make_graph(
            [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("Sin", ["carried"], ["next"])], "body",
            [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("going", TensorProto.BOOL, []), helper.make_tensor_value_info("carried", TensorProto.FLOAT, [1, 1])],
            [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1])],
        )  # fmt: skip
        yield name, [node("Loop", ["trips", "yes", "state"], ["x"], body=body)], {"trips": np.array(trips), "yes": np.array(True)}


def _wrapped(depth: int) -> bytes:
    """If inside If."""
    first = helper.make_graph([helper.make_node("Identity", ["state"], ["y"])], "g", [], [_value("y", 1)])
    graph = first
    for _ in range(depth):
        graph = helper.make_graph(
            [helper.make_node("If", ["yes"], ["y"], then_branch=graph, else_branch=first)], "g", [], [_value("y", 1)]
        )
    return _graph([helper.make_node("If", ["yes"], ["x"], then_branch=graph, else_branch=first)], {"yes": np.array(True)})


def _outside(where: str) -> bytes:
    """Four numbers that lie in another file."""
    kept = TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": where, "offset": "0", "length": "16"}.items():
        kept.external_data.add(key=key, value=value)
    return _graph([helper.make_node("ReduceMean", ["big"], ["x"], keepdims=0)], {"big": kept})


def _behind_a_link(folder: Path) -> Path:
    (folder / "link.bin").symlink_to("/etc/passwd")
    return bundled("", _outside("link.bin")).make(folder)


@functools.cache
def lite_model() -> tuple[bytes, dict[str, Any]]:
    """A whole TFLite file that hears frames of 40 bands, and its card."""
    from wakesmith.exporters import _tflite_file
    from wakesmith.exporters._tflite_int8 import LEADS, Int8Layer, Scale

    rng = np.random.default_rng(1)
    source, middle = Scale(26 / 255, -128), Scale(0.05, -128)

    def layer(name: str, n_in: int, n_out: int, stride: int, source: Scale, result: Scale) -> Int8Layer:
        weight = rng.integers(-100, 100, (n_out, stride + 1, n_in)).astype(np.int8)
        return Int8Layer(name, weight, np.full(n_out, 0.001), np.zeros(n_out, np.int32), stride, name == "a", source, result)

    data = _tflite_file.write([layer("a", 40, 8, 3, source, middle), layer("b", 8, 3, 1, middle, LEADS)], "inputs")
    point = OperatingPoint(threshold=0.5, chosen_on="a test")
    card = Card(
        phrases=[Phrase(text="hey nova", operating_point=point)], language="en", labels=["wake", "near_miss", "speech", "noise"], rate_hz=16_000,
        step_samples=480, scores_per_step=1, state_size=1, receptive_samples=4_800, listens="streaming", features={"name": "micro"}, front_end="outside",
        student={"name": "mixednet"}, parameters=100, model="model.tflite", sha256="0" * 64,
    )  # fmt: skip
    return data, card.model_dump(mode="json")


def tflite_files() -> Iterator[Hostile]:
    data, card = lite_model()
    for n in (0, 1, 7, 8, 40, len(data) // 4, len(data) // 2, len(data) - 400, len(data) - 4):
        yield bundled(f"tflite cut at {n}", data[:n], card, "error" if n < len(data) // 2 else "use", "tflite")
    for seed in range(60):
        yield bundled(f"tflite with bits turned {seed}", flipped(data, seed, 3), card, "use", "tflite")
    for name, other in {
        "text": b"no model",
        "zeros": bytes(4_000),
        "chance": np.random.default_rng(9).bytes(4_000),
        "its name alone": b"\x1c\x00\x00\x00TFL3" + bytes(100),
    }.items():
        yield bundled(f"tflite that is {name}", other, card, kind="tflite")
    for name, change in _changes().items():
        yield bundled(f"tflite with {name}", _changed(change), card, "use", "tflite")


def _changed(change: Callable[[Any], object]) -> bytes:
    """The whole file, with its tables changed and written anew."""
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(lite_model()[0], 0))
    change(made)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _changes() -> dict[str, Callable[[Any], object]]:
    def put(reach: Callable[[Any], Any], name: str, value: Any) -> Callable[[Any], object]:
        return lambda model: setattr(reach(model), name, value)

    def tensor(number: int) -> Callable[[Any], Any]:
        return lambda model: model.subgraphs[0].tensors[number]

    def op(number: int) -> Callable[[Any], Any]:
        return lambda model: model.subgraphs[0].operators[number]

    made = {
        "no graphs": put(lambda m: m, "subgraphs", []), "no buffers": put(lambda m: m, "buffers", []), "no ops": put(lambda m: m, "operatorCodes", []),
        "another version": put(lambda m: m, "version", 2**31), "an input far out": put(lambda m: m.subgraphs[0], "inputs", [10_000]), "an output below": put(lambda m: m.subgraphs[0], "outputs", [-5]),
        "no inputs": put(lambda m: m.subgraphs[0], "inputs", []), "no outputs": put(lambda m: m.subgraphs[0], "outputs", []), "no signature": put(lambda m: m, "signatureDefs", []),
        "an op of another number": put(lambda m: m.operatorCodes[0], "builtinCode", 9_999), "an op of its own": put(lambda m: m.operatorCodes[0], "customCode", "evil"),
    }  # fmt: skip
    for number in (0, 2, 4):
        made |= {
            f"tensor {number} of 2^31 a side": put(tensor(number), "shape", [2**31 - 1] * 4), f"tensor {number} below nothing": put(tensor(number), "shape", [-1, -7]),
            f"tensor {number} in no buffer": put(tensor(number), "buffer", 10_000), f"tensor {number} of another type": put(tensor(number), "type", 99), f"tensor {number} without a scale": put(tensor(number), "quantization", None),
        }  # fmt: skip
    for number in (0, 1, 2):
        made |= {
            f"op {number} of no code": put(op(number), "opcodeIndex", 10_000), f"op {number} from far out": put(op(number), "inputs", [10_000] * 3), f"op {number} from below": put(op(number), "inputs", [-7] * 3),
            f"op {number} from nothing": put(op(number), "inputs", []), f"op {number} to far out": put(op(number), "outputs", [10_000]), f"op {number} into its input": put(op(number), "outputs", [0]),
        }  # fmt: skip
    return made
