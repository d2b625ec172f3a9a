"""A small prompt for SQL: history that stays, completion of views and columns, a statement ends with a semicolon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from store.columns import TABLES
from store.errors import StoreError
from store.foreign_text import for_terminal, lines_for_terminal
from store.query.output import print_result
from store.query.reader import Store

_GREETING = "SQL over {location}; end a statement with ; and leave with .quit or Ctrl-D. Views: {views}"
_HELP = """\
.tables   the views that can be asked
.help     this
.quit     leave; so does Ctrl-D
DESCRIBE pairs;                     the columns of a view
SELECT layer, class, avg(mi)        a statement goes over several lines
  FROM pairs GROUP BY ALL;          and ends with a semicolon"""
_LEAVING = {".quit", ".exit", "quit", "exit", "quit;", "exit;"}
_KEYWORDS = (
    "SELECT FROM WHERE GROUP BY ALL ORDER LIMIT JOIN USING AVG COUNT SUM QUANTILE_CONT DESCRIBE SUMMARIZE EXPLAIN "
    "ANALYZE SHOW TABLES WITH AS AND OR NOT DESC DISTINCT UNNEST"
)


def run_prompt(store: Store, form: str, **terminal: Any) -> None:
    """Read statements and print their results until the user leaves. An error is printed, and the prompt goes on.

    `terminal` is passed on to prompt_toolkit: `input` and `output`, where they are not the process's own.
    """
    session: PromptSession[str] = PromptSession(
        "sql  > ",
        multiline=True,
        prompt_continuation="     > ",
        key_bindings=_keys(),
        history=_history(),
        completer=_completer(store),
        lexer=PygmentsLexer(SqlLexer),
        complete_while_typing=False,
        **terminal,
    )
    views = [view for view in store.tables() if "." not in view] + [f"{name}.*" for name in store.attached]
    print(_GREETING.format(location=for_terminal(store.location), views=", ".join(views)))
    while True:
        try:
            text = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.lower() in _LEAVING:
            return
        if text.startswith("."):
            print(_reply(store, text.rstrip(";").strip().lower()))
        elif text:
            _answer(store, text, form)


def _keys() -> KeyBindings:
    """Enter ends a finished statement, so that history holds whole statements, and goes to a new line before that."""
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        text = event.current_buffer.text.strip()
        if not text or text.endswith(";") or text.startswith(".") or text.lower() in _LEAVING:
            event.current_buffer.validate_and_handle()
        else:
            event.current_buffer.insert_text("\n")

    return bindings


def _reply(store: Store, command: str) -> str:
    """What a command that begins with a dot answers."""
    if command == ".help":
        return _HELP
    if command == ".tables":
        return "\n".join(store.tables())
    return f"{for_terminal(command)} is not a command here; .help names those that are"


def _answer(store: Store, query: str, form: str) -> None:
    """Print the result of each statement, up to one that fails."""
    try:
        for result in store.results(query):
            print_result(result, form)
    except StoreError as error:
        print(lines_for_terminal(error))
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
