"""Which front-end suits which student: the student module's `TAKES` is the front-end module's `GIVES`.

"bands", where a module says nothing: a frame is the energy of frequency bands. "samples": a frame is a piece of the sound itself.
"embeddings": a frame is what a pretrained network makes of 0.8 s.
"""

from __future__ import annotations

from wakesmith import registry


def gives(features: str) -> str:
    return str(getattr(registry.load("features", features), "GIVES", "bands"))


def takes(student: str) -> str:
    return str(getattr(registry.load("students", student), "TAKES", "bands"))


def front_ends(student: str) -> list[str]:
    """Names of the front-ends that suit a student."""
    return [name for name in registry.names("features") if gives(name) == takes(student)]


def check(features: str, student: str) -> None:
    """Raises ValueError, which a settings model makes a ConfigError of."""
    if gives(features) != takes(student):
        raise ValueError(
            f"student {student} hears {takes(student)}, and features {features} give {gives(features)}. "
            f"Set features to one of: {', '.join(front_ends(student))}; or choose another student"
        )
