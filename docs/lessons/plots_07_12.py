"""The plots of lessons 07 to 12, as plots.py has those of 01 to 06."""
import os
import pathlib
import re
import subprocess
import tempfile

import numpy
from matplotlib.figure import Figure

NAMES = {"kl": "KL", "rkl": "reverse KL", "js": "Jensen-Shannon", "tvd": "total variation"}


def dropped_token(program):
    """How long gradient descent takes to bring back a token that the student has dropped."""
    figure = Figure(figsize=(8, 3.4))
    left, right = figure.subplots(1, 2)
    rate, steps = 0.1, 3000
    # Of two tokens the gradient is a function of z, the difference of their logits, and moves both:
    # computed once on a grid, and read in between.
    grid = numpy.linspace(-14, 2, 1601)
    start = grid[grid < numpy.log(0.49 / 0.51)]
    for name, label in NAMES.items():
        _, gradient = program.loss(name, numpy.zeros((grid.size, 2)), numpy.stack([grid, 0 * grid], 1))
        speed = -2 * gradient[:, 0]
        z = [numpy.log(0.003 / 0.997)]
        for _ in range(steps):
            z.append(z[-1] + rate * numpy.interp(z[-1], grid, speed))
        left.plot(rate * numpy.arange(steps + 1), 1 / (1 + numpy.exp(-numpy.array(z))), label=label)
        slow = 1 / speed[:start.size]
        parts = numpy.diff(start) * (slow[1:] + slow[:-1]) / 2
        right.loglog(1 / (1 + numpy.exp(-start[:-1])), parts[::-1].cumsum()[::-1])
    left.axhline(0.5, color="gray", linestyle=":", linewidth=1)
    left.text(0, 0.51, "teacher's p", color="gray", va="bottom")
    left.set(xlabel="steps of gradient descent × rate", ylabel="q, from 0.003", ylim=(0, 0.56))
    left.legend(loc="center right")
    right.set(xlabel="q at the start", ylabel="steps × rate until q = 0.49")
    return figure


def sinkhorn(program):
    """Plans of a student whose rows are the teacher's in another order, and the three gradients."""
    draw = numpy.random.default_rng(5)
    size, order = 8, draw.permutation(8)
    teacher = 2 * draw.standard_normal((size, 10))
    student = teacher[order] + 0.7 * draw.standard_normal((size, 10))
    program.save("rows.safetensors", teacher=teacher, student=student)

    def solve(eps, iters, *options):
        return program.json("sinkhorn", "--in", "rows.safetensors", "--eps", eps,
                            "--iters", ",".join(map(str, iters)), *options)
    figure = Figure(figsize=(8, 5.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.2])
    for axes, eps in zip(top.subplots(1, 3), [1, 0.1, 0.01]):
        plan = solve(eps, [500], "--plan")[0]["plan"]
        axes.imshow(numpy.reshape(plan, (size, size)), cmap="viridis", vmin=0, vmax=1 / size)
        axes.plot(order, range(size), "o", color="none", markeredgecolor="#d55e00", markersize=9)
        axes.set(title=f"eps = {eps}", xticks=[], yticks=[], xlabel="teacher's rows")
    top.axes[0].set_ylabel("student's rows")
    iters = [1, 2, 3, 5, 8, 12, 20, 32, 50, 80, 120, 200, 320]
    found = solve(0.2, iters)
    axes = bottom.subplots()
    axes.loglog(iters, [r["row_error"] for r in found], "o-", label="error of the rows' sums (L1)")
    for key, label in [("envelope", "envelope, of the regularised value"), ("implicit", "implicit, of ⟨P, C⟩")]:
        axes.loglog(iters, [max(1 - r[f"{key}_cosine"], 1e-16) for r in found], "s-",
                    label=f"1 − cosine to unrolled: {label}")
    axes.set(xlabel="iterations at eps = 0.2", ylim=(1e-17, 10))
    axes.legend(loc="lower left")
    return figure


def risks(program):
    """Where the students of en-ro stand, and which differences in BLEU are decided."""
    stages, differences = {}, {}
    for path, r in program.results("fdistill/en-ro-*/*").items():
        point = r["likelihood_risk"]["score"], r["coverage_risk"]["score"]
        stages.setdefault(path.split("/")[-1], []).append(point)
    figure = Figure(figsize=(8, 3.8))
    left, right = figure.subplots(1, 2)
    for i, (name, points) in enumerate(sorted(stages.items())):
        left.plot(*numpy.transpose(points), "osD^v<>ph"[i], alpha=0.8, label=name)
    left.set(xlabel="likelihood risk: right is averaging", ylabel="coverage risk: up is collapse")
    left.legend(fontsize=8)
    runs = sorted((pathlib.Path(program.root) / "runs/fdistill").glob("en-ro-*"))
    for claim in program.json("compare", *runs)["claims"]:
        for c in claim["comparisons"]:
            if c["figure"] == "bleu":
                differences[f"{c['first']} − {c['second']}"] = c
    names = sorted(differences, key=lambda name: differences[name]["difference"])
    for y, c in enumerate(differences[name] for name in names):
        marker, color = "os"[c["low"] > 0 or c["high"] < 0], "C1" if c["low"] > 0 or c["high"] < 0 else "gray"
        right.plot([c["low"], c["high"]], [y, y], color=color)
        right.plot(c["difference"], y, marker, color=color, markersize=5)
    right.axvline(0, color="gray", linestyle=":", linewidth=1)
    right.set(xlabel="difference in BLEU, 95 % interval", yticks=range(len(names)), yticklabels=names)
    return figure


