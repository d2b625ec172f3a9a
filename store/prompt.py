"""A small prompt for SQL: history that stays, completion of views and columns, a statement ends with a semicolon."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from store.columns import TABLES
from store.errors import StoreError
from store.reader import Store
from store.results import print_result

_GREETING = "SQL over {location}; end a statement with ; and leave with .quit or Ctrl-D. Views: {views}"
_KEYWORDS = (
    "SELECT FROM WHERE GROUP BY ALL ORDER LIMIT JOIN USING AVG COUNT SUM QUANTILE_CONT DESCRIBE SUMMARIZE EXPLAIN "
    "ANALYZE SHOW TABLES WITH AS AND OR NOT DESC DISTINCT UNNEST"
)


def run_prompt(store: Store, form: str, session: PromptSession[str] | None = None) -> None:
    """Read statements and print their results until the user leaves. An error is printed, and the prompt goes on."""
    session = session or PromptSession(
        history=_history(), completer=_completer(store), lexer=PygmentsLexer(SqlLexer), complete_while_typing=False
    )
    print(_GREETING.format(location=store.location, views=", ".join(store.tables())))
    pending = ""
    while True:
        try:
            line = session.prompt("     > " if pending else "sql  > ")
        except KeyboardInterrupt:
            pending = ""
            continue
        except EOFError:
            return
        if not pending and line.strip().lower() in (".quit", ".exit", "quit", "exit"):
            return
        pending = f"{pending}\n{line}".strip()
        if pending.endswith(";"):
            _answer(store, pending, form)
            pending = ""


def _answer(store: Store, query: str, form: str) -> None:
    try:
        print_result(store.sql(query), form)
    except StoreError as error:
        print(error)
    except KeyboardInterrupt:
        print("stopped")


def _completer(store: Store) -> WordCompleter:
    columns = {column.name for table in TABLES.values() for column in table.columns}
    return WordCompleter([*_KEYWORDS.split(), *store.tables(), *sorted(columns)], ignore_case=True)


def _history() -> History:
    """Kept between sessions in the user's state folder; only for this session where that cannot be written."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "interpunct"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sql_history").touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(folder / "sql_history"))
