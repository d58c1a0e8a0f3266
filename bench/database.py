#!/usr/bin/python3
# needs: restic borgbackup zstd
"""bench/database.py [--hours 24] [--megabytes 300] [--rate 25] [--work DIR] [--tools varve,restic,borg] [--no-limit]

Hourly snapshots of a live database (bench/agentdb.py) while a writer commits to it: per hour time, peak memory and growth of the
repository; then restores of the first and the newest.  Prints Markdown.

- varve snapshots the live database.  restic and borg cannot: they get the image varve captured, as a file that is replaced.
- growth counts every byte of the repository.  `limit` is `zstd -3 --long=27 --patch-from` of the image against the one before.
- commit latency is the writer's, begin to end of a transaction: during captures, and in as long a time before.
- Medians over the hours, the first snapshot apart.  Dirty pages are flushed before each operation.
"""
import argparse
import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def measure(argv, env, log):
    os.sync()
    with open(log, "wb") as out:
        begin = time.monotonic()
        child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        end = time.monotonic()
        child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        with open(log, errors="replace") as f:
            sys.exit("%s: %d\n%s" % (" ".join(argv), child.returncode, f.read()[-2000:]))
    return {"seconds": end - begin, "peak": usage.ru_maxrss * 1024, "begin": begin, "end": end}


def size_of(path):
    total = 0
    for at, _, names in os.walk(path):
        for n in names:
            try:
                total += os.lstat(os.path.join(at, n)).st_size
            except FileNotFoundError:
                pass
    return total


class Varve:
    def __init__(self, work, src):
        self.name, self.work, self.src = "varve", work, src
        self.program = os.path.abspath(os.environ.get("VARVE", "varve"))
        self.repo = work + "/varve-repo"
        self.env = dict(os.environ, VARVE_REPOSITORY=self.repo, VARVE_KEY_FILE=work + "/varve-key")

    def init(self):
        return [self.program, "init", "--key-file", self.work + "/varve-key"]

    def snapshot(self, n):
        return [self.program, "snapshot", self.src]

    def list(self):
        return [self.program, "list"]

    def restore(self, which, target):
        return [self.program, "restore", ("latest:" if which else "latest~%d:" % self.count) + self.src, "--target", target]


class Restic(Varve):
    def __init__(self, work, src):
        super().__init__(work, src)
        self.name, self.program, self.repo = "restic", shutil.which("restic"), work + "/restic-repo"
        self.env = dict(os.environ, RESTIC_REPOSITORY=self.repo, RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=work + "/restic-cache")

    def init(self):
        return [self.program, "init"]

    def snapshot(self, n):
        return [self.program, "backup", "-q", "--tag", "h%d" % n, self.src]

    def list(self):
        return [self.program, "snapshots"]

    def restore(self, which, target):
        return [self.program, "restore", "latest", "--tag", "h%d" % (self.count if which else 0), "--target", target]


