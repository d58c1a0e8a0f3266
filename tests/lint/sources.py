"""The Makefile's lists name every source and test, and the commands of the program each have a test."""
import os
import re

from lintlib import done, files, output, text, verdict

HELPERS = {"tests/cli/lib.sh", "tests/cli/mknasty.sh", "tests/lint/lintlib.py"}


def listed():
    return set(output("make", "-s", "--no-print-directory", "list").split())


def present():
    found = set(files("format", "src", "tools", "fuzz", "tests/unit", "tests/prop", "tests/crash", "tests/fault", ends=(".c",)))
    found |= set(files("tests/cli", ends=(".sh",)))
    found |= set(files("tests/lint", ends=(".py",)))
    return found - HELPERS


def commands():
    """Names in the table: the .name of each struct cmd."""
    for path in files("src/cmd", ends=(".c",)):
        yield from re.findall(r'^const struct cmd \w+ = \{\s*\.name = "([\w-]+)"', text(path), re.M)
    yield from re.findall(r'^\s*\{\s*"([\w-]+)",', text("src/main.c"), re.M)


def untested():
    scripts = "\n".join(text(p) for p in files("tests/cli", ends=(".sh",)))
    scripts = re.sub(r"\b(snap|init_repo)\b", lambda m: "v " + {"snap": "snapshot", "init_repo": "init"}[m.group(1)], scripts)
    names = sorted(set(commands()))
    if not names:
        yield "no command found in src/cmd and src/main.c"
    for name in names:
        if not re.search(r'\b(v|must|lines [\w-]+|varve|"\$VARVE")( -[^\s]+)* %s\b' % re.escape(name), scripts):
            yield "no script in tests/cli runs " + name


makefile = text("Makefile")
verdict("every source on disk is in the Makefile", sorted(present() - listed()))
verdict("the Makefile has at most 200 lines", [] if makefile.count("\n") <= 200 else ["%d" % makefile.count("\n")])
verdict("every command has a test", untested())
verdict("scripts can be run", [p for p in (".ci/run", "tools/demo.sh", "tests/run.py", "tests/deps.sh")
    if not os.access(os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), p), os.X_OK)])
done()
