"""One side of a comparison in Python, as bench/serve.cpp is in C++: prepare, run once, write the results, then run
and time on request."""
import json, os, re, sys, time

THREADS = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def status_bytes(key):
    return 1024 * int(re.search(rf"^{key}:\s+(\d+)", open("/proc/self/status").read(), re.M)[1])


def serve(works, save):
    """`works`: name -> prepare(folder) -> run() -> results by name; `save`: writes them as safetensors."""
    me, name, folder = sys.argv[0], sys.argv[1], sys.argv[2]
    start = status_bytes("VmRSS")
    run = works[name](folder)
    inputs = status_bytes("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    results = run()
    most = status_bytes("VmHWM")
    save(results, os.path.join(folder, os.path.basename(me).removesuffix(".py") + ".safetensors"))
    print(json.dumps({"ready": name, "peak_bytes": most - start, "working_bytes": most - inputs}), flush=True)
    for line in sys.stdin:
        if line.strip() != "run":
            break
        begin = time.perf_counter()
        run()
        print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)
