#!/usr/bin/python3
# needs: strace
"""bench/verify.py [--work DIR] [--snapshots N] [--runs N] [--keep]

verify of many snapshots that share nearly everything: 1,000 files of 1 KiB in 10 directories, each snapshot changes one file.  What it
costs at 1, 100, 1,000 ... N snapshots (default 10,000) against the number of distinct directories, which is known: a snapshot makes anew
the one that changed and those above it.  The repository is in memory; medians; figures are printed as Markdown.

Fails unless verify opens each distinct directory exactly once (its own count), and takes for each at most 3 times what the verify of a
single snapshot takes for each of its own.  What is read of their frames is shown besides (strace, one thread, so that nobody reads what
another has at hand): heads come before content, and a base that lies behind a difference on it is fetched for that.
"""
import argparse
import collections
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

DIRS, FILES = 10, 100
BEGIN = 1577836800


def call(argv, env):
    p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        sys.exit("%s: status %d\n%s" % (" ".join(argv[:6]), p.returncode, p.stderr.decode()[-2000:]))
    return p.stdout.decode()


class Bench:
    def __init__(self, work):
        self.varve = os.path.abspath(os.environ.get("VARVE", "./varve"))
        self.work, self.src, self.repo = work, work + "/s", work + "/r"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("VARVE_")}
        self.env.update(VARVE_REPOSITORY=self.repo, VARVE_KEY_FILE=work + "/key", VARVE_STATE_DIR="")
        self.rng = random.Random(1)
        for d in range(DIRS):
            os.makedirs("%s/d%d" % (self.src, d))
            for f in range(FILES):
                self.write(d, f)
        self.above = self.src.count("/") + 1    # the root, and one for each component
        self.made = 0
        call([self.varve, "init", "--key-file", work + "/key"], self.env)

    def write(self, d, f):
        with open("%s/d%d/f%02d" % (self.src, d, f), "w") as out:
            out.write("%0*x" % (1024, self.rng.getrandbits(4096)))

    def snapshots(self, n):
        while self.made < n:
            if self.made:
                self.write(self.rng.randrange(DIRS), self.rng.randrange(FILES))
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BEGIN + 3600 * self.made))
            call([self.varve, "snapshot", "--quiet", "--time", at, self.src], self.env)
            self.made += 1

    def nodes(self):
        return DIRS + self.above + (self.made - 1) * (self.above + 1)

    def verify(self):
        """Wall clock, CPU, and what it says."""
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        out = json.loads(call([self.varve, "verify", "--json"], self.env).splitlines()[-1])
        wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out

    def opened(self):
        """What only opening takes: a command that needs the key and reads nothing."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        call([self.varve, "head"], self.env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def frames(self, path):
        """Where the frames of a pack of directories end; 0 of another pack."""
        with open(path, "rb") as f:
            if f.read(16)[12] != 2:
                return 0
            f.seek(-16, 2)
            return os.path.getsize(path) - int.from_bytes(f.read(4), "little")

    def reads(self):
        """Of frames of directories: their bytes, bytes read, the most often that a byte was read."""
        trace = self.work + "/trace"
        call(["taskset", "-c", "0", "strace", "-f", "-y", "-qq", "-e", "trace=pread64", "-o", trace, self.varve, "verify"], self.env)
        spans = collections.defaultdict(list)
        line = re.compile(r"pread64\(\d+<([^>]*/packs/[^>]*)>.*, (\d+), (\d+)\) = (\d+)")
        halves = {}
        for text in open(trace, errors="replace"):
            pid, rest = text.split(None, 1)
            if rest.rstrip().endswith("<unfinished ...>"):
                halves[pid] = rest.rstrip()[:-len("<unfinished ...>")]
                continue
            if rest.startswith("<..."):
                rest = halves.pop(pid, "") + rest.split("resumed>", 1)[1]
            m = line.search(rest)
            if m:
                spans[m.group(1)].append((int(m.group(3)), int(m.group(4))))
        os.unlink(trace)
        size = read = most = 0
        for path, list_ in spans.items():
            end, edges = self.frames(path), collections.Counter()
            size += max(end - 160, 0)
            for off, n in list_:
                if 160 <= off < end:
                    read += n
                    edges[off] += 1
                    edges[off + n] -= 1
            depth = 0
            for at in sorted(edges):
                depth += edges[at]
                most = max(most, depth)
        return size, read, most


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", default="/dev/shm")
    ap.add_argument("--snapshots", type=int, default=10000)
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--keep", action="store_true", help="leave the repository there")
    args = ap.parse_args()
    work = tempfile.mkdtemp(prefix="bench-verify-", dir=args.work)
    try:
        report(Bench(work), args)
    finally:
        if not args.keep:
            shutil.rmtree(work)


def report(b, args):
    print("| snapshots | distinct directories | opened | seconds | CPU seconds | CPU of each, µs | their frames | read of these |"
          " a byte at most |\n|---|---|---|---|---|---|---|---|---|")
    failed, first = [], None
    for n in [n for n in (1, 100, 1000) if n < args.snapshots] + [args.snapshots]:
        b.snapshots(n)
        runs = [b.verify() for _ in range(args.runs)]
        wall, cpu, out = statistics.median(r[0] for r in runs), statistics.median(r[1] for r in runs), runs[0][2]
        each, start = cpu / b.nodes(), statistics.median(b.opened() for _ in range(args.runs))
        size, read, most = b.reads()
        print("| %d | %d | %d | %.3f | %.3f | %.1f | %.1f MB | %.1f MB | %d times |" % (n, b.nodes(), out["chunks_read"], wall, cpu,
              1e6 * each, size / 1e6, read / 1e6, most))
        print("verify at %d: opening alone %.4f CPU seconds" % (n, start), file=sys.stderr, flush=True)
        first = first or each
        if out["chunks_read"] != b.nodes():
            failed.append("%d directories are opened, there are %d" % (out["chunks_read"], b.nodes()))
        if each > 3 * first:
            failed.append("%.1f µs for each at %d snapshots, %.1f at one" % (1e6 * each, n, 1e6 * first))
    for text in failed:
        print("not as it should be: " + text)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
