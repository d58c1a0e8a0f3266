#!/usr/bin/python3
"""mutate.py [--count N] [--seed S] [--jobs J] [--only FILE ...] [--list]: do the tests notice a fault in the program?

One small change at a time in the C of commit, prune and restore: a comparison, a constant, a condition turned round, && for ||, + for -,
a statement or a returned failure left out.  Each mutant is compiled alone; the tests of its group run, quickest first, until one
fails.  A random sample by seed: as many of each group.  What compiles to the same code is no mutant; what changes nothing that
anybody could see is listed with the reason in tests/mutants.txt, and is left out.

Run in a copy of the tree (--work), at low priority; as root with nothing else of the root file system writable.  The exit status is 0 if at least --share of them were killed.
"""
import argparse
import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = {
    "commit": (["src/store/%s.c" % s for s in ("session", "packer", "packout", "framejob", "snapshots", "indexbuild")],
        ["unit/test_session", "unit/test_settle", "unit/test_catalogue", "every session", "every snapshot", "prop/prop_store 60",
            "prop/prop_lies 60", "cli/delta.sh"]),
    "prune": (["src/store/%s.c" % s for s in ("settle", "counts", "rewrite", "pick", "fold", "sweep", "sums", "graves", "uncounted")] +
        ["src/ops/prune.c"],
        ["unit/test_settle", "unit/test_rewrite", "unit/test_session", "every settle", "every prune", "prop/prop_store 80",
            "prop/prop_lies 60", "cli/uncounted.sh", "prop/sim_store 40"]),
    "restore": (["src/ops/%s.c" % s for s in ("restore", "place", "later", "refill")] +
        ["src/store/%s.c" % s for s in ("reader", "fetch", "framebox", "tree", "content")],
        ["unit/test_restore", "unit/test_reader", "unit/test_fetch", "unit/test_tree", "every restore", "cli/inplace.sh",
            "cli/commands.sh", "cli/restoredb.sh"]),
}
PROFILE = "release"
BUILD = "build/gcc/" + PROFILE
EQUIVALENT = "tests/mutants.txt"

SWAPS = [
    ("comparison", r"(?<![<>=!-])<(?![<=])", "<="), ("comparison", r"(?<![<>=!])<=", "<"),
    ("comparison", r"(?<![<>=!-])>(?![>=])", ">="), ("comparison", r"(?<![<>=!-])>=", ">"),
    ("comparison", r"==", "!="), ("comparison", r"!=", "=="),
    ("logic", r"&&", "||"), ("logic", r"\|\|", "&&"),
    ("arithmetic", r"(?<=[\w\])]) \+ (?=[\w(])", " - "), ("arithmetic", r"(?<=[\w\])]) - (?=[\w(])", " + "),
    ("arithmetic", r"\+=", "-="), ("arithmetic", r"-=", "+="),
]
NUMBER = re.compile(r"(?<![\w.\"'\[])(\d+)(u|ull|ul)?\b(?![.\"'])")
CONDITION = re.compile(r"^(\t+(?:\} )?(?:else )?if )\((.*)\)( \{)?$")
STATEMENT = re.compile(r"^\t+(?:\(void\)!?)?[\w>.\[\]*&-]+(?:\(.*\)| (?:=|\+=|-=|\|=|&=) .*|\+\+|--);$")
RETURN = re.compile(r"^(\t+(?:.*\)\s)?)return (rc|fail\(.*\)|fail_io\(.*\)|wrong\(.*\));$")


class Mutant:
    def __init__(self, group, path, number, old, new, kind):
        self.group, self.path, self.number, self.old, self.new, self.kind = group, path, number, old, new, kind

    def key(self):
        return "%s: %s => %s" % (self.path, self.old.strip(), self.new.strip())

    def __str__(self):
        return "%s:%d: %s\n    - %s\n    + %s" % (self.path, self.number + 1, self.kind, self.old.strip(), self.new.strip())


def code_lines(text):
    """(number, line) of what is code: no comments, preprocessor, asserts, locks (ThreadSanitizer's), declarations of types."""
    comment, preprocessor, depth, struct = False, False, 0, False
    for number, line in enumerate(text.split("\n")):
        skip = comment or preprocessor or line.lstrip().startswith(("/*", "#", "assert", "static const", "*", "pthread_"))
        if not comment and "/*" in line and "*/" not in line:
            comment = True
        if "*/" in line:
            comment = False
        preprocessor = (preprocessor or line.startswith("#")) and line.endswith("\\")
        if re.match(r"(struct|enum|static const)\b.*\{$", line):
            struct = True
        if not skip and not struct and line.startswith("\t"):
            yield number, line
        if line.startswith("}"):
            struct = False


