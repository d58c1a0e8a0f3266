"""Databases for the tests of capturing.

    dbtool.py make FILE MODE PAGESIZE ROWS     and close
    dbtool.py hold FILE HOW                    open, print "ready", wait for a line on standard input
    dbtool.py mode FILE VERSION                set the journal mode in the header: 1 rollback, 2 WAL
    dbtool.py super FILE NAME                  name a super-journal in its journal
    dbtool.py rows FILE                        integrity_check and number of rows
"""
import os
import random
import sqlite3
import struct
import sys


def make(path, mode, page, rows):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("pragma page_size=%s" % page)
    c.execute("pragma journal_mode=%s" % mode)
    c.execute("create table t(id integer primary key, v blob)")
    rnd = random.Random(1)
    c.execute("begin")
    c.executemany("insert into t(v) values(?)", [(rnd.randbytes(400),) for _ in range(int(rows))])
    c.execute("commit")
    c.close()


def hold(path, how):
    c = sqlite3.connect(path, isolation_level=None)
    if how == "wal":                            # a WAL with content, not checkpointed
        c.execute("pragma wal_autocheckpoint=0")
        c.execute("insert into t(v) values('in the wal')")
    elif how == "exclusive":
        c.execute("pragma locking_mode=exclusive")
        c.execute("insert into t(v) values('locked')")
    elif how == "hot":                          # half a transaction is in the file
        c.execute("pragma cache_size=5")
        c.execute("begin")
        c.execute("pragma user_version=1")      # page 1, too
        c.execute("update t set v = randomblob(400)")
    elif how == "idle":
        c.execute("select count(*) from t").fetchall()
    print("ready", flush=True)
    sys.stdin.readline()
    if how in ("wal", "hot"):
        os._exit(0)                             # as if killed


def mode(path, version):
    """As the header has it: 1 a rollback journal, 2 WAL."""
    with open(path, "r+b") as f:
        f.seek(18)
        f.write(bytes([int(version)]) * 2)


def super_journal(path, name):
    """Name this one at the end of its journal, as a transaction over several databases does."""
    n = os.fsencode(name)
    with open(path + "-journal", "ab") as f:
        f.write(struct.pack(">I", (1 << 30) // 4096 + 1) + n + struct.pack(">II", len(n), sum(n)) + bytes.fromhex("d9d505f920a163d7"))


def rows(path):
    c = sqlite3.connect("file:%s?mode=ro&immutable=1" % path, uri=True)
    print(c.execute("pragma integrity_check").fetchone()[0], c.execute("select count(*) from t").fetchone()[0])


{"make": make, "hold": hold, "mode": mode, "super": super_journal, "rows": rows}[sys.argv[1]](*sys.argv[2:])
