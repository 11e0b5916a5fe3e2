"""Malformed inputs, the same each time and small: what is declared huge is a header or a sparse file.

`corpus()` gives the sounds, manifests and settings of this file, and the weights, models and cards of `hostile_models`.
"""
# ruff: noqa: E501 (tables: an input a line)

import dataclasses
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

MARKER = "ran"
"""A file of this name would be the work of a payload."""
RATE = 16_000


@dataclass(frozen=True)
class Hostile:
    """One input. `make` writes it into an empty folder and names what a user would give."""

    name: str
    kind: str
    make: Callable[[Path], Path]
    may: str = "error"
    """error: refused with a message; quarantine: left out with a reason, and refused where it is given alone; use: harmless,
    so it may be used as it is, or be told as one of the others."""


def corpus() -> list[Hostile]:
    from tests import hostile_models

    return [*sounds(), *manifests(), *settings(), *hostile_models.all_of_them()]


def plain(kind: str, name: str, data: bytes, file: str, may: str = "error") -> Hostile:
    """An input that is the bytes of one file."""

    def make(folder: Path) -> Path:
        (folder / file).write_bytes(data)
        return folder / file

    return Hostile(name, kind, make, may)


def sparse(kind: str, name: str, head: bytes, n_bytes: int, file: str, may: str = "error") -> Hostile:
    """A head, and then zeros that take no room on disk."""

    def make(folder: Path) -> Path:
        with (folder / file).open("wb") as made:
            made.write(head)
            made.truncate(n_bytes)
        return folder / file

    return Hostile(name, kind, make, may)


def flipped(data: bytes, seed: int, n_bits: int, within: int | None = None) -> bytes:
    """Some bits of the first bytes turned over by chance."""
    rng, made = np.random.default_rng(seed), bytearray(data)
    for place in rng.integers(0, 8 * min(len(made), within or len(made)), n_bits):
        made[place // 8] ^= 1 << place % 8
    return bytes(made)


# Sounds


def tone(n_samples: int = 8_000) -> np.ndarray:
    return (0.3 * np.sin(np.arange(n_samples) * 0.2)).astype(np.float32)


def wav(
    data: bytes | None = None, rate_hz: int = RATE, channels: int = 1, bits: int = 16, tag: int = 1, data_bytes: int | None = None,
    riff_bytes: int | None = None, align: int | None = None, fmt_bytes: int = 16, extra: bytes = b"",
) -> bytes:  # fmt: skip
    """A WAV file whose header may say anything."""
    data = (tone() * 32_767).astype("<i2").tobytes() if data is None else data
    align = channels * bits // 8 & 0xFFFF if align is None else align
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align & 0xFFFFFFFF, align, bits) + extra
    size = len(data) if data_bytes is None else data_bytes
    body = b"WAVEfmt " + struct.pack("<I", fmt_bytes + len(extra)) + fmt + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff_bytes is None else riff_bytes) + body


def encoded(format: str, subtype: str | None = None) -> bytes:
    import io

    file = io.BytesIO()
    soundfile.write(file, tone(), RATE, format=format, subtype=subtype)
    return file.getvalue()


def sounds() -> Iterator[Hostile]:
    yield from _cut_sounds()
    yield from _headers()
    yield from _samples()
    yield from _strangers()
    yield from _huge_sounds()
    yield from _links()
    yield from _names()


