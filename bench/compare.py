#!/usr/bin/env python3
"""The comparison with peers. Each piece of work is done in turn by Retort, its peers and what limits it, each a process
of its own with the same inputs, float32 and as many threads; results are compared before anything is timed.

    bench/compare.py [--only PART] [--seconds 10] [--json FILE]

What is kept are ratios: the machine may be shared, so that sides are timed in turn, A B A B, and of each the median
counts. Peers come from `make bench-peers`; one that is not installed is reported as not measured."""
import argparse, array, json, math, os, pathlib, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
RUN = HERE.parent / "build/bench/run"
RETORT = HERE.parent / "build/retort"
PYTHON = HERE.parent / "build/peers/bin/python"

# work of Retort, {side: (script or "retort", its work, goal as time over Retort's time or None)}
ROWS = []
for i in (1, 2, 3):
    ROWS.append((f"step/{i}", {"PyTorch": ("pytorch", f"step/{i}", 1.6),
                               "PyTorch, compiled": ("pytorch", f"step/{i}/compile", 1.25)}))
for name in ("kl", "rkl", "js", "tvd", "alpha:0.5"):
    ROWS.append((f"divergence/{name}", {"PyTorch": ("pytorch", f"divergence/{name}", 15),
                                        "triad": ("retort", "triad", None)}))
ROWS.append(("projection/rows", {"whole logits": ("retort", "projection/whole", 1)}))
for size in ("64x3", "256x1000", "64x32000"):
    ROWS.append((f"sinkhorn/{size}", {"PyTorch": ("pytorch", f"sinkhorn/{size}", 10),
                                      "POT": ("transport", f"sinkhorn/{size}", 3)}))
for kind in ("decoder", "encoder-decoder"):
    ROWS.append((f"sample/{kind}", {"transformers": ("pytorch", f"sample/{kind}", 3),
                                    "CTranslate2": ("ctranslate2", f"sample/{kind}", 1)}))
ROWS.append(("encode", {"PyTorch": ("pytorch", "encode", 1.3)}))
for length in (128, 1024, 4096):
    ROWS.append((f"attention/{length}", {"PyTorch": ("pytorch", f"attention/{length}", 1)}))
ROWS.append(("step/3/bf16", {"float32": ("retort", "step/3", 1.4)}))
ROWS.append(("load", {"read": ("retort", "read", None)}))


