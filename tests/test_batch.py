"""Bulk rendering in one process: what a manifest may say, what becomes of bad rows, and that nothing is made twice."""

import json
import subprocess
import sys
import time

import pytest
from batch_rows import ROOT, assert_complete, frames_of, good_rows, listed, poisoned_rows, write_media, write_rows

from actalker.batch.ledger import TRIES, Ledger, Stopped, _locked
from actalker.batch.manifest import read_manifest, request_from
from actalker.batch.plan import make_plan, spoken
from actalker.batch.renderer import Renderer, Setting, content
from actalker.cli import main
from actalker.config import PRESETS
from actalker.errors import InputError
from actalker.pipelines.stages import Senses, weight


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write_media(folder)
    return folder


def batch(capsys, *words):
    """Run the command in one process: exit status, what it reports, what it says."""
    try:
        status = main(["batch", *map(str, words), "--workers", "1", "--json"])
    except SystemExit as exit:
        status = exit.code
    printed, said = capsys.readouterr()
    return status, json.loads(printed) if printed else None, said


def words_of(rows):
    return {row.name: set(row.words) for row in rows}


def test_a_row_says_what_animate_is_told(folder):
    row = {"name": "a/b", "photo": "hopper.jpg", "speech": "voice0.wav", "preset": "voice", "region": "head=still"}
    row |= {"at": ["0.2=head:audio"], "offset": {"jawOpen": 0.2}, "size": 256, "fps": "30000/1001", "seed": 7}
    (one,) = read_manifest(write_rows(folder / "m.jsonl", [row]))
    request = request_from(one.words, "embedded")
    assert one.name == "a/b"
    assert request.photo == folder / "hopper.jpg"
    assert request.regions == PRESETS["voice"] | {"head": "still"}
    assert request.timeline[0].regions["head"] == "audio"
    assert (request.offsets, request.size, request.seed) == ({"jawOpen": 0.2}, 256, 7)
    assert round(float(request.fps), 2) == 29.97


def test_csv_says_the_same(folder):
    (folder / "m.csv").write_text("name,photo,speech,region,seed\nx,hopper.jpg,voice0.wav,head=still gaze=still,3\n")
    (folder / "m.jsonl").write_text(
        '{"name": "x", "photo": "hopper.jpg", "speech": "voice0.wav", "map": "head:still,gaze:still", "seed": 3}\n'
    )
    assert words_of(read_manifest(folder / "m.csv")) == words_of(read_manifest(folder / "m.jsonl"))


def test_plurals_stand_for_every_combination(folder):
    row = {"name": "all", "photos": ["hopper.jpg", "astronaut.jpg"], "speeches": "voice*.wav", "size": 128}
    row |= {"maps": ["voice", "head=still"], "seeds": [1, 2, 3]}
    rows = read_manifest(write_rows(folder / "m.jsonl", [row]))
    assert len({one.name for one in rows}) == len({one.words for one in rows}) == 2 * 5 * 2 * 3
    assert rows[0].name == "all-hopper-voice0-voice-1"
    assert rows[-1].name == "all-astronaut-voice4-head-still-3"
    assert all("--size=128" in one.words for one in rows)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nonsense", "is no row of the manifest"),
        ('{"name": "../up", "photo": "hopper.jpg"}', "cannot name a result"),
        ('{"name": ".batch", "photo": "hopper.jpg"}', "cannot name a result"),
        ('{"photo": "hopper.jpg", "speech": "voice0.wav", "colour": "red"}', "unrecognized arguments: --colour=red"),
        ('{"photo": "hopper.jpg", "speech": "voice0.wav", "steps": "many"}', "invalid int value: 'many'"),
        ('{"photo": "hopper.jpg", "speech": "voice0.wav", "size": 9000}', "size is 9000"),
        ('{"photo": "hopper.jpg"}', "Neither speech nor a driving clip"),
        ('{"speech": "voice0.wav"}', "No photo was given"),
        ('{"photos": "*.bmp", "speech": "voice0.wav"}', "No file fits *.bmp"),
        ('{"photo": "hopper.jpg", "seeds": 3}', "The plural of seed is 3"),
    ],
)
def test_a_line_that_cannot_be_made_says_why(folder, tmp_path, line, sentence):
    (folder / "m.jsonl").write_text(line + "\n")
    (fault,) = make_plan(folder / "m.jsonl", Setting(tmp_path)).faults.values()
    assert sentence in fault
    assert "\n" not in fault


