"""Which variants meet in which matrix product on a GPU, so that nearly every product made is one that a pair asks for.

A product takes a few row variants and a few column variants and gives the joint histogram of each with each. Vectors
have several variants, and a product of whole groups of vectors would be wasted where their pairs ask for others. Hence:

- Rows go in groups of neighbours. To a column of outlier set t, row r of the group shows variant `chosen_a[r, t]`: the
  group has as many *settings* as there are distinct tuples of these.
- For each setting, the columns that ask for it are gathered, each with the variant that it shows to the group's rows; a
  column whose variant differs from row to row comes once for each.
- These are cut into products. What is wasted is the last product of each setting and the columns that come more than
  once: little where there are many vectors.

Everything is a few operations on whole arrays, so that it runs where the products do.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from analysis.gpu_memory import DeviceTile


class Products(NamedTuple):
    """T products of a group of rows with gathered columns; the rows of group g are g * size and those that follow."""

    group: torch.Tensor  # int32 [T]
    row_variants: torch.Tensor  # int32 [T, size]
    columns: torch.Tensor  # int32 [T, size], -1 where no column is left
    column_variants: torch.Tensor  # int32 [T, size]


class _Entries(NamedTuple):
    """Columns to gather: E of them, each with the setting of a group that it belongs to."""

    setting: torch.Tensor  # int64 [E]
    column: torch.Tensor  # int64 [E]
    variant: torch.Tensor  # int64 [E]


def plan(tile: DeviceTile, size: int) -> Products:
    """The products of `size` row variants with `size` column variants that serve every pair of a tile."""
    rows = torch.arange(-(-len(tile.set_a) // size) * size, device=tile.set_a.device).view(-1, size)
    shown = tile.chosen_a[rows.clamp(max=len(tile.set_a) - 1)]
    setting = _settings(shown)
    return _cut(_entries(tile, rows, setting), shown, setting, size)


def _settings(shown: torch.Tensor) -> torch.Tensor:
    """Numbers the distinct tuples of variants of each group, group by group: int64 [G, S] from int64 [G, size, S]."""
    groups, _, sets = shown.shape
    variants = int(shown.max()) + 1
    setting = torch.arange(groups, device=shown.device)[:, None].expand(groups, sets)
    bound = groups
    for variant in shown.unbind(1):
        if bound > (2**63 - 1) // variants:
            setting = torch.unique(setting, return_inverse=True)[1]
            bound = groups * sets
        setting = setting * variants + variant
        bound *= variants
    return torch.unique(setting, return_inverse=True)[1]


def _entries(tile: DeviceTile, rows: torch.Tensor, setting: torch.Tensor) -> _Entries:
    """Each column once for every variant that it shows to the rows of a group which pair with it."""
    last, columns = len(tile.set_a) - 1, torch.arange(len(tile.set_b), device=rows.device)
    variant = tile.chosen_b.T[tile.set_a[rows.clamp(max=last)]]
    asked = (rows <= last)[:, :, None].expand(variant.shape)
    if tile.diagonal:
        asked = asked & (rows[:, :, None] < columns)
    variant = torch.where(asked, variant, -1)
    first = asked.clone()
    for place in range(1, rows.shape[1]):
        first[:, place] &= (variant[:, :place] != variant[:, place, None]).all(dim=1)
    group, row, column = first.nonzero(as_tuple=True)
    return _Entries(setting[group, tile.set_b[column]], column, variant[group, row, column])


def _cut(entries: _Entries, shown: torch.Tensor, setting: torch.Tensor, size: int) -> Products:
    """The entries of each setting in products of `size`."""
    sets = setting.shape[1]
    number = torch.bincount(entries.setting, minlength=int(setting.max()) + 1)
    products = (number + size - 1) // size
    sorted_setting, order = torch.sort(entries.setting, stable=True)
    place = torch.arange(len(order), device=order.device) - (number.cumsum(0) - number)[sorted_setting]
    place += (products.cumsum(0) - products)[sorted_setting] * size
    columns = place.new_full((int(products.sum()) * size,), -1)
    variants = torch.zeros_like(columns)
    columns[place], variants[place] = entries.column[order], entries.variant[order]
    example = torch.empty_like(number)  # one place in [G, S] where a setting occurs: any will do
    example[setting.flatten()] = torch.arange(setting.numel(), device=setting.device)
    example = example.repeat_interleave(products)
    group = example // sets
    gathered = (group, shown[group, :, example % sets], columns.view(-1, size), variants.view(-1, size))
    return Products(*(part.int().contiguous() for part in gathered))
