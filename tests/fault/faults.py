#!/usr/bin/python3
"""Kill the real commands, and let what they ask of the system fail, at every call.

    faults.py kill|calls|memory [--all | --cases N] [--seed S] [--only COMMAND] [--verbose]

  kill    SIGKILL as the command enters its N-th system call; every fourth time, the recovery is killed or failed as well
  calls   the N-th call of a class fails (EIO, ENOSPC, EDQUOT, EINTR, EMFILE, half a transfer), once, or from then on for ever
  memory  the N-th allocation fails, once or for ever

Whatever happens: the command ends by itself within seconds, with an exit status that the manual knows; success is said only
if the result is right; a command that only reads changes nothing; what was there before is there afterwards and restores to
the same tree; and the next commands work without anybody's help.  --all does every N; else a random choice of N cases in all.
"""
import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VARVE = os.environ.get("VARVE", os.path.join(TOP, "varve"))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build/gcc/release"))
MEDDLE = os.path.join(BUILD, "tests/fault/meddle")
STARVE = os.path.join(BUILD, "tests/fault/starve.so")
KNOWN = {0, 1, 2, 3, 4, 10, 11, 12}
SECONDS = 60                            # an order of magnitude more than any of them takes on a busy machine
NO_TRACE = 99
# AddressSanitizer that gets no memory while it makes its symbolizer wants that symbolizer for the report, and waits for its own lock.
STUCK = re.compile(rb"AddressSanitizer failed to allocate.*CHECK failed: [^\n]*unable to mmap[^\n]*\n\Z", re.S)

# (class, errors once, errors for ever)
FAULTS = [
    ("read", ["EIO", "EINTR", "half"], ["EIO", "half"]),
    ("write", ["EIO", "ENOSPC", "EDQUOT", "EINTR", "half"], ["EIO", "ENOSPC", "half"]),
    ("sync", ["EIO", "ENOSPC", "EINTR"], ["EIO"]),
    ("rename", ["EIO", "ENOSPC"], ["EIO", "EDQUOT"]),
    ("open", ["EIO", "EMFILE", "EINTR"], ["EMFILE", "EACCES"]),
    ("mmap", ["ENOMEM"], ["ENOMEM"]),
    ("close", ["EIO", "EINTR"], ["EIO"]),
    ("stat", ["EIO"], ["EIO"]),
    ("dir", ["EIO"], ["EIO"]),
    ("lock", ["EIO", "EINTR"], ["EIO"]),
    ("make", ["EIO", "ENOSPC"], ["ENOSPC"]),
    ("remove", ["EIO"], ["EIO"]),
    ("net", ["EIO", "EINTR"], ["EIO"]),
    ("thread", ["EAGAIN", "ENOMEM"], ["EAGAIN"]),
]


class Wrong(Exception):
    pass


def run(argv, env=None, seconds=SECONDS):
    """(status, stdout, stderr); status 128 + signal as a shell has it."""
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, env=env)
    except subprocess.TimeoutExpired as e:
        if not STUCK.search(e.stderr or b""):
            raise Wrong("no end after %d s" % seconds) from None
        return 134, b"", e.stderr       # as if it had come to its abort
    return (p.returncode if p.returncode >= 0 else 128 - p.returncode), p.stdout, p.stderr


def describe(path):
    """Everything of a tree that a restore brings back; unfinished files of a restore that was killed apart."""
    out = {}
    for top, dirs, names in os.walk(path):
        for name in dirs + [n for n in names if not re.fullmatch(r"\.varve-[0-9a-f]{16}\.tmp", n)]:
            full = os.path.join(top, name)
            st = os.lstat(full)
            what = [stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode)]
            if stat.S_ISLNK(st.st_mode):
                what = [stat.S_IFMT(st.st_mode), os.readlink(full)]
            elif stat.S_ISREG(st.st_mode):
                with open(full, "rb") as f:
                    what += [st.st_mtime_ns, f.read()]
            out[os.path.relpath(full, path)] = what
    return out


