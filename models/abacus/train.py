"""Train abacus from nothing on the CPU. Started again, it goes on from its last checkpoint.

    python train.py --steps 3400 --out build

The run is settled by the seed and the number of steps (and, in the last bits, by PyTorch's build and the number of threads).
"""

import argparse
import itertools
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from conversations import conversations
from network import Network, Size
from vocabulary import END_ID, decode, encode

#: Tokens of a batch, padding included.
BATCH_TOKENS = 4_096
#: Conversations drawn at once and sorted by length, so that a batch has little padding.
POOL = 2_048
#: Lengths are rounded up to this: few shapes, so that PyTorch prepares few kernels.
LENGTH_STEP = 16
MOST_TOKENS = 320
PEAK_RATE, LEAST_SHARE, WARM_STEPS = 1.5e-3, 0.02, 150
IGNORED = -100

Pair = tuple[list[int], list[int]]


def pools(seed: int, start: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Pool after pool of batches, each a function of seed and number."""
    for number in itertools.count(start):
        drawn = itertools.islice(conversations(f"{seed}-{number}"), POOL)
        pairs = [(encode(one.prompt), encode(one.reply)) for one in drawn]
        pairs = [pair for pair in pairs if length(pair) <= MOST_TOKENS]
        pairs.sort(key=length, reverse=True)
        batches = [tensors(batch) for batch in _split(pairs)]
        random.Random(f"{seed}-{number}-order").shuffle(batches)
        yield batches


def length(pair: Pair) -> int:
    """In tokens, rounded up."""
    return -(-(len(pair[0]) + len(pair[1])) // LENGTH_STEP) * LENGTH_STEP


def _split(pairs: list[Pair]) -> Iterator[list[Pair]]:
    """Batches of neighbours, the longest first."""
    while pairs:
        count = BATCH_TOKENS // length(pairs[0])
        yield pairs[:count]
        pairs = pairs[count:]


def tensors(pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """Tokens, and what should follow each: only the reply counts."""
    longest = max(map(length, pairs))
    tokens = torch.full((len(pairs), longest), END_ID)
    follow = torch.full((len(pairs), longest), IGNORED)
    for row, (prompt, reply) in enumerate(pairs):
        whole = torch.tensor(prompt + reply)
        tokens[row, : len(whole)] = whole
        follow[row, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]
    return tokens, follow


def rate(step: int, steps: int) -> float:
    """Up in a line, then down a cosine."""
    if step < WARM_STEPS:
        return PEAK_RATE * (step + 1) / WARM_STEPS
    done = (step - WARM_STEPS) / max(1, steps - WARM_STEPS)
    return PEAK_RATE * (LEAST_SHARE + (1 - LEAST_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))


class Run:
    """Network, optimiser and where the run stands."""

    def __init__(self, seed: int, out: Path) -> None:
        torch.manual_seed(seed)
        self.seed, self.path = seed, out / "checkpoint.pt"
        self.network = Network(Size())
        decayed = [weight for weight in self.network.parameters() if weight.dim() > 1]
        others = [weight for weight in self.network.parameters() if weight.dim() == 1]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), fused=True)
        self.step = self.pool = self.tokens = self.examples = 0
        self.wall_s = self.cpu_s = 0.0
        if self.path.exists():
            self._load()

    def _load(self) -> None:
        saved = torch.load(self.path, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for name, value in saved["where"].items():
            setattr(self, name, value)

    def save(self) -> None:
        """Whole or not at all."""
        names = ("step", "pool", "tokens", "examples", "wall_s", "cpu_s")
        where = {name: getattr(self, name) for name in names}
        part = self.path.with_suffix(".part")
        torch.save(
            {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "where": where},
            part,
        )
        part.replace(self.path)

    def learn(self, tokens: Tensor, follow: Tensor, steps: int) -> float:
        """One step; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, steps)
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.network(tokens)
        loss = functional.cross_entropy(scores.float().flatten(0, 1), follow.flatten(), ignore_index=IGNORED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += tokens.numel()
        self.examples += len(tokens)
        return loss.item()


def sample(network: Network, seed: int, count: int = 60) -> tuple[float, str]:
    """The share of conversations said to the letter, and the last that was not."""
    network.eval()
    right, wrong = 0, ""
    for one in itertools.islice(conversations(f"sample-{seed}"), count):
        said = decode(network.say(encode(one.prompt), END_ID))
        right += said == one.reply
        if said != one.reply:
            wrong = f"{one.prompt!r} -> {said!r}"
    network.train()
    return right / count, wrong


def train(run: Run, steps: int, *, sample_every: int) -> None:
    """Until `steps`; a checkpoint after each pool."""
    wall, cpu = time.monotonic() - run.wall_s, time.process_time() - run.cpu_s
    losses: list[float] = []
    for batches in pools(run.seed, run.pool):
        for tokens, follow in batches:
            losses.append(run.learn(tokens, follow, steps))
            if run.step % 50 == 0:
                passed = time.monotonic() - wall
                mean = sum(losses) / len(losses)
                print(
                    f"{run.step:5d} loss {mean:.4f} {passed:6.0f} s {run.tokens / passed:6.0f} tokens/s",
                    flush=True,
                )
                losses.clear()
            if run.step % sample_every == 0:
                share, wrong = sample(run.network, run.step)
                print(f"      {share:.0%} right; {wrong}", flush=True)
            if run.step >= steps:
                break
        run.pool += 1
        run.wall_s, run.cpu_s = time.monotonic() - wall, time.process_time() - cpu
        run.save()
        if run.step >= steps:
            return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3_400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample-every", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("build"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options.seed, options.out)
    weights = sum(weight.numel() for weight in run.network.parameters())
    print(f"{weights:,} parameters; from step {run.step}", flush=True)
    train(run, options.steps, sample_every=options.sample_every)
    record = {
        "seed": options.seed, "steps": run.step, "parameters": weights, "tokens": run.tokens,
        "examples": run.examples, "wall_s": round(run.wall_s), "cpu_s": round(run.cpu_s), "torch": torch.__version__,
    }  # fmt: skip
    (options.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    print(record)


if __name__ == "__main__":
    main()
