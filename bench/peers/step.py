"""The distillation step of `make bench` in eager PyTorch: teacher forward, student forward and
backward, Jensen-Shannon over all positions, clipping of the gradient norm at 1, AdamW.

usage: step.py [--configs 1,2,3] [--steps 9] [--seconds 60] [--threads 2]

Decoder-only models of GPT-2's shape, float32, no dropout, random tokens. Prints a JSON list with
the median of the timed steps (the first one is not timed); a configuration stops after --seconds.
Where other programs run (see `load`, the machine's load average at the start) the numbers mean
little: threads that wait for each other at every operator lose most.
"""
import argparse
import json
import os
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

# vocabulary, length, batch, teacher and student (width, layers, heads)
CONFIGS = {
    1: (8192, 128, 8, (256, 4, 4), (128, 2, 2)),
    2: (8192, 128, 8, (512, 6, 8), (256, 2, 4)),
    3: (32000, 256, 4, (768, 12, 12), (768, 6, 12)),
}


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):  # (B, T, C)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for y in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Decoder(nn.Module):
    def __init__(self, vocab, length, width, layers, heads):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for x in self.parameters():
            if x.dim() == 2:
                nn.init.normal_(x, std=0.02)

    def forward(self, ids):  # (B, T) -> (B, T, V)
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        return F.linear(self.norm(self.blocks(x)), self.tokens.weight)


def js(teacher, student):
    """Jensen-Shannon divergence of each position: (B, T, V) logits -> (B, T)."""
    lp, lq = teacher.log_softmax(-1), student.log_softmax(-1)
    mix = torch.logaddexp(lp, lq) - torch.tensor(2.0).log()
    return 0.5 * (lp.exp() * (lp - mix)).sum(-1) + 0.5 * (lq.exp() * (lq - mix)).sum(-1)


def measure(config, steps, seconds):
    vocab, length, batch, teacher_shape, student_shape = config
    torch.manual_seed(0)
    teacher = Decoder(vocab, length, *teacher_shape)
    student = Decoder(vocab, length, *student_shape)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4, fused=True)
    times, began = [], time.perf_counter()
    for _ in range(steps + 1):
        ids = torch.randint(vocab, (batch, length))
        start = time.perf_counter()
        with torch.no_grad():
            target = teacher(ids)
        loss = js(target, student(ids)).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
        if len(times) > 1 and time.perf_counter() - began > seconds:
            break
    median = statistics.median(times[1:])
    return {"vocab": vocab, "length": length, "batch": batch,
            "teacher": "x".join(map(str, teacher_shape)),
            "student": "x".join(map(str, student_shape)), "steps": len(times) - 1,
            "seconds_per_step": round(median, 5), "fastest_step": round(min(times[1:]), 5),
            "tokens_per_second": round(batch * length / median, 1), "loss": loss.item()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configs", default="1,2,3", help="which of the three, in order")
    parser.add_argument("--steps", type=int, default=9, help="timed steps of each")
    parser.add_argument("--seconds", type=float, default=60, help="time limit of each")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = round(os.getloadavg()[0], 2)
    rows = [measure(CONFIGS[int(c)], options.steps, options.seconds)
            for c in options.configs.split(",")]
    print(json.dumps({"torch": torch.__version__, "threads": options.threads, "load": load,
                      "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
