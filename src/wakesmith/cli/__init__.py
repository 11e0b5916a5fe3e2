"""The command line: one sub-command a step. Heavy imports wait until a command runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

try:
    import typer
except ModuleNotFoundError:
    print("wakesmith: the command line needs the package typer. Install it: pip install 'wakesmith[cli]'", file=sys.stderr)
    sys.exit(2)

from wakesmith.cli import road, bundles, look, serve, ui, doctor  # isort: skip: the order of --help
from wakesmith.cli._app import app

__all__ = ["app", "bundles", "doctor", "guarded", "look", "main", "road", "serve", "ui"]
INTERRUPTED = 130
"""As shells count it: 128 and SIGINT. Typer exits with it too, without a word."""


def main() -> None:
    """Entry point: a user's mistake is one clear message and exit code 2."""
    # As Ctrl-C: what a shell began in the background hears no SIGINT, and service managers and the page's Stop send this.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(guarded(app))


def guarded(command: Callable[..., Any]) -> int:
    from wakesmith import refused
    from wakesmith.errors import WakesmithError

    try:
        command()
    except WakesmithError as error:
        typer.echo(f"wakesmith: {error}", err=True)
        return 2
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        typer.echo("wakesmith: interrupted. The same command goes on from here.", err=True)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "wakesmith":
            raise
        way = "Install it: pip install 'wakesmith[all]'; what is missing for what: wakesmith doctor"
        typer.echo(f"wakesmith: this needs the package {error.name}. {way}", err=True)
        return 2
    except Exception as error:
        if (message := refused.told(error)) is None:
            raise
        typer.echo(f"wakesmith: {message}", err=True)
        return 2
    return 0
