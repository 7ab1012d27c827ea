"""The numba backend among threads and processes: the same bits for any number of threads, and no crash anywhere."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from scan_inputs import arguments, outcome

from actalker import scan
from actalker.scan import numba_cpu

LARGE = (2, 150, 16, 1300)  # more elements than are scanned without a second thread


@pytest.fixture(scope="module")
def given():
    return arguments(*LARGE)


@pytest.fixture
def threads():
    """Sets the number of threads, and resets it afterwards."""
    usual = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(usual)


def run(given):
    return outcome(given, "numba", torch.float32, delta_softplus=True)


def test_one_thread_and_two_give_the_same_bits(given, threads):
    assert torch.Size(LARGE).numel() > numba_cpu.SERIAL
    results = []
    for count in (1, 2):
        threads(count)
        results.append(run(given))
    for name, x in results[0].items():
        assert torch.equal(x, results[1][name]), name


def test_the_number_of_threads_is_obeyed(threads):
    shares = []

    def kernel(tasks):
        shares.append(len(tasks))

    tasks = numba_cpu._tasks(2, 150, 1)
    for count in (1, 2):
        threads(count)
        shares.clear()
        numba_cpu._run(kernel, tasks, numba_cpu.SERIAL + 1)
        assert len(shares) == count
        assert sum(shares) == len(tasks)
    shares.clear()
    numba_cpu._run(kernel, tasks, numba_cpu.SERIAL)
    assert shares == [len(tasks)]


def test_tasks_cover_every_channel_once():
    for clips, channels, groups in ((1, 1, 1), (2, 33, 1), (1, 640, 1), (3, 300, 2), (25, 64, 1), (1, 7, 7)):
        tasks = numba_cpu._tasks(clips, channels, groups).astype(int)
        covered = sorted((clip, at) for clip, _, _, first, size in tasks for at in range(first, first + size))
        assert covered == [(clip, at) for clip in range(clips) for at in range(channels)]
        share = channels // groups
        assert all(first // share == (first + size - 1) // share == group for _, group, _, first, size in tasks)
        assert len({(clip, slot) for clip, _, slot, _, _ in tasks}) == len(tasks)


def test_calls_from_two_threads_at_once(given, threads):
    threads(2)
    alone = run(given)
    with ThreadPoolExecutor(2) as pool:
        for together in pool.map(lambda _: run(given), range(6)):
            assert all(torch.equal(x, together[name]) for name, x in alone.items())


def _scan_in_a_child(count, given, results):
    torch.set_num_threads(count)
    results.put(scan.selective_scan(**given, delta_softplus=True, backend="numba").numpy())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.parametrize("count", [1, 2])
def test_a_forked_child_scans_after_its_parent_did(given, threads, count):
    """With two threads torch must have nothing to copy: its own do not outlive a fork. Data loaders set one."""
    threads(2)
    float32 = {name: x.float() for name, x in given.items()}
    if count == 2:
        float32 |= {
            name: float32[name].transpose(-1, -2).contiguous().transpose(-1, -2)
            for name in ("u", "delta", "z", "B", "C", "initial_state")
        }
    expected = scan.selective_scan(**float32, delta_softplus=True, backend="numba")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_scan_in_a_child, args=(count, float32, results), daemon=True)
    child.start()
    try:
        assert torch.equal(torch.from_numpy(results.get(timeout=60)), expected)
    finally:
        child.join(5)
        child.kill()
    assert child.exitcode == 0
