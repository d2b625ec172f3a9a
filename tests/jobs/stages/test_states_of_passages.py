"""States of marks in passages are those of a plain pass of transformers over the very same tokens, row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.names import name_books
from jobs.corpus.references import Source
from jobs.model.batch_size import settle_passages
from jobs.model.hidden_states import HiddenStates
from jobs.model.loading import load_model, load_tokenizer
from jobs.model.models import RecordedModel, identify_model
from jobs.stages.extract import extract_blocks
from jobs.stages.partition import shard_of
from jobs.stages.prepare import RunContext, prepare_shard
from jobs.stages.survey import survey_sources
from tests.jobs.injection import write_books

SMALL = StudyConfig(per_class=30, baseline=12, text="raw")


def check(config: StudyConfig, model: HiddenStates, books: list[str], opening: list[int], length: int) -> int:
    """Compare every layer of every mark with a plain pass over each passage; returns how many marks there were."""
    identity = identify_model(config.model)
    config = settle_passages(config, identity)
    assert config.passage_tokens == length
    context = RunContext("unused", config, RunConfig(), "f" * 64, "run", RecordedModel.of(identity))
    refs = survey_sources([Source(book) for book in books], RunConfig())
    prepared = prepare_shard(context, shard_of("f" * 64, list(name_books(refs, {}))))
    blocks = list(extract_blocks(model, prepared))
    plain, tokenizer = load_model(config.model), load_tokenizer(config.model)
    texts = {Path(book).stem: Path(book).read_text(encoding="utf-8") for book in books}
    ids = {book: tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for book, text in texts.items()}
    passages = {(row["book"], row["passage"]): row for row in prepared.passages.to_pylist()}
    expected = {}
    for key, row in passages.items():
        tokens = opening + ids[key[0]][row["start"] : row["start"] + row["tokens"]]
        with torch.inference_mode():
            output = plain(input_ids=torch.tensor([tokens]), output_hidden_states=True)
        expected[key] = torch.stack(output.hidden_states)[:, 0].float().numpy()
    compared = 0
    for book, name in enumerate(prepared.layout.books):
        for number, mark_class in enumerate(prepared.layout.classes):
            rows = prepared.layout.rows(book, number)
            of_class = [m for m in prepared.marks.to_pylist() if (m["book"], m["class"]) == (name, mark_class)]
            assert len(of_class) == rows.stop - rows.start
            for row, mark in zip(range(rows.start, rows.stop), of_class, strict=True):
                assert ids[name][mark["position"]] == mark["token_id"]
                place = mark["position"] - passages[name, mark["passage"]]["start"] + len(opening)
                states = expected[name, mark["passage"]][:, place]
                found = np.stack([block.states[row] for block in blocks])
                difference = np.linalg.norm(found - states, axis=1) / np.linalg.norm(states, axis=1)
                assert difference.max() < 1e-4, (name, mark_class, mark["i"])
                compared += 1
    assert compared == prepared.layout.total
    return compared


def test_smollm2_behind_a_beginning_of_text_token(tmp_path, smollm2, sample_text):
    books = write_books(tmp_path, sample_text, 1, characters=8_000)
    config = replace(SMALL, model="smollm2", passage_tokens=256, warmup_tokens=64, bos="yes")
    opening = [load_tokenizer("smollm2").bos_token_id]
    assert check(config, smollm2, books, opening, length=256) == 72


@pytest.mark.parametrize("batch_size", [1, 7])
def test_gpt2_with_a_context_of_64(tmp_path, tiny_gpt2, sample_text, batch_size):
    """Two books of one shard; passages are as long as the model reads, less room for a beginning-of-text token."""
    books = write_books(tmp_path, sample_text, 2)
    model = HiddenStates(str(tiny_gpt2), batch_size=batch_size)
    assert check(replace(SMALL, model=str(tiny_gpt2)), model, books, [], length=63) == 144


def test_a_book_shorter_than_a_passage(tmp_path, tiny_gpt2):
    (tmp_path / "short.txt").write_text(
        "The lamp was lit, the sea was calm, and nobody spoke. It was late. They slept."
    )
    model = HiddenStates(str(tiny_gpt2))
    config = replace(SMALL, model=str(tiny_gpt2), passage_tokens=64, warmup_tokens=16)
    assert check(config, model, [str(tmp_path / "short.txt")], [], length=63) >= 3
