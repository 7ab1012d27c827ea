"""The page in a real browser: Debian's chromium, driven by playwright. Skipped where one of them is absent."""

import json
import shutil
from pathlib import Path

import pytest
from page_fakes import PHOTO, ROOT, QuickPipeline, quick_runner, served
from samples import tone as tone_of
from samples import write_sound

from actalker import config
from demo.runner import Runner

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

SWITCHES = [f"#region-{region}" for region in config.REGIONS]
PLAYS = "() => { const v = document.querySelector('#result video'); return v && v.readyState >= 2 && v.videoWidth > 0 }"
NAMELESS = """e => !(e.getAttribute('aria-label') || e.labels?.length || e.innerText
    || e.querySelector('img')?.alt)"""
PATIENCE = 60_000  # ms


@pytest.fixture(scope="module")
def pipeline():
    return QuickPipeline()


@pytest.fixture(scope="module")
def address(pipeline, tmp_path_factory):
    with served(quick_runner(tmp_path_factory.mktemp("work"), pipeline)) as address:
        yield address
        pipeline.gate.set()


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    path = tmp_path_factory.mktemp("media") / "ü a voice.wav"
    return write_sound(path, tone_of(1.0, 16000)[None], 16000)


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    yield from _opened(browser, address)


def _opened(browser, address, width=1280, height=900):
    """The page, loaded. At the end nothing may have failed in it, and nothing may have been fetched from elsewhere."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    errors, strangers = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda sent: _is_local(sent.url) or strangers.append(sent.url))
    page.goto(address)
    page.locator("#create").wait_for()
    yield page
    page.close()
    assert not errors
    assert not strangers


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def _give(page, widget: str, path: Path, kind: str = "good") -> str:
    """Upload a file and wait for the news of that kind; returns it."""
    page.locator(f"#{widget} input[type=file]").set_input_files(path)
    line = page.locator(f"#{widget}-note .{kind}")
    line.wait_for()
    return line.inner_text()


def _chosen(page, field: str) -> str:
    return page.locator(f"{field} label.selected").inner_text()


def _wait_for_choice(page, field: str, word: str) -> None:
    page.locator(f"{field} label.selected", has_text=word).wait_for()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_page_fits_and_is_labelled(browser, address, width, height):
    for page in _opened(browser, address, width, height):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").all_inner_texts() == ["ACTalker Studio"]
        assert page.locator("h2:visible").count() == 3
        assert page.locator("footer a:visible").count() == 0
        page.locator("#photo-examples img[alt=astronaut]").wait_for()
        assert page.locator("button:visible, input:visible").evaluate_all(f"all => all.filter({NAMELESS}).length") == 0


def test_a_video_comes_out_with_its_recipe(page, pipeline, tone):
    assert _give(page, "photo", PHOTO) == "One face found."
    page.locator("#mask-picture img").wait_for()
    assert "1.0 s of sound" in _give(page, "speech", tone)
    _wait_for_choice(page, "#preset", "Voice only")
    page.locator("#create").click()
    page.wait_for_function(PLAYS)
    page.get_by_text("Your video is ready.").wait_for()
    assert "25 frames at 25 per second" in page.locator("#facts").inner_text()
    assert pipeline.requests[-1].regions == config.PRESETS["voice"]
    with page.expect_download() as recipe:
        page.locator("#save-recipe").click()
    assert json.loads(Path(recipe.value.path()).read_text())["settings"]["regions"] == config.PRESETS["voice"]
    with page.expect_download() as video:
        page.locator("#save-video").click()
    assert video.value.suggested_filename == "talking.mp4"


def test_a_bad_photo_is_told_at_its_field(page, pipeline, tmp_path):
    bad = tmp_path / "no photo.jpg"
    bad.write_text("I am not a photo.")
    before = len(pipeline.requests)
    assert "not a picture" in _give(page, "photo", bad, kind="fault")
    page.locator("#create").click()
    page.get_by_text("The video cannot be made yet").wait_for()
    assert "Add a voice here" in page.locator("#speech-note .fault").inner_text()
    assert len(pipeline.requests) == before


def test_presets_and_switches_follow_each_other(page):
    page.locator("#preset").get_by_text("Clip head, voice face").click()
    for switch in SWITCHES:
        _wait_for_choice(page, switch, "Clip" if switch == "#region-head" else "Voice")
    page.get_by_text("The voice moves the mouth, eyes, gaze and brows; the clip moves the head.").wait_for()
    page.locator("#region-gaze").get_by_text("Still").click()
    page.get_by_text("the gaze keeps still.").wait_for()
    playwright.expect(page.locator("#preset label.selected")).to_have_count(0)
    page.locator("#region-gaze").get_by_text("Voice").click()
    _wait_for_choice(page, "#preset", "Clip head, voice face")


def test_a_choice_by_hand_is_kept_when_a_file_arrives_and_warned_about(page, tone):
    page.locator("#preset").get_by_text("Clip head, voice face").click()
    _wait_for_choice(page, "#region-head", "Clip")
    _give(page, "speech", tone)
    page.get_by_text("There is no clip, so the head stays still.").wait_for()
    assert _chosen(page, "#preset") == "Clip head, voice face"


def test_the_mask_picture_follows_its_slider(page):
    _give(page, "photo", PHOTO)
    picture = page.locator("#mask-picture img")
    picture.wait_for()
    before = picture.get_attribute("src")
    number = page.locator("#grow input[type=number]")
    number.fill("0.2")
    number.press("Tab")
    playwright.expect(picture).not_to_have_attribute("src", before)


def test_cancel_stops_and_the_next_try_works(page, pipeline, tone):
    _give(page, "photo", PHOTO)
    _give(page, "speech", tone)
    pipeline.gate.clear()
    page.locator("#create").click()
    page.locator(".stages .now", has_text="Rendering").wait_for()
    page.locator("#cancel").click()
    page.get_by_text("Stopped. Nothing was kept.").wait_for()
    pipeline.gate.set()
    page.locator("#create").click()
    page.wait_for_function(PLAYS)


@pytest.mark.skipif(not list((ROOT / "checkpoints").rglob("*.safetensors")), reason="no checkpoint is here")
def test_the_real_pipeline_talks_in_the_browser(browser, tone, tmp_path):
    with served(Runner(tmp_path / "work")) as address:
        for page in _opened(browser, address):
            page.locator("#photo-examples button").first.click()
            page.locator("#photo-note .good").wait_for()
            _give(page, "speech", tone)
            page.locator("#create").click()
            page.wait_for_function(PLAYS, timeout=4 * PATIENCE)
