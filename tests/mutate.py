#!/usr/bin/python3
"""mutate.py [--count N] [--seed S] [--only FILE ...] [--list]: do the tests notice a fault in the program?

One small change at a time in the C of commit, prune and restore: a comparison, a constant, a condition turned round, && for ||, + for -,
a statement or a returned failure left out.  Each mutant is compiled alone and takes its object's place in the library; the
tests of its group run, quickest first, until one fails; when all mutants had these, those that are still alive get the long ones.  Unit
tests are linked with LeakSanitizer: what they lose is a failure.  A random sample by seed: as many of each group.  What compiles to the
same code is no mutant; what changes nothing that anybody could see is listed with the reason in tests/mutants.txt, and is left out.

Run in a copy of the tree (--work), at low priority; as root with nothing else of the root file system writable.
The exit status is 0 if at least --share of them were killed.
"""
import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = {
    "commit": (["src/store/%s.c" % s for s in ("session", "packer", "packout", "framejob", "snapshots", "indexbuild")],
        ["unit/test_session", "every 2 session", "every 2 snapshot: next", "every 2 records", "unit/test_settle", "cli/uncounted.sh"],
        ["unit/test_catalogue", "unit/test_bases", "cli/delta.sh", "prop/prop_store 40", "prop/prop_lies 40", "every 12 session", "every 20 snapshot",
            "every 100 snapshot: next"]),
    "prune": (["src/store/%s.c" % s for s in ("settle", "counts", "rewrite", "pick", "fold", "sweep", "sums", "graves", "uncounted")] +
        ["src/ops/prune.c"],
        ["unit/test_rewrite", "unit/test_settle", "every 2 settle", "every 2 prune", "cli/uncounted.sh", "unit/test_session"],
        ["every 12 forget", "every all settle", "prop/prop_store 40", "prop/prop_lies 40", "every 80 prune: drops",
            "every 80 prune: rewrites", "every 30 prune: merges", "cli/prune.sh"]),
    "restore": (["src/ops/%s.c" % s for s in ("restore", "place", "placelink", "placedb", "surplus", "later", "refill")] +
        ["src/store/%s.c" % s for s in ("reader", "fetch", "framebox", "tree", "content")],
        ["unit/test_restore", "every 2 restore", "unit/test_reader", "unit/test_fetch", "unit/test_tree", "cli/inplace.sh",
            "cli/commands.sh", "cli/restoredb.sh", "every 10 restore", "crash/crash_restore 400"],
        ["every 10 ls", "every 10 cat", "every 10 diff", "every 10 verify", "every 60 restore", "unit/test_ahead",
            "cli/verify.sh", "cli/scrub.sh"]),
}
# Run before the others of the group.
OWN = {
    "snapshots": ["every 2 records", "unit/test_catalogue"], "indexbuild": ["unit/test_session", "unit/test_index"], "pick": ["unit/test_pick"], "sums": ["unit/test_pick"],
    "settle": ["unit/test_settle"], "fold": ["unit/test_settle", "unit/test_catalogue"], "sweep": ["unit/test_settle"], "uncounted": ["unit/test_settle"],
    "prune": ["every 2 prune"], "reader": ["unit/test_reader"], "framebox": ["unit/test_reader"], "fetch": ["unit/test_fetch"],
    "tree": ["unit/test_tree"], "content": ["unit/test_tree"],
}
CUT = ["crash_restore", "restore_source", "mirror"]
EVERY = ["every_failure", "every_fixture", "every_reads", "every_repairs", "every_writes", "seam"]
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
    def __init__(self, group, path, function, number, old, new, kind):
        self.group, self.path, self.function, self.number, self.old, self.new, self.kind = group, path, function, number, old, new, kind

    def keys(self):
        """What it is called in tests/mutants.txt: a line that is in many functions is named with its own."""
        what = "%s => %s" % (self.old.strip(), self.new.strip())
        return {"%s: %s" % (self.path, what), "%s %s: %s" % (self.path, self.function, what)}

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
            if int(m.group(1)) + d < 0 or (d > 0 and re.search(r"mem_(grow|new|buf_reserve)\(", blank)):
                continue
            # Of a comparison the sign counts; and qsort() of glibc, which merges, takes "equal" for "less" as well.
            if re.search(r" < .* \? -$", blank[:m.start()]) or (d > 0 and re.search(r" \? -1 : $", blank[:m.start()])):
                continue
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
    heads = [re.match(r"(\w+)\(", line) for line in text.split("\n")]
    lines = text.split("\n")
    for number, line in code_lines(text):
        function = next((m.group(1) for m in reversed(heads[:number]) if m), "")
        for kind, new in changes(line):
            if new != line and not same_at_equal(lines, number, new):
                yield Mutant(group, path, function, number, line, new, kind)


