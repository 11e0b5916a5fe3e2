"""Clients that err, dawdle, flood and crowd: each is answered or let go in bounded memory, and its neighbours lose nothing."""

import asyncio
import contextlib
import gc
import io
import random
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

pytest.importorskip("wyoming", reason="the extra `serve` is not installed")
from wyoming.event import async_write_event, read_event
from wyoming.info import Describe
from wyoming.ping import Ping

from tests import tone_bundle
from tests.test_serve import CHUNK, NOVA, START, answers, chunk, client, hears, raw, refusal, rss_bytes, said
from tests.tone_bundle import RATE_HZ, tone
from wakesmith import Detector, audio
from wakesmith.runtime import wyoming
from wakesmith.runtime.wyoming import Limits

DESCRIBE, DETECTS = Describe().event(), [("detection", "hey_nova", 1120)]


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, wyoming.Model]:
    folder = tone_bundle.make(tmp_path_factory.mktemp("bundles") / "one", {"hey nova": 1_000})
    return wyoming.models({str(folder): Detector.load(folder)})


def served(offered: dict[str, wyoming.Model], work: Callable[[int], Awaitable[object]], **limits: float) -> object:
    """What `work` gives, a coroutine of the port; nothing may go wrong unseen, and no task be left."""
    unseen: list[object] = []

    async def go() -> object:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        async with wyoming.serving(offered, "127.0.0.1", 0, Limits(**limits)) as port:
            found = await asyncio.wait_for(work(port), 60)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"
        gc.collect()  # a task that failed without being asked says so when it goes
        return found

    found = asyncio.run(go())
    assert unseen == []
    return found


