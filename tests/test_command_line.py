"""The command line takes what it documents and no abbreviations; a wrong word is told under its command's usage."""

from __future__ import annotations

import pytest

from interpunct import main


def refused(capsys, *words: str) -> str:
    """What is said of a command line that ends with code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "sample", "--stor", "x"], "unrecognized option --stor (did you mean --store?)"),
        (
            ["run", "sample", "--store", "x", "--per-clas=5"],
            "unrecognized option --per-clas (did you mean --per-class?)",
        ),
        (["sql", "--sto", "x", "SELECT 1"], "unrecognized option --sto (did you mean --store?)"),
        (["report", "--store", "x", "--out", "y", "--zzz"], "unrecognized option --zzz"),
        (["figure", "a", "b", "--store", "x"], "unrecognized arguments: b"),
        (["run", "sample", "--store", "x", "--preset", "notebok"], "(did you mean notebook?)"),
    ],
)
def test_a_wrong_word_comes_under_the_usage_of_its_command(capsys, words, says):
    error = refused(capsys, *words)
    assert error.startswith(f"usage: interpunct {words[0]} ")
    assert f"interpunct {words[0]}: error: " in error
    assert error.rstrip().endswith(says)


def test_a_command_that_is_not_there(capsys):
    assert refused(capsys, "statsu", "--store", "x").rstrip().endswith("(did you mean status?)")
    assert refused(capsys, "--debgu", "status", "--store", "x").startswith("usage: interpunct [-h]")


def test_words_behind_two_dashes_and_values_with_spaces_are_no_options(capsys, tmp_path):
    assert main(["sql", "--store", str(tmp_path), "-- a comment\nSELECT 1"]) == 2
    assert main(["sql", "--store", str(tmp_path), "--", "--SELECT"]) == 2
    assert capsys.readouterr().err.count("holds no store") == 2


def test_a_setting_that_is_misspelt_is_told_with_the_one_like_it(capsys, tmp_path):
    (tmp_path / "study.toml").write_text("per_clas = 5\n")
    assert main(["run", "sample", "--store", str(tmp_path / "s"), "--config", str(tmp_path / "study.toml")]) == 2
    assert "unknown setting 'per_clas' (did you mean per_class?)" in capsys.readouterr().err
