#!/usr/bin/python3
# needs:
"""bench/latency.py [--rounds 40] [--megabytes 300] [--from FILE] [--rate 25] [--work DIR]

What a capture costs those who write: commit latency of bench/agentdb.py's writer on a WAL database, in windows with a snapshot and windows
as long without any, in turn, the order within each pair drawn by lot.  Prints Markdown.

- A transaction counts for the window it overlaps; it takes from its begin to the end of its commit.
- `reader` windows hold one read transaction for as long, and read nothing: what SQLite itself makes a writer pay for any reader that
  keeps the WAL from being reset (beyond 1,000 pages each commit tries a checkpoint, and syncs).
- The repository is in --work, too, as on a small server.  One varve snapshot before the first window is not counted.
"""
import argparse
import bisect
import os
import platform
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VARVE = os.path.abspath(os.environ.get("VARVE", "varve"))
KINDS = ("alone", "reader", "snapshot")


def snapshot(env, live):
    begin = time.monotonic()
    subprocess.run([VARVE, "snapshot", live], env=env, stdout=subprocess.DEVNULL, check=True)
    return begin, time.monotonic()


def read_for(db, seconds):
    c = sqlite3.connect("file:%s?mode=ro" % db, uri=True, isolation_level=None)
    begin = time.monotonic()
    c.execute("begin")
    c.execute("select count(*) from sqlite_schema").fetchall()
    time.sleep(seconds)
    c.execute("commit")
    end = time.monotonic()
    c.close()
    return begin, end


def windows(a, env, live, db):
    """(kind, begin, end) of each."""
    got, last = [], snapshot(env, live)
    last = last[1] - last[0]
    for n in range(a.rounds):
        for kind in random.sample(KINDS, len(KINDS)):
            # Who comes next does not pay for what was left to be written.
            time.sleep(0.3)
            if kind == "snapshot":
                begin, end = snapshot(env, live)
                last = end - begin
            elif kind == "reader":
                begin, end = read_for(db, last)
            else:
                begin = time.monotonic()
                time.sleep(last)
                end = time.monotonic()
            got.append((kind, begin, end))
        print("round %d: snapshot %.2f s" % (n + 1, last), file=sys.stderr)
    return got


def at(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] * 1000 if values else float("nan")


def run(a, work):
    live, log = work + "/live", work + "/log"
    os.mkdir(live)
    db = live + "/app.db"
    env = dict(os.environ, VARVE_REPOSITORY=work + "/repo", VARVE_KEY_FILE=work + "/key")
    agent = [sys.executable, HERE + "/agentdb.py", db]
    if a.source:
        shutil.copyfile(a.source, db)
    else:
        subprocess.run(agent + ["--make", "--megabytes", str(a.megabytes)], check=True)
    subprocess.run([VARVE, "init", "--key-file", work + "/key"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    snapshot(env, live)
    writer = subprocess.Popen(agent + ["--writer", str(a.rate), "--log", log], stdout=subprocess.PIPE)
    try:
        writer.stdout.readline()
        time.sleep(1)
        spans = windows(a, env, live, db)
        time.sleep(0.3)
    finally:
        writer.terminate()
        writer.wait()
        writer.stdout.close()
    took = {k: [] for k in KINDS}
    starts = [b for _, b, _ in spans]
    with open(log) as f:
        for begin, seconds in (map(float, x.split()) for x in f if x.endswith("\n")):
            # The window it begins in, or the one that begins before it ends.
            i = bisect.bisect(starts, begin + seconds) - 1
            if i >= 0 and begin < spans[i][2]:
                took[spans[i][0]].append(seconds)
    print("# Commit latency while a database of %d MB is captured, %g transactions a second" % (os.path.getsize(db) / 1e6, a.rate))
    print("%s, %d processors, load %.0f; %d rounds\n" % (platform.platform(), os.cpu_count(), os.getloadavg()[0], a.rounds))
    print("| windows | commits | median, ms | p90 | p99 | most |\n|---|---|---|---|---|---|")
    for k in KINDS:
        v = sorted(took[k])
        print("| %s | %d | %.2f | %.2f | %.2f | %.1f |" % (k, len(v), at(v, 0.5), at(v, 0.9), at(v, 0.99), at(v, 1)))
    print("\np99 with a snapshot: %.2f times that without" % (at(sorted(took["snapshot"]), 0.99) / at(sorted(took["alone"]), 0.99)))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=40)
    ap.add_argument("--megabytes", type=int, default=300)
    ap.add_argument("--from", dest="source")
    ap.add_argument("--rate", type=float, default=25)
    ap.add_argument("--work")
    a = ap.parse_args()
    with tempfile.TemporaryDirectory(prefix="varve-bench-", dir=a.work or "/var/tmp") as work:
        run(a, work)


main()
