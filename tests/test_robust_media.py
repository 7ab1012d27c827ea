"""Hostile files by the hundred: each ends in a result or in one sentence, and this process stays as small as it was."""

import gc
from pathlib import Path

import hostile
import numpy as np
import pytest

from actalker import checkpoints
from actalker.config import LIMITS, MotionNet
from actalker.convert.folders import read_pickle
from actalker.errors import InputError
from actalker.model.motion_net import MotionDenoiser
from actalker.signals import media

pytestmark = pytest.mark.robust

BROKEN = sorted(Path(__file__).with_name("samples_broken").iterdir())
PHOTO_SEEDS, SOUND_SEEDS, CLIP_SEEDS, WEIGHT_SEEDS = 24, 20, 18, 25
FEWEST = 500
MOST_GROWN = 50 << 20  # bytes
ended: dict[str, set[str]] = {}  # how reading each file ended


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All that is made from good files lies here before memory is measured: making it takes some, too."""
    folder = tmp_path_factory.mktemp("hostile")
    good = folder / "good"
    good.mkdir()
    for ending in hostile.PHOTOS:
        (good / f"photo.{ending}").write_bytes(hostile.photo(ending))
    for ending in hostile.SOUNDS:
        (good / f"sound.{ending}").write_bytes(hostile.sound(ending, good))
    for ending, codec in hostile.CLIPS.items():
        (good / f"clip.{ending}").write_bytes(hostile.clip(codec, ending, good))
    checkpoints.save_motion_net(MotionDenoiser(MotionNet()), good / "weights.safetensors", {})
    for kind, bombs in (
        ("pictures", hostile.picture_bombs()),
        ("sounds", hostile.sound_bombs(good)),
        ("clips", hostile.clip_bombs(good)),
        ("disguises", hostile.disguises(good, good / "clip.mp4")),
        ("weights", hostile.checkpoint_bombs()),
    ):
        (folder / kind).mkdir()
        for name, content in bombs:
            (folder / kind / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module", autouse=True)
def before(folder) -> int:
    """How much memory this process takes before the first hostile file."""
    ended.clear()
    for name in ("photo.png", "sound.wav", "clip.mp4"):
        read_as_everything(folder / "good" / name)
    gc.collect()
    return resident()


def resident() -> int:
    """Bytes of memory that this process takes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def read_image(path: Path) -> None:
    picture = media.read_image(path)
    assert picture.dtype == np.uint8
    assert picture.shape[2:] == (3,)
    assert picture.size <= 3 * LIMITS.photo_pixels


def read_labels(path: Path) -> None:
    assert media.read_labels(path).ndim == 2


def read_audio(path: Path) -> None:
    samples = media.read_audio(path)
    assert np.abs(samples).max() <= 1.0
    assert len(samples) <= 16000 * (LIMITS.sound_seconds + 1)


def read_video(path: Path) -> None:
    """As a driving clip is read: what its header says, and then its frames."""
    info = media.probe_video(path)
    count = 0
    for frame in media.read_video(path):
        assert frame.dtype == np.uint8
        assert frame.size <= 3 * LIMITS.clip_pixels
        count += 1
    assert 1 <= count <= 241 * (LIMITS.clip_seconds + media.LEEWAY)
    assert info.width * info.height <= LIMITS.clip_pixels


def ends(read, path: Path) -> str:
    """How reading a file ends: "read", or in one sentence that tells no path. Any other fault fails the test."""
    end = "read"
    try:
        read(path)
    except InputError as fault:
        end = str(fault)
        assert "\n" not in end
        assert end.endswith(".")
        assert ";" in end  # what was found; what to do
        assert str(path.absolute().parent) not in end
        assert str(Path(media.__file__).parent) not in end
        assert "Traceback" not in end
    ended.setdefault(str(path.absolute()), set()).add(end)
    return end


def read_as_everything(path: Path) -> set[str]:
    return {ends(read, path) for read in (read_image, read_labels, read_audio, read_video)}


