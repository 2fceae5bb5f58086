"""English-Romanian strings from the gettext catalogues of Debian packages, cleaned and split.

Called by data/get with the folder to write to; standard library only. The packages come through
apt-get, which checks their signatures, and are never installed.
"""
import collections
import pathlib
import re
import struct
import subprocess
import sys
import tarfile
import unicodedata

from get_common import Failure, build, first_error, main, number, part_of, run, with_package_lists

NAME = "l10n-en-ro"
LIMIT = 60_000_000  # bytes to download at most; later packages are left out first
PACKAGES = """libreoffice-l10n-ro binutils-common cinnamon-l10n gnome-software-common libglib2.0-data
    vlc-l10n libgtk-3-common shotwell-common mc-data pidgin-data phpmyadmin evolution-common tar
    gimp-data""".split()

README = """English-Romanian interface strings
==================================
`train.tsv`, `valid.tsv`, `test.tsv`: English<TAB>Romanian, one pair a line, UTF-8, one translation
per English string, split by the English string (95 / 2.5 / 2.5 in a hundred). Made by
`data/get {name}` from the gettext catalogues of these Debian packages:

{packages}

Each string is under its package's licence (/usr/share/doc/PACKAGE/copyright once the package is
installed). These are short interface strings: no score on them compares to one on news or other
running text.

{report}
"""


# ---- the packages ----


def package_versions(options, folder):
    """{package: (version, bytes)} of the packages apt knows."""
    found = {}
    for name in PACKAGES:
        shown = run(["apt-cache", *options, "show", "--no-all-versions", name], folder).stdout
        fields = dict(re.findall(r"^(Version|Size): (\S+)", shown, re.M))
        if len(fields) == 2:
            found[name] = (fields["Version"], int(fields["Size"]))
    return found


def download(options, folder):
    """Downloads the packages; returns {package: version}, or a line that says why not."""
    found = package_versions(options, folder)
    if len(found) < len(PACKAGES) // 2:
        return "apt-get knows %d of the %d packages" % (len(found), len(PACKAGES))
    chosen, total = {}, 0
    for name, (version, size) in found.items():
        if total + size <= LIMIT:
            chosen[name] = version
            total += size
    for name in PACKAGES:
        if name not in chosen:
            reason = "over the size limit" if name in found else "not in this release"
            print(f"left out: {name} ({reason})")
    print(f"downloading {len(chosen)} packages, {total / 1e6:.0f} MB", flush=True)
    wanted = [f"{name}={version}" for name, version in chosen.items()]
    done = run(["apt-get", *options, "-q", "download", *wanted], folder)
    return chosen if done.returncode == 0 else "apt-get download: " + first_error(done)


# ---- the catalogues ----


def read_catalogue(data):
    """(English, Romanian) of a .mo file; of plural forms the singular, without contexts."""
    order = {0x950412DE: "<", 0xDE120495: ">"}.get(struct.unpack("<I", data[:4])[0])
    if not order:
        return
    count, originals, translations = struct.unpack(order + "3I", data[8:20])

    def text(table, i):
        length, offset = struct.unpack(order + "2I", data[table + 8 * i:table + 8 * i + 8])
        return data[offset:offset + length]

    charset = "utf-8"
    for i in range(count):
        original, translation = text(originals, i), text(translations, i)
        if not original:  # the header comes first
            named = re.search(rb"charset=([\w-]+)", translation)
            charset = named[1].decode() if named else charset
            continue
        original = original.split(b"\4")[-1].split(b"\0")[0]
        translation = translation.split(b"\0")[0]
        yield original.decode(charset, "replace"), translation.decode(charset, "replace")


