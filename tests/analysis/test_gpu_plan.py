"""The products that a tile is cut into serve every pair, each once, and few are wasted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from analysis.gpu_memory import DeviceTile, half_bytes, reversed_bits
from analysis.gpu_plan import plan


def tile_of(chosen_a, chosen_b, set_a, set_b, diagonal) -> DeviceTile:
    """A tile as the plan sees it: it reads no bin rows."""
    nothing = torch.empty(0, 16, 32, dtype=torch.uint8)
    arrays = (torch.from_numpy(np.asarray(array, np.int64)) for array in (chosen_a, chosen_b, set_a, set_b))
    return DeviceTile(nothing, nothing, *arrays, diagonal)


def random_tile(rows: int, columns: int, sets: int, variants: int, diagonal: bool, seed: int) -> DeviceTile:
    rng = np.random.default_rng(seed)
    set_a, set_b = np.sort(rng.integers(0, sets, rows)), np.sort(rng.integers(0, sets, columns))
    chosen_a = np.arange(rows)[:, None] * variants + rng.integers(0, variants, (rows, sets))
    chosen_b = np.arange(columns)[:, None] * variants + rng.integers(0, variants, (columns, sets))
    if diagonal:
        chosen_b, set_b = chosen_a, set_a
    return tile_of(chosen_a, chosen_b, set_a, set_b, diagonal)


def served(tile: DeviceTile, size: int) -> Counter:
    """How often each pair finds the two variants that it asks for in a product."""
    chosen_a, chosen_b, set_a, set_b = (array.numpy() for array in tile[2:6])
    times = Counter()
    for group, row_variants, columns, column_variants in zip(*(part.numpy() for part in plan(tile, size)), strict=True):
        for i, row_variant in enumerate(row_variants):
            for column, column_variant in zip(columns, column_variants, strict=True):
                row = group * size + i
                if column < 0 or row >= len(set_a) or (tile.diagonal and row >= column):
                    continue
                if chosen_b[column, set_a[row]] == column_variant:
                    assert chosen_a[row, set_b[column]] == row_variant
                    times[int(row), int(column)] += 1
    return times


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("variants", [1, 3, 10**6])  # a million: tuples of eight no longer fit into 63 bits
def test_every_pair_is_served_once(size, diagonal, variants):
    rows, columns = 19, 19 if diagonal else 27
    found = served(random_tile(rows, columns, 5, variants, diagonal, seed=size), size)
    wanted = {(r, c): 1 for r in range(rows) for c in range(columns) if not diagonal or r < c}
    assert found == wanted


def test_no_product_is_wasted_where_bins_do_not_move():
    tile = random_tile(64, 128, 3, 1, diagonal=False, seed=0)
    assert len(plan(tile, 8).group) == 8 * 16


def test_columns_are_gathered_by_what_the_rows_show_them():
    """Two settings of the rows that alternate from column to column: the products are as many as without."""
    set_b = np.arange(64) % 2
    tile = tile_of(np.arange(16).reshape(8, 2), np.arange(64)[:, None], np.zeros(8), set_b, False)
    products = plan(tile, 8)
    assert len(products.group) == 8
    for columns in products.columns.numpy():
        assert len(set(set_b[columns])) == 1


def test_a_tile_without_pairs():
    assert len(plan(random_tile(1, 1, 1, 1, diagonal=True, seed=0), 8).group) == 0


def test_bin_rows_as_half_bytes():
    """Bit s of byte k is dimension 4 k + s; in reverse it is bit 3 - s."""
    bits = np.random.default_rng(4).integers(0, 2**63, (3, 5, 2), np.uint64)
    dimensions = np.unpackbits(bits.view(np.uint8), axis=2, bitorder="little").reshape(3, 5, 32, 4)
    half = half_bytes(bits, 16, 64, torch.device("cpu"))
    assert half.shape == (3, 16, 64)
    assert not half[:, 5:].any()
    assert not half[:, :, 32:].any()
    for found, order in ((half, [0, 1, 2, 3]), (reversed_bits(half), [3, 2, 1, 0])):
        one_bit_each = np.stack([found[:, :5, :32].numpy() >> s & 1 for s in order], axis=-1)
        np.testing.assert_array_equal(one_bit_each, dimensions)
        assert found.max() < 16
