"""Whole machines go away, or run out of memory. Slow: each test starts a Ray of its own in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import injection
from tests.jobs.injection import Calls, HashModel

ROOT = Path(__file__).resolve().parents[3]
BOOKS = 6
BLOCKS = 2 * HashModel.hidden_layers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REMOVE_A_NODE = """
import sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from jobs.cluster.ray_start import LOCAL_ENVIRONMENT, set_environment
from tests.jobs import injection
from tests.jobs.injection import Calls, Trouble

model, store, folder, what, *books = sys.argv[1:]
calls = Calls(Path(folder))
set_environment(LOCAL_ENVIRONMENT)
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
workers = [cluster.add_node(num_cpus=2) for _ in range(2)]
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")

def remove():
    while calls.count("compute") < 12:
        time.sleep(0.05)
    with_model = [node for node in workers if node.node_id == calls.units("load")[-1]]
    others = [node for node in workers if node not in with_model]
    node = (with_model or others)[0] if what == "model" else others[0]
    print("removed", "the model's node" if node in with_model else "a node without a model", flush=True)
    cluster.remove_node(node, allow_graceful=False)

threading.Thread(target=remove, daemon=True).start()
stages = injection.stages(calls, compute=Trouble(calls, seconds=0.3))
sys.exit(injection.run(books, injection.study(model), Path(store), stages))
"""

RUN_OUT_OF_MEMORY = """
import os, sys
from pathlib import Path
import psutil
memory = psutil.virtual_memory()
os.environ["RAY_memory_usage_threshold"] = str((memory.total - memory.available + (3 << 30)) / memory.total)
os.environ["RAY_memory_monitor_refresh_ms"] = "100"
from tests.jobs import injection
from tests.jobs.injection import Calls, Trouble

model, store, folder, _, *books = sys.argv[1:]
calls = Calls(Path(folder))
trouble = Trouble(calls, injection.take_all_memory, times=1, where="book1 2 terminal")
sys.exit(injection.run(books, injection.study(model), Path(store), injection.stages(calls, compute=trouble)))
"""


@pytest.fixture
def books(tmp_path, sample_text) -> list[str]:
    return injection.write_books(tmp_path / "books", sample_text, BOOKS)


def run_script(script: str, tmp_path: Path, model: Path, what: str, books: list[str]) -> tuple[Calls, str]:
    """Run it, and compare what it stored with what the plain loop stores."""
    calls = Calls(tmp_path / "calls")
    arguments = [str(model), str(tmp_path / "store"), str(calls.folder), what, *books]
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    undisturbed = injection.stages(Calls(tmp_path / "undisturbed-calls"))
    assert injection.run(books, injection.study(model), tmp_path / "undisturbed", undisturbed, serial=True) == 0
    assert injection.rows(tmp_path / "store") == injection.rows(tmp_path / "undisturbed")
    return calls, done.stdout + done.stderr


@pytest.mark.parametrize("what", ["model", "tasks"])
def test_a_node_that_goes_away_costs_what_it_was_doing(tmp_path, tiny_gpt2, books, what):
    calls, said = run_script(REMOVE_A_NODE, tmp_path, tiny_gpt2, what, books)
    assert "removed" in said
    assert "lost with its" in said
    assert calls.count("finish") <= BOOKS + 2
    assert BOOKS * BLOCKS <= calls.count("compute") <= BOOKS * BLOCKS + 3 * BLOCKS


def test_a_task_that_takes_all_memory_is_stopped_and_repeated(tmp_path, tiny_gpt2, books):
    calls, said = run_script(RUN_OUT_OF_MEMORY, tmp_path, tiny_gpt2, "", books)
    assert "the machine ran out of memory" in said
    assert calls.count("compute") <= BOOKS * BLOCKS + 4
