"""Work in threads: its order, its end, and whoever stops waiting."""

import time
from threading import Event

import pytest

from actalker.pipelines import Cancelled
from actalker.pipelines.ahead import EACH, Errands, in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_whatever_the_threads(threads):
    begun = []

    def work(i):
        begun.append(i)
        time.sleep(0.002 * (i % 3))
        return i * i

    results = in_order(work, 20, threads)
    assert next(results) == 0
    assert len(begun) <= EACH * threads
    assert list(results) == [i * i for i in range(1, 20)]


def test_an_iterator_that_is_closed_begins_nothing_more():
    begun = []
    results = in_order(begun.append, 100, 2)
    next(results)
    results.close()
    time.sleep(0.05)
    assert len(begun) <= 2 * EACH + 1


def test_errands_end_when_nobody_waits():
    ended = Event()

    def long(told):
        try:
            while True:
                told("measuring", 0.5)
                time.sleep(0.01)
        except Cancelled:
            ended.set()

    def leave(_stage, done):
        if done == 0.5:
            raise Cancelled

    with pytest.raises(Cancelled), Errands(leave) as errands:
        errands.result(errands.begin(lambda: long(errands.told)))
    assert ended.wait(5)
