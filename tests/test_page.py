"""The first tab in a real browser: Debian's chromium, driven by playwright. Skipped where one of them is absent."""

import json
from pathlib import Path

import pytest
from browsing import PATIENCE, PIECE_PLAYS, PLAYS, SCREENS, TABS, chosen, give, open_tab, opened, wait_for_choice
from page_fakes import BAD_PHOTOS, BAD_RECORDINGS, PHOTO

from actalker import config

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
NAMELESS = """e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.title || e.labels?.length
    || e.innerText || e.querySelector('img')?.alt)"""
SWITCHES = [f"#region-{region}" for region in config.REGIONS]


@pytest.mark.parametrize("screen", SCREENS)
def test_every_tab_fits_and_is_labelled(browser, address, screen):
    for page in opened(browser, address, screen):
        page.locator("#photo-examples img[alt=astronaut]").wait_for()
        assert page.locator("h1").all_inner_texts() == ["ACTalker Studio"]
        assert page.locator("footer a:visible").count() == 0
        for name in TABS:
            open_tab(page, name)
            assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0], name
            nameless = page.locator("button:visible, input:visible").evaluate_all(
                f"all => all.filter({NAMELESS}).length"
            )
            assert nameless == 0, name


def test_from_an_example_to_a_result_in_two_clicks(studio_page):
    studio_page.locator("#examples button").first.click()
    studio_page.get_by_text("Everything is here.").wait_for()
    studio_page.locator("#create").click()
    studio_page.wait_for_function(PIECE_PLAYS, timeout=4 * PATIENCE)
    studio_page.wait_for_function(PLAYS, timeout=4 * PATIENCE)
    assert "7.00 s, 175 frames" in studio_page.locator("#facts").inner_text()
    open_tab(studio_page, "Inspect")
    studio_page.locator("#mesh img").wait_for()
    assert studio_page.locator("#tokens svg").count() == 2
    assert studio_page.locator("#inspect-curves svg .line").count() >= 10
    assert "Scan backend" in studio_page.locator("#run-facts").inner_text()


def test_a_video_comes_out_with_its_recipe(page, quick, voice):
    assert give(page, "photo", PHOTO) == "One face found."
    page.locator("#mask-picture img").wait_for()
    assert "1.0 s of sound" in give(page, "speech", voice)
    wait_for_choice(page, "#preset", "Voice only")
    page.locator("#create").click()
    page.wait_for_function(PLAYS)
    page.get_by_text("Your video is ready.").wait_for()
    assert "25 frames at 25 per second" in page.locator("#facts").inner_text()
    assert quick.requests[-1].regions == config.PRESETS["voice"]
    with page.expect_download() as recipe:
        page.locator("#save-recipe").click()
    assert json.loads(Path(recipe.value.path()).read_text())["settings"]["regions"] == config.PRESETS["voice"]
    with page.expect_download() as video:
        page.locator("#save-video").click()
    assert video.value.suggested_filename == "talking.mp4"


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_a_bad_photo_is_told_at_its_field(page, quick, tmp_path, kind):
    photo = Path(BAD_PHOTOS[kind](tmp_path))
    if not photo.exists():
        pytest.skip("a browser cannot upload what is gone")
    before = len(quick.requests)
    assert photo.name in give(page, "photo", photo, kind="fault")
    page.locator("#create").click()
    page.get_by_text("The video cannot be made yet").wait_for()
    assert "Add a voice here" in page.locator("#speech-note .fault").inner_text()
    assert len(quick.requests) == before


@pytest.mark.parametrize("kind", BAD_RECORDINGS)
@pytest.mark.parametrize("field", ["speech", "driving"])
def test_a_bad_recording_is_told_at_its_field(page, tmp_path, field, kind):
    recording = Path(BAD_RECORDINGS[kind](tmp_path))
    if field == "speech":  # the browser only offers sound for it
        recording = recording.rename(recording.with_suffix(".wav"))
    assert recording.name in give(page, field, recording, kind="fault")


def test_the_face_to_animate_is_chosen_by_a_click(page, two_faces):
    assert give(page, "photo", Path(two_faces)).startswith("2 faces found")
    picture = page.locator("#faces img")
    picture.wait_for()
    box = picture.bounding_box()
    side = box["width"]  # the photo is wider than high and lies in the middle of its frame
    height = side * 512 / 768
    top = box["y"] + (box["height"] - height) / 2
    page.mouse.click(box["x"] + side * 0.8, top + height * (200 + 80) / 512)
    expect(page.locator("#face input")).to_have_value("2")


