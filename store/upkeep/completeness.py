"""Does a record hold what its books promise? Counting suffices: keys are unique and in range, so enough is all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from store.books import BookStatus
from store.columns import ALL_CLASSES
from store.keys import BASELINE
from store.upkeep.contents import BookBlock, Contents, MarkTotals, PairTotals, PassageTotals, TransferTotals, TriedText

_RELATIVE_TOLERANCE = 1e-9
"""Summation in another order moves the last digits of a mean of 64-bit floats, and not more."""


def completeness(contents: Contents) -> Iterator[tuple[str, str]]:
    """What is missing or too much: (path, in words what)."""
    books_path = contents.path_of("books")
    recorded = {book.key for book in contents.record.books if book.status is BookStatus.USED}
    for book in sorted(recorded ^ set(contents.used)):
        yield books_path, f"book {book} is in the commit record or among the books, and not in both"
    for book, used in contents.used.items():
        yield from _incomplete_book(contents, book, used)
    yield from _incomplete_trials(contents)
    if contents.used and contents.expected.clusters and "cluster_terms" not in contents.paths:
        yield contents.record.path, "has no file of cluster_terms, which every shard with marks has"
    known = contents.pairs.keys() | contents.summaries.keys() | contents.passage_sums.keys()
    for book in {block.book for block in known} | {book for _, book in contents.marks} | contents.passages.keys():
        if book not in contents.used:
            yield books_path, f"book {book} has results and no row of its own"
            break


def _incomplete_book(contents: Contents, book: str, used: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    expected = contents.expected
    for name, marks in used.items():
        found = contents.marks.get((name, book), MarkTotals()).marks
        if found != marks:
            yield contents.path_of("marks"), f"book {book} has {found} {name} marks; its books row says {marks}"
    last = max((contents.marks[name, book].last_passage for name in used if (name, book) in contents.marks), default=-1)
    if contents.passages[book] < last + 1:
        found = contents.passages[book]
        yield contents.path_of("passages"), f"book {book} has {found} passages; its marks lie in {last + 1}"
    for layer in sorted(expected.layers):
        for name, marks in used.items():
            yield from _incomplete_marks(contents, layer, name, book, marks)
        for name, other in expected.combinations():
            yield from _incomplete_pairs(contents, BookBlock(layer, name, other, book), used)
        for name, other in combinations(expected.teaching, 2):
            yield from _incomplete_transfer(contents, BookBlock(layer, name, other, book))


def _incomplete_marks(contents: Contents, layer: int, name: str, book: str, marks: int) -> Iterator[tuple[str, str]]:
    of = f"book {book} layer {layer} class {name}"
    if contents.states and contents.states.get((layer, name, book), 0) != marks:
        found = contents.states.get((layer, name, book), 0)
        yield contents.path_of("hidden_states"), f"{of} has {found} hidden states; it has {marks} marks"
    if contents.expected.clusters and name != BASELINE:
        several = len([of_class for of_class in contents.expected.classes if of_class != BASELINE]) > 1
        among = (name, ALL_CLASSES) if several else (name,)
        for whose in among:
            found = contents.clustered.get((layer, whose, name, book), 0)
            if found != marks:
                yield contents.path_of("clusters"), f"{of} has {found} marks in clusters of {whose}; it has {marks}"
    for table, counted in contents.counted.items():
        found = counted.get((layer, name, book), 0)
        if found != marks:
            yield contents.path_of(table), f"{of} has {found} marks in {table}; it has {marks}"


def _incomplete_pairs(contents: Contents, block: BookBlock, used: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    one, two = used.get(block.mark_class, 0), used.get(block.other, 0)
    same = block.mark_class == block.other
    wanted = one * (one - 1) // 2 if same else one * two
    of = f"book {block.book} layer {block.layer} class {block.mark_class}" + ("" if same else f" other {block.other}")
    expected = contents.expected
    stored = expected.within if same else expected.between
    totals = contents.pairs.get(block, PairTotals())
    limits = (one - 1, one) if same else (one, two)
    if (
        stored
        and (totals.rows != wanted or totals.last[0] >= max(limits[0], 0) or totals.last[1] >= limits[1])
        and (wanted or totals.rows)
    ):
        path = contents.pair_paths.get((block.layer, block.mark_class, block.other), contents.record.path)
        yield path, f"{of} has {totals.rows} pairs; {one} marks" + ("" if same else f" and {two}") + f" make {wanted}"
        return
    sums = contents.passage_sums.get(block, PassageTotals())
    if sums.pairs != wanted:
        yield contents.path_of("passage_sums"), f"{of} has sums of {sums.pairs} pairs by passages; there are {wanted}"
        return
    marks = [contents.marks.get((name, block.book), MarkTotals()).marks for name in (block.mark_class, block.other)]
    if marks == [one, two] and sums.passages != _passages_of_pairs(contents, block):
        yield contents.path_of("passage_sums"), f"{of} has sums of pairs of other passages than its marks lie in"
    if not wanted:
        return
    if block not in contents.summaries:
        yield contents.path_of("summaries"), f"{of} has no summary"
        return
    if stored:
        yield from _wrong_summaries(contents, block, totals, of)
    yield from _wrong_sums(contents, block, sums, of)


def _incomplete_transfer(contents: Contents, block: BookBlock) -> Iterator[tuple[str, str]]:
    """Where the pairs of test marks are not those that the marks make, or more are won than there are.

    A half of the passages is asked where the other half has marks of either class that teach.
    """
    wanted = 0
    for half in (0, 1):
        taught, asked = (
            [contents.typed[name, block.book, teaches, of_half] for name in (block.mark_class, block.other)]
            for teaches, of_half in ((True, 1 - half), (False, half))
        )
        wanted += asked[0] * asked[1] if all(taught) else 0
    of = f"book {block.book} layer {block.layer} class {block.mark_class} other {block.other}"
    path = contents.path_of("transfer_sums")
    found = contents.transfers.get((block, "classes"), TransferTotals()).pairs
    if found != wanted:
        yield path, f"{of} has {found} pairs in transfer_sums; its marks make {wanted}"
    for labels in ("classes", "control"):
        totals = contents.transfers.get((block, labels), TransferTotals())
        if not 0 <= totals.wins <= totals.pairs:
            yield path, f"{of} has {totals.wins} wins of {labels} in {totals.pairs} pairs"


def _incomplete_trials(contents: Contents) -> Iterator[tuple[str, str]]:
    """Where the rows of `sensitivity` are not those that the record says were tried, each once.

    A specification has both quantities in every layer; centred on the classes' means, no separation.
    """
    path, found = contents.path_of("sensitivity"), dict(contents.tried)
    by_name = {(text.book, text.specification): text for text in found}
    for tried in contents.record.tried:
        for name in tried.specifications if tried.layers else ():
            text = by_name.get((tried.key, name), TriedText(tried.key, name, ""))
            rows = found.pop(text, Counter())
            for quantity in ("difference", "separation"):
                layers = range(0 if (text.states, quantity) == ("centred", "separation") else tried.layers)
                held = {layer: count for (of, layer), count in rows.items() if of == quantity}
                if held != dict.fromkeys(layers, 1):
                    of = f"book {tried.key} specification {name!r}"
                    yield (
                        path,
                        f"{of} has {sum(held.values())} rows of {quantity}; it was tried in {len(layers)} layers",
                    )
    for text in found:
        of = f"book {text.book} has rows of specification {text.specification!r}"
        yield path, f"{of}, which its record does not say was tried"


def _passages_of_pairs(contents: Contents, block: BookBlock) -> tuple[int, int]:
    """The passages of the first and of the second marks of all pairs of a block, added up.

    Within a class, mark i of n is the first of n - 1 - i pairs, and the second of i.
    """
    one, two = (contents.marks.get((name, block.book), MarkTotals()) for name in (block.mark_class, block.other))
    if block.mark_class != block.other:
        return one.passages * two.marks, two.passages * one.marks
    return (one.marks - 1) * one.passages - one.weighted, one.weighted


def _wrong_sums(contents: Contents, block: BookBlock, sums: PassageTotals, of: str) -> Iterator[tuple[str, str]]:
    """Where summaries and sums by passages say different things of the same pairs."""
    path, summaries = contents.path_of("summaries"), contents.summaries[block]
    for name in sorted(sums.sums.keys() ^ summaries.keys()):
        yield path, f"{of} has {name} in its sums by passages or its summaries, and not in both"
    for name in sorted(sums.sums.keys() & summaries.keys()):
        summary, total = summaries[name], sums.sums[name]
        if math.isnan(total) or math.isnan(sums.sums.get("mi", math.nan)):
            continue  # some pairs have no such number, and are not in the summary
        if summary["pairs"] != sums.pairs:
            yield path, f"{of} summarises {name} of {summary['pairs']} pairs; there are {sums.pairs}"
            continue
        scale = sums.pairs * max(abs(summary["minimum"]), abs(summary["maximum"]))
        if not abs(total - summary["mean"] * sums.pairs) <= _RELATIVE_TOLERANCE * scale:
            yield path, f"{of} has a mean {name} of {summary['mean']}; its sums by passages give {total / sums.pairs}"


def _wrong_summaries(contents: Contents, block: BookBlock, totals: PairTotals, of: str) -> Iterator[tuple[str, str]]:
    """Where summaries say something else than the rows that they summarise."""
    path, summaries = contents.path_of("summaries"), contents.summaries[block]
    for name in sorted(totals.counted.keys() ^ summaries.keys()):
        yield path, f"{of} has {name} in its pairs or its summaries, and not in both"
    for name in totals.counted.keys() & summaries.keys():
        yield from _wrong_summary(path, summaries[name], totals, name, of)


def _wrong_summary(
    path: str, summary: Mapping[str, Any], totals: PairTotals, name: str, of: str
) -> Iterator[tuple[str, str]]:
    counted = totals.counted[name]
    expected: dict[str, float] = {"pairs": counted}
    scale = 0.0
    if counted:
        expected["mean"] = totals.sums[name] / counted
        expected["minimum"], expected["maximum"] = totals.lows[name], totals.highs[name]
        scale = max(abs(totals.lows[name]), abs(totals.highs[name]))
    for field_name, value in expected.items():
        if not abs(summary[field_name] - value) <= _RELATIVE_TOLERANCE * scale:
            yield path, f"{of} has {name} {field_name} {summary[field_name]}; its pairs give {value}"
