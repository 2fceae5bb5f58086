"""Debian packages' descriptions as extreme summarisation: long description -> one-line synopsis.

Called by data/get; standard library only. Descriptions and sources come from apt's lists
(Packages and Translation-en), which apt-get checks against their signatures.
"""
import collections
import gzip
import json
import re
import sys

from get_common import Failure, build, main, part_of, run, with_package_lists

NAME = "debian-synopsis"
HELPER = "/usr/lib/apt/apt-helper"  # reads the lists, however apt compressed them
WORDS = (20, 150)  # of a long description
PARTS = ("train", "valid", "test")

README = """Debian synopses
===============
`train.jsonl.gz`, `valid.jsonl.gz`, `test.jsonl.gz`: a JSON object a line, {{"id", "document",
"summary", "section"}}: a package, its long description on one line ({low} to {high} words), its
one-line synopsis, its archive section. The format is that of XSum (`data.format = "xsum"`). Of
equal descriptions the first by package name is kept; packages of one source are in the same part.
Made by `data/get {name}` from the package lists of the sources in /etc/apt/sources.list; each
description is under its package's licence (/usr/share/doc/PACKAGE/copyright once the package is
installed). These are package blurbs: no score on them compares to one on news.

{report}
"""


def stanzas(path, work):
    """The fields of each entry of a list, {name: value}; lines that go on keep their breaks."""
    shown = run([HELPER, "cat-file", path], work)
    if shown.returncode:
        raise Failure(f"{path}: cannot be read by {HELPER}: {shown.stderr.strip()}")
    for stanza in shown.stdout.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            if line.startswith(" ") and fields:
                fields[name] += "\n" + line
            elif ": " in line or line.endswith(":"):
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        if "Package" in fields:
            yield fields


def read_lists(options, work):
    """{package: (source, section, description)}, or a line that says why not."""
    targets = run(["apt-get", *options, "indextargets", "--format",
                   "$(CREATED_BY) $(FILENAME)"], work)
    files = collections.defaultdict(list)
    for line in targets.stdout.splitlines():
        kind, _, path = line.partition(" ")
        files[kind].append(path)
    texts = {}
    for path in files["Translations"]:
        if re.search(r"Translation-en(\.\w+)?$", path):
            for fields in stanzas(path, work):
                key = fields["Package"], fields.get("Description-md5")
                texts[key] = fields.get("Description-en")
    if not texts:
        return "apt's lists hold no English descriptions"
    packages = {}
    for path in files["Packages"]:
        for fields in stanzas(path, work):
            name = fields["Package"]
            text = texts.get((name, fields.get("Description-md5")))
            if text:
                source = fields.get("Source", name).split(" ")[0]
                packages.setdefault(name, (source, fields.get("Section", ""), text))
    return packages or "apt's lists hold no packages"


def choose(packages):
    """({part: entries}, {reason: packages left out})."""
    parts, dropped, seen = {part: [] for part in PARTS}, collections.Counter(), set()
    for name, (source, section, text) in sorted(packages.items()):
        summary, _, rest = text.partition("\n")
        words = " ".join(line for line in rest.splitlines() if line.strip() != ".").split()
        document, summary = " ".join(words), " ".join(summary.split())
        if not summary:
            dropped["without a synopsis"] += 1
        elif len(words) < WORDS[0]:
            dropped[f"under {WORDS[0]} words"] += 1
        elif len(words) > WORDS[1]:
            dropped[f"over {WORDS[1]} words"] += 1
        elif document in seen:
            dropped["the same description again"] += 1
        else:
            seen.add(document)
            parts[part_of(source)].append(
                {"id": name, "document": document, "summary": summary, "section": section})
    return parts, dropped


def make(work, result):
    packages = with_package_lists(work, ("apt-get", HELPER), "en",
                                  lambda options: read_lists(options, work))
    parts, dropped = choose(packages)
    if not all(parts.values()):
        raise Failure(f"{len(packages)} packages are too few for three parts")
    report = ["Examples: " + ", ".join(f"{len(parts[part])} {part}" for part in PARTS),
              "Left out: " + ", ".join(f"{n} {reason}" for reason, n in sorted(dropped.items()))]
    for part, entries in parts.items():
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        (result / f"{part}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    readme = README.format(name=NAME, low=WORDS[0], high=WORDS[1], report="\n".join(report))
    (result / "README.md").write_text(readme, encoding="utf-8")
    return report


if __name__ == "__main__":
    files = [f"{part}.jsonl.gz" for part in PARTS] + ["README.md"]
    main(lambda: build(NAME, sys.argv[2], files, make))
