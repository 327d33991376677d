"""The network: a decoder of Llama's kind (RMSNorm, rotary positions, SwiGLU), as llama.cpp computes it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocabulary import TOKENS


@dataclass(frozen=True)
class Size:
    """Widths and counts; `context` is what llama.cpp is told."""

    vocabulary: int = len(TOKENS)
    layers: int = 4
    width: int = 160
    heads: int = 5
    feed_forward: int = 448
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Of one head."""
        return self.width // self.heads


class Block(nn.Module):
    """Attention, then a gated feed-forward."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads, self.head_width = size.heads, size.head_width
        self.attn_norm = nn.RMSNorm(size.width, size.epsilon)
        self.attn_qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.attn_output = nn.Linear(size.width, size.width, bias=False)
        self.ffn_norm = nn.RMSNorm(size.width, size.epsilon)
        self.ffn_gate_up = nn.Linear(size.width, 2 * size.feed_forward, bias=False)
        self.ffn_down = nn.Linear(size.feed_forward, size.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """x: batch × time × width."""
        batch, time, width = x.shape
        qkv = self.attn_qkv(self.attn_norm(x)).view(batch, time, 3, self.heads, self.head_width)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            turn(query, cosine, sine), turn(key, cosine, sine), value, is_causal=True
        )
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, time, width))
        gate, up = self.ffn_gate_up(self.ffn_norm(x)).chunk(2, -1)
        return x + self.ffn_down(functional.silu(gate) * up)


def turn(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions; neighbouring values are a pair, as llama.cpp has it for this architecture."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2).to(x.dtype)


class Network(nn.Module):
    """Tokens in, a score for each next token out."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.token_embd = nn.Embedding(size.vocabulary, size.width)
        self.blk = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.output_norm = nn.RMSNorm(size.width, size.epsilon)
        self.output = nn.Linear(size.width, size.vocabulary, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(weight, std=0.05 / ((2 * size.layers) ** 0.5 if last else 1))
        angles = size.rope_base ** (-torch.arange(0, size.head_width, 2) / size.head_width)
        positions = torch.outer(torch.arange(size.context), angles)
        self.register_buffer("cosine", positions.cos(), persistent=False)
        self.register_buffer("sine", positions.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Batch × time in, batch × time × vocabulary out."""
        x = self.token_embd(tokens)
        time = tokens.shape[1]
        for block in self.blk:
            x = block(x, self.cosine[:time], self.sine[:time])
        return self.output(self.output_norm(x))

    @torch.inference_mode()
    def say(self, prompt: list[int], end: int, most: int = 300) -> list[int]:
        """The likeliest tokens after a prompt, up to the end's."""
        tokens = list(prompt)
        while len(tokens) - len(prompt) < most:
            tokens.append(int(self(torch.tensor([tokens]))[0, -1].argmax()))
            if tokens[-1] == end:
                break
        return tokens[len(prompt) :]
