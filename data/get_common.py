"""What data/get's scripts share: errors in one line, folders that appear whole, apt's lists."""
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile


class Failure(Exception):
    """What stops a script, in one line."""


def main(call):
    """Runs a script's work; what stops it becomes one line and exit status 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        call()
    except (Failure, OSError) as error:
        sys.exit(f"data/get: {error}")
    except KeyboardInterrupt:
        sys.exit("data/get: interrupted; nothing was kept, call it again")


def build(name, folder, files, make):
    """Makes folder/name, which holds `files` and more, unless it is there; whole or not at all.

    make(work, result) fills the folder `result`, may use the folder `work`, and returns lines to
    print.
    """
    target = pathlib.Path(folder) / name
    if all((target / file).exists() for file in files):
        print(f"{target} is there already")
        return
    if target.exists():
        raise Failure(f"{target} exists but is not complete; move it away first")
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as work:
        result = pathlib.Path(work) / name
        result.mkdir()
        report = make(pathlib.Path(work), result)
        os.sync()
        os.rename(result, target)
        os.chmod(target, 0o755)
        print("\n".join([*report, f"written to {target}"]))


def number(text):
    """A number that depends on the text as if drawn at random, the same everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def part_of(text):
    """train, valid or test, 95 / 2.5 / 2.5 in a hundred texts."""
    share = number(text) % 1000
    return "test" if share < 25 else "valid" if share < 50 else "train"


# ---- apt ----


def run(command, folder):
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, env=environment)


def first_error(done):
    errors = re.findall(r"^[EW]: (.*)", done.stderr, re.M)
    return errors[0].strip() if errors else f"exit status {done.returncode}"


def with_package_lists(work, tools, languages, attempt):
    """What attempt(options of apt) gives by the system's package lists or, where it gives a line
    that says why not, by private ones fetched into the folder `work`."""
    for tool in tools:
        if not shutil.which(tool):
            raise Failure(f"{tool} not found: this set is made from Debian's packages; run this on "
                          "Debian, or copy a folder made there")
    options = ["-o", "APT::Sandbox::User=root",  # the user _apt need not be able to read the folder
               "-o", f"Acquire::Languages={languages}"]
    result = attempt(options)
    if not isinstance(result, str):
        return result
    print(f"{result}; fetching package lists", flush=True)
    state = os.path.join(work, "apt")
    os.makedirs(os.path.join(state, "lists", "partial"))
    os.makedirs(os.path.join(state, "cache", "archives", "partial"))
    options += ["-o", f"Dir::State={state}", "-o", f"Dir::State::lists={state}/lists",
                "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", f"Dir::Cache={state}/cache"]
    update = run(["apt-get", *options, "-q", "update"], work)
    result = attempt(options)
    if not isinstance(result, str):
        return result
    if update.returncode or update.stderr:
        result = "apt-get update: " + first_error(update)
    raise Failure(f"{result}; is there a network connection, and Debian in /etc/apt/sources.list?")
