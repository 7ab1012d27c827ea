"""Bulk rendering on Ray: the frames of one process, and nothing is lost when worker, driver or machine are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_rows import ROOT, assert_complete, frames_of, good_rows, listed, poisoned_rows, write_media, write_rows

pytest.importorskip("ray", reason="Ray is not installed; requirements-batch.txt has it")
ENOUGH = 300.0  # seconds that nothing here takes on a machine that works


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write_media(folder)
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "actalker", "batch", *map(str, words), "--json"]


def start(*words: object) -> subprocess.Popen:
    """The driver, as a process of its own."""
    return subprocess.Popen(command(*words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(driver: subprocess.Popen) -> dict:
    """What a driver reports that is expected to go well."""
    printed, said = driver.communicate(timeout=ENOUGH)
    assert driver.returncode == 0, said
    return json.loads(printed)


def wait_for(true: Callable[[], bool], driver: subprocess.Popen) -> None:
    until = time.monotonic() + ENOUGH
    while not true():
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)


def settled(out: Path) -> list[Path]:
    """The records that are there, whoever wrote them."""
    return list((out / ".batch/rows").glob("*.json"))


def making(out: Path) -> list[Path]:
    """What workers write at this moment."""
    return list((out / ".batch/work").glob("*/*.part"))


def worker_of(record: Path) -> int:
    return int(json.loads(record.read_text())["worker"].rsplit(":", 1)[1])


def test_poisoned_rows_fail_alone_and_frames_are_those_of_one_process(folder, tmp_path):
    good, bad = good_rows(8), poisoned_rows(folder)
    manifest = write_rows(folder / "poisoned.jsonl", [*bad[:2], *good, *bad[2:]])
    for workers in (1, 2):
        out = tmp_path / str(workers)
        done = subprocess.run(command(manifest, "--out", out, "--workers", workers), cwd=ROOT, capture_output=True)
        assert done.returncode == 3, done.stderr
        assert_complete(out, good)
        assert [one["name"] for one in listed(out / "failures.jsonl")] == [row["name"] for row in bad]
    alone, shared = tmp_path / "1", tmp_path / "2"
    assert listed(alone / "failures.jsonl") == listed(shared / "failures.jsonl")
    assert len({one["worker"] for one in listed(shared / "results.jsonl")}) == 2
    for row in good:
        assert (frames_of(alone / f"{row['name']}.mp4") == frames_of(shared / f"{row['name']}.mp4")).all()


def test_workers_and_driver_are_killed_and_nothing_is_lost_or_made_twice(folder, tmp_path):
    rows, out = good_rows(40), tmp_path / "out"
    words = (write_rows(folder / "killed.jsonl", rows), "--out", out, "--workers", 2)
    driver = start(*words)
    wait_for(lambda: len(settled(out)) >= 5 and making(out), driver)
    os.kill(worker_of(settled(out)[-1]), signal.SIGKILL)
    wait_for(lambda: len(settled(out)) >= 15 and making(out), driver)
    driver.kill()
    driver.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in [*settled(out), *out.glob("*.mp4")]}
    assert len(before) < 2 * len(rows)
    report = finished(start(*words))
    assert_complete(out, rows)
    assert report["failed"] == 0
    assert report["settled"] + report["rendered"] == len(rows)
    assert report["settled"] >= 15
    after = {path.name: path.stat().st_mtime_ns for path in [*settled(out), *out.glob("*.mp4")]}
    kept = {name for name in before if name.endswith(".json")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert finished(start(*words))["rendered"] == 0


def test_a_row_whose_worker_is_killed_is_made_by_another(folder, tmp_path):
    rows, out = good_rows(8), tmp_path / "out"
    driver = start(write_rows(folder / "one.jsonl", rows), "--out", out, "--workers", 2)
    wait_for(lambda: len(settled(out)) >= 2 and making(out), driver)
    dead = worker_of(settled(out)[0])
    os.kill(dead, signal.SIGKILL)
    report = finished(driver)
    assert (report["rendered"], report["failed"]) == (8, 0)
    assert_complete(out, rows)
    assert any(one["worker"].endswith(f":{dead}") for one in listed(out / "results.jsonl"))


def test_a_machine_of_two_is_lost(folder, tmp_path):
    from ray.cluster_utils import Cluster

    rows, out = good_rows(40), tmp_path / "out"
    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    try:
        second = cluster.add_node(**small)
        manifest = write_rows(folder / "nodes.jsonl", rows)
        driver = start(manifest, "--out", out, "--address", cluster.address)
        wait_for(lambda: len({worker_of(path) for path in settled(out)}) == 2 and making(out), driver)
        cluster.remove_node(second, allow_graceful=False)
        left = len(rows) - len(settled(out))
        report = finished(driver)
    finally:
        cluster.shutdown()
    assert left > 0
    assert (report["rendered"], report["failed"]) == (40, 0)
    assert_complete(out, rows)
