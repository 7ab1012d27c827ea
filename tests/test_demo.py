"""The page without a browser: its handlers as plain functions, its Blocks inspected, and its server asked."""

import json
import re
import string
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from page_fakes import (
    BAD_PHOTOS,
    FRAMES,
    NO_FACE,
    PHOTO,
    ROOT,
    QuickPipeline,
    quick_runner,
    served,
    widget_values,
    write_tone,
    written,
)  # fmt: skip

import app
import demo
from actalker import config, pipelines
from actalker.pipelines.recipe import read_recipe
from demo import news, tab_animate, telling, texts, wishes
from demo.jobs import Result, make_video
from demo.notes import Note
from demo.runner import Runner, Update
from demo.studio import Studio
from demo.texts import CHINESE, ENGLISH


@pytest.fixture
def pipeline():
    return QuickPipeline()


@pytest.fixture(scope="module")
def memory():
    """What files show does not change from test to test, so it is looked up once."""
    return Runner()._remember


@pytest.fixture
def runner(tmp_path, pipeline, memory):
    made = quick_runner(tmp_path / "work", pipeline)
    made._remember = memory
    yield made
    pipeline.gate.set()
    made.close()


@pytest.fixture
def studio(runner):
    return Studio(runner, ENGLISH)


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    return str(write_tone(tmp_path_factory.mktemp("media") / "a voice.mp4"))


def request(tone: str) -> pipelines.Request:
    return wishes.request_of(widget_values(photo=str(PHOTO), speech=tone))


# Words and choices


@pytest.mark.parametrize("words", texts.LANGUAGES, ids=lambda words: words.language)
def test_every_language_says_everything(words):
    assert set(words.texts) == set(ENGLISH.texts)
    for key, text in words.texts.items():
        assert text
        assert _blanks(text) == _blanks(ENGLISH.texts[key]), key


def _blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_preset_region_and_source_has_its_words():
    for name in config.PRESETS:
        assert f"preset.{name}" in ENGLISH.texts
    for name in config.REGIONS:
        assert f"region.{name}" in ENGLISH.texts
    for name in config.SOURCES:
        assert f"source.{name}" in ENGLISH.texts


def test_every_text_is_said_somewhere():
    code = (
        "".join(path.read_text() for path in (ROOT / "demo").glob("*.py"))
        + (ROOT / "demo/texts/__init__.py").read_text()
    )
    built = {
        key for key in ENGLISH.texts if any(key.startswith(start) for start in re.findall(r'f"([\w.]+\.)\{', code))
    }
    named = {key for key in ENGLISH.texts if f'"{key}"' in code or f'"{key.removesuffix(".info")}"' in code}
    counted = {key for key in ENGLISH.texts if f'"{key.rpartition(".")[0]}"' in code}
    assert sorted(set(ENGLISH.texts) - built - named - counted) == []


def test_the_plan_and_a_fault_are_told_in_chinese():
    assert CHINESE.plan(config.PRESETS["joint"]) == "声音驱动嘴部；视频驱动眼睑、视线、眉毛和头部。"
    assert (
        CHINESE.fault("cat.jpg is empty (0 bytes); choose another photo.")
        == "cat.jpg 是空文件（0 字节），请换一个文件。"
    )
    assert CHINESE.fault("Something new.") == "Something new."


@pytest.mark.parametrize(
    ("speech", "driving", "preset"),
    [("s", "d", "joint"), ("s", None, "voice"), (None, "d", "video"), (None, None, "joint")],
)
def test_what_is_given_brings_its_natural_preset(speech, driving, preset):
    assert wishes.suggested_preset(speech, driving) == preset


def test_switches_name_the_preset_that_they_are():
    for name, sources in config.PRESETS.items():
        assert wishes.matching_preset(sources) == name
    assert wishes.matching_preset({**config.PRESETS["joint"], "gaze": "still"}) is None


def test_the_plan_is_told_in_plain_words():
    words = tab_animate.plan_words(ENGLISH, config.PRESETS["joint"], "s", "d")
    assert "The voice moves the mouth; the clip moves the eyes, gaze, brows and head." in words
    assert "warning" not in words


