"""The page as a service: several programs at once, access, proxies, lent cards, and the Model Context Protocol."""

import asyncio
import base64
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from page_fakes import PHOTO, QuickPipeline, quick_runner, served, write_tone

import app
import demo
from demo import hosting
from demo.hosting import LONGEST_QUEUE, Place
from demo.jobs import make_video
from demo.runner import Runner
from demo.texts import ENGLISH

CLIENTS = 6


class CountingPipeline(QuickPipeline):
    """Knows how many requests it works on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __call__(self, *arguments: object, **named: object) -> dict:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return super().__call__(*arguments, **named)
        finally:
            with self.lock:
                self.now -= 1


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    return str(write_tone(tmp_path_factory.mktemp("media") / "a voice.mp4"))


def _resident() -> float:
    """Megabytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _client(address: str) -> object:
    from gradio_client import Client

    return Client(address, verbose=False)


def _animate(client: object, tone: str, seed: int) -> dict:
    from gradio_client import handle_file

    video, recipe, _ = client.predict(
        photo=handle_file(str(PHOTO)), speech=handle_file(tone), seed=seed, api_name="/animate"
    )
    assert Path(video).stat().st_size > 0
    return json.loads(Path(recipe).read_text())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_six_clients_at_once_are_served_in_order_each_with_its_own(tmp_path, tone):
    pipeline = CountingPipeline()
    runner = quick_runner(tmp_path / "work", pipeline)
    with served(runner) as address, ThreadPoolExecutor(CLIENTS) as pool:
        levels = []
        for _ in range(3):
            recipes = list(pool.map(lambda seed: _animate(_client(address), tone, seed), range(CLIENTS)))
            assert [recipe["settings"]["seed"] for recipe in recipes] == list(range(CLIENTS))
            levels.append(_resident())
        assert pipeline.most == 1
        assert len(pipeline.requests) == 3 * CLIENTS
        photos = {request.photo for request in pipeline.requests}
        assert len(photos) == 3 * CLIENTS  # nobody works on anybody else's files
        assert not runner._line
        assert levels[-1] - levels[-2] < 50


def test_jobs_are_done_in_the_order_in_which_they_came(tmp_path, tone):
    from demo.wishes import request_of

    pipeline = QuickPipeline()
    pipeline.gate.clear()
    runner = quick_runner(tmp_path / "work", pipeline)
    from page_fakes import widget_values

    runs = []
    for seed in range(CLIENTS):
        runs.append(
            runner.run(make_video(request_of(widget_values(photo=str(PHOTO), speech=tone, seed=seed))), str(seed))
        )
        assert next(runs[-1]).ahead == seed
    pipeline.gate.set()
    for run in runs:
        list(run)
    assert [request.seed for request in pipeline.requests] == list(range(CLIENTS))
    runner.close()


def test_the_queue_has_a_longest_length(tmp_path):
    blocks = demo.build(Runner(tmp_path / "work"))
    blocks.queue(max_size=LONGEST_QUEUE)
    assert blocks._queue.max_size == LONGEST_QUEUE


@pytest.fixture
def kept(monkeypatch):
    """Tells the sessions of which Gradio keeps something, on the next page."""
    pages, build = [], demo.build
    monkeypatch.setattr(demo, "build", lambda runner: pages.append(build(runner)) or pages[0])
    return lambda: list(pages[0].state_holder.session_data)


def test_nothing_is_kept_of_a_visitor_who_left(tmp_path, tone, quick, kept):
    with served(quick_runner(tmp_path / "work", quick)) as address:
        staying, leaving = _client(address), _client(address)
        for client in (staying, leaving):
            _animate(client, tone, 0)
        assert kept() == [staying.session_hash, leaving.session_hash]
        leaving.close()
        ends = time.monotonic() + 60
        while leaving.session_hash in kept() and time.monotonic() < ends:
            time.sleep(0.1)
        assert kept() == [staying.session_hash]


