#!/usr/bin/env python3
"""Applies the diffs of docs/adding.md to a copy of this tree, builds it and uses what they add.

    tests/adding.py [VARIABLE=VALUE...]      as `make check-adding` calls it; variables are make's

The build folder is copied with it, so that only what the diffs touch is compiled.
"""
import json
import math
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

SECTIONS = ["A divergence", "An operator", "A layer", "A data format", "A metric"]
# Headers to which a diff only adds: what was compiled with the old one is as good.
ADDED_TO = ["kernels/divergence_rules.h", "engine/ops.h", "models/config.h", "data/records.h",
            "data/label_metrics.h"]
PROGRAMS = ["build/retort", "build/tests/run", "build/simt/retort", "build/simt/tests/run",
            "build/bench/run"]


class Failure(Exception):
    """What stops the check, in one line."""


def require(true, what):
    if not true:
        raise Failure(what)


def run(tree, *command, status=0, env=None):
    """The output of a command in the tree; a Failure, with the output's end, for another status.
    What is computed is too small for threads."""
    done = subprocess.run(command, cwd=tree, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          env={**(env or os.environ), "OMP_NUM_THREADS": "1"})
    require(done.returncode == status,
            f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def diffs(page):
    """The diff of each section of the page, by its heading."""
    sections = re.split(r"^## (.*)\n", page, flags=re.M)[1:]
    return {name: "".join(re.findall(r"^```diff\n(.*?)^```$", text, re.M | re.S))
            for name, text in zip(sections[::2], sections[1::2])}


def copy_tree(tree):
    """Tracked files as they are here and the build folder, with their times."""
    tracked = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in tracked.decode().split("\0")[:-1]:
        if name.startswith("runs/") or not os.path.exists(name):
            continue
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, tree / name)
    shutil.copytree("build", tree / "build", symlinks=True,
                    ignore=lambda at, _: ["asan", "tsan", "cuda"] if at == "build" else [])


def apply(tree, name, diff, check):
    """Applies a section's diff, or only checks that the tree takes it."""
    command = ["git", "apply", *(["--check"] if check else [])]
    done = subprocess.run(command, cwd=tree, input=diff, text=True, capture_output=True,
                          env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)})
    require(done.returncode == 0, f"docs/adding.md, section \"{name}\": its diff does not apply "
            f"any more; bring it up to date: {done.stderr.strip()}")


def added(diff):
    """How many lines a diff adds to each file; no line may go."""
    count = {}
    for part in re.split(r"^(?=--- a/)", diff, flags=re.M)[1:]:
        lines = part.splitlines()
        require(not any(line.startswith("-") for line in lines[1:]), "the divergence removes lines")
        count[lines[1][6:]] = sum(line.startswith("+") for line in lines[2:])
    return count