def test_a_region_that_listens_to_nothing_is_warned_about():
    assert "There is no clip, so the eyes, gaze, brows and head stay still." in tab_animate.plan_words(
        ENGLISH, config.PRESETS["joint"], "s", None
    )
    assert "There is no voice, so the mouth stays still." in tab_animate.plan_words(
        ENGLISH, config.PRESETS["joint"], None, "d"
    )


def test_a_visitors_words_are_never_markup():
    assert "<script>" not in Note("fault", "<script>alert(1)</script>").html


# What arrives


def test_one_face_is_found(runner):
    assert news.photo_note(runner, ENGLISH, str(PHOTO)) == Note("good", "One face found.")
    assert len(news.look(runner, str(PHOTO)).views) == 1


def test_of_two_faces_the_largest_is_used_and_said(runner, two_faces):
    assert len(news.look(runner, two_faces).views) == 2
    assert news.photo_note(runner, ENGLISH, two_faces).text.startswith("2 faces found; the largest is used.")


def test_the_other_face_can_be_seen_and_chosen(runner, two_faces):
    sources, masks = config.PRESETS["voice"], {"grow": 0.0, "feather": 0.02}
    first, second = (news.mask_picture(runner, two_faces, face, sources, masks) for face in (1, 2))
    assert first.shape == second.shape == (512, 512, 3)
    assert np.abs(first.astype(int) - second).mean() > 3
    assert wishes.request_of(widget_values(photo=two_faces, speech="s", face=2)).face == 1


def test_a_face_that_is_not_there_is_refused_at_the_photo(runner, two_faces, tone):
    notes = news.faults(runner, ENGLISH, widget_values(photo=two_faces, speech=tone, face=5))
    assert notes == {"photo": Note("fault", "There is no face number 5; choose one from 1 to 2.")}


def test_the_mask_picture_follows_grow_and_the_sources(runner):
    def draw(grow, preset="joint"):
        masks = {"grow": grow, "feather": 0.02}
        return news.mask_picture(runner, str(PHOTO), 1, config.PRESETS[preset], masks)

    assert (draw(0.0) != draw(0.2)).any()
    assert (draw(0.0, "joint") != draw(0.0, "voice")).any()
    assert news.mask_picture(runner, None, 1, config.PRESETS["joint"], {}) is None


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_a_bad_photo_gets_one_sentence_at_its_field(studio, pipeline, tone, tmp_path, kind):
    photo = BAD_PHOTOS[kind](tmp_path)
    first, last = tab_animate.create(studio, "me", widget_values(photo=photo, speech=tone))
    assert (first.running, last.running) == (True, False)
    assert not first.replaces
    assert not last.replaces
    _assert_one_sentence(last.notes["photo"])
    assert not pipeline.requests


@pytest.mark.parametrize("name", ["speech", "driving"])
@pytest.mark.parametrize("content", [b"", b"I am no recording, and no video either."])
def test_a_bad_recording_gets_one_sentence_at_its_field(studio, pipeline, tmp_path, name, content):
    values = widget_values(photo=str(PHOTO), **{name: written(tmp_path / "file.mp4", content)})
    *_, step = tab_animate.create(studio, "me", values)
    assert set(step.notes) == {name}
    _assert_one_sentence(step.notes[name])
    assert not pipeline.requests


def test_a_twentieth_of_a_second_of_sound_is_refused(tmp_path, runner):
    short = write_tone(tmp_path / "short.mp4", seconds=0.05)
    notes = news.faults(runner, ENGLISH, widget_values(photo=str(PHOTO), speech=str(short)))
    _assert_one_sentence(notes["speech"])


def _assert_one_sentence(note: Note) -> None:
    assert note.kind == "fault"
    assert note.text.endswith(".")
    assert "Traceback" not in note.text
    assert "/" not in note.text
    assert "--" not in note.text


def test_silence_is_a_warning_and_no_fault(tmp_path, runner):
    silent = write_tone(tmp_path / "silent.mp4", loudness=0.0)
    assert news.speech_note(ENGLISH, news.heard_in(silent)).kind == "warning"
    assert not news.faults(runner, ENGLISH, widget_values(photo=str(PHOTO), speech=str(silent)))