def test_of_visitors_who_never_say_that_they_left_not_all_is_kept(tmp_path, tone, quick, kept, monkeypatch):
    monkeypatch.setattr(hosting, "MOST_SESSIONS", 2)
    with served(quick_runner(tmp_path / "work", quick)) as address:
        clients = [_client(address) for _ in range(4)]
        for client in clients:
            _animate(client, tone, 0)
        assert kept() == [client.session_hash for client in clients[2:]]


def test_only_those_who_know_a_password_come_in(tmp_path, quick):
    import httpx
    from gradio_client import Client

    with served(quick_runner(tmp_path / "work", quick), auth="me:secret,you:word:with:colons") as address:
        assert httpx.get(f"{address}config").status_code == 401
        assert Client(address, auth=("me", "secret"), verbose=False).view_api(return_format="dict")
        assert Client(address, auth=("you", "word:with:colons"), verbose=False)
        with pytest.raises(ValueError, match="Could not login"):
            Client(address, auth=("me", "wrong"), verbose=False)


@pytest.mark.parametrize("text", ["me", "me:", ":secret", "me:secret,you"])
def test_half_a_password_is_refused_at_once(text, capsys):
    with pytest.raises(SystemExit):
        app._parser().parse_args(["--auth", text])
    assert "name:password" in capsys.readouterr().err


def test_a_proxy_may_show_the_page_under_a_path(tmp_path, quick):
    import httpx

    with served(quick_runner(tmp_path / "work", quick), root_path="/studio") as address:
        assert httpx.get(f"{address}config").json()["root"].endswith("/studio")


def test_the_options_are_the_place():
    options = app._parser().parse_args(["--host", "::1", "--port", "1", "--root-path", "/a", "--auth", "a:b", "--mcp"])
    assert Place(**vars(options)) == Place("::1", 1, "/a", "a:b", mcp=True)
    options = app._parser().parse_args(["--label", "ask", "--certificate", "signer.pem"])
    assert (Place(**vars(options)).label, Place(**vars(options)).certificate) == ("ask", Path("signer.pem"))
    assert Place().people is None


def test_a_card_is_lent_to_what_needs_one_and_to_nothing_else(tmp_path, tone, monkeypatch):
    from page_fakes import widget_values

    from demo.wishes import request_of

    calls = []

    def gpu(duration):
        def decorate(function):
            return lambda *given: calls.append(duration) or function(*given)

        return decorate

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    pipeline = QuickPipeline()
    runner = quick_runner(tmp_path / "work", pipeline)
    work = make_video(request_of(widget_values(photo=str(PHOTO), speech=tone)))
    list(runner.run(work, "me"))
    assert not calls
    pipeline.needs_gpu = True
    list(runner.run(work, "me"))
    assert calls == [120]
    runner.close()


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def test_a_tool_of_the_model_context_protocol_makes_a_video(tmp_path, voice, quick):
    client = pytest.importorskip("mcp.client.streamable_http", reason="gradio[mcp] is not installed")
    from mcp import ClientSession

    async def talk(address: str) -> tuple[dict, list]:
        place = client.streamablehttp_client(f"{address}gradio_api/mcp/")
        async with place as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            given = {"photo": _data(PHOTO, "image/jpeg"), "speech": _data(voice, "audio/wav"), "seed": 3}
            return tools, (await session.call_tool("animate", given)).content

    # In a thread of its own: a browser of another test may keep this one's event loop running.
    with served(quick_runner(tmp_path / "work", quick), mcp=True) as address, ThreadPoolExecutor(1) as apart:
        tools, content = apart.submit(asyncio.run, talk(address)).result()
    assert {"animate", "compare"} <= set(tools)
    assert "Make a photo talk" in tools["animate"].description
    assert "a photo of a face" in json.dumps(tools["animate"].inputSchema)
    assert "talking.mp4" in "".join(part.text for part in content if part.type == "text")
    assert quick.requests[-1].seed == 3


def test_the_words_of_the_page_name_no_file_of_this_machine():
    assert not [key for key, text in ENGLISH.texts.items() if "/tmp" in text or "/home" in text]
