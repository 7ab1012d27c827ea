"""The server under hostile visitors and sudden ends: soak, crowds, kills, probes. Minutes long: `pytest -m robust`."""

import gc
import json
import logging
import multiprocessing
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_fakes import PHOTO, ROOT, QuickPipeline, quick_runner, served
from samples import write_sound

from actalker import pipelines
from actalker.config import PRESETS
from actalker.memory import give_back
from actalker.pipelines.recipe import FORMAT
from actalker.signals import media
from actalker.signals.motion import Motion
from demo.jobs import Result, make_video
from demo.runner import Runner

pytestmark = [
    pytest.mark.robust,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and handles are read from /proc"),
    pytest.mark.skipif(not list((ROOT / "checkpoints").rglob("*.safetensors")), reason="no checkpoint is here"),
]

log = logging.getLogger(__name__)

RENDERS, WATCHED, EVERY = 600, 200, 20  # in one process, how many of the last are watched, and how often
GROWTH = 10  # MB that the watched ones may add
CLIENTS = 32
KILLS = {"command": 14, "page": 6}
PATIENCE = 300  # s


@pytest.fixture(scope="module")
def voice_file(tmp_path_factory):
    """0.2 s of speech."""
    samples = media.read_audio(ROOT / "assets/speech/welcome.wav")[8000:11200]
    return write_sound(tmp_path_factory.mktemp("speech") / "speech.wav", samples[None], 16000)


