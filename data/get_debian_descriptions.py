"""The long descriptions of debian-synopsis as text, one a line: what encoders are pre-trained on.

Called by data/get, which obtains FOLDER/debian-synopsis first; standard library only.
"""
import gzip
import json
import pathlib
import sys

from get_common import Failure, build, main

NAME = "debian-descriptions"
FILES = [f"{part}.txt.gz" for part in ("train", "valid", "test")]


def make(folder, result):
    counts = []
    for file in FILES:
        path = folder / "debian-synopsis" / file.replace(".txt", ".jsonl")
        try:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                texts = [" ".join(json.loads(line)["document"].split()) for line in lines]
        except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
            raise Failure(f"{path}: is not what data/get debian-synopsis writes: {error}") from error
        text = "".join(line + "\n" for line in texts)
        (result / file).write_bytes(gzip.compress(text.encode(), mtime=0))
        counts.append(f"{len(texts)} {file.partition('.')[0]}")
    return ["Descriptions: " + ", ".join(counts)]


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[2])
    main(lambda: build(NAME, folder, FILES, lambda _, result: make(folder, result)))
