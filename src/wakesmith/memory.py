"""Whether an error says that memory ran out: of the GPU, or of the CPU's allocator, which raises no class of its own."""

from __future__ import annotations

CPU_WORDS = ("not enough memory", "can't allocate memory", "out of memory")


def ran_out(error: RuntimeError) -> bool:
    """Of torch, on any device and system."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error).lower() for words in CPU_WORDS)
