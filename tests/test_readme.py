"""What the README shows is run: its commands and its Python, on small files of the names that it uses."""

import re
import shlex
from pathlib import Path

import pytest
from samples import write_sound

from actalker.cli import main
from actalker.signals import media

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("python -m actalker")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place with me.jpg, hello.wav and friend.mp4, and what earlier commands wrote."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "me.jpg").write_bytes((ROOT / "assets/faces/astronaut.jpg").read_bytes())
    write_sound(folder / "hello.wav", media.read_audio(ROOT / "assets/speech/welcome.wav")[None, :20000], 16000)
    frames = [frame for frame, _ in zip(media.read_video(ROOT / "assets/drivers/curious.mp4"), range(30), strict=False)]
    media.write_video(folder / "friend.mp4", frames, 25)
    return folder


def test_there_are_commands():
    assert len(COMMANDS) >= 5
    assert len([line for line in TEXT.splitlines() if line.startswith("    python3.11 -m venv")]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    _, _, _, verb, *words = shlex.split(command)
    quick = ["--size", "128", "--steps", "1"] if verb in ("animate", "compare") else []
    assert main([verb, *words, *quick]) == 0
    if "--out" in words:
        assert (folder / words[words.index("--out") + 1]).stat().st_size > 1000
    else:
        assert len(capsys.readouterr().out.splitlines()) > 1


def test_the_python_of_the_readme(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (code,) = [block for language, block in BLOCKS if language == "python"]
    small = code.replace('Path("hello.wav"))', 'Path("hello.wav"), size=128)')
    names: dict = {}
    exec(small, names)
    assert names["facts"]["width"] == 128
    assert (folder / "hello.mp4").exists()


@pytest.mark.parametrize("page", ["README.md", "assets/README.md", "checkpoints/README.md"])
def test_files_that_are_named_exist(page):
    text = (ROOT / page).read_text()
    folder = (ROOT / page).parent
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text) + re.findall(r"^\| `([\w./-]+\.\w+)`", text, re.MULTILINE)
    assert named
    assert [name for name in named if not (folder / name).exists()] == []
