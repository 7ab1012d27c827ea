"""What the README shows is run: its commands and its Python, on small files of the names that it uses."""

import json
import re
import shlex
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from samples import write_sound

import app
from actalker.cli import main
from actalker.signals import media

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]
COMMANDS = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("python -m actalker")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place with me.jpg, hello.wav, friend.mp4 and the manifest clips.jsonl, and what earlier commands wrote."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "me.jpg").write_bytes((ROOT / "assets/faces/astronaut.jpg").read_bytes())
    write_sound(folder / "hello.wav", media.read_audio(ROOT / "assets/speech/welcome.wav")[None, :20000], 16000)
    frames = [frame for frame, _ in zip(media.read_video(ROOT / "assets/drivers/curious.mp4"), range(30), strict=False)]
    media.write_video(folder / "friend.mp4", frames, 25)
    (rows,) = (block for language, block in BLOCKS if language == "json")
    small = [json.dumps(json.loads(line) | {"size": 128, "steps": 1}) for line in rows.splitlines()]
    (folder / "clips.jsonl").write_text("\n".join(small))
    return folder


def test_there_are_commands():
    assert len(COMMANDS) >= 5
    assert len([line for line in TEXT.splitlines() if line.startswith("    python3.11 -m venv")]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    _, _, _, verb, *words = shlex.split(command)
    small = ["--size", "128", "--steps", "1"]
    quick = {"animate": small, "compare": small, "batch": ["--workers", "1"]}.get(verb, [])
    assert main([verb, *words, *quick]) == 0
    if "--out" in words and "--dry-run" not in words:
        assert (folder / words[words.index("--out") + 1]).stat().st_size > 1000
    else:
        assert len(capsys.readouterr().out.splitlines()) > 1


def test_the_python_of_the_readme(folder, monkeypatch):
    monkeypatch.chdir(folder)
    code = PYTHON[0]
    small = code.replace('Path("hello.wav"))', 'Path("hello.wav"), size=128)')
    names: dict = {}
    exec(small, names)
    assert names["facts"]["width"] == 128
    assert (folder / "hello.mp4").exists()


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The page, opened by its own command as a server of the Model Context Protocol, too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("page") / "log"
    command = [sys.executable, "app.py", "--mcp", "--port", str(port)]
    with log.open("w") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out) as page:
        try:
            for _ in range(600):
                if "The page is open" in log.read_text() or page.poll() is not None:
                    break
                time.sleep(0.2)
            assert "The page is open" in log.read_text(), log.read_text()
            yield port
        finally:
            page.terminate()


def test_the_page_is_called_as_the_readme_says(port, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(PYTHON[1].replace(":7860", f":{port}"), names)
    assert Path(names["video"]).name == "talking.mp4"
    assert names["facts"]["frames"] > 0
    assert Path(names["grid"]).stat().st_size > 1000
    assert [one["video"] for one in names["table"]] == ["voice", "video", "joint"]


def test_the_tools_are_called_as_the_readme_says(port, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict = {}
    with ThreadPoolExecutor(1) as apart:  # a browser of another test may keep this thread's event loop running
        apart.submit(exec, PYTHON[2].replace(":7860", f":{port}"), names).result()
    assert any("talking.mp4" in part.text for part in names["made"] if part.type == "text")


def test_the_options_of_the_page_are_as_the_readme_says():
    (command,) = [line.split() for line in TEXT.splitlines() if line.startswith("    python app.py --host")]
    options = app._parser().parse_args(command[2:])
    assert (options.host, options.port, options.root_path, options.auth) == ("0.0.0.0", 7861, "/studio", "me:secret")


@pytest.mark.parametrize("page", ["README.md", "assets/README.md", "checkpoints/README.md"])
def test_files_that_are_named_exist(page):
    text = (ROOT / page).read_text()
    folder = (ROOT / page).parent
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text) + re.findall(r"^\| `([\w./-]+\.\w+)`", text, re.MULTILINE)
    assert named
    assert [name for name in named if not (folder / name).exists()] == []
