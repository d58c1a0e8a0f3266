"""Databases for sql.sh and sqldiff.sh: mkdb.py FILE PAGE_SIZE JOURNAL_MODE; a second day: mkdb.py FILE."""
import random
import sqlite3
import sys

WORDS = "varve layer silt clay spring melt lake basin core year count thin dark light band winter".split()


def text(r, n):
    return " ".join(r.choice(WORDS) for _ in range(n))


def first_day(path, page_size, journal):
    r = random.Random(page_size)
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = %d" % page_size)
    db.execute("PRAGMA journal_mode = %s" % journal)
    db.executescript("""
        CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, score REAL, data BLOB);
        CREATE TABLE kv(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
        CREATE TABLE tags(tag TEXT PRIMARY KEY, n INTEGER);
        CREATE TABLE gone(x);
        CREATE VIRTUAL TABLE notes USING fts5(body);
        CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
        CREATE VIEW best AS SELECT name FROM users ORDER BY score DESC LIMIT 3;
        CREATE INDEX by_name ON users(name);
    """)
    db.executemany("INSERT INTO users VALUES(?, ?, ?, ?)",
        ((i, text(r, 4), r.random(), r.randbytes(40)) for i in range(1, 3001)))
    db.executemany("INSERT INTO kv VALUES(?, ?)", (("key%05d" % i, text(r, 3)) for i in range(2000)))
    db.executemany("INSERT INTO tags VALUES(?, ?)", (("tag%05d" % i, i) for i in range(500)))
    db.executemany("INSERT INTO notes VALUES(?)", ((text(r, 30),) for i in range(800)))
    db.executemany("INSERT INTO boxes VALUES(?, ?, ?)", ((i, i, i + 1.5) for i in range(300)))
    db.execute("INSERT INTO gone VALUES(1)")
    db.commit()
    db.close()


def second_day(path):
    db = sqlite3.connect(path)
    db.executescript("""
        DELETE FROM users WHERE id IN (7, 8, 1000);
        UPDATE users SET name = 'changed' WHERE id IN (20, 21);
        INSERT INTO users VALUES(5000, 'new', 0.5, NULL);
        DELETE FROM kv WHERE k = 'key00003';
        UPDATE kv SET v = NULL WHERE k < 'key00003';
        INSERT INTO kv VALUES('zzz', 'last'), ('zzzz', 'after it');
        REPLACE INTO tags VALUES('tag00004', 44);
        DROP TABLE gone;
        CREATE TABLE fresh(y);
        INSERT INTO fresh VALUES(1), (2);
        INSERT INTO notes VALUES('moraine');
        DROP INDEX by_name;
    """)
    db.commit()
    db.close()


if len(sys.argv) == 2:
    second_day(sys.argv[1])
else:
    first_day(sys.argv[1], int(sys.argv[2]), sys.argv[3])