def write_safetensors(path, tensors):
    """Writes float64 matrices, given as lists of rows."""
    header, data = {}, b""
    for name, rows in tensors.items():
        raw = b"".join(struct.pack(f"<{len(row)}d", *row) for row in rows)
        header[name] = {"dtype": "F64", "shape": [len(rows), len(rows[0])],
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def read_safetensors(path):
    """The float64 numbers of each tensor, flat."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    numbers = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            numbers[name] = struct.unpack(f"<{(end - begin) // 8}d", raw[8 + size:][begin:end])
    return numbers


def triangular(teacher, student):
    """The divergence of one row of logits by its definition."""
    def softmax(x):
        e = [math.exp(v - max(x)) for v in x]
        return [v / math.fsum(e) for v in e]
    return math.fsum((p - q) ** 2 / (p + q) for p, q in zip(softmax(teacher), softmax(student)))


def check_divergence(tree):
    """Loss and gradient on the CPU and, as CUDA code, on the shim."""
    draw, rows, size, step = random.Random(1), 4, 33, 1e-3
    # The last student is near its teacher, where the rule is a series.
    teacher = [[draw.gauss(0, 2) for _ in range(size)] for _ in range(rows)]
    student = [[draw.gauss(0, 2) for _ in range(size)] for _ in range(rows - 1)]
    student.append([x + draw.gauss(0, 1e-3) for x in teacher[-1]])
    write_safetensors(tree / "in.safetensors", {"teacher": teacher, "student": student})

    def slope(row, i):
        def at(shift):
            moved = student[row][:i] + [student[row][i] + shift] + student[row][i + 1:]
            return triangular(teacher[row], moved)
        return (8 * (at(step) - at(-step)) - at(2 * step) + at(-2 * step)) / (12 * step)
    for program, device in [("build/retort", "cpu"), ("build/simt/retort", "cuda")]:
        run(tree, program, "loss", "--name", "triangular", "--dtype", "f64", "--device", device,
            "--in", "in.safetensors", "--out", "out.safetensors")
        out = read_safetensors(tree / "out.safetensors")
        for row in range(rows):
            exact, got = triangular(teacher[row], student[row]), out["loss"][row]
            require(abs(got - exact) <= 1e-12 * exact,
                    f"triangular on {device}: row {row} is {got}, not {exact}")
            exact = [slope(row, i) for i in range(size)]
            worst = max(abs(a - b) for a, b in zip(exact, out["grad"][row * size:]))
            require(worst <= 1e-8 * max(map(abs, exact)) + 1e-13, f"triangular on {device}: row "
                    f"{row}'s gradient differs from finite differences by {worst}")
        run(tree, program, "gradcheck", "--loss", "triangular", "--device", device)


def check_gradients(tree):
    errors = json.loads(run(tree, "build/retort", "gradcheck", "--json"))["errors"]
    for name in ["triangular", "softplus", "model:dynamic-tanh"]:
        require(errors.get(name, 1) <= 1e-6, f"retort gradcheck: {name} has {errors.get(name)}")
    print("gradcheck:", *(f"{n} {errors[n]:.1e}" for n in ["triangular", "softplus",
                                                           "model:dynamic-tanh"]))


def check_tests(tree):
    """The tests that loop over registries, on the CPU and, of operators, on the shim."""
    here = ["every loss keeps*", "every divergence refuses*",
            "float32 gradients of saturated rows are right",
            "near-identical*", "label metrics*", "metrics refuse*",
            "formats: a dialogue*", "compare: scores made again*"]
    cuda = ["every operator passes the gradient check"]
    for program, names in [("build/tests/run", here), ("build/simt/tests/run", cuda)]:
        out = run(tree, program, ",".join(names))
        print(f"{program}: {out.strip().splitlines()[-1]}")
        passed = re.search(r"All tests passed \(.* in (\d+) test cases?\)", out)
        require(passed and int(passed[1]) >= len(names), f"{program}: too few tests: {out}")


def check_metric(tree):
    right, given = "1110100111", "1011100101"
    (tree / "right").write_text("\n".join(right) + "\n")
    (tree / "given").write_text("\n".join(given) + "\n")
    out = run(tree, "build/retort", "score", "--metric", "balanced_accuracy", "--json", "--ref",
              "right", "--hyp", "given")
    recalls = [sum(r == g == c for r, g in zip(right, given)) / right.count(c) for c in "01"]
    score = json.loads(out)["balanced_accuracy"]["score"]
    require(abs(score - sum(recalls) / 2) < 1e-12, f"balanced_accuracy: {score}, not {recalls}")


def check_experiment(tree):
    """Trains on DailyDialog's format with the layer and distils with the divergence."""
    (tree / "talk.txt").write_text("".join(
        f"where is the {a} ? __eou__ in the {b} . __eou__ thank you , {a} . __eou__\n"
        for a in ["cat", "dog", "book", "red hat"] for b in ["house", "garden", "old box"]))
    model = "width = 8\nheads = 2\nlayers = 1\nnorm = \"dynamic_tanh\"\n"
    (tree / "talk.toml").write_text(
        "output = \"talk\"\n[data]\nformat = \"daily_dialog\"\nlayout = \"causal\"\n"
        "train = \"talk.txt\"\ntest = \"talk.txt\"\n[tokenizer]\nsize = 36\n"
        "[train]\nsteps = 3\ntokens = 256\n[evaluate]\nmax_length = 8\n"
        f"[teacher.model]\n{model}[student.model]\n{model}"
        "[[students.one.terms]]\nloss = \"triangular\"\non = \"gold\"\n")
    out = run(tree, "build/retort", "run", "talk.toml")
    require("train: 24 examples" in out, f"talk.toml: 24 examples expected:\n{out}")
    (tree / "talk.txt").write_text("Hello . __eou__ Hi . __eou__\nHello . __eou__ Hi .\n")
    out = run(tree, "build/retort", "run", "talk.toml", "output=other", status=1)
    require("talk.txt:2: __eou__ expected after each turn" in out, f"talk.txt is cut off:\n{out}")


def check_bench(tree):
    out = run(tree, "build/bench/run", "--only", "triangular", "--seconds", "0")
    require(re.search(r"^\| triangular \| f32 ", out, re.M), f"bench: no row triangular:\n{out}")


def main(variables):
    page = diffs(pathlib.Path("docs/adding.md").read_text())
    require([n for n, d in page.items() if d] == SECTIONS,
            f"docs/adding.md: diffs in the sections {', '.join(SECTIONS)} expected, "
            f"found {', '.join(page)}")
    rule, registry = "kernels/divergence_rules.h", "losses/divergence.cpp"
    lines = added(page["A divergence"])
    require(set(lines) == {rule, registry} and lines[rule] <= 10 and lines[registry] == 1,
            f"a divergence is at most ten lines in one file and one of the registry, not {lines}")
    with tempfile.TemporaryDirectory(prefix="adding-") as folder:
        tree = pathlib.Path(folder) / "tree"
        tree.mkdir()
        copy_tree(tree)
        for name, diff in page.items():
            apply(tree, name, diff, check=True)  # each is for the tree as it is
        times = {name: os.stat(tree / name).st_mtime_ns for name in ADDED_TO}
        for name, diff in page.items():
            apply(tree, name, diff, check=False)
        for name, time in times.items():
            os.utime(tree / name, ns=(time, time))
        changed = re.findall(r"^\+\+\+ b/(.*)$", "".join(page.values()), re.M)
        if shutil.which("clang-format"):
            run(tree, "clang-format", "--dry-run", "-Werror", *changed)
        # The commit's name is that of the build, so that nothing is compiled for another.
        commit = re.search(r'"(.*)"', (tree / "build/build_commit.h").read_text())[1]
        make = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        out = run(tree, "make", *variables, f"COMMIT={commit}", *PROGRAMS, env=make)
        print(f"five diffs applied; {len(re.findall(' -c ', out))} files compiled", flush=True)
        for check in [check_divergence, check_metric, check_experiment, check_bench,
                      check_gradients, check_tests]:
            check(tree)
    print("docs/adding.md: all five diffs apply, build and do what they say")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, OSError) as error:
        sys.exit(f"check-adding: {error}")
