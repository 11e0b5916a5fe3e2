"""What activation checkpointing saves and costs, for a frozen teacher and for one that is tuned. All figures are of one run.

    python benchmarks/activation_checkpointing.py [--teacher whisper:FOLDER] [--batch 16] [--clip-s 1.5] [--steps 3]

stored: bytes that the forward pass keeps for the backward pass, weights not counted. peak: the most bytes that a step holds
beside weights, with gradients and what is recomputed (on a GPU: as torch.cuda counts them). step: processor time
of the fastest of --steps (on a GPU: time). Without --teacher: a Whisper of random weights, 4 layers of 64.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wakesmith import config, registry
from wakesmith.teachers._base import Tunable
from wakesmith.teachers._card import HeadSettings
from wakesmith.teachers._head import Head, pool_time
from wakesmith.teachers._tune_settings import Tuning
from wakesmith.teachers._tune_step import Step


class Peak(TorchDispatchMode):
    """Most bytes of tensors that were alive at once among those made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.alive: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in given:
                self._count(leaf.untyped_storage())
        return made

    def _count(self, storage: Any) -> None:
        name, size = storage._cdata, storage.nbytes()
        if name not in self.alive:
            self.alive[name] = weakref.ref(storage, lambda _: self._forget(name, size))
            self.now += size
            self.most = max(self.most, self.now)

    def _forget(self, name: int, size: int) -> None:
        del self.alive[name]
        self.now -= size


@dataclass(eq=False)
class Kept:
    """What autograd holds in place of a tensor, for as long as it needs it."""

    tensor: Tensor


def stored_bytes(step: Step, samples: Tensor, labels: Tensor) -> int:
    """What the forward pass keeps, each storage once, without the weights."""
    weights = {p.untyped_storage()._cdata for module in (step.encoder.module, step.head) for p in module.parameters()}
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()

    def keep(tensor: Tensor) -> Kept:
        alive.add(kept := Kept(tensor))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        loss = step.loss(samples, labels)
    storages = {kept.tensor.untyped_storage()._cdata: kept.tensor.untyped_storage() for kept in alive}
    del loss  # held until here: with it the graph goes
    return sum(storage.nbytes() for name, storage in storages.items() if name not in weights)


def peak_bytes(step: Step, samples: Tensor, labels: Tensor) -> int:
    for param in step.params:
        param.grad = None
    if samples.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step.gradients(0, samples, labels)
        return torch.cuda.max_memory_allocated() - before
    with Peak() as peak:
        step.gradients(0, samples, labels)
    return peak.most


def seconds(step: Step, samples: Tensor, labels: Tensor, n_steps: int) -> float:
    """The fastest step, after one that is not counted: others may use the machine."""
    clock = time.perf_counter if samples.device.type == "cuda" else time.process_time
    took = []
    for number in range(n_steps + 1):
        started = clock()
        step.gradients(number, samples, labels)  # ends in a number, so a GPU is waited for
        took.append(clock() - started)
    return min(took[1:])


def random_whisper(folder: str) -> Tunable:
    from safetensors.torch import save_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    settings = WhisperConfig(d_model=64, encoder_layers=4, encoder_ffn_dim=256, encoder_attention_heads=4)
    settings.save_pretrained(folder)
    weights = WhisperEncoder(settings).state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, Path(folder) / "model.safetensors")
    return build("whisper", folder)


def build(name: str, folder: str) -> Tunable:
    return registry.build("teachers", config.part("teachers", name, path=folder))  # type: ignore[no-any-return]


def measure(encoder: Tunable, tuned: bool, recompute: bool, batch: int, clip_s: float, n_steps: int) -> tuple[int, int, float]:
    """-> stored bytes, peak bytes, seconds a step."""
    device = next(encoder.module.parameters()).device
    samples = 0.1 * torch.randn(batch, round(clip_s * encoder.rate_hz), device=device)
    labels = torch.arange(batch, device=device) % 4
    n_segments = pool_time(encoder.encode(samples[:1])).shape[2]
    head = Head(HeadSettings(), encoder.n_layers, n_segments, encoder.hidden_size, 4).to(device).train()
    for layer in encoder.layers():
        layer.train(tuned).requires_grad_(tuned)
    encoder.activation_checkpointing(recompute)
    step = Step(encoder, head, Tuning(batch=batch, micro_batch=batch), torch.ones(4, device=device), 0.0, 0)
    found = stored_bytes(step, samples, labels), peak_bytes(step, samples, labels), seconds(step, samples, labels, n_steps)
    assert step.micro.size == batch, "memory ran out: measure with a smaller --batch"
    encoder.activation_checkpointing(False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", help="name:FOLDER of one that can be tuned: hubert, wav2vec2, wavlm, whisper")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--clip-s", type=float, default=1.5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        encoder = build(*chosen.teacher.split(":", 1)) if chosen.teacher else random_whisper(folder)
    n = sum(p.numel() for p in encoder.module.parameters())
    print(f"{chosen.teacher or 'random whisper'}, {n / 1e6:.1f}M parameters, {len(encoder.layers())} layers, float32; ", end="")
    print(f"{chosen.batch} clips of {chosen.clip_s} s, {next(encoder.module.parameters()).device}, {chosen.threads} threads")
    print(f"{'':8}{'checkpointing':>14}{'stored':>12}{'peak':>12}{'step':>10}")
    for tuned in (False, True):
        rows = [measure(encoder, tuned, on, chosen.batch, chosen.clip_s, chosen.steps) for on in (False, True)]
        for on, (stored, peak, step_s) in zip(("off", "on"), rows, strict=True):
            name = "tuned" if tuned else "frozen"
            print(f"{name:8}{on:>14}{stored / 1e6:>9.1f} MB{peak / 1e6:>9.1f} MB{step_s:>8.3f} s")
        (stored_off, peak_off, off_s), (stored_on, peak_on, on_s) = rows
        print(f"{'':8}{'saves':>14}{1 - stored_on / stored_off:>12.0%}{1 - peak_on / peak_off:>12.0%}{on_s / off_s - 1:>+10.0%}")


if __name__ == "__main__":
    main()
