"""Classes as users name them, from the first line of the command to the store, and what is said of wrong ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from interpunct import main
from store.query.reader import open_store
from store.study import study_of

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "classes.md"
TOO_MANY = [option for number in range(17) for option in ("--class", f"c{number}", str(number))]
LAMPS = "The lamp burned, the lamp smoked, and the lamp went out. Then a lamp was lit. "


def said(capsys, *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    return code, capsys.readouterr().err.strip()


@pytest.fixture
def model(tiny_gpt2) -> list[str]:
    return ["--model", str(tiny_gpt2), "--device", "cpu"]


def labels_file(folder: Path, *rows: str) -> str:
    path = folder / "labels.csv"
    path.write_text("\n".join(["book,offset,class", *rows]) + "\n", encoding="utf-8")
    return str(path)


def offsets_of(word: str, text: str) -> list[int]:
    return [at for at in range(len(text)) if text.startswith(word, at)]


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class", "digits", "re:("], "class 'digits' has the pattern 're:(', which is not a regular expression"),
        (["--class", "a", ",", "--class", "b", ".", ","], "',' is named in class 'a' and in class 'b'"),
        (["--class", "a", ",", "--class", "b", "re:[,;]"], "the token ',' belongs to the classes 'a' and 'b'"),
        (["--class", "a", "re:1+", "--class", "b", r"re:\d+"], "the token '1' belongs to the classes 'a' and 'b'"),
        (["--class", "baseline", ","], "class name 'baseline' is taken: baseline are random tokens"),
        (["--class", "a b", ","], "class name 'a b' is not possible"),
        (["--class", "a", ",", "--class", "A", "."], "two classes are called 'A'"),
        (["--class", "a"], "class 'a' has no tokens"),
        (["--class", "a", " ,"], "give tokens without white space"),
        (["--class", "a", ",", "zzyzx"], "class 'a' has 'zzyzx', which is"),
        (TOO_MANY, "17 classes are named; a study has 1 to 16"),
    ],
)
def test_wrong_classes_are_one_line_before_any_book_is_read(capsys, tmp_path, model, command, options, message):
    code, line = said(capsys, command, "sample", *model, *options, "--store", str(tmp_path / "store"))
    assert (code, line.count("\n")) == (2, 0)
    assert line.startswith("interpunct: ")
    assert message in line
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[classes]\ndigits = ['re:(']", "which is not a regular expression"),
        ("[classes]\na = [',']\nb = ['.', ',']", "',' is named in class 'a' and in class 'b'"),
        ("[classes]\na = [',']\nb = ['re:[,;]']", "the token ',' belongs to the classes 'a' and 'b'"),
        ("[classes]\nBaseline = [',']", "class name 'Baseline' is taken"),
        ("[classes]\n" + "\n".join(f"c{n} = ['{n}']" for n in range(17)), "17 classes are named"),
        ("[classes]", "0 classes are named"),
        ("classes = ','", "expected a table of names and their tokens"),
    ],
)
def test_wrong_classes_of_a_file_are_one_line_too(capsys, tmp_path, model, toml, message):
    (tmp_path / "study.toml").write_text(toml + "\n")
    options = ["--config", str(tmp_path / "study.toml"), "--store", str(tmp_path / "store")]
    code, line = said(capsys, "run", "sample", *model, *options)
    assert (code, line.count("\n")) == (2, 0)
    assert message in line
    assert not (tmp_path / "store").exists()


def test_a_class_that_no_book_has_is_told_and_stands_in_the_reasons(capsys, tmp_path, model):
    store = str(tmp_path / "store")
    options = ["--class", "the", "the", "--class", "rare", "~", "--per-class", "5", "--serial", "--store", store]
    code, told = said(capsys, "run", "sample", *model, *options)
    assert code == 0
    assert told.count("no book of this run has a usable mark of the class rare; `reason` in books says why") == 1
    with open_store(store) as opened:
        ((reason,),) = opened.sql("SELECT reason FROM books").fetchall()
        assert {name for (name,) in opened.sql("SELECT DISTINCT class FROM pairs").fetchall()} == {"the", "baseline"}
    assert "no pairs of class rare: 0 rare of 0 found" in reason


def test_one_class_without_a_baseline_is_a_study(tmp_path, model):
    options = ["--class", "the", "the", "--baseline", "none", "--per-class", "5", "--serial"]
    assert main(["run", "sample", *model, *options, "--store", str(tmp_path / "store")]) == 0
    with open_store(tmp_path / "store") as opened:
        assert opened.sql("SELECT count(*) FROM cross_pairs").fetchall() == [(0,)]
        assert opened.sql("SELECT DISTINCT class FROM pairs").fetchall() == [("the",)]


@pytest.fixture
def lamps(tmp_path) -> tuple[str, str]:
    """A text about lamps, and the labels of its nouns and of some that it does not have."""
    text = LAMPS * 12
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    rows = [f"book,{at},noun" for at in offsets_of("lamp", text)]
    rows += [f"book,{offsets_of(',', text)[0]},noun", f"book,{len(text) + 9},noun"]
    return str(tmp_path / "book.txt"), labels_file(tmp_path, *rows, *(f"other{n},1,verb" for n in range(7)))


@pytest.mark.parametrize(
    "serial", [pytest.param(True, id="serial"), pytest.param(False, id="ray", marks=pytest.mark.whole)]
)
def test_labels_from_the_command_to_the_store(capsys, tmp_path, lamps, model, serial, request):
    if not serial:
        request.getfixturevalue("ray_cluster")
    book, labels = lamps
    store = str(tmp_path / "store")
    options = ["--labels", labels, "--class", "commas", ",", "--per-class", "9", "--text", "raw", "--store", store]
    command = ["run", book, *model, *options, *(["--serial"] if serial else [])]
    code, told = said(capsys, *command)
    assert code == 0, told
    assert "names 7 books that this run does not have: other0, other1, other2, other3, other4 and 2 more" in told
    assert "no book of this run has a usable mark of the class verb" in told
    with open_store(store) as opened:
        row = opened.sql("SELECT found, used, left_out, reason FROM books").to_arrow_table().to_pylist()[0]
        marks = opened.sql("SELECT class, mark, count(*) FROM marks WHERE class <> 'baseline' GROUP BY ALL").fetchall()
        others = {name for (name,) in opened.sql("SELECT DISTINCT other FROM cross_pairs").fetchall()}
    found, used, left_out = (dict(row[name]) for name in ("found", "used", "left_out"))
    assert found == {"commas": 24, "noun": 50, "verb": 0, "baseline": used["baseline"]}
    assert (used["commas"], used["noun"], used["verb"]) == (9, 9, 0)
    assert left_out["noun: token of another class"] == left_out["noun: offset without a token"] == 1
    assert others == {"noun", "baseline"}
    assert {(name, mark) for name, mark, _ in marks} == {("commas", ","), ("noun", "lamp")}
    recorded = study_of(store)
    assert recorded is not None
    assert recorded.class_names == ("commas", "noun", "verb", "baseline")
    assert said(capsys, *command)[1].startswith("nothing to do: 1 book is in the store")
    with open(labels, "a", encoding="utf-8") as file:
        file.write("book,0,noun\n")
    code, told = said(capsys, *command)
    assert code == 3
    assert "labels_sha256: " in told


def test_labels_that_are_wrong_are_one_line(capsys, tmp_path, lamps, model):
    book, _ = lamps
    cases = {
        "no column 'offset'": "book,place,class\nbook,1,noun\n",
        "class name 'two words' is not possible": "book,offset,class\nbook,1,two words\n",
        "17 classes are named": "book,offset,class\n" + "".join(f"book,{n},c{n}\n" for n in range(17)),
        "too few marks: 0 noun of 1 found (1 offset without a token)": "book,offset,class\nbook,99999999,noun\n",
        "too few marks: 0 noun of 0 found": "book,offset,class\nanother,1,noun\n",
    }
    for message, text in cases.items():
        (tmp_path / "labels.csv").write_text(text)
        options = ["--labels", str(tmp_path / "labels.csv"), "--serial", "--store", str(tmp_path / "store")]
        code, line = said(capsys, "run", book, *model, *options)
        assert code == 2, line
        assert message in line
        assert not (tmp_path / "store").exists()


def documented_commands() -> list[list[str]]:
    blocks = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/interpunct ")]


@pytest.mark.whole
def test_the_commands_of_the_page_do_what_it_says(capsys, tmp_path, lamps, model, monkeypatch):
    """With a small model in place of the default, so that many commands can be run."""
    monkeypatch.chdir(tmp_path)
    commands = documented_commands()
    assert len(commands) == 6
    for arguments in commands:
        own = [] if arguments[0] == "sql" else [*model, *(["--serial"] if arguments[0] == "run" else [])]
        assert main([*arguments, *own]) == 0, (arguments, capsys.readouterr().err)
    with open_store("words") as opened:
        found = opened.sql("SELECT class, mark FROM marks WHERE class <> 'baseline' GROUP BY ALL").fetchall()
    assert {("and", "and"), ("but", "but"), ("stops", ".")} <= set(found)
    for store, classes in (
        ("labelled", ("noun", "verb", "baseline")),
        ("both", ("commas", "noun", "verb", "baseline")),
    ):
        recorded = study_of(store)
        assert recorded is not None
        assert recorded.class_names == classes


def test_the_file_of_the_page_is_a_study(tmp_path):
    from jobs.config import resolve

    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "study.toml").write_text(toml, encoding="utf-8")
    study, _ = resolve({}, tmp_path / "study.toml")
    assert (study.named_classes, study.per_class) == (("digits", "quotes"), 100)
