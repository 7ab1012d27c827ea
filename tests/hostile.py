"""Files that mean harm, made from seeds: good ones with bytes changed, bombs, lies, and what is something else."""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from samples import moving, scene, tone, write_sound

SOUNDS = {"wav": "pcm_s16le", "flac": "flac", "ogg": "libopus", "m4a": "aac", "mp3": "libmp3lame"}
CLIPS = {"mp4": "libx264", "mkv": "libx264", "webm": "libvpx", "avi": "mpeg4", "mov": "libx265", "ts": "libx264"}
PHOTOS = ("jpg", "png", "webp", "bmp", "tiff", "gif")
NAMES = (
    "a face.{}",
    "-rf.{}",
    "--help.{}",
    "ü 日本 'q\" .{}",
    "$(touch pwned).{}",
    "; rm -rf ~ #.{}",
    "%s%n{{0}}.{}",
    "concat:a|b.{}",
    "http:__x.{}",
    "new\nline.{}",
    "\u202egpj.{}",
    "\udcff.{}",
    "." * 40 + ".{}",
    "x" * 240 + ".{}",
)


def picture() -> np.ndarray:
    """Coloured noise (h, w, 3), which compresses badly and so gives codecs something to do."""
    noise = np.random.default_rng(0).integers(0, 60, (80, 96, 3), np.uint8)
    return scene(96, 80) // 2 + noise


def photo(ending: str) -> bytes:
    """A good photo."""
    with io.BytesIO() as stream:
        Image.fromarray(picture()).save(stream, {"jpg": "jpeg"}.get(ending, ending))
        return stream.getvalue()


def sound(ending: str, folder: Path) -> bytes:
    """A good recording of a second and a half."""
    return write_sound(folder / f"good.{ending}", tone(1.5, 48000)[None], 48000, SOUNDS[ending]).read_bytes()


def clip(codec: str, ending: str, folder: Path, size: tuple[int, int] = (96, 64), frames: int = 20) -> bytes:
    """A good clip with a tone, where its container takes one."""
    path = folder / f"good {size[0]}.{ending}"
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast"} if codec.startswith("libx26") else {}
        video = container.add_stream(codec, rate=25, width=size[0], height=size[1], pix_fmt="yuv420p", options=options)
        track = None if ending == "webm" or frames < 20 else container.add_stream("aac", rate=48000, layout="mono")
        for frame in moving(frames, *size):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode(None))
        if track is not None:
            samples = av.AudioFrame.from_ndarray(tone(0.8, 48000)[None], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 48000, 0, Fraction(1, 48000)
            container.mux([*track.encode(samples), *track.encode(None)])
    return path.read_bytes()


def mutated(good: bytes, seed: int) -> bytes:
    """A good file with one thing wrong, or a few."""
    random = np.random.default_rng(seed)
    bad = bytearray(good)
    for _ in range(random.integers(1, 4)):
        _MUTATIONS[random.integers(len(_MUTATIONS))](bad, random)
    return bytes(bad)


def _flip_head(bad: bytearray, random: np.random.Generator) -> None:
    for at in random.integers(0, min(len(bad), 300), 6):
        bad[at] = random.integers(256)


def _flip_anywhere(bad: bytearray, random: np.random.Generator) -> None:
    for at in random.integers(0, len(bad), 20):
        bad[at] ^= 1 << int(random.integers(8))


def _cut(bad: bytearray, random: np.random.Generator) -> None:
    del bad[random.integers(1, len(bad)) :]


def _lie(bad: bytearray, random: np.random.Generator) -> None:
    """A number of four bytes becomes an extreme one."""
    at = int(random.integers(0, max(1, min(len(bad) - 4, 2000))))
    bad[at : at + 4] = struct.pack(">I", random.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF]))


def _repeat(bad: bytearray, random: np.random.Generator) -> None:
    begin = int(random.integers(len(bad)))
    bad[begin:begin] = bad[begin : begin + int(random.integers(1, 2000))] * int(random.integers(1, 20))


def _remove(bad: bytearray, random: np.random.Generator) -> None:
    begin = int(random.integers(1, len(bad)))
    del bad[begin : begin + int(random.integers(1, 200))]


