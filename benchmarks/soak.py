"""The Wyoming server under load: many clients, hours of audio each, as fast as the machine can. No detection may be lost.

    python benchmarks/soak.py [BUNDLE --sound FILE] [--clients 100] [--hours 1] [--json]

Without a BUNDLE one that hears a tone is made, and minutes in which that tone comes and goes; with one, the sound must hold its
phrase: equal silence proves nothing. `wakesmith serve` runs in a process of its own. Each client sends chunks of 64 ms as fast as
the server takes them. What it is told must be, to the millisecond, what a detector here finds in the same sound, heard minute by
minute. The server's memory is told at the start, at each tenth and at the end. The command ends with 1 when a detection is lost,
changed or made up, or memory rises by more than its own ups and downs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event, async_read_event, write_event
from wyoming.ping import Ping

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the bundle that hears a tone

from wakesmith import audio, text
from wakesmith.runtime import Detector

RATE_HZ, CHUNK = audio.SAMPLE_RATE_HZ, 1_024
MINUTE = RATE_HZ * 60 // CHUNK * CHUNK
"""Samples of what is sent in one go and said again and again: whole chunks."""
N_SOUNDS = 8
"""Clients with the same sound have neighbours with others."""
MOST_APART_BYTES = 8 << 20
"""How far memory may rise in the second half over the most of the first, in which every client's buffers filled."""


