"""What hostile visitors try on a Gradio server: paths, addresses, uploads, routes, values. All of it is refused."""

import contextlib
import os
import socket
from pathlib import Path

import httpx
import pytest
from page_fakes import PHOTO, ROOT, QuickPipeline, quick_runner, served, write_tone

pytestmark = pytest.mark.robust


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """The page, its pipeline, a client, and how often a neighbour on this machine was called by the page."""
    import demo.hosting

    largest, demo.hosting.LARGEST_UPLOAD = demo.hosting.LARGEST_UPLOAD, "1mb"
    pipeline, folder = QuickPipeline(), tmp_path_factory.mktemp("probed")
    with (
        socket.create_server(("127.0.0.1", 0)) as neighbour,
        served(quick_runner(folder / "work", pipeline)) as address,
    ):
        neighbour.settimeout(0.05)
        yield SimplePage(address, pipeline, httpx.Client(base_url=address, timeout=60), neighbour, folder)
    demo.hosting.LARGEST_UPLOAD = largest


class SimplePage:
    """What a probe needs."""

    def __init__(self, address: str, pipeline: QuickPipeline, client, neighbour: socket.socket, folder: Path) -> None:
        self.address, self.pipeline, self.client, self.neighbour, self.folder = (
            address,
            pipeline,
            client,
            neighbour,
            folder,
        )

    def was_called(self) -> bool:
        """Whether anybody connected to the neighbour since the last look."""
        try:
            self.neighbour.accept()[0].close()
        except TimeoutError:
            return False
        return True

    def upload(self, name: str, content: bytes):
        return self.client.post("gradio_api/upload", files=[("files", (name, content))])

    def call(self, function: str, data: list) -> str:
        """What a call by plain HTTP ends with."""
        begun = self.client.post(f"gradio_api/call/{function}", json={"data": data})
        if begun.status_code != 200:
            return f"refused {begun.status_code} {begun.text}"
        return self.client.get(f"gradio_api/call/{function}/{begun.json()['event_id']}").text

    def assert_tells_nothing(self, said: str) -> None:
        """No result, no innards, no folders of this machine."""
        assert "talking.mp4" not in said
        for innards in ("Traceback", str(ROOT), str(self.folder), "site-packages", 'File "'):
            assert innards not in said


