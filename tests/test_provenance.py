"""What a video says about itself: the label that is seen, the manifest that is signed, the comment, and who decides."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from page_fakes import PHOTO, ROOT, quick_runner, widget_values, write_tone
from PIL import Image
from samples import moving, unsigned, write_sound

import app
from actalker import pipelines
from actalker.cli import main
from actalker.config import PRESETS
from actalker.errors import InputError
from actalker.evaluate import suite
from actalker.pipelines.recipe import read_recipe
from actalker.pipelines.rendering import marks_of
from actalker.signals import media
from actalker.signals.media import certificate, label
from demo import news, tab_animate, tab_compare, wishes
from demo.jobs import Stills, make_still, make_video
from demo.runner import Runner
from demo.studio import Studio
from demo.texts import CHINESE, ENGLISH

HOPPER = ROOT / "assets/faces/hopper.jpg"


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """0.4 s of speech."""
    samples = media.read_audio(ROOT / "assets/speech/welcome.wav")[8000:14400]
    return write_sound(tmp_path_factory.mktemp("speech") / "speech.wav", samples[None], 16000)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A short film with all its marks."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    media.write_video(path, moving(10, 128, 128), 25, (np.zeros(16000, np.float32), 16000), media.Marks())
    return path


def asked(speech: Path, **settings: object) -> pipelines.Request:
    return pipelines.Request(PHOTO, speech, size=128, steps=1, regions=PRESETS["voice"], **settings)


# The label


GROUNDS = {
    "white": np.full((256, 256, 3), 255, np.uint8),
    "black": np.zeros((256, 256, 3), np.uint8),
    "a light photo": np.asarray(Image.open(PHOTO).convert("RGB").resize((256, 256))),
    "a dark photo": np.asarray(Image.open(HOPPER).convert("RGB").resize((256, 300))) // 3,
    "noise": np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8),
    "a slim picture": np.full((999, 61, 3), 128, np.uint8),
    "the smallest result": np.full((128, 128, 3), 200, np.uint8),
}


def _luminance(colour: np.ndarray) -> float:
    """WCAG's relative luminance of an RGB colour in 0 to 255."""
    part = np.asarray(colour, float) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("ground", GROUNDS)
def test_the_label_is_seen_where_it_was_put_and_only_there(ground, side):
    before = GROUNDS[ground]
    after = media.labelled(before, side)
    assert media.label_of(before) is None
    assert media.label_of(after) == side
    rows, columns = np.nonzero((before != after).any(axis=2))
    height, width = before.shape[:2]
    assert rows.min() > 0.7 * height  # never over the middle
    if width > 100:
        assert (columns.min() > 0.4 * width) if side == "right" else (columns.max() < 0.6 * width)


@pytest.mark.parametrize("ground", ["white", "black", "a light photo", "a dark photo"])
def test_letters_stand_out_from_any_ground(ground):
    rows, columns, _, ink = label._stamp(*GROUNDS[ground].shape[:2], "right")
    stamped, strokes = media.labelled(GROUNDS[ground])[rows, columns], ink[..., 0]
    letters = np.median(stamped[strokes > 0.8 * strokes.max()], axis=0)
    behind = np.median(stamped[2:-2, 6:-6][strokes[2:-2, 6:-6] == 0], axis=0)
    assert (_luminance(letters) + 0.05) / (_luminance(behind) + 0.05) >= 4.5


def test_the_frame_itself_is_left_as_it_is():
    frame = GROUNDS["white"].copy()
    media.labelled(frame)
    assert (frame == 255).all()


def test_in_a_whole_picture_the_label_keeps_away_from_the_face(speech):
    class Measured:
        photo = np.zeros((100, 400, 3), np.uint8)

        class face:
            points = np.full((478, 3), 350.0)

    assert marks_of(asked(speech), Measured).label == "right"
    assert marks_of(replace(asked(speech), size="full"), Measured).label == "left"
    Measured.face.points = np.full((478, 3), 50.0)
    assert marks_of(replace(asked(speech), size="full"), Measured).label == "right"
    assert marks_of(replace(asked(speech), label=False), Measured) == media.Marks(None)


