"""Writes sinkhorn.safetensors beside this file: reference values of the transport losses.

usage: make_sinkhorn.py [--check LOSSES.json]

p = softmax(teacher / T), q = softmax(student / T). Every gradient is autograd's own in float64,
through softmax, costs and every iteration, of the sum of the loss in the student logits. Four cases
of random normal logits: 1 x 3, 5 x 3, 16 x 20 and 8 x 200, drawn behind those of
make_divergences.py from the same generator. --check compares the published and the balanced values
with a JSON of the same cases ({"sinkhorn": [{"batch", "classes", "teacher", "student", "published":
{"loss", "grad"}, "entropic": [{"eps", "iters", "sharp", "sharp_grad", "regularised",
"regularised_grad"}]}]}), prints the largest difference and writes nothing.
"""
import json
import math
import sys

import torch

from make_divergences import CASES as BEFORE
from store import made_by, save

torch.set_default_dtype(torch.float64)

CASES = [(1, 3, 1.0), (5, 3, 2.0), (16, 20, 1.5), (8, 200, 3.0)]  # batch, classes, deviation
SOLVED = [(0.1, 50), (0.02, 400)]  # eps, iterations


def l1(q, p):
    return (q[:, None, :] - p[None, :, :]).abs().sum(-1)


def published(q, p, eps=0.1, iterations=20):
    """As the authors' code: scalings in the exp domain, rows, then columns; mass of the batch."""
    cost = l1(q, p)
    plan = (-cost / eps).exp()
    for _ in range(iterations):
        plan = plan / plan.sum(1, keepdim=True)
        plan = plan / plan.sum(0, keepdim=True)
    return (plan * cost).sum()


def kl(log_p, log_q):
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0).sum() - p.sum() + log_q.exp().sum()


def entropic(cost, eps, iterations, log_a=None, log_b=None, rho=math.inf, symmetric=False):
    """(<P, C>, <P, C> + eps KL(P | a b^T) + rho KL(P 1 | a) + rho KL(P^T 1 | b))."""
    n, m = cost.shape
    log_a = torch.full((n,), -math.log(n)) if log_a is None else log_a
    log_b = torch.full((m,), -math.log(m)) if log_b is None else log_b
    damping = 1 if math.isinf(rho) else rho / (rho + eps)
    f, g = torch.zeros(n), torch.zeros(m)
    of_g = lambda g: -eps * damping * torch.logsumexp(log_b[None] + (g[None] - cost) / eps, 1)
    of_f = lambda f: -eps * damping * torch.logsumexp(log_a[:, None] + (f[:, None] - cost) / eps, 0)
    for _ in range(iterations):
        if symmetric:
            f, g = (f + of_g(g)) / 2, (g + of_f(f)) / 2
        else:
            f = of_g(g)
            g = of_f(f)
    log_product = log_a[:, None] + log_b[None]
    log_plan = log_product + (f[:, None] + g[None] - cost) / eps
    sharp = (log_plan.exp() * cost).sum()
    whole = sharp + eps * kl(log_plan, log_product)
    if not math.isinf(rho):
        whole = whole + rho * kl(torch.logsumexp(log_plan, 1), log_a)
        whole = whole + rho * kl(torch.logsumexp(log_plan, 0), log_b)
    return sharp, whole


def debiased(q, p, eps, iterations):
    value = lambda a, b: entropic(l1(a, b), eps, iterations, symmetric=True)[1]
    return value(q, p) - value(q, q) / 2 - value(p, p) / 2


def sample(log_q, log_p, eps, iterations, value):
    """Between the classes of each row under the cost |i - j|."""
    classes = torch.arange(log_q.shape[1], dtype=torch.float64)
    cost = (classes[:, None] - classes[None]).abs()
    return torch.stack([entropic(cost, eps, iterations, a, b)[value] for a, b in zip(log_q, log_p)])


def uld(q, p):
    return (q.sort(-1, descending=True).values - p.sort(-1, descending=True).values).abs().sum(-1)


def losses(batch, classes):
    """{name: f(student logits, teacher logits)}; the larger cases have fewer."""
    soft = lambda x: (x / 2).softmax(-1)
    cost = lambda s, t: l1(soft(s), soft(t))
    out = {"published": lambda s, t: published(soft(s), soft(t))}
    for eps, iterations in SOLVED:
        for i, value in enumerate(["sharp", "regularised"]):
            out[f"{value}:{eps}:{iterations}"] = (
                lambda s, t, i=i, e=eps, n=iterations: entropic(cost(s, t), e, n)[i])
    if classes == 3 and batch == 5:
        for i, value in enumerate(["sharp", "regularised"]):
            out[f"unbalanced.{value}"] = (
                lambda s, t, i=i: entropic(cost(s, t), 0.1, 7, rho=0.5)[i])
            out[f"sample.{value}"] = (
                lambda s, t, i=i: sample(s.log_softmax(-1), t.log_softmax(-1), 0.1, 7, i))
        out["debiased"] = lambda s, t: debiased(soft(s), soft(t), 0.1, 7)
    if batch < 16:
        out["uld"] = lambda s, t: uld(s.softmax(-1), t.softmax(-1))
    return out


def cases():
    """Yields (teacher, student, {name: (loss, grad)}) of each case."""
    gen = torch.Generator().manual_seed(7)
    for rows, vocab, *_ in BEFORE:
        torch.randn(rows, vocab, generator=gen), torch.randn(rows, vocab, generator=gen)
    for batch, classes, deviation in CASES:
        teacher = torch.randn(batch, classes, generator=gen) * deviation
        student = (torch.randn(batch, classes, generator=gen) * deviation).requires_grad_()
        values = {}
        for name, loss in losses(batch, classes).items():
            value = loss(student, teacher)
            gradient, = torch.autograd.grad(value.sum(), student)
            values[name] = value.detach().reshape(-1), gradient
        yield teacher, student.detach(), values


def check(path):
    with open(path) as file:
        stored = json.load(file)["sinkhorn"]
    worst = {"inputs": 0.0, "losses": 0.0, "gradients": 0.0}

    def compare(what, got, want, size=1.0):
        worst[what] = max(worst[what], (got - torch.tensor(want)).norm().item() / size)

    for case, (teacher, student, values) in zip(stored, cases(), strict=True):
        compare("inputs", teacher, case["teacher"])
        compare("inputs", student, case["student"])
        wanted = {"published": (case["published"]["loss"], case["published"]["grad"])}
        for e in case["entropic"]:
            for value in ["sharp", "regularised"]:
                wanted[f"{value}:{e['eps']}:{e['iters']}"] = e[value], e[value + "_grad"]
        for name, (loss, gradient) in wanted.items():
            compare("losses", values[name][0], [loss])
            compare("gradients", values[name][1], gradient, torch.tensor(gradient).norm().item())
    print(f"{path}: largest differences: " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))


def main():
    out = {}
    for i, (teacher, student, values) in enumerate(cases()):
        out |= {f"case{i}.teacher": teacher, f"case{i}.student": student}
        for name, (loss, gradient) in values.items():
            if i == 3 and name.startswith("regularised"):  # its gradients are large
                continue
            out |= {f"case{i}.loss.{name}": loss, f"case{i}.grad.{name}": gradient}
    save("sinkhorn", out, {"made_by": made_by("make_sinkhorn.py", torch)})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"] and len(sys.argv) == 3:
        check(sys.argv[2])
    elif len(sys.argv) == 1:
        main()
    else:
        sys.exit(__doc__)
