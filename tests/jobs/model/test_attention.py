"""Attention by blocks is attention: torch's own, with the future masked, for all shapes of heads and blocks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jobs.model import attention
from jobs.model.attention import causal_attention


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize(("length", "block"), [(1, 8), (8, 8), (13, 4), (64, 16), (70, 64)])
def test_blocks_give_torchs_attention(heads, key_heads, length, block):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, heads, length, 16, generator=generator)
    key = torch.randn(2, key_heads, length, 16, generator=generator)
    value = torch.randn(2, key_heads, length, 8, generator=generator)
    found = causal_attention(query, key, value, 0.3, block)
    repeated = (x.repeat_interleave(heads // key_heads, dim=1) for x in (key, value))
    expected = nn.functional.scaled_dot_product_attention(query, *repeated, is_causal=True, scale=0.3)
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_what_is_not_plain_causal_attention_is_left_to_torch(monkeypatch):
    """A mask, a bias, an encoder, keys of another text, a short window: none of them goes by blocks."""
    module = nn.Module()
    called = []
    monkeypatch.setattr(attention, "causal_attention", lambda *arguments: called.append("blocks"))
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *arguments, **named: called.append("torch"))

    def attend(length, keys=None, mask=None, **named):
        query = torch.zeros(1, 2, length, 4)
        key = torch.zeros(1, 2, keys or length, 4)
        called.clear()
        attention._attention_forward(module, query, key, key, mask, **named)
        return called[0]

    long = attention.LONG
    assert attend(long) == "blocks"
    assert attend(attention.BLOCK) == "torch"
    assert attend(long, keys=long + 1) == "torch"
    assert attend(long, mask=torch.zeros(1, 1, long, long)) == "torch"
    assert attend(long, position_bias=torch.zeros(1)) == "torch"
    assert attend(long, is_causal=False) == "torch"
    module.is_causal = False
    assert attend(long) == "torch"
