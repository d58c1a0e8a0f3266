#!/usr/bin/python3
# needs: linux-source-6.1 restic borgbackup bup zpaq casync zstd rsync
"""bench/tree.py [--tree DIR] [--runs N] [--work DIR] [--tools varve,restic,borg,bup,zpaq,casync,tar] [--json FILE]

A source tree through varve, and through restic, borg, bup, zpaq, casync and tar with zstd, those that are installed: first snapshot,
nothing changed, 47 files changed by a line, restore, list.  Prints Markdown.  The tree is copied to the work directory; nothing else is written to.

What is measured and how:
- The tools take turns, operation by operation, in an order that rotates from run to run; the figures are medians of the runs.
- Seconds are wall clock, CPU is user + system, memory is the peak resident set (wait4); memory below that of the measuring process
  cannot be told, its floor is printed.  Files are in the page cache; dirty pages are flushed before each operation.
- `open` is listing an empty repository: program start, key derivation, lock.  Ratios are given as run and net of each tool's opening.
- varve uses a key file (no key derivation); restic and borg a passphrase in the environment, as they have no key files, zpaq one as an
  argument; bup, casync and tar do not encrypt.  tar has no history: each of its snapshots is a whole archive.
- References, in turn with the tools: `cp -a` of the tree; `find` that stats every file, for "nothing changed"; varve with --jobs 1.
- What was restored is removed at the end of a run, a minute before anything is written again: ext4 passes over inodes that were freed
  less than a minute ago, one by one, and whoever makes files then would pay for those removed before.
- Files younger than a minute are read again by varve: the runs wait until the tree is older than that.
"""
import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

OPS = ["open", "first", "same", "change", "restore", "list"]
TITLES = {"open": "open (list an empty repository)", "first": "first snapshot", "same": "nothing changed", "change": "47 files changed by a line",
    "restore": "restore", "list": "list"}
CHANGED = 47
RACY = 62


def warm(tree):
    """Read everything once: borg drops what it has read from the page cache, and the next tool would pay for it."""
    for at, _, names in os.walk(tree):
        for n in names:
            path = os.path.join(at, n)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    while f.read(1 << 20):
                        pass


def measure(argv, env, cwd):
    """Run it; wall seconds, CPU seconds, peak bytes.  Its output goes to a log beside the work."""
    os.sync()
    log = os.path.join(env["BENCH_WORK"], "log")
    with open(log, "wb") as out:
        begin = time.monotonic()
        child = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        with open(log, errors="replace") as f:
            sys.exit("%s: status %d\n%s" % (" ".join(argv), child.returncode, f.read()[-2000:]))
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}


def tree_bytes(path):
    total = 0
    for at, _, names in os.walk(path):
        total += sum(os.lstat(os.path.join(at, n)).st_size for n in names)
    return total


class Varve:
    name = "varve"

    def __init__(self, work, tree):
        self.program = os.path.abspath(os.environ.get("VARVE", "varve"))
        self.repo, self.key, self.tree = work + "/varve-repo", work + "/varve-key", tree
        self.env = {"VARVE_REPOSITORY": self.repo, "VARVE_KEY_FILE": self.key}

    def wipe(self):
        shutil.rmtree(self.repo, ignore_errors=True)
        if os.path.exists(self.key):
            os.unlink(self.key)

    def version(self):
        return [self.program, "version"]

    def init(self):
        return [self.program, "init", "--key-file", self.key]

    def snapshot(self):
        return [self.program, "snapshot", self.tree]

    def list(self):
        return [self.program, "list"]

    def restore(self, target):
        return [self.program, "restore", "latest:" + self.tree, "--target", target]

    def restored(self, target):
        return target


class Restic(Varve):
    name = "restic"

    def __init__(self, work, tree):
        self.program = shutil.which("restic")
        self.repo, self.cache, self.tree = work + "/restic-repo", work + "/restic-cache", tree
        self.env = {"RESTIC_REPOSITORY": self.repo, "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": self.cache}

    def wipe(self):
        for d in (self.repo, self.cache):
            shutil.rmtree(d, ignore_errors=True)

    def init(self):
        return [self.program, "init"]

    def snapshot(self):
        return [self.program, "backup", "-q", self.tree]

    def list(self):
        return [self.program, "snapshots"]

    def restore(self, target):
        return [self.program, "restore", "latest", "--target", target]

    def restored(self, target):
        return target + self.tree