def test_a_clip_without_a_face_at_its_start_is_a_warning(tone):
    note = news.driving_note(ENGLISH, news.watched_in(Path(tone)))
    assert note.kind == "warning"
    assert "No face was found in its first 5 seconds." in note.text


def test_photo_and_signal_are_asked_for_at_their_fields(studio, pipeline):
    *_, step = tab_animate.create(studio, "me", widget_values())
    assert step.notes["photo"].text == "Add a photo of a face first."
    assert step.notes["speech"].text.startswith("Add a voice here, a clip below, or both")
    assert not pipeline.requests


# The request


def test_what_listens_to_nothing_stays_still_in_the_request():
    asked = wishes.request_of(widget_values(photo="p", speech="s"))
    assert asked.regions == config.PRESETS["voice-still"]
    assert asked.checked().given == {"audio"}


def test_an_emptied_number_takes_its_default_and_broadcast_rates_stay_exact():
    asked = wishes.request_of(widget_values(photo="p", speech="s", seed=None, fps=30000 / 1001))
    assert asked.seed == pipelines.Request("p").seed
    assert asked.fps == Fraction(30000, 1001)


# Making a video


def test_stages_come_in_order_and_then_the_result(runner, studio, pipeline, tone):
    pipeline.gate.clear()
    steps = []
    for step in tab_animate.create(studio, "me", widget_values(photo=str(PHOTO), speech=tone)):
        steps.append(step)
        if pipeline.rendering.is_set():
            pipeline.gate.set()
    assert all(step.running for step in steps[:-1])
    assert any("Rendering" in step.status for step in steps)
    result = steps[-1].result
    assert result.video.stat().st_size > 0
    assert result.video.is_relative_to(runner.folder("me"))
    assert f"{FRAMES} frames at 25 per second" in telling.facts(ENGLISH, result.info)
    assert "Memory" not in telling.facts(ENGLISH, result.info)  # only the whole process's is known


def test_a_recipe_taken_home_works_beside_the_files_and_tells_no_folders(runner, tone, tmp_path):
    *_, result = runner.run(make_video(request(tone)), "me")
    text = result.recipe.read_text()
    assert str(runner.work) not in text
    assert {entry["path"] for entry in json.loads(text)["media"].values()} == {"astronaut.jpg", "a voice.mp4"}
    home = tmp_path / "home"
    home.mkdir()
    for file in (result.recipe, PHOTO, Path(tone)):
        (home / file.name).write_bytes(file.read_bytes())
    again = read_recipe(home / result.recipe.name)
    assert again.photo == home / "astronaut.jpg"
    assert again.regions == config.PRESETS["voice-still"]


def test_uploads_of_one_name_get_names_that_fit_in_one_folder(runner, tmp_path):
    files = {"speech": tmp_path / "1" / "clip.mp4", "driving": tmp_path / "2" / "Clip.mp4"}
    for seconds, file in enumerate(files.values(), 1):
        file.parent.mkdir()
        write_tone(file, seconds)
    values = widget_values(photo=str(PHOTO), **{role: str(file) for role, file in files.items()})
    *_, result = runner.run(make_video(wishes.request_of(values)), "me")
    names = {role: entry["path"] for role, entry in json.loads(result.recipe.read_text())["media"].items()}
    assert names == {"photo": "astronaut.jpg", "speech": "clip.mp4", "driving": "Clip-2.mp4"}
    home = tmp_path / "home"
    home.mkdir()
    for role, source in {**files, "photo": PHOTO}.items():
        (home / names[role]).write_bytes(source.read_bytes())
    (home / "talking.json").write_bytes(result.recipe.read_bytes())
    assert read_recipe(home / "talking.json").driving == home / "Clip-2.mp4"


def test_one_upload_for_two_roles_keeps_its_name(runner, tone):
    values = widget_values(photo=str(PHOTO), speech=tone, driving=tone)
    *_, result = runner.run(make_video(wishes.request_of(values)), "me")
    media = json.loads(result.recipe.read_text())["media"]
    assert media["speech"]["path"] == media["driving"]["path"] == "a voice.mp4"


