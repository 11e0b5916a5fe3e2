"""What shows a bundle to others: a server, and its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wakesmith.cli._app import app


@app.command()
def serve(
    bundles: Annotated[list[Path], typer.Argument(help="Bundle folders.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 10400,
    zeroconf: Annotated[bool, typer.Option("--zeroconf", help="Let Home Assistant find it by itself.")] = False,
) -> None:
    """Serve wake words over the Wyoming protocol, as Home Assistant and its satellites use it, until Ctrl-C."""
    from wakesmith.steps import serve as step

    step.run(bundles, host, port, zeroconf)