def same_at_equal(lines, number, new):
    """<= for < makes no difference in `if (a < b) a = b;`, nor where a != b was asked for before."""
    m = re.search(r"(\S+) [<>]= (\S+?)( \?|\)$)", new)
    if not m or lines[number] != new.replace("<=", "<").replace(">=", ">"):
        return False
    a, b = m.group(1).lstrip("("), m.group(2)
    return lines[number + 1].strip() == "%s = %s;" % (a, b) or lines[number - 1].strip() == "if (%s != %s)" % (a, b)


def sample(count, seed, only):
    chosen = []
    for group, (paths, _, _) in GROUPS.items():
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
    """Of another run; lines may have moved, or be gone."""
    for group, path, number, old, new in re.findall(r"^(?:survived|alive) \((\w+)\) ([\w/.]+):(\d+):.*\n    - (.*)\n    \+ (.*)$", log, re.M):
        same = [m for m in mutants_of(group, path) if (m.old.strip(), m.new.strip()) == (old, new)]
        if same:
            yield min(same, key=lambda m: abs(m.number + 1 - int(number)))
        else:
            print("# gone: %s: %s" % (path, old))


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


class Tree:
    """A copy of the tree, with what was built; a mutant's object is linked before the library that has the true one."""

    def __init__(self, work):
        self.dir = os.path.join(work, "tree")
        self.o = os.path.join(self.dir, BUILD)
        self.made = os.path.join(work, "made")
        subprocess.run(["rsync", "-a", "--delete", "--exclude", ".git", "--exclude", "build/*/*san", "--exclude", "build/*/cov",
            "--exclude", "build/clang", "--exclude", "fuzz/corpus", TOP + "/", self.dir + "/"], check=True)
        show = "show: ; @" + "; ".join('echo "$(%s)"' % v for v in ("CC", "ALL_CFLAGS", "ALL_LDFLAGS", "PKG_LIBS", "EVERY_WRAP", "CUT_WRAP"))
        out = subprocess.run(["make", "-s", "--eval", show, "PROFILE=" + PROFILE, "CFLAGS=-w -g0", "show"], cwd=self.dir, check=True,
            stdout=subprocess.PIPE, text=True).stdout.split("\n")
        self.cc, self.cflags, self.ldflags, self.libs, every, cut = [line.split() for line in out[:6]]
        self.wrap = {"tests/fault": ["-Wl,--wrap=" + w for w in every], "tests/crash": ["-Wl,--wrap=" + w for w in cut]}
        self.plain, self.cost = {}, {}
        self.library = os.path.join(work, "library.a")
        subprocess.run(["objcopy", "-g", self.o + "/libvarve.a", self.library], check=True)
        self.fence = ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "/bin/sh", "-c", 'mount --make-rprivate / && mount --bind "$0" "$0" && '
            'mount -o remount,bind,ro / && cd "$PWD" && exec "$@"', work]
        if os.geteuid() or subprocess.run(self.fence + ["true"], stderr=subprocess.DEVNULL).returncode:
            self.fence = []

    def compile(self, path, text):
        """Put its object in the place of the mutant's; its bytes, None if it does not compile."""
        text = '#line 1 "%s"\n%s' % (path, text)
        o = os.path.join(os.path.dirname(self.made), os.path.basename(path)[:-2] + ".o")
        p = subprocess.run(self.cc + self.cflags + ["-I" + os.path.dirname(path), "-x", "c", "-c", "-o", o, "-"], cwd=self.dir,
            input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        if p.returncode:
            return None
        shutil.copyfile(self.library, self.made + ".a")
        subprocess.run(["ar", "rsD", self.made + ".a", o], check=True)
        with open(o, "rb") as f:
            return f.read()

    def link(self, target, changed):
        """As the Makefile does: from a library comes only what a test does not have of its own."""
        libs = [self.o + "/libsupport.a", self.made + ".a" if changed else self.library]
        objects, flags = [target], []
        if target == "varve":
            objects = ["src/main"]
        elif target.startswith("tests/fault"):
            objects, flags = ["tests/fault/" + n for n in EVERY], self.wrap["tests/fault"]
        elif target.startswith("tests/crash"):
            objects, flags = ["tests/crash/" + n for n in CUT], self.wrap["tests/crash"]
        else:
            # What the tests find under AddressSanitizer without one.
            flags = ["-fsanitize=leak"]
            if target.endswith("prop_lies"):
                objects.append("tests/fault/every_fixture")
        return subprocess.run(self.cc + self.ldflags + ["-Wl,-S", "-o", self.made] + ["%s/%s.o" % (self.o, n) for n in objects] + flags +
            libs + self.libs + ["-lcmocka"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode == 0

    def argv(self, name):
        """What is to be linked for a test, and how it runs."""
        word = name.split(" ", 2)
        if word[0] == "every":
            return "tests/fault/every_failure", [self.made, word[1], "1", word[2]]
        if word[0].endswith(".sh"):
            return "varve", ["/bin/bash", os.path.join(self.dir, "tests", word[0])]
        return "tests/" + word[0], [self.made] + word[1:]

    def test(self, name, changed=True):
        """Does it pass?"""
        target, argv = self.argv(name)
        if not self.link(target, changed):
            return False
        tmp = tempfile.mkdtemp(prefix="mutant-", dir=os.path.dirname(self.dir))
        env = {k: v for k, v in os.environ.items() if not k.startswith("VARVE")}
        env.update(EVERY_STOP="1", TMPDIR=tmp, HOME=tmp, LC_ALL="C.UTF-8", TZ="UTC", VARVE=self.made, BUILD=self.o, PYTHONDONTWRITEBYTECODE="1")
        with open(self.made + ".log", "wb") as log:
            p = subprocess.Popen(self.fence + argv, cwd=tmp, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        ok = self.wait(p, 10 + 8 * self.cost.get(name, 3)) == 0
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()
        shutil.rmtree(tmp, ignore_errors=True)
        return ok

    def wait(self, p, limit):
        """Its status; None if it has failed already, took too much of a processor, or none at all for a while: threads that wait for each other."""
        used, since, looked = -1.0, time.monotonic(), 0
        while True:
            try:
                return p.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                pass
            with open(self.made + ".log", "rb") as f:
                if re.search(rb"^(not ok|\[  ERROR   \])", f.read(), re.M):
                    return None
            looked += 1
            if looked % 5:
                continue
            now, runs = processes(p.pid)
            if now > used + 0.02 or runs:
                used, since = now, time.monotonic()
            if now > limit or time.monotonic() - since > 15:
                return None

    def judge(self, m, tests):
        """The test that kills it, "" if none does; None: it does not compile; "same": it is the same code."""
        with open(os.path.join(self.dir, m.path)) as f:
            text = f.read()
        if m.path not in self.plain:
            self.plain[m.path] = self.compile(m.path, text)
        lines = text.split("\n")
        lines[m.number] = m.new
        code = self.compile(m.path, "\n".join(lines))
        if code is None:
            return None
        if code == self.plain[m.path]:
            return "same"
        for t in tests:
            if not self.test(t) and (not self.doubtful() or not self.test(t)):
                return t
        return ""

    def doubtful(self):
        """LeakSanitizer says so itself, now and then, when threads end."""
        with open(self.made + ".log", "rb") as f:
            return b"False leaks are possible" in f.read()


def processes(session):
    """Seconds of processor time of those of a session; does one of them want a processor, or a disk?"""
    used, runs = 0.0, False
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                word = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(word[3]) == session:
            used += sum(map(int, word[11:15])) / os.sysconf("SC_CLK_TCK")
            runs = runs or word[0] in "RD"
    return used, runs


def spent():
    return sum(os.times()[:4])


def baseline(tree):
    for test in sorted({t for _, quick, rest in GROUPS.values() for t in quick + rest}):
        begin = spent()
        if not tree.test(test, changed=False):
            sys.exit("mutate.py: %s fails without any change, see %s.log" % (test, tree.made))
        tree.cost[test] = spent() - begin
        print("# %-28s %.1f s" % (test, tree.cost[test]), flush=True)


def ordered(m):
    """The tests of its group, those of its own file first; and the long ones."""
    first = OWN.get(os.path.basename(m.path)[:-2], [])
    return first + [t for t in GROUPS[m.group][1] if t not in first], [t for t in GROUPS[m.group][2] if t not in first]


def trial(tree, m, known, long):
    """The test that kills it, "" if none does, or why it is none."""
    if m.keys() & known.keys():
        return "explained"
    return tree.judge(m, ordered(m)[long])


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--count", type=int, default=300)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--only", nargs="*", default=[], help="files")
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
    tree = Tree(a.work)
    if not a.trust:
        baseline(tree)
    count = {"killed": 0, "survived": 0, "explained": 0, "same code": 0, "not compiled": 0}
    begin = spent()
    alive = []
    # The long ones after all others: what a sample gives is known early, nearly.
    for m, long in [(m, False) for m in chosen] + [(m, True) for m in chosen]:
        if long and m not in alive:
            continue
        by = trial(tree, m, known, long)
        what = {None: "not compiled", "same": "same code", "explained": "explained", "": "survived"}.get(by, "killed")
        if what == "survived" and not long:
            alive.append(m)
            print("alive (%s) %s" % (m.group, m), flush=True)
            continue
        count[what] += 1
        if what == "survived":
            print("survived (%s) %s" % (m.group, m), flush=True)
        elif what == "killed":
            print("killed by %s: %s:%d: %s" % (by, m.path, m.number + 1, m.new.strip()), flush=True)
    tried = count["killed"] + count["survived"]
    share = 100 * count["killed"] / tried if tried else 0
    print("%d mutants: %s; %.1f %% killed; %.1f s of CPU each" % (tried, ", ".join("%d %s" % (n, w) for w, n in count.items()), share,
        (spent() - begin) / max(tried, 1)))
    shutil.rmtree(a.work, ignore_errors=True)
    sys.exit(share < a.share)


if __name__ == "__main__":
    main()
