#!/usr/bin/env python3
"""What can be said of the CUDA kernels without a GPU, from the objects of `make cuda`.

  check.py BUILD [--docs docs/cuda.md]

Reads ptxas' report beside each object (*.ptxas) and the machine code inside it. Fails where a
kernel spills, needs more registers than its launch allows, or lacks wide loads where it walks
contiguous rows; where a kernel is not in COST, or COST names one that is gone. Prints the roofline:
bytes and operations for each element, and the time a million elements take at least. With --docs
the table replaces the one between the markers of that file.
"""
import collections
import glob
import re
import struct
import subprocess
import sys

# Published figures of the devices: bytes/s of memory, float32 operations/s without tensor cores.
DEVICES = {"A100": (2.039e12, 19.5e12), "H100": (3.35e12, 66.9e12)}

# How a kernel is launched, and the registers a thread may have for its block to be resident.
LAUNCHES = {
    "rows_warp": ("a warp a row, 128 threads", 72),
    "rows_block": ("a block a row, 256 or 1,024 threads", 64),
    "rows_blocks": ("2 to 16 blocks a row, 512 threads", 64),
    "map_kernel": ("4 elements a thread, 256 threads; 8 of bfloat16, 128 threads", 64),
    "columns_kernel": ("32 columns a block, 32 x 8 threads", 64),
    "forward_tiles": ("a block a tile of queries, 128 threads", 255),
    "forward_few": ("a block a query, 256 threads", 128),
    "backward_keys": ("a block a tile of keys, 128 threads", 170),
    "backward_queries": ("a block a tile of queries, 128 threads", 170),
    "sum_diagonals": ("a thread a diagonal, 128 threads", 64),
    "stable_product": ("a block a tile, 64 x 64 or 16 x 32", 128),
}

# Bytes of shared memory given at the launch, which ptxas does not see: heads of 128 in float32.
DYNAMIC = {"forward_tiles": 86016, "backward_keys": 72704, "backward_queries": 72704}

COMMON = ("rows_warp", "rows_block", "rows_blocks", "map_kernel", "columns_kernel")  # of many functors
# float64 is for gradient checks: fewer threads, more registers, no demand for wide loads.
DOUBLE_BUDGET = 255

# Bytes that must move and operations for each element of a row (float32): distinct tensors only,
# what is read again is in a cache. A trailing "narrow": strided or single elements, no wide loads.
COST = {
    "Softmax": (8, 5), "SoftmaxBackward": (12, 4), "LogSoftmax": (8, 5), "LogSoftmaxBackward": (12, 4),
    "LogSumExp": (4, 4), "LogSumExpBackward": (8, 3),
    "LayerNorm": (8, 8), "LayerNormBackward": (12, 14), "RmsNorm": (8, 4), "RmsNormBackward": (12, 9),
    "GainGradient": (8, 4, "narrow"), "BiasGradient": (4, 1, "narrow"), "ColumnSum": (4, 1, "narrow"), "SquarePlus": (4, 3, "narrow"),
    "Coarsen": (4, 4), "CoarsenBackward": (8, 3), "Put": (12, 0), "CrossEntropy": (8, 8), "DivergenceRow": (12, 40), "ScaleRows": (8, 1),
    "SoftMin": (4, 12), "SoftMinBackward": (12, 12), "PlanRow": (8, 20), "ScaledPlanRow": (8, 12),
    "SoftmaxSums": (4, 8), "Probabilities": (8, 8), "SoftmaxSlope": (12, 20),
    "PairCost": (12, 6), "PairCostBackward": (12, 5),  # of a row and two others; of a pair
    "SortStart": (12, 1), "SortStep": (16, 5, "narrow"), "SortedDistance": (16, 24),
    "AdamWRow": (28, 14), "SquareSum": (4, 2), "SquareMeanRow": (4, 3), "FactoredUpdate": (8, 3),
    "BlendRow": (12, 4), "FullUpdate": (12, 2), "Descend": (12, 3), "Rescale": (8, 1),
    "RowBroadcast": (8, 1), "Dropout": (8, 45), "FillRow": (4, 0), "RowSum": (4, 1),
    "TakeRow": (8, 0), "ScatterRow": (12, 1), "StoreRow": (8, 0), "ReorderRow": (8, 0), "Place": (8, 0),
    "Pick": (4, 0, "narrow"), "PickBackward": (4, 1), "PickColumns": (8, 0, "narrow"), "PutColumns": (8, 0, "narrow"), "StridedMax": (4, 2, "narrow"),
    "MaxBackward": (4, 1, "narrow"), "StridedCopy": (8, 0, "narrow"), "Angles": (4, 40), "Rotate": (12, 4), "MaskedFill": (12, 1),
    "Add": (12, 1), "Sub": (12, 1), "Mul": (12, 1), "Div": (12, 1), "Multiply": (12, 1), "Same": (8, 0),
    "Scale": (8, 2), "Exp": (8, 8), "Log": (8, 8), "LogBackward": (12, 1), "Tanh": (8, 12),
    "TanhBackward": (12, 3), "Relu": (8, 1), "ReluBackward": (12, 1), "Silu": (8, 10),
    "SiluBackward": (12, 14), "Gelu": (8, 14), "GeluBackward": (12, 24), "GeluTanh": (8, 18),
    "GeluTanhBackward": (12, 26), "Delta": (8, 2), "Best": (4, 16), "Draw": (8, 60),
    "Uniform": (8, 80),
    "Root": (8, 1, "narrow"), "Column": (4, 1, "narrow"),
    # One score of attention with 64 numbers a head and 512 keys; one element of a product, m = 8, k = 768.
    "forward_tiles": (2, 256, "narrow"), "forward_few": (512, 256, "narrow"),
    "backward_keys": (3, 512, "narrow"), "backward_queries": (3, 384, "narrow"),
    "sum_diagonals": (4, 1, "narrow"), "stable_product": (388, 1536, "narrow"),
}

