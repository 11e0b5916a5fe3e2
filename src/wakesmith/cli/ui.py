"""`ui`: the page for people who would rather look than read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wakesmith.cli._app import app


@app.command()
def ui(
    runs: Annotated[Path, typer.Option(help="The folder that holds the run folders.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    token: Annotated[str | None, typer.Option(help="What a browser must know. Default: a new one each time.")] = None,
) -> None:
    """Forge, watch, judge and try wake words in the browser. Until Ctrl-C; nothing leaves this machine."""
    from wakesmith.web import serve

    serve.run(runs, host, port, token)
