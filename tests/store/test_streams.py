"""What a command does when its standard streams are closed, full, or read by nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = """
import sys
from pathlib import Path
import interpunct, jobs.estimate.report, jobs.run

def work(books, study, run, store):
    for number in range(5000):
        print("working", number, file=sys.stderr)
        print("a line of its own")
    Path(store).write_text("done")
    return 0

def plan(books, study, run, store):
    for number in range(5000):
        print("a line of the plan")
    Path(store).write_text("done")
    return 0

jobs.run.execute, jobs.estimate.report.execute = work, plan
sys.exit(interpunct.main())
"""


def shell(tmp_path: Path, redirection: str, command: str) -> tuple[int, str, bool]:
    """A command in a shell: its exit code, what was printed to either stream, and whether it came to its end."""
    program, store = tmp_path / "program.py", tmp_path / "store"
    program.write_text(COMMAND)
    line = f'"$0" "$1" {command} sample --store "$2" {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, str(program), str(store)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    return done.returncode, done.stdout + done.stderr, store.exists() and store.read_text() == "done"


@pytest.mark.parametrize(
    "redirection", ["2>&1 | head -1", "2>&1 >&- | head -1", ">&- 2>&-", "2>/dev/full", "<&- >/dev/full 2>&-"]
)
def test_a_command_that_works_goes_on_without_its_output(tmp_path, redirection):
    code, said, ended = shell(tmp_path, redirection, "run")
    assert (code, ended) == (0, True), said
    assert "Exception ignored" not in said
    assert "Traceback" not in said


def test_a_command_that_prints_ends_quietly_when_nobody_reads(tmp_path):
    assert shell(tmp_path, "| head -1", "plan") == (0, "a line of the plan\n", False)
    assert shell(tmp_path, "| true", "plan --help") == (0, "", False)


def test_a_command_that_prints_onto_a_full_disk_says_so(tmp_path):
    said = "interpunct: standard output cannot be written: No space left on device\n"
    assert shell(tmp_path, ">/dev/full", "plan") == (1, said, False)


def test_a_command_that_prints_and_has_nowhere_to_is_refused(tmp_path):
    said = "interpunct: standard output is closed, and `plan` does nothing but write there\n"
    assert shell(tmp_path, ">&-", "plan") == (2, said, False)


def test_a_command_that_prints_needs_no_standard_error(tmp_path):
    code, said, ended = shell(tmp_path, "2>&-", "plan")
    assert (code, ended, said.count("\n")) == (0, True, 5000)


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    code = (
        "import os, interpunct\n"
        "interpunct._own_streams()\n"
        f"file = os.open({str(tmp_path / 'data')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "os.write(2, b'from a library in C')\n"
        "assert file > 2, file\n"
    )
    line = '"$0" -c "$1" <&- >&- 2>&-'
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", line, sys.executable, code], env=environment, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "data").read_bytes() == b""