@dataclass
class Load:
    """What all clients do together: the server's process, and its memory at each tenth of the sound."""

    server: int
    n_minutes: int
    n_sent: int = 0
    memory: dict[str, int] = field(default_factory=dict)

    def sent(self) -> None:
        """Another minute is on its way."""
        self.n_sent += 1
        tenths = self.n_sent * 10 // self.n_minutes
        if tenths and (name := f"{tenths}0 %") not in self.memory:
            self.memory[name] = resident_bytes(self.server)
            print(f"{name}: {self.memory[name] / 1e6:.1f} MB", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("--sound", type=Path)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    if (chosen.bundle is None) != (chosen.sound is None):
        parser.error("give a bundle with a sound that holds its phrase, or neither.")
    with tempfile.TemporaryDirectory() as scratch:
        told = soaked(Path(scratch), chosen.bundle, chosen.sound, chosen.clients, max(1, round(chosen.hours * 60)))
    print(json.dumps(told, indent=2) if chosen.json else "\n".join(lines(told)))
    return int(not told["holds"])


def soaked(scratch: Path, bundle: Path | None, file: Path | None, n_clients: int, n_minutes: int) -> dict[str, Any]:
    """Every client hears so many minutes. -> what was expected and found, memory and CPU of the server"""
    sounds = of_tones() if file is None else of_file(audio.to_int16(audio.read(file)))
    place = bundle or toned(scratch / "bundle")
    expected = [found_in(place, sound, n_minutes) for sound in sounds[:n_clients]]
    with served(place, scratch / "log", n_clients) as (server, port):
        start, cpu_s, began_s = resident_bytes(server), processor_s(server), time.monotonic()
        load = Load(server, n_clients * n_minutes)
        found = asyncio.run(_together(port, [sounds[i % N_SOUNDS] for i in range(n_clients)], n_minutes, load))
        took_s, cpu_s, end = time.monotonic() - began_s, processor_s(server) - cpu_s, resident_bytes(server)
    clients = [compared(expected[i % N_SOUNDS], one) for i, one in enumerate(found)]
    tenths = list(load.memory.values())
    half = -(-len(tenths) // 2)
    hours, grown = n_clients * n_minutes / 60, max(tenths[half:], default=0) - max(tenths[:half])
    wrong = sum(one["lost"] + one["made_up"] for one in clients)
    return {
        "clients": clients, "hours": hours, "expected": sum(one["expected"] for one in clients), "wrong": wrong,
        "memory": {"start": start, **load.memory, "end": end}, "grown": grown, "cpu_s_per_hour": cpu_s / hours, "clock_s": took_s,
        "holds": not wrong and all(one["expected"] for one in clients) and grown <= MOST_APART_BYTES,
    }  # fmt: skip


def of_tones() -> list[np.ndarray]:
    """Minutes of quiet noise in which the tone comes 3 to 8 times."""
    sounds, chance = [], np.random.default_rng(7)
    for _ in range(N_SOUNDS):
        made = chance.normal(0, 0.003, MINUTE)
        for second in chance.choice(58, chance.integers(3, 9), replace=False):
            at = round((second + chance.uniform(0, 0.4)) * RATE_HZ)
            made[at : at + RATE_HZ // 2] += 0.4 * np.sin(2 * np.pi * 1_000 / RATE_HZ * np.arange(RATE_HZ // 2))
        sounds.append(audio.to_int16(made.astype(np.float32)))
    return sounds


def of_file(sound: np.ndarray) -> list[np.ndarray]:
    """Minutes of a sound that is said again and again, each begun elsewhere."""
    return [np.resize(np.roll(sound, -len(sound) * i // N_SOUNDS), MINUTE) for i in range(N_SOUNDS)]


def toned(folder: Path) -> Path:
    from tests import tone_bundle

    return tone_bundle.make(folder, {"hey nova": 1_000})


def found_in(bundle: Path, sound: np.ndarray, n_minutes: int) -> Counter[tuple[str, int]]:
    """(name, ms) of what a detector finds in so many times the sound."""
    listener = Detector.load(bundle)
    hits = [*(hit for _ in range(n_minutes) for hit in listener.process(sound)), *listener.finish()]
    return Counter((text.file_name(hit.phrase), round(hit.time_s * 1_000)) for hit in hits)


@contextlib.contextmanager
def served(bundle: Path, log: Path, n_clients: int) -> Iterator[tuple[int, int]]:
    """-> the server's process and its port"""
    command = [sys.executable, "-m", "wakesmith.cli", "serve", str(bundle), "--port", "0", "--clients", str(n_clients)]
    with log.open("w") as file, subprocess.Popen(command, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"}) as server:
        try:
            while not (told := re.search(r"at tcp://127.0.0.1:(\d+)", log.read_text())):
                if server.poll() is not None:
                    sys.exit(f"the server ended: {log.read_text()}")
                time.sleep(0.05)
            yield server.pid, int(told[1])
        finally:
            server.terminate()


async def _together(port: int, sounds: Sequence[np.ndarray], n_minutes: int, load: Load) -> list[Counter[tuple[str, int]]]:
    encoded = {id(sound): wire(*chunks(sound)) for sound in sounds}
    return await asyncio.gather(*(_client(port, encoded[id(sound)], n_minutes, load) for sound in sounds))


async def _client(port: int, minute: bytes, n_minutes: int, load: Load) -> Counter[tuple[str, int]]:
    """Send it all, hear meanwhile. -> what the server told"""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = asyncio.create_task(_told(reader))
    writer.write(wire(AudioStart(RATE_HZ, 2, 1).event()))
    for _ in range(n_minutes):
        for start in range(0, len(minute), 1 << 16):
            writer.write(minute[start : start + (1 << 16)])
            await writer.drain()
        load.sent()
    writer.write(wire(AudioStop().event(), Ping().event()))
    found = await told
    writer.close()
    return found


async def _told(reader: asyncio.StreamReader) -> Counter[tuple[str, int]]:
    """Detections until the answer to the ping at the end."""
    found: Counter[tuple[str, int]] = Counter()
    while (event := await async_read_event(reader)) is not None and event.type != "pong":
        if event.type == "detection":
            found[event.data["name"], event.data["timestamp"]] += 1
        elif event.type == "error":
            raise RuntimeError(event.data["text"])
    return found


def chunks(sound: np.ndarray) -> Iterator[Event]:
    for start in range(0, len(sound), CHUNK):
        yield AudioChunk(RATE_HZ, 2, 1, sound[start : start + CHUNK].tobytes()).event()


def wire(*events: Event) -> bytes:
    """As the protocol's own package writes them."""
    made = io.BytesIO()
    for event in events:
        write_event(event, made)
    return made.getvalue()


def compared(expected: Counter[Any], found: Counter[Any]) -> dict[str, int]:
    lost, made_up = (expected - found).total(), (found - expected).total()
    return {"expected": expected.total(), "found": found.total(), "lost": lost, "made_up": made_up}


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_s(process: int) -> float:
    """Seconds of CPU that a process has used."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def lines(told: dict[str, Any]) -> list[str]:
    clients = [
        f"client {i:3}: {one['found']} of {one['expected']} detections, lost {one['lost']}, made up {one['made_up']}"
        for i, one in enumerate(told["clients"], start=1)
    ]
    return [
        *clients,
        "memory: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in told["memory"].items()),
        f"{len(clients)} clients, {told['hours']:.1f} h of audio in {told['clock_s']:.0f} s: {told['expected']} detections, "
        f"{told['wrong']} lost or made up; memory {told['grown'] / 1e6:+.1f} MB in the second half; "
        f"{told['cpu_s_per_hour']:.2f} s of CPU per hour of audio",
    ]


if __name__ == "__main__":
    sys.exit(main())