ENTRY = re.compile(
    r"Compiling entry function '(\S+)' for '(sm_\d+)'\n.*\n\s*\d+ bytes stack frame, "
    r"(\d+) bytes spill stores, (\d+) bytes spill loads\n"
    r"ptxas info\s+: Used (\d+) registers, used \d+ barriers(.*)\n")

Kernel = collections.namedtuple("Kernel", "launch functor type arch registers shared spills name")


def demangle(names):
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True).stdout
    return dict(zip(names, out.splitlines()))


def read_reports(build):
    found = []
    for path in sorted(glob.glob(build + "/**/*.ptxas", recursive=True)):
        found += ENTRY.findall(open(path).read())
    names = demangle(sorted({f[0] for f in found}))
    kernels = []
    for mangled, arch, stores, loads, registers, rest in found:
        name = names[mangled].replace("(anonymous namespace)::", "").replace("retort::", "")
        launch = re.match(r"(?:void )?(\w+)", name)[1]
        inner = re.search(r"<(.*)>", name)
        words = re.findall(r"\b[A-Za-z_]\w*", inner[1]) if inner else []
        functor = words[0] if launch in COMMON and words else launch
        types = [w for w in words if w in ("float", "double", "bf16")]
        shared = re.search(r"(\d+) bytes smem", rest)
        kernels.append(Kernel(launch, functor, types[-1] if types else "float", arch, int(registers),
                              int(shared[1]) if shared else 0, int(stores) + int(loads), mangled))
    return kernels


def widest_accesses(build):
    """{(mangled name, arch): widest global load or store in bits}, from the cubins in the objects.

    Instructions are 128 bits; the opcode is bits 0 to 11, the width of a load or store 73 to 75.
    """
    bits = {0: 8, 1: 8, 2: 16, 3: 16, 4: 32, 5: 64, 6: 128, 7: 256}
    widest = {}
    for path in glob.glob(build + "/**/*.o", recursive=True):
        data = open(path, "rb").read()
        start = data.find(b"\x7fELF", 4)
        while start >= 0:
            elf, start = data[start:], data.find(b"\x7fELF", start + 4)
            if struct.unpack_from("<H", elf, 18)[0] != 190:  # EM_CUDA
                continue
            flags = struct.unpack_from("<I", elf, 48)[0]
            arch = "sm_%d" % (flags >> 8 & 0xff if flags >> 24 else flags & 0xff)
            table, = struct.unpack_from("<Q", elf, 40)
            size, count, names = struct.unpack_from("<HHH", elf, 58)
            sections = [struct.unpack_from("<IIQQQQIIQQ", elf, table + i * size) for i in range(count)]
            base = sections[names][4]
            for s in sections:
                name = elf[base + s[0]:elf.index(b"\0", base + s[0])].decode()
                if not name.startswith(".text."):
                    continue
                most = 0
                for o in range(s[4], s[4] + s[5], 16):
                    low, high = struct.unpack_from("<QQ", elf, o)
                    if low & 0xfff in (0x981, 0x986):  # LDG, STG
                        most = max(most, bits.get(high >> 9 & 7, 0))
                widest[name[6:], arch] = max(most, widest.get((name[6:], arch), 0))
    return widest