def _cut_sounds() -> Iterator[Hostile]:
    for n in (0, 1, 4, 8, 11, 12, 16, 20, 24, 32, 36, 40, 43, 44, 45, 46, 60, 1_000, 8_000, 16_042, 16_043):
        yield plain("audio", f"wav cut at {n}", wav()[:n], "cut.wav", "quarantine")
    for format in ("FLAC", "AIFF", "RF64", "W64", "AU", "CAF"):
        whole = encoded(format)
        for n in (4, 20, len(whole) // 4, len(whole) // 2, len(whole) - 1):
            ending = "flac" if format == "FLAC" else "wav"  # by their content, whatever they are called
            yield plain("audio", f"{format} cut at {n}", whole[:n], f"cut.{ending}", "quarantine")
    for format in ("OGG", "MP3"):  # their length lies in the pages that are there: shorter is whole
        whole = encoded(format)
        for n in (4, 30, 60, len(whole) // 4, len(whole) // 2, len(whole) - 1):
            yield plain("audio", f"{format} cut at {n}", whole[:n], f"cut.{format.lower()}", "use")
    for format in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        whole, within = encoded(format), 80 if format in ("WAV", "AIFF") else None
        for seed in range(12):
            yield plain("audio", f"{format} with bits turned {seed}", flipped(whole, seed, 12, within), f"bits{seed}.wav", "use")


def _headers() -> Iterator[Hostile]:
    def one(name: str, may: str = "quarantine", **says: object) -> Hostile:
        return plain("audio", f"wav that says {name}", wav(**says), "header.wav", may)

    for rate_hz in (0, 1, 100, 3_999, 400_000, 10_000_000, 2**31 - 1, 2**31, 2**32 - 1):
        yield one(f"{rate_hz} Hz", rate_hz=rate_hz)
    for channels in (0, 33, 64, 1_024, 1_025, 65_535):
        yield one(f"{channels} channels", channels=channels)
    for bits in (0, 1, 7, 9, 12, 33, 48, 64, 128, 255, 65_535):
        yield one(f"{bits} bits", "use", bits=bits)
    for tag in (0, 2, 3, 0x11, 0x31, 0x55, 0x1234, 0xFFFE, 0xFFFF):
        yield one(f"format {tag:#x}", "use", tag=tag)
        yield one(f"format {tag:#x} in blocks of none", "use", tag=tag, align=0)
    for size in (16_001, 2**31 - 1, 2**31, 2**32 - 2):
        yield one(f"{size} bytes of sound", data_bytes=size)
    for size in (0, 1, 2**32 - 1):
        yield one(f"{size} bytes of sound, as a pipe may", "use", data_bytes=size)
        yield one(f"{size} bytes in all", "use", riff_bytes=size)
    for size in (0, 1, 14, 15, 2**31, 2**32 - 1):
        yield one(f"{size} bytes of format", "use", fmt_bytes=size)
    body = wav()
    parts = {
        "no format": b"RIFF\x00\x01\x00\x00WAVE" + body[36:],
        "no sound": body[:36],
        "two formats": body[:36] + wav(rate_hz=7)[12:36] + body[36:],
        "sound before its format": body[:12] + body[36:] + body[12:36],
        "ten thousand empty chunks": body[:36] + b"JUNK\x00\x00\x00\x00" * 10_000 + body[36:],
        "a chunk of 4 GB": body[:36] + b"LIST\xff\xff\xff\xff" + body[36:],
        "its own end inside a chunk": body[:36] + b"JUNK\xf8\xff\xff\xff" + body[36:],
        "big-endian sizes": b"RIFX" + body[4:],
    }
    for name, data in parts.items():
        yield plain(
            "audio", f"wav with {name}", data, "chunks.wav", "use" if name.startswith(("ten", "two", "a ch")) else "quarantine"
        )


def _samples() -> Iterator[Hostile]:
    for name, value in {"NaN": np.nan, "inf": np.inf, "-inf": -np.inf, "1e38": 1e38, "-3e38": -3e38, "1e-42": 1e-42}.items():
        for where in (0, 3_999, slice(None)):
            for rate_hz in (16_000, 8_000):
                sound = tone(4_000)
                sound[where] = value
                data = wav(sound.astype("<f4").tobytes(), rate_hz, bits=32, tag=3)
                yield plain(
                    "audio", f"{name} at {where}, {rate_hz} Hz", data, "samples.wav", "quarantine" if "e-" not in name else "use"
                )
    for value in (1e300, np.nan):
        yield plain(
            "audio", f"{value} in 64 bits", wav(np.full(4_000, value).tobytes(), bits=64, tag=3), "double.wav", "quarantine"
        )
    yield plain("audio", "silence", wav(bytes(16_000)), "silent.wav", "use")
    yield plain("audio", "a single sample", wav(b"\x00\x40"), "one.wav", "use")


def _strangers() -> Iterator[Hostile]:
    others = {
        "text": b"hello, this is no sound\n" * 50, "html": b"<!doctype html><script>alert(1)</script>", "zeros": bytes(5_000),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(200), "zip": b"PK\x03\x04" + bytes(200), "elf": b"\x7fELF" + bytes(200),
        "pdf": b"%PDF-1.7\n" + bytes(200), "json": b'{"path": "a.wav"}', "shell": b"#!/bin/sh\ntouch ran\n",
        "noise": np.random.default_rng(5).bytes(5_000), "empty": b"", "id3": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(100),
    }  # fmt: skip
    for name, data in others.items():
        for ending in ("wav", "mp3", "flac", "raw", "au", "vox"):
            yield plain("audio", f"{name} called .{ending}", data, f"stranger.{ending}", "quarantine")
    for ending in ("mp3", "flac", "ogg", "opus", "raw", "txt"):
        yield plain("audio", f"wav called .{ending}", wav(), f"sound.{ending}", "use")


def _huge_sounds() -> Iterator[Hostile]:
    flac = bytearray(encoded("FLAC"))
    flac[21:26] = bytes([flac[21] | 0x0F, 255, 255, 255, 255])
    yield plain("audio", "flac of 2^36 samples", bytes(flac), "huge.flac", "quarantine")
    for rate_hz, channels, bits in ((384_000, 1, 16), (8_000, 1, 8), (192_000, 2, 16), (48_000, 1, 8), (16_000, 32, 16)):
        head = wav(b"", rate_hz, channels, bits, data_bytes=2**32 - 1_000, riff_bytes=2**32 - 1)
        yield sparse("audio", f"4 GB of {rate_hz} Hz, {channels} channels", head, 2**32, "huge.wav", "quarantine")
    ds64 = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 2**62, 2**62, 2**61, 0)
    yield plain("audio", "rf64 of 2^62 bytes", ds64 + wav()[12:40] + b"\xff\xff\xff\xff" + wav()[44:], "huge.wav", "quarantine")
    for format, at in (("AIFF", 22), ("W64", 16), ("AU", 8), ("CAF", 60)):
        whole = bytearray(encoded(format))
        whole[at : at + 4] = b"\x7f\xff\xff\xff"
        yield plain("audio", f"{format} that says it is huge", bytes(whole), "huge.wav", "use")
    yield sparse("audio", "64 GB of nothing", b"", 2**36, "hole.wav", "quarantine")
    yield sparse("audio", "64 GB after RIFF", b"RIFF\xff\xff\xff\xffWAVE", 2**36, "hole.wav", "quarantine")


def _links() -> Iterator[Hostile]:
    def linked(name: str, target: str, may: str = "quarantine", **beside: object) -> Hostile:
        def make(folder: Path) -> Path:
            for other, where in beside.items():
                (folder / f"{other}.wav").symlink_to(str(where))
            (folder / "link.wav").symlink_to(target)
            return folder / "link.wav"

        return Hostile(name, "audio", make, may)

    yield linked("a link to itself", "link.wav")
    yield linked("links in a circle", "other.wav", other="link.wav")
    yield linked("a link to nothing", "nowhere.wav")
    yield linked("a link to its folder", ".")
    yield linked("a link to endless zeros", "/dev/zero")
    yield linked("a link to chance", "/dev/urandom")
    yield linked("a link to a long way", "x/../" * 500 + "y.wav")

    def other(name: str, make_it: Callable[[Path], object]) -> Hostile:
        def make(folder: Path) -> Path:
            make_it(folder / "thing.wav")
            return folder / "thing.wav"

        return Hostile(name, "audio", make, "quarantine")

    def bound(path: Path) -> None:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)

    yield other("a folder called .wav", Path.mkdir)
    yield other("a pipe that nobody fills", os.mkfifo)
    yield other("a socket", bound)

    def circle(folder: Path) -> Path:
        (folder / "deep").mkdir()
        (folder / "deep" / "again").symlink_to(folder)
        (folder / "whole.wav").write_bytes(wav())
        return folder / "whole.wav"

    yield Hostile("a folder that holds itself", "audio", circle, "use")


