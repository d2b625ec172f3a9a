"""Lineages: a cluster is followed by its marks, whatever its number, and says where it came from and went."""

from __future__ import annotations

import numpy as np

from analysis.lineages import follow


def test_a_cluster_is_followed_by_its_marks_and_not_by_its_number():
    few = np.repeat([1, 0], [4, 6])
    many = np.repeat([0, 1], [4, 6])
    found = follow({3: few, 4: many})
    assert [lineage.steps for lineage in found] == [[(3, 0), (4, 1)], [(3, 1), (4, 0)]]


def test_a_cluster_is_born_of_the_one_that_held_its_marks_and_dissolves_into_the_one_that_takes_them():
    one = np.zeros(12, np.int64)
    two = np.repeat([0, 1], [9, 3])
    three = np.repeat([0, 2, 1], [5, 4, 3])
    found = follow({0: one, 1: two, 2: three, 3: one})
    assert [lineage.steps for lineage in found] == [[(0, 0), (1, 0), (2, 0)], [(1, 1), (2, 1)], [(2, 2)], [(3, 0)]]
    assert [lineage.origin for lineage in found] == [None, 0, 0, 0]
    assert [lineage.destination for lineage in found] == [3, 3, 3, None]


def test_no_marks_have_no_lineages():
    assert follow({0: np.zeros(0, np.int64), 1: np.zeros(0, np.int64)}) == []
