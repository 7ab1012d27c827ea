"""Files appear whole or not at all, and a disk that takes nothing is told in one sentence."""

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
from page_fakes import PHOTO, ROOT, QuickPipeline, quick_runner, widget_values, write_tone
from samples import moving

from actalker.errors import InputError
from actalker.pipelines import Request
from actalker.pipelines.recipe import write_recipe
from actalker.saving import replacing
from actalker.signals import media
from actalker.signals.motion import Motion
from demo import tab_animate
from demo.studio import Studio
from demo.texts import CHINESE, ENGLISH

LIMITED = """
import resource, sys
from actalker.cli import main
from actalker.signals.media import process
with process.borrowed(), process.borrowed():  # what they share with the program is a file as well
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(main(sys.argv[1:]))
"""
WRITERS = {
    "video": lambda path: media.write_video(path, moving(3), 25),
    "signed video": lambda path: media.write_video(path, moving(3), 25, marks=media.Marks()),
    "motion": lambda path: Motion(np.zeros((3, 38), np.float32), 25).save(path),
    "recipe": lambda path: write_recipe(path, Request(PHOTO, regions={}), {}),
}


def test_what_is_written_takes_its_place_at_the_end(tmp_path):
    with replacing(tmp_path / "a.txt") as part:
        part.write_text("whole")
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "whole")]


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("precious")

    def fail() -> None:
        with replacing(tmp_path / "a.txt") as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "precious")]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_the_systems_no_is_one_sentence_without_folders(tmp_path, code):
    with pytest.raises(InputError) as told, replacing(tmp_path / "a.txt"):
        raise OSError(code, "no", str(tmp_path))
    said = str(told.value)
    assert ("The disk is full" in said) == (code in (errno.ENOSPC, errno.EDQUOT))
    assert said.endswith(".")
    assert str(tmp_path) not in said
    assert CHINESE.fault(told.value) != said


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_is_left_where_the_last_step_fails(tmp_path, monkeypatch, kind):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="The disk is full"):
        WRITERS[kind](tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_a_place_that_takes_no_files_is_told(kind):
    from pathlib import Path

    with pytest.raises(InputError, match="cannot be written"):
        WRITERS[kind](Path("/proc/out.mp4"))


@pytest.mark.parametrize(
    ("signal", "lost"),
    [("--speech=assets/speech/welcome.wav", "the sound track"), ("--driving=assets/drivers/curious.mp4", "out.mp4")],
)
def test_a_disk_that_gets_full_ends_the_command_with_a_sentence(tmp_path, signal, lost):
    words = ["animate", "--photo", PHOTO, signal, "--until", "1", "--size", "512", "--steps", "1"]
    words += ["--out", tmp_path / "out.mp4"]
    ended = subprocess.run([sys.executable, "-c", LIMITED, *words], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    sentence = f"The disk is full, so {lost} was not written; free some space, then repeat."
    assert ended.stderr == f"actalker animate: {sentence}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gets_full_is_told_on_the_page_and_leaves_nothing(tmp_path, monkeypatch):
    runner = quick_runner(tmp_path / "work", QuickPipeline())
    values = widget_values(photo=str(PHOTO), speech=str(write_tone(tmp_path / "tone.mp4")))

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.replace", full)
    *_, last = tab_animate.create(Studio(runner, ENGLISH), "me", values)
    runner.close()
    assert "The disk is full, so talking.mp4 was not written" in last.status
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file()]


def test_a_recipe_is_json_as_before(tmp_path):
    WRITERS["recipe"](tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["settings"]["label"] is True
