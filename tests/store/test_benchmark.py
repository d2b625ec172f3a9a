"""The benchmark's command runs, on a small store, and its made-up store is a sound one."""

from __future__ import annotations

import re
import sys

from benchmarks import store as benchmark


def test_the_benchmark_measures_a_sound_store_and_cleans_up(tmp_path, monkeypatch, capsys):
    arguments = ["store", "--rows", "1e6", "--files", "100", "--store", str(tmp_path / "bench")]
    monkeypatch.setattr(sys, "argv", arguments)
    benchmark.main()
    out = capsys.readouterr().out
    (core,) = re.findall(r"bytes a row: ([\d.]+) for \(book, i, j, n, mi, cov\)", out)
    assert float(core) <= 8
    assert len(re.findall(r"one flat file: [\d.]+ s; ratio [\d.]+", out)) == 2
    assert "0 damages" in out
    assert "committed files: open and list the tables" in out
    assert list((tmp_path / "bench").iterdir()) == []
