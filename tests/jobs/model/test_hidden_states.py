"""Extraction gives what transformers gives for the whole window, layer by layer, and nothing that looks ahead."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    GPTNeoXConfig,
    GPTNeoXModel,
    LlamaConfig,
    LlamaModel,
    MambaConfig,
    MambaModel,
    MistralConfig,
    MistralModel,
    Qwen3Config,
    Qwen3Model,
)

from analysis.pairwise import pair_statistics
from jobs.errors import UsageError
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model import shortcuts
from jobs.model.forward import Batch, ForwardPass
from jobs.model.hidden_states import HiddenStates, set_product_precision
from jobs.model.loading import load_model, load_tokenizer

BEFORE, AFTER, VOCABULARY = 20, 10, 500
SIZE = {"vocab_size": VOCABULARY, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
GATED = {**SIZE, "intermediate_size": 160, "num_key_value_heads": 2}
SCALE = {"initializer_range": 0.15}
MODELS = {
    "gpt2": (GPT2Model, GPT2Config(vocab_size=VOCABULARY, n_embd=64, n_layer=4, n_head=4, **SCALE)),
    "gpt_neox": (GPTNeoXModel, GPTNeoXConfig(**SIZE, intermediate_size=256, **SCALE)),
    "gpt_neox_serial": (
        GPTNeoXModel,
        GPTNeoXConfig(**SIZE, intermediate_size=256, use_parallel_residual=False, **SCALE),
    ),
    "llama": (LlamaModel, LlamaConfig(**GATED, **SCALE)),
    "qwen3": (Qwen3Model, Qwen3Config(**GATED, head_dim=16, **SCALE)),
}
SLIDING = {"mistral": (MistralModel, MistralConfig(**GATED, sliding_window=16, **SCALE))}


def build(name):
    torch.manual_seed(1)
    model_class, config = (MODELS | SLIDING)[name]
    return model_class(copy.deepcopy(config)).eval()  # a model may be told to attend otherwise, in its configuration


def plain_states(model, windows, position=BEFORE):
    """The notebook's way: the whole window, all hidden states, the one position taken out afterwards."""
    with torch.inference_mode():
        output = model(input_ids=torch.from_numpy(windows), output_hidden_states=True)
    return torch.stack(output.hidden_states)[:, :, position].float().numpy()


