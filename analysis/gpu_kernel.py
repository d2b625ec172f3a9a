"""Joint entropies on tensor cores: counts are made, looked up and summed without leaving the chip.

A joint histogram is a matrix product of one-hot rows: one row per bin of x, one per bin of y, and the sum over the
dimensions counts those that lie in both. In int8 that is what tensor cores do fastest. The kernel below takes eight
row variants of 16 bins and eight column variants (fewer of more bins), so that a program makes one product of
128 x 128 counts; it looks up n log2 n of each count while the counts are in registers, and writes one number per pair.

**One-hot rows are never stored.** The bin rows lie in memory as bits, four dimensions a byte (`analysis.gpu_memory`).
`a & 2^s` turns a byte into an int8 that is 2^s or 0: the one-hot value of one dimension in four, scaled. With the bits
of the partner's bytes in reverse, `b & 2^(3 - s)` is the value of the same dimension scaled by 2^(3 - s), so that every
product that counts is 8 whatever s is, and one shift at the end gives the counts. Four dimensions of a row cost one
instruction. Only half of each byte is used because the highest bit of an int8 is its sign.

**The sum is exact.** Counts are integers; n log2 n comes from the fixed-point table of all engines.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from analysis.gpu_memory import SLICES, DeviceTile
from analysis.gpu_plan import Products

ROWS = 128
"""Bins of all row variants of a product, and of all column variants."""

STEPS = (64, 32)
"""Bytes of a bin row that a product takes at a time: the longest whose padding is the shortest."""

WINDOW = 2048
"""Entries of the table that are in shared memory at a time."""

OPTIONS = {"num_warps": 8, "num_stages": 3, "maxnreg": 128}
"""128 registers let two programs share a multiprocessor: one looks up while the other multiplies."""


def shape_of_rows(bins: int, words: int) -> tuple[int, int]:
    """Bins of a variant and bytes of a bin row on the device, padding included, for bit rows of `words` 64-bit words.

    Bins are a power of two, and no fewer than a warp's share of the rows of a product.
    """
    row_bytes = words * 64 // SLICES
    step = min(STEPS, key=lambda step: (-row_bytes % step, -step))
    return max(16, triton.next_power_of_2(bins)), row_bytes + -row_bytes % step


def variants_per_product(tile: DeviceTile) -> int:
    return ROWS // tile.rows_a.shape[1]


def launch(tile: DeviceTile, products: Products, table: torch.Tensor, joint: torch.Tensor) -> None:
    """Fills `joint`, int64 [R, C], at every pair of the tile; `table` is int64 [D + 1] on the same device."""
    bins, row_bytes = tile.rows_a.shape[1:]
    if len(products.group) == 0:
        return
    with torch.cuda.device_of(joint):  # Triton launches on the current device
        joint_terms_kernel[(len(products.group),)](
            tile.rows_a, tile.rows_b, table, joint, *products, tile.chosen_b, tile.set_a, *joint.shape,
            tile.chosen_b.shape[1], row_bytes, len(table), **constants(bins, row_bytes, len(table), tile.diagonal),
            **OPTIONS,
        )  # fmt: skip


def constants(bins: int, row_bytes: int, table_size: int, diagonal: bool) -> dict[str, int]:
    """What the kernel is compiled for."""
    return {
        "DIAGONAL": diagonal,
        "BINS": bins,
        "SIZE": ROWS // bins,
        "STEP": next(step for step in STEPS if row_bytes % step == 0),
        "SLICES": SLICES,
        "WINDOW": min(WINDOW, triton.next_power_of_2(table_size + 1)),
    }


@triton.jit
def joint_terms_kernel(
    rows_a: tl.tensor,
    rows_b: tl.tensor,
    table: tl.tensor,
    joint: tl.tensor,
    group: tl.tensor,
    row_variants: tl.tensor,
    columns: tl.tensor,
    column_variants: tl.tensor,
    chosen_b: tl.tensor,
    set_a: tl.tensor,
    row_number: tl.tensor,
    column_number: tl.tensor,
    row_sets: tl.tensor,
    row_bytes: tl.tensor,
    table_size: tl.tensor,
    DIAGONAL: tl.constexpr,
    BINS: tl.constexpr,
    SIZE: tl.constexpr,
    STEP: tl.constexpr,
    SLICES: tl.constexpr,
    WINDOW: tl.constexpr,
) -> None:
    """One product of SIZE row variants with SIZE column variants; see `launch` and `analysis.gpu_plan.Products`."""
    product = tl.program_id(0)
    counts = _counts(rows_a, rows_b, row_variants + product * SIZE, column_variants + product * SIZE, row_bytes,
                     BINS, SIZE, STEP, SLICES)  # fmt: skip
    terms = _terms(counts, table, table_size, BINS, SIZE, WINDOW)
    place = tl.arange(0, SIZE)
    row = tl.load(group + product) * SIZE + place
    column = tl.load(columns + product * SIZE + place)
    variant = tl.load(column_variants + product * SIZE + place)
    real = (row < row_number)[:, None] & (column >= 0)[None, :]
    if DIAGONAL:
        real = real & (row[:, None] < column[None, :])
    row_set = tl.load(set_a + row, row < row_number, 0)
    asked = tl.load(chosen_b + column.to(tl.int64)[None, :] * row_sets + row_set[:, None], real, -1)
    pair = joint + row.to(tl.int64)[:, None] * column_number + column[None, :]
    tl.store(pair, terms, real & (asked == variant[None, :]))


@triton.jit
def _counts(
    rows_a: tl.tensor,
    rows_b: tl.tensor,
    row_variants: tl.tensor,
    column_variants: tl.tensor,
    row_bytes: tl.tensor,
    BINS: tl.constexpr,
    SIZE: tl.constexpr,
    STEP: tl.constexpr,
    SLICES: tl.constexpr,
) -> tl.tensor:
    """int32 [SIZE * BINS, SIZE * BINS]: every bin of the row variants with every bin of the column variants."""
    line = tl.arange(0, SIZE * BINS)
    line_a = tl.load(row_variants + line // BINS).to(tl.int64) * BINS + line % BINS
    line_b = tl.load(column_variants + line // BINS).to(tl.int64) * BINS + line % BINS
    within = tl.arange(0, STEP)
    start_a = rows_a + line_a[:, None] * row_bytes + within[None, :]
    start_b = rows_b + line_b[:, None] * row_bytes + within[None, :]
    counts = tl.full((SIZE * BINS, SIZE * BINS), 0, tl.int32)
    for start in range(0, row_bytes, STEP):
        a = tl.load(start_a + start)
        b = tl.load(start_b + start)
        for s in tl.static_range(SLICES):
            left = (a & (1 << s)).to(tl.int8)
            right = (b & (1 << (SLICES - 1 - s))).to(tl.int8)
            counts = tl.dot(left, right.T, counts, out_dtype=tl.int32)
    return counts >> (SLICES - 1)


@triton.jit
def _terms(
    counts: tl.tensor,
    table: tl.tensor,
    table_size: tl.tensor,
    BINS: tl.constexpr,
    SIZE: tl.constexpr,
    WINDOW: tl.constexpr,
) -> tl.tensor:
    """int64 [SIZE, SIZE]: the sum of the table's entries at the counts of each pair of variants.

    The table goes by in windows, whose last entry is 0: counts outside a window look there.
    """
    flat = tl.reshape(counts, (SIZE * BINS * SIZE * BINS,))
    entry = tl.arange(0, WINDOW)
    total = tl.full((SIZE, SIZE), 0, tl.int64)
    for low in range(0, table_size, WINDOW - 1):
        window = tl.load(table + low + entry, (entry < WINDOW - 1) & (low + entry < table_size), 0)
        place = tl.minimum((flat - low).to(tl.uint32, bitcast=True), WINDOW - 1).to(tl.int32)
        terms = tl.permute(tl.reshape(tl.gather(window, place, 0), (SIZE, BINS, SIZE, BINS)), (0, 2, 1, 3))
        total += tl.sum(tl.reshape(terms, (SIZE, SIZE, BINS * BINS)), 2)
    return total
