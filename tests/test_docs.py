"""The map of the code names every room, no module that is gone, and no promise that nobody keeps."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = PAGE.partition("## The rooms")[2].partition("\n## ")[0]
PROMISES = PAGE.partition("## What the packages promise")[2]
PACKAGES = ("analysis", "jobs", "reports", "store")
SOURCE = "\n".join(p.read_text(encoding="utf-8") for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def test_every_room_is_on_the_map():
    """A room is a folder of a package, or a module beside the folders."""
    modules = {path for package in PACKAGES for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"}
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")}
    rooms = {p.relative_to(ROOT).as_posix() for p in modules}
    rooms |= {f"{p.relative_to(ROOT).as_posix()}/" for p in folders}
    assert rooms - set(re.findall(r"`([\w/]+(?:\.py|/))`", ROOMS)) == set()


def test_every_file_of_the_page_exists():
    named = set(re.findall(r"\b(?:analysis|jobs|store|reports)/[\w/]+\.py", PAGE))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_promise_is_kept():
    """What a block of the promises calls is defined in the packages."""
    blocks = "".join(re.findall(r"```python\n(.*?)```", PROMISES, re.DOTALL))
    calls = re.sub(r"#.*|->.*", "", blocks)
    promised = set(re.findall(r"^(?:\w*\.|[ ]+\.)?(\w+)\(|[;,] \.?([a-z]\w+)\(", calls, re.MULTILINE))
    names = {name for pair in promised for name in pair if name}
    assert {"pair_statistics", "settle_chunk", "record_run", "merge", "between", "BookVectors"} <= names
    assert {name for name in names if not re.search(rf"^\s*(?:def|class) {name}\b", SOURCE, re.MULTILINE)} == set()


def documented_commands() -> dict[str, str]:
    """Every `interpunct` command in blocks and spans of the pages, and in the packages' strings: where, by command."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    sources = [ROOT / "interpunct.py", *(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))]
    found = {}
    for path in (*pages, *sources):
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if path in pages else [text]
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        commands = [line for line in lines if re.match(r"\s*(\$ )?(\.venv/bin/)?interpunct [a-z]", line)]
        commands += re.findall(r"(?<!`)`(interpunct [a-z][^`]*|--class [^`]*)`", text)
        found |= dict.fromkeys(commands, path.name)
    return found


def for_the_shell(command: str) -> list[str]:
    """The words of a command in which a shell would read a `;`, `?`, `*`, `!`, `&` or `(` as its own."""
    bare = re.sub(r"\{[^}]*\}", "X", " ".join(command.split()))  # what a string of ours fills in
    bare = re.sub(r'"[^"]*"', "", re.sub(r"'[^']*'", "", bare))
    bare = re.split(r" (?:#|\|\|?|&&|\d?>+) ?", bare, maxsplit=1)[0]
    words = [word for word in bare.split() if re.search(r"[;?*!&(]", word)]
    return [word for word in words if not re.fullmatch(r"[\w./-]+/\*(\.\w+)?", word)]  # a pattern of files is meant


def test_no_command_is_eaten_by_the_shell():
    commands = documented_commands()
    assert len(commands) > 60
    assert any("--class stops" in command for command in commands)
    assert {command: where for command, where in commands.items() if for_the_shell(command)} == {}


def test_what_a_shell_reads_as_its_own_is_found():
    eaten = for_the_shell("interpunct run books/*.txt --class a , ; : --class b . ? '!'  # a note; more")
    assert eaten == [";", "?"]
    assert for_the_shell("interpunct run x --class a ';' '?' | cat || [ $? ]") == []
    assert for_the_shell('interpunct sql --store s "SELECT count(*) FROM x" > y & z') == []


def test_links_lead_somewhere():
    links = set(re.findall(r"\]\(([\w./]+\.md)", PAGE))
    assert links
    assert {link for link in links if not (ROOT / "docs" / link).exists()} == set()
