"""The data dictionary in docs/, made from the column specs so that it cannot say anything else.

python -m store.dictionary docs/data_dictionary.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from store.columns import TABLES, Column, Table
from store.query.sql_views import sql_type

_HEAD = """\
# Data dictionary

Made from `store/columns.py` by `make docs`; do not edit. Every table is a view in SQL (`interpunct sql`); the view
`study` has one row with every setting of the study, its fingerprint, the model's identity and the versions that
wrote it. Types are DuckDB's, with the Arrow type of the files in brackets.
"""


def data_dictionary() -> str:
    """The whole page, in Markdown."""
    return _HEAD + "".join(_section(table) for table in TABLES.values())


def _section(table: Table) -> str:
    folder = "/".join([table.name, *(f"{name}=..." for name in table.partitioned_by)])
    lines = [f"\n## {table.name}\n", f"{table.description}.\n"]
    lines.append(f"Files: `{folder}/*.parquet`, rows in the order of {_names(table.sorted_by)}.")
    if table.partitioned_by:
        lines[-1] += f" {_names(table.partitioned_by)} are in the path and not in the files."
    lines += ["", "| column | type | unit | meaning |", "|---|---|---|---|"]
    lines += [_row(column) for column in table.columns]
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    meaning = column.description + ("; null where unknown" if column.nullable else "")
    return f"| `{column.name}` | {_type(column)} | {column.unit} | {meaning} |".replace("|  |", "| |")


def _type(column: Column) -> str:
    kind = sql_type(column.type)
    stored = str(column.type).replace("dictionary<values=string, indices=int32, ordered=0>", "dictionary of string")
    return f"{kind} ({stored})"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write the page to the path given."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m store.dictionary FILE")
    Path(sys.argv[1]).write_text(data_dictionary(), encoding="utf-8")


if __name__ == "__main__":
    main()
