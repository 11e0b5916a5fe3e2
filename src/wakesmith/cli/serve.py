"""What shows a bundle to others: a server, and its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wakesmith.cli._app import answer, app


@app.command()
def serve(
    bundles: Annotated[list[Path], typer.Argument(help="Bundle folders.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 10400,
    zeroconf: Annotated[bool, typer.Option("--zeroconf", help="Let Home Assistant find it by itself.")] = False,
    clients: Annotated[int, typer.Option(min=1, help="At most so many at once; a further one is told so.")] = 200,
    idle_s: Annotated[float, typer.Option(min=1, help="A client that sends nothing for so many seconds is let go.")] = 3600,
) -> None:
    """Serve wake words to Home Assistant and its satellites. Over the Wyoming protocol, until Ctrl-C."""
    from wakesmith.steps import serve as step

    step.run(bundles, host, port, zeroconf, clients, idle_s)


@app.command()
def card(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    json: Annotated[bool, typer.Option("--json", help="card.json, with sizes and whether commercial use is allowed.")] = False,
) -> None:
    """How well a bundle hears, what it learned from, which licences."""
    from wakesmith import bundle as bundles
    from wakesmith.report import card as model_card

    checked = bundles.check(bundle)
    n_bytes = (bundle / checked.model).stat().st_size
    told = checked.model_dump(mode="json") | {"model_bytes": n_bytes, "commercial_use": model_card.commercial_use(checked)}
    answer(json, told, lambda: model_card.text(checked, n_bytes).rstrip("\n"))