def read_packages(folder):
    """All pairs of all Romanian catalogues of the packages in a folder."""
    for package in sorted(pathlib.Path(folder).glob("*.deb")):
        unpack = ["dpkg-deb", "--fsys-tarfile", package]
        with subprocess.Popen(unpack, stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    if member.isfile() and re.search(r"/ro/LC_MESSAGES/[^/]+\.mo$", member.name):
                        yield from read_catalogue(tar.extractfile(member).read())


# ---- cleaning ----

SPELLING = str.maketrans({"ş": "ș", "ţ": "ț", "Ş": "Ș", "Ţ": "Ț", "…": "...", "\u2011": "-",
                          "\u00a0": " ", "\u202f": " ", "\u00ad": None, "\u200b": None,
                          "\u200e": None, "\u200f": None, "\ufeff": None})
LETTERS = set("abcdefghijklmnopqrstuvwxyzăâîșțáéèêëóöôüúäçñß")
MARKUP = re.compile(r"</?[A-Za-z!][^>]*>|&#?\w+;")
PLACEHOLDER = re.compile(r"%(?:\d+\$)?[-+#0-9.*']*(?:hh|ll|[hlLqjzt])?[A-Za-z%]|%\d+|"
                         r"\{[^{}]*\}|\$\(?\w+\)?|@\w+@")
ACCELERATOR = re.compile(r"[_&~](?=\w)")
IDENTIFIER = re.compile(r"\w+_\w+")


def without_accelerators(text, other):
    """Drops the mark of a menu letter ("_File", "Sa&ve"), but not in a name that both sides hold."""
    if any(word in other for word in IDENTIFIER.findall(text)):
        return text
    return ACCELERATOR.sub("", text)


def placeholders(text):
    """What the program fills in, without the positions a translation may add."""
    return sorted(re.sub(r"%\d+\$", "%", found) for found in PLACEHOLDER.findall(text))


def clean(english, romanian):
    """(pair, None), or (None, reason to leave it out)."""
    english = unicodedata.normalize("NFC", english.strip()).translate(SPELLING)
    romanian = unicodedata.normalize("NFC", romanian.strip()).translate(SPELLING)
    if not english or not romanian:
        return None, "empty"
    if re.search(r"[\n\r\t\v\f]|\\[nt]", english + romanian):
        return None, "more than one line"
    if MARKUP.search(english) or MARKUP.search(romanian):
        return None, "markup"
    sides = without_accelerators(english, romanian), without_accelerators(romanian, english)
    english, romanian = (" ".join(text.split()) for text in sides)
    if placeholders(english) != placeholders(romanian):
        return None, "placeholders differ"
    if english.lower() == romanian.lower():
        return None, "not translated"
    for text in (english, romanian):
        bare = PLACEHOLDER.sub("", text)
        letters = [c for c in bare.lower() if c.isalpha()]
        if len(letters) < 2 or len(letters) + bare.count(" ") < 0.6 * len(bare):
            return None, "mostly symbols"
        if "\ufffd" in text or not LETTERS.issuperset(letters):
            return None, "other script or damaged"
    if max(len(english), len(romanian)) > 400:
        return None, "over 400 characters"
    if max(len(english), len(romanian)) > 10 + 3 * min(len(english), len(romanian)):
        return None, "lengths differ too much"
    return (english, romanian), None


def choose(pairs):
    """Cleans the pairs; {English: most frequent Romanian}, {reason: pairs left out}."""
    votes, dropped = collections.defaultdict(collections.Counter), collections.Counter()
    for english, romanian in pairs:
        pair, reason = clean(english, romanian)
        if pair:
            votes[pair[0]][pair[1]] += 1
        else:
            dropped[reason] += 1
    counts = votes.values()
    dropped["the same pair again"] = sum(sum(count.values()) - len(count) for count in counts)
    dropped["another translation of the string"] = sum(len(count) - 1 for count in counts)
    best = {english: min(count, key=lambda r: (-count[r], r)) for english, count in votes.items()}
    return best, dropped


def split(chosen):
    """{part: pairs}. Strings that differ in case, punctuation or digits only go to the same part."""
    parts = {"train": [], "valid": [], "test": []}
    for english, romanian in sorted(chosen.items(), key=lambda pair: number(pair[0])):
        bare = "".join(c for c in english.lower() if c.isalpha() or c == " ").strip()
        parts[part_of(bare)].append((english, romanian))
    return parts


def report_of(parts, dropped):
    lines = ["Pairs: " + ", ".join(f"{len(pairs)} {part}" for part, pairs in parts.items())]
    reasons = [f"{n} {reason}" for reason, n in sorted(dropped.items()) if n]
    lines.append("Left out: " + ", ".join(reasons))
    words = collections.Counter(len(pair[0].split()) for pairs in parts.values() for pair in pairs)
    groups = {"1": (1, 1), "2": (2, 2), "3": (3, 3), "4-6": (4, 6), "7-9": (7, 9), "10-12": (10, 12),
              "13-20": (13, 20), "21 and more": (21, 400)}
    counts = {group: sum(words[n] for n in range(a, b + 1)) for group, (a, b) in groups.items()}
    lines.append("By English words: " + ", ".join(f"{n} of {group}" for group, n in counts.items()))
    return lines


def make(work, result):
    try:
        versions = with_package_lists(work, ("apt-get", "apt-cache", "dpkg-deb"), "none",
                                      lambda options: download(options, work))
        chosen, dropped = choose(read_packages(work))
    except (tarfile.TarError, struct.error) as error:
        raise Failure(f"a package or catalogue is damaged: {error}") from error
    if not chosen:
        raise Failure("the packages hold no Romanian catalogue that could be used")
    parts = split(chosen)
    report = report_of(parts, dropped)
    for part, pairs in parts.items():
        text = "".join(f"{english}\t{romanian}\n" for english, romanian in pairs)
        (result / f"{part}.tsv").write_text(text, encoding="utf-8")
    packages = "\n".join(f"- {name} {version}" for name, version in versions.items())
    readme = README.format(name=NAME, packages=packages, report="\n".join(report))
    (result / "README.md").write_text(readme, encoding="utf-8")
    return report


if __name__ == "__main__":
    main(lambda: build(NAME, sys.argv[2], ("train.tsv", "valid.tsv", "test.tsv", "README.md"), make))