def _names() -> Iterator[Hostile]:
    names: list[bytes | str] = [
        "new\nline.wav", "re\rturn.wav", "\x1b[31mred.wav", "\x1b]0;title\x07.wav", "bell\x07.wav", "tab\there.wav", b"\xff\xfe.wav",
        "größe.wav".encode("latin-1"), "日本.wav".encode("shift-jis"), b"\xed\xa0\x80.wav", "a" * 251 + ".wav", "é" * 125 + ".wav",
        "-rf.wav", "--help.wav", "-.wav", "$(touch ran).wav", ";touch ran;.wav", "`touch ran`.wav", "| touch ran.wav", "%s%n%x.wav",
        "{0.__class__}.wav", "\u202egnp.wav", "\u200b.wav", "🎤.wav", "e\u0301.wav", " .wav", " lead.wav", "...wav", "a\\..\\b.wav",
        "C:\\x.wav", "a'b\"c.wav", "<script>.wav", "CON.wav", "~.wav", "*?.wav", "[rich].wav", "[bold red]x.wav", "\x7f.wav", "\x85.wav",
        "a@b+partial.wav", "\u2028line.wav", "x.WAV", "x.wav.wav",
    ]  # fmt: skip
    for number, name in enumerate(names):
        raw = name if isinstance(name, bytes) else name.encode()

        def make(folder: Path, raw: bytes = raw) -> Path:
            path = Path(os.fsdecode(os.fsencode(folder) + b"/" + raw))
            path.write_bytes(wav())
            return path

        yield Hostile(f"name {number} {name!r}"[:60], "audio", make, "use")
        cut = Hostile(f"name {number} of a broken file", "audio", lambda folder, make=make: _broken(make(folder)), "quarantine")
        yield cut
    yield Hostile("a name that no disk takes", "audio", lambda folder: folder / ("n" * 5_000 + ".wav"), "quarantine")
    yield Hostile("a name with a zero", "audio", lambda folder: folder / "a\x00b.wav", "quarantine")


