"""The collector's settings while many messages are judged."""

from __future__ import annotations

import gc

import pytest

from crisis_filter.pipeline.garbage import seldom


@pytest.fixture(autouse=True)
def _as_python_begins():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_was_there_is_left_alone_and_the_young_are_looked_at_seldom():
    kept = [[] for _ in range(1000)]
    with seldom():
        assert gc.get_threshold() == (20_000, 10, 10)
        assert gc.get_freeze_count() > len(kept)
        assert gc.isenabled()


@pytest.mark.parametrize("how", [None, ValueError])
def test_the_settings_are_put_back(how):
    try:
        with seldom():
            if how is not None:
                raise how
    except ValueError:
        pass
    assert gc.get_threshold() == (700, 10, 10)
    assert gc.get_freeze_count() == 0


def test_one_inside_another_changes_nothing():
    with seldom():
        frozen = gc.get_freeze_count()
        with seldom():
            pass
        assert gc.get_threshold() == (20_000, 10, 10)
        assert gc.get_freeze_count() >= frozen > 0


def test_a_collector_that_somebody_switched_off_stays_off():
    gc.disable()
    try:
        with seldom():
            assert not gc.isenabled()
            assert gc.get_threshold() == (700, 10, 10)
    finally:
        gc.enable()


def test_cycles_are_still_collected():
    class Node:
        pass

    gone = []
    with seldom():
        for _ in range(30_000):
            node = Node()
            node.me = node
            node.kept = [[]]
            gone.append(id(node)) if len(gone) < 1 else None
        assert gc.get_count()[0] < 30_000  # else thirty thousand nodes would wait