def relative_difference(states, expected):
    """By layer: the largest norm of a state's difference over the norm of the state."""
    return (np.linalg.norm(states - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max(axis=1)


def random_windows(count, seed=0):
    return np.random.default_rng(seed).integers(0, VOCABULARY, (count, BEFORE + 1 + AFTER))


@pytest.fixture(scope="module")
def marks(sample_text, smollm2):
    """Full windows of 31 tokens around 24 marks of each class of the sample, and SmolLM2's plain states."""
    from jobs.config import StudyConfig

    tokens = tokenize(load_tokenizer("smollm2"), sample_text)
    selection = select(tokens, StudyConfig(per_class=24))
    offsets = np.arange(-BEFORE, AFTER + 1)
    windows = {name: tokens.ids[c.taken[:, None] + offsets].astype(np.int64) for name, c in selection.classes.items()}
    model = load_model("smollm2")
    return {name: (w, plain_states(model, w)) for name, w in windows.items()}


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_equals_the_whole_windows_states(name):
    model, windows = build(name), random_windows(37)
    expected = plain_states(model, windows)
    forward = ForwardPass(model)
    states = forward.states(np.ascontiguousarray(windows[:, : BEFORE + 1]), batch_size=16)
    assert states.dtype == np.float32
    assert states.shape == (5, 37, 64)
    assert relative_difference(states, expected).max() < 1e-4
    assert {"hook_blocks", "narrow_last_block", "attend_in_blocks"} <= set(forward.shortcuts)
    if shortcuts.onednn_packs(torch.float32):
        assert "pack_linear_layers" in forward.shortcuts


def everywhere(model, sequences):
    """Plain states of all positions: float32 `[hidden_layers, count, length, width]`."""
    with torch.inference_mode():
        output = model(input_ids=torch.from_numpy(sequences), output_hidden_states=True)
    return torch.stack(output.hidden_states).float().numpy()


@pytest.mark.parametrize("length", [60, 200])
@pytest.mark.parametrize("name", [*MODELS, "mistral"])
def test_chosen_positions_equal_the_plain_pass_of_the_same_sequences(name, length):
    """One pass gives every position that is asked for, in every layer; mistral attends to 16 tokens back."""
    model = build(name)
    generator = np.random.default_rng(3)
    sequences = generator.integers(0, VOCABULARY, (7, length))
    places = np.sort(generator.choice(sequences.size, 50, replace=False))
    expected = everywhere(model, sequences)[:, places // length, places % length]
    forward = ForwardPass(model)
    states = forward.states(sequences, 3, places)
    assert states.shape == (5, 50, 64)
    assert relative_difference(states, expected).max() < 1e-4
    assert "hook_blocks" in forward.shortcuts
    last = forward.states(sequences, 3)
    assert relative_difference(last, everywhere(model, sequences)[:, :, -1]).max() < 1e-4
    np.testing.assert_array_equal(forward.states(sequences, 3, places), states, "windows in between change nothing")


def test_sequences_run_up_to_the_last_position_that_is_kept(monkeypatch):
    model = build("llama")
    sequences = np.random.default_rng(0).integers(0, VOCABULARY, (5, 40))
    places = np.array([3, 10, 40 + 7, 120 + 39, 160])
    forward = ForwardPass(model)
    run, shapes = forward._run, []
    monkeypatch.setattr(forward, "_run", lambda batch: shapes.append(tuple(batch.tokens.shape)) or run(batch))
    states = forward.states(sequences, 2, places)
    assert shapes == [(2, 11), (2, 40), (1, 1)]
    assert relative_difference(states, everywhere(model, sequences)[:, places // 40, places % 40]).max() < 1e-4
    assert forward.states(sequences, 2, np.zeros(0, np.int64)).shape == (5, 0, 64)


def test_chosen_positions_do_not_depend_on_how_memory_cuts_a_batch(monkeypatch):
    model = build("gpt2")
    sequences = np.random.default_rng(0).integers(0, VOCABULARY, (9, 20))
    places = np.array([0, 19, 20, 100, 101, 102, 179])
    forward = ForwardPass(model)
    expected = forward.states(sequences, 8, places)
    run = forward._run

    def small_memory(batch):
        if len(batch.tokens) > 2:
            raise torch.OutOfMemoryError("injected")
        return run(batch)

    monkeypatch.setattr(forward, "_run", small_memory)
    assert relative_difference(forward.states(sequences, 8, places), expected).max() < 1e-5


def test_places_out_of_order_or_out_of_range_are_refused(tiny_gpt2):
    model = HiddenStates(str(tiny_gpt2))
    sequences = np.zeros((2, 10), dtype=np.int32)
    for places in ([3, 1], [-1], [20]):
        with pytest.raises(ValueError, match="do not ascend within the 20 positions"):
            model.start(sequences, np.array(places))
    assert model.states_at(sequences, np.array([0, 1, 1]), np.array([5, 0, 9])).shape == (4, 3, 64)


def test_smollm2_equals_the_whole_windows_states(smollm2, marks):
    for windows, expected in marks.values():
        states = smollm2.states(windows[:, : BEFORE + 1])
        assert states.shape == (smollm2.hidden_layers, len(windows), smollm2.width)
        assert relative_difference(states, expected).max() < 1e-4


def test_mutual_information_of_smollm2_keeps_its_mean_in_every_layer(smollm2, marks):
    for windows, expected in marks.values():
        states = smollm2.states(windows[:, : BEFORE + 1])
        for layer in range(smollm2.hidden_layers):
            ours, plain = (pair_statistics(np.ascontiguousarray(x[layer])).mi.mean() for x in (states, expected))
            assert abs(ours - plain) < 1e-3, f"layer {layer}"


def test_states_do_not_depend_on_the_batch_beyond_rounding(tiny_gpt2):
    windows = random_windows(23)[:, : BEFORE + 1]
    one, all_at_once = (HiddenStates(str(tiny_gpt2), batch_size=size).states(windows) for size in (1, 64))
    assert relative_difference(one, all_at_once).max() < 1e-5


def test_states_repeat_to_the_bit(tiny_gpt2):
    windows = random_windows(23)[:, : BEFORE + 1]
    model = HiddenStates(str(tiny_gpt2), batch_size=8)
    np.testing.assert_array_equal(model.states(windows), model.states(windows))
    np.testing.assert_array_equal(model.states(windows)[:, :8], model.states(windows[:8]))


def test_no_windows_give_no_states(tiny_gpt2):
    model = HiddenStates(str(tiny_gpt2))
    assert model.states(np.empty((0, BEFORE + 1), dtype=np.int32)).shape == (4, 0, 64)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_number_formats_give_float32_near_the_wide_ones(tiny_gpt2, dtype):
    windows = random_windows(9)[:, : BEFORE + 1]
    wide, narrow = (HiddenStates(str(tiny_gpt2), dtype=d).states(windows) for d in ("float32", dtype))
    assert narrow.dtype == np.float32
    assert 0 < relative_difference(narrow, wide).max() < {"bfloat16": 5e-2, "float16": 1e-2}[dtype]


def test_a_model_that_looks_ahead_is_refused():
    torch.manual_seed(1)
    model = BertModel(BertConfig(**SIZE, intermediate_size=160)).eval()
    with pytest.raises(UsageError, match="looks ahead"):
        ForwardPass(model)


def test_an_architecture_without_attention_runs_too():
    torch.manual_seed(1)
    model = MambaModel(MambaConfig(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2)).eval()
    windows = random_windows(5)
    expected = plain_states(model, windows)
    states = ForwardPass(model).states(np.ascontiguousarray(windows[:, : BEFORE + 1]), batch_size=2)
    assert relative_difference(states, expected).max() < 1e-4


def test_a_shortcut_that_changes_the_states_is_undone(monkeypatch):
    def break_a_block(model):
        weight = model.h[1].mlp.c_fc.weight
        weight.data.mul_(1.01)
        return lambda: weight.data.div_(1.01)

    def raise_in_a_block(model):
        handle = model.h[2].register_forward_pre_hook(lambda module, args: 1 / 0)
        return handle.remove

    monkeypatch.setattr("jobs.model.forward.applicable", lambda model: (break_a_block, raise_in_a_block))
    model, windows = build("gpt2"), random_windows(6)
    expected = plain_states(model, windows)
    forward = ForwardPass(model)
    assert forward.shortcuts == ["hook_blocks", "narrow_last_block", "attend_in_blocks"]
    states = forward.states(np.ascontiguousarray(windows[:, : BEFORE + 1]), batch_size=6)
    assert relative_difference(states, expected).max() < 1e-4


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_shortcuts_undo_to_the_bit(name):
    model, windows = build(name), random_windows(4)
    before = plain_states(model, windows)
    everything = Batch(torch.zeros(4, windows.shape[1]), torch.arange(3))
    for shortcut in (
        shortcuts.pack_linear_layers,
        shortcuts.fuse_tanh_gelu,
        shortcuts.attend_in_blocks,
        lambda model: shortcuts.narrow_last_block(model, lambda: everything),
    ):
        undo = shortcut(model)
        if undo is not None:
            undo()
        np.testing.assert_array_equal(plain_states(model, windows), before)
    assert shortcuts.fuse_tanh_gelu(build("llama")) is None


def test_a_batch_that_memory_does_not_hold_is_split_and_told(monkeypatch, caplog):
    model, windows = build("gpt2"), random_windows(21)[:, : BEFORE + 1]
    windows = np.ascontiguousarray(windows)
    forward = ForwardPass(model)
    expected = forward.states(windows, batch_size=16)
    run, sizes = forward._run, []

    def small_memory(batch):
        sizes.append(len(batch.tokens))
        if len(batch.tokens) > 5:
            raise torch.OutOfMemoryError("injected")
        return run(batch)

    monkeypatch.setattr(forward, "_run", small_memory)
    states = forward.states(windows, batch_size=16)
    assert sizes == [16, 8, 4, 4, 4, 4, 5]
    assert forward.smallest_batch == 4
    assert [record.args for record in caplog.records] == [(16, 8), (8, 4)]
    assert relative_difference(states, expected).max() < 1e-5


def test_memory_that_does_not_hold_one_window_ends_in_one_line(monkeypatch):
    forward = ForwardPass(build("gpt2"))

    def no_memory(tokens):
        raise torch.OutOfMemoryError("injected")

    monkeypatch.setattr(forward, "_run", no_memory)
    with pytest.raises(UsageError, match="does not hold one sequence of 31 tokens"):
        forward.states(random_windows(3), batch_size=2)


def test_windows_that_do_not_fit_the_model_are_refused(tiny_gpt2):
    model = HiddenStates(str(tiny_gpt2))
    with pytest.raises(UsageError, match=r"context of .* is 64; set --before to 63"):
        model.states(np.zeros((2, 65), dtype=np.int32))
    with pytest.raises(UsageError, match="token 2000 is not in the vocabulary"):
        model.states(np.full((2, 21), 2000))
    with pytest.raises(ValueError, match="expected"):
        model.states(np.zeros(21, dtype=np.int32))


def test_cuda_without_a_gpu_is_refused(tiny_gpt2, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        HiddenStates(str(tiny_gpt2), device="cuda")


def test_tf32_without_a_gpu_is_refused(tiny_gpt2):
    with pytest.raises(UsageError, match="only a GPU has"):
        HiddenStates(str(tiny_gpt2), dtype="tf32", device="cpu")


def test_products_are_full_float32_unless_tf32_is_asked_for():
    set_product_precision("tf32")
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    set_product_precision("float32")
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_extraction_imports_without_ray():
    code = "import sys, jobs.model.hidden_states; print('ray' in sys.modules, 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
