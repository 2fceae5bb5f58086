#!/usr/bin/python3
r"""Builds the book: the chapters of docs/lessons and the reference pages of docs as HTML.

usage: book.py PROGRAM OUT      PROGRAM is build/retort, which computes what the plots show

A chapter is pandoc's markdown with two additions. Twenty lines of this repository are included, so
that they cannot drift, by an empty code block: `from` is the only line that contains the text, `to`
the first later line that begins with it (default "}"), `until` the one before which the snippet ends:

    ```{.cpp include="kernels/softmax.h" from="struct Softmax {" to="};"}
    ```

An image plots/NAME.svg is drawn by the function NAME of docs/lessons/plots*.py, which gets a
program.Program and returns a matplotlib Figure.

A line `    build/tests/run "NAME"` names a TEST_CASE, `"NAME*"` one that begins so. To Catch2 a comma
parts two of them; one that is in a name is written `\,`.

What is wrong, a snippet, a test's name, a plot, a link or an anchor, is one line each and exit status 1.
"""
import concurrent.futures
import html.parser
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import matplotlib.style

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program

HERE = pathlib.Path(__file__).resolve().parent
KATEX = pathlib.Path("/usr/share/javascript/katex")
INCLUDE = re.compile(r'^```\{\.(\w+) include="([^"]+)" from="([^"]+)"(?: (to|until)="([^"]+)")?\}$')
TEST = re.compile(r'^    build/(?:simt/)?tests/run (?:"(.+)"(?: +#.*)?$)?', re.M)
TEXT = r'"((?:[^"\\]|\\.)*)"'
TEST_CASE = re.compile(rf"\bTEST_CASE\(\s*((?:{TEXT}\s*)+)")
PLOT = re.compile(r"\]\(plots/([\w-]+)\.svg\)")
STYLE = {"svg.hashsalt": "retort", "figure.facecolor": "none", "axes.facecolor": "none",
         "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
         "font.size": 10, "lines.linewidth": 2, "figure.constrained_layout.use": True,
         # Okabe and Ito's colours, which a colour-blind reader can tell apart.
         "axes.prop_cycle": matplotlib.cycler(color=["#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                     "#56b4e9", "#e69f00", "#000000"])}


class Problem(Exception):
    """What is wrong with a page, in one line."""


class Found(html.parser.HTMLParser):
    """Anchors of a page, and what it links to and shows."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.targets = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src"):
                self.targets.append(value)


class Page:
    """One page: `source` beside the root of the tree, `out` beside that of the book."""

    def __init__(self, root, source):
        self.source = source
        folder, name = os.path.split(source)
        self.lesson = folder == "docs/lessons"
        self.out = ("index.html" if self.lesson and name == "README.md" else
                    os.path.relpath(source, "docs/lessons" if self.lesson else "docs")[:-3] + ".html")
        self.text = (root / source).read_text(encoding="utf-8")
        heading = re.search(r"^# (.+)$", self.text, re.M)
        if not heading:
            raise Problem(f"{source}: no title; begin it with \"# \"")
        self.title = heading[1]

    def at(self, position):
        """File and line of a place in the source, for errors."""
        return f"{self.source}:{self.text.count(chr(10), 0, position) + 1}"

    def find(self, target):
        return self.at(max(0, self.text.find(target)))


def snippet(root, path, begin, kind, end):
    """The lines of a file from the only one that contains `begin`: their text and numbers."""
    if not (root / path).is_file():
        raise Problem(f"no file {path}")
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    first = [i for i, line in enumerate(lines) if begin in line]
    if len(first) != 1:
        raise Problem(f"{len(first) or 'no'} lines of {path} contain \"{begin}\"; give one that is its only one")
    last = next((i for i in range(first[0] + 1, len(lines)) if lines[i].startswith(end)), None)
    if last is None:
        raise Problem(f"no line of {path} after line {first[0] + 1} begins with \"{end}\"")
    last += kind == "to"
    taken = lines[first[0]:last]
    # Directives stand at the margin wherever they are.
    indent = min(len(line) - len(line.lstrip()) for line in taken if line and line[0] != "#")
    return "\n".join(line if line[:1] == "#" else line[indent:] for line in taken), first[0] + 1, last


def with_snippets(root, page):
    """The page's text with its snippets in it, each under the name of its file."""
    done, lines = [], page.text.split("\n")
    up = os.path.relpath(".", os.path.dirname(page.source))
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if line.startswith("```{") and "include=" in line and not match:
            raise Problem(f"{page.source}:{number}: expected ```{{.cpp include=\"FILE\" from=\"TEXT\" to=\"TEXT\"}}")
        if not match:
            done.append(line)
            continue
        language, path, begin, kind, end = match.groups()
        if lines[number:number + 1] != ["```"]:
            raise Problem(f"{page.source}:{number}: an included block is empty: end it on the next line")
        try:
            code, first, last = snippet(root, path, begin, kind or "to", end or "}")
        except Problem as problem:
            raise Problem(f"{page.source}:{number}: {problem}") from None
        lines[number] = "~" * 12
        done += [f"[{path}, lines {first} to {last}]({up}/{path}){{.source}}", "",
                 "~" * 12 + f"{{.{language}}}", code]
    return "\n".join(done)


def check_tests(root, pages):
    """Every test that a page runs is one."""
    names = set()
    for path in sorted((root / "tests").rglob("*.cpp")):
        for match in TEST_CASE.finditer(path.read_text(encoding="utf-8")):
            names.add(re.sub(r"\\(.)", r"\1", "".join(re.findall(TEXT, match[1]))))
    for page in pages:
        for match in TEST.finditer(page.text):
            if not match[1]:
                raise Problem(f"{page.at(match.start())}: expected build/tests/run \"NAME\"")
            for part in re.split(r"(?<!\\),", match[1]):
                name = re.sub(r"\\(.)", r"\1", part.strip())
                if name not in names and not (name[-1:] == "*" and any(n.startswith(name[:-1]) for n in names)):
                    hint = "; a comma parts names, \\, is one in a name" if part != match[1] else ""
                    raise Problem(f"{page.at(match.start())}: no TEST_CASE \"{name}\" in tests{hint}")


def draw(root, out, program, pages):
    """Draws the plots that the pages show."""
    functions = {}
    for path in sorted((root / "docs/lessons").glob("plots*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        functions.update(vars(module))
    (out / "plots").mkdir()
    for page in pages:
        for match in PLOT.finditer(page.text):
            name = match[1]
            if not callable(functions.get(name)):
                raise Problem(f"{page.at(match.start())}: docs/lessons/plots*.py has no function {name}")
            try:
                with matplotlib.style.context(STYLE):
                    functions[name](program).savefig(out / f"plots/{name}.svg", metadata={"Date": None})
            except Exception as error:  # whatever it is, it is the plot's
                raise Problem(f"{page.at(match.start())}: plot {name}: {type(error).__name__}: {error}") from error


def render(root, out, pages, page, text):
    """Writes a page, its links turned from files of the tree to pages; what was linked to."""
    chapters = [p for p in pages if p.lesson]
    near = {}
    if page in chapters:
        at = chapters.index(page)
        for key, other in (("previous", at - 1), ("next", at + 1)):
            if 0 <= other < len(chapters):
                near |= {key: chapters[other].out, key + "-title": chapters[other].title}
    # Columns: a table of longer lines would get widths by its dashes.
    command = ["pandoc", "--template", HERE / "page.html", "--to", "html5", "--katex=book:katex/",
               "--wrap=preserve", "--columns=10000",
               "--from", "markdown+gfm_auto_identifiers" if page.lesson else "gfm-tex_math_dollars",
               "-V", f"pagetitle={page.title}"]
    for item in near.items():
        command += ["-V", "=".join(item)]
    made = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if made.returncode or made.stderr:
        raise Problem(f"{page.source}: pandoc: {(made.stderr or 'failed').strip()}")
    outputs, links = {p.source: p.out for p in pages}, []

    def turned(match):
        target = html.unescape(match[2])
        path, _, anchor = target.partition("#")
        own = path.startswith("book:")  # the template's, beside the book's root
        if re.match(r"[a-z]+:", path) and not own:
            return match[0]
        file = os.path.normpath(os.path.join(os.path.dirname(page.source), path)) if path else page.source
        if own:
            place = out / path[5:]
        elif file in outputs:
            place = out / outputs[file]
        elif file.startswith(("docs/lessons/plots/", "docs/images/")):
            place = out / os.path.relpath(file, "docs/lessons" if "plots" in file else "docs")
        else:
            place = root / file
        links.append((target, place, anchor))
        there = os.path.relpath(place, (out / page.out).parent) if path else ""
        return f'{match[1]}="{html.escape(there + ("#" + anchor if anchor else ""))}"'

    body = re.sub(r'\b(href|src)="([^"]*)"', turned, made.stdout)
    (out / page.out).parent.mkdir(parents=True, exist_ok=True)
    (out / page.out).write_text(body, encoding="utf-8")
    return Found(body).ids, links


def build(root, out, run):
    """Builds the book beside `out` and renames it; the problems found: none, or `out` is as it was."""
    root, final = root.resolve(), out.resolve()
    out = final.with_name(final.name + ".new")
    chapters = sorted((root / "docs/lessons").glob("[0-9]*.md"))
    reference = sorted((root / "docs").glob("*.md")) + sorted((root / "docs/results").glob("*.md"))
    problems = []
    try:
        pages = [Page(root, str(p.relative_to(root)))
                 for p in [root / "docs/lessons/README.md", *chapters, *reference]]
        texts = [with_snippets(root, page) for page in pages]
        check_tests(root, pages)
        for title, part in (("Lessons", chapters), ("Reference", reference)):
            names = {str(p.relative_to(root)) for p in part}
            texts[0] += f"\n\n## {title}\n\n" + "".join(
                f"{'1.' if title == 'Lessons' else '-'} [{p.title}]({os.path.relpath(p.source, 'docs/lessons')})\n"
                for p in pages if p.source in names)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        shutil.copy(HERE / "style.css", out)
        shutil.copytree(KATEX, out / "katex", ignore=shutil.ignore_patterns("*.mjs", "contrib", "katex.js", "katex.css"))
        if (root / "docs/images").is_dir():
            shutil.copytree(root / "docs/images", out / "images")
        with tempfile.TemporaryDirectory(prefix="retort-book-") as folder:
            draw(root, out, Program(root, run, folder), pages)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            rendered = list(pool.map(lambda p: render(root, out, pages, *p), zip(pages, texts)))
    except Problem as problem:
        return [str(problem)]
    anchors = {out / page.out: ids for page, (ids, _) in zip(pages, rendered)}
    for page, (_, links) in zip(pages, rendered):
        for target, place, anchor in links:
            if not place.exists():
                problems.append(f"{page.find(target)}: link to {target}: no such file")
            elif anchor and anchor not in anchors.get(place, ()):
                problems.append(f"{page.find(target)}: link to {target}: no such heading there")
    if not problems:
        shutil.rmtree(final, ignore_errors=True)
        out.rename(final)
    return problems


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    wrong = build(HERE.parent.parent, pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[1]).resolve())
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"the book: {pathlib.Path(sys.argv[2]) / 'index.html'}")
    sys.exit(bool(wrong))