def small(speech: Path, seed: int, photo: Path = PHOTO) -> pipelines.Request:
    return pipelines.Request(photo, speech, size=128, steps=1, regions=PRESETS["voice"], seed=seed)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def soon(holds, seconds: float = PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(holds())


# Soak


def resident() -> float:
    """MB of this process in memory, after stopped work has ended and what is no longer needed was let go."""
    soon(lambda: threading.active_count() <= 3, 5)
    gc.collect()
    give_back()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def _one(runner: Runner, visitor: str, request: pipelines.Request, stop_after: float | None) -> str:
    """How a request ended; `stop_after` seconds its visitor cancels it."""
    timer = threading.Timer(stop_after or 0, runner.cancel, [visitor])
    if stop_after is not None:
        timer.start()
    try:
        *_, result = runner.run(make_video(request), visitor)
        assert result.video.stat().st_size > 1000
        return "done"
    except pipelines.Cancelled:
        return "cancelled"
    finally:
        timer.cancel()
        runner.forget(visitor)


def _soak(folder: Path, voice_file: Path) -> tuple[Counter, list[float], list[int]]:
    """How six hundred requests ended, and MB and open files of this process meanwhile."""
    runner, chance, ends = Runner(folder / "work"), random.Random(7), Counter()
    memory, open_files = [], []
    for number in range(RENDERS):
        if number % 20 == 0:  # files that nobody has measured before
            photo = Path(shutil.copy(PHOTO, folder / f"{number}.jpg"))
        stop = chance.uniform(0, 0.3) if chance.random() < 1 / 3 else None
        ends[_one(runner, f"visitor {number}", small(voice_file, number, photo), stop)] += 1
        if (number + 1) % EVERY == 0:
            memory.append(resident())
            open_files.append(handles())
    runner.close()
    return ends, memory, open_files


def test_six_hundred_renders_leave_nothing_behind(tmp_path, voice_file):
    # As a server does, in a process of its own: behind five hundred other tests the last third grew by 12 and 22 MB.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as server:
        ends, memory, open_files = server.submit(_soak, tmp_path, voice_file).result()
    log.info("%s; MB: %s; handles: %s", dict(ends), [round(level) for level in memory], open_files)
    assert ends["done"] >= RENDERS / 2
    assert ends["cancelled"] >= RENDERS / 20
    last = WATCHED // EVERY  # single readings differ by several MB: the level of these against that of as many before
    growth = np.median(memory[-last:]) - np.median(memory[-2 * last : -last])
    log.info("growth over the last %d: %.1f MB", WATCHED, growth)
    assert growth <= GROWTH
    assert max(open_files[-last:]) <= max(open_files[:-last])
    assert soon(lambda: not files_below(tmp_path / "work"), 20)


# A crowd


class Watched:
    """The real pipeline; knows how many requests it worked on at once."""

    def __init__(self) -> None:
        self._pipeline, self._lock = pipelines.load(), threading.Lock()
        self.now = self.most = 0

    def __call__(self, *arguments: object, **named: object) -> dict:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self._pipeline(*arguments, **named)
        finally:
            with self._lock:
                self.now -= 1


def _visit(address: str, speech: Path, seed: int, stop_after: float | None) -> tuple[str, object]:
    """A visitor's end: its own result, a sentence, or its own cancelling."""
    from concurrent.futures import CancelledError

    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    with tempfile.TemporaryDirectory() as folder:
        client = Client(address, verbose=False, download_files=folder)
        job = client.submit(
            photo=handle_file(str(PHOTO)), speech=handle_file(str(speech)), size=128, seed=seed, api_name="/animate"
        )
        if stop_after is not None:
            time.sleep(stop_after)
            job.cancel()
        try:
            video, recipe, facts = job.result(timeout=PATIENCE)
        except CancelledError:
            return "cancelled", None
        except KeyError:  # the client's, for the empty answer to what was cancelled
            if stop_after is None:
                raise
            return "cancelled", None
        except AppError as fault:
            return "told", str(fault)
        if not video:
            return "cancelled", None
        made = json.loads(Path(recipe).read_text())
        return "done", (made["settings"]["seed"], facts["seed"], media.claims_of(video).manifest)


def test_a_crowd_is_served_one_by_one_and_nobody_gets_what_is_anothers(tmp_path, voice_file):
    import httpx

    pipeline, chance = Watched(), random.Random(3)
    stops = [chance.uniform(0, 4) if number % 3 == 0 else None for number in range(CLIENTS)]
    runner = Runner(tmp_path / "work", load=lambda _: pipeline)
    with served(runner) as address, ThreadPoolExecutor(CLIENTS) as pool:
        ends = list(pool.map(lambda n: _visit(address, voice_file, n, stops[n]), range(CLIENTS)))
        log.info("%s; at once: %d", dict(Counter(end for end, _ in ends)), pipeline.most)
        for number, (end, what) in enumerate(ends):
            if end == "done":
                assert what == (number, number, "valid")
            elif end == "told":
                assert "try again" in what.lower() or "queue is full" in what.lower()
            else:
                assert stops[number] is not None
        assert [end for end, _ in ends].count("done") >= CLIENTS // 2
        assert pipeline.most == 1
        assert soon(lambda: not runner._line, 30)
        work = files_below(runner.work)
        assert work
        for guess in (runner.work, *runner.work.iterdir(), *(path.parent for path in work[:5])):
            assert httpx.get(f"{address}gradio_api/file={guess}").status_code in (403, 404)
        for visitor in map(str, range(CLIENTS)):
            guess = runner.work / visitor / "talking.mp4"
            assert httpx.get(f"{address}gradio_api/file={guess}").status_code in (403, 404)
        names = {path.relative_to(runner.work).parts[:2] for path in work}
        assert all(len(part) == 32 and int(part, 16) for parts in names for part in parts)  # 128 bits each


def test_who_cancels_or_leaves_stops_only_the_own_work(tmp_path, voice_file):
    from gradio_client import Client, handle_file

    pipeline = QuickPipeline()
    pipeline.gate.clear()
    runner = quick_runner(tmp_path / "work", pipeline)
    given = {"photo": handle_file(str(PHOTO)), "speech": handle_file(str(voice_file)), "api_name": "/animate"}
    with served(runner) as address:
        mine, other = (Client(address, verbose=False, download_files=tmp_path / name) for name in ("mine", "other"))
        first = mine.submit(**given, seed=1)
        assert soon(pipeline.rendering.is_set, 30)
        second = other.submit(**given, seed=2)
        assert soon(lambda: len(runner._line) == 2, 30)
        first.cancel()
        assert soon(lambda: len(runner._line) == 1, 30)
        pipeline.gate.set()
        assert second.result(timeout=60)[2]["seed"] == 2


def test_who_breaks_off_stops_the_own_work(tmp_path, voice_file):
    import httpx

    pipeline = QuickPipeline()
    pipeline.gate.clear()
    runner = quick_runner(tmp_path / "work", pipeline)
    with served(runner) as address, httpx.Client(base_url=f"{address}gradio_api/", timeout=30) as client:
        sent = client.post("upload", files=[("files", (path.name, path.read_bytes())) for path in (PHOTO, voice_file)])
        files = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in sent.json()]
        event = client.post("call/animate", json={"data": [*files, None, "", "", 128, 0]}).json()["event_id"]
        with client.stream("GET", f"call/animate/{event}"):
            assert soon(pipeline.rendering.is_set, 30)
        assert soon(lambda: not runner._line, 60)
        assert not files_below(runner.work)


def test_who_comes_too_late_is_told_so(tmp_path, voice_file, monkeypatch):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    monkeypatch.setattr("demo.runner.LONGEST_LINE", 2)
    pipeline = QuickPipeline()
    pipeline.gate.clear()
    runner = quick_runner(tmp_path / "work", pipeline)
    given = {"photo": handle_file(str(PHOTO)), "speech": handle_file(str(voice_file)), "api_name": "/animate"}
    with served(runner) as address:
        client = Client(address, verbose=False, download_files=tmp_path)
        jobs = [client.submit(**given, seed=seed) for seed in (1, 2)]
        assert soon(lambda: len(runner._line) == 2, 30)
        with pytest.raises(AppError, match="2 requests are waiting already; try again in a few minutes"):
            client.predict(**given)
        pipeline.gate.set()
        assert [job.result(timeout=60)[2]["seed"] for job in jobs] == [1, 2]


# Sudden ends


