"""What reading, cleaning and selecting add to the tokenizer's own time, and how memory grows with the corpus.

    python -m benchmarks.corpus overhead FOLDER       books in FOLDER; without it, the bundled story
    python -m benchmarks.corpus memory FOLDER         100 MB and 1 GB made of those books, in a temporary folder

The floor is the tokenizer library encoding the cleaned texts. Every step is timed in the same run, the best of several
rounds counts, and each text goes through them one after the other, so that the ratios hold whatever else the machine
does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import machine
from jobs.config import RunConfig, StudyConfig
from jobs.corpus import BookRef, clean, decode, expand_sources, name_books, read_book, read_books, survey
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize, tokenize_all, vocabulary_of
from jobs.model.loading import load_tokenizer

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data"
ROUNDS = 5
RUN = RunConfig()

Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "memory"])
    parser.add_argument("folder", nargs="?", default=str(SAMPLE))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000], help="sizes of corpus to compare")
    options = parser.parse_args()
    print(f"machine: {machine.describe()}")
    if options.what == "overhead":
        measure_overhead(options.folder, options.model)
    else:
        measure_memory(options.folder, options.model, options.megabytes)


def measure_overhead(folder: str, model: str) -> None:
    """Print the time of each step as a share of the tokenizer's."""
    refs = list(references(folder))
    assert refs, f"no books in {folder}"
    tokenizer = load_tokenizer(model)
    best: dict[str, float] = defaultdict(lambda: float("inf"))
    characters = 0
    for _ in range(ROUNDS):
        seconds, texts = one_round(refs, tokenizer)
        seconds["survey"] = timed(lambda: list(references(folder)))[0]
        characters = sum(map(len, texts))
        seconds["tokenizer, all texts in one batch"] = timed(lambda: tokenize_all(tokenizer, texts))[0]  # noqa: B023
        for step, value in seconds.items():
            best[step] = min(best[step], value)
    floor = best["tokenizer"]
    print(f"{len(refs)} books, {characters:,} characters, {characters / floor / 1e6:.2f} million characters a second")
    for step, value in best.items():
        print(f"{step:36} {value:8.3f} s {value / floor:7.1%} of the tokenizer's time")
    for rule in ("notebook", "strict"):
        added = sum(best[step] for step in ("survey", "read", "decode", "clean", f"select, {rule}"))
        print(f"survey, read, decode, clean and select ({rule}) add {added / floor:.1%}")


def one_round(refs: list[BookRef], tokenizer: Any) -> tuple[dict[str, float], list[str]]:
    """Every book through every step, and the cleaned texts."""
    vocabulary = vocabulary_of(tokenizer)
    seconds: dict[str, float] = defaultdict(float)
    texts = []

    def step(name: str, work: Callable[[], Result]) -> Result:
        elapsed, result = timed(work)
        seconds[name] += elapsed
        return result

    for ref in refs:
        data = step("read", lambda: read_book(ref, RUN))  # noqa: B023
        decoded = step("decode", lambda: decode(data))  # noqa: B023
        text = step("clean", lambda: clean(decoded.text).text)  # noqa: B023
        step("tokenizer", lambda: vocabulary.encode([text]))  # noqa: B023
        tokenization = tokenize(tokenizer, text)
        for rule in ("notebook", "strict"):
            config = StudyConfig(selection=rule)
            step(f"select, {rule}", lambda: select(tokenization, config))  # noqa: B023
        texts.append(text)
    return seconds, texts


def measure_memory(folder: str, model: str, sizes: list[int]) -> None:
    """Print the largest resident memory of a process that takes a corpus of each size through all steps."""
    peaks = []
    for megabytes in sizes:
        with tempfile.TemporaryDirectory(prefix="interpunct-corpus-") as corpus:
            texts = make_corpus(folder, Path(corpus), megabytes * 1_000_000)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, marks, idle, peak = pool.apply(analyse, (corpus, model))
        peaks.append(peak)
        print(
            f"{megabytes:6} MB in {texts} texts: {marks:,} marks in {seconds:.0f} s; "
            f"{idle / 1e6:.0f} MB with the tokenizer loaded, {peak / 1e6:.0f} MB at most"
        )
    print(f"memory grows {peaks[-1] / peaks[0]:.2f} times where the corpus grows {sizes[-1] / sizes[0]:.0f} times")


def make_corpus(folder: str, target: Path, size: int) -> int:
    """A third of `size` bytes each as text files, one JSON lines file and one Parquet file. Returns the texts made.

    Every text is a real one with a line of its own, so that none is a duplicate.
    """
    originals = [clean(decode(content).text).text for _, content in read_books(references(folder), RUN)]  # type: ignore[arg-type]
    count = 0

    def texts() -> Iterator[str]:
        nonlocal count
        written = 0
        while written < size // 3:
            text = f"Copy {count} of a text.\n\n{originals[count % len(originals)]}"
            count += 1
            written += len(text.encode())
            yield text

    for number, text in enumerate(texts()):
        (target / f"{number:05d}.txt").write_text(text, encoding="utf-8")
    with (target / "rows.jsonl").open("w", encoding="utf-8") as file:
        for text in texts():
            file.write(json.dumps({"text": text}) + "\n")
    schema = pa.schema([("text", pa.large_string())])
    with pq.ParquetWriter(target / "rows.parquet", schema) as writer:
        for text in texts():
            writer.write_table(pa.table({"text": [text]}, schema))
    return count


def analyse(corpus: str, model: str) -> tuple[float, int, int, int]:
    """All steps over a corpus: seconds, marks taken, and resident bytes before and at most."""
    tokenizer = load_tokenizer(model)
    tokenize(tokenizer, "Warm up.")
    idle = peak_memory()
    started = time.perf_counter()
    marks = 0
    named = name_books(references(corpus), {})
    for _, content in read_books((book.ref for book in named if book.duplicate_of is None), RUN):
        assert isinstance(content, str | bytes), content
        selection = select(tokenize(tokenizer, clean(decode(content).text).text), StudyConfig())
        marks += sum(selected.taken.size for selected in selection.classes.values())
    return time.perf_counter() - started, marks, idle, peak_memory()


def references(folder: str) -> Iterator[BookRef]:
    for source in expand_sources([folder], RUN):
        assert not isinstance(source, BookRef), source.problem
        yield from survey(source, RUN)


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
