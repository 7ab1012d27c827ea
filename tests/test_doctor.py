"""The doctor: it speaks in plain words even where little works."""

import json

import pytest

from actalker import doctor


@pytest.fixture(scope="module")
def facts() -> dict:
    return doctor.report()


def test_the_report_is_json_and_reads_as_text(facts):
    text = doctor.as_text(json.loads(json.dumps(facts)))
    for name in (*doctor.PACKAGES, *facts["scan_backends"], *facts["self_test"]):
        assert name in text
    assert all(len(line) < 400 for line in text.splitlines())


def test_what_needs_no_weights_works_here(facts):
    assert set(facts["modules"].values()) == {"ok"}
    assert {facts["self_test"][name] for name in ("media", "speech", "scan")} == {"ok"}
    assert facts["scan_backends"]["reference"] == "ready"


def test_a_missing_library_is_named_with_its_remedies(monkeypatch):
    def refuse(_name):
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(doctor.importlib, "import_module", refuse)
    said = doctor._loading("cv2")
    assert said.startswith("libGL.so.1: cannot open shared object file")
    assert "apt-get install libgl1" in said
    assert "pip install" in said


def test_a_missing_package_is_named_with_its_remedy():
    assert doctor._loading("no_such_module") == f"no_such_module is not installed; {doctor._REINSTALL}"
    assert doctor._version("no-such-package") is None


def test_checkpoints_are_listed_and_bad_ones_told(monkeypatch, tmp_path):
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "broken.safetensors").write_bytes(b"not weights")
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(tmp_path))
    assert "not a checkpoint" in doctor._checkpoints()["embedded/broken.safetensors"]


def test_no_checkpoint_makes_it_not_ready(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(tmp_path))
    facts = doctor.report()
    assert not facts["ready"]
    assert "There is no checkpoint" in facts["self_test"]["model"]
    assert "Something is missing" in doctor.as_text(facts)


def test_the_limits_of_media_are_told(facts):
    from actalker.config import LIMITS

    assert facts["limits"]["driving clip"].startswith(f"{LIMITS.clip_seconds:.0f} s")
    assert all(said in doctor.as_text(facts) for said in facts["limits"].values())


def test_a_failing_check_is_told_and_stops_nothing(monkeypatch):
    def broken():
        raise RuntimeError("the film tore")

    monkeypatch.setattr(doctor, "_CHECKS", {"media": broken})
    facts = doctor.report()
    assert facts["self_test"] == {"media": "RuntimeError: the film tore"}
    assert not facts["ready"]


def test_a_scan_that_disagrees_is_noticed(monkeypatch):
    from actalker import scan

    honest = scan.selective_scan
    monkeypatch.setattr(scan, "selective_scan", lambda *args, backend="auto": honest(*args) + (backend == "auto"))
    assert "differs from its definition" in doctor._outcome(doctor._check_scan)
