"""Ray and the plain loop give the same rows, with real models, and those rows are the oracle's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.reference import covariance, kept_dimensions, mutual_information
from jobs.config import RunConfig, StudyConfig
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.batch_size import settle_passages
from jobs.model.hidden_states import HiddenStates
from jobs.model.loading import load_tokenizer
from jobs.run import execute
from store.query.reader import open_store
from tests.jobs.injection import rows, write_books
from tests.states_of_classes import states_of_classes

CLASSES = {"internal": [",", ";"], "terminal": ["."]}

pytestmark = pytest.mark.usefixtures("ray_cluster")


def run(books: list[str], config: StudyConfig, store: Path, **settings) -> Path:
    assert execute(books, config, RunConfig(**settings), str(store)) == 0
    return store


def check_against_the_oracle(store: Path, book: str, text: str, config: StudyConfig, model: HiddenStates, pairs: int):
    """Random pairs of every layer and class: counts decide MI and n exactly; covariance to the rounding of float32."""
    tokenization = tokenize(load_tokenizer(config.model), text)
    selection = select(tokenization, settle_passages(config, model.identity))
    random = np.random.default_rng(7)
    with open_store(store) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "batch_size", opened.study.config["batch_size"])  # another moves the last bit of a state
        by_class = states_of_classes(model, selection, tokenization.ids)
        for mark_class, found in selection.classes.items():
            states = by_class[mark_class]
            for layer in range(model.hidden_layers):
                stored = opened.sql(
                    f"SELECT i, j, n, mi, cov FROM pairs WHERE book = '{book}' AND layer = {layer} "
                    f"AND class = '{mark_class}' ORDER BY i, j"
                ).fetchall()
                assert len(stored) == len(found.taken) * (len(found.taken) - 1) // 2
                for index in random.choice(len(stored), pairs, replace=False):
                    i, j, n, mi, cov = stored[index]
                    x, y = states[layer][i], states[layer][j]
                    assert n == (kept_dimensions(x) & kept_dimensions(y)).sum()
                    assert mi == pytest.approx(mutual_information(x, y), abs=1e-6)
                    assert cov == pytest.approx(covariance(x, y), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("books_per_shard", [pytest.param(1, marks=pytest.mark.whole), 3])
def test_gpt2_on_ray_gives_the_rows_of_the_plain_loop_and_of_the_oracle(
    tmp_path, tiny_gpt2, sample_text, books_per_shard
):
    books = write_books(tmp_path / "books", sample_text, 4)
    config = StudyConfig(
        model=str(tiny_gpt2), per_class=15, text="raw", classes=CLASSES, baseline=10, keep_hidden_states=True
    )
    serial = run(books, config, tmp_path / "serial", serial=True)
    ray = run(books, config, tmp_path / "ray", books_per_shard=books_per_shard)
    assert rows(ray) == rows(serial)
    model = HiddenStates(config.model)
    check_against_the_oracle(ray, "book2", Path(books[2]).read_text(), config, model, pairs=40)


@pytest.mark.whole
def test_smollm2_end_to_end(tmp_path, smollm2, sample_path, sample_text):
    """Some 40 seconds: a real model on Ray, in all of its layers, and a pass of the same model to compare with."""
    config = StudyConfig(per_class=40)
    ray = run(["sample"], config, tmp_path / "ray")
    check_against_the_oracle(ray, sample_path.stem, sample_text, config, smollm2, pairs=20)
    with open_store(ray) as opened:
        (found,) = opened.sql("SELECT count(*), count(DISTINCT layer), min(mi), max(mi) FROM pairs").fetchall()
    assert found[:2] == (31 * (2 * 40 * 39 // 2 + 64 * 63 // 2), 31)
    assert 0 <= found[2] < found[3]