# Manifest and comment


def test_a_film_claims_what_it_is(film):
    claims = media.claims_of(film)
    assert (claims.manifest, claims.label, claims.known) == ("valid", "right", False)
    assert claims.comment.startswith("AI-generated")
    assert claims.program.startswith("ACTalker Studio")
    assert claims.source.endswith("/compositeWithTrainedAlgorithmicMedia")


def test_a_changed_byte_is_told(film, tmp_path):
    content = bytearray(film.read_bytes())
    for at in (content.index(b"mdat") + 100, content.index(b"mvhd") + 20, len(content) - 1):
        changed = bytearray(content)
        changed[at] ^= 1
        (tmp_path / "changed.mp4").write_bytes(changed)
        assert media.claims_of(tmp_path / "changed.mp4").manifest == "changed"


def test_a_copy_of_the_streams_alone_loses_the_manifest_and_keeps_the_label(film, tmp_path):
    with av.open(str(film)) as source, av.open(str(tmp_path / "copy.mp4"), "w") as target:
        (picture,) = source.streams.video
        stream = target.add_stream_from_template(picture)
        for packet in source.demux(picture):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    claims = media.claims_of(tmp_path / "copy.mp4")
    assert (claims.manifest, claims.label) == ("none", "right")


def test_what_was_not_made_here_claims_nothing():
    claims = media.claims_of(ROOT / "assets/drivers/curious.mp4")
    assert (claims.manifest, claims.signer, claims.label, claims.comment) == ("none", None, None, None)