def tensors(path):
    """The float32 tensors of a safetensors file, by name."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    out = {}
    for name, x in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = x["data_offsets"]
            out[name] = array.array("f", data[8 + size + begin:8 + size + end])
    return out


def difference(a, b):
    """The largest difference of two results, relative to the largest number of each tensor; None: nothing in common."""
    worst = None
    for name in a.keys() & b.keys():
        if len(a[name]) != len(b[name]):
            raise RuntimeError(f"{name}: {len(a[name])} and {len(b[name])} numbers")
        if not all(map(math.isfinite, list(a[name]) + list(b[name]))):
            raise RuntimeError(f"{name}: not finite")
        most = max(map(abs, a[name])) or 1
        worst = max(worst or 0, max(abs(x - y) for x, y in zip(a[name], b[name])) / most)
    return worst


THREADS = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def threads_of(work):
    """Of all sides. Of 64 x 64 numbers one: what is so small only waits for more."""
    return 1 if work == "sinkhorn/64x3" else THREADS


class Side:
    """A process that has prepared its work and run it once."""

    def __init__(self, name, script, work, folder, own):
        self.name, self.seconds = name, []
        folder.mkdir(exist_ok=True)
        command = ([RUN, "--work", work, "--folder", folder] if script == "retort"
                   else [PYTHON, HERE / f"peers/{script}.py", work, folder])
        self.log = folder / (name.replace(" ", "-") + ".log")
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(self.log, "w"), text=True,
                                        env=dict(os.environ, OMP_NUM_THREADS=str(threads_of(own))))
        self.memory = self.read()
        self.results = tensors(folder / f"{script}.safetensors")

    def read(self):
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended: " + self.log.read_text()[-500:])

    def run(self, least=0.05):
        """The time of one run, of several where they are short."""
        seconds, times = 0, 0
        while seconds < least:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
            seconds, times = seconds + self.read()["seconds"], times + 1
        self.seconds.append(seconds / times)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(work, peers, seconds, folder):
    """A row: medians, ratios, differences of results, memory."""
    row, sides = {"work": work, "peers": {}}, []
    own = Side("Retort", "retort", work, folder, work)
    for name, (script, theirs, goal) in peers.items():
        entry = row["peers"][name] = {"goal": goal}
        if script != "retort" and not PYTHON.exists():
            entry["missing"] = "not measured: make bench-peers"
            continue
        inputs = folder if script != "retort" else folder / name.replace(" ", "-")
        try:
            side = Side(name, script, theirs, inputs, work)
        except (RuntimeError, OSError) as e:
            entry["missing"] = f"not measured: {e}"
            continue
        entry["difference"] = difference(own.results, side.results)
        if script != "retort" and not (entry["difference"] or 0) < 1e-3:
            raise RuntimeError(f"{work}: the results of {name} differ by {entry['difference']}")
        sides.append(side)
    begin = time.time()
    while len(own.seconds) < 3 or time.time() - begin < seconds:
        for side in [own] + sides:
            side.run()
    row["seconds"] = statistics.median(own.seconds)
    row |= {key: own.memory[key] for key in ("peak_bytes", "working_bytes")}
    for side in sides:
        t = statistics.median(side.seconds)
        entry = row["peers"][side.name]
        entry |= {"seconds": t, "ratio": t / row["seconds"], "spread": max(side.seconds) / min(side.seconds)}
        entry |= {key: side.memory[key] for key in ("peak_bytes", "working_bytes")}
    for side in [own] + sides:
        side.close()
    return row


def show(row):
    own = row["seconds"]
    for name, x in row["peers"].items():
        if "missing" in x:
            print(f"| {row['work']} | {own * 1e3:.2f} | {name} | {x['missing'].splitlines()[-1][:60]} | | | | |")
            continue
        goal = "-" if x["goal"] is None else f"{x['goal']:g}"
        print(f"| {row['work']} | {own * 1e3:.2f} | {name} | {x['seconds'] * 1e3:.2f} | {x['ratio']:.2f} | {goal} "
              f"| {'-' if x['difference'] is None else format(x['difference'], '.0e')} | {row['peak_bytes'] / 1e6:.0f} / {x['peak_bytes'] / 1e6:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument("--seconds", type=float, default=10, help="for each row")
    parser.add_argument("--json", help="file for the results")
    args = parser.parse_args()
    if not PYTHON.exists():
        print("no peers: `make bench-peers` installs them; Retort alone is timed\n")
    print(f"{THREADS} threads, load before {os.getloadavg()[0]:.1f}\n")
    print("| work | Retort ms | beside | ms | ratio | goal | results differ by | peak MB |\n"
          "|---|---:|---|---:|---:|---:|---:|---:|")
    rows = []
    for work, peers in ROWS:
        if args.only in work:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(work, peers, args.seconds, pathlib.Path(folder)))
            show(rows[-1])
    if args.only in "train/2/bf16":
        with tempfile.TemporaryDirectory() as folder:
            losses = []
            for work in ("train/2", "train/2/bf16"):
                side = Side(work.replace("/", "-"), "retort", work, pathlib.Path(folder), work)
                losses.append(side.results["loss"][0])
                side.close()
        rows.append({"work": "train/2/bf16", "losses": losses, "peers": {}})
        print(f"\nloss of step/2 after 300 steps: float32 {losses[0]:.5f}, bfloat16 {losses[1]:.5f} (goal: within 1 %)")
    if args.only in "help":
        times = []
        for _ in range(20):
            begin = time.time()
            subprocess.run([RETORT, "--help"], stdout=subprocess.DEVNULL, check=True)
            times.append(time.time() - begin)
        rows.append({"work": "help", "seconds": statistics.median(times), "peers": {}})
        print(f"\nretort --help: {statistics.median(times) * 1e3:.1f} ms (goal: 30)")
    if not rows:
        sys.exit(f"no row has {args.only!r} in its name; there are " + ", ".join(work for work, _ in ROWS))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"threads": THREADS, "rows": rows},
                                                      indent=1) + "\n")


if __name__ == "__main__":
    main()
