"""Finished videos scored from end to end: disturbances that are made to the pictures show in the numbers."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import moving, tone, write_sound

from actalker import pipelines
from actalker.cli import main
from actalker.config import PRESETS
from actalker.errors import InputError
from actalker.evaluate import evaluation, scores, tables
from actalker.evaluate.evaluation import Known, Networks, evaluate, find_videos
from actalker.evaluate.scores import Scores
from actalker.evaluate.watching import watch
from actalker.pipelines import Request
from actalker.signals import media

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO, DRIVER = ASSETS / "faces/astronaut.jpg", ASSETS / "drivers/curious.mp4"
SECONDS = 4.2

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """voice.mp4 and joint.mp4 of one speech, with their recipes; other.wav is another speech of the same length."""
    folder = tmp_path_factory.mktemp("finished")
    for name, speech in (("speech", "welcome"), ("other", "story")):
        samples = media.read_audio(ASSETS / f"speech/{speech}.wav")[: round(SECONDS * 16000)]
        write_sound(folder / f"{name}.wav", samples[None], 16000)
    pipeline = pipelines.load()
    request = Request(PHOTO, folder / "speech.wav", size=256, steps=2)
    pipeline(replace(request, regions=PRESETS["voice"]), folder / "voice.mp4")
    pipeline(replace(request, driving=DRIVER), folder / "joint.mp4")
    return folder


@pytest.fixture(scope="module")
def voice(folder):
    return of(evaluate([folder / "voice.mp4"], Known()))


def of(results: list[Scores]) -> scores.Section:
    (only,) = results
    return only.flat


def rewritten(folder: Path, name: str, change) -> Path:
    """voice.mp4 with every frame, and its number, put through `change`."""
    frames = list(media.read_video(folder / "voice.mp4"))
    media.write_video(folder / name, [change(frames, i) for i in range(len(frames))], 25)
    return folder / name


def test_a_recipe_tells_what_to_compare_with(voice, folder):
    assert {"offset ms", "voice r", "stillness", "jitter", "sharpness", "shape distance %"} <= set(voice)
    assert "pose error deg" not in voice
    joint = of(evaluate([folder / "joint.mp4"], Known()))
    assert joint["pose error deg"] < 3
    assert joint["head follows r"] > 0.9
    assert joint["headYaw r"] > 0.9


def test_the_voice_is_followed_in_time(voice):
    assert abs(voice["offset ms"]) < 60
    assert voice["voice r"] > voice["chance r"]


def test_three_frames_late_are_120_ms(voice, folder):
    late = rewritten(folder, "late.mp4", lambda frames, i: frames[max(0, i - 3)])
    found = of(evaluate([late], Known(speech=folder / "speech.wav")))
    assert found["offset ms"] - voice["offset ms"] == pytest.approx(120, abs=15)


def test_of_swapped_speech_the_correlation_is_gone(voice, folder):
    found = of(evaluate([folder / "voice.mp4"], Known(speech=folder / "other.wav")))
    assert found["voice r"] < voice["voice r"] - 0.15
    assert found["voice r"] < found["chance r"] + 0.1
    assert math.isnan(found["offset ms"]) == (found["voice r"] <= found["chance r"])


def test_frames_that_tremble_are_jitter_and_nothing_else(voice, folder):
    rng = np.random.default_rng(0)
    shaken = rewritten(folder, "shaken.mp4", lambda frames, i: np.roll(frames[i], rng.integers(-2, 3, 2), axis=(0, 1)))
    found = of(evaluate([shaken], Known(speech=folder / "speech.wav", photo=PHOTO)))
    assert found["jitter"] > voice["jitter"] + 8
    assert found["voice r"] == pytest.approx(voice["voice r"], abs=0.15)
    assert found["background"] > voice["background"] + 1


def test_blurred_frames_are_not_sharp(voice, folder):
    import cv2

    blurred = rewritten(folder, "blurred.mp4", lambda frames, i: cv2.GaussianBlur(frames[i], (0, 0), 1.5))
    found = of(evaluate([blurred], Known(speech=folder / "speech.wav", photo=PHOTO)))
    assert found["sharpness"] < 0.7 * voice["sharpness"]


def test_a_real_recording_beside_itself_is_the_ceiling(folder):
    known = Known(speech=folder / "speech.wav", reference=folder / "voice.mp4")
    found = of(evaluate([folder / "voice.mp4"], known))
    assert [found[name] for name in ("opening r", "width r", "rounding r")] == pytest.approx([1, 1, 1])
    assert found["jitter"] == found["real jitter"]


def test_a_pair_tells_what_changed(folder):
    found = of(evaluate([folder / "joint.mp4"], Known(pair=folder / "voice.mp4")))
    assert found["change head"] > 0.5
    assert {"change mouth, pixels", "change eyes, pixels"} <= set(found)


def test_phones_score_closures(folder, tmp_path):
    (tmp_path / "phones.json").write_text(json.dumps([[0, 1, "SIL"], [1, 1.2, "B"], [1.2, 4, "AA"], [4, 4.2, "SIL"]]))
    found = of(evaluate([folder / "voice.mp4"], Known(phones=tmp_path / "phones.json")))
    assert {"p/b/m hit", "false closures", "closure ranking"} <= set(found)


def test_words_are_aligned(folder):
    pytest.importorskip("pocketsphinx")
    words = "welcome to the studio give me a photo and a voice and i will"
    found = of(evaluate([folder / "voice.mp4"], Known(words=words)))
    assert found["p/b/m hit"] > 0.5


def test_networks_of_the_paper_score_sets_and_videos(folder, tmp_path):
    class Mean(torch.nn.Module):
        def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            assert return_features
            return images.float().mean(dim=(2, 3))

    torch.jit.script(Mean()).save(str(tmp_path / "inception.pt"))
    networks = Networks(fid=tmp_path / "inception.pt")
    one = of(evaluate([folder / "voice.mp4"], Known(reference=folder / "voice.mp4"), networks))
    assert one["FID"] == pytest.approx(0, abs=1e-6)
    several = evaluate([folder / "voice.mp4", folder / "joint.mp4"], Known(reference=folder / "voice.mp4"), networks)
    assert [scores.PAPER in result.sections for result in several] == [False, False, True]
    assert several[2].video == "all 2"
    with pytest.raises(InputError, match="FID, FVD and LPIPS compare with real videos"):
        evaluate([folder / "voice.mp4"], Known(), networks)


def test_without_networks_nothing_is_called_by_their_names(voice):
    assert not {"FID", "FVD", "LPIPS", "Sync-C", "Sync-D", "ArcFace"} & set(voice)


def test_folders_and_lists_of_results(folder, tmp_path):
    listed = tmp_path / "results.jsonl"
    rows = [{"out": str(folder / "joint.mp4")}, {"name": "failed"}, {"out": "gone.mp4"}]
    listed.write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert find_videos([listed, folder / "joint.mp4"]) == [folder / "joint.mp4"]
    for name in ("b.mp4", "a.MOV", "c.wav"):
        (tmp_path / name).touch()
    assert [path.name for path in find_videos([tmp_path])] == ["a.MOV", "b.mp4"]


@pytest.mark.parametrize("text", ["no json", '{"out": "gone.mp4"}', "[1]"])
def test_lists_that_list_nothing_are_refused(tmp_path, text):
    (tmp_path / "results.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"results.jsonl (is not a list of results|lists no video)"):
        find_videos([tmp_path / "results.jsonl"])


def test_a_folder_gives_each_video_the_file_of_its_name(folder, tmp_path):
    (tmp_path / "voice.wav").write_bytes((folder / "other.wav").read_bytes())
    known = Known(speech=tmp_path).of(folder / "voice.mp4")
    assert known.speech == tmp_path / "voice.wav"
    with pytest.raises(InputError, match="holds no file named joint"):
        Known(speech=tmp_path).of(folder / "joint.mp4")


def test_a_recipe_whose_files_are_gone_is_not_used(folder, tmp_path, caplog):
    for name in ("voice.mp4", "voice.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    text = (tmp_path / "voice.json").read_text().replace("speech.wav", "gone.wav")
    (tmp_path / "voice.json").write_text(text)
    found = of(evaluate([tmp_path / "voice.mp4"], Known()))
    assert "sharpness" not in found
    assert "offset ms" in found  # by its own sound
    assert "voice.json is not used" in caplog.text


def test_tables_show_the_same_numbers():
    results = [
        Scores("a.mp4", {"lips": {"offset ms": -20.4, "hit": math.nan}, scores.COEFFICIENTS: {"jawOpen r": 0.5}}),
        Scores("b.mp4", {"lips": {"offset ms": 100.6}, "picture": {"jitter": 0.0123, "leak": 1e-9, "none": 0.0}}),
    ]
    text = tables.as_text(results)
    assert text.splitlines()[0].split() == ["a.mp4", "b.mp4"]
    assert "offset ms  -20.4       101" in text
    assert "jawOpen" not in text
    assert "| offset ms | -20.4 | 101 |" in tables.as_markdown(results)
    assert "| **lips** |  |  |" in tables.as_markdown(results)
    first, second = csv.DictReader(io.StringIO(tables.as_csv(results)))
    assert (first["video"], first["offset ms"], first["hit"], first["jawOpen r"]) == ("a.mp4", "-20.4", "", "0.5")
    assert (second["jitter"], second["hit"]) == ("0.0123", "")
    assert [tables.number(value) for value in (math.nan, 0.0, 1e-9, 0.0123, -0.5, 12.34)] == [
        *("-", "0.00", "< 0.0005", "0.012", "-0.50", "12.3")
    ]
    assert results[0].as_dict()["sections"]["lips"] == {"offset ms": -20.4, "hit": None}


def test_the_command_prints_in_every_form(folder, capsys):
    arguments = ["evaluate", str(folder / "voice.mp4")]
    assert main([*arguments, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["sections"][scores.LIPS]["voice r"] > 0.2
    assert main([*arguments, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("|  | voice.mp4 |\n| --- | --: |\n| **lips and voice** |")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No video was given; name a video, a folder of videos or a results.jsonl, or add --suite"),
        (["gone.mp4"], "gone.mp4 does not exist; check the path of the video"),
        (["."], ". holds no video; give a folder of results"),
        (["short.mp4"], "short.mp4 lasts 0.4 s; give a video of 1 s or more"),
        (["wall.mp4"], "wall.mp4 shows a face in 0 of 30 frames; give a video of one face"),
        (["wall.mp4", "--update"], "--update belongs to --suite"),
        (["wall.mp4", "--suite"], "--suite makes its own videos"),
        (["wall.mp4", "--csv", "--markdown"], "--csv and --markdown were given; choose one of them"),
        (["wall.mp4", "--phones", "a", "--words", "b"], "Both --phones and --words were given"),
        (["wall.mp4", "--lpips", "a.pt"], "FID, FVD and LPIPS compare with real videos"),
        (["wall.mp4", "--syncnet", "a.pt"], "a.pt does not exist; give the TorchScript file of SYNCNET"),
        (["wall.mp4", "--arcface", "a.onnx"], "a.onnx is not an ONNX network"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    if arguments != ["."]:
        media.write_video(tmp_path / "short.mp4", moving(10), 25)
        media.write_video(tmp_path / "wall.mp4", moving(30), 25, (tone(1.2, 48000), 48000))
    assert main(["evaluate", *arguments]) == 2
    output, sentence = capsys.readouterr()
    assert output == ""
    assert said in sentence
    assert sentence.count("\n") == 1


def test_one_bad_video_does_not_stop_the_others(folder, tmp_path, caplog):
    media.write_video(tmp_path / "wall.mp4", moving(30), 25)
    bad, good = evaluate([tmp_path / "wall.mp4", folder / "voice.mp4"], Known())
    assert (bad.video, bad.flat) == ("wall.mp4", {})
    assert "jitter" in good.flat
    assert "wall.mp4 shows a face in 0 of 30 frames" in caplog.text


def test_silence_is_no_speech(folder, tmp_path):
    silence = write_sound(tmp_path / "silence.wav", np.zeros((1, 32000), np.float32), 16000)
    with pytest.raises(InputError, match="silence.wav holds only silence"):
        evaluate([folder / "voice.mp4"], Known(speech=silence))


def test_a_video_is_watched_once_and_shared_files_too(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(evaluation, "watch", lambda path, arcface: seen.append(path.name) or watch(path, arcface))
    evaluate([folder / "voice.mp4", folder / "joint.mp4"], Known(driving=DRIVER, reference=DRIVER))
    assert sorted(seen) == ["curious.mp4", "joint.mp4", "voice.mp4"]


def test_other_frame_rates_make_no_difference(voice, folder):
    frames = [frame for i, frame in enumerate(media.read_video(folder / "voice.mp4")) for _ in range(2)]
    media.write_video(folder / "fast.mp4", frames, 50)
    found = of(evaluate([folder / "fast.mp4"], Known(speech=folder / "speech.wav")))
    assert found["offset ms"] == pytest.approx(voice["offset ms"], abs=20)
    assert found["voice r"] == pytest.approx(voice["voice r"], abs=0.1)