def changes(line):
    """(kind, new line) for everything that may be changed in it."""
    code = line.split("/*")[0].rstrip()
    tail = line[len(code):]
    blank = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)+\'', lambda m: "~" * len(m.group()), code)
    for kind, pattern, to in SWAPS:
        for m in re.finditer(pattern, blank):
            yield kind, code[:m.start()] + to + code[m.end():] + tail
    for m in NUMBER.finditer(blank):
        for d in (1, -1):
            # More room than needed is nobody's loss.
            if int(m.group(1)) + d >= 0 and not (d > 0 and re.search(r"mem_(grow|new|buf_reserve)\(", blank)):
                yield "constant", code[:m.start()] + str(int(m.group(1)) + d) + (m.group(2) or "") + code[m.end():] + tail
    m = CONDITION.match(code)
    if m and m.group(2).count("(") == m.group(2).count(")"):
        yield "condition turned round", "%s(!(%s))%s" % (m.group(1), m.group(2), m.group(3) or "") + tail
    if STATEMENT.match(code) and code.count("(") == code.count(")"):
        yield "statement left out", re.match(r"\t+", code).group() + ";" + tail
    m = RETURN.match(code)
    if m:
        yield "failure not returned", m.group(1) + "return OK;" + tail


def mutants_of(group, path):
    with open(os.path.join(TOP, path)) as f:
        text = f.read()
    for number, line in code_lines(text):
        for kind, new in changes(line):
            if new != line:
                yield Mutant(group, path, number, line, new, kind)


