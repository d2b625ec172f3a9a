"""The kernel compiles for real GPUs, with no GPU at hand: int8 products on tensor cores, all values in registers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

COMPILE = """
import re, subprocess, sys, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from analysis import gpu_kernel

architecture, bins, dimensions = map(int, sys.argv[1:])
padded_bins, row_bytes = gpu_kernel.shape_of_rows(bins, -(-dimensions // 64))
constants = gpu_kernel.constants(padded_bins, row_bytes, dimensions + 1, True)
pointers = dict.fromkeys(("rows_a", "rows_b"), "*u8") | dict.fromkeys(("table", "joint", "chosen_b", "set_a"), "*i64")
pointers |= dict.fromkeys(("group", "row_variants", "columns", "column_variants"), "*i32")
names = gpu_kernel.joint_terms_kernel.arg_names
signature = {n: "constexpr" if n in constants else pointers.get(n, "i32") for n in names}
aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if n in pointers or n == "row_bytes"}
source = ASTSource(gpu_kernel.joint_terms_kernel, signature, constants, aligned)
compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=gpu_kernel.OPTIONS)
with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
    file.write(compiled.asm["cubin"])
    file.flush()
    tool = triton.knobs.nvidia.cuobjdump.path
    usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
registers, stack = re.search(r"REG:(\\d+) STACK:(\\d+)", usage.stdout + usage.stderr).groups()
products = re.findall(r"(?:wgmma\\.mma_async|mma\\.sync)\\S*\\.s32\\.s8\\.s8\\S*", compiled.asm["ptx"])
print(registers, stack, compiled.metadata.shared, *sorted(set(products)))
"""


def compiled_for(architecture: int, bins: int, dimensions: int, cache) -> list[str]:
    """Registers and bytes of stack a thread, bytes of shared memory a program, the kinds of matrix products."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", COMPILE, str(architecture), str(bins), str(dimensions)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(("bins", "dimensions"), [(15, 1024), (15, 576), (64, 4096)])
def test_on_hopper_two_programs_share_a_multiprocessor_and_nothing_spills(bins, dimensions, tmp_path):
    registers, stack, shared, product = compiled_for(90, bins, dimensions, tmp_path)
    assert product == "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8"
    assert int(stack) == 0
    assert 2 * 256 * int(registers) <= 65_536
    assert 2 * int(shared) < 227 * 1024


def test_before_hopper(tmp_path):
    _, _, shared, product = compiled_for(80, 15, 1024, tmp_path)
    assert product.startswith("mma.sync.aligned.m16n8k32.row.col")
    assert int(shared) < 99 * 1024