def test_presets_and_switches_follow_each_other(page):
    page.locator("#preset").get_by_text("Clip head, voice face").click()
    for switch in SWITCHES:
        wait_for_choice(page, switch, "Clip" if switch == "#region-head" else "Voice")
    page.get_by_text("The voice moves the mouth, eyes, gaze and brows; the clip moves the head.").wait_for()
    page.locator("#region-gaze").get_by_text("Still").click()
    page.get_by_text("the gaze keeps still.").wait_for()
    expect(page.locator("#preset label.selected")).to_have_count(0)
    page.locator("#region-gaze").get_by_text("Voice").click()
    wait_for_choice(page, "#preset", "Clip head, voice face")


def test_a_choice_by_hand_is_kept_when_a_file_arrives_and_warned_about(page, voice):
    page.locator("#preset").get_by_text("Clip head, voice face").click()
    wait_for_choice(page, "#region-head", "Clip")
    give(page, "speech", voice)
    page.get_by_text("There is no clip, so the head stays still.").wait_for()
    assert chosen(page, "#preset") == "Clip head, voice face"


def test_the_mask_picture_follows_its_slider(page):
    give(page, "photo", PHOTO)
    open_tab(page, "Masks")
    picture = page.locator("#mask-view img")
    picture.wait_for()
    before = picture.get_attribute("src")
    number = page.locator("#grow input[type=number]")
    number.fill("0.2")
    number.press("Tab")
    expect(picture).not_to_have_attribute("src", before)


def test_cancel_stops_and_the_next_try_works(page, quick, voice):
    give(page, "photo", PHOTO)
    give(page, "speech", voice)
    quick.gate.clear()
    page.locator("#create").click()
    page.locator(".stages .now", has_text="Rendering").wait_for()
    page.locator("#cancel").click()
    page.get_by_text("Stopped. Nothing was kept.").wait_for()
    quick.gate.set()
    page.locator("#create").click()
    page.wait_for_function(PLAYS)


def test_a_preview_is_short_and_quick(page, quick, voice):
    give(page, "photo", PHOTO)
    give(page, "speech", voice)
    page.locator("#preview").click()
    page.get_by_text("This is the preview").wait_for()
    assert quick.requests[-1].until == 2.0
    assert quick.requests[-1].steps == 2


def test_consent_is_asked_for_once_and_by_the_keyboard(browser, address, quick, voice):
    for page in opened(browser, address, agreed=False):
        give(page, "photo", PHOTO)
        give(page, "speech", voice)
        before = len(quick.requests)
        page.locator("#create").click()
        page.locator("#agreed-note .fault", has_text="must have agreed").wait_for()
        page.locator("#agreed input").focus()
        page.keyboard.press("Space")
        expect(page.locator("#agreed-note .fault")).to_have_count(0)
        assert len(quick.requests) == before
        page.get_by_role("link", name="中文").click()
        expect(page.locator("#agreed input")).to_be_checked()
        page.reload()
        expect(page.locator("#agreed input")).to_be_checked()
        give(page, "photo", PHOTO)
        give(page, "speech", voice)
        page.locator("#create").click()
        page.wait_for_function(PLAYS)
        assert len(quick.requests) == before + 1


def test_the_keyboard_is_enough(page, quick, voice):
    give(page, "photo", PHOTO)
    give(page, "speech", voice)
    page.get_by_text("Everything is here.").wait_for()
    page.locator("#preset input").first.focus()
    page.keyboard.press("ArrowRight")
    wait_for_choice(page, "#preset", "Voice only")
    before = len(quick.requests)
    page.locator("#create").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Your video is ready.").wait_for()
    assert len(quick.requests) == before + 1
    page.get_by_role("tab", name="Animate", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#editor").wait_for()


def test_the_page_speaks_chinese(browser, address, tmp_path):
    for page in opened(browser, address + "zh"):
        assert page.evaluate("document.documentElement.lang") == "zh"
        assert page.locator("#create").inner_text() == "生成视频"
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"")
        assert give(page, "photo", bad, kind="fault") == "bad.jpg 是空文件（0 字节），请换一个文件。"
        page.get_by_role("link", name="English").click()
        page.get_by_role("tab", name="Animate", exact=True).wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system_and_its_button(browser, address, theme):
    for page in opened(browser, address, theme=theme):
        dark = page.evaluate("document.body.classList.contains('dark')")
        assert dark == (theme == "dark")
        page.locator("#header .theme").click()
        assert page.evaluate("document.body.classList.contains('dark')") != dark
