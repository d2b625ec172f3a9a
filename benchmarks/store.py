"""What a store of 10^8 pair rows costs: bytes a row, opening, queries, and opening with 100,000 files.

python -m benchmarks.store --rows 1e8 --store /tmp/big        about 10 GB of disk meanwhile; removed afterwards
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import machine
from benchmarks.made_up_store import Shape, clone_until, fill
from store.columns import PAIRS
from store.encoding import ROWS_PER_GROUP, parquet_options
from store.query.reader import open_store
from store.upkeep.compaction import compact
from store.upkeep.verify import verify

LAYERS = 13
REPEATS = 5
CORE = ("book", "i", "j", "n", "mi", "cov")
BY_LAYER = "SELECT layer, class, avg(mi), avg(cov) FROM {} GROUP BY ALL"
SUMMARISED = """
    SELECT layer, class, measure, sum(pairs * mean) / sum(pairs)
    FROM summaries GROUP BY ALL ORDER BY ALL
"""
ONE_BOOK = "SELECT avg(mi), avg(cov) FROM pairs WHERE layer = 5 AND class = 'internal' AND book = '{}'"


def main() -> None:
    """Generate, measure, print, and remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000, help="default: 1e6")
    parser.add_argument("--files", type=lambda text: int(float(text)), default=100_000, help="default: 100000")
    parser.add_argument("--store", type=Path, help="folder to work in, emptied afterwards; default: a temporary one")
    arguments = parser.parse_args()
    if arguments.store is not None:
        arguments.store.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="interpunct-benchmark-", dir=arguments.store))
    print(machine.describe())
    try:
        measure_rows(place / "store", Shape.of_rows(arguments.rows, LAYERS))
        measure_files(place / "files", arguments.files)
    finally:
        shutil.rmtree(place)


def measure_rows(location: Path, shape: Shape) -> None:
    """Bytes and queries of one large store, as written and compacted."""
    seconds, _ = timed(lambda: fill(str(location), shape, announce))
    print(f"{shape.rows:,} pair rows: {shape.books} books, {shape.layers} layers; written in {seconds:.0f} s")
    print_costs(location)
    flat = write_flat(location)
    print_queries(location, flat, shape)
    compaction, report = timed(lambda: compact(location, grace_s=0))
    print(f"compacted in {compaction:.0f} s: {report.files_before} files into {report.files_after}")
    print_queries(location, flat, shape)
    checking, findings = timed(lambda: verify(location))
    print(f"verified in {checking:.0f} s: {findings.rows:,} rows, {len(findings.damages)} damages")


def print_costs(location: Path) -> None:
    """Compressed bytes a row of each column of `pairs`, and of the whole files."""
    totals: dict[str, int] = {}
    rows = size = 0
    for path in (location / "pairs").rglob("*.parquet"):
        metadata = pq.ParquetFile(path).metadata
        rows, size = rows + metadata.num_rows, size + path.stat().st_size
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                name = column.path_in_schema
                totals[name] = totals.get(name, 0) + column.total_compressed_size
    print("bytes a row: " + ", ".join(f"{name} {total / rows:.2f}" for name, total in totals.items()))
    core = sum(totals[name] for name in CORE) / rows
    print(f"bytes a row: {core:.2f} for ({', '.join(CORE)}), {size / rows:.2f} for whole files")


def write_flat(location: Path) -> Path:
    """One file with the same rows, layer and class as columns, encoded in the same way."""
    flat = location.parent / "flat.parquet"
    layer, mark_class = pa.field("layer", pa.int16()), pa.field("class", pa.dictionary(pa.int32(), pa.string()))
    schema = pa.schema([layer, mark_class, *PAIRS.schema])
    options = parquet_options(PAIRS)
    options["use_dictionary"] = [*options["use_dictionary"], "layer", "class"]
    with pq.ParquetWriter(flat, schema, **options) as writer:
        for path in sorted((location / "pairs").rglob("*.parquet")):
            table = pq.ParquetFile(path).read()
            number, name = (part.partition("=")[2] for part in path.parts[-3:-1])
            columns = [pa.array([int(number)] * table.num_rows, pa.int16()), pa.array([name] * table.num_rows)]
            columns[1] = columns[1].dictionary_encode()
            arrays = [*columns, *table.columns]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=ROWS_PER_GROUP)
    return flat


def print_queries(location: Path, flat: Path, shape: Shape) -> None:
    """Times of the queries that matter, from fresh connections, medians of several."""
    seconds, _ = timed(lambda: open_store(location).tables())
    print(f"open and list the tables: {seconds:.3f} s")
    with open_store(location) as store:
        listing, _ = timed(lambda: store.sql("SHOW TABLES").fetchall())
        print(f"SHOW TABLES, which makes all views: {listing:.3f} s")
        print(f"layer means from summaries: {median(lambda: store.sql(SUMMARISED).fetchall()):.3f} s")
        of_views, of_flat = interleaved(
            lambda: store.sql(BY_LAYER.format("pairs")).fetchall(), lambda: flat_query(flat, BY_LAYER)
        )
        print(
            f"GROUP BY layer, class over pairs: {of_views:.2f} s; one flat file: {of_flat:.2f} s; "
            f"ratio {of_views / of_flat:.2f}"
        )
        one = ONE_BOOK.format(f"pg{shape.books // 2:05d}")
        print(f"one layer, class and book: {median(lambda: store.sql(one).fetchall()):.3f} s")
        plan = store.sql(f"EXPLAIN ANALYZE {one}").fetchall()[0][1]
        for line in plan.splitlines():
            if any(word in line for word in ("Files", "Data Read", "Row Groups")):
                print("    " + line.strip("│╭╮─ "))


def flat_query(flat: Path, query: str) -> list[Any]:
    """The query on one flat file, by a DuckDB that knows nothing of stores."""
    connection = duckdb.connect(":memory:")
    try:
        return connection.sql(query.format(f"read_parquet('{flat}')")).fetchall()
    finally:
        connection.close()


def measure_files(location: Path, files: int) -> None:
    """Opening and asking a store of very many small files."""
    shape = Shape(books=1, layers=31)
    committed = clone_until(location, shape, files)
    seconds, _ = timed(lambda: open_store(location).tables())
    print(f"{committed:,} committed files: open and list the tables in {seconds:.2f} s")
    with open_store(location) as store:
        first, _ = timed(lambda: store.sql("SELECT * FROM pairs LIMIT 1").fetchall())
        one = median(lambda: store.sql("SELECT count(*) FROM pairs WHERE layer = 3 AND class = 'internal'").fetchall())
    print(f"    first row of pairs {first:.2f} s (makes the view); count of one layer and class {one:.2f} s")
    with open_store(location, layers=[3], classes=["internal"]) as store:
        one, _ = timed(lambda: store.sql("SELECT count(*) FROM pairs").fetchall())
    print(f"    the same with open_store(layers=[3], classes=['internal']): {one:.2f} s")


def interleaved(*actions: Callable[[], object]) -> list[float]:
    """Median seconds of several actions, taken in turns so that they meet the same machine."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(REPEATS):
        for found, action in zip(times, actions, strict=True):
            found.append(timed(action)[0])
    return [statistics.median(found) for found in times]


def median(action: Callable[[], object]) -> float:
    return interleaved(action)[0]


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def announce(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rshard {done + 1} of {total}", end="\n" if done + 1 == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
