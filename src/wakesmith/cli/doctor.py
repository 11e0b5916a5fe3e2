"""`wakesmith doctor`: what is here, what is missing, what brings it."""

from __future__ import annotations

import typer

from wakesmith.cli._app import Json, answer, app


@app.command()
def doctor(json: Json = False) -> None:
    """What this machine has, what is missing, and the command for it. 1: forge cannot run here."""
    from dataclasses import asdict

    from wakesmith import tables
    from wakesmith.steps import doctor as step

    checks = step.run()
    ready = step.can_forge(checks)
    end = "forge can run here" if ready else "forge cannot run here: mend what is missing"
    found = {"can_forge": ready, "checks": [asdict(check) for check in checks]}
    answer(json, found, lambda: "\n".join([*tables.for_stdout()(step.table(checks)), "", end]))
    raise typer.Exit(int(not ready))
