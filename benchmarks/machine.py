"""What a benchmark ran on: without it, a ratio means little."""

from __future__ import annotations

import platform
from pathlib import Path

from analysis.engine.cores import usable_cores

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_vpopcntdq", "amx_bf16")


def describe() -> str:
    """One line: processor, cores this process may use, and the vector instructions that matter here."""
    name, flags = platform.processor() or platform.machine(), set()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    return f"{name}, {usable_cores()} cores, {' '.join(f for f in FEATURES if f in flags) or 'no vector flags known'}"