def names_of(repo):
    return sorted((os.path.join(t, n), os.path.getsize(os.path.join(t, n))) for t, _, ns in os.walk(repo) for n in ns)


class Bench:
    """A directory with everything the commands are tried on."""

    def __init__(self, top):
        self.top = top
        self.key, self.src, self.two = self.at("key"), self.at("src"), self.at("two")
        self.repo, self.dst, self.note = self.at("repo"), self.at("dst"), self.at("note")
        self.env = dict(os.environ, VARVE_REPOSITORY=self.repo, VARVE_KEY_FILE=self.key, VARVE_STATE_DIR="", TMPDIR=top,
            ASAN_OPTIONS="detect_leaks=0")   # the leak checker cannot work where a process is traced
        self.number = 0

    def at(self, name):
        return os.path.join(self.top, name)

    def varve(self, *args, want=(0,)):
        status, out, err = run([VARVE, *args], self.env)
        if status not in want:
            raise Wrong("varve %s: exit %d: %s" % (" ".join(args), status, err.decode("utf-8", "replace").strip()[-300:]))
        return out

    def fill(self, path, second):
        os.makedirs(os.path.join(path, "a/b"))
        r = random.Random(5)
        for i in range(6):
            with open(os.path.join(path, "a", "f%d" % i), "wb") as f:
                f.write(r.randbytes(700 * i + (50 if second and i == 3 else 0)))
        with open(os.path.join(path, "a/b/large"), "wb") as f:
            f.write(r.randbytes(150000) + (b"more" if second else b""))
        os.symlink("f1", os.path.join(path, "a/link"))
        os.link(os.path.join(path, "a/f1"), os.path.join(path, "a/b/hard"))
        db = sqlite3.connect(os.path.join(path, "db"))
        db.execute("create table t (a integer primary key, b)")
        db.executemany("insert into t (b) values (?)", [("row %d" % i,) for i in range(400 if second else 300)])
        db.commit()
        db.close()
        if second:
            with open(os.path.join(path, "new"), "wb") as f:
                f.write(b"new\n")
        for full in [os.path.join(t, n) for t, ds, ns in os.walk(path) for n in ds + ns]:
            if not os.path.islink(full):
                os.utime(full, ns=(1700000000 * 10 ** 9, 1700000000 * 10 ** 9))

    def prepare(self):
        self.fill(self.src, False)
        self.fill(self.two, True)
        self.varve("init", "--key-file", self.key)
        shutil.copytree(self.repo, self.at("R0"))
        self.varve("snapshot", self.src)
        shutil.copytree(self.repo, self.at("R1"))
        self.varve("snapshot", self.two)
        with open(self.at("passing"), "wb") as f:
            f.write(random.Random(6).randbytes(200000))
        self.varve("snapshot", self.at("passing"), self.src)
        self.varve("snapshot", self.src)
        shutil.copytree(self.repo, self.at("R2"))
        self.varve("forget", self.ids()[2])
        shutil.copytree(self.repo, self.at("R3"))
        self.trees = {"src": describe(self.src), "two": describe(self.two)}

    def ids(self):
        return [s["id"] for s in json.loads(self.varve("list", "--json"))]

    def reset(self, base):
        self.env["VARVE_KEY_FILE"] = self.key
        shutil.rmtree(self.repo, ignore_errors=True)
        shutil.rmtree(self.dst, ignore_errors=True)
        for name in ("key2", "key3"):
            if os.path.exists(self.at(name)):
                os.unlink(self.at(name))
        if base:
            shutil.copytree(self.at(base), self.repo)

    def restores(self, what, tree):
        shutil.rmtree(self.dst, ignore_errors=True)
        self.varve("restore", "%s:%s" % (what, tree), "--target", self.dst)
        if describe(self.dst) != self.trees[os.path.basename(tree)]:
            raise Wrong("%s of %s is not what it was" % (os.path.basename(tree), what))
        shutil.rmtree(self.dst)