def _broken(path: Path) -> Path:
    path.write_bytes(wav()[:1_000])
    return path


# Manifests


def manifests() -> Iterator[Hostile]:
    good = "path,label\nok.wav,speech\n"
    csvs: dict[str, tuple[bytes, str]] = {
        "nothing": (b"", "error"), "a header alone": (b"path,label\n", "error"), "no path column": (b"file,label\nok.wav,speech\n", "error"),
        "no path column after an empty line": (b"\n\nfile,label\nok.wav,speech\n", "error"),
        "latin-1": ("path,label\nöl.wav,speech\n".encode("latin-1"), "error"), "utf-16": (good.encode("utf-16"), "error"),
        "utf-32": (good.encode("utf-32"), "error"), "utf-16 without a mark": (good.encode("utf-16-le"), "error"),
        "cp037": (good.encode("cp037"), "error"), "zeros inside": (b"path,label\no\x00k.wav,speech\n", "error"),
        "zeros alone": (bytes(3_000), "error"), "too many fields": (b"path,label\nok.wav,speech,more,more\n", "error"),
        "too few fields": (b"path,label,text\nok.wav\n", "error"), "an open quote": (b'path,label\n"ok.wav,speech\n', "error"),
        "a field of 200 kB": (b"path,label\n" + b"a" * 200_000 + b",speech\n", "error"),
        "a line of 3 MB": (b"path,label\n" + b"a" * 3_000_000, "error"), "a label of no one": (b"path,label\nok.wav,alien\n", "error"),
        "the same column twice": (b"path,path,label\nok.wav,no.wav,speech\n", "error"), "ten thousand columns": (b"a," * 10_000 + b"b\n", "error"),
        "text": (b"hello\nworld\n", "error"), "binary": (np.random.default_rng(2).bytes(4_000), "error"),
        "a formula": (b'path,label\n"=cmd|\' /C calc\'!A1",speech\n', "quarantine"), "return as the end of lines": (b"path,label\rok.wav,speech\r", "use"),
    }  # fmt: skip
    for name, (data, may) in csvs.items():
        yield _beside_a_sound(plain("manifest", f"csv with {name}", data, "manifest.csv", may))
    outside = [
        "../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/mem", "a/../../b.wav", "..", "", "..\\..\\b.wav", "\\etc\\passwd",
        "//server/share.wav", "./../x.wav", "out/x.wav", "out.wav",
    ]  # fmt: skip
    for path in outside:
        yield _rows(f"a path outside: {path!r}", [{"path": path, "label": "speech"}])
    for path in (
        "pipe.wav",
        "loop.wav",
        "sub",
        "C:\\x.wav",
        "a" * 300,
        "a/" * 3_000 + "b",
        "no.wav",
        "file:///etc/passwd",
        "\x1b[2J",
        "né\ud800e",
        "~root",
    ):
        may = "error" if path == "né\ud800e" else "use" if path == "~root" else "quarantine"
        yield _rows(f"a path to what is no sound: {path[:20]!r}", [{"path": path, "label": "speech"}], may)
    yield _rows("a path with a zero", [{"path": "a\x00b.wav", "label": "speech"}])
    for value in (1, None, True, [1], {"a": 1}, 1.5, "NaN"):
        yield _rows(f"a path that is {value!r}", [{"path": value, "label": "speech"}], "error" if value is None else "quarantine")
    for value in (None, 3, ["wake"], {}):
        yield _rows(f"a label that is {value!r}", [{"path": "ok.wav", "label": value}])
    for end in ("1e308", "inf", "nan", "-1", "x", "1e400", "9" * 5_000, "0", "１", "1_0"):
        may = "use" if end in ("１", "1_0") else "quarantine" if end == "9" * 5_000 else "error"
        yield _rows(
            f"a phrase that ends at {end[:6]}",
            [{"path": "ok.wav", "label": "wake", "phrase_start_s": "0", "phrase_end_s": end}],
            may,
        )
    yield _rows("a phrase that ends in a day", [{"path": "ok.wav", "label": "wake", "phrase_end_s": "86400"}], "quarantine")
    for split in ("holdout", "TRAIN", "train\n"):
        yield _rows(f"a split {split!r}", [{"path": "ok.wav", "label": "speech", "split": split}])
    lines = {
        "nested lists": b"[" * 100_000, "nested rows": b'{"path":' * 50_000, "a nested value": b'{"path": "ok.wav", "x": ' + b"[" * 900 + b"]" * 900 + b"}",
        "a number of 5000 digits": b'{"path": ' + b"9" * 5_000 + b"}", "1e999": b'{"path": "ok.wav", "label": 1e999}', "NaN": b'{"path": NaN, "label": "speech"}',
        "a list": b'["ok.wav"]', "half a row": b'{"path": "ok', "two rows in one": b'{"path": "ok.wav"}{"path": "ok.wav"}', "utf-16": '{"path": "a"}'.encode("utf-16"),
        "a surrogate": b'{"path": "\\ud800.wav", "label": "speech"}', "a surrogate as text": b'{"path": "ok.wav", "label": "speech", "text": "\\udfff"}',
        "a surrogate as speaker": b'{"path": "ok.wav", "label": "speech", "speaker": "\\udfff"}', "zeros": bytes(100), "an empty row": b"{}",
        "twice the same key": b'{"path": "ok.wav", "path": "no.wav", "label": "speech"}', "a line of 3 MB": b'{"path": "' + b"a" * 3_000_000 + b'"}',
        "blank lines and no path": b'\n\n{"file": "ok.wav"}',
    }  # fmt: skip
    for name, data in lines.items():
        may = (
            "use"
            if name in ("a nested value", "a surrogate as text", "twice the same key")
            else "quarantine"
            if name == "NaN"
            else "error"
        )
        yield _beside_a_sound(plain("manifest", f"jsonl with {name}", data, "manifest.jsonl", may))
    for ending in ("csv", "jsonl"):
        yield sparse("manifest", f"{ending} of 64 GB of zeros", b"", 2**36, f"manifest.{ending}")
        yield sparse("manifest", f"{ending} of 64 GB after a row", good.encode(), 2**36, f"manifest.{ending}")
        yield Hostile(
            f"{ending} that is a folder", "manifest", lambda folder, e=ending: _made(folder / f"manifest.{e}", Path.mkdir)
        )
        yield Hostile(f"{ending} that is a pipe", "manifest", lambda folder, e=ending: _made(folder / f"manifest.{e}", os.mkfifo))
        yield Hostile(
            f"{ending} that is a link to itself",
            "manifest",
            lambda folder, e=ending: _made(folder / f"manifest.{e}", lambda p: p.symlink_to(p)),
        )
    yield Hostile("a manifest with a zero in its name", "manifest", lambda folder: folder / "a\x00.csv")
    yield Hostile("a manifest whose name no disk takes", "manifest", lambda folder: folder / ("n" * 5_000 + ".csv"))
    yield Hostile("a manifest that is a device", "manifest", lambda folder: Path("/dev/zero"))
    yield plain("manifest", "a workbook", b"PK\x03\x04" + bytes(200), "manifest.xlsx")