def test_a_fault_of_the_pipeline_is_its_sentence_and_leaves_nothing(runner, studio, pipeline, tone):
    pipeline.fault = NO_FACE
    *_, last = tab_animate.create(studio, "me", widget_values(photo=str(PHOTO), driving=tone))
    assert str(NO_FACE) in last.status
    assert last.result is None
    assert not [path for path in runner.work.rglob("*") if path.is_file()]


def test_a_bug_is_told_without_its_innards(studio, pipeline, tone):
    pipeline.fault = RuntimeError("secret path /srv/data")
    *_, last = tab_animate.create(studio, "me", widget_values(photo=str(PHOTO), speech=tone))
    assert "Something broke" in last.status
    assert "secret" not in last.status


def test_models_are_loaded_once(tmp_path, pipeline, tone):
    loads = Counter()

    def load(tier: str) -> QuickPipeline:
        loads[tier] += 1
        return pipeline

    runner = Runner(tmp_path / "work", load)
    runner.warm()
    for visitor in ("one", "two"):
        list(runner.run(make_video(request(tone)), visitor))
    assert loads == {"embedded": 1}
    assert len(pipeline.requests) == 2


def test_only_one_request_runs_and_the_next_is_told_how_many_are_ahead(runner, pipeline, tone):
    pipeline.gate.clear()
    first, second = (runner.run(make_video(request(tone)), name) for name in ("first", "second"))
    assert next(first).ahead == 0
    assert next(second) == Update("", 0.0, 1)
    assert "Waiting: 1 ahead of you." in telling.progress(ENGLISH, next(second))
    pipeline.gate.set()
    assert isinstance(list(first)[-1], Result)
    assert isinstance(list(second)[-1], Result)


def test_cancel_stops_the_visitors_own_request_and_nobody_elses(runner, pipeline, tone):
    pipeline.gate.clear()
    mine, other = (runner.run(make_video(request(tone)), name) for name in ("me", "other"))
    next(mine), next(other)
    assert pipeline.rendering.wait(20)
    runner.cancel("me")
    with pytest.raises(pipelines.Cancelled):
        list(mine)
    assert not runner.folder("me").exists() or not list(runner.folder("me").iterdir())
    pipeline.gate.set()
    assert isinstance(list(other)[-1], Result)


def test_what_was_rendered_before_cancelling_is_the_result(runner, studio, pipeline, tone):
    pipeline.keeps = True
    pipeline.gate.clear()
    steps = tab_animate.create(studio, "me", widget_values(photo=str(PHOTO), speech=tone))
    assert any(pipeline.rendering.is_set() for _ in steps)
    runner.cancel("me")
    last = list(steps)[-1]
    assert "Stopped. The first 1.0 seconds were kept." in last.status
    assert last.result.video.exists()
    assert last.result.info["cancelled"] is True


def test_cancel_is_answered_before_the_pipeline_notices(runner, pipeline, tone, monkeypatch):
    busy = threading.Event()

    def slow_frames(progress):
        busy.wait(20)
        progress("rendering", 1.0)
        yield

    monkeypatch.setattr(pipeline, "_frames", slow_frames)
    run = runner.run(make_video(request(tone)), "me")
    next(run)
    assert _soon(lambda: pipeline.requests)
    runner.cancel("me")
    assert "Stopping." in telling.progress(ENGLISH, next(run))
    busy.set()
    with pytest.raises(pipelines.Cancelled):
        list(run)


def test_a_waiting_request_is_cancelled_at_once(runner, pipeline, tone):
    pipeline.gate.clear()
    busy, waiting = (runner.run(make_video(request(tone)), name) for name in ("busy", "waiting"))
    next(busy), next(waiting)
    runner.cancel("waiting")
    with pytest.raises(pipelines.Cancelled):
        list(waiting)
    assert next(busy).ahead == 0
    assert len(pipeline.requests) <= 1