class Command:
    """args: the command; base: the repository it starts with; writes: it may change it; tree: what a new snapshot must restore to;
    goes: snapshots of the base that it may remove; told: its output is compared."""

    def __init__(self, name, base, *args, writes=False, tree=None, goes=(), told=False, effect=None):
        self.name, self.base, self.args, self.writes, self.tree = name, base, args, writes, tree
        self.goes, self.told, self.effect = goes, told, effect


def plain(out):
    """Output without what differs from run to run."""
    return re.sub(rb"\b[0-9a-f]{8,}\b|\d+([.,]\d+)? ?(ms|s|KiB/s|MiB/s)\b|\d\d:\d\d(:\d\d)?", b"#", out)


def restored(b):
    if describe(b.dst) != b.trees["two"]:
        raise Wrong("restore said it was done")


def key_opens(name):
    def effect(b):
        b.varve("--key-file", b.at(name), "list")
    return effect


def commands(b):
    r2 = lambda name, *args, **kw: Command(name, "R2", *args, **kw)      # noqa: E731
    return [
        Command("init", None, "init", "--key-file", b.key, writes=True),
        Command("first snapshot", "R0", "snapshot", b.src, writes=True, tree=b.src),
        Command("second snapshot", "R1", "snapshot", b.two, writes=True, tree=b.two),
        r2("forget", "forget", "latest~1", writes=True, goes=(2,)),
        r2("forget and prune", "forget", "--prune", "latest~1", writes=True, goes=(2,)),
        Command("prune and rewrite", "R3", "prune", "--max-unused", "0%", writes=True),
        Command("undelete", "R3", "undelete", "@", writes=True),
        r2("pin", "pin", "latest", writes=True),
        r2("key add", "key", "add", "--new-key-file", b.at("key2"), writes=True, effect=key_opens("key2")),
        r2("key change", "key", "change", "--new-key-file", b.at("key3"), writes=True),
        r2("restore", "restore", "latest~2:" + b.two, "--target", b.dst, effect=restored),
        r2("cat", "cat", "latest~2", os.path.join(b.two, "a/b/large"), told=True),
        r2("list", "list", told=True),
        r2("ls", "ls", "-lR", "latest", told=True),
        r2("find", "find", "f*", told=True),
        r2("diff", "diff", "latest~3:" + b.src, "latest~2:" + b.two, told=True),
        r2("sql", "sql", "latest~2", os.path.join(b.two, "db"), "select count(*), max(b) from t", told=True),
        r2("stats", "stats", told=True),
        r2("key list", "key", "list", told=True),
    ]