def _blank(bad: bytearray, random: np.random.Generator) -> None:
    begin = int(random.integers(len(bad)))
    length = min(int(random.integers(1, 500)), len(bad) - begin)
    bad[begin : begin + length] = bytes([random.choice([0, 255])]) * length


_MUTATIONS = (_flip_head, _flip_anywhere, _cut, _lie, _repeat, _remove, _blank)


def _png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 1-bit grey that says this size, whatever is in it."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _rows(width: int, height: int) -> bytes:
    return zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)


def picture_bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that say or unfold to a huge picture, and headers that lie."""
    yield "13000.png", _png(13000, 13000, (b"IDAT", _rows(13000, 13000)))
    yield "99 megapixels.png", _png(11000, 9000, (b"IDAT", _rows(11000, 9000)))
    yield "lying 9999.png", _png(9999, 9999, (b"IDAT", _rows(64, 64)))
    yield "lying 64.png", _png(64, 64, (b"IDAT", _rows(13000, 13000)))
    for width, height in ((0, 0), (0x7FFFFFFF, 0x7FFFFFFF), (0xFFFFFFFF, 1), (1_000_000, 64), (64, 1_500_000)):
        yield f"{width} x {height}.png", _png(width, height, (b"IDAT", _rows(64, 64)))
    text = b"Comment\0\0" + zlib.compress(bytes(200 << 20), 9)
    yield "text bomb.png", _png(96, 80, (b"zTXt", text), (b"IDAT", _rows(96, 80)))
    profile = b"icc\0\0" + zlib.compress(bytes(200 << 20), 9)
    yield "profile bomb.png", _png(96, 80, (b"iCCP", profile), (b"IDAT", _rows(96, 80)))
    gif = bytearray(photo("gif"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    yield "wide.gif", bytes(gif)
    jpeg = bytearray(photo("jpg"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65500, 65500)
    yield "wide.jpg", bytes(jpeg)
    jpeg[at : at + 4] = struct.pack(">HH", 9900, 9900)
    yield "hollow.jpg", bytes(jpeg)
    bmp = bytearray(photo("bmp"))
    bmp[18:26] = struct.pack("<ii", -96, -80)
    yield "negative.bmp", bytes(bmp)
    bmp[18:26] = struct.pack("<ii", 9000, 9000)
    yield "hollow.bmp", bytes(bmp)
    yield "bomb.tiff", _tiff(12000, 8000)


def _tiff(width: int, height: int) -> bytes:
    with io.BytesIO() as stream:
        Image.new("1", (width, height)).save(stream, "TIFF", compression="group4")
        return stream.getvalue()


def sound_bombs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Recordings whose headers lie."""
    wav = sound("wav", folder)
    at = wav.index(b"fmt ") + 8
    for name, offset, value in (
        ("no channels", 2, struct.pack("<H", 0)),
        ("many channels", 2, struct.pack("<H", 65535)),
        ("no rate", 4, struct.pack("<I", 0)),
        ("slow", 4, struct.pack("<I", 1)),
        ("fast", 4, struct.pack("<I", 0xFFFFFFFF)),
        ("no block", 12, struct.pack("<H", 0)),
        ("no bits", 14, struct.pack("<H", 0)),
    ):
        yield f"{name}.wav", wav[: at + offset] + value + wav[at + offset + len(value) :]
    length = wav.index(b"data") + 4
    yield "four gigabytes.wav", wav[:length] + b"\xff\xff\xff\xfe" + wav[length + 4 :]
    flac = bytearray(sound("flac", folder))
    flac[21:26] = b"\xff" * 5
    yield "endless.flac", bytes(flac)
    quiet = write_sound(folder / "hours.flac", np.zeros((1, 8000 * 3600), np.float32), 8000, "flac").read_bytes()
    yield "an hour.flac", quiet