def sample(count, seed, only):
    chosen = []
    for group, (paths, _) in GROUPS.items():
        all_of = [m for p in paths if not only or p in only for m in mutants_of(group, p)]
        rng = random.Random("%d %s" % (seed, group))
        rng.shuffle(all_of)
        # Constants would be half of them.
        picked, constants = [], 0
        for m in all_of:
            if len(picked) == -(-count // len(GROUPS)):
                break
            if m.kind == "constant":
                if constants * 5 >= count // len(GROUPS):
                    continue
                constants += 1
            picked.append(m)
        chosen += picked
    random.Random(seed).shuffle(chosen)
    return chosen


def survivors(log):
    """Of another run; lines may have moved."""
    for group, path, number, old, new in re.findall(r"^survived \((\w+)\) ([\w/.]+):(\d+):.*\n    - (.*)\n    \+ (.*)$", log, re.M):
        same = [m for m in mutants_of(group, path) if (m.old.strip(), m.new.strip()) == (old, new)]
        if same:
            yield min(same, key=lambda m: abs(m.number + 1 - int(number)))


def equivalents():
    """{mutant: reason}: a line for the mutant, the reason below it, indented."""
    found, last = {}, None
    try:
        with open(os.path.join(TOP, EQUIVALENT)) as f:
            for line in f:
                if line.startswith("\t"):
                    found[last] = (found.get(last, "") + " " + line.strip()).strip()
                elif line.strip() and not line.startswith("#"):
                    last = line.strip()
    except FileNotFoundError:
        pass
    return found


class Copy:
    """A copy of the tree, with what was built."""

    def __init__(self, work, n):
        self.dir = os.path.join(work, "copy%d" % n)
        subprocess.run(["rsync", "-a", "--delete", "--exclude", ".git", "--exclude", "build/*/*san", "--exclude", "build/*/cov",
            TOP + "/", self.dir + "/"], check=True)
        self.make("%s/varve" % BUILD)
        self.text, self.plain = {}, {}
        self.fence = ["unshare", "-m", "-p", "-f", "--kill-child", "/bin/sh", "-c", 'mount --make-rprivate / && mount --bind "$0" "$0" && '
            'mount -o remount,bind,ro / && cd "$PWD" && exec "$@"', work]
        if os.geteuid() or subprocess.run(self.fence + ["true"], stderr=subprocess.DEVNULL).returncode:
            self.fence = []

    def make(self, *targets):
        return subprocess.run(["make", "-s", "PROFILE=" + PROFILE, "CFLAGS=-w -g0 -O1", *targets], cwd=self.dir, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=300)

    def code(self, path):
        """The object file of a source, without what only a debugger reads."""
        o = "%s/%s.o" % (BUILD, path[:-2])
        if self.make(o).returncode:
            return None
        bare = os.path.join(self.dir, "bare.o")
        subprocess.run(["objcopy", "-g", os.path.join(self.dir, o), bare], check=True)
        with open(bare, "rb") as f:
            return f.read()

    def write(self, path, text):
        with open(os.path.join(self.dir, path), "w") as f:
            f.write(text)

    def test(self, name):
        """Does it pass?"""
        word = name.split()
        if word[0] == "every":
            target = BUILD + "/tests/fault/every_failure"
            argv = [os.path.join(self.dir, target), "2", "1", word[1]]
        elif word[0].endswith(".sh"):
            target = BUILD + "/varve"
            argv = ["/bin/bash", os.path.join(self.dir, "tests", word[0])]
        else:
            target = BUILD + "/tests/" + word[0]
            argv = [os.path.join(self.dir, target)] + word[1:]
        if self.make(target).returncode:
            return False
        tmp = tempfile.mkdtemp(prefix="mutant-", dir=os.path.dirname(self.dir))
        env = {k: v for k, v in os.environ.items() if not k.startswith("VARVE")}
        env.update(TMPDIR=tmp, HOME=tmp, LC_ALL="C.UTF-8", TZ="UTC", VARVE=os.path.join(self.dir, BUILD, "varve"),
            BUILD=os.path.join(self.dir, BUILD), PYTHONDONTWRITEBYTECODE="1")
        p = subprocess.Popen(self.fence + argv, cwd=tmp, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            ok = p.wait(timeout=self.limit(name)) == 0
        except subprocess.TimeoutExpired:
            ok = False
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()
        shutil.rmtree(tmp, ignore_errors=True)
        return ok

    def limit(self, name):
        return 240 if name.startswith(("cli", "crash")) else 120

    def judge(self, m, tests):
        """The test that kills it, "" if none does; None: it does not compile; "same": it is the same code."""
        if m.path not in self.text:
            with open(os.path.join(self.dir, m.path)) as f:
                self.text[m.path] = f.read()
            self.plain[m.path] = self.code(m.path)
        lines = self.text[m.path].split("\n")
        lines[m.number] = m.new
        self.write(m.path, "\n".join(lines))
        try:
            code = self.code(m.path)
            if code is None:
                return None
            if code == self.plain[m.path]:
                return "same"
            for t in tests:
                if not self.test(t):
                    return t
            return ""
        finally:
            self.write(m.path, self.text[m.path])


def baseline(copy):
    for test in sorted({t for _, tests in GROUPS.values() for t in tests}):
        begin = time.monotonic()
        if not copy.test(test):
            sys.exit("mutate.py: %s fails without any change" % test)
        print("# %-28s %.1f s" % (test, time.monotonic() - begin), flush=True)


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--count", type=int, default=300)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--jobs", type=int, default=1)
    ap.add_argument("--only", nargs="*", default=[])
    ap.add_argument("--share", type=float, default=85)
    ap.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "varve-mutants"))
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--again", metavar="LOG", help="only those that survived in this output of another run")
    ap.add_argument("--skip", type=int, default=0, help="not the first so many")
    ap.add_argument("--trust", action="store_true", help="do not run all tests without a change first")
    a = ap.parse_args()
    os.nice(10)
    known = equivalents()
    chosen = sample(a.count, a.seed, a.only)[a.skip:]
    if a.again:
        with open(a.again) as f:
            chosen = list(survivors(f.read()))
    if a.list:
        for m in chosen:
            print(m)
        return
    os.makedirs(a.work, exist_ok=True)
    copies = [Copy(a.work, n) for n in range(a.jobs)]
    if not a.trust:
        baseline(copies[0])
    lock = threading.Lock()
    free = list(copies)
    count = {"killed": 0, "survived": 0, "explained": 0, "same code": 0, "not compiled": 0}

    def run(m):
        if m.key() in known:
            return m, "explained"
        with lock:
            copy = free.pop()
        try:
            return m, copy.judge(m, GROUPS[m.group][1])
        finally:
            with lock:
                free.append(copy)

    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        for m, by in pool.map(run, chosen):
            what = {None: "not compiled", "same": "same code", "explained": "explained", "": "survived"}.get(by, "killed")
            count[what] += 1
            if what == "survived":
                print("survived (%s) %s" % (m.group, m), flush=True)
            elif what == "killed":
                print("killed by %s: %s:%d: %s" % (by, m.path, m.number + 1, m.new.strip()), flush=True)
    tried = count["killed"] + count["survived"]
    share = 100 * count["killed"] / tried if tried else 0
    print("%d mutants: %s; %.1f %% killed" % (tried, ", ".join("%d %s" % (n, w) for w, n in count.items()), share))
    shutil.rmtree(a.work, ignore_errors=True)
    sys.exit(share < a.share)


if __name__ == "__main__":
    main()
