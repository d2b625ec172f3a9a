"""Whether the libraries of a run are installed: whoever only queries and reports needs neither torch nor Ray."""

from __future__ import annotations

from importlib.util import find_spec

from jobs.errors import UsageError

OF_A_RUN = ("accelerate", "charset_normalizer", "gguf", "huggingface_hub", "ijson", "ray", "safetensors", "tokenizers",
            "torch", "transformers")  # fmt: skip
"""Modules of the extra `run` that this project imports, or that transformers must find."""

REMEDY = "install what a run needs with: pip install 'interpunct[run]'"


def need_for_a_run(command: str) -> None:
    """Raise UsageError, with the remedy, where a library that a run needs is not installed. None is loaded."""
    absent = [name for name in OF_A_RUN if find_spec(name) is None]
    if absent:
        raise UsageError(f"`interpunct {command}` needs {', '.join(absent)}, not installed here; {REMEDY}")