def clip_bombs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Clips that are huge once decoded, and headers that lie about length, rate and size."""
    huge = clip("libx264", "mp4", folder, (8192, 4320), 3)
    yield "8k.mp4", huge
    size = struct.pack(">HH", 8192, 4320)
    yield "8k that says 64.mp4", huge.replace(size, struct.pack(">HH", 64, 64))
    yield "5k.gif", _gif(5000, 5000)
    yield "turning 8k.ts", clip("libx264", "ts", folder) + clip("libx264", "ts", folder, (8192, 4320), 2)
    yield "turning.ts", clip("libx264", "ts", folder) + clip("libx264", "ts", folder, (320, 240))
    good = clip("libx264", "mp4", folder)
    for box, offset, name in ((b"mvhd", 16, "film"), (b"mdhd", 16, "track"), (b"tkhd", 20, "head")):
        for value in (0xFFFFFFFF, 0x7FFFFFFF, 0):
            at = good.index(box) + 4 + offset
            yield f"{name} of {value}.mp4", good[:at] + struct.pack(">I", value) + good[at + 4 :]
    at = good.index(b"stts") + 8
    yield "600000 frames.mp4", good[: at + 4] + struct.pack(">I", 600_000) + good[at + 8 :]
    yield "endless table.mp4", good[:at] + struct.pack(">I", 0xFFFFFFFF) + good[at + 4 :]
    yield "one frame an hour.mp4", good[: at + 8] + struct.pack(">I", 90_000_000) + good[at + 12 :]
    yield "no step.mp4", good[: at + 8] + struct.pack(">I", 0) + good[at + 12 :]


def _gif(width: int, height: int) -> bytes:
    with io.BytesIO() as stream:
        frames = [Image.new("L", (width, height), level) for level in (0, 255)]
        frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
        return stream.getvalue()


def disguises(folder: Path, secret: Path) -> Iterator[tuple[str, bytes]]:
    """Things that are no media, or would fetch others; `secret` is a good clip that none may open."""
    yield "ffconcat", f"ffconcat version 1.0\nfile '{secret}'\n".encode()
    yield "concat", f"file '{secret}'\n".encode()
    yield "playlist", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    yield "playlist from afar", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"
    yield "session", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"
    yield "manifest", f'<?xml version="1.0"?><MPD><BaseURL>file://{secret}</BaseURL></MPD>'.encode()
    yield "svg", f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{secret}"/></svg>'.encode()
    yield "html", b"<!doctype html><script>alert(1)</script>"
    yield "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file\n"
    yield "pdf", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n"
    yield "imagemagick", b"push graphic-context\nfill 'url(https://127.0.0.1/x|ls)'\npop graphic-context\n"
    yield "program", b"\x7fELF\x02\x01\x01" + bytes(200)
    yield "script", b"#!/bin/sh\nrm -rf /\n"
    yield "pickle", pickle.dumps({"a": [1, 2]})
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../escape.txt", bytes(1 << 20))
        yield "zip", stream.getvalue()
    yield "zeros", bytes(5000)
    yield "noise", np.random.default_rng(1).bytes(5000)
    yield "one byte", b"\xff"
    yield "jpeg", photo("jpg")
    yield "recording", sound("wav", folder)
    yield "film", clip("libx264", "mp4", folder)
    yield "heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)


def checkpoint_bombs() -> Iterator[tuple[str, bytes]]:
    """Files of weights whose headers lie."""

    def tensors(header: bytes, length: int | None = None) -> bytes:
        return struct.pack("<Q", len(header) if length is None else length) + header

    yield "long header", tensors(b"{}", 1 << 60)
    yield "deep header", tensors(b'{"a":' * 20000)
    yield "no header", b""
    yield "huge tensor", tensors(b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}')
    yield "overlap", tensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}') + bytes(8)
    for config in (
        b"{}",
        b"[]",
        b"null",
        b'{\\"blocks\\":-1}',
        b'{\\"blocks\\":\\"x\\"}',
        b'{\\"heads\\":0}',
        b'{\\"x\\":1}',
    ):
        yield f"config {config!r}", tensors(b'{"__metadata__":{"config":"' + config + b'","facts":"{}"}}')
    yield "kind", tensors(b'{"__metadata__":{"config":"{}","facts":"{}","kind":"../x"}}')
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(50 << 20))
        yield "zip bomb", stream.getvalue()