def _made(path: Path, make: Callable[[Path], object]) -> Path:
    make(path)
    return path


def _beside_a_sound(one: Hostile) -> Hostile:
    def make(folder: Path) -> Path:
        (folder / "ok.wav").write_bytes(wav())
        return one.make(folder)

    return dataclasses.replace(one, make=make)


def _rows(name: str, rows: list[dict[str, object]], may: str = "error") -> Hostile:
    """A JSONL manifest beside a whole sound, a pipe, a link to itself, and two links out."""

    def make(folder: Path) -> Path:
        (folder / "ok.wav").write_bytes(wav())
        os.mkfifo(folder / "pipe.wav")
        (folder / "sub").mkdir()
        (folder / "loop.wav").symlink_to("loop.wav")
        (folder / "out").symlink_to("/")
        (folder / "out.wav").symlink_to("/dev/zero")
        path = folder / "manifest.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return Hostile(f"row with {name}", "manifest", make, may)


# Settings


def settings() -> Iterator[Hostile]:
    ran = f"touch {MARKER}"
    texts: dict[str, str] = {
        "a python call": f"phrase: !!python/object/apply:os.system ['{ran}']", "a python name": "phrase: !!python/name:os.system",
        "a python module": "phrase: !!python/module:os", "a python object": "student: !!python/object:builtins.dict {}",
        "a python object made anew": f"phrase: !!python/object/new:os.system ['{ran}']", "a tag of its own": "phrase: !wake hey",
        "a tuple": "phrase: !!python/tuple [a, b]", "nested lists": "a: " + "[" * 5_000, "nested keys": "{a: " * 3_000, "nested lines": "".join("  " * i + "a:\n" for i in range(500)),
        "a bomb of lists": _bomb("[{0},{0},{0},{0},{0},{0},{0},{0},{0}]"), "a bomb of keys": _bomb("{{a: {0}, b: {0}, c: {0}, d: {0}, e: {0}}}"),
        "a bomb of merges": _bomb("{{<<: [{0},{0},{0},{0},{0},{0},{0},{0},{0}]}}", "{k: v}"), "a list that holds itself": "phrase: &a [*a]",
        "keys that hold themselves": "student: &a {name: *a}", "a merge with itself": "&a {<<: *a}", "an alias of nothing": "phrase: *nobody",
        "a number of 5000 digits": "seed: " + "9" * 5_000, "a hexadecimal of 5000 digits": "seed: 0x" + "f" * 5_000, "a number to the base of 60": "seed: 1" + ":59" * 3_000,
        "a number without digits": "seed: !!int ''", "a word for a number": "seed: !!float x", "no truth": "seed: !!bool x", "no time": "seed: !!timestamp x",
        "a day that is none": "seed: 2001-99-99", "a time that is none": "seed: 2001-01-01 99:99:99", "no bytes": "seed: !!binary '*'", "infinity": "train: {lr: .inf}", "nan": "train: {lr: .nan}",
        "a negative seed": "seed: -1", "a seed of 2^200": f"seed: {2**200}", "the same key twice": "seed: 1\nseed: 2", "the same key twice inside": "train: {steps: 1, steps: 2}",
        "a number as a key": "1: 2", "nothing as a key": "~: 2", "a list as a key": "? [a]\n: b", "keys as a key": "{a: 1}: b", "a list": "- a\n- b", "a word": "hello", "a number": "3",
        "two documents": "seed: 1\n---\nseed: 2", "a tab": "a:\n\tb: 1", "an open quote": 'a: "b', "an open brace": "a: {b", "a control character": "a: \x01", "a zero": "a: \x00",
        "half a surrogate": 'phrase: "\\ud800 hey"', "a key of 100 kB": "a" * 100_000 + ": 1", "20000 unknown keys": "".join(f"k{i}: 1\n" for i in range(20_000)),
        "an unknown part": "student: {name: ../../etc/passwd}", "a part with a module's name": "student: os", "a part that is hidden": "student: _streaming", "a part with dots": "student: ds_cnn.os",
        "another kind of part": "student: {name: [a]}", "nothing for a section": "train:", "a word for a section": "train: fast", "a list for a section": "train: [1]", "no phrase": "phrase: ''",
        "a phrase of marks": "phrase: '!!!'", "a phrase that is keys": "phrase: {a: b}", "a phrase of a million letters": "phrase: " + "a" * 1_000_000, "an escape": 'student: "\\e[2J"',
        "a source that is a number": "data: {sources: [3]}", "a source without a path": "data: {sources: [{name: wav_folders}]}", "a pattern that never ends": "data: {sources: [{name: wav_folders, path: a, speaker_pattern: '('}]}",
        "sizes of a planet": "student: {name: ds_cnn, width: 1000000000000}", "no steps": "train: {steps: 0}",
    }  # fmt: skip
    use = {"two documents"}
    for name, text in texts.items():
        yield plain("yaml", name, text.encode("utf-8", "surrogatepass"), "recipe.yaml", "use" if name in use else "error")
    for encoding in ("utf-16", "utf-32", "latin-1", "cp037"):
        yield plain("yaml", f"in {encoding}", "phrase: hé\n".encode(encoding), "recipe.yaml")
    yield plain("yaml", "binary", np.random.default_rng(3).bytes(3_000), "recipe.yaml")
    yield sparse("yaml", "64 GB of zeros", b"seed: 1\n", 2**36, "recipe.yaml")
    yield Hostile("a folder", "yaml", lambda folder: _made(folder / "recipe.yaml", Path.mkdir))
    yield Hostile("a pipe", "yaml", lambda folder: _made(folder / "recipe.yaml", os.mkfifo))
    yield Hostile("a link to itself", "yaml", lambda folder: _made(folder / "recipe.yaml", lambda p: p.symlink_to(p)))
    yield Hostile("a device", "yaml", lambda folder: _made(folder / "recipe.yaml", lambda p: p.symlink_to("/dev/zero")))


def _bomb(pattern: str, first: str = "[x]", levels: int = 9) -> str:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} " + pattern.format(f"*a{i - 1}") for i in range(1, levels)]
    return "\n".join([*lines, f"phrase: *a{levels - 1}"])
