#!/usr/bin/python3
"""tests/coverage.py BUILD [FILE ...]: which lines and branches the tests ran.

BUILD is the directory of a build with PROFILE=cov whose tests were run.  With files, the lines and branches of these that were
never run are listed; without, a table of all.
"""
import collections
import glob
import json
import os
import subprocess
import sys

GROUPS = ["format", "src/store", "src/ops", "src/codec", "src/source", "src/sys", "src/base", "src/cmd"]


def load(build):
    """source -> line -> (times run, [times each branch was taken])"""
    found = collections.defaultdict(dict)
    for notes in glob.glob(build + "/**/*.gcno", recursive=True):
        counts = notes[:-4] + "gcda"
        if not os.path.exists(counts):
            continue
        out = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", counts], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, check=True).stdout
        for text in out.splitlines():
            for f in json.loads(text)["files"]:
                for line in f["lines"]:
                    taken = [b["count"] for b in line["branches"] if not b["throw"]]
                    old = found[os.path.normpath(f["file"])].get(line["line_number"], (0, []))
                    if len(old[1]) == len(taken):
                        taken = [a + b for a, b in zip(old[1], taken)]
                    found[os.path.normpath(f["file"])][line["line_number"]] = (old[0] + line["count"], taken)
    return found


def sums(lines):
    branches = [n for _, taken in lines.values() for n in taken]
    return [len(lines), sum(1 for n, _ in lines.values() if n), len(branches), sum(1 for n in branches if n)]


def percent(part, whole):
    return "%5.1f" % (100 * part / whole) if whole else "    -"


def row(name, s):
    print("| %-28s | %6d | %s | %6d | %s |" % (name, s[0], percent(s[1], s[0]), s[2], percent(s[3], s[2])))


def table(found):
    print("| file | lines | run, % | branches | taken, % |\n|---|---|---|---|---|")
    for group in GROUPS:
        total = [0] * 4
        for name in sorted(n for n in found if n.startswith(group + "/") and n.endswith(".c")):
            row(name, sums(found[name]))
            total = [a + b for a, b in zip(total, sums(found[name]))]
        row("**%s**" % group, total)


def missing(found, name):
    with open(name) as f:
        text = f.read().split("\n")
    for number, (times, taken) in sorted(found[name].items()):
        if not times:
            what = "never run"
        elif 0 in taken:
            what = "%d of %d ways" % (sum(1 for n in taken if n), len(taken))
        else:
            continue
        print("%s:%d: %s: %s" % (name, number, what, text[number - 1].strip()))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found = load(sys.argv[1])
    if not found:
        sys.exit("coverage.py: nothing was run in " + sys.argv[1])
    for name in sys.argv[2:]:
        missing(found, name)
    if len(sys.argv) == 2:
        table(found)


if __name__ == "__main__":
    main()