class Borg(Restic):
    name = "borg"

    def __init__(self, work, tree):
        self.program = shutil.which("borg")
        self.repo, self.cache, self.tree, self.count = work + "/borg-repo", work + "/borg-base", tree, 0
        self.env = {"BORG_REPO": self.repo, "BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": self.cache}

    def version(self):
        return [self.program, "--version"]

    def init(self):
        os.makedirs(self.cache, exist_ok=True)
        return [self.program, "init", "-e", "repokey-blake2"]

    def snapshot(self):
        self.count += 1
        return [self.program, "create", "--compression", "zstd,3", "::s%d" % self.count, self.tree]

    def list(self):
        return [self.program, "list"]

    def restore(self, target):
        os.mkdir(target)
        return [self.program, "extract", "::s%d" % self.count]


def shell(text):
    return ["sh", "-c", text]


class Bup(Restic):
    name = "bup"

    def __init__(self, work, tree):
        self.program = shutil.which("bup")
        self.repo, self.cache, self.tree = work + "/bup-repo", work + "/bup-none", tree
        self.env = {"BUP_DIR": self.repo, "HOME": work}

    def version(self):
        return [self.program, "--version"]

    def snapshot(self):
        return shell("bup index '%s' && bup save -q -n tree '%s'" % (self.tree, self.tree))

    def list(self):
        return [self.program, "ls"]

    def restore(self, target):
        return [self.program, "restore", "-q", "-C", target, "tree/latest%s/." % self.tree]

    def restored(self, target):
        return target


class Zpaq(Restic):
    name = "zpaq"

    def __init__(self, work, tree):
        self.program = shutil.which("zpaq")
        self.repo, self.cache, self.tree = work + "/zpaq-repo", work + "/zpaq-none", tree
        self.env = {}

    def version(self):
        return [self.program]

    def init(self):
        os.mkdir(self.repo)
        return ["true"]

    def call(self, what, *more):
        return [self.program, what, self.repo + "/a.zpaq", *more, "-key", "bench"]

    def snapshot(self):
        return self.call("add", self.tree, "-m1")

    def list(self):
        # An empty archive is none: nothing to open.
        return self.call("list", "-all", "-not", "*?/*") if os.path.exists(self.repo + "/a.zpaq") else None

    def restore(self, target):
        return self.call("extract", self.tree, "-to", target)

    def restored(self, target):
        return target


class Casync(Restic):
    name = "casync"

    def __init__(self, work, tree):
        self.program = shutil.which("casync")
        self.repo, self.cache, self.tree, self.count = work + "/casync-repo", work + "/casync-none", tree, 0
        self.env = {}

    def version(self):
        return [self.program, "--version"]

    def init(self):
        os.mkdir(self.repo)
        return ["true"]

    def snapshot(self):
        self.count += 1
        return [self.program, "make", "--store", self.repo + "/chunks.castr", "%s/%d.caidx" % (self.repo, self.count), self.tree]

    def list(self):
        return None

    def restore(self, target):
        return [self.program, "extract", "--store", self.repo + "/chunks.castr", "%s/%d.caidx" % (self.repo, self.count), target]

    def restored(self, target):
        return target


class Tar(Casync):
    name = "tar"

    def __init__(self, work, tree):
        super().__init__(work, tree)
        self.program = shutil.which("tar") if shutil.which("zstd") else None
        self.repo, self.cache = work + "/tar-repo", work + "/tar-none"

    def snapshot(self):
        self.count += 1
        return shell("tar -C '%s' -cf - . | zstd -q -3 -T0 -o '%s/%d.tar.zst'" % (self.tree, self.repo, self.count))

    def restore(self, target):
        os.mkdir(target)
        return shell("zstd -q -d -c '%s/%d.tar.zst' | tar -C '%s' -xpf -" % (self.repo, self.count, target))


