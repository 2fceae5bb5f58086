"""Data sets as their publishers give them: downloaded, checked, unpacked into what retort reads.

Called by data/get; standard library only. sources.tsv has the addresses; with RETORT_MIRROR set,
file FILE of set SET comes from $RETORT_MIRROR/SET/FILE instead. What was downloaded is pinned in
SET.sha256 beside the set's folder, and checked against it when there is one.
"""
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib

from get_common import Failure, build, main


def sources(name):
    """[(file, address)] of a set."""
    table = pathlib.Path(__file__).with_name("sources.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    mirror = os.environ.get("RETORT_MIRROR", "").rstrip("/")
    return [(file, f"{mirror}/{name}/{file}" if mirror else address)
            for one, file, address in rows if one == name]


def fetch(address, path):
    """Downloads to a path; (SHA-256, bytes)."""
    digest, size = hashlib.sha256(), 0
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "retort"})
        with urllib.request.urlopen(request, timeout=60) as reply, open(path, "wb") as out:
            expected = reply.headers.get("Content-Length")
            while piece := reply.read(1 << 20):
                out.write(piece)
                digest.update(piece)
                size += len(piece)
    except ValueError as error:
        raise Failure(f"{address}: is no address; look at RETORT_MIRROR") from error
    except urllib.error.HTTPError as error:
        raise Failure(f"{address}: the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise Failure(f"{address}: cannot be reached ({error.reason}); "
                      "is there a network connection?") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise Failure(f"{address}: broke off after {size} bytes ({error}); "
                      "call it again") from error
    if expected and size != int(expected):
        raise Failure(f"{address}: broke off after {size} of {expected} bytes; call it again")
    return digest.hexdigest(), size


def download(name, work, pins):
    """Downloads a set's files into a folder, checks them against the pins or adds to these."""
    known = {}
    if pins.exists():
        for number, line in enumerate(pins.read_text(encoding="utf-8").splitlines(), 1):
            match = re.fullmatch(r"([0-9a-f]{64})  (\d+)  (\S+)", line)
            if not match:
                raise Failure(f"{pins}:{number}: expected a SHA-256, a size and a file's name; "
                              "remove the line")
            known[match[3]] = match[1], int(match[2])
    for file, address in sources(name):
        print(f"downloading {address}", flush=True)
        found = fetch(address, work / file)
        print(f"  {found[1]} bytes, SHA-256 {found[0]}", flush=True)
        if known.setdefault(file, found) != found:
            digest, size = known[file]
            raise Failure(f"{file}: SHA-256 {found[0]} ({found[1]} bytes), but {pins} has {digest} "
                          f"({size} bytes); the file is damaged or was changed by its publisher: "
                          "remove its line there to accept it")
    return "".join(f"{digest}  {size}  {file}\n" for file, (digest, size) in known.items())


# ---- what becomes of the files ----


def members(archive, wanted):
    """(match, stream) of the members of a .zip or .tgz whose names match a pattern at the end."""
    pattern = re.compile(f"(?:^|/){wanted}$")
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if match := pattern.search(name):
                    with file.open(name) as stream:
                        yield match, stream
    else:
        with tarfile.open(archive, "r|*") as file:
            for member in file:
                if member.isfile() and (match := pattern.search(member.name)):
                    yield match, file.extractfile(member)


def extract(archive, wanted, target):
    """Appends the one member that matches to a file."""
    for _, stream in members(archive, wanted):
        with open(target, "ab") as out:
            shutil.copyfileobj(stream, out)
        return
    raise Failure(f"{archive.name}: holds no {wanted}")


def keep(work, result):
    """The files as they are."""
    for path in work.glob("*.json"):
        path.rename(result / path.name)
    return []


def webnlg(work, result):
    """Release 2: train, dev, test with the XML files below them."""
    count = 0
    wanted = r"release_v2/xml/(train|dev|test)/((?:\w+/)*\w+\.xml)"
    for match, stream in members(work / "webnlg-dataset-master.zip", wanted):
        path = result / match[1] / match[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.read())
        count += 1
    if not count:
        raise Failure("webnlg-dataset-master.zip: holds no release_v2/xml")
    return [f"{count} XML files"]


# Lines of the page around an article, which are no part of it.
AROUND = {"Share this with", "Email", "Facebook", "Messenger", "Twitter", "Pinterest", "WhatsApp",
          "Linkedin", "LinkedIn", "Copy this link",
          "These are external links and will open in a new window"}


def xsum(work, result):
    """JSONL {id, document, summary}: rest and first sentence of the articles, split as published."""
    splits = json.loads((work / "XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json").read_bytes())
    names = {"train": "train", "validation": "valid", "test": "test"}
    part = {article: names[split] for split, articles in splits.items() for article in articles}
    files = {name: gzip.GzipFile(result / f"{name}.jsonl.gz", "wb", mtime=0)
             for name in names.values()}
    counts = dict.fromkeys(files, 0)
    archive = work / "XSUM-EMNLP18-Summary-Data-Original.tar.gz"
    for match, stream in members(archive, r"(\d+)\.summary"):
        lines = stream.read().decode().splitlines()
        text = "\n".join(line for line in lines if line.strip() and line.strip() not in AROUND)
        fields = dict(re.findall(r"\[SN\]([A-Z-]+)\[SN\]\n?(.*?)(?=\[SN\][A-Z-]+\[SN\]|\Z)", text,
                                 re.S))
        name = part.get(match[1])
        if name and "RESTBODY" in fields and "FIRST-SENTENCE" in fields:
            entry = {"id": match[1], "document": fields["RESTBODY"].strip(),
                     "summary": fields["FIRST-SENTENCE"].strip()}
            files[name].write((json.dumps(entry, ensure_ascii=False) + "\n").encode())
            counts[name] += 1
    for file in files.values():
        file.close()
    if not all(counts.values()):
        raise Failure(f"{archive.name}: holds too few of the articles of the published split")
    return ["Articles: " + ", ".join(f"{n} {name}" for name, n in counts.items())]