PATHS = ["/etc/passwd", f"{ROOT}/app.py", "../../etc/passwd", "..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/etc/passwd",
         "//etc/passwd", "file:///etc/passwd", "/proc/self/environ", "/proc/self/fd/0", "C:\\Windows\\win.ini",
         "", "/", ".", "~/.ssh/id_rsa", "/etc/passwd%00.png", f"{ROOT}/assets/../app.py",
         f"{ROOT}/assets/%2e%2e/app.py"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("route", ["gradio_api/file=", "file=", "gradio_api/file/", "gradio_api/proxy="])
def test_no_file_but_its_own_is_served(probed, route, path):
    said = probed.client.get(f"{route}{path}", follow_redirects=True)
    assert said.status_code in (400, 403, 404, 405)
    assert "root:" not in said.text
    assert "argparse" not in said.text


ROUTES = [
    "gradio_api/process_recording", "gradio_api/process_recording/", "gradio_api/process%5Frecording", "monitoring",
    "monitoring/summary", "gradio_api/runs", "gradio_api/runs/", "gradio_api/run-history/records", "docs", "redoc",
    "gradio_api/run-history/buckets", "openapi.json", "gradio_api/openapi.json", "gradio_api/vibe-code",
    "gradio_api/vibe-edit", "gradio_api/undo-vibe-edit", "gradio_api/vibe-starter-queries", "gradio_api/deep_link",
    "gradio_api/dev/reload", "gradio_api/custom_component/1/client/component/index.js", "gradio_api/component_server",
    "gradio_api/profiling/traces", "gradio_api/proxy=http://127.0.0.1/",
]  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_what_no_visitor_needs_is_not_there(probed, route):
    assert probed.client.get(route).status_code in (403, 404)
    assert probed.client.post(route, files=[("file", ("a.webm", b"x" * 1000))]).status_code in (403, 404, 405)


def _given(path: object, **more: object) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


ADDRESSES = ["http://127.0.0.1:{port}/a.jpg", "http://localhost:{port}/a.jpg", "http://[::ffff:127.0.0.1]:{port}/a",
             "http://2130706433:{port}/a", "http://127.1:{port}/a", "http://0.0.0.0:{port}/a",
             "http://169.254.169.254/latest", "https://example.com/a.png", "ftp://127.0.0.1:{port}/a",
             "file:///etc/passwd", "http://127.0.0.1:{port}/gradio_api/file=/etc/passwd"]  # fmt: skip


@pytest.mark.parametrize("key", ["path", "url"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_fetched_for_a_visitor(probed, address, key):
    address = address.format(port=probed.neighbour.getsockname()[1])
    given = _given(address) if key == "path" else _given(None, url=address)
    before = len(probed.pipeline.requests)
    for function, rest in (("animate", [given, None, "", "", 128, 0]), ("compare", [given, given, 128, 0])):
        probed.assert_tells_nothing(probed.call(function, [given, *rest]))
    assert not probed.was_called()
    assert len(probed.pipeline.requests) == before


@pytest.mark.parametrize(
    "path", [*PATHS, str(Path(__file__)), "data:image/png;base64,AAAA", "a\0b", "x" * 5000, 7, None, {}]
)
def test_a_file_that_was_not_uploaded_is_no_photo(probed, path):
    before = len(probed.pipeline.requests)
    given = _given(path)
    probed.assert_tells_nothing(probed.call("animate", [given, given, None, "", "", 128, 0]))
    assert len(probed.pipeline.requests) == before


@pytest.mark.parametrize(
    "values", [["", "", 1e9, 0], ["", "", "abc", 0], ["", "", 128, -1], ["", "", 128, 2**70], ["x", "", 128, 0],
               ["", "mouth=", 128, 0], ["", "../=..", 128, 0], ["", "", [], {}], []]
)  # fmt: skip
def test_values_that_no_widget_gives_are_refused(probed, values):
    tone = write_tone(probed.folder / "tone.mp4").read_bytes()
    photo, voice = (
        probed.upload(name, content).json()[0] for name, content in (("a.jpg", PHOTO.read_bytes()), ("b.mp4", tone))
    )
    probed.assert_tells_nothing(probed.call("animate", [_given(photo), _given(voice), None, *values]))


def test_uploads_are_limited_in_size_and_number(probed):
    assert probed.upload("big.bin", b"0" * (2 * 2**20)).status_code == 413
    many = [("files", (f"{number}.txt", b"x")) for number in range(1500)]
    assert probed.client.post("gradio_api/upload", files=many).status_code == 400


NAMES = [
    "../../evil.png",
    "-rf.png",
    "a\0b.png",
    "page.html",
    "a" * 300 + ".png",
    "..",
    "é" * 200 + ".png",
    '"><script>.svg',
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_out_of_the_uploads_or_is_shown_as_a_page(probed, name):
    sent = probed.upload(name, b"<html><script>alert(1)</script>")
    if sent.status_code == 200:
        path = Path(sent.json()[0])
        assert path.resolve().is_relative_to(Path(os.environ["GRADIO_TEMP_DIR"]).resolve())
        back = probed.client.get(f"gradio_api/file={path}")
        if back.status_code == 200 and path.suffix in (".html", ".svg"):
            assert "attachment" in back.headers["content-disposition"]
    else:
        assert sent.status_code in (400, 422)


def test_nobody_is_sent_elsewhere(probed):
    for path in (
        "//evil.example",
        "gradio_api/file=https://evil.example/a",
        "/%2F%2Fevil.example",
        "?next=//evil.example",
    ):
        said = probed.client.get(path if path.startswith("?") else path.lstrip("/"), follow_redirects=False)
        assert "evil.example" not in said.headers.get("location", "")


def test_a_stranger_cannot_listen_to_or_cancel_what_is_anothers(probed):
    heard, asked = b"", probed.client.stream("GET", "gradio_api/queue/data", params={"session_hash": "guessed"})
    with contextlib.suppress(httpx.RemoteProtocolError), asked as stream:  # Gradio breaks off
        for part in stream.iter_bytes():
            heard += part
    assert b"talking.mp4" not in heard
    assert b"process_completed" not in heard
    for body in ({"session_hash": "guessed", "fn_index": 0, "event_id": "0" * 32}, {}):
        assert probed.client.post("gradio_api/cancel", json=body).status_code in (200, 422)
