"""The Wyoming server, met by the package's own client over TCP."""

import asyncio
import contextlib
import errno
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("wyoming", reason="the extra `serve` is not installed")
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event, async_write_event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.wake import Detect

from tests import tone_bundle
from tests.tone_bundle import RATE_HZ, tone
from wakesmith import Detector, audio
from wakesmith.cli import app, guarded
from wakesmith.errors import AudioError, BundleError, ConfigError, WakesmithError
from wakesmith.runtime import wyoming
from wakesmith.runtime.pcm import Converter
from wakesmith.steps import serve

NOVA, ALEXA = tone(1_000, 1.0, 0.6, 3.0), tone(2_000, 1.5, 0.6, 3.0)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One of two phrases, one of a single phrase."""
    folder = tmp_path_factory.mktemp("bundles")
    return [
        tone_bundle.make(folder / "two", {"Hey Nova": 1_000, "stop": 3_000}),
        tone_bundle.make(folder / "one", {"alexa": 2_000}),
    ]


@pytest.fixture(scope="module")
def offered(bundles: list[Path]) -> dict[str, wyoming.Model]:
    return wyoming.models({str(folder): Detector.load(folder) for folder in bundles})


Work = Callable[[int], Awaitable[object]]


def served(offered: dict[str, wyoming.Model], work: Work) -> object:
    """What `work` gives, a coroutine of the port at which the models are served meanwhile."""

    async def go() -> object:
        async with wyoming.serving(offered, "127.0.0.1", 0) as port:
            found = await asyncio.wait_for(work(port), 30)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"
        return found

    n_threads = threading.active_count()
    found = asyncio.run(go())
    assert threading.active_count() <= n_threads  # one of an earlier test may end meanwhile
    return found


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[AsyncTcpClient]:
    async with AsyncTcpClient("127.0.0.1", port, read_timeout=10) as one:
        yield one


def chunk(pcm: bytes, rate: int = RATE_HZ, width: int = 2, channels: int = 1, timestamp: int | None = None) -> Event:
    return AudioChunk(rate, width, channels, pcm, timestamp).event()


def said(samples: np.ndarray, size: int = 1_024) -> list[Event]:
    """Sound from audio-start to audio-stop."""
    pcm = audio.to_int16(samples).tobytes()
    chunks = [chunk(pcm[at : at + 2 * size]) for at in range(0, len(pcm), 2 * size)]
    return [AudioStart(RATE_HZ, 2, 1).event(), *chunks, AudioStop().event()]


async def answers(one: AsyncTcpClient, n: int) -> list[tuple[str, str | None, int | None]]:
    """The next n events: type, name, timestamp."""
    found = [await one.read_event() for _ in range(n)]
    assert all(found), "the server closed the connection"
    return [(event.type, event.data.get("name"), event.data.get("timestamp")) for event in found]


async def hears(port: int, events: list[Event], n: int = 1, pause_s: float = 0.0) -> list[tuple[str, str | None, int | None]]:
    """A client sends events and takes n answers."""
    async with client(port) as one:
        for event in events:
            await one.write_event(event)
            await asyncio.sleep(pause_s)
        return await answers(one, n)


def heard_by_detector(folder: Path, samples: np.ndarray) -> list[tuple[str, str, int]]:
    """What the detector itself finds in a file."""
    listener = Detector.load(folder)
    hits = [*listener.process(audio.to_int16(samples)), *listener.finish()]
    return [("detection", hit.phrase.lower().replace(" ", "_"), round(hit.time_s * 1000)) for hit in hits]


def test_describe_names_the_models_of_every_bundle(offered):
    async def work(port):
        async with client(port) as one:
            await one.write_event(Describe().event())
            return Info.from_event(await one.read_event())

    [program] = served(offered, work).wake
    assert [(one.name, one.phrase, one.languages, one.installed) for one in program.models] == [
        ("hey_nova", "Hey Nova", ["en"], True), ("stop", "stop", ["en"], True), ("alexa", "alexa", ["en"], True),
    ]  # fmt: skip
    assert program.models[0].version != program.models[2].version


def test_a_phrase_is_detected_where_the_detector_itself_hears_it(offered, bundles):
    found = served(offered, lambda port: hears(port, said(NOVA)))

    assert found == heard_by_detector(bundles[0], NOVA)
    assert found[0][:2] == ("detection", "hey_nova")
    assert 1_100 < found[0][2] < 1_500


def test_a_detection_comes_while_the_sound_goes_on(offered):
    found = served(offered, lambda port: hears(port, [Detect().event(), *said(NOVA)[:-15]]))

    assert found[0][:2] == ("detection", "hey_nova")


def test_a_detection_has_the_timestamp_of_its_chunk(offered):
    pcm = audio.to_int16(NOVA).tobytes()
    chunks = [chunk(pcm[at : at + 2_560], timestamp=7_000 + at // 32) for at in range(0, len(pcm), 2_560)]

    [bare], [stamped] = (served(offered, lambda port, events=events: hears(port, events)) for events in (said(NOVA), chunks))
    assert stamped[2] == 7_000 + bare[2] - 80  # the chunk begins 80 ms before its last score


def test_when_nothing_was_heard_not_detected_comes_at_the_end(offered):
    found = served(offered, lambda port: hears(port, said(np.zeros(RATE_HZ, np.float32))))

    assert found == [("not-detected", None, None)]


def test_every_stream_of_a_connection_starts_afresh(offered):
    quiet = np.zeros(RATE_HZ, np.float32)
    found = served(offered, lambda port: hears(port, [*said(quiet), *said(NOVA), *said(quiet), *said(NOVA)], 4))

    assert [one[0] for one in found] == ["not-detected", "detection", "not-detected", "detection"]
    assert found[1] == found[3]


def test_a_phrase_that_ends_with_the_stream_is_detected(offered):
    ending = tone(1_000, 0.8, 0.2, 1.0)

    assert served(offered, lambda port: hears(port, said(ending)))[0][:2] == ("detection", "hey_nova")


@pytest.mark.parametrize("name", ["alexa", "Hey Nova", "hey_nova"])
def test_only_the_models_that_were_named_are_heard(offered, name):
    both = np.concatenate([NOVA, ALEXA])
    found = served(offered, lambda port: hears(port, [Detect(names=[name]).event(), *said(both)]))

    assert [one[1] for one in found] == [name.lower().replace(" ", "_")]


def test_a_phrase_of_the_same_bundle_that_was_not_named_is_not_heard(offered):
    found = served(offered, lambda port: hears(port, [Detect(names=["stop"]).event(), *said(NOVA)]))

    assert found == [("not-detected", None, None)]


def test_all_models_are_heard_when_none_is_named(offered, bundles):
    both = np.concatenate([NOVA, ALEXA])
    found = served(offered, lambda port: hears(port, [Detect(names=[]).event(), *said(both)], 2))

    assert found == [*heard_by_detector(bundles[0], both), *heard_by_detector(bundles[1], both)]


def test_clients_side_by_side_hear_what_each_hears_alone(offered):
    sounds = [np.concatenate([NOVA, ALEXA]), np.concatenate([ALEXA, NOVA])]
    alone = [served(offered, lambda port, sound=sound: hears(port, said(sound), 2)) for sound in sounds]

    async def together(port):
        return await asyncio.gather(*(hears(port, said(sound), 2, pause_s=0.001) for sound in sounds))

    assert served(offered, together) == alone
    assert alone[0] != alone[1]


def test_sound_without_audio_start_is_heard(offered):
    assert served(offered, lambda port: hears(port, said(NOVA)[1:]))[0][0] == "detection"


@pytest.mark.parametrize(
    ("rate_hz", "width", "channels"), [(48_000, 2, 2), (44_100, 4, 1), (8_000, 2, 1), (16_000, 3, 1), (16_000, 1, 2)]
)
def test_other_formats_are_heard_at_the_same_place(offered, rate_hz, width, channels):
    samples = tone(1_000, 1.0, 0.6, 3.0, rate_hz)
    pcm = as_pcm(np.repeat(samples, channels), width)
    size = 1_000 * width * channels
    events = [chunk(pcm[at : at + size], rate_hz, width, channels) for at in range(0, len(pcm), size)]

    [usual], [found] = (
        served(offered, lambda port, told=told: hears(port, [*told, AudioStop().event()])) for told in (said(NOVA)[:-1], events)
    )
    assert found[:2] == usual[:2]
    assert abs(found[2] - usual[2]) <= 80


def as_pcm(samples: np.ndarray, width: int) -> bytes:
    if width == 1:
        return (samples * 127 + 128).astype(np.uint8).tobytes()
    whole = (samples.astype(np.float64) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()


@pytest.mark.parametrize(
    ("rate_hz", "width", "channels"), [(16_000, 2, 1), (48_000, 2, 2), (44_100, 3, 1), (22_050, 4, 3), (8_000, 1, 1)]
)
def test_pcm_in_pieces_gives_what_it_gives_at_once(rate_hz, width, channels):
    samples = tone(700, 0.1, 0.5, 1.0, rate_hz)
    pcm, frame = as_pcm(np.repeat(samples, channels), width), width * channels
    pieces, whole = Converter(rate_hz, width, channels), Converter(rate_hz, width, channels)

    made = np.concatenate(
        [*(pieces.convert(pcm[at : at + 333 * frame]) for at in range(0, len(pcm), 333 * frame)), pieces.rest()]
    )

    assert np.array_equal(made, np.concatenate([whole.convert(pcm), whole.rest()]))
    assert made == pytest.approx(audio.resample(samples, rate_hz, 16_000), abs=2e-2 if width == 1 else 1e-4)


@pytest.mark.parametrize("format", [(4_000, 2, 1), (16_000, 8, 1), (16_000, 2, 0), (16_000, 0, 1), (16_000, 2, 1_000)])
def test_formats_that_no_microphone_has_are_refused(format):
    with pytest.raises(AudioError, match="cannot be used"):
        Converter(*format)


async def refusal(port: int, data: bytes) -> str:
    """The text of the error event that is the last thing a client gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    told = [json.loads(line) for line in (await reader.read()).splitlines() if line]
    writer.close()
    return str(told[-1]["text"])