async def spoilt(port: int, data: bytes) -> list[str]:
    """Types of the events that a client gets for bytes and an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    told = await reader.read()
    writer.close()
    return kinds(told)


def kinds(told: bytes) -> list[str]:
    """Types of the events in bytes."""
    stream = io.BytesIO(told)
    return [event.type for event in iter(lambda: read_event(stream), None)]


def wire(events: list) -> bytes:
    """Events with their data in the header, as `raw` writes them."""
    return b"".join(
        raw({"type": one.type, "data": one.data, "payload_length": len(one.payload or b"")}, one.payload or b"") for one in events
    )


def fuzzed(chance: random.Random, whole: bytes) -> bytes:
    """A good stream that was cut, flipped, doubled, or given another length; or bytes by chance."""
    data, at = bytearray(whole), chance.randrange(len(whole))
    kind = chance.randrange(6)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 5_000))
    if kind == 1:
        return bytes(data[:at])
    if kind == 2:
        for _ in range(chance.randrange(1, 40)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    if kind == 3:
        data[at:at] = data[chance.randrange(len(data)) :][:2_000]
    if kind == 4:
        lengths = (b"-1", b"1e9", b"99999999999999999999", b"null", b"[]", b"true", b'"x"', b"NaN", b"9" * 5_000)
        return bytes(data).replace(b'"payload_length": 2048', b'"payload_length": ' + chance.choice(lengths), 1)
    if kind == 5:
        values = (b"0", b"-16000", b"1.5", b"1e400", b"{}", b"null", b"[[[[]]]]", b"7999", b"4294967297")
        key = chance.choice((b'"rate": 16000', b'"width": 2', b'"channels": 1'))
        return bytes(data).replace(key, key.split(b" ")[0] + b" " + chance.choice(values))
    return bytes(data)


@pytest.mark.parametrize("n_streams", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_a_neighbour_of_fuzzed_streams_loses_nothing(offered, n_streams):
    chance, whole = random.Random(5), wire([DESCRIBE, Ping(text="x").event(), *said(NOVA[: 2 * RATE_HZ])])

    async def work(port):
        async def fuzz():
            return [await spoilt(port, fuzzed(chance, whole)) for _ in range(n_streams)]

        fuzzing, found = asyncio.create_task(fuzz()), []
        while not fuzzing.done():
            found.append(await hears(port, said(NOVA)))
        return found, await fuzzing

    found, told = served(offered, work)
    assert found == [DETECTS] * len(found)
    assert {"error", "info", "detection"} <= {kind for one in told for kind in one}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (rb'{"type": "ping", "data": {"text": "\ud800"}}' + b"\n", "ping: text must be a text"),
        (raw({"type": "ping", "data": {"text": ["x"]}}), "ping: text must be a text"),
        (raw({"type": "detect", "data": {"names": [["hey nova"]]}}), "names must be a list of names"),
        (raw({**START, "data": {"rate": 16_000, "width": True, "channels": 1}}), "must be whole numbers"),
        (raw({**CHUNK, "payload_length": 5}, bytes(5)), "5 bytes are no whole number of samples"),
    ],
)
def test_a_wrong_value_is_told(offered, data, told):
    assert told in served(offered, lambda port: refusal(port, data))


@pytest.mark.parametrize("depth", [100, 900, 990, 995, 30_000])
@pytest.mark.parametrize("place", ['{"type": "ping", "data": {"text": %s}}', '{"type": "detect", "data_length": %s}'])
def test_json_nested_to_any_depth_is_refused(offered, depth, place):
    data = (place % ("[" * depth + "]" * depth)).encode() + b"\n"

    assert served(offered, lambda port: spoilt(port, data)) == ["error"]


def test_a_client_that_sends_a_byte_at_a_time_is_answered(offered):
    async def work(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in wire([DESCRIBE, *said(NOVA[:400])]):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        writer.write_eof()
        told = await reader.read()
        writer.close()
        return kinds(told)

    assert served(offered, work) == ["info", "not-detected"]


@pytest.mark.parametrize("dribble", [b"", b" "])
def test_a_client_that_sends_no_whole_event_is_told_and_let_go(offered, dribble):
    async def work(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def write():
            while dribble:
                writer.write(dribble)
                await asyncio.sleep(0.02)

        writing = asyncio.create_task(write())
        told = await asyncio.wait_for(reader.read(), 5)
        writing.cancel()
        writer.close()
        return told

    assert b"no whole event came, or no answer was taken, in 0.2 s" in served(offered, work, idle_s=0.2)


def test_a_client_that_sends_now_and_then_stays(offered):
    async def work(port):
        async with client(port) as one:
            for _ in range(5):
                await asyncio.sleep(0.15)
                await one.write_event(Ping().event())
            return await answers(one, 5)

    assert served(offered, work, idle_s=0.4) == [("pong", None, None)] * 5


@pytest.mark.slow
def test_a_client_that_never_reads_is_let_go(offered, capsys):
    async def work(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError):  # the server has closed the connection
            while True:
                writer.write(raw({"type": "describe"}) * 1_000)
                await writer.drain()

    served(offered, work, idle_s=0.3)
    assert "no answer was taken, in 0.3 s" in capsys.readouterr().err


def test_a_client_too_many_is_told_so_and_served_once_another_has_gone(offered):
    async def work(port):
        async with client(port) as one, client(port) as two:
            for each in (one, two):
                await each.write_event(Ping().event())
                await answers(each, 1)
            told = await refusal(port, b"")
        while True:  # their places are free when the server has seen them go
            try:
                return told, await hears(port, said(NOVA))
            except (AssertionError, OSError):
                await asyncio.sleep(0.02)

    told, found = served(offered, work, clients=2)
    assert told == "2 clients are here already. Let one go, or serve with more: --clients."
    assert found[0][0] == "detection"


def test_a_crowd_at_the_door_costs_no_more_places_than_there_are_clients(offered):
    async def work(port):
        async with client(port) as one:
            await one.write_event(Ping().event())
            await answers(one, 1)
            crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
            await one.write_event(Ping().event())
            await answers(one, 1)
            n_tasks = len(asyncio.all_tasks())
            for _, writer in crowd:
                writer.transport.abort()
            return n_tasks

    assert served(offered, work, clients=1) <= 6


def test_a_hundred_clients_at_once_hear_each_its_own(offered):
    sounds = [tone(1_000, 0.3 + 0.02 * number, 0.5, 3.0) for number in range(100)]
    (one,) = offered.values()

    def expected(sound: np.ndarray):
        listener = one.detector.another()
        hits = [*listener.process(audio.to_int16(sound)), *listener.finish()]
        return [("detection", "hey_nova", round(hit.time_s * 1_000)) for hit in hits]

    async def work(port):
        return await asyncio.gather(*(hears(port, said(sound, 8_000)) for sound in sounds))

    assert served(offered, work) == [expected(sound) for sound in sounds]


@pytest.mark.parametrize(
    "flood",
    [
        raw({**CHUNK, "data": {"rate": 8_000, "width": 1, "channels": 1}, "payload_length": 1 << 20}, bytes(1 << 20)),
        raw({"type": "x"}) * 5_000,
    ],
    ids=["half an hour of sound a second", "events of nothing"],
)
def test_a_neighbour_of_floods_is_answered_at_once(offered, flood):
    async def pour(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(flood)
                await writer.drain()
        finally:
            writer.transport.abort()

    async def work(port):
        pouring = [asyncio.create_task(pour(port)) for _ in range(4)]
        await asyncio.sleep(0.3)
        waited_s = []
        async with client(port) as one:
            for _ in range(5):
                asked_s = time.monotonic()
                await one.write_event(Ping().event())
                await answers(one, 1)
                waited_s.append(time.monotonic() - asked_s)
        found = await hears(port, said(NOVA, 8_000))
        for task in pouring:
            task.cancel()
        await asyncio.gather(*pouring, return_exceptions=True)
        return waited_s, found

    waited_s, found = served(offered, work)
    assert found == DETECTS
    assert max(waited_s) < 1.0


def test_clients_with_the_largest_chunks_take_a_bounded_share_each(offered):
    n_clients, event = 8, chunk(bytes(1 << 20), 8_000, 1, 1)

    async def work(port):
        async def pour():
            async with client(port) as one:
                await one.write_event(event)
                await one.write_event(Ping().event())
                await answers(one, 1)

        await pour()
        gc.collect()
        before, most = rss_bytes(), 0
        pouring = asyncio.gather(*(pour() for _ in range(n_clients)))
        while not pouring.done():
            most = max(most, rss_bytes() - before)
            await asyncio.sleep(0.02)
        await pouring
        return most

    # Half of it is the clients': they live in this process, and each holds an event that it waits to send.
    assert served(offered, work) < n_clients * 4 * (1 << 20)


def test_the_server_ends_in_time_with_clients_of_every_kind(offered):
    async def work():
        async with wyoming.serving(offered, "127.0.0.1", 0) as port:
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
            for number, (_, writer) in enumerate(opened):
                if number % 4 == 0:  # one in four says nothing
                    continue
                for event in said(NOVA)[: 7 * number]:
                    await async_write_event(event, writer)
                if number % 4 == 1:  # breaks off inside an event
                    writer.write(b'{"type": "audio')
                if number % 4 == 2:  # never reads
                    writer.write(raw({"type": "describe"}) * 20_000)
            await asyncio.sleep(0.3)
            began_s = time.monotonic()
        took_s = time.monotonic() - began_s
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for _, writer in opened:
            writer.transport.abort()
        return took_s

    assert asyncio.run(work()) < 2 * wyoming.CLOSING_S