class Bench:
    def __init__(self, options, work, tree):
        self.work, self.tree, self.options = work, tree, options
        self.tools = [t(work, tree) for t in (Varve, Restic, Borg, Bup, Zpaq, Casync, Tar) if t.name in options.tools.split(",")]
        self.tools = [t for t in self.tools if t.program and shutil.which(t.program)]
        self.results = {t.name: {op: [] for op in OPS} for t in self.tools}
        self.bytes = {t.name: {"first": [], "same": [], "change": []} for t in self.tools}
        self.copy, self.walk, self.one, self.touched = [], [], [], time.time()

    def call(self, tool, argv, cwd=None):
        if argv is None:
            return None
        env = {k: v for k, v in os.environ.items() if not k.startswith(("VARVE_", "RESTIC_", "BORG_"))}
        env.update(tool.env if tool else {}, BENCH_WORK=self.work, LC_ALL="C.UTF-8")
        return measure(argv, env, cwd or self.work)

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def note(self, tool, op, figures):
        if figures is None:
            return
        self.results[tool.name][op].append(figures)
        self.say("  %-7s %-8s %8.3f s %8.2f CPU-s %6.0f MB" % (tool.name, op, figures["seconds"], figures["cpu"], figures["peak"] / 1e6))

    def settle(self):
        rest = self.touched + RACY - time.time()
        if rest > 0:
            self.say("  (waiting %d s until the tree is old enough)" % rest)
            time.sleep(rest)

    def snapshots(self, op, order):
        for tool in order:
            before = tree_bytes(tool.repo)
            warm(self.tree)
            self.note(tool, op, self.call(tool, tool.snapshot()))
            self.bytes[tool.name][op].append(tree_bytes(tool.repo) - (before if op != "first" else 0))

    def change(self):
        """Append a line to 47 files, the same in every run; returns what puts them back."""
        chosen = []
        for at, dirs, names in os.walk(self.tree):
            dirs.sort()
            chosen += [os.path.join(at, n) for n in sorted(names) if n.endswith((".c", ".h", ".txt", ".py"))
                and not os.path.islink(os.path.join(at, n))]
        old = []
        for path in random.Random(47).sample(chosen, min(CHANGED, len(chosen))):
            st = os.stat(path)
            old.append((path, st.st_size, (st.st_atime_ns, st.st_mtime_ns)))
            with open(path, "a") as f:
                f.write("/* one more line */\n")
        return old

    def revert(self, old):
        for path, size, times in old:
            os.truncate(path, size)
            os.utime(path, ns=times)
        self.touched = time.time()

    def restores(self, order, compare):
        for tool in order:
            target = "%s/restored-%s" % (self.work, tool.name if tool else "cp")
            if not tool:
                self.copy.append(self.call(None, ["cp", "-a", self.tree, target]))
                continue
            argv = tool.restore(target)
            self.note(tool, "restore", self.call(tool, argv, target if tool.name == "borg" else None))
            if compare:
                same = subprocess.run(["diff", "-r", "--no-dereference", self.tree, tool.restored(target)], stdout=subprocess.DEVNULL).returncode
                self.say("  %-7s the restored tree is %s" % (tool.name, "the same" if same == 0 else "DIFFERENT"))
                if same:
                    sys.exit(1)

    def references(self):
        """A first snapshot of varve by one thread, and a bare walk."""
        tool = Varve(self.work + "/one", self.tree)
        os.mkdir(self.work + "/one")
        self.call(tool, tool.init())
        self.one.append(self.call(tool, tool.snapshot()[:2] + ["--jobs", "1"] + tool.snapshot()[2:]))
        shutil.rmtree(self.work + "/one")
        self.walk.append(self.call(None, ["find", self.tree, "-size", "+1000000M"]))

    def run(self, number):
        turn = number % len(self.tools)
        order = self.tools[turn:] + self.tools[:turn]
        if "varve" in (t.name for t in order):
            self.references()
        for tool in order:
            tool.wipe()
            self.call(tool, tool.init())
            self.note(tool, "open", self.call(tool, tool.list()))
        self.settle()
        self.snapshots("first", order)
        self.snapshots("same", order)
        old = self.change()
        try:
            self.snapshots("change", order)
            everyone = [*self.tools, None]
            turn = number % len(everyone)
            self.restores(everyone[turn:] + everyone[:turn], number == 0)
        finally:
            self.revert(old)
        for tool in order:
            self.note(tool, "list", self.call(tool, tool.list()))
        for name in [t.name for t in order] + ["cp"]:
            shutil.rmtree("%s/restored-%s" % (self.work, name))
        self.touched = time.time()

    def median(self, tool, op, what="seconds"):
        seen = [r[what] for r in self.results[tool.name][op]]
        return statistics.median(seen) if seen else None

    def cell(self, tool, op):
        if self.median(tool, op) is None:
            return "-"
        return "%.3f s, %.2f CPU-s, %.0f MB" % (self.median(tool, op), self.median(tool, op, "cpu"), self.median(tool, op, "peak") / 1e6)

    def report(self, floor):
        names = [t.name for t in self.tools]
        out = ["| median of %d | %s |" % (self.options.runs, " | ".join(names)), "|---" * (len(names) + 1) + "|"]
        for op in OPS:
            cells = [self.cell(t, op) for t in self.tools]
            out.append("| %s | %s |" % (TITLES[op], " | ".join(cells)))
        for op, title in (("first", "repository after the first snapshot"), ("same", "growth, nothing changed"), ("change", "growth, 47 files")):
            cells = ["{:,.0f} bytes".format(statistics.median(self.bytes[t.name][op])) for t in self.tools]
            out.append("| %s | %s |" % (title, " | ".join(cells)))
        out.append("")
        copy = statistics.median(r["seconds"] for r in self.copy)
        out.append("`cp -a` of the tree: %.2f s; restore by %s takes %.2f times that." %
            (copy, names[0], self.median(self.tools[0], "restore") / copy))
        if self.walk:
            walk, one = (statistics.median(r["seconds"] for r in what) for what in (self.walk, self.one))
            out.append("A bare walk: %.3f s; nothing changed takes varve %.2f times that.  First snapshot with `--jobs 1`: %.2f s." %
                (walk, self.median(self.tools[0], "same") / walk, one))
        out.append("A peak of up to %.0f MB may be the measuring process's own." % (floor / 1e6))
        out.append("")
        if len(self.tools) > 1 and names[0] == "varve":
            out += self.ratios()
        return out

    def ratios(self):
        others = self.tools[1:]
        out = ["| times varve's seconds | " + " | ".join("%s as run | %s net of opening" % (t.name, t.name) for t in others) + " |",
            "|---" * (2 * len(others) + 1) + "|"]
        for op in OPS[1:]:
            cells = []
            for t in others:
                mine, its = self.median(self.tools[0], op), self.median(t, op)
                if its is None:
                    cells += ["-", "-"]
                    continue
                mine_net, its_net = mine - self.median(self.tools[0], "open"), its - (self.median(t, "open") or 0)
                cells.append("%.1f" % (its / mine))
                # A difference smaller than the noise of an opening says nothing.
                cells.append("%.1f" % (its_net / mine_net) if mine_net > 0.005 and its_net > 0.005 else "-")
            out.append("| %s | %s |" % (TITLES[op], " | ".join(cells)))
        return out + [""]


