"""What the system refused a command (disk, rights, memory) -> one line with the way out; None for what is a mistake of ours."""

from __future__ import annotations

import errno
import sys

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_MEMORY = (errno.ENOMEM,)
FULL_WORDS = ("No space left", "os error 28", "os error 122", "PytorchStreamWriter failed", "unexpected pos", " requested and ")
"""Of libraries that write by themselves: safetensors, torch, numpy. Their errors have no number."""
KEPT = "What was made is kept: run the same command again."


def told(error: BaseException, folder: object = "the folder") -> str | None:
    """One line for a person. `folder`: where the work was, for an error that names no file."""
    where = getattr(error, "filename", None) or folder
    if isinstance(error, OSError):
        if error.errno in DISK_FULL:
            return f"{where}: {error.strerror}. Make room on that disk, or use another: --out FOLDER. {KEPT}"
        if error.errno in NO_RIGHT:
            return f"{where}: {error.strerror}. Give yourself the right to write there, or use --out FOLDER. {KEPT}"
    if _memory_ran_out(error):
        return f"{where}: memory ran out. Close other programs, or ask for less: fewer jobs, a smaller batch. {KEPT}"
    if any(words in str(error) for words in FULL_WORDS):
        return f"{where}: the disk is full. Make room on it, or use another: --out FOLDER. {KEPT}"
    return None


def _memory_ran_out(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in NO_MEMORY):
        return True
    if not isinstance(error, RuntimeError) or "torch" not in sys.modules:
        return False
    from wakesmith import memory

    return memory.ran_out(error)
