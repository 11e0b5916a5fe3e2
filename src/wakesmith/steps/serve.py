"""`serve`: bundles as a Wyoming wake-word server, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wakesmith.errors import ConfigError, WakesmithError
from wakesmith.progress import say


def run(
    bundles: Sequence[Path], host: str = "127.0.0.1", port: int = 10400, zeroconf: bool = False, clients: int = 200,
    idle_s: float = 3600.0,
) -> None:  # fmt: skip
    """Load each bundle once and serve all of them. Raises BundleError, ConfigError, WakesmithError.

    clients: at once; idle_s: after so long without an event a client is let go.
    """
    from wakesmith.runtime.detector import Detector

    try:
        from wakesmith.runtime import wyoming
    except ModuleNotFoundError as error:
        raise WakesmithError("`serve` needs the package wyoming. Install it: pip install 'wakesmith[serve]'") from error
    if zeroconf and _is_loopback(host):
        raise ConfigError(f"--zeroconf: {host} cannot be reached from other machines. Give their way in too: --host 0.0.0.0")
    offered = wyoming.models({str(folder): Detector.load(folder) for folder in bundles})
    asyncio.run(_until_stopped(offered, host, port, zeroconf, wyoming.Limits(clients, idle_s)))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _until_stopped(offered: Mapping[str, Any], host: str, port: int, zeroconf: bool, limits: Any) -> None:
    from wakesmith.runtime import wyoming

    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(wyoming.serving(offered, host, port, limits))
        if zeroconf:
            await stack.enter_async_context(wyoming.announced(host, port))
        say(f"serving {', '.join(offered)} at tcp://{host}:{port} (Ctrl-C ends)")
        await stopped.wait()
    say("stopped")
