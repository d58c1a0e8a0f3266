"""Shape limits: a warning at the target, a failure at the limit."""
import re

from lintlib import bare, done, files, text, verdict

LINES, LINES_MAX = 60, 120              # of a function
NESTING, NESTING_MAX = 2, 3             # braces below the function's own
PARAMS, PARAMS_MAX = 6, 8
FILE, FILE_MAX = 500, 700
COLUMNS, COLUMNS_MAX = 100, 160


def functions(path):
    """(name, first line, lines, nesting, parameters) of each; a body begins with "{" in the first column and ends with "}" there."""
    lines = bare(text(path)).split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{" and start is None and i:
            head = i - 1
            while head > 0 and not re.match(r"^[A-Za-z_]\w*\s*\(", lines[head]):
                head -= 1
            signature = " ".join(lines[head:i])
            start, depth, deepest = i, 0, 0
            name = re.match(r"^([A-Za-z_]\w*)", lines[head])
            params = signature.count(",") + 1
        if start is not None:
            for ch in line:
                depth += (ch == "{") - (ch == "}")
                deepest = max(deepest, depth)
            if line.startswith("}"):
                yield name.group(1) if name else "?", start + 1, i - start + 1, deepest - 1, params
                start = None


def width(line):
    return len(line.expandtabs(8))


def main():
    found = {"function": [], "nesting": [], "parameters": [], "file": [], "line": []}
    limits = {"function": (LINES, LINES_MAX), "nesting": (NESTING, NESTING_MAX), "parameters": (PARAMS, PARAMS_MAX),
        "file": (FILE, FILE_MAX), "line": (COLUMNS, COLUMNS_MAX)}
    for path in files("format", "src", "tools", "fuzz"):
        lines = text(path).splitlines()
        if path.endswith(".c"):
            found["file"].append((len(lines), path))
            for name, at, count, nesting, params in functions(path):
                where = "%s:%d %s" % (path, at, name)
                found["function"].append((count, where))
                found["nesting"].append((nesting, where))
                found["parameters"].append((params, where))
        found["line"] += [(width(x), "%s:%d" % (path, i + 1)) for i, x in enumerate(lines)]
    for what, values in found.items():
        target, limit = limits[what]
        over = sorted((v for v in values if v[0] > target), reverse=True)
        verdict("%s: at most %d" % (what, limit), ["%d in %s" % v for v in over if v[0] > limit])
        soft = [v for v in over if v[0] <= limit]
        if soft:
            print("warning: %s over the target of %d: %d, worst %d in %s" % (what, target, len(soft), *soft[0]))
    for path in files("format", "src", "tools", "fuzz", "tests"):
        if re.search(r"[ \t]$", text(path), re.M):
            print("warning: %s has trailing blanks" % path)


main()
done()
