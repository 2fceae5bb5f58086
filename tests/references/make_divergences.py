"""Writes divergences.safetensors beside this file: reference values of the distillation losses.

usage: make_divergences.py [--check LOSSES.json]

p = softmax(teacher / T), q = softmax(student / T); one value per row; the gradient, autograd's own
in float64, is that of the sum of the row values in the student logits; no T^2 factor anywhere.
Four cases of random normal logits, seed 7: 4 x 7, 3 x 33, 5 x 101 and 2 x 1003; of the last only
the first row is stored, to keep the file small. --check compares every value, before that row is
dropped, with a JSON of the same cases ({"divergences": [{"temperature", "teacher", "student",
"loss": {name: [N]}, "grad": {name: [N][V]}}]}), prints the largest difference and writes nothing.
"""
import json
import sys

import torch

from store import made_by, save

torch.set_default_dtype(torch.float64)

# rows, vocabulary, standard deviation of the logits, temperature, rows stored
CASES = [(4, 7, 1.0, 1.0, 4), (3, 33, 3.0, 2.0, 3), (5, 101, 2.0, 0.5, 5), (2, 1003, 6.0, 1.0, 1)]


def log_mean(weight, a, b):
    """log(weight e^a + (1 - weight) e^b)"""
    w = torch.tensor([weight, 1 - weight]).log()
    return torch.logaddexp(a + w[0], b + w[1])


def kl(a, b):
    return (a.exp() * (a - b)).sum(-1)


def gjs(beta, lp, lq):
    m = log_mean(beta, lp, lq)
    return beta * kl(lp, m) + (1 - beta) * kl(lq, m)


def alpha(a, lp, lq):
    return ((a * lp + (1 - a) * lq).exp().sum(-1) - 1) / (a * (a - 1))


LOSSES = {
    "kl": kl,
    "rkl": lambda lp, lq: kl(lq, lp),
    "js": lambda lp, lq: gjs(0.5, lp, lq),
    "gjs:0.15": lambda lp, lq: gjs(0.15, lp, lq),
    "gjs:0.9": lambda lp, lq: gjs(0.9, lp, lq),
    "tvd": lambda lp, lq: (lp.exp() - lq.exp()).abs().sum(-1) / 2,
    "skew_kl:0.1": lambda lp, lq: kl(lp, log_mean(0.1, lp, lq)),
    "skew_rkl:0.1": lambda lp, lq: kl(lq, log_mean(0.1, lq, lp)),
    "alpha:0.3": lambda lp, lq: alpha(0.3, lp, lq),
    "hellinger": lambda lp, lq: 1 - ((lp + lq) / 2).exp().sum(-1),
    "jeffreys": lambda lp, lq: kl(lp, lq) + kl(lq, lp),
    "chi2": lambda lp, lq: (2 * lp - lq).exp().sum(-1) - 1,
    "engine": lambda lp, lq: -(lq.exp() * lp).sum(-1),
}


def cases():
    """Yields (temperature, rows stored, teacher, student, {name: (loss, grad)}) of each case."""
    gen = torch.Generator().manual_seed(7)
    for rows, vocab, deviation, temperature, kept in CASES:
        teacher = torch.randn(rows, vocab, generator=gen) * deviation
        student = (torch.randn(rows, vocab, generator=gen) * deviation).requires_grad_()
        log_p, values = (teacher / temperature).log_softmax(-1), {}
        for name, loss in LOSSES.items():
            value = loss(log_p, (student / temperature).log_softmax(-1))
            gradient, = torch.autograd.grad(value.sum(), student)
            values[name] = value.detach(), gradient
        yield temperature, kept, teacher, student.detach(), values


def check(path):
    """Prints how far a JSON is: losses relative to max(1, |loss|), gradients to row norms."""
    with open(path) as file:
        stored = json.load(file)["divergences"]
    worst_input = worst_loss = worst_grad = 0.0
    for case, (temperature, _, teacher, student, values) in zip(stored, cases(), strict=True):
        assert temperature == case["temperature"] and set(values) == set(case["loss"])
        for key, x in [("teacher", teacher), ("student", student)]:
            worst_input = max(worst_input, (torch.tensor(case[key]) - x).abs().max().item())
        for name, (loss, gradient) in values.items():
            want, slope = torch.tensor(case["loss"][name]), torch.tensor(case["grad"][name])
            off = (loss - want).abs() / want.abs().clamp(min=1)
            worst_loss = max(worst_loss, off.max().item())
            off = (gradient - slope).norm(dim=-1) / slope.norm(dim=-1)
            worst_grad = max(worst_grad, off.max().item())
    print(f"{path}: largest differences: inputs {worst_input:.1e}, losses {worst_loss:.1e}, "
          f"gradients {worst_grad:.1e}")


def main():
    out, temperatures = {}, []
    for i, (temperature, kept, teacher, student, values) in enumerate(cases()):
        temperatures.append(temperature)
        out |= {f"case{i}.teacher": teacher[:kept], f"case{i}.student": student[:kept]}
        for name, (loss, gradient) in values.items():
            out |= {f"case{i}.loss.{name}": loss[:kept], f"case{i}.grad.{name}": gradient[:kept]}
    save("divergences", out, {"temperatures": temperatures, "names": list(LOSSES),
                              "made_by": made_by("make_divergences.py", torch)})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"] and len(sys.argv) == 3:
        check(sys.argv[2])
    elif len(sys.argv) == 1:
        main()
    else:
        sys.exit(__doc__)
