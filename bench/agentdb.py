#!/usr/bin/python3
"""bench/agentdb.py FILE --make [--megabytes N]       the state of an agent platform, about 300 MB
   bench/agentdb.py FILE --hour N                     what an hour does to it
   bench/agentdb.py FILE --writer RATE [--log LOG]    small transactions, RATE a second, until killed

One SQLite database in WAL mode: messages with a full-text index (FTS5), embeddings, a key-value table whose keys are chosen with a heavy
tail, runs whose status is updated, a hash-chained audit log.  Text is drawn from documents of this machine in pieces of 48 bytes, so that what
is new is as compressible as text is, but is not found as a whole in what is old.  An hour is 200 messages, 100
embeddings, 600 updates, 50 runs, 500 audit rows; every twelfth one deletes 400 old messages.  The writer logs, for every transaction, the
time of its begin and the seconds its commit took.
"""
import argparse
import bisect
import hashlib
import itertools
import os
import random
import signal
import sqlite3
import sys
import time

SCHEMA = """
create table message(id integer primary key, thread integer, role text, created integer, body text);
create index message_thread on message(thread, created);
create virtual table message_text using fts5(body, content='message', content_rowid='id');
create table embedding(message integer primary key, vector blob);
create table kv(key text primary key, value text, updated integer) without rowid;
create table run(id integer primary key, thread integer, status text, started integer, finished integer, output text);
create index run_status on run(status, started);
create table audit(id integer primary key, at integer, actor text, action text, hash text);
"""
KEYS = 40000
DIMENSIONS = 1536


def documents():
    """Some megabytes of text of this machine."""
    texts, total = [], 0
    for top in ("/usr/lib/python3", "/usr/lib/python3.11", "/usr/include", "/usr/share/doc", "/usr/share/perl"):
        for at, dirs, names in os.walk(top):
            dirs.sort()
            for n in sorted(names):
                if total > 24 << 20:
                    return "".join(texts)
                if n.endswith((".py", ".h", ".txt", ".md", ".html", "copyright", ".pl", ".pm")):
                    try:
                        with open(os.path.join(at, n), encoding="utf-8") as f:
                            texts.append(f.read(200000))
                            total += len(texts[-1])
                    except (OSError, UnicodeDecodeError):
                        pass
    return "".join(texts)


class Agent:
    def __init__(self, path, seed):
        self.c = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.c.execute("pragma journal_mode=wal")
        self.c.execute("pragma synchronous=normal")
        self.r = random.Random(seed)
        self.text = documents()
        weights = list(itertools.accumulate(1 / (i + 1) for i in range(KEYS)))
        self.weights, self.top = weights, weights[-1]
        self.now = 1700000000

    def words(self, least, most):
        n = self.r.randrange(least, most)
        out, total = [], 0
        while total < n:
            at = self.r.randrange(len(self.text))
            out.append(self.text[at:at + 48])
            total += 48
        return "".join(out)[:n]

    def vector(self):
        return self.r.randbytes(2 * DIMENSIONS)

    def message(self):
        body = self.words(200, 2600)
        cur = self.c.execute("insert into message(thread, role, created, body) values(?,?,?,?)",
            (self.r.randrange(2000), self.r.choice(["user", "assistant", "tool"]), self.now, body))
        self.c.execute("insert into message_text(rowid, body) values(?,?)", (cur.lastrowid, body))
        return cur.lastrowid

    def embedding(self, message):
        self.c.execute("insert or replace into embedding values(?,?)", (message, self.vector()))

    def key(self):
        return "key/%05d" % (bisect.bisect(self.weights, self.r.random() * self.top) * 7919 % KEYS)

    def update(self):
        self.c.execute("insert into kv values(?,?,?) on conflict(key) do update set value=excluded.value, updated=excluded.updated",
            (self.key(), self.words(40, 600), self.now))

    def run(self):
        cur = self.c.execute("insert into run(thread, status, started) values(?,'queued',?)", (self.r.randrange(2000), self.now))
        self.c.execute("update run set status='running' where id=?", (cur.lastrowid,))
        self.c.execute("update run set status=?, finished=?, output=? where id=?",
            (self.r.choice(["done", "done", "failed"]), self.now + 5, self.words(100, 1500), cur.lastrowid))

    def audit(self):
        last = self.c.execute("select hash from audit order by id desc limit 1").fetchone()
        action = self.words(20, 80)
        h = hashlib.sha256((str(last) + action).encode()).hexdigest()
        self.c.execute("insert into audit(at, actor, action, hash) values(?,?,?,?)", (self.now, "agent%d" % self.r.randrange(9), action, h))

    def make(self, megabytes):
        self.c.executescript(SCHEMA)
        parts = megabytes / 300
        self.c.execute("begin")
        for k in range(KEYS):
            self.c.execute("insert into kv values(?,?,?)", ("key/%05d" % k, self.words(40, 600), self.now))
        for i in range(int(62000 * parts)):
            n = self.message()
            if i % 2 == 0:
                self.embedding(n)
            if i % 4 == 0:
                self.run()
            for _ in range(3):
                self.audit()
            if i % 5000 == 4999:
                self.c.execute("commit")
                self.c.execute("begin")
        self.c.execute("commit")
        self.c.execute("pragma wal_checkpoint(truncate)").fetchall()

    def hour(self, n):
        self.now += 3600 * n
        todo = [self.message] * 200 + [self.update] * 600 + [self.run] * 50 + [self.audit] * 500
        self.r.shuffle(todo)
        newest = self.c.execute("select max(id) from message").fetchone()[0]
        todo += [lambda k=k: self.embedding(newest - k) for k in range(100)]
        for i in range(0, len(todo), 10):
            self.c.execute("begin immediate")
            for f in todo[i:i + 10]:
                f()
            self.c.execute("commit")
        if n % 12 == 0:
            old = self.c.execute("select id, body from message order by id limit 400").fetchall()
            self.c.execute("begin immediate")
            for i, body in old:
                self.c.execute("insert into message_text(message_text, rowid, body) values('delete',?,?)", (i, body))
                self.c.execute("delete from message where id=?", (i,))
                self.c.execute("delete from embedding where message=?", (i,))
            self.c.execute("commit")

    def writer(self, rate, log):
        signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
        due = time.monotonic()
        print("ready", flush=True)
        with open(log, "a") as f:
            while True:
                begin = time.monotonic()
                self.c.execute("begin immediate")
                self.update()
                self.audit()
                self.c.execute("commit")
                f.write("%.6f %.6f\n" % (begin, time.monotonic() - begin))
                f.flush()
                due += 1 / rate
                time.sleep(max(0, due - time.monotonic()))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("file")
    ap.add_argument("--make", action="store_true")
    ap.add_argument("--megabytes", type=int, default=300)
    ap.add_argument("--hour", type=int)
    ap.add_argument("--writer", type=float)
    ap.add_argument("--log", default="/dev/null")
    a = ap.parse_args()
    agent = Agent(a.file, (a.hour or 0) + (12345 if a.writer else 0))
    if a.make:
        agent.make(a.megabytes)
    if a.hour is not None:
        agent.hour(a.hour)
    if a.writer:
        agent.writer(a.writer, a.log)


main()