def source_of(functor):
    """The file that defines a functor, or a kernel of its own."""
    pattern = "struct %s |^( *| .*\\) )%s\\(" % (functor, functor)
    return next((p for p in sorted(glob.glob("kernels/*")) + sorted(glob.glob("engine/*.cpp"))
                 if not p.endswith("_cpu.cpp") and re.search(pattern, open(p).read(), re.M)), "?")


def microseconds(cost, device):
    bandwidth, operations = DEVICES[device]
    moving, computing = cost[0] * 1e6 / bandwidth, cost[1] * 1e6 / operations
    return max(moving, computing) * 1e6, "memory" if moving >= computing else "arithmetic"


def main():
    build = sys.argv[1]
    kernels, widest, wrong = read_reports(build), widest_accesses(build), []
    if not kernels:
        sys.exit("check.py: no ptxas reports under %s; run make cuda first" % build)
    groups = collections.defaultdict(list)
    for k in kernels:
        groups[k.functor].append(k)
        budget = LAUNCHES.get(k.launch, ("", None))[1]
        if budget and k.type == "double":
            budget = DOUBLE_BUDGET
        if budget is None:
            wrong.append("%s: its launch and register budget are not stated" % k.launch)
        elif k.registers > budget:
            wrong.append("%s<%s, %s> %s: %d registers, budget %d" % (k.launch, k.functor, k.type, k.arch, k.registers, budget))
        if k.spills:
            wrong.append("%s<%s, %s> %s: %d bytes spilled" % (k.launch, k.functor, k.type, k.arch, k.spills))
        cost = COST.get(k.functor)
        if cost is None:
            wrong.append("%s: its bytes and operations are not stated" % k.functor)
        elif "narrow" not in cost and k.type != "double":
            if widest.get((k.name, k.arch), 0) < 128:
                wrong.append("%s<%s, %s> %s: no access of 128 bits" % (k.launch, k.functor, k.type, k.arch))
    for name in COST:
        if name not in groups:
            wrong.append("%s: stated, but no kernel of this name was compiled" % name)

    table = ["| kernel | formula | launch | registers | shared | bytes | operations | A100 | H100 | bound |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for name, members in sorted(groups.items(), key=lambda g: (source_of(g[0]), g[0])):
        cost = COST.get(name)
        if not cost:
            continue
        launches = [l for l in LAUNCHES if any(k.launch == l for k in members)]
        registers = sorted(k.registers for k in members)
        times = {d: microseconds(cost, d) for d in DEVICES}
        table.append("| %s | %s | %s | %d to %d | %d | %d | %d | %.1f | %.1f | %s |" % (
            name, source_of(name), "; ".join(LAUNCHES[l][0] for l in launches), registers[0], registers[-1],
            max(k.shared for k in members) + DYNAMIC.get(name, 0), cost[0], cost[1], times["A100"][0], times["H100"][0], times["H100"][1]))
    print("\n".join(table))
    if "--docs" in sys.argv:
        path = sys.argv[sys.argv.index("--docs") + 1]
        text = open(path).read()
        begin, end = "<!-- kernels -->\n", "<!-- end of kernels -->"
        i, j = text.index(begin) + len(begin), text.index(end)
        open(path, "w").write(text[:i] + "\n".join(table) + "\n" + text[j:])
    archs = collections.Counter(k.arch for k in kernels)
    print("\n%d kernels: %s; %d wrong" % (len(kernels), ", ".join("%d for %s" % (n, a) for a, n in sorted(archs.items())), len(wrong)))
    for w in sorted(set(wrong)):
        print("wrong: " + w)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
