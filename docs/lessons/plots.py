"""The plots of the lessons: one function for each, from what the program computes to a Figure."""
import itertools
import json
import math

import numpy
from matplotlib.figure import Figure

METHODS = ["kl", "rkl", "js", "tvd"]


def gradient_check(program):
    """Worst relative error of every operator's backward pass."""
    found = program.json("gradcheck")
    losses = program.json("gradcheck", "--loss", "all")["errors"]
    errors = {k: v for k, v in found["errors"].items() if k not in losses and ":" not in k}
    names = sorted(errors, key=errors.get)
    figure = Figure(figsize=(7, 0.17 * len(names) + 0.6))
    axes = figure.add_subplot()
    axes.plot([errors[k] for k in names], range(len(names)), "o", markersize=4)
    axes.axvline(found["limit"], color="C1", linestyle="--", label="limit")
    axes.set(xscale="log", xlabel="relative error", yticks=range(len(names)), yticklabels=names)
    axes.tick_params(axis="y", labelsize=7)
    axes.legend(loc="upper left")
    return figure


def reversal(program):
    """Training loss of decoders that learn to write words of a and b backwards."""
    words = ["".join(w) for n in (3, 4, 5) for w in itertools.product("ab", repeat=n)]
    (program.folder / "words.tsv").write_text("".join(f"{w}\t{w[::-1]}\n" for w in words))
    vocabulary = 9
    figure = Figure(figsize=(7, 3.2))
    axes = figure.add_subplot()
    for layers in (1, 2):
        name = f"reversal-{layers}"
        (program.folder / f"{name}.toml").write_text(f"""
            output = "{name}"
            data = {{ train = "words.tsv", layout = "causal", max_target = 12 }}
            tokenizer.size = {vocabulary}
            train = {{ steps = 800, tokens = 512, learning_rate = 2e-3, schedule = "constant" }}
            teacher.model = {{ architecture = "decoder", width = 32, heads = 4, layers = {layers} }}
            """)
        program.run("train", f"{name}.toml")
        rows = [json.loads(line) for line in (program.folder / name / "teacher/metrics.jsonl").open()]
        axes.plot([r["step"] for r in rows], [r["loss"] for r in rows], linewidth=1,
                  label=f"{layers} block{'s' * (layers > 1)}")
    axes.axhline(math.log(vocabulary), color="C6", linestyle="--", linewidth=1, label="$\\ln V$")
    axes.set(yscale="log", xlabel="update", ylabel="loss, nats per token")
    axes.legend()
    return figure


def softmax_gradient(program):
    """Loss and gradient of the right token's logit, and the gradient's norm against temperature."""
    figure = Figure(figsize=(8, 3.4))
    left, right = figure.subplots(1, 2)
    z = numpy.linspace(-8, 8, 161)
    student = numpy.stack([z, 0 * z], 1)
    for i, t in enumerate((1, 2, 4)):
        # A teacher that is sure at each temperature makes KL the cross-entropy.
        loss, gradient = program.loss("kl", numpy.tile([800.0, 0.0], (len(z), 1)), student, "--temperature", t)
        left.plot(z, loss, color=f"C{i}", label=f"loss, T = {t}")
        left.plot(z, gradient[:, 0], color=f"C{i}", linestyle="--", label=f"gradient, T = {t}")
    left.set(xlabel="logit of the right token", ylabel="nats")
    left.legend(fontsize=8)
    logits = numpy.random.default_rng(1).normal(size=(2, 20, 1000))
    temperatures = 2.0 ** numpy.arange(-1, 8)
    for name, line in (("kl", "-"), ("rkl", "--"), ("tvd", ":")):
        norms = [numpy.linalg.norm(program.loss(name, *logits, "--temperature", t)[1], axis=1).mean() for t in temperatures]
        right.plot(temperatures, norms, line, label=name)
    right.set(xscale="log", yscale="log", xlabel="temperature", ylabel="norm of the gradient")
    right.legend()
    return figure


