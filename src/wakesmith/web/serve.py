"""The page as a server on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import tempfile
from pathlib import Path
from typing import Any

from wakesmith.errors import ConfigError
from wakesmith.web._guard import Guard

MOST_UPLOAD = "200mb"
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""gradio reads these when it is imported, so they are set before."""


def run(runs: Path, host: str, port: int, token: str | None) -> None:
    """Serve until Ctrl-C; the address is printed. Raises ConfigError for an address that cannot be had, or without gradio."""
    if runs.exists() and not runs.is_dir():
        raise ConfigError(f"--runs {runs}: is a file. Name the folder that holds the run folders, or a new one.")
    token = token_for(token)
    os.environ.update(QUIET)
    with tempfile.TemporaryDirectory(prefix="wakesmith-ui-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        served = application(runs, token)
        import uvicorn

        with _listening(host, port) as listening:
            address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
            print(f"Wakesmith shows the runs in {runs}: {address}?token={token}\nCtrl-C ends it.", flush=True)
            config = uvicorn.Config(served, log_level="warning", timeout_graceful_shutdown=1, server_header=False)
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                uvicorn.Server(config).run(sockets=[listening])


def token_for(given: str | None) -> str:
    """Given or made. Raises ConfigError for one that is too easy."""
    if given is None:
        return secrets.token_urlsafe(18)
    if not re.fullmatch(r"[\w.~-]{12,}", given, re.ASCII):
        raise ConfigError("--token: expected 12 or more letters, digits, - and _. Leave it out to have one made.")
    return given


def application(runs: Path, token: str) -> Any:
    """The page behind its guard, as an ASGI application. Raises ConfigError without gradio."""
    try:
        import gradio as gr
    except ModuleNotFoundError as error:
        raise ConfigError(f"the page needs the package {error.name}. Install it: pip install 'wakesmith[ui]'") from error
    from fastapi import FastAPI

    from wakesmith.web import _looks, app

    page = app.build(runs)
    # Sounds and plots are handed over as values: no folder is opened to the browser.
    mounted = gr.mount_gradio_app(
        FastAPI(openapi_url=None), page, path="/", allowed_paths=[], max_file_size=MOST_UPLOAD, footer_links=[], ssr_mode=False,
        run_history=False, theme=_looks.theme(), css=_looks.CSS, enable_monitoring=False,
    )  # fmt: skip
    return Guard(mounted, token)


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}. Name another, or --port 0 for a free one.") from error