def test_leaving_the_page_stops_the_work(runner, pipeline, tone):
    pipeline.gate.clear()
    run = runner.run(make_video(request(tone)), "me")
    next(run)
    assert pipeline.rendering.wait(20)
    run.close()
    assert _soon(lambda: not [path for path in runner.work.rglob("*") if path.is_file()])


def _soon(holds) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_the_deadline_ends_a_request_with_a_sentence(studio, tone, monkeypatch):
    monkeypatch.setattr("demo.runner.LONGEST_JOB", -1.0)
    *_, last = tab_animate.create(studio, "me", widget_values(photo=str(PHOTO), speech=tone))
    assert "was stopped; use a shorter recording." in last.status


@pytest.mark.parametrize("name", ["../../escape", "/etc", "", "a" * 500])
def test_a_visitors_name_never_leads_out_of_the_work_folder(runner, name):
    folder = runner.folder(name)
    assert folder.parent == runner.work
    assert folder != runner.folder(name + "x")


def test_folder_names_cannot_be_worked_out_from_outside(tmp_path):
    assert Runner(tmp_path / "a").folder("me").name != Runner(tmp_path / "b").folder("me").name


def test_old_results_are_swept_and_new_ones_kept(runner, tone):
    *_, result = runner.run(make_video(request(tone)), "me")
    runner.sweep()
    assert result.video.exists()
    runner.sweep(older_than=-1.0)
    assert not list(runner.work.iterdir())


def test_a_visitor_who_is_forgotten_during_a_sweep_does_not_end_it(runner, tone, monkeypatch):
    results = {name: list(runner.run(make_video(request(tone)), name))[-1] for name in ("one", "two")}
    names = {result.video.parent: name for name, result in results.items()}

    def age(folder: Path) -> float:
        runner.forget(names.get(folder, "nobody"))
        return float("inf")

    monkeypatch.setattr("demo.runner._age", age)
    runner.sweep()
    assert not list(runner.work.iterdir())


def test_a_sweep_that_fails_is_not_the_last(runner, monkeypatch, caplog):
    outcomes = iter([PermissionError("not yours"), SystemExit()])

    def sweep() -> None:
        raise next(outcomes)

    monkeypatch.setattr("demo.runner.SWEEP_EVERY", 0)
    monkeypatch.setattr(runner, "sweep", sweep)
    runner.keep_clean().join(20)
    assert next(outcomes, None) is None
    assert "Old results could not be deleted" in caplog.text


def test_forgetting_a_visitor_deletes_the_visitors_files(runner, tone):
    results = {name: list(runner.run(make_video(request(tone)), name))[-1] for name in ("me", "other")}
    runner.forget("me")
    assert not results["me"].video.exists()
    assert results["other"].video.exists()


# The Blocks


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    return demo.build(Runner(tmp_path_factory.mktemp("work")))


def _props(blocks, elem_id: str) -> dict:
    return next(c["props"] for c in blocks.config["components"] if c["props"].get("elem_id") == elem_id)


def test_uploads_are_deleted_within_minutes_of_an_hour(blocks):
    assert blocks.delete_cache == (300, 3600)


def test_presets_regions_and_bounds_come_from_the_config(blocks):
    assert {value for _, value in _props(blocks, "preset")["choices"]} == set(config.PRESETS)
    for region in config.REGIONS:
        assert tuple(value for _, value in _props(blocks, f"region-{region}")["choices"]) == config.SOURCES
    for name in ("audio_strength", "video_strength", "head_strength", "steps", "seed", "fps", "grow", "feather"):
        field, props = wishes.REQUEST[name], _props(blocks, name)
        assert (props["minimum"], props["maximum"]) == (field.metadata["low"], field.metadata["high"])
        assert props["value"] == field.default


def test_every_widget_has_a_label(blocks):
    kinds = {"image", "audio", "video", "radio", "slider", "number", "button", "downloadbutton", "accordion"}
    widgets = [c for c in blocks.config["components"] if c["type"] in kinds]
    assert len(widgets) > 20
    assert all(c["props"].get("label") or c["props"].get("value") for c in widgets)


