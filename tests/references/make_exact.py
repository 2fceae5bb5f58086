"""Writes exact.safetensors beside this file: tables of next-token logits for every prefix, their
exact sequence divergences and step-wise counterparts with gradients, bias and spread of estimators,
and how often Adam, from stored starts, ends on each mode of a bimodal teacher. Everything is
enumerated with numpy, sequence by sequence; gradients are the formulas, by hand.
"""
import itertools
import json

import numpy as np

from store import made_by, save


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def kl(a, b):
    """Of the last dimension."""
    return np.sum(a * np.log(a / b), -1)


class Toy:
    """All V^L sequences under teacher logits (P, V) and student logits theta[tie] (P, V)."""

    def __init__(self, teacher, theta, tie, V, L):
        self.V, self.L, self.theta, self.tie = V, L, theta, tie
        prefixes = [p for t in range(L) for p in itertools.product(range(V), repeat=t)]
        number = {p: i for i, p in enumerate(prefixes)}
        self.sequences = np.array(list(itertools.product(range(V), repeat=L)))
        self.path = np.array([[number[tuple(s[:t])] for t in range(L)] for s in self.sequences])
        self.lp, self.lq = log_softmax(teacher), log_softmax(theta[tie])
        self.p, self.q = np.exp(self.lp), np.exp(self.lq)
        self.P, self.Q = self.sequence(self.p), self.sequence(self.q)
        self.wP, self.wQ = ([np.prod([r[number[p[:t]], p[t]] for t in range(len(p))])
                             for p in prefixes] for r in (self.p, self.q))
        self.wP, self.wQ = np.array(self.wP), np.array(self.wQ)

    def sequence(self, rows):
        """Probability of each sequence."""
        return np.prod(rows[self.path, self.sequences], 1)

    def exact_gradient(self, h):
        """sum_s h(s) grad log Q(s), in theta."""
        g = np.zeros_like(self.theta)
        for s, path, hs in zip(self.sequences, self.path, h):
            for letter, prefix in zip(s, path):
                g[self.tie[prefix]] += hs * (np.eye(self.V)[letter] - self.q[prefix])
        return g

    def step_gradient(self, u):
        """From the derivatives u (P, V) of the weighted loss in each q."""
        dz = self.q * (u - np.sum(self.q * u, -1, keepdims=True))
        g = np.zeros_like(self.theta)
        np.add.at(g, self.tie, dz)
        return g

    def divergences(self):
        P, Q, p, q, wP, wQ = self.P, self.Q, self.p, self.q, self.wP, self.wQ
        M, m = (P + Q) / 2, (p + q) / 2
        w = (wP / (wP + wQ))[:, None]
        mixed = w * p + (1 - w) * q
        a, b = wP[:, None], wQ[:, None]
        tvd = np.abs(p - q).sum(-1) / 2
        rows = {
            "kl": (kl(P, Q), wP @ kl(p, q), -P, -a * p / q),
            "rkl": (kl(Q, P), wQ @ kl(q, p), Q * np.log(Q / P), b * np.log(q / p)),
            "js": (kl(P, M) / 2 + kl(Q, M) / 2, wP @ kl(p, m) / 2 + wQ @ kl(q, m) / 2,
                   Q * np.log(Q / M) / 2, (-a * p / m / 2 + b * (np.log(q / m) - q / m / 2)) / 2),
            "tvd": (np.abs(P - Q).sum() / 2, (wP + wQ) @ tvd / 2,
                    Q * np.sign(Q - P) / 2, (a + b) / 2 * np.sign(q - p) / 2)}
        out = {}
        for name, (exact, step, h, u) in rows.items():
            g, s = self.exact_gradient(h), self.step_gradient(u)
            ng, ns = np.linalg.norm(g), np.linalg.norm(s)
            out[name] = {"exact": exact, "stepwise": step, "grad_cosine": (g * s).sum() / ng / ns,
                         "grad_norm_ratio": ns / ng}
        out["js"]["stepwise_exact_mixture"] = wP @ kl(p, mixed) / 2 + wQ @ kl(q, mixed) / 2
        return out

    def along(self, rows):
        """Sums of a number per prefix along each sequence."""
        return rows[self.path].sum(1)

    def top_p(self, rows, share):
        """The fewest likeliest letters of each row with this share, renormalised."""
        out = np.zeros_like(rows)
        for o, r in zip(out, rows):
            order = np.argsort(-r, kind="stable")
            keep = order[:np.searchsorted(np.cumsum(r[order]), share) + 1]
            o[keep] = r[keep] / r[keep].sum()
        return out

    def estimators(self):
        P, Q, p, q = self.P, self.Q, self.p, self.q
        best = np.argsort(-p, -1, kind="stable")[:, :self.V // 2]
        a, b = (np.take_along_axis(x, best, -1) for x in (p, q))
        ta, tb = 1 - a.sum(-1), 1 - b.sum(-1)
        rows, r = [], np.log(Q / P)
        def row(target, name, weight, f):
            mean = weight @ f
            rows.append([target, name, mean, np.sqrt(max(weight @ f**2 - mean**2, 0))])
        for target, W, w, full, bare, tail in (
                ("kl", P, p, kl(p, q), kl(a, b), ta * np.log(ta / tb)),
                ("rkl", Q, q, kl(q, p), kl(b, a), tb * np.log(tb / ta))):
            x = -r if target == "kl" else r
            row(target, "k1", W, x)
            row(target, "k2", W, x**2 / 2)
            row(target, "k3", W, np.expm1(-x) + x)
            row(target, "full vocabulary", W, self.along(full))
            row(target, "top-p 0.9", self.sequence(self.top_p(w, .9)), self.along(full))
            row(target, "top-p 0.5", self.sequence(self.top_p(w, .5)), self.along(full))
            row(target, "top-k", W, self.along(bare))
            row(target, "top-k and tail", W, self.along(bare + tail))
            row(target, "beam", np.eye(len(W))[np.argmax(W)], self.along(full))
        row("seqkd", "sample", P, -np.log(Q))
        row("seqkd", "mode", np.eye(len(P))[np.argmax(P)], -np.log(Q))
        return rows


def by_last_letter(V, L):
    return np.array([p[-1] + 1 if p else 0
                     for t in range(L) for p in itertools.product(range(V), repeat=t)])


def modes(starts, L=6, steps=3000):
    """Adam on the exact gradient, student independent per position: starts that end with more than
    half of the mass on A^L, on B^L, on neither."""
    S = np.array(list(itertools.product((0, 1), repeat=L)))
    P = np.full(len(S), .05 / len(S))
    P[0] += .55
    P[-1] += .40
    slopes = {"kl": lambda q: -P, "rkl": lambda q: q * np.log(q / P),
              "js": lambda q: .5 * q * np.log(q / (.5 * (P + q))),
              "tvd": lambda q: .5 * q * np.sign(q - P)}
    out = {}
    for name, slope in slopes.items():
        counts = {"big": 0, "small": 0, "neither": 0}
        for t in starts:
            m = v = np.zeros(L)
            def q_of(t): return np.exp(S @ -np.log1p(np.exp(-t)) + (1 - S) @ -np.log1p(np.exp(t)))
            for k in range(1, steps + 1):
                g = slope(q_of(t)) @ (S - 1 / (1 + np.exp(-t)))
                m, v = .9 * m + .1 * g, .999 * v + .001 * g * g
                t = t - .05 * (m / (1 - .9**k)) / (np.sqrt(v / (1 - .999**k)) + 1e-10)
            q = q_of(t)
            counts["big" if q[0] > .5 else "small" if q[-1] > .5 else "neither"] += 1
        out[name] = counts
    return out


def main():
    rng = np.random.default_rng(1)
    V, L = 3, 4
    teacher = rng.normal(size=((V**L - 1) // (V - 1), V)) * 1.5
    theta = rng.normal(size=(V + 1, V))
    toys = {"": Toy(teacher, theta, by_last_letter(V, L), V, L)}
    out = {"teacher": teacher, "student": theta[toys[""].tie], "tie": toys[""].tie}
    for name, V, L, tied in (("2x5.", 2, 5, False), ("5x3.", 5, 3, True), ("3x1.", 3, 1, False),
                             ("2x8.", 2, 8, True), ("3x2.", 3, 2, False)):
        P = (V**L - 1) // (V - 1)
        tie = by_last_letter(V, L) if tied else np.arange(P)
        teacher, theta = rng.normal(size=(P, V)) * 2, rng.normal(size=(tie.max() + 1, V))
        if name == "3x2.":
            theta[:2] = teacher[:2]  # rows and sequences on which both agree
        toys[name] = Toy(teacher, theta, tie, V, L)
        out |= {name + "teacher": teacher, name + "student": theta[tie], name + "tie": tie}
    starts = np.array([np.random.default_rng(s).normal(size=6) * .5 for s in range(20)])
    out["starts"] = starts
    save("exact", out, {
        "divergences": {name: toy.divergences() for name, toy in toys.items()},
        "estimators": {name: toy.estimators() for name, toy in toys.items()},
        "modes": modes(starts), "made_by": made_by("make_exact.py", np)})


if __name__ == "__main__":
    main()
