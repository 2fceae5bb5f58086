"""What a plot gets: the program, run on files in a folder that goes away, and results of runs."""
import functools
import json
import os
import pathlib
import subprocess

import numpy

TYPES = {"float32": "F32", "float64": "F64", "int64": "I64"}


class Program:
    def __init__(self, root, path, folder):
        self.root, self.path, self.folder = root, path, pathlib.Path(folder)

    @functools.cache
    def run(self, *arguments):
        """What `retort ARGUMENTS...` prints; an error for any exit status but 0. Paths are relative to the
        folder, or begin with the root. A command is run once."""
        done = subprocess.run([self.path, *map(str, arguments)], cwd=self.folder, text=True, capture_output=True,
                              check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if done.returncode:
            raise RuntimeError(f"retort {' '.join(map(str, arguments))}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def json(self, *arguments):
        """The same of a command that prints one JSON value."""
        return json.loads(self.run(*arguments, "--json"))

    def results(self, pattern):
        """results.json of the stages that match, by path beside runs/: results("fdistill/en-ro-*/*")."""
        files = sorted((self.root / "runs").glob(pattern + "/results.json"))
        if not files:
            raise RuntimeError(f"runs/{pattern}/results.json: no such file")
        return {str(f.parent.relative_to(self.root / "runs")): json.loads(f.read_text()) for f in files}

    def loss(self, name, teacher, student, *options):
        """`retort loss` on logits (N, V): the losses (N) and their gradients (N, V) in float64."""
        self.save("in.safetensors", teacher=teacher, student=student)
        self.run.__wrapped__(self, "loss", "--name", name, *options, "--in", "in.safetensors", "--out", "out.safetensors",
                             *([] if "--dtype" in options else ["--dtype", "f64"]))
        out = self.load("out.safetensors")
        return out["loss"].astype(float), out["grad"].astype(float)

    def save(self, name, **tensors):
        """Writes a safetensors file into the folder."""
        header, data = {}, b""
        for key, x in tensors.items():
            x = numpy.ascontiguousarray(x)
            header[key] = {"dtype": TYPES[str(x.dtype)], "shape": x.shape, "data_offsets": [len(data), len(data) + x.nbytes]}
            data += x.tobytes()
        text = json.dumps(header).encode()
        (self.folder / name).write_bytes(len(text).to_bytes(8, "little") + text + data)

    def load(self, name):
        """The tensors of a safetensors file in the folder."""
        raw = (self.folder / name).read_bytes()
        size = int.from_bytes(raw[:8], "little")
        types = {short: long for long, short in TYPES.items()}
        return {key: numpy.frombuffer(raw[8 + size:][slice(*x["data_offsets"])], types[x["dtype"]]).reshape(x["shape"])
                for key, x in json.loads(raw[8:8 + size]).items() if key != "__metadata__"}
