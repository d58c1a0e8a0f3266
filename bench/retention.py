#!/usr/bin/python3
# needs: restic borgbackup strace
"""bench/retention.py [--work DIR] [--snapshots N] [--hours N] [--compare N] [--runs N] [--tree DIR]

Many snapshots of a small changing tree with a database: what forgetting costs, and what it does not grow with.

- varve: N snapshots (default 10,000) are made one by one by the program itself.  On a copy of the repository at a tenth of them, and at
  the end: forget + prune of one (median of several); what it read (strace); then a random tenth; then a policy.
- A year of hourly snapshots (--hours, default 8,760), pruned every day by the policy: index files, size against a fresh repository that
  holds the same snapshots, list.
- restic and borg, where installed: the same with `--compare` snapshots (default 100), as they make them much more slowly.
- With --tree DIR (a Linux source tree, say): 41 snapshots of a copy of it, by varve and restic in turn.
- Wall-clock seconds, and CPU seconds where it says so; prune runs with its defaults.  Figures are printed as Markdown.
"""
import argparse
import collections
import json
import os
import random
import re
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

POLICY = ["--keep-hourly", "24", "--keep-daily", "14", "--keep-weekly", "8", "--keep-monthly", "12"]


def cpu():
    """Of all children so far, ms."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (used.ru_utime + used.ru_stime)


def call(argv, env):
    begin = time.monotonic()
    p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.monotonic() - begin
    if p.returncode:
        sys.exit("%s: status %d\n%s" % (" ".join(argv[:6]), p.returncode, p.stderr.decode()[-2000:]))
    return took, p.stdout.decode()


def size(path):
    return sum(os.lstat(os.path.join(at, n)).st_size for at, _, names in os.walk(path) for n in names)


class Tree:
    """60 small files and a database of about 1 MiB; a step changes one file and some rows."""

    def __init__(self, path):
        self.path, self.rng, self.step_no = path, random.Random(1), 0
        os.makedirs(path + "/notes")
        for i in range(60):
            self.write(i)
        self.db = sqlite3.connect(path + "/state.db", isolation_level=None)
        self.db.execute("pragma synchronous = off")
        self.db.execute("create table item (id integer primary key, text)")
        self.db.execute("begin")
        for i in range(4000):
            self.db.execute("insert into item values (?, ?)", (i, self.text(200)))
        self.db.execute("commit")

    def text(self, n):
        return "%0*x" % (n, self.rng.getrandbits(4 * n))

    def write(self, i):
        with open("%s/notes/n%02d" % (self.path, i), "w") as f:
            f.write(self.text(self.rng.randrange(500, 4000)))

    def step(self):
        self.step_no += 1
        self.write(self.rng.randrange(60))
        self.db.execute("begin")
        for _ in range(5):
            self.db.execute("update item set text = ? where id = ?", (self.text(200), self.rng.randrange(4000)))
        self.db.execute("commit")


class Varve:
    def __init__(self, work, repo="repo"):
        self.program = os.path.abspath(os.environ.get("VARVE", "varve"))
        self.repo = work + "/" + repo
        self.env = dict(os.environ, VARVE_REPOSITORY=self.repo, VARVE_KEY_FILE=work + "/key", TZ="UTC")

    def run(self, *args):
        return call([self.program] + list(args), self.env)

    def json(self, *args):
        took, out = self.run(*args, "--json")
        return took, json.loads(out.strip().split("\n")[-1])

    def forget_prune(self, ids):
        first, _ = self.run("forget", *ids)
        second, summary = self.json("prune")
        return first, second, summary

    def trace(self, sid):
        """What forget + prune of one reads: kinds of files, how many, bytes."""
        log = self.repo + ".strace"
        for args in (["forget", sid], ["prune"]):
            call(["strace", "-f", "-qq", "-A", "-o", log, "-e", "trace=openat,pread64,getdents64,close", "-y", self.program] + args, self.env)
        files, size_of = collections.defaultdict(set), collections.Counter()
        with open(log, errors="replace") as f:
            for line in f:
                m = re.search(r"pread64\(\d+<([^>]*)>.*= (\d+)$", line) or re.search(r"(?:getdents64)\(\d+<([^>]*)>.*= (\d+)$", line)
                if not m or not m.group(1).startswith(self.repo + "/"):
                    continue
                name = m.group(1)[len(self.repo) + 1:]
                kind = name.split("/")[0]
                if "getdents" in line:
                    kind = "listing of " + name
                elif kind == "index":
                    kind = "tables" if "-" not in name else "segments"
                files[kind].add(name)
                size_of[kind] += int(m.group(2))
        os.unlink(log)
        return {k: (len(files[k]), size_of[k]) for k in sorted(files)}


def measure_one(v, ids, runs):
    """Medians of forget, prune, both, what others wait, and CPU of both in seconds, each of another snapshot."""
    rows, rng = [], random.Random(7)
    v.json("prune")                             # segments that wait are not the forgotten one's
    for sid in rng.sample(ids[1:-1], min(runs, len(ids) - 3)):
        before = cpu()
        first, second, summary = v.forget_prune([sid])
        rows.append((first, second, first + second, summary["seconds_locked"], (cpu() - before) / 1e3))
        ids.remove(sid)
    return [statistics.median(column) for column in zip(*rows)]


def measure_opening(v, path, runs):
    """Medians: what every command that looks for a snapshot has to do."""
    v.run("snapshot", path)
    empty = Varve(os.path.dirname(v.repo), "none")
    empty.env["VARVE_KEY_FILE"] = empty.repo + ".key"
    if not os.path.exists(empty.repo):
        empty.run("init", "--key-file", empty.repo + ".key")
    columns = []
    for _ in range(runs):
        row, used = [], []
        for at, args in ((v, ["list"]), (v, ["list", "--last", "1"]), (v, ["snapshot", path]), (empty, ["list"])):
            before = cpu()
            row.append(at.run(*args)[0])
            used.append((cpu() - before) / 1e3)
        columns.append(row + [used[0], used[3]])
    return [statistics.median(c) for c in zip(*columns)]


def index_files(v):
    return len(os.listdir(v.repo + "/index"))


def copy_of(v, work, name):
    other = Varve(work, name)
    shutil.rmtree(other.repo, ignore_errors=True)
    shutil.copytree(v.repo, other.repo)
    return other


def varve(args, work, tree):
    v, ids, rows = Varve(work), [], []
    v.run("init", "--key-file", work + "/key")
    begin = time.monotonic()
    for n in range(1, args.snapshots + 1):
        tree.step()
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - (args.snapshots - n) * 3600))
        ids.append(v.json("snapshot", "--time", when, tree.path)[1]["snapshot"])
        if n in (args.snapshots // 10, args.snapshots):
            took, at, mine = time.monotonic() - begin, copy_of(v, work, "copy"), list(ids)
            one = measure_one(at, mine, args.runs)
            trace = at.trace(mine[len(mine) // 2])
            rows.append((n, took, at, one, trace, mine, measure_opening(at, tree.path, args.runs)))
            print("| %d | %.0f s | %.1f MB | %d | %.1f ms | %.1f ms | %.1f ms | %.1f ms | %.1f ms |" % (n, took, size(at.repo) / 1e6,
                index_files(at), *(1e3 * x for x in one)), flush=True)
            begin = time.monotonic() - took
    for r in rows:
        print("%d snapshots: list %.1f ms, list --last 1 %.1f ms, snapshot of an unchanged tree %.1f ms, a fresh repository's list %.1f ms; "
            "CPU of list %.1f ms, of a fresh repository's %.1f ms" % (r[0], *(1e3 * x for x in r[6])))
    print("\nforget + prune of one with %d snapshots takes %.2f times as long as with %d, and %.2f times as much CPU.\n" % (rows[-1][0],
        rows[-1][3][2] / rows[0][3][2], rows[0][0], rows[-1][3][4] / rows[0][3][4]))
    print("What it reads (files, bytes):\n\n| | %s |\n|---|%s" % (" | ".join("%d snapshots" % r[0] for r in rows), "---|" * len(rows)))
    for kind in sorted({k for r in rows for k in r[4]}):
        print("| %s | %s |" % (kind, " | ".join("%d, %d" % r[4].get(kind, (0, 0)) for r in rows)))
    at, mine = rows[-1][2], rows[-1][5]
    listed = [s["id"] for s in json.loads(at.run("list", "--json")[1])]
    before = size(at.repo)
    took = at.forget_prune(random.Random(9).sample(listed[:-1], len(listed) // 10))
    print("\nA random tenth: forget %.2f s, prune %.2f s, %.1f MB to %.1f MB (%d chunks, %.1f MB rewritten)." % (took[0], took[1],
        before / 1e6, size(at.repo) / 1e6, took[2]["chunks_removed"], took[2]["bytes_rewritten"] / 1e6))
    seconds, summary = at.json("prune", *POLICY)
    opening, out = at.run("list", "--json")
    after = size(at.repo)
    print("A policy (%s): %.2f s; %d snapshots stay, %.1f MB, %d index files; list takes %.1f ms." % (" ".join(POLICY), seconds,
        len(json.loads(out)), after / 1e6, index_files(at), 1e3 * opening))


def year(args, work, tree):
    v = Varve(work, "year")
    v.run("init", "--key-file", work + "/key-year")
    v.env["VARVE_KEY_FILE"] = work + "/key-year"
    start, most, prunes = time.time() - args.hours * 3600, 0, []
    for n in range(args.hours):
        tree.step()
        v.run("snapshot", "--time", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + n * 3600)), tree.path)
        most = max(most, index_files(v))
        if n % 24 == 23:
            prunes.append(v.run("prune", *POLICY)[0])
    v.run("prune", *POLICY)
    opening, out = v.run("list", "--json")
    fresh, kept = Varve(work, "fresh"), json.loads(out)
    fresh.run("init", "--key-file", work + "/key-fresh")
    fresh.env["VARVE_KEY_FILE"] = work + "/key-fresh"
    for s in kept:
        shutil.rmtree(tree.path)
        v.run("restore", s["id"] + ":" + tree.path, "--target", tree.path)
        fresh.run("snapshot", "--time", s["time"], tree.path)
    fresh.run("prune")
    a, b = size(v.repo), size(fresh.repo)
    print("\n%d hourly snapshots, pruned every day: %d stay, at most %d index files, list %.1f ms, prune %.0f ms (median), %.1f MB; a fresh "
        "repository of the same snapshots has %.1f MB: %.2f times." % (args.hours, len(kept), most, 1e3 * opening,
        1e3 * statistics.median(prunes), a / 1e6, b / 1e6, a / b))


def other(name, args, work, tree):
    program = shutil.which(name)
    if not program:
        return
    repo = work + "/" + name
    env = dict(os.environ, RESTIC_REPOSITORY=repo, RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=work + "/cache", BORG_REPO=repo,
        BORG_PASSPHRASE="bench", BORG_BASE_DIR=work + "/borgbase", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")
    init, snap, forget, prune = {
        "restic": (["init"], lambda n: ["backup", "-q", tree.path], lambda n: ["forget", "-q", n], ["prune", "-q"]),
        "borg": (["init", "-e", "repokey-blake2"], lambda n: ["create", "-C", "zstd,3", "::s%d" % n, tree.path],
            lambda n: ["delete", "::" + n], ["compact"]),
    }[name]
    call([program] + init, env)
    begin = time.monotonic()
    for n in range(args.compare):
        tree.step()
        call([program] + snap(n), env)
    took = time.monotonic() - begin
    if name == "restic":
        ids = [s["id"] for s in json.loads(call([program, "snapshots", "--json"], env)[1])]
    else:
        ids = ["s%d" % n for n in range(args.compare)]
    rows = []
    for sid in random.Random(7).sample(ids[1:-1], 3):
        before = cpu()
        first = call([program] + forget(sid), env)[0]
        rows.append((first, call([program] + prune, env)[0], cpu() - before))
    first, second, used = (statistics.median(c) for c in zip(*rows))
    print("| %s | %d | %.0f s | %.1f MB | %.0f ms | %.0f ms | %.0f ms | %.0f ms |" % (name, args.compare, took, size(repo) / 1e6,
        1e3 * first, 1e3 * second, 1e3 * (first + second), used), flush=True)


def big_tree(args, work):
    """A large tree (--tree), 41 snapshots between which 47 files grow by a line: forget + prune of one, varve and restic in turn."""
    tree, v, rng = work + "/big", Varve(work, "big-varve"), random.Random(3)
    subprocess.run(["cp", "-a", args.tree, tree], check=True)
    names = sorted(os.path.join(at, n) for at, _, files in os.walk(tree) for n in files if n.endswith((".c", ".h")))
    v.env["VARVE_KEY_FILE"] = work + "/key-big"
    v.run("init", "--key-file", work + "/key-big")
    restic = shutil.which("restic")
    env = dict(os.environ, RESTIC_REPOSITORY=work + "/big-restic", RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=work + "/cache-big")
    if restic:
        call([restic, "init"], env)
    for n in range(41):
        for name in rng.sample(names, 47) if n else ():
            with open(name, "a") as f:
                f.write("/* %d */\n" % n)
        v.run("snapshot", tree)
        if restic:
            call([restic, "backup", "-q", tree], env)
    ours = [s["id"] for s in json.loads(v.run("list", "--json")[1])][1:-1]
    theirs = [s["id"] for s in json.loads(call([restic, "snapshots", "--json"], env)[1])][1:-1] if restic else []
    v.run("prune")
    rows = []
    for _ in range(args.runs):
        first, second, _ = v.forget_prune([ours.pop(rng.randrange(len(ours)))])
        row = [first + second]
        if restic:
            row.append(call([restic, "forget", "-q", "--prune", theirs.pop(rng.randrange(len(theirs)))], env)[0])
        rows.append(row)
    print("%s, 41 snapshots: forget + prune of one %s (medians of %d in turn)" % (args.tree, ", ".join(
        "%s %.0f ms" % (name, 1e3 * statistics.median(c)) for name, c in zip(("varve", "restic"), zip(*rows))), args.runs), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--work")
    p.add_argument("--snapshots", type=int, default=10000)
    p.add_argument("--compare", type=int, default=100)
    p.add_argument("--hours", type=int, default=8760)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--tree")
    args = p.parse_args()
    work = tempfile.mkdtemp(prefix="varve-retention-", dir=args.work)
    try:
        print("| snapshots | made in | repository | index files | forget | prune | both | others wait | CPU of both |\n|---|---|---|---|---|---|---|---|---|")
        if args.snapshots:
            varve(args, work, Tree(work + "/tree"))
        if args.tree:
            big_tree(args, work)
        if args.hours:
            year(args, work, Tree(work + "/tree-year"))
        if args.compare:
            print("\n| | snapshots | made in | repository | forget | prune | both | CPU of both |\n|---|---|---|---|---|---|---|---|")
            for name in ("restic", "borg"):
                other(name, args, work, Tree(work + "/tree-" + name))
    finally:
        shutil.rmtree(work)


main()
