"""Common ground of the lint programs: where things are, and how a verdict is printed (TAP)."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build", "gcc", "release"))
LAYERS = ["format", "base", "sys", "codec", "store", "source", "ops", "cmd"]
verdicts = []


def files(*folders, ends=(".c", ".h")):
    """Paths below TOP, sorted."""
    found = []
    for folder in folders:
        for at, dirs, names in os.walk(os.path.join(TOP, folder)):
            dirs.sort()
            found += [os.path.relpath(os.path.join(at, n), TOP) for n in names if n.endswith(ends)]
    return sorted(found)


def text(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def layer(path):
    """format/x.c -> format, src/store/y.h -> store, src/main.c -> main, anything else its first folder."""
    parts = path.split("/")
    if parts[0] != "src":
        return parts[0]
    return parts[1] if len(parts) > 2 else "main"


def bare(source):
    """C without comments and literals; line numbers stay."""
    def blank(m):
        s = m.group(0)
        return '""' if s[0] == '"' else "0" if s[0] == "'" else "\n" * s.count("\n") or " "
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, source, flags=re.S)


def objects(*layers):
    """(stem, layer, path) of the built objects of these layers."""
    for path in files("format", "src", ends=(".c",)):
        if layer(path) in layers:
            obj = os.path.join(BUILD, path[:-2] + ".o")
            if os.path.exists(obj):
                yield os.path.basename(path)[:-2], layer(path), obj


def output(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, cwd=TOP).stdout.decode("utf-8", "replace")


def plain_build():
    """Sanitizers and coverage add symbols of their own: symbols are judged in plain builds only."""
    return os.path.basename(BUILD) in ("release", "debug")


def verdict(name, problems):
    problems = list(problems)
    verdicts.append(not problems)
    print("%s %d - %s" % ("not ok" if problems else "ok", len(verdicts), name))
    for p in problems:
        print("# " + p)


def skip(name, why):
    verdicts.append(True)
    print("ok %d - %s # SKIP %s" % (len(verdicts), name, why))


def done():
    print("1..%d" % len(verdicts))
    sys.exit(0 if all(verdicts) else 1)
