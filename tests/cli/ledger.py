#!/usr/bin/python3
"""Captures of a ledger that is being written to; every image must be a state that was committed.

    ledger.py --captures N [--seed S]      one database after another: journal modes, page sizes, checkpoint storms, VACUUM, kill -9
    ledger.py --lockstep N                 two databases written by transactions numbered alike: each snapshot at most one apart
    ledger.py --work FILE MODE PAGE SEED   the writer itself

In the ledger transfers keep a sum constant and row i of the log depends on row i - 1.  Prints TAP.  Uses $VARVE in a repository of its own.
"""
import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

VARVE = os.environ.get("VARVE", "./varve")
ACCOUNTS, SUM = 200, 200 * 1000
MODES = ["wal", "delete", "truncate", "persist", "memory"]
PAGES = [512, 4096, 65536]


def link(prev, i):
    return hashlib.sha1(("%s/%d" % (prev, i)).encode()).hexdigest()


def make(path, mode, page):
    c = sqlite3.connect(path, isolation_level=None, timeout=30)
    c.execute("pragma page_size=%d" % page)
    c.execute("pragma journal_mode=%s" % mode)
    c.execute("create table account(id integer primary key, balance integer)")
    c.execute("create table log(i integer primary key, link text, filler blob)")
    c.execute("begin")
    c.executemany("insert into account values(?, 1000)", [(i,) for i in range(ACCOUNTS)])
    c.execute("insert into log values(0, ?, null)", (link("", 0),))
    c.execute("commit")
    c.close()


def work(path, mode, page, seed):
    """Commits until killed."""
    rnd = random.Random(seed)
    c = sqlite3.connect(path, isolation_level=None, timeout=30)
    c.execute("pragma journal_mode=%s" % mode)
    c.execute("pragma synchronous=off")
    c.execute("pragma cache_size=20")
    c.execute("pragma wal_autocheckpoint=%d" % rnd.choice([1, 50, 1000]))
    print("ready", flush=True)
    while True:
        n = rnd.random()
        try:
            if n < 0.01:
                c.execute("vacuum")
            elif n < 0.06:
                c.execute("pragma wal_checkpoint(%s)" % rnd.choice(["truncate", "restart", "full"])).fetchall()
            c.execute("begin immediate")
            i, last = c.execute("select i, link from log order by i desc limit 1").fetchone()
            for k in range(rnd.choice([1, 1, 5, 40])):
                i, last = i + 1, link(last, i + 1)
                c.execute("insert into log values(?, ?, ?)", (i, last, os.urandom(rnd.choice([10, 300, 3000]))))
                a, b, amount = rnd.randrange(ACCOUNTS), rnd.randrange(ACCOUNTS), rnd.randrange(100)
                c.execute("update account set balance = balance - ? where id = ?", (amount, a))
                c.execute("update account set balance = balance + ? where id = ?", (amount, b))
            if i > 4000:
                c.execute("update log set filler = null where i < ?", (i - 500,))
            c.execute("commit")
        except sqlite3.OperationalError as e:
            if "locked" not in str(e):
                raise
            if c.in_transaction:
                c.execute("rollback")


def verify(path):
    """What is wrong with an image; None: nothing."""
    c = sqlite3.connect(path)
    try:
        got = c.execute("pragma integrity_check").fetchall()
        if got != [("ok",)]:
            return "integrity_check: %s" % got[0][0]
        total = c.execute("select sum(balance) from account").fetchone()[0]
        if total != SUM:
            return "sum is %s" % total
        prev = ""
        for n, (i, text) in enumerate(c.execute("select i, link from log order by i")):
            if i != n or text != link(prev, i):
                return "log row %d" % n
            prev = text
    except sqlite3.DatabaseError as e:
        return str(e)
    finally:
        c.close()
    return None


def varve(*args, ok=(0,)):
    p = subprocess.run([VARVE] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode not in ok:
        raise SystemExit("varve %s: %d %s" % (args[0], p.returncode, p.stderr.decode()))
    return p


def image(path, out):
    with open(out, "wb") as f:
        subprocess.run([VARVE, "cat", "latest", path], stdout=f, check=True)


def parts(path):
    """Content and mtime of what may not change."""
    got = {}
    for suffix in ("", "-wal", "-journal"):
        try:
            with open(path + suffix, "rb") as f:
                got[suffix] = (hashlib.sha1(f.read()).hexdigest(), os.fstat(f.fileno()).st_mtime_ns)
        except FileNotFoundError:
            pass
    return got


class Writer:
    def __init__(self, path, mode, page, seed):
        self.p = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--work", path, mode, str(page), str(seed)],
            stdout=subprocess.PIPE)
        self.p.stdout.readline()

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