def mutant(folder: Path, name: str, seed: int) -> Path:
    """A good file of the folder with something wrong, under a name of its own."""
    path = folder / f"{seed} {name}"
    path.write_bytes(hostile.mutated((folder / "good" / name).read_bytes(), seed))
    return path


@pytest.mark.parametrize("seed", range(PHOTO_SEEDS))
@pytest.mark.parametrize("ending", hostile.PHOTOS)
def test_damaged_photos(folder, ending, seed):
    ends(read_image, mutant(folder, f"photo.{ending}", seed))


@pytest.mark.parametrize("seed", range(SOUND_SEEDS))
@pytest.mark.parametrize("ending", hostile.SOUNDS)
def test_damaged_recordings(folder, ending, seed):
    ends(read_audio, mutant(folder, f"sound.{ending}", 1000 + seed))


@pytest.mark.parametrize("seed", range(CLIP_SEEDS))
@pytest.mark.parametrize("ending", hostile.CLIPS)
def test_damaged_clips(folder, ending, seed):
    path = mutant(folder, f"clip.{ending}", 2000 + seed)
    ends(read_video, path)
    ends(read_audio, path)


def test_pictures_that_unfold_or_lie(folder):
    how = {path.name: ends(read_image, path) for path in sorted((folder / "pictures").iterdir())}
    assert how["13000.png"].endswith("has 13000 x 13000 pixels; reduce it to 25 megapixels or less.")
    assert how["99 megapixels.png"] == "read" != how["lying 9999.png"]


def test_recordings_that_lie(folder):
    how = {path.name: ends(read_audio, path) for path in sorted((folder / "sounds").iterdir())}
    assert how["an hour.flac"] == "an hour.flac lasts 3600 s; cut it to 600 s or less."


def test_clips_that_unfold_or_lie(folder):
    how = {path.name: ends(read_video, path) for path in sorted((folder / "clips").iterdir())}
    for name in ("8k.mp4", "8k that says 64.mp4", "5k.gif"):
        assert how[name].endswith("reduce the video to 4096 x 2304 or less.")


@pytest.mark.parametrize("disguise", ["png", "mp4", "wav"])
def test_things_that_are_something_else(folder, tmp_path, disguise):
    """None opens the clip that some of them name."""
    for path in sorted((folder / "disguises").iterdir()):
        other = tmp_path / f"{path.name}.{disguise}"
        other.write_bytes(path.read_bytes())
        good = {"film": {read_video, read_audio}, "recording": {read_audio}, "jpeg": {read_image}}
        for read in (read_image, read_audio, read_video):
            assert (ends(read, other) == "read") == (read in good.get(other.stem, ())), other.name
    assert not (tmp_path.parent / "escape.txt").exists()


@pytest.mark.parametrize("pattern", hostile.NAMES, ids=ascii)
def test_names_that_would_be_commands(folder, tmp_path, monkeypatch, pattern):
    """By its whole path and from the file's own folder."""
    monkeypatch.chdir(tmp_path)
    for good, read in (("photo.png", read_image), ("sound.wav", read_audio), ("clip.mp4", read_video)):
        name = pattern.format(good.rsplit(".", 1)[1])
        (tmp_path / name).write_bytes((folder / "good" / good).read_bytes())
        assert ends(read, tmp_path / name) == "read"
        assert ends(read, Path(name)) == "read"
        (tmp_path / name).write_bytes(b"no media")
        ends(read, tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("seed", range(WEIGHT_SEEDS))
def test_damaged_weights(folder, seed):
    ends(checkpoints.load_motion_net, mutant(folder, "weights.safetensors", 3000 + seed))


def test_weights_that_unfold_or_lie(folder):
    for path in sorted((folder / "weights").iterdir()):
        assert ends(checkpoints.load_motion_net, path) != "read"
        assert ends(read_pickle, path) != "read"


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_what_broke_something_once(path):
    read_as_everything(path)
    ends(checkpoints.load_motion_net, path)
    ends(read_pickle, path)


def test_all_of_them_left_this_process_small(before):
    """Runs last."""
    assert len(ended) >= FEWEST
    gc.collect()
    assert resident() - before <= MOST_GROWN
