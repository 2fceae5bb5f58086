#!/usr/bin/env python3
"""Where the time of pieces of work goes, by function: docs/profiles.md. Needs perf (Debian: linux-perf).

    bench/profiles.py [--seconds 5] [WORK ...]

One thread, so that shares are of work and not of waiting. Without WORK: the rows of docs/performance.md that fall short."""
import argparse, json, os, pathlib, re, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
RUN = HERE.parent / "build/bench/run"
SHORT = ["divergence/kl", "divergence/js", "projection/rows", "sinkhorn/64x3", "sinkhorn/256x1000", "sinkhorn/64x32000",
         "sample/decoder", "sample/encoder-decoder", "step/3"]


def brief(symbol):
    """A function's name without what C++ adds to it; code without one is oneDNN's, compiled as it runs, or a stripped library's."""
    if re.search(r"\] 0x[0-9a-f]+$", symbol):
        return "unnamed code"
    symbol = re.sub(r"retort::|\(anonymous namespace\)::|\[\.\] |\[k\] ", "", symbol.replace("std::__cxx11::", "std::"))
    return re.split(r"\(", symbol)[0].replace("|", "/").strip() or symbol.strip()


def profile(work, seconds):
    """[(share of samples in per cent, function)] of a piece of work that is repeated for so long."""
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "perf.data"
        side = subprocess.Popen([RUN, "--work", work, "--folder", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
        side.stdout.readline()  # it is set up, and has run once
        perf = subprocess.Popen(["perf", "record", "-q", "-o", data, "-p", str(side.pid)], stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            side.stdin.write("run\n"), side.stdin.flush(), side.stdout.readline()
        side.stdin.close(), side.wait()
        if perf.wait() not in (0, -2):
            sys.exit(f"perf: {perf.stderr.read().strip()}")
        lines = subprocess.run(["perf", "report", "-i", data, "--no-children", "--stdio", "-g", "none", "-F", "overhead,symbol"],
                               capture_output=True, text=True, check=True).stdout.splitlines()
    shares = {}
    for line in lines:
        if found := re.match(r"\s*([\d.]+)%\s+(.*)", line):
            name = brief(found[2])
            shares[name] = shares.get(name, 0) + float(found[1])
    return sorted(((share, name) for name, share in shares.items() if share >= 1), reverse=True)[:8]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("work", nargs="*")
    a = arguments.parse_args()
    commit = re.search(r'"(.*)"', (HERE.parent / "build/build_commit.h").read_text())[1]
    print("# Profiles of the rows that fall short\n\nOf [performance.md](performance.md), by function, one thread: shares of the samples "
          "that `perf` takes\nwhile the work is repeated. Unnamed code is oneDNN's products, compiled as they run, or a stripped "
          f"library's. Commit {commit}, `bench/profiles.py`.")
    for work in a.work or SHORT:
        print(f"\n## {work}\n\n| share | function |\n|---:|---|")
        for share, name in profile(work, a.seconds):
            print(f"| {share:.1f} % | `{name}` |")
        sys.stdout.flush()


main()
