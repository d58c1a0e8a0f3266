"""A file includes headers of its own or a lower layer only; format/ is pure; no header includes itself in the end."""
import re

from lintlib import LAYERS, done, files, layer, text, verdict

PURE = {"stdbool.h", "stddef.h", "stdint.h", "string.h"}
TOOLS = {"format", "base", "sys", "codec"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
ORDER = {name: i for i, name in enumerate(LAYERS + ["main"])}


def includes(path, quote):
    return [m.group(2) for m in INCLUDE.finditer(text(path)) if m.group(1) == quote]


def upward():
    for path in files("format", "src"):
        for inc in includes(path, '"'):
            to = inc.split("/")[0]
            if "/" not in inc or to not in ORDER:
                yield "%s includes \"%s\": not root-relative with the layer in view" % (path, inc)
            elif ORDER[to] > ORDER[layer(path)]:
                yield "%s (%s) includes %s (%s)" % (path, layer(path), inc, to)


def impure():
    for path in files("format"):
        for inc in includes(path, "<"):
            if inc not in PURE:
                yield "%s includes <%s>" % (path, inc)


# Fuzz targets that are linked with the whole program.
DEEP = {"fuzz/fuzz_%s.c" % t for t in ("filter", "image", "restore", "text")}


def private():
    for path in sorted(set(files("tools", "fuzz")) - DEEP):
        for inc in includes(path, '"'):
            if "/" in inc and inc.split("/")[0] in ORDER and inc.split("/")[0] not in TOOLS:
                yield "%s includes %s" % (path, inc)


def cycles():
    graph = {}
    for path in files("format", "src", ends=(".h",)):
        graph[path[4:] if path.startswith("src/") else path] = includes(path, '"')
    done_with = set()

    def visit(node, trail):
        if node in trail:
            yield " -> ".join(trail[trail.index(node):] + [node])
        elif node not in done_with:
            for to in graph.get(node, []):
                yield from visit(to, trail + [node])
            done_with.add(node)
    for node in graph:
        yield from visit(node, [])


verdict("includes point to the own or a lower layer", upward())
verdict("format/ includes nothing of the system but four headers", impure())
verdict("tools and fuzz see format, base, sys and codec only", private())
verdict("no include cycles", cycles())
done()