class Borg(Restic):
    def __init__(self, work, src, name="borg", chunks=None):
        super().__init__(work, src)
        self.name, self.program, self.repo, self.chunks = name, shutil.which("borg"), "%s/%s-repo" % (work, name), chunks
        self.env = dict(os.environ, BORG_REPO=self.repo, BORG_PASSPHRASE="bench", BORG_BASE_DIR="%s/%s-home" % (work, name),
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")

    def init(self):
        return [self.program, "init", "-e", "repokey-blake2"]

    def snapshot(self, n):
        return [self.program, "create", "-C", "zstd,3"] + (["--chunker-params", self.chunks] if self.chunks else []) + \
            ["::h%d" % n, self.src]

    def restore(self, which, target):
        os.makedirs(target, exist_ok=True)
        os.chdir(target)
        return [self.program, "extract", "::h%d" % (self.count if which else 0)]


class Writer:
    def __init__(self, path, rate, log):
        self.log = log
        self.p = subprocess.Popen([sys.executable, HERE + "/agentdb.py", path, "--writer", str(rate), "--log", log], stdout=subprocess.PIPE)
        self.p.stdout.readline()

    def stop(self):
        self.p.terminate()
        self.p.wait()
        self.p.stdout.close()
        with open(self.log) as f:
            return [tuple(map(float, line.split())) for line in f if line.count(" ") == 1 and line.endswith("\n")]


def p99(values):
    return sorted(values)[int(len(values) * 0.99)] * 1000 if values else float("nan")


def run(a, work):
    live, quiet = work + "/live", work + "/quiet"
    os.mkdir(live)
    os.mkdir(quiet)
    db, image, before = live + "/app.db", quiet + "/app.db", work + "/before"
    agent = [sys.executable, HERE + "/agentdb.py", db]
    subprocess.run(agent + ["--make", "--megabytes", str(a.megabytes)], check=True)
    wanted = a.tools.split(",")
    tools = [t for t in (Varve(work, live), Restic(work, quiet), Borg(work, quiet), Borg(work, quiet, "borg64k", "buzhash,10,18,16,4095"))
        if t.program and (t.name in wanted or t.name == "borg64k" and "borg" in wanted)]
    varve, log = tools[0], work + "/log"
    for t in tools:
        t.count, t.rows = a.hours, []
        subprocess.run(t.init(), env=t.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        t.open = statistics.median(measure(t.list(), t.env, log)["seconds"] for _ in range(3))
    limits, during, without = [], [], []
    for h in range(a.hours + 1):
        if h:
            subprocess.run(agent + ["--hour", str(h)], check=True)
        writer = Writer(db, a.rate, work + "/latency-%d" % h)
        time.sleep(1)
        for t in tools:
            old = size_of(t.repo)
            m = measure(t.snapshot(h), t.env, log)
            m["growth"] = size_of(t.repo) - old
            t.rows.append(m)
            if t is varve:
                time.sleep(0.2)
                for begin, took in writer.stop():
                    inside = begin + took > m["begin"] and begin < m["end"]
                    if h:
                        (during if inside else without).append(took)
                with open(image + ".new", "wb") as f:
                    subprocess.run([t.program, "cat", "latest", db], env=t.env, stdout=f, check=True)
                os.rename(image + ".new", image)
        if h and a.limit:
            p = subprocess.run(["zstd", "-3", "-T1", "--long=27" if a.megabytes <= 120 else "--long=29", "--patch-from=" + before, "-c", "-q", image],
                stdout=subprocess.PIPE, check=True)
            limits.append(len(p.stdout))
        if a.limit:
            shutil.copyfile(image, before)
        print("hour %d: %s%s" % (h, ", ".join("%s %.3f s %d KiB" % (t.name, t.rows[-1]["seconds"], t.rows[-1]["growth"] >> 10) for t in tools),
            ", limit %d KiB" % (limits[-1] >> 10) if limits else ""), file=sys.stderr)
    read = min(read_once(image) for _ in range(3))
    print("# A live database, %d MB, %d hourly snapshots, %g transactions a second meanwhile" % (os.path.getsize(image) / 1e6, a.hours, a.rate))
    print("%s, %d processors\n" % (platform.platform(), os.cpu_count()))
    print("| | open | first | then, median | peak memory | repository first | growth per hour, mean | restore first | newest |")
    print("|---|---|---|---|---|---|---|---|---|")
    for t in tools:
        back = []
        for which in (0, 1):
            took = []
            for _ in range(3):
                shutil.rmtree(work + "/back", ignore_errors=True)
                took.append(measure(t.restore(which, work + "/back"), t.env, log)["seconds"])
            back.append(statistics.median(took))
        os.chdir(work)
        if t is varve and subprocess.run(["cmp", work + "/back/app.db", image]).returncode:
            sys.exit("the newest restored is not the image captured")
        later = t.rows[1:]
        print("| %s | %.3f s | %.2f s | %.3f s | %d MiB | %.1f MiB | %.0f KiB | %.2f s | %.2f s |" % (t.name, t.open, t.rows[0]["seconds"],
            statistics.median(m["seconds"] for m in later), max(m["peak"] for m in later) >> 20, t.rows[0]["growth"] / 1048576,
            statistics.mean(m["growth"] for m in later) / 1024, *back))
    if limits:
        print("\nlimit (zstd -3 --patch-from): %.0f KiB per hour; varve is %.2f of it" % (statistics.mean(limits) / 1024,
            statistics.mean(m["growth"] for m in varve.rows[1:]) / statistics.mean(limits)))
    print("reading and hashing the file once: %.3f s; snapshot %.2f times that" % (read,
        statistics.median(m["seconds"] for m in varve.rows[1:]) / read))
    sound = "pragma integrity_check"
    file, vfs = [statistics.median(measure(argv, varve.env, log)["seconds"] for _ in range(3)) for argv in
        (["sqlite3", "-readonly", image, sound], [varve.program, "sql", "latest", db, sound])]
    print("integrity_check on the file: %.2f s, in the repository: %.2f s" % (file, vfs))
    print("commit latency p99: %.1f ms during captures (%d), %.1f ms without (%d)" % (p99(during), len(during), p99(without), len(without)))


def read_once(path):
    begin = time.monotonic()
    with open(path, "rb", buffering=0) as f:
        buf = bytearray(1 << 20)
        digest = hashlib.blake2b(digest_size=32)
        while n := f.readinto(buf):
            digest.update(memoryview(buf)[:n])
    return time.monotonic() - begin


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--hours", type=int, default=24)
    ap.add_argument("--megabytes", type=int, default=300)
    ap.add_argument("--rate", type=float, default=25)
    ap.add_argument("--work")
    ap.add_argument("--tools", default="varve,restic,borg")
    ap.add_argument("--no-limit", dest="limit", action="store_false")
    a = ap.parse_args()
    with tempfile.TemporaryDirectory(prefix="varve-bench-", dir=a.work or "/var/tmp") as work:
        run(a, work)


main()
