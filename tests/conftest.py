"""Settings of the whole test session, and the fixtures of the tests in a browser."""

import os
import tempfile

import pytest
import torch
from browsing import CHROMIUM, opened
from samples import tone, write_sound

# Gradio deletes this folder when a page is closed, so no two runs may share one.
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="actalker-tests-")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="actalker-tests-")  # where the self-made certificate is kept


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small tensors on a shared machine: more threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, driven by playwright. What needs it is skipped where one of them is absent."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def quick():
    """A pipeline that is quick."""
    from page_fakes import QuickPipeline

    return QuickPipeline()


@pytest.fixture(scope="module")
def address(quick, tmp_path_factory):
    """The page on the quick pipeline."""
    from page_fakes import quick_runner, served

    with served(quick_runner(tmp_path_factory.mktemp("work"), quick)) as address:
        yield address
        quick.gate.set()


@pytest.fixture(scope="module")
def studio_address(tmp_path_factory):
    """The page on the real pipeline."""
    from page_fakes import ROOT, served

    from demo.runner import Runner

    if not list((ROOT / "checkpoints").rglob("*.safetensors")):
        pytest.skip("no checkpoint is here")
    with served(Runner(tmp_path_factory.mktemp("work"))) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page in the browser, on the quick pipeline."""
    yield from opened(browser, address)


@pytest.fixture
def studio_page(browser, studio_address):
    """The page in the browser, on the real pipeline."""
    yield from opened(browser, studio_address)


@pytest.fixture(scope="session")
def voice(tmp_path_factory):
    """A second of a tone, under a name that is not plain."""
    path = tmp_path_factory.mktemp("media") / "ü a voice.wav"
    return write_sound(path, tone(1.0, 16000)[None], 16000)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A second of an example clip."""
    from itertools import islice

    from page_fakes import ROOT

    from actalker.signals import media

    path = tmp_path_factory.mktemp("media") / "a clip.mp4"
    media.write_video(path, islice(media.read_video(ROOT / "assets/drivers/curious.mp4"), 25), 25)
    return path


@pytest.fixture(scope="session")
def two_faces(tmp_path_factory):
    """The astronaut, and to the right of her the same at half the size."""
    from page_fakes import PHOTO
    from PIL import Image

    one = Image.open(PHOTO).convert("RGB").resize((512, 512))
    both = Image.new("RGB", (768, 512), "gray")
    both.paste(one, (0, 0))
    both.paste(one.resize((256, 256)), (512, 200))
    path = tmp_path_factory.mktemp("photos") / "two.png"
    both.save(path)
    return str(path)
