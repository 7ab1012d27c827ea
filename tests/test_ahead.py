"""Work in threads: its order, its end, and whoever stops waiting."""

import time
from threading import Event

import pytest

from actalker.pipelines import Cancelled
from actalker.pipelines.ahead import EACH, Errands, Stream, in_order
from actalker.pipelines.request import silent


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_whatever_the_threads(threads):
    begun = []

    def work(i):
        begun.append(i)
        time.sleep(0.002 * (i % 3))
        return i * i

    results = in_order(work, range(20), threads)
    assert next(results) == 0
    assert len(begun) <= EACH * threads
    assert list(results) == [i * i for i in range(1, 20)]


def test_an_iterator_that_is_closed_begins_nothing_more():
    begun = []
    results = in_order(begun.append, range(100), 2)
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


def test_every_reader_of_a_stream_gets_all_of_it_as_it_is_made():
    may_go_on = Event()

    def things():
        yield from "ab"
        assert may_go_on.wait(5)
        yield "c"

    with Errands(silent) as errands:
        stream = errands.stream(things())
        one = errands.each(stream)
        assert [next(one), next(one)] == ["a", "b"]
        assert stream.so_far() == ["a", "b"]
        may_go_on.set()
        assert list(one) == ["c"]
        assert list(stream) == list(Stream.of("a", "b", "c")) == ["a", "b", "c"]


def test_a_reader_gets_what_was_made_before_the_fault():
    def things():
        yield 1
        raise ValueError("no more")

    with Errands(silent) as errands:
        stream = errands.stream(things())
        for reader in (errands.each(stream), iter(stream)):
            assert next(reader) == 1
            with pytest.raises(ValueError, match="no more"):
                next(reader)


def test_a_stream_is_made_for_as_long_as_somebody_follows():
    told, left = [], Event()

    def one(_stage, done):
        told.append(("one", done))

    def two(_stage, done):
        told.append(("two", done))
        if left.is_set():
            raise Cancelled

    def things():
        for done in (0.1, 0.2, 0.3, 0.4, 0.5):
            stream.told("measuring", done)
            yield done
            if done == 0.1:
                assert stream.follow(two)
            if done == 0.2:
                left.set()

    stream = Stream(one)
    stream.fill(things())
    assert list(stream) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [done for who, done in told if who == "one"] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [done for who, done in told if who == "two"] == [0.2, 0.3]

    stream = Stream(two)
    stream.fill(things())
    assert (stream.so_far(), stream.broken, stream.follow(one)) == ([], True, False)


def test_progress_hears_of_the_stage_that_is_furthest():
    heard = []
    with Errands(lambda *told: heard.append(told)) as errands:
        errands.told("denoising", 0.2)
        errands.told("measuring", 0.9)
        errands.result(errands.begin(lambda: None))
        errands.tell("rendering", 0.1)
        errands.told("measuring", 1.0)
        errands.result(errands.begin(lambda: time.sleep(0.3)))
        errands.tell("rendering", 0.2)
    assert list(dict.fromkeys(heard)) == [
        ("measuring", 0.9),
        ("denoising", 0.2),
        ("rendering", 0.1),
        ("rendering", 0.2),
    ]