def test_a_name_is_taken_once(folder, tmp_path):
    rows = [one | {"name": "same"} for one in good_rows(2)]
    plan = make_plan(write_rows(folder / "m.jsonl", rows), Setting(tmp_path))
    assert list(plan.jobs) == ["same"]
    assert "taken" in plan.faults["same.again-2"]


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "cannot be read"), (b"", "no row"), (b"\xff\xfe\x00", "read")]
)
def test_a_manifest_that_is_none(capsys, tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "m.jsonl").write_bytes(content)
    status, _, said = batch(capsys, tmp_path / "m.jsonl", "--out", tmp_path / "out")
    assert status == 2
    assert sentence in said


def test_folders_that_cannot_be_used(capsys, folder, tmp_path):
    manifest = write_rows(folder / "m.jsonl", good_rows(1))
    (tmp_path / "file").write_text("")
    assert "is a file" in batch(capsys, manifest, "--out", tmp_path / "file")[2]
    assert "no batch to go on with" in batch(capsys, manifest, "--out", tmp_path / "new", "--resume")[2]
    assert not (tmp_path / "new").exists()


def test_poisoned_rows_fail_alone(capsys, folder, tmp_path):
    good, bad = good_rows(35), poisoned_rows(folder)
    rows = [row for pair in zip(good, bad, strict=False) for row in pair] + good[len(bad) :]
    out = tmp_path / "out"
    status, report, _ = batch(capsys, write_rows(folder / "m.jsonl", rows), "--out", out)
    assert (status, report["rendered"], report["failed"]) == (3, 35, 5)
    assert_complete(out, good)
    failures = listed(out / "failures.jsonl")
    assert [one["name"] for one in failures] == [row["name"] for row in bad]
    for row, failure in zip(bad, failures, strict=True):
        words = [
            f"--{field}={folder / value}" for field, value in row.items() if field in ("photo", "speech", "driving")
        ]
        words += ["--region=ears=audio"] if row["name"] == "ears" else []
        with pytest.raises(SystemExit) if row["name"] == "ears" else pytest.MonkeyPatch.context():
            assert main(["animate", *words, "--out", str(tmp_path / "one.mp4")]) == 2
        assert capsys.readouterr().err == f"actalker animate: {failure['error']}\n"


def test_nothing_is_made_twice(capsys, folder, tmp_path, monkeypatch):
    first, out = good_rows(3), tmp_path / "out"
    again = first[0] | {"name": "twin"}
    manifest, made = write_rows(folder / "m.jsonl", [*first, again]), []
    render = Renderer._made
    monkeypatch.setattr(Renderer, "_made", lambda self, job, *rest: made.append(job.name) or render(self, job, *rest))
    status, report, _ = batch(capsys, manifest, "--out", out)
    assert (status, report["rendered"], sorted(made)) == (0, 3, [row["name"] for row in first])
    assert_complete(out, [*first, again])
    assert (frames_of(out / "twin.mp4") == frames_of(out / f"{first[0]['name']}.mp4")).all()
    assert batch(capsys, manifest, "--out", out, "--resume")[1]["settled"] == 4
    (out / "clip-001.mp4").unlink()
    changed = [first[0], first[1], first[2] | {"seed": 99}, again]
    batch(capsys, write_rows(manifest, changed), "--out", out)
    assert sorted(made[3:]) == ["clip-001", "clip-002"]
    assert_complete(out, changed)


def test_a_mended_file_is_tried_again(capsys, folder, tmp_path):
    manifest = write_rows(folder / "m.jsonl", [good_rows(1)[0] | {"speech": "later.wav"}])
    assert batch(capsys, manifest, "--out", tmp_path / "out")[0] == 3
    (folder / "later.wav").write_bytes((folder / "voice0.wav").read_bytes())
    try:
        assert batch(capsys, manifest, "--out", tmp_path / "out")[0] == 0
    finally:
        (folder / "later.wav").unlink()
    assert listed(tmp_path / "out/failures.jsonl") == []