def wmt16(work, result):
    """train.en, train.ro (Europarl v8, then SETIMES 2), newsdev2016 and newstest2016 as SGM."""
    counts = []
    for language in ("en", "ro"):
        target = result / f"train.{language}"
        extract(work / "training-parallel-ep-v8.tgz", rf"europarl-v8\.ro-en\.{language}", target)
        extract(work / "setimes-en-ro.txt.zip", rf"SETIMES\.en-ro\.{language}", target)
        with open(target, "rb") as file:
            counts.append(sum(1 for _ in file))
        for archive, name in (("dev.tgz", "newsdev2016"), ("test.tgz", "newstest2016")):
            file = f"{name}-enro-{'src' if language == 'en' else 'ref'}.{language}.sgm"
            extract(work / archive, re.escape(file), result / file)
    if counts[0] != counts[1]:
        raise Failure(f"the training text has {counts[0]} English but {counts[1]} Romanian lines")
    return [f"{counts[0]} training pairs"]


# What of each GLUE archive is kept: its folder and the parts it has; test sets have no labels.
GLUE = {"CoLA": ("CoLA.zip", ["train", "dev"]), "SST-2": ("SST-2.zip", ["train", "dev"]),
        "STS-B": ("STS-B.zip", ["train", "dev"]), "QQP": ("QQP-clean.zip", ["train", "dev"]),
        "MNLI": ("MNLI.zip", ["train", "dev_matched", "dev_mismatched"]),
        "QNLI": ("QNLIv2.zip", ["train", "dev"]), "RTE": ("RTE.zip", ["train", "dev"]),
        "WNLI": ("WNLI.zip", ["train", "dev"])}


def lines_of(path):
    """A text's lines, with either line ending; other characters that end lines are text."""
    return path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")


def glue(work, result):
    """A folder for each task; MRPC is parted into train and dev as GLUE's list of pairs says."""
    for task, (archive, parts) in GLUE.items():
        (result / task).mkdir()
        for part in parts:
            extract(work / archive, rf"{re.escape(task)}/{part}\.tsv", result / task / f"{part}.tsv")
    (result / "MRPC").mkdir()
    held_out = {tuple(line.split("\t")) for line in lines_of(work / "mrpc_dev_ids.tsv")}
    header, *rows = lines_of(work / "msr_paraphrase_train.txt")
    parts = {"train": [header], "dev": [header]}
    for row in rows:
        parts["dev" if tuple(row.split("\t")[1:3]) in held_out else "train"].append(row)
    test = lines_of(work / "msr_paraphrase_test.txt")
    for part, kept in {**parts, "test": test}.items():
        (result / "MRPC" / f"{part}.tsv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    counts = ", ".join(f"{len(kept) - 1} {part}" for part, kept in parts.items())
    if len(parts["dev"]) < 2:
        raise Failure("mrpc_dev_ids.tsv: names no pair of msr_paraphrase_train.txt")
    return [f"MRPC: {counts}"]


SUPERGLUE = ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC")


def superglue(work, result):
    """A folder for each task."""
    for task in SUPERGLUE:
        (result / task).mkdir()
        for part in ("train", "val"):
            file = f"{part}.jsonl"
            extract(work / f"{task}.zip", rf"{task}/{part}\.jsonl", result / task / file)
    return []


def wikitext(work, result):
    """train.txt, valid.txt, test.txt: a paragraph or a heading a line."""
    for part in ("train", "valid", "test"):
        extract(work / "wikitext-2-raw-v1.zip", rf"wiki\.{part}\.raw", result / f"{part}.txt")
    return []


SETS = {  # what unpacks a set, and what it must hold
    "dart": (keep, [f"dart-v1.1.1-full-{part}.json" for part in ("train", "dev", "test")]),
    "commonsense-dialogues": (keep, ["train.json", "valid.json", "test.json"]),
    "webnlg": (webnlg, ["train", "dev", "test"]),
    "glue": (glue, [*GLUE, "MRPC"]),
    "superglue": (superglue, SUPERGLUE),
    "wikitext-2": (wikitext, ["train.txt", "valid.txt", "test.txt"]),
    "xsum": (xsum, ["train.jsonl.gz", "valid.jsonl.gz", "test.jsonl.gz"]),
    "wmt16-en-ro": (wmt16, ["train.en", "train.ro", "newsdev2016-enro-src.en.sgm",
                            "newsdev2016-enro-ref.ro.sgm", "newstest2016-enro-src.en.sgm",
                            "newstest2016-enro-ref.ro.sgm"])}


def get(name, folder):
    unpack, files = SETS[name]

    def make(work, result):
        pins = pathlib.Path(folder) / f"{name}.sha256"
        pinned = download(name, work, pins)
        try:
            report = unpack(work, result)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError,
                LookupError, AttributeError) as error:
            raise Failure(f"{name}: what was downloaded cannot be unpacked: {error}") from error
        beside = work / pins.name
        beside.write_text(pinned, encoding="utf-8")
        os.replace(beside, pins)
        return [*report, f"sizes and SHA-256 are in {pins}"]

    build(name, folder, files, make)


if __name__ == "__main__":
    main(lambda: get(sys.argv[1], sys.argv[2]))