def test_the_doctor_tells_the_claims(film, tmp_path, capsys):
    assert main(["doctor", "--provenance", str(film)]) == 0
    said = capsys.readouterr().out
    assert "valid: the file is as it was" in said
    assert "vouched for by no authority" in said
    assert main(["doctor", "--provenance", str(film), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"] == "valid"
    assert main(["doctor", "--provenance", str(tmp_path / "none.mp4")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_the_certificate_is_made_once_and_is_its_owners_alone(tmp_path, monkeypatch):
    assert certificate.identity() == certificate.identity()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    certificate._own.cache_clear()
    fresh = certificate.identity()
    path = tmp_path / "actalker/certificate.pem"
    assert path.stat().st_mode & 0o077 == 0
    certificate._own.cache_clear()
    assert certificate.identity() == fresh
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/nowhere")  # a disk that takes nothing
    certificate._own.cache_clear()
    assert certificate.identity() != fresh
    certificate._own.cache_clear()


def test_a_host_may_bring_a_certificate(tmp_path, monkeypatch):
    theirs = tmp_path / "host.pem"
    theirs.write_bytes(certificate._made())
    monkeypatch.setenv(certificate.VARIABLE, str(theirs))
    assert certificate.identity() == certificate._read(theirs.read_bytes())
    media.write_video(tmp_path / "film.mp4", moving(3, 128, 128), 25, marks=media.Marks())
    assert media.claims_of(tmp_path / "film.mp4").manifest == "valid"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", "no key", "of another"])
def test_a_certificate_that_will_not_do_is_told_before_the_page_opens(tmp_path, monkeypatch, caplog, content):
    theirs = tmp_path / "host.pem"
    made, other = certificate._made(), certificate._made()
    cut = made.index(b"-----BEGIN PRIVATE")
    content = {"no key": made[:cut], "of another": made[:cut] + other[cut - 1 :]}.get(content, content)
    if content is not None:
        theirs.write_bytes(content)
    monkeypatch.setenv(certificate.VARIABLE, "")
    with pytest.raises(SystemExit) as ended:
        app.main(["--certificate", str(theirs), "--port", "1"])
    assert ended.value.code == 2
    assert "is no certificate to sign with" in caplog.text


# Who decides


def test_the_command_can_leave_the_label_out_and_the_recipe_tells(speech, tmp_path):
    words = ["animate", "--photo", str(PHOTO), "--speech", str(speech), "--size", "128", "--steps", "1"]
    for name, more in (("with", []), ("without", ["--no-label"])):
        assert main([*words, "--out", str(tmp_path / f"{name}.mp4"), *more]) == 0
        claims = media.claims_of(tmp_path / f"{name}.mp4")
        assert (claims.manifest, claims.label) == ("valid", "right" if name == "with" else None)
        assert read_recipe(tmp_path / f"{name}.json").label == (name == "with")
    assert main(["animate", "--recipe", str(tmp_path / "without.json"), "--out", str(tmp_path / "again.mp4")]) == 0
    assert unsigned(tmp_path / "again.mp4") == unsigned(tmp_path / "without.mp4")


def test_pieces_are_marked_and_what_is_measured_is_not(speech, tmp_path):
    pieces = []
    pipeline, out, plain = pipelines.load(), tmp_path / "out.mp4", tmp_path / "plain.mp4"
    pipeline(asked(speech), out, chunk=pieces.append, plain=plain)
    assert [media.claims_of(piece).manifest for piece in pieces] == ["valid"] * len(pieces)
    assert all(media.claims_of(piece).label == "right" for piece in pieces)
    assert media.claims_of(plain).manifest == "none"
    pipeline(asked(speech, label=False), tmp_path / "bare.mp4")
    seen, bare = (np.stack(list(media.read_video(path))) for path in (plain, tmp_path / "bare.mp4"))
    assert np.array_equal(seen, bare)


def test_the_suite_renders_without_a_label(tmp_path):
    requests = []

    def pipeline(request, *_, **__):
        requests.append(request)
        raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        suite._Renders(tmp_path, pipeline, lambda *_: None)._voice()
    assert [request.label for request in requests] == [False]


@pytest.mark.parametrize(("policy", "wish", "shown"), [
    ("on", True, True), ("on", False, True), ("off", True, False), ("ask", False, False), ("ask", True, True),
])  # fmt: skip
def test_the_host_decides_unless_it_lets_the_visitor(quick, tmp_path, policy, wish, shown):
    runner = quick_runner(tmp_path / "work", quick)
    runner.label = policy
    tone = write_tone(tmp_path / "tone.mp4")
    list(runner.run(make_video(pipelines.Request(PHOTO, tone, label=wish)), "me"))
    runner.close()
    assert quick.requests[-1].label is shown


def test_the_widget_for_the_label_is_there_only_where_the_host_asks(tmp_path):
    import demo

    for policy in ("on", "off", "ask"):
        blocks = demo.build(Runner(tmp_path / policy, label=policy))
        ids = {getattr(block, "elem_id", None) for block in blocks.blocks.values()}
        assert ("label" in ids) == (policy == "ask")
    assert wishes.request_of(widget_values(photo="p", speech="s")).label is True
    assert wishes.request_of(widget_values(photo="p", speech="s", label=False)).label is False


def test_a_single_frame_on_the_page_is_labelled_like_its_video(speech, tmp_path):
    runner = Runner(tmp_path / "work")
    frame = runner.aside(make_still(asked(speech), 0.1, Stills()), "me")
    runner.label = "off"
    bare = runner.aside(make_still(asked(speech), 0.1, Stills()), "me")
    runner.close()
    assert (media.label_of(frame), media.label_of(bare)) == ("right", None)


# Consent


@pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_nothing_is_made_before_the_visitor_says_that_all_agreed(quick, tmp_path, words):
    runner = quick_runner(tmp_path / "work", quick)
    tone = str(write_tone(tmp_path / "tone.mp4"))
    values = widget_values(photo=str(PHOTO), speech=tone, driving=tone, agreed=False)
    before = len(quick.requests)
    *_, step = tab_animate.create(Studio(runner, words), "me", values)
    assert step.notes[wishes.AGREED].text == words("agreed.missing")
    *_, compared = tab_compare.compared(Studio(runner, words), "me", values, False)
    assert words("agreed.missing") in compared.status
    assert len(quick.requests) == before
    assert wishes.AGREED not in news.faults(runner, words, values | {wishes.AGREED: True})
    runner.close()
