"""What pages are tried in: playwright's interface and Debian's chromium. Tests that import this are skipped without them."""

import shutil

import pytest

__all__ = ["CHROMIUM", "api"]

api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("gradio")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("chromium is not installed", allow_module_level=True)