def fresh(path):
    for suffix in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)


def captures(count, seed, tmp):
    rnd = random.Random(seed)
    print("# seed %d" % seed)
    src = os.path.join(tmp, "src")
    os.mkdir(src)
    path, img = os.path.join(src, "ledger.db"), os.path.join(tmp, "image")
    combos = [(m, p) for m in MODES for p in PAGES]
    each = max(1, count // len(combos))
    good = touched = raw = 0
    for n in range(count):
        if n % each == 0 and combos:
            mode, page = combos.pop(0)
            if n:
                writer.kill()
            fresh(path)
            make(path, mode, page)
            writer = Writer(path, mode, page, n)
        # Without a journal a database whose writer is killed is lost, whoever copies it.
        if mode != "memory" and rnd.random() < 0.25:
            # Killed in the middle: a hot journal, or a WAL nobody has open.
            time.sleep(rnd.random() * 0.05)
            writer.kill()
            before = parts(path)
            p = varve("snapshot", src, "--json")
            touched += before != parts(path)
            writer = None
        else:
            p = varve("snapshot", src, "--json", ok=(0, 3))
        raw += p.returncode == 3
        if p.returncode == 3:
            why = [x for x in p.stderr.decode().splitlines() if "unverified" in x] or p.stderr.decode().splitlines()
            print("# capture %d, %s, page size %d: %s" % (n, mode, page, why[0]), flush=True)
        if p.returncode == 0:
            image(path, img)
            wrong = verify(img)
            good += wrong is None
            if wrong:
                print("# capture %d, %s, page size %d: %s" % (n, mode, page, wrong))
        if writer is None:
            writer = Writer(path, mode, page, rnd.randrange(1 << 30))
    writer.kill()
    print("# %d images checked, %d not captured because of locks" % (good, raw))
    return [("every image of %d is a state that was committed" % count, good + raw == count),
        ("nearly all could be captured", raw <= 9 + count // 20),
        ("the database and its WAL or journal were not touched", touched == 0)]


def lockstep(count, tmp):
    src = os.path.join(tmp, "pair")
    os.mkdir(src)
    names = [os.path.join(src, x) for x in ("a.db", "b.db")]
    for x in names:
        c = sqlite3.connect(x)
        c.execute("pragma journal_mode=wal")
        c.execute("create table t(n integer primary key, filler blob)")
        c.close()
    pid = os.fork()
    if pid == 0:
        try:
            both = [sqlite3.connect(x, isolation_level=None, timeout=30) for x in names]
            n = 0
            while True:
                n += 1
                for c in both:
                    c.execute("pragma synchronous=off")
                    c.execute("insert into t values(?, ?)", (n, b"x" * 100))
                    c.execute("delete from t where n < ?", (n - 2000,))
                time.sleep(0.0005)
        finally:
            os._exit(1)
    apart = atomic = 0
    time.sleep(0.2)
    try:
        for n in range(count):
            out = varve("snapshot", src, "--json").stdout.decode().splitlines()
            dbs = [json.loads(x) for x in out if '"type":"database"' in x]
            atomic += len(dbs) == 2 and all(d["one_instant"] for d in dbs)
            seen = []
            for x in names:
                image(x, os.path.join(tmp, "image"))
                c = sqlite3.connect(os.path.join(tmp, "image"))
                seen.append(c.execute("select max(n) from t").fetchone()[0])
                c.close()
            # a is written first.
            if seen[0] - seen[1] not in (0, 1):
                apart += 1
                print("# snapshot %d: %s" % (n, seen))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print("# %d of %d at one instant" % (atomic, count))
    return [("two databases in lock step differ by the transaction in flight at most", apart == 0),
        ("and are recorded as cut at one instant", atomic == count)]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--captures", type=int, default=0)
    ap.add_argument("--lockstep", type=int, default=0)
    ap.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    ap.add_argument("--work", nargs=4)
    a = ap.parse_args()
    if a.work:
        work(a.work[0], a.work[1], int(a.work[2]), int(a.work[3]))
    results = []
    with tempfile.TemporaryDirectory() as tmp:
        os.environ["VARVE_REPOSITORY"], os.environ["VARVE_KEY_FILE"] = os.path.join(tmp, "repo"), os.path.join(tmp, "key")
        varve("init", "--key-file", os.path.join(tmp, "key"))
        if a.captures:
            results += captures(a.captures, a.seed, tmp)
        if a.lockstep:
            results += lockstep(a.lockstep, tmp)
    for n, (name, ok) in enumerate(results):
        print("%s %d - %s" % ("ok" if ok else "not ok", n + 1, name))
    print("1..%d" % len(results))
    sys.exit(0 if all(ok for _, ok in results) else 1)


main()