def test_a_fault_of_the_program_costs_its_row_alone_and_is_tried_again(capsys, folder, tmp_path, monkeypatch):
    manifest = write_rows(folder / "m.jsonl", good_rows(2))
    render = Renderer._made

    def broken(self, job, *rest):
        if job.name == "clip-000":
            raise ZeroDivisionError("oh")
        return render(self, job, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Renderer, "_made", broken)
        status, report, _ = batch(capsys, manifest, "--out", tmp_path / "out")
    assert (status, report["rendered"]) == (3, 1)
    assert "ZeroDivisionError: oh" in listed(tmp_path / "out/failures.jsonl")[0]["error"]
    status, report, _ = batch(capsys, manifest, "--out", tmp_path / "out")
    assert (status, report["rendered"], report["settled"]) == (0, 1, 1)


def test_scores_are_added_when_they_are_asked_for(capsys, folder, tmp_path):
    short, second = good_rows(2)
    second |= {"speech": str(ROOT / "assets/speech/welcome.wav"), "until": 1}
    batch(capsys, write_rows(folder / "m.jsonl", [short, second]), "--out", tmp_path / "out", "--score")
    unscored, scored = listed(tmp_path / "out/results.jsonl")
    assert unscored["unscored"].endswith(".")
    assert scored["scores"]["identity and picture"]["jitter"] > 0


def test_a_dry_run_tells_and_touches_nothing(capsys, folder, tmp_path):
    manifest = write_rows(folder / "m.jsonl", [*good_rows(3), *poisoned_rows(folder)])
    status, report, _ = batch(capsys, manifest, "--out", tmp_path / "out", "--dry-run")
    assert (status, report["rows"], report["to_render"]) == (0, 8, 7)
    assert list(report["cannot_be_made"]) == ["ears"]
    assert report["estimate"]["seconds_in_all"] > 0
    assert not (tmp_path / "out").exists()


def test_two_runs_do_not_share_a_folder(tmp_path):
    one, two = Ledger(tmp_path), Ledger(tmp_path)
    with one.held("first"):
        with pytest.raises(InputError, match="Another run is at work"), two.held("second"):
            pass
        with one.working("first", "row"):
            pass
    with two.held("second"), pytest.raises(Stopped), one.working("first", "row"):
        pass


def test_a_run_that_was_killed_goes_on(capsys, folder, tmp_path):
    rows, out = good_rows(4), tmp_path / "out"
    manifest = write_rows(folder / "m.jsonl", rows)
    command = [sys.executable, "-m", "actalker", "batch", str(manifest), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while len(list(out.glob(".batch/rows/*"))) < 2 or not list(out.glob(".batch/work/*/*.part")):
            assert run.poll() is None
            time.sleep(0.005)
        run.kill()
    status, report, _ = batch(capsys, manifest, "--out", out)
    assert (status, report["failed"], report["settled"] + report["rendered"]) == (0, 0, 4)
    assert report["settled"] >= 2
    assert_complete(out, rows)


def test_a_run_waits_for_the_last_rows_of_one_that_was_killed(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    monkeypatch.setattr("actalker.batch.ledger.PATIENCE", 0.3)
    with ledger.held("first"):
        pass
    with ledger._workers() as orphan:
        _locked(orphan, exclusive=False)
        with pytest.raises(InputError, match="still at work"), ledger.held("second"):
            pass
    with ledger.held("third"):
        pass


def test_a_row_over_which_workers_die_fails(tmp_path):
    class Killed(BaseException):
        pass

    ledger = Ledger(tmp_path)
    with ledger.held("run"):
        for _ in range(TRIES):
            with pytest.raises(Killed), ledger.working("run", "row"):
                raise Killed
        with pytest.raises(InputError, match=f"{TRIES} workers died over this row"), ledger.working("run", "row"):
            pass


def test_what_is_kept_is_bounded_by_bytes_and_known_by_content(folder, tmp_path):
    senses = Senses(100, None, content)
    photo, _ = senses.faces(folder / "hopper.jpg")
    (tmp_path / "copy.jpg").write_bytes((folder / "hopper.jpg").read_bytes())
    assert senses.faces(tmp_path / "copy.jpg")[0] is photo
    narrow = Senses(100, photo.nbytes // 2, content)
    kept, _ = narrow.faces(folder / "hopper.jpg")
    assert narrow.faces(folder / "hopper.jpg")[0] is kept
    narrow.faces(folder / "astronaut.jpg")
    assert narrow.faces(folder / "hopper.jpg")[0] is not kept
    assert weight([photo, [photo, "text", None]]) == 2 * photo.nbytes


def test_times_are_spoken_in_units():
    assert [spoken(s) for s in (3, 180, 7200, 1e6)] == ["3 s", "3 minutes", "2 hours", "11.6 days"]
