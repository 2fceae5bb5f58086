"""Writes optim.safetensors beside this file: five steps of torch.optim.AdamW and of transformers'
Adafactor (no relative step, no parameter scale, no first moment), in float64, from stored
gradients.

A matrix (5, 7) decays, a vector (7) does not; the learning rate changes at every step; epsilon is
large enough for its place in the formula to show; the gradients vary in size so that Adafactor's
clipping of its update is met on and off. README.md says what each tensor is.
"""
import torch
import transformers
from transformers.optimization import Adafactor

from store import made_by, save

RATES = [0.01, 0.03, 0.02, 0.05, 0.01]
SIZES = [1.0, 3.0, 0.1, 1.0, 0.3]  # of the gradients, step by step
DECAY = 0.1
OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, dict(betas=(0.8, 0.95), eps=1e-3)),
    "adafactor": (Adafactor, dict(eps=(1e-30, 1e-3), clip_threshold=1.0, decay_rate=-0.8,
                                  beta1=None, scale_parameter=False, relative_step=False,
                                  warmup_init=False)),
}


def trajectory(kind, options, start, grads):
    """The parameters after each step: {name: (steps, ...)}."""
    now = {name: torch.nn.Parameter(x.clone()) for name, x in start.items()}
    groups = [dict(params=[now["matrix"]], weight_decay=DECAY),
              dict(params=[now["vector"]], weight_decay=0.0)]
    optimizer = kind(groups, lr=RATES[0], **options)
    after = {name: [] for name in now}
    for step, rate in enumerate(RATES):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for name, x in now.items():
            x.grad = grads[name][step].clone()
        optimizer.step()
        for name, x in now.items():
            after[name].append(x.detach().clone())
    return {name: torch.stack(steps) for name, steps in after.items()}


def main():
    torch.set_default_dtype(torch.float64)
    gen = torch.Generator().manual_seed(1)
    sizes = torch.tensor(SIZES)
    start = {"matrix": torch.randn(5, 7, generator=gen), "vector": torch.randn(7, generator=gen)}
    grads = {"matrix": sizes[:, None, None] * torch.randn(5, 5, 7, generator=gen),
             "vector": sizes[:, None] * torch.randn(5, 7, generator=gen)}
    out = {f"{name}.start": x for name, x in start.items()}
    out |= {f"{name}.grads": x for name, x in grads.items()}
    settings = {"learning_rates": RATES, "weight_decay": {"matrix": DECAY, "vector": 0.0}}
    for label, (kind, options) in OPTIMIZERS.items():
        after = trajectory(kind, options, start, grads)
        out |= {f"{label}.{name}": x for name, x in after.items()}
        settings[label] = options
    save("optim", out, settings | {"made_by": made_by("make_optim.py", torch, transformers)})


if __name__ == "__main__":
    main()
