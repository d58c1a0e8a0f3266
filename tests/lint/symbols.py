"""What the objects show: export prefixes, purity of format/, no mutable globals."""
import re

from lintlib import LAYERS, done, objects, output, plain_build, skip, verdict

# Modules cut in several files: the stem of the file, and the module whose names it may also export.
SPLIT = {
    "content": "tree",
}
# Mutable file-scope data that there is: the error note of each thread, and the flag that a signal handler sets.
MUTABLE = {"err", "signals"}
COMPILER = re.compile(r"^(__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__mem\w+_chk|mem(cpy|move|set|cmp|chr))$")


def stranger(stem, symbol):
    return not any(symbol == p or symbol.startswith(p + "_") for p in (stem, SPLIT.get(stem, stem)))


def exports():
    for stem, _, obj in objects(*LAYERS):
        for line in output("nm", "-g", "--defined-only", obj).splitlines():
            symbol = line.split()[-1]
            if stranger(stem, symbol):
                yield "%s.c exports %s" % (stem, symbol)


def impure():
    stems = [stem for stem, _, _ in objects("format")]
    for stem, _, obj in objects("format"):
        for line in output("nm", "-u", obj).splitlines():
            symbol = line.split()[-1]
            if not COMPILER.match(symbol) and not any(symbol.startswith(s + "_") for s in stems):
                yield "format/%s.c needs %s" % (stem, symbol)


def mutable():
    for stem, _, obj in objects("main", *LAYERS):
        if stem in MUTABLE:
            continue
        for line in output("objdump", "-t", obj).splitlines():
            m = re.match(r"^\S+ ......O (\.data|\.bss|\.tdata|\.tbss|\*COM\*)(\S*)\s+\S+\s+(.*)$", line)
            if m and not m.group(2).startswith(".rel.ro"):
                yield "%s.c has %s" % (stem, m.group(3))


if plain_build():
    verdict("foo.c exports foo_* only", exports())
    verdict("format/ calls itself and mem* only", impure())
    verdict("no mutable file-scope data", mutable())
else:
    skip("symbols", "instrumented build")
done()