class Trial:
    def __init__(self, bench, args):
        self.b, self.a = bench, args
        self.random = random.Random(args.seed)
        self.cases = self.killed = self.compound = self.statuses = 0
        self.statuses = {}

    def argv(self, c):
        return [VARVE, *(self.b.gone if a == "@" else a for a in c.args)]

    def count(self, c, cls):
        self.b.reset(c.base)
        status, out, err = run([MEDDLE, "-c", cls, "-o", self.b.note, "--", *self.argv(c)], self.b.env)
        if status == NO_TRACE:
            print("1..0 # SKIP no ptrace here")
            sys.exit(0)
        if status:
            raise Wrong("exit %d without any fault: %s" % (status, err.decode()))
        with open(self.b.note, encoding="ascii") as f:
            return int(f.read().split()[0]), out

    def count_memory(self, c):
        self.b.reset(c.base)
        status, out, err = run(self.argv(c), dict(self.b.env, LD_PRELOAD=STARVE, STARVE_OUT=self.b.note))
        if status:
            raise Wrong("exit %d without any fault: %s" % (status, err.decode()))
        with open(self.b.note, encoding="ascii") as f:
            return int(f.read()), out

    def recover(self, c, done):
        """What a crash or a failure left is looked at and worked with; done: the command said so."""
        b = self.b
        if c.name == "init":
            status, _, err = run([VARVE, "init", "--key-file", b.key], b.env)
            if status and b"a repository is there already" not in err:
                raise Wrong("init again: exit %d: %s" % (status, err.decode("utf-8", "replace")))
            b.varve("snapshot", b.src)
            b.restores("latest", b.src)
            return
        keys = [b.key] + [b.at(k) for k in ("key2", "key3") if os.path.exists(b.at(k))]
        opens = [k for k in keys if run([VARVE, "--key-file", k, "list"], b.env)[0] == 0]
        if not opens:
            raise Wrong("no key opens it")
        b.env["VARVE_KEY_FILE"] = opens[0]
        have, was = b.ids(), b.base_ids[c.base]
        missing = [i for n, i in enumerate(was) if i not in have and n not in c.goes]
        if missing:
            raise Wrong("snapshots are missing: %s" % " ".join(missing))
        if done and c.tree:
            if len(have) <= len(was):
                raise Wrong("a snapshot was reported that is not there")
            b.restores("latest", c.tree)
        for i in was:
            if i in have:
                b.restores(i, b.tree_of[i])
        b.varve("snapshot", b.two)
        b.restores("latest", b.two)
        b.varve("prune", "--max-unused", "0%")
        b.restores("latest", b.two)
        left = os.listdir(os.path.join(b.repo, "tmp"))
        if left:
            raise Wrong("left in tmp/: %s" % " ".join(left))

    def second_fault(self, c):
        """A fault while the repository is being recovered."""
        n, argv = self.random.randrange(1, 500), [VARVE, "snapshot", self.b.two]
        if self.random.random() < 0.5:
            argv = [VARVE, "prune", "--max-unused", "0%"]
        how = self.random.choice([["-c", "every", "-k"], ["-c", "any", "-e", "EIO"], ["-c", "write", "-e", "ENOSPC", "-f"]])
        if c.name != "init":
            run([MEDDLE, *how, "-n", str(n % 60 if "write" in how else n), "--", *argv], self.b.env)
            self.compound += 1

    def judge(self, c, status, out, err, baseline):
        if status == 134 and b"AddressSanitizer failed to allocate" in err:
            return              # its own memory, not ours
        if status not in KNOWN:
            raise Wrong("exit %d: %s" % (status, err.decode("utf-8", "replace")[-300:]))
        if status and not err and not self.mute:
            raise Wrong("exit %d without a word" % status)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 0 and c.told and plain(out) != plain(baseline):
            raise Wrong("another answer, and exit 0: %s" % out[-200:])
        if status == 0 and c.effect:
            c.effect(self.b)

    def check(self, c, status, out, err, baseline):
        self.judge(c, status, out, err, baseline)
        if c.writes:
            self.recover(c, status == 0)
        elif names_of(self.b.repo) != self.before:
            raise Wrong("a command that reads has changed the repository")

    def begin(self, c):
        b = self.b
        if c.writes or not os.path.exists(b.repo) or c.base != self.base:
            b.reset(c.base)
        shutil.rmtree(b.dst, ignore_errors=True)
        self.base = c.base if not c.writes else ""
        if not c.writes:
            self.before = names_of(b.repo)

    base = before = None
    mute = False

    def kill(self, c, n):
        self.begin(c)
        status, _, err = run([MEDDLE, "-c", "every", "-k", "-n", str(n), "--", *self.argv(c)], self.b.env)
        if status not in (0, 137):
            raise Wrong("exit %d: %s" % (status, err.decode("utf-8", "replace")[-300:]))
        self.killed += status == 137
        if n % 4 == 0 and c.writes:
            self.second_fault(c)
        if c.writes:
            self.recover(c, False)
        elif c.name == "restore":
            self.b.varve(*c.args)
            restored(self.b)

    def fail(self, c, case, baseline):
        cls, error, forever, n = case
        self.mute = cls == "write" and error != "half"  # it may be the message that failed
        how = ["-s"] if error == "half" else ["-e", error]
        self.begin(c)
        status, out, err = run([MEDDLE, "-c", cls, "-n", str(n), *how, *(["-f"] if forever else []), "--", *self.argv(c)], self.b.env)
        self.check(c, status, out, err, baseline)

    def starve(self, c, n, forever, baseline):
        self.begin(c)
        env = dict(self.b.env, LD_PRELOAD=STARVE, STARVE_NTH=str(n), STARVE_FOREVER="01"[forever])
        status, out, err = run(self.argv(c), env)
        self.check(c, status, out, err, baseline)

    def cases_of(self, c):
        """[(how to say it, what to do)], all of them."""
        out = []
        if self.a.what == "kill":
            if not c.writes and c.name != "restore":
                return []
            n, _ = self.count(c, "every")
            return [("kill %d of %d" % (i, n), lambda i=i: self.kill(c, i)) for i in range(1, n + 1)]
        if self.a.what == "memory":
            n, base = self.count_memory(c)
            return [("allocation %d of %d%s" % (i, n, " and all later" if f else ""), lambda i=i, f=f: self.starve(c, i, f, base))
                for i in range(1, n + 1) for f in (False, True)]
        for cls, once, ever in FAULTS:
            n, base = self.count(c, cls)
            for errors, forever in ((once, False), (ever, True)):
                for e in errors:
                    out += [("%s %d of %d: %s%s" % (cls, i, n, e, " for ever" if forever else ""),
                        lambda case=(cls, e, forever, i): self.fail(c, case, base)) for i in range(1, n + 1)]
        return out

    def command(self, number, c, share):
        done = failed = 0
        try:
            cases = self.cases_of(c)
        except Wrong as e:
            print("not ok %d - %s: %s" % (number, c.name, e))
            return
        if not self.a.all:
            cases = self.random.sample(cases, min(share, len(cases)))
        for say, do in cases:
            try:
                done += 1
                do()
            except Wrong as e:
                failed += 1
                self.base = ""
                if failed <= 8:
                    print("# %s: %s: %s" % (c.name, say, str(e).replace("\n", " / ")))
        self.cases += done
        print("%sok %d - %s: %d cases%s" % ("not " if failed else "", number, c.name, done,
            ", %d wrong" % failed if failed else ""))
        sys.stdout.flush()

    def all(self):
        b = self.b
        b.prepare()
        b.base_ids, b.tree_of = {}, {}
        for base in ("R0", "R1", "R2", "R3"):
            b.reset(base)
            b.base_ids[base] = b.ids() if base != "R0" else []
        four = b.base_ids["R2"]
        b.tree_of = {four[0]: b.src, four[1]: b.two, four[2]: b.src, four[3]: b.src}
        b.gone = four[2]
        todo = [c for c in commands(b) if (not self.a.only or c.name == self.a.only) and
            (self.a.what != "kill" or c.writes or c.name == "restore")]
        print("1..%d" % len(todo))
        for i, c in enumerate(todo):
            self.command(i + 1, c, max(1, self.a.cases // len(todo)))
        print("# seed %d: %d cases, %d killed, %d second faults, exit statuses %s" % (self.a.seed, self.cases, self.killed,
            self.compound, " ".join("%d:%d" % kv for kv in sorted(self.statuses.items()))))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("what", choices=["kill", "calls", "memory"])
    ap.add_argument("--all", action="store_true")
    ap.add_argument("--cases", type=int, default=120)
    ap.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    ap.add_argument("--only")
    args = ap.parse_args()
    for name in [n for n in os.environ if n.startswith("VARVE_")]:
        del os.environ[name]
    shm = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    top = tempfile.mkdtemp(prefix="varve-fault-", dir=shm)
    try:
        Trial(Bench(top), args).all()
    finally:
        shutil.rmtree(top, ignore_errors=True)


main()
