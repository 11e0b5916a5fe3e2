"""The shape of the package: imports point downwards, and the runtime stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wakesmith

ROOT = Path(wakesmith.__file__).parent
LEVELS = [
    {
        "errors",
        "registry",
        "rng",
        "progress",
        "disk",
        "config",
        "audio",
        "metrics",
        "bundle",
        "card",
        "promise",
        "run",
        "report",
        "pool",
        "ranks",
        "memory",
        "refused",
        "text",
        "tables",
        "schema",
    },
    {"data", "importers", "voices", "runtime"},
    {"augment", "features"},
    {"teachers", "students", "losses", "exporters"},
    {"training"},
    {"steps", "recipe"},
    {"cli", "web", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
HEAVY = (
    "torch", "transformers", "scipy", "accelerate", "onnx", "pandas", "matplotlib", "pydantic", "yaml", "typer", "rich",
    "soundfile", "soxr", "onnxruntime",
)  # fmt: skip


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and first name under `wakesmith` of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports by full name read better than relative ones"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "wakesmith" and rest:
                yield node.lineno, rest.split(".")[0]


def owner(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def test_every_module_has_a_level():
    assert sorted({owner(path) for path in FILES} - LEVEL.keys()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path):
    up = [
        f"line {line}: {owner(path)} imports {name}"
        for line, name in imports(path)
        if name in LEVEL and LEVEL[name] > LEVEL[owner(path)]
    ]

    assert up == []


def test_an_import_inside_a_function_is_seen(tmp_path: Path):
    path = tmp_path / "part.py"
    path.write_text(
        "def f():\n    from wakesmith.training import trainer\n    import wakesmith.cli\n    from wakesmith import steps\n"
    )

    assert list(imports(path)) == [(2, "training"), (3, "cli"), (4, "steps")]


@pytest.mark.parametrize("module", ["wakesmith", "wakesmith.bundle", "wakesmith.runtime", "wakesmith.runtime.microphone"])
def test_what_a_listener_imports_is_light(module: str):
    code = f"import sys, {module}; import wakesmith; wakesmith.Detector; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
