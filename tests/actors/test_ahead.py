"""Reading ahead changes nothing about what is read."""

import threading

import pytest

from actors.ahead import MOST, ahead


def test_everything_comes_in_order():
    assert list(ahead(iter(range(3 * MOST)))) == list(range(3 * MOST))


def test_what_reading_raises_is_raised_behind_what_was_read():
    def broken():
        yield 1
        raise ValueError("a bad frame")

    got = ahead(broken())

    assert next(got) == 1
    with pytest.raises(ValueError, match="a bad frame"):
        next(got)


def test_a_reader_that_nobody_reads_from_any_more_ends():
    before = set(threading.enumerate())
    got = ahead(iter(range(10 * MOST)))
    next(got)
    (reader,) = set(threading.enumerate()) - before
    got.close()

    assert not reader.is_alive()