def test_only_the_functions_for_programs_are_public(blocks):
    public = [d["api_name"] for d in blocks.config["dependencies"] if d["api_visibility"] == "public"]
    assert public == ["animate", "compare"]


def test_photos_are_not_decoded_before_our_own_check(blocks, tmp_path):
    from gradio.data_classes import FileData

    photo = next(block for block in blocks.blocks.values() if getattr(block, "elem_id", None) == "photo")
    text = written(tmp_path / "text.jpg", b"I am not a photo.")
    assert photo.preprocess(FileData(path=text)) == text


def test_uploads_are_never_run_through_ffmpeg(blocks):
    by_id = {getattr(block, "elem_id", None): block for block in blocks.blocks.values()}
    assert by_id["driving"].include_audio
    assert by_id["driving"].format is None
    assert by_id["speech"].format is None


def test_the_page_listens_on_this_machine_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    assert app._parser().parse_args([]).host == "127.0.0.1"
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert app._parser().parse_args([]).host == "0.0.0.0"


def test_importing_the_page_does_nothing():
    code = (
        "import os, sys; before = dict(os.environ); import app, demo; "
        "assert not {'gradio', 'torch'} & set(sys.modules); assert before == dict(os.environ)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# The server


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pipeline = QuickPipeline()
    runner = quick_runner(tmp_path_factory.mktemp("served"), pipeline)
    with served(runner) as address:
        yield address, pipeline


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/process_recording",
        "monitoring",
        "monitoring/summary",
        "openapi.json",
        "docs",
        "gradio_api/file=/etc/passwd",
        f"gradio_api/file={ROOT}/app.py",
    ],
)
def test_what_visitors_do_not_need_is_not_served(page, path):
    import httpx

    address, _ = page
    assert httpx.get(f"{address}{path}").status_code in (403, 404)
    assert httpx.post(f"{address}{path}").status_code in (403, 404, 405)


def test_a_web_address_in_place_of_a_file_is_refused(page, tone):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    address, pipeline = page
    client = Client(address, verbose=False)
    before = len(pipeline.requests)
    web = {"path": "http://192.0.2.1/face.jpg", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError, match="Web addresses are not accepted"):
        client.predict(photo=web, speech=handle_file(tone), api_name="/animate")
    assert len(pipeline.requests) == before


def test_a_request_through_the_client_makes_a_video(page, tone):
    from gradio_client import Client, handle_file

    address, pipeline = page
    client = Client(address, verbose=False)
    video, recipe, facts = client.predict(
        photo=handle_file(str(PHOTO)), speech=handle_file(tone), seed=7, regions="head=still", api_name="/animate"
    )
    assert Path(video).name == "talking.mp4"
    assert Path(video).stat().st_size > 0
    assert json.loads(Path(recipe).read_text())["settings"]["seed"] == 7
    assert facts["frames"] == FRAMES
    assert pipeline.requests[-1].regions == {**config.PRESETS["voice"], "head": "still"}


@pytest.mark.parametrize(
    "words", [{"preset": "loud"}, {"regions": "ear=audio"}, {"size": 129}, {"driving": None, "speech": None}]
)
def test_a_bad_request_through_the_client_is_one_sentence(page, tone, words):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    client = Client(page[0], verbose=False)
    with pytest.raises(AppError) as caught:
        client.predict(**{"photo": handle_file(str(PHOTO)), "speech": handle_file(tone), **words}, api_name="/animate")
    assert str(caught.value).count(".") <= 2
    assert "/" not in str(caught.value)


@pytest.mark.skipif(not list((ROOT / "checkpoints").rglob("*.safetensors")), reason="no checkpoint is here")
def test_the_real_pipeline_talks(tmp_path, tone):
    from actalker.signals.media import probe_video

    runner = Runner(tmp_path / "work")
    asked = request(tone)
    *_, result = runner.run(make_video(replace(asked, size=128, steps=1)), "me")
    assert probe_video(result.video).has_audio
    assert result.info["frames"] == pytest.approx(result.info["seconds"] * 25, abs=1)
    assert "Made in" in telling.facts(ENGLISH, result.info)
