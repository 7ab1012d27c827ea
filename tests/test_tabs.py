"""The tabs for masks, comparison and direction, and recipes, in a real browser."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from browsing import PATIENCE, PLAYS, chosen, fill, give, open_tab
from page_fakes import PHOTO
from PIL import Image

from actalker import config

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
BROWS = list(config.REGIONS).index("brows") + 1
DROP = """([text, name]) => {
    const carried = new DataTransfer();
    carried.items.add(new File([text], name, { type: 'application/json' }));
    document.querySelector('#header').dispatchEvent(
        new DragEvent('drop', { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


def _paint(page, region: str) -> None:
    """A stroke across the forehead."""
    open_tab(page, "Masks")
    page.locator("#paint-with").get_by_text(region, exact=True).click()
    canvas = page.locator("#editor canvas").first
    canvas.wait_for()
    page.wait_for_timeout(800)  # the editor fits its picture in after it is there, and tells nobody
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 80
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=10)
    page.mouse.up()
    page.locator("#masks-note .good").wait_for()


def _recipe(page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#save-recipe").click()
    path = folder / "talking.json"
    download.value.save_as(path)
    return path


def _created(page, quick) -> None:
    """Another video, and not the last one, which shows until the new one begins."""
    open_tab(page, "Animate")
    before = len(quick.requests)
    page.locator("#create").click()
    for _ in range(PATIENCE // 100):
        if len(quick.requests) > before:
            break
        page.wait_for_timeout(100)
    assert len(quick.requests) == before + 1
    page.wait_for_function(PLAYS)


def test_a_painted_mask_is_in_the_recipe_and_reset_takes_it_out(page, quick, voice, tmp_path):
    give(page, "photo", PHOTO)
    give(page, "speech", voice)
    _paint(page, "Brows")
    _created(page, quick)
    content = base64.b64decode(json.loads(_recipe(page, tmp_path).read_text())["settings"]["painted"])
    labels = np.array(Image.open(io.BytesIO(content)))
    assert labels.shape == (512, 512)
    assert quick.requests[-1].painted == content
    assert set(np.unique(labels)) == set(range(1, 6))
    open_tab(page, "Masks")
    page.locator("#masks-reset").click()
    page.locator("#masks-note .hint").wait_for()
    _created(page, quick)
    page.get_by_text("Your video is ready.").wait_for()
    assert quick.requests[-1].painted is None


def test_directions_reach_the_request_and_are_drawn(page, quick, voice):
    give(page, "photo", PHOTO)
    give(page, "speech", voice)
    open_tab(page, "Direct")
    fill(page, "#cue1-start", "0.4")
    page.locator("#cue1-map input").click()
    page.get_by_role("option", name="Voice mouth, still face").click()
    page.get_by_text("1 changes").or_(page.get_by_text("1 change.")).first.wait_for()
    expect(page.locator("#timeline .block.still")).to_have_count(4)
    fill(page, "#hand-smile", "0.5")
    _created(page, quick)
    page.get_by_text("Your video is ready.").wait_for()
    (cue,) = quick.requests[-1].timeline
    assert (cue.start, cue.regions) == (0.4, config.PRESETS["voice-still"])
    assert quick.requests[-1].offsets == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}


def test_words_that_are_no_map_are_told_at_the_timeline(page, voice):
    give(page, "speech", voice)
    open_tab(page, "Direct")
    fill(page, "#cue1-start", "0.4")
    box = page.locator("#cue1-map input")
    box.fill("ear=audio")
    box.press("Enter")
    page.locator("#timeline-note .fault", has_text="ear=audio is neither").wait_for()


def test_a_slider_shows_its_frame_at_once(studio_page, voice):
    give(studio_page, "photo", PHOTO)
    give(studio_page, "speech", voice)
    open_tab(studio_page, "Direct")
    picture = studio_page.locator("#still img")
    picture.wait_for()
    before = picture.get_attribute("src")
    fill(studio_page, "#hand-jaw", "0.7")
    expect(picture).not_to_have_attribute("src", before, timeout=PATIENCE)


def test_a_comparison_shows_all_modes_and_saves_them(studio_page, voice, clip):
    give(studio_page, "photo", PHOTO)
    give(studio_page, "speech", voice)
    give(studio_page, "driving", clip)
    open_tab(studio_page, "Compare")
    studio_page.locator("#compare").click()
    studio_page.get_by_text("The comparison is ready.").wait_for(timeout=4 * PATIENCE)
    for mode in ("driver", "voice", "video", "joint"):
        studio_page.locator(f"#tile-{mode} video").wait_for()
    assert studio_page.locator("#compare-curves .frame").count() == len(config.REGIONS)
    assert "voice r" in studio_page.locator("#compare-scores").inner_text()
    studio_page.locator("#play-all").click()
    studio_page.wait_for_function(
        "() => [...document.querySelectorAll('#tiles video')].every(v => v.currentTime > 0.2)"
    )
    for name, ending in {"grid": ".mp4", "scores": ".csv", "recipes": ".zip"}.items():
        with studio_page.expect_download() as download:
            studio_page.locator(f"#compare-save-{name}").click()
        assert download.value.suggested_filename.endswith(ending)


def test_a_comparison_says_what_is_missing(page, voice):
    give(page, "photo", PHOTO)
    give(page, "speech", voice)
    open_tab(page, "Compare")
    page.locator("#compare").click()
    page.locator("#compare-status .fault", has_text="Clip: missing.").wait_for()


def test_a_recipe_dropped_on_the_page_brings_everything_back(page, quick, voice, tmp_path):
    page.locator("#photo-examples button").first.click()
    page.locator("#photo-note .good").wait_for()
    give(page, "speech", voice)
    page.locator("#region-head").get_by_text("Still").click()
    _paint(page, "Gaze")
    open_tab(page, "Direct")
    fill(page, "#cue1-start", "0.5")
    page.locator("#cue1-map input").click()
    page.get_by_role("option", name="Voice only").click()
    fill(page, "#hand-yaw", "5")
    open_tab(page, "Animate")
    page.locator("#settings button").first.click()
    fill(page, "#seed", "7")
    _created(page, quick)
    page.get_by_text("Your video is ready.").wait_for()
    first, recipe = quick.requests[-1], _recipe(page, tmp_path)
    page.reload()
    page.locator("#create").wait_for()
    page.wait_for_timeout(500)
    page.evaluate(DROP, [recipe.read_text(), recipe.name])
    line = page.locator("#recipe-note .warning")
    line.wait_for()
    assert voice.name in line.inner_text()  # the voice is the visitor's own, and the recipe does not hold it
    give(page, "speech", voice)
    page.locator("#region-head label.selected", has_text="Still").wait_for()
    page.locator("#mask-picture img").wait_for()
    page.get_by_text("Everything is here.").wait_for()
    _created(page, quick)
    page.get_by_text("Your video is ready.").wait_for()
    again = quick.requests[-1]
    for name in ("regions", "seed", "timeline", "offsets", "painted", "grow", "feather", "size", "fps", "steps"):
        assert getattr(again, name) == getattr(first, name), name


def test_a_recipe_with_its_files_brings_back_face_and_switches(page, quick, two_faces, voice, tmp_path):
    give(page, "photo", Path(two_faces))
    give(page, "speech", voice)
    fill(page, "#face", "2")
    page.locator("#region-brows").get_by_text("Still").click()
    _created(page, quick)
    page.get_by_text("Your video is ready.").wait_for()
    recipe = _recipe(page, tmp_path)
    page.reload()
    page.locator("#create").wait_for()
    page.locator("#recipe-row input[type=file]").set_input_files([recipe, Path(two_faces), voice])
    page.locator("#recipe-note .good").wait_for()
    page.locator("#photo-note .good").wait_for()
    page.locator("#speech-note .good").wait_for()
    page.get_by_text("Everything is here.").wait_for()
    _created(page, quick)
    page.get_by_text("Your video is ready.").wait_for()
    assert [sent.face for sent in quick.requests[-2:]] == [1, 1]
    assert chosen(page, "#region-brows") == "Still"
    assert quick.requests[-1].regions == quick.requests[-2].regions


def test_what_is_no_recipe_is_told_at_its_button(page, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    page.locator("#recipe-row input[type=file]").set_input_files(bad)
    line = page.locator("#recipe-note .fault")
    line.wait_for()
    assert line.inner_text().startswith("bad.json is not a recipe")