def one_line(argv, env=None):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env).stdout.decode(errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def machine(work):
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    fs = one_line(["findmnt", "-no", "FSTYPE", "--target", work])
    return "%s, %d cores, %.0f GiB, Linux %s, %s" % (model, os.cpu_count(), memory, platform.release(), fs)


def find_tree(options, base):
    if options.tree:
        return os.path.abspath(options.tree)
    tree, archive = os.path.join(base, "linux-source-6.1"), "/usr/src/linux-source-6.1.tar.xz"
    if not os.path.isdir(tree):
        if not os.path.exists(archive):
            sys.exit("no tree: install the package linux-source-6.1, or give --tree DIR (make bench-tree TREE=DIR)")
        print("unpacking %s to %s" % (archive, base), file=sys.stderr)
        os.makedirs(base, exist_ok=True)
        subprocess.run(["tar", "-xf", archive, "-C", base], check=True)
    return tree


def main():
    base = os.path.join(os.environ.get("TMPDIR", "/var/tmp"), "varve-bench")
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--tree", default=os.environ.get("TREE"))
    ap.add_argument("--runs", type=int, default=int(os.environ.get("RUNS", "5")))
    ap.add_argument("--work", default=base)
    ap.add_argument("--tools", default="varve,restic,borg,bup,zpaq,casync,tar")
    ap.add_argument("--json", help="all single figures")
    options = ap.parse_args()
    source = find_tree(options, base)
    os.makedirs(options.work, exist_ok=True)
    work = tempfile.mkdtemp(prefix="run-", dir=options.work)
    try:
        tree = os.path.join(work, "tree")
        print("copying %s" % source, file=sys.stderr)
        subprocess.run(["cp", "-a", source, tree], check=True)
        subprocess.run("tar -cf - . | cat >/dev/null", shell=True, cwd=tree, check=True)
        bench = Bench(options, work, tree)
        floor = bench.call(None, ["true"])["peak"]
        for number in range(options.runs):
            bench.say("run %d of %d" % (number + 1, options.runs))
            bench.run(number)
        floor = max(floor, bench.call(None, ["true"])["peak"])
        files = sum(len(names) for _, _, names in os.walk(tree))
        print("# A source tree: %s" % os.path.basename(source))
        print("\n%s files, %s bytes. %s.\n" % ("{:,}".format(files), "{:,}".format(tree_bytes(tree)), machine(work)))
        print("; ".join(one_line(t.version()) for t in bench.tools) + ".")
        print("varve opens with a key file; restic and borg (repokey-blake2, zstd,3) with a passphrase from the environment; zpaq -m1 with one; "
            "bup, casync and tar (zstd -3 -T0) do not encrypt.\n")
        print("\n".join(bench.report(floor)))
        if options.json:
            with open(options.json, "w") as f:
                json.dump({"results": bench.results, "bytes": bench.bytes, "cp": bench.copy}, f, indent=1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
