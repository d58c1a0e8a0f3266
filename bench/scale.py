#!/usr/bin/python3
"""bench/scale.py [--runs 5] [--work DIR] [--bytes 2147483648] [--files 1000000] [--rows 10000000] [--only random,many,index]

Large inputs, against physical limits of the same run.  Prints Markdown.

- random: one file that no compressor helps.  The limit of a first snapshot is what one core can cut, hash and seal (bench/rates.c) times
  the cores; that of a restore is `cp` to the same file system.  The packs are in the page cache, as the source of `cp` is, or none of them is.
- many: FILES files in FILES / 100 directories, and in one directory: time and peak memory of a first snapshot, one when nothing has
  changed, and a restore, which is compared with the source.  One run.
- index: a table of ROWS chunks (bench/bigindex.c): opening, looking up what is there and what is not, and a snapshot of 1,000 new
  chunks, beside the same in an empty repository.

Seconds are wall clock, memory is the peak resident set.  Dirty pages are flushed before each operation.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", os.path.join(os.path.dirname(HERE), "build", "gcc", "release"))


class Repo:
    """A repository of varve in the work directory."""

    def __init__(self, work, name):
        self.program = os.path.abspath(os.environ.get("VARVE", "varve"))
        self.path, self.key = os.path.join(work, name), os.path.join(work, name + "-key")
        self.env = dict(os.environ, VARVE_REPOSITORY=self.path, VARVE_KEY_FILE=self.key)
        self.run("init", "--key-file", self.key)

    def run(self, *args):
        """Seconds, CPU seconds and peak bytes of a command."""
        return measure([self.program, *args], self.env)

    def remove(self):
        shutil.rmtree(self.path)
        os.unlink(self.key)


def measure(argv, env=None):
    os.sync()
    with tempfile.TemporaryFile() as log:
        begin = time.monotonic()
        child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if status:
            log.seek(0)
            sys.exit("%s: %d\n%s" % (" ".join(argv), child.returncode, log.read()[-2000:].decode(errors="replace")))
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}


def cached(folder, wanted):
    """Bring what is in the folder into the page cache, or out of it."""
    os.sync()
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), "rb") as f:
                while wanted and f.read(1 << 20):
                    pass
                if not wanted:
                    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def table(head, rows):
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for r in rows:
        print("| " + " | ".join(r) + " |")
    print(flush=True)


def median(figures, what="seconds"):
    return statistics.median(f[what] for f in figures)


def rates():
    out = subprocess.run([os.path.join(BUILD, "bench", "rates")], stdout=subprocess.PIPE, check=True, text=True).stdout
    return {k: float(v) for k, v in (line.split() for line in out.splitlines())}


def random_file(o, work):
    source, target, copy = (os.path.join(work, n) for n in ("random", "restored", "copy"))
    cores = len(os.sched_getaffinity(0))
    with open(source, "wb") as f:
        for _ in range(o.bytes >> 20):
            f.write(os.urandom(1 << 20))
    first, back, cold, copied, limit = [], [], [], [], []
    for _ in range(o.runs):
        limit.append(rates())
        repo = Repo(work, "random-repo")
        first.append(repo.run("snapshot", source))
        for wanted, times in ((False, cold), (True, back)):
            cached(os.path.join(repo.path, "packs"), wanted)
            times.append(repo.run("restore", "latest:" + source, "--target", target))
            if subprocess.run(["cmp", os.path.join(target, "random"), source]).returncode:
                sys.exit("the restored file is different")
            shutil.rmtree(target)
        copied.append(measure(["cp", source, copy]))
        repo.remove()
        os.unlink(copy)
    os.unlink(source)
    size = o.bytes >> 20 << 20
    rows = []
    for key, what in (("library", "libsodium's"), ("all", "our")):
        most, got = cores * statistics.median(x[key] for x in limit), size / median(first)
        rows.append(["first snapshot", "%.2f s" % median(first), "%.0f MB/s" % (got / 1e6), "%.0f MB" % (median(first, "peak") / 1e6),
            "%.0f MB/s: one core's cutting, hashing, and %s fingerprints and boxes, times %d" % (most / 1e6, what, cores),
            "%.2f" % (got / most)])
    for what, times in (("restore", back), ("restore, packs not in the page cache", cold)):
        got, most = size / median(times), size / median(copied)
        rows.append([what, "%.2f s" % median(times), "%.0f MB/s" % (got / 1e6), "%.0f MB" % (median(times, "peak") / 1e6),
            "%.0f MB/s: cp" % (most / 1e6), "%.2f" % (got / most)])
    print("%d random bytes, medians of %d runs:\n" % (size, o.runs))
    table(["", "time", "rate", "memory", "limit", "of the limit"], rows)


def make_files(root, count, wide):
    per = count if wide else 100
    for k in range((count + per - 1) // per):
        at = root if wide else os.path.join(root, "d%02d" % (k % 100), "e%04d" % (k // 100))
        os.makedirs(at)
        d = os.open(at, os.O_RDONLY)
        for i in range(min(per, count - k * per)):
            f = os.open("f%07d" % i, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=d)
            os.write(f, b"file %d in directory %d\n" % (i, k))
            os.close(f)
        os.close(d)


def many_files(o, work):
    rows = []
    for wide in (False, True):
        source, target = os.path.join(work, "many"), os.path.join(work, "many-restored")
        make_files(source, o.files, wide)
        repo = Repo(work, "many-repo")
        ops = [repo.run("snapshot", source)]
        time.sleep(62 if o.files >= 1000 else 0)        # younger files would be read again
        ops += [repo.run("snapshot", source), repo.run("snapshot", source), repo.run("restore", "latest:" + source, "--target", target)]
        if subprocess.run(["diff", "-rq", "--no-dereference", source, target]).returncode:
            sys.exit("the restored tree is different")
        rows.append(["one directory" if wide else "%d directories" % (o.files // 100)] +
            ["%.1f s, %.0f MB" % (f["seconds"], f["peak"] / 1e6) for f in (ops[0], ops[2], ops[3])])
        repo.remove()
        shutil.rmtree(source)
        shutil.rmtree(target)
    print("%d files of some 30 bytes:\n" % o.files)
    table(["", "first snapshot", "nothing changed", "restore"], rows)


def index(o, work):
    program = os.path.join(BUILD, "bench", "bigindex")
    big, empty = Repo(work, "big"), Repo(work, "empty")
    measure([program, big.path, big.key, "build", str(o.rows)])
    opened, found, missed, peak, added, added_empty = [], [], [], [], [], []
    for n in range(o.runs):
        out = subprocess.run([program, big.path, big.key, "find", str(o.rows), "1000000"], stdout=subprocess.PIPE, check=True, text=True).stdout
        there, absent = (re.search(r"opened in ([\d.]+) us, (\d+) ns", line) for line in out.splitlines())
        opened.append(float(there[1]))
        found.append(1e9 / float(there[2]))
        missed.append(1e9 / float(absent[2]))
        for repo, figures in ((big, added), (empty, added_empty)):
            source = os.path.join(work, "new")
            os.mkdir(source)
            for i in range(1000):
                with open(os.path.join(source, "f%d" % i), "wb") as f:
                    f.write(os.urandom(1000))
            figures.append(repo.run("snapshot", source))
            shutil.rmtree(source)
        peak.append(added[-1]["peak"] - added_empty[-1]["peak"])
    big.remove()
    empty.remove()
    print("An index of %d chunks, medians of %d runs:\n" % (o.rows, o.runs))
    table(["", ""], [
        ["opening", "%.2f ms" % (statistics.median(opened) / 1e3)],
        ["lookups of what is there, one core, from the page cache", "%.0f /s" % statistics.median(found)],
        ["lookups of what is not", "%.0f /s" % statistics.median(missed)],
        ["a snapshot of 1,000 new chunks", "%.3f s" % median(added)],
        ["the same in an empty repository", "%.3f s" % median(added_empty)],
        ["memory, more than in an empty repository", "%.0f MB" % (statistics.median(peak) / 1e6)],
    ])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--work", help="made if it is not there; default: a directory beneath TMPDIR or /var/tmp")
    ap.add_argument("--bytes", type=int, default=2 << 30)
    ap.add_argument("--files", type=int, default=1000000)
    ap.add_argument("--rows", type=int, default=10000000)
    ap.add_argument("--only", default="random,many,index")
    o = ap.parse_args()
    base = o.work or os.environ.get("TMPDIR", "/var/tmp")
    os.makedirs(base, exist_ok=True)
    work = tempfile.mkdtemp(prefix="varve-scale-", dir=base)
    try:
        for name, part in (("random", random_file), ("many", many_files), ("index", index)):
            if name in o.only.split(","):
                part(o, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