def dropped_and_modes(program):
    """Gradient of a token that the student drops, and where `retort modes` ends."""
    figure = Figure(figsize=(8, 3.4))
    left, right = figure.subplots(1, 2)
    q = 10.0 ** numpy.arange(-9, -0.3, 0.25)
    student = numpy.log(numpy.stack([q, 1 - q], 1))
    for name, line in zip(METHODS, ("-", "--", "-.", ":")):
        gradient = program.loss(name, numpy.zeros_like(student), student)[1]
        left.plot(q, abs(gradient[:, 0]), line, label=name)
    left.set(xscale="log", yscale="log", xlabel="the student's probability of the token", ylabel="|gradient of its logit|")
    left.legend()
    ends = program.json("modes")
    stages = ["teacher", *METHODS]
    below = numpy.zeros(len(stages))
    for key, label in (("big_mode", "AAAAAA"), ("small_mode", "BBBBBB"), ("off_mode", "neither")):
        mass = numpy.array([ends[s][key] for s in stages])
        right.bar(stages, mass, bottom=below, label=label)
        below += mass
    right.set(ylabel="mean mass", ylim=(0, 1.25))
    right.legend(ncols=3, fontsize=8, loc="upper center")
    return figure


def steps_by_length(program):
    """Exact and step-wise values, and the cosine of their gradients, for growing length."""
    vocabulary, lengths = 3, range(1, 8)
    draw = numpy.random.default_rng(1)

    def exact(length, number):
        prefixes, name = (vocabulary ** length - 1) // (vocabulary - 1), f"tables-{length}-{number}.safetensors"
        program.save(name, teacher=draw.normal(0, 1.5, (prefixes, vocabulary)), student=draw.normal(0, 1.5, (prefixes, vocabulary)))
        return program.json("exact", "--in", name)

    found = [[exact(length, number) for number in range(20)] for length in lengths]

    def means(name, key):
        return [numpy.mean([f[name][key] for f in of_length]) for of_length in found]

    figure = Figure(figsize=(8, 3.4))
    left, right = figure.subplots(1, 2)
    for i, name in ((2, "js"), (3, "tvd")):
        left.plot(lengths, means(name, "exact"), color=f"C{i}", label=f"{name}, exact")
        left.plot(lengths, means(name, "stepwise"), color=f"C{i}", linestyle="--", label=f"{name}, step-wise")
    for ceiling in (math.log(2), 1):
        left.axhline(ceiling, color="C6", linewidth=0.7)
    left.set(xlabel="length", ylabel="nats (js), probability (tvd)", xticks=lengths)
    left.legend(fontsize=8)
    for i, (name, line) in enumerate(zip(METHODS, ("-", "--", "-.", ":"))):
        right.plot(lengths, means(name, "grad_cosine"), line, color=f"C{i}", label=name)
    right.set(xlabel="length", ylabel="cosine of the gradients", xticks=lengths)
    right.legend()
    return figure


def estimators_and_risks(program):
    """Bias and spread of estimators on the reference tables, and the risks of en-ro's students."""
    figure = Figure(figsize=(8, 4))
    left, right = figure.subplots(1, 2)
    tables = program.root / "tests/references/exact.safetensors"
    estimators = [e for e in program.json("exact", "--in", tables, "--estimators", 1)["estimators"] if e["target"] != "seqkd"]
    names = list(dict.fromkeys(e["name"] for e in estimators))
    for i, target in enumerate(("kl", "rkl")):
        of_target = [e for e in estimators if e["target"] == target]
        places = numpy.arange(len(names)) + 0.3 * i
        left.errorbar([e["mean"] for e in of_target], places, xerr=[e["std"] for e in of_target], fmt="o", markersize=4,
                      linewidth=1.2, label=target)
        left.axvline(of_target[0]["exact"], color=f"C{i}", linestyle="--", linewidth=1)
    left.set(yticks=numpy.arange(len(names)) + 0.15, yticklabels=names, xlabel="estimate, nats (dashed: exact)")
    left.invert_yaxis()
    left.legend(fontsize=8)
    for i, (name, mark) in enumerate(zip(["seqkd", *METHODS], "soDv^")):
        found = program.results(f"fdistill/en-ro-*/{name}").values()
        right.plot(*zip(*[(r["likelihood_risk"]["score"], r["coverage_risk"]["score"]) for r in found]), mark, color=f"C{i}", label=name)
    right.set(xlabel="likelihood risk, nats per token", ylabel="coverage risk, nats per token")
    right.legend(fontsize=8)
    return figure