def _command(folder: str, words: list[str]) -> None:
    """The command in a process of its own."""
    from actalker.cli import main

    os.chdir(folder)
    sys.exit(main(words))


def _page(folder: str, port: int) -> None:
    """The page in a process of its own, with its temporary files in `folder`."""
    import app

    tempfile.tempdir = folder
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    app.main(["--port", str(port)])


@pytest.fixture(scope="module")
def start():
    """Processes that begin with everything imported, so that they can be killed while they work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["actalker.cli", "actalker.pipelines.embedded", "c2pa", "gradio"])

    def begin(target, *arguments):
        process = context.Process(target=target, args=arguments)
        process.start()
        return process

    return begin


def whole(path: Path) -> bool:
    """Whether a file that looks finished is."""
    if path.suffix == ".mp4":
        return media.claims_of(path).manifest == "valid" and len(list(media.read_video(path))) > 0
    if path.suffix == ".json":
        return json.loads(path.read_text())["format"] == FORMAT
    if path.suffix == ".npz":
        return path.name == "seen.npz" or len(Motion.load(path)) > 0
    return path.suffix in (".part", ".new") or path.name in ("lock", "speech.wav", PHOTO.name)


def test_a_command_that_is_killed_leaves_nothing_that_looks_finished(start, tmp_path):
    speech = write_sound(
        tmp_path / "speech.wav", media.read_audio(ROOT / "assets/speech/welcome.wav")[None, :16000], 16000
    )
    words = ["animate", "--photo", str(PHOTO), "--speech", str(speech), "--size", "512", "--steps", "1",
             "--out", "out.mp4", "--motion-out", "out.npz"]  # fmt: skip
    out, chance, half = tmp_path / "out", random.Random(5), 0
    out.mkdir()
    for _ in range(2):  # the first one may compile
        began = time.monotonic()
        process = start(_command, str(out), words)
        process.join(PATIENCE)
        assert process.exitcode == 0
        needed = time.monotonic() - began
    for kill in range(KILLS["command"]):
        for path in out.iterdir():
            path.unlink()
        process = start(_command, str(out), words)
        if kill % 2:  # at any moment, or at one at which a file is being written
            process.join(chance.uniform(0.1, 1) * needed)
        else:
            assert soon(lambda: list(out.glob("*.part")))
            process.join(chance.uniform(0, 0.6))
        process.kill()
        process.join()
        half += any(path.suffix == ".part" for path in out.iterdir())
        assert [path for path in out.iterdir() if not whole(path)] == []
    log.info("a run takes %.1f s; %d of %d kills hit a file at work", needed, half, KILLS["command"])
    process = start(_command, str(out), words)
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert all((out / name).exists() and whole(out / name) for name in ("out.mp4", "out.json", "out.npz"))


def _ask(port: int, speech: Path, folder: Path) -> object:
    from gradio_client import Client, handle_file

    client = Client(f"http://127.0.0.1:{port}/", verbose=False, download_files=folder)
    return client.submit(photo=handle_file(str(PHOTO)), speech=handle_file(str(speech)), size=256, api_name="/animate")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_page_that_is_killed_leaves_nothing_to_the_next(start, tmp_path):
    speech = write_sound(
        tmp_path / "speech.wav", media.read_audio(ROOT / "assets/speech/welcome.wav")[None, :16000], 16000
    )
    places, chance, hit = tmp_path / "places", random.Random(11), 0
    places.mkdir()
    for kill in range(KILLS["page"] + 1):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = start(_page, str(places), port)
        try:
            assert soon(lambda port=port: _listens(port))
            (home,) = places.glob("actalker-*")  # that of the one before is gone
            job = _ask(port, speech, tmp_path / "taken")
            if kill == KILLS["page"]:
                assert whole(Path(job.result(timeout=PATIENCE)[0]))
                break
            soon(lambda home=home: list((home / "visitors").rglob("*.part")), 20)
            time.sleep(chance.uniform(0, 0.6))
        finally:
            process.kill()
            process.join()
        left = files_below(home / "visitors")
        hit += any(path.suffix == ".part" for path in left)
        assert [path for path in left if not whole(path)] == []
    log.info("%d of %d kills hit a video at work", hit, KILLS["page"])


# Provenance


def test_what_the_page_hands_out_is_signed_and_a_changed_byte_is_told(tmp_path, voice_file):
    runner, chance = Runner(tmp_path / "work"), random.Random(1)
    *_, result = runner.run(make_video(replace(small(voice_file, 1), size=256)), "me")
    assert isinstance(result, Result)
    assert media.claims_of(result.video).manifest == "valid"
    content = result.video.read_bytes()
    begin = content.index(b"moov")
    for at in [chance.randrange(begin, len(content)) for _ in range(40)]:
        changed = np.frombuffer(content, np.uint8).copy()
        changed[at] ^= 1 << chance.randrange(8)
        (tmp_path / "changed.mp4").write_bytes(changed.tobytes())
        assert media.claims_of(tmp_path / "changed.mp4").manifest == "changed", at
    runner.close()
