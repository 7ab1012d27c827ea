"""Files that are not what they should be: each is refused in one sentence that says what was found."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import moving, refusal, scene, tone, write_sound

from actalker.errors import InputError
from actalker.signals import media


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Good files of every kind, for all tests."""
    folder = tmp_path_factory.mktemp("media")
    Image.fromarray(scene()).save(folder / "picture.png")
    media.write_video(folder / "silent.mp4", moving(50), 25)
    media.write_video(folder / "clip.mp4", moving(50), 25, (tone(2, 48000), 48000))
    write_sound(folder / "sound.wav", tone(1, 16000)[None], 16000)
    (folder / "text.txt").write_text("Dear all,\nthe face is on holiday until Monday. Grüße\n" * 99)
    (folder / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "empty").touch()
    return folder


READERS = (media.read_image, media.read_audio, media.read_video, media.probe_video)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("absent.mp4", "does not exist"),
        ("empty", "is empty"),
        ("text.txt", "holds text, not a"),
        ("noise.bin", "noise.bin"),
        (".", "is a folder"),
        ("x" * 300, "does not exist"),
        ("nul\0byte", "does not exist"),
        ("new\nline", "new?line does not exist"),
        ("\udcff", "does not exist"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(folder, read, name, found):
    assert found in refusal(read, folder / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("read", READERS)
def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    refusal(read, tmp_path / "pipe")


@pytest.mark.parametrize(
    ("read", "name", "sentence"),
    [
        (media.read_image, "clip.mp4", "clip.mp4 holds a video, not a picture; give a photo"),
        (media.read_image, "sound.wav", "sound.wav holds sound, not a picture; give a photo"),
        (media.read_audio, "picture.png", "picture.png holds a picture, not a recording; give"),
        (media.read_audio, "silent.mp4", "silent.mp4 has no sound track; give a recording with sound"),
        (media.read_video, "picture.png", "picture.png holds a picture, not a video; give a clip"),
        (media.read_video, "sound.wav", "sound.wav holds sound, not a video; give a clip"),
        (media.probe_video, "picture.png", "picture.png holds a picture, not a video; give a clip"),
    ],
)
def test_another_medium_is_told_by_name(folder, read, name, sentence):
    assert refusal(read, folder / name).startswith(sentence)


def test_a_picture_that_breaks_off_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    for ending in ("jpg", "png", "webp", "tiff"):
        Image.fromarray(noise).save(tmp_path / f"cut.{ending}")
        whole = (tmp_path / f"cut.{ending}").read_bytes()
        (tmp_path / f"cut.{ending}").write_bytes(whole[: len(whole) // 2])
        assert f"cut.{ending} is damaged or incomplete" in refusal(media.read_image, tmp_path / f"cut.{ending}")


def test_a_heic_picture_is_named(tmp_path):
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    assert "IMG_1.HEIC is a HEIC picture" in refusal(media.read_image, tmp_path / "IMG_1.HEIC")


@pytest.mark.parametrize("name", ["picture.png", "clip.mp4", "sound.wav"])
def test_damaged_bytes_never_give_anything_but_a_sentence(tmp_path, folder, name):
    """A hundred files with a few bytes changed: each is read, or refused."""
    random = np.random.default_rng(0)
    whole = np.frombuffer((folder / name).read_bytes(), np.uint8)
    for i in range(100):
        bad = whole.copy()
        bad[random.integers(0, min(len(bad), 3000), 8)] = random.integers(0, 256, 8)
        (tmp_path / name).write_bytes(bad[: len(bad) if i % 3 else random.integers(1, len(bad))].tobytes())
        for read in READERS:
            with contextlib.suppress(InputError):
                list(read(tmp_path / name)) if read is media.read_video else read(tmp_path / name)