RULES = """
#include <cmath>
#include <cstdio>
#include "kernels/divergence_rules.h"
using namespace retort;
template <template <class> class D>
void print(const char* name) {
  D<double> rule(0);
  for (double d = -6; d < 6.05; d += 0.1)  // log p/q, at q = 1
    std::printf("%s %.17g %.17g %.17g\\n", name, d, rule.value({std::exp(d), 1, d, 0, d, d, 0}),
                rule.slope({std::exp(d), 1, d, 0, d, d, 0}) - rule.slope({1, 1, 0, 0, 0, 0, 0}));
}
int main() { print<Triangular>("triangular"), print<Js>("js"), print<Hellinger>("hellinger"), print<Tvd>("tvd"); }
"""


def own_divergence(program):
    """Value and slope of the rule that docs/adding.md adds, compiled from its diff."""
    root = pathlib.Path(program.root)
    page = (root / "docs/adding.md").read_text(encoding="utf-8")
    section = re.search(r"^## A divergence\n.*?^```diff\n(.*?)^```$", page, re.M | re.S)
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        (tree / "kernels").mkdir()
        for header in (root / "kernels").glob("*.h"):
            (tree / "kernels" / header.name).write_bytes(header.read_bytes())
        (tree / "rules.cpp").write_text(RULES)
        subprocess.run(["git", "apply", "--include=kernels/*"], cwd=tree, input=section[1], text=True, check=True,
                       env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)})
        compiler = os.environ.get("CXX", "g++").split()
        subprocess.run([*compiler, "-std=c++20", "-I.", "rules.cpp", "-o", "rules"], cwd=tree, check=True)
        printed = subprocess.run([tree / "rules"], capture_output=True, text=True, check=True).stdout
    curves = {}
    for name, *numbers in map(str.split, printed.splitlines()):
        curves.setdefault(name, []).append([float(x) for x in numbers])
    figure = Figure(figsize=(8, 3.4))
    left, right = figure.subplots(1, 2)
    for name, points in curves.items():
        d, value, slope = numpy.transpose(points)
        left.semilogy(d, numpy.maximum(value, 1e-12), label=name)
        right.plot(d, slope)
    left.set(xlabel="d = log p/q, at q = 1", ylabel="value", ylim=(1e-4, 1e2))
    right.set(xlabel="d = log p/q", ylabel="slope in q, 0 at p = q", ylim=(-4, 1.5))
    left.legend(loc="lower left")
    return figure


def two_devices(program):
    """float32 rows on the CPU and, on the shim, as CUDA code, against float64."""
    shim = type(program)(program.root, pathlib.Path(program.path).parent / "simt/retort", program.folder)
    sizes = [3, 10, 33, 100, 333, 1000, 1024, 1025, 2000, 4000, 8191, 8193, 20000, 50257]
    draw = numpy.random.default_rng(1)
    logits = [draw.standard_normal((2, 2, size)) for size in sizes]
    exact = [program.loss("js", *pair) for pair in logits]
    figure = Figure(figsize=(8, 3.4))
    for which, device, marker, label in [(program, "cpu", "o-", "Solo, on the CPU"),
                                         (shim, "cuda", "s-", "Warp, Block, Blocks")]:
        found = [which.loss("js", *pair, "--dtype", "f32", "--device", device) for pair in logits]
        for axes, i in zip(figure.axes or figure.subplots(1, 2, sharey=True), [0, 1]):
            errors = [abs(a[i] - b[i]).max() / abs(b[i]).max() for a, b in zip(found, exact)]
            axes.loglog(sizes, errors, marker, label=label, markersize=4)
    for axes, title in zip(figure.axes, ["loss", "gradient"]):
        for size in (1024, 8192):
            axes.axvline(size, color="gray", linestyle=":", linewidth=1)
        axes.set(xlabel="elements of a row", title=title)
    figure.axes[0].set(ylabel="relative error in float32", ylim=(1e-8, 1e-5))
    figure.axes[0].legend()
    return figure


def planted_bugs(program):
    """Which build of the shim sees which planted bug: the table that its own test prints."""
    test = pathlib.Path(program.path).parent / "shim/tests"
    done = subprocess.run([test, "every planted bug is reported with its line"], cwd=program.root,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{test}: {done.stdout[-300:]}")
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines()]
    (_, *builds), *bugs = [row for row in rows if len(row) == 4]
    seen = {"line": ("s", "C0", "named, with its line"), "differs": ("o", "C5", "a wrong or changing result"),
            "-": ("x", "lightgray", "not seen")}
    figure = Figure(figsize=(7, 5.4))
    axes = figure.subplots()
    for y, (_, *what) in enumerate(bugs):
        for x, word in enumerate(what):
            marker, color, _ = seen.get(word, seen["differs"])
            axes.plot(x, y, marker, color=color, markersize=8)
    for marker, color, label in seen.values():
        axes.plot([], [], marker, color=color, label=label)
    axes.set(xticks=range(len(builds)), xticklabels=builds, xlim=(-0.5, len(builds) - 0.5),
             yticks=range(len(bugs)), yticklabels=[bug[0].replace("_", " ") for bug in bugs])
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.35, -0.01), ncol=3)
    return figure