def raw(event: dict, rest: bytes = b"") -> bytes:
    return json.dumps(event).encode() + b"\n" + rest


START = {"type": "audio-start", "data": {"rate": 16_000, "width": 2, "channels": 1}}
CHUNK = {**START, "type": "audio-chunk"}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x00\xff\x17garbage\n", "no JSON"),
        (b"GET / HTTP/1.1\r\n\r\n", "no Wyoming client"),
        (b"x" * 200_000, "header of more than"),
        (b"[" * 50_000 + b"\n", "no JSON"),
        (b"[1, 2]\n", "no event"),
        (raw({"data": {}}), "no event"),
        (raw({"type": "describe", "data": [1]}), "no mapping"),
        (raw({"type": "detect", "data_length": 2}, b"[]"), "data_length|no event"),
        (raw({"type": "detect", "data_length": 10**12}), "data_length"),
        (raw({**CHUNK, "payload_length": 10**12}), "payload_length"),
        (raw({**CHUNK, "payload_length": -1}), "payload_length"),
        (raw({**CHUNK, "payload_length": "9"}), "payload_length"),
        (raw({**CHUNK, "payload_length": 3}, b"abc"), "no whole number"),
        (raw({"type": "audio-chunk"}), "whole numbers"),
        (raw({"type": "audio-start", "data": {"rate": 1, "width": 2, "channels": 1}}), "a rate of 1 Hz"),
        (raw({"type": "detect", "data": {"names": ["hey siri"]}}), "no model 'hey siri' here. There are: hey_nova, stop, alexa"),
        (raw({"type": "detect", "data": {"names": "alexa"}}), "names must be a list"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_ends_that_client_alone(offered, capsys, data, told):
    async def work(port):
        async with client(port) as other:
            for event in said(NOVA)[:20]:
                await other.write_event(event)
            text = await refusal(port, data)
            for event in said(NOVA)[20:]:
                await other.write_event(event)
            return text, await answers(other, 1)

    text, found = served(offered, work)
    assert re.search(told, text)
    assert text in capsys.readouterr().err
    assert found[0][0] == "detection"


def test_a_stream_that_breaks_off_inside_an_event_is_told_in_the_log(offered, capsys):
    async def work(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw({**CHUNK, "payload_length": 100}, b"abc"))
        writer.write_eof()
        await reader.read()
        writer.close()

    served(offered, work)
    assert "ends inside an event" in capsys.readouterr().err


def test_a_client_that_only_reads_on_gets_its_answers(offered):
    async def work(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for event in said(NOVA)[:-1]:
            await async_write_event(event, writer)
        writer.write_eof()
        told = await reader.read()
        writer.close()
        return told

    assert b'"type": "detection"' in served(offered, work)


def test_a_client_that_vanishes_disturbs_nobody(offered):
    async def work(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        for event in said(NOVA)[:5]:
            await async_write_event(event, writer)
        writer.transport.abort()
        return await hears(port, said(NOVA))

    assert served(offered, work)[0][0] == "detection"


def test_other_events_are_passed_over_and_a_ping_is_answered(offered):
    events = [Event("transcribe", {"language": "en"}), Ping(text="are you there").event()]

    assert served(offered, lambda port: hears(port, events)) == [("pong", None, None)]


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_client_that_sends_too_fast_waits_and_fills_no_memory(offered):
    pcm = bytes(1 << 19)

    async def work(port):
        async with client(port) as one:
            await one.write_event(chunk(pcm))
            gc.collect()
            before = rss_bytes()
            for _ in range(40):  # 20 MB, 11 minutes
                await one.write_event(chunk(pcm))
            grown = rss_bytes() - before
            await one.write_event(AudioStop().event())
            return grown, await answers(one, 1)

    grown, found = served(offered, work)
    assert found == [("not-detected", None, None)]
    assert grown < 12e6


def test_a_client_that_never_reads_is_not_written_to_without_end(offered):
    async def work(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)

        async def ask_for_ever():
            while True:
                writer.write(raw({"type": "describe"}) * 1_000)
                await writer.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask_for_ever(), 0.5)
        found = await hears(port, said(NOVA))
        writer.transport.abort()
        return found

    assert served(offered, work)[0][0] == "detection"


def test_the_end_of_the_server_ends_clients_in_the_middle_of_a_stream(offered):
    async def work(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for event in said(NOVA)[:5]:
            await async_write_event(event, writer)
        await asyncio.sleep(0.05)
        return reader, writer

    async def go():
        async with wyoming.serving(offered, "127.0.0.1", 0) as port:
            reader, writer = await work(port)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(go())


def test_a_port_in_use_is_one_clear_error(offered):
    async def work(port):
        with pytest.raises(WakesmithError, match=f"127.0.0.1:{port}: cannot be listened on.*--port"):
            async with wyoming.serving(offered, "127.0.0.1", port):
                pass

    served(offered, work)


def test_a_bundle_without_an_operating_point_is_refused(tmp_path):
    folder = tone_bundle.make(tmp_path / "open", {"hey nova": 1_000}, point=None)

    with pytest.raises(BundleError, match="open: no operating point yet"):
        wyoming.models({str(folder): Detector.load(folder)})


class Unreachable(socket.socket):
    def connect(self, address):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")


@pytest.mark.parametrize(("host", "why"), [("0.0.0.0", "Network is unreachable"), ("fd00::1", "hostname")])
def test_without_a_network_or_an_ipv4_address_there_is_nothing_to_announce(host, why, monkeypatch):
    pytest.importorskip("zeroconf", reason="zeroconf is not installed")

    async def go():
        monkeypatch.setattr(wyoming.socket, "socket", Unreachable)
        async with wyoming.announced(host, 10_999):
            pass

    with pytest.raises(WakesmithError, match=f"--zeroconf: {host} has no IPv4 address to announce .*{why}.*--host"):
        asyncio.run(go())


def test_two_bundles_of_one_phrase_are_refused(bundles, tmp_path):
    with pytest.raises(BundleError, match="'alexa' is heard by another bundle too"):
        wyoming.models({"a": Detector.load(bundles[1]), "b": Detector.load(bundles[1])})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_server_that_only_this_machine_reaches_is_not_announced(bundles, host):
    with pytest.raises(ConfigError, match=r"--host 0\.0\.0\.0"):
        serve.run(bundles, host=host, zeroconf=True)


def test_the_command_names_a_folder_that_is_no_bundle(capsys, tmp_path):
    assert guarded(lambda: app(["serve", str(tmp_path)], standalone_mode=False)) == 2
    assert "not a bundle" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(bundles, number):
    command = [sys.executable, "-m", "wakesmith.cli", "serve", *map(str, bundles), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        first = running.stderr.readline()
        port = int(re.search(r"hey_nova, stop, alexa at tcp://127.0.0.1:(\d+)", first).group(1))
        assert asyncio.run(hears(port, said(NOVA)))[0][0] == "detection"
        running.send_signal(number)
        _, rest = running.communicate(timeout=10)
    assert running.returncode == 0
    assert rest.endswith("stopped\n")


def test_serving_loads_no_torch(bundles):
    code = "import sys, wakesmith.runtime.wyoming, wakesmith.steps.serve; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.slow
def test_home_assistant_finds_the_server_and_no_longer_after_its_end():
    zeroconf = pytest.importorskip("zeroconf", reason="zeroconf is not installed")
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def changed(zeroconf, service_type, name, state_change):
        seen.put_nowait((state_change.name, name))

    async def go():
        async with AsyncZeroconf(interfaces=["127.0.0.1"]) as finder:
            AsyncServiceBrowser(finder.zeroconf, "_wyoming._tcp.local.", handlers=[changed])
            async with wyoming.announced("127.0.0.1", 10_999):
                added = await asyncio.wait_for(seen.get(), 5)
                info = zeroconf.ServiceInfo("_wyoming._tcp.local.", added[1])
                assert info.load_from_cache(finder.zeroconf)
            removed = await asyncio.wait_for(seen.get(), 5)
        return added, removed, info.port, info.parsed_addresses()

    added, removed, *where = asyncio.run(go())
    assert (added[0], removed[0]) == ("Added", "Removed")
    assert added[1] == removed[1]
    assert where == [10_999, ["127.0.0.1"]]
