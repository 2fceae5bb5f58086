"""Writes a safetensors file of torch tensors or numpy arrays with names in order, so that the same
numbers always give the same bytes (the safetensors package orders metadata as it happens to
hash)."""
import json
import os
import pathlib

TYPES = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64"}


def save(name, tensors, metadata):
    """Writes `name`.safetensors beside this file; metadata values become JSON unless strings."""
    metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    header, data = {"__metadata__": metadata}, b""
    for key, x in sorted(tensors.items()):
        x = x.detach().numpy() if hasattr(x, "detach") else x
        raw = x.tobytes()
        header[key] = {"dtype": TYPES[str(x.dtype)], "shape": list(x.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = pathlib.Path(__file__).with_name(name + ".safetensors")
    beside = path.with_suffix(".tmp")
    beside.write_bytes(len(text).to_bytes(8, "little") + text + data)
    os.replace(beside, path)
    print(f"{path.name}: {path.stat().st_size} bytes")


def made_by(script, *modules):
    versions = [f"{m.__name__} {m.__version__.split('+')[0]}" for m in modules]
    return ", ".join([script, *versions])
