#!/usr/bin/python3
"""Repositories made to harm whoever reads them.

    hostile.py [--only CASE | --sample N] [--rounds N] [--list]

Each case is a repository that the storage alone, or somebody with the key, could have put there.  All commands are run on it, as
whoever runs this (root, best), in a directory whose neighbours are watched.  Each must end by itself within SECONDS, use at most
MEMORY, not die of a signal, print no control character, and touch nothing beside its target and the repository.

Then the race: while a tree is restored and snapshotted, somebody else exchanges its directories for symbolic links to the
neighbours, N times (--rounds); nothing may be written there, and nothing from there may end up in a snapshot.
"""
import argparse
import ctypes
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
sys.dont_write_bytecode = True

import mkhostile  # noqa: E402
import reader_format as fmt  # noqa: E402
import zstandard  # noqa: E402

VARVE = os.environ.get("VARVE", os.path.join(HERE, "..", "..", "varve"))
KNOWN = {0, 1, 2, 3, 4, 10, 11, 12}
SECONDS = 10
MEMORY = 512 << 20
FILE_LIMIT = 64 << 20                   # what a command may write into one file: a bomb then meets "file too large"
FILE, DIR, LINK, FIFO, CHAR, BLOCK, SOCKET = range(1, 8)
D, L, T = fmt.D, fmt.L, fmt.T
cases = {}


def case(f):
    cases[f.__name__] = f
    return f


class Bad(mkhostile.Writer):
    """A writer with handles to lie by."""

    def __init__(self, repo, key, outside):
        super().__init__(repo, key)
        self.outside = outside
        self.block = {}                 # of a chunk: (codec, raw length, stored bytes, depth, base)
        self.stub = {}                  # of a chunk: the id it is said to have
        self.lie = self.say = None      # of the index rows, of the record
        self.cut = None                 # of frame tables

    def frame(self, names):
        blocks, rows, body = b"", b"", b""
        for n in names:
            kind, plain = self.chunks[n]
            codec, raw, stored, depth, base = self.block.get(n, (0, len(plain), plain, 0, b""))
            blocks += struct.pack("<IIHBB", codec | raw << 8, len(stored), 1, depth, max(len(base) // 32 - 1, 0)) + base
            rows += struct.pack("<I", kind | len(plain) << 8) + n
            body += stored
        table = struct.pack("<II", len(names), len(names)) + blocks + rows
        return (self.cut(table) if self.cut else table), body

    def bend(self, packs, frames, rows):
        return self.lie(packs, frames, rows) if self.lie else (packs, frames, rows)

    def payload(self, plain):
        return self.say(plain) if self.say else plain

    def stubbed(self, kind, plain, name):
        """A chunk under an id that is not its own."""
        self.chunks[name] = (kind, plain)
        return name

    def file(self, name, data=b"pwned\n", **more):
        return self.entry(name, FILE, data=data, **more)

    def list(self, level, *rows):
        """rows: (id, length)."""
        return self.put(L, bytes([level]) + bytes(7) + b"".join(n + struct.pack("<Q", size) + bytes(16) for n, size in rows),
            [n for n, _ in rows if any(n)])

    def listed(self, name, node, size):
        """An entry whose content is a list."""
        head = struct.pack("<H", len(name)) + name
        head += struct.pack("<BBHIIqIIqQ", FILE, 4, 0o644, os.getuid(), os.getgid(), 1700000000, 5, 6, 1700000000, 7)
        return head + struct.pack("<Q", size) + node + struct.pack("<I", 0), node

    def raw(self, name, kind, flags=0, mode=0o644, uid=0, mtime=(0, 0), size=0, tail=b"", ext=b"", child=None):
        head = struct.pack("<H", len(name)) + name
        head += struct.pack("<BBHIIqIIqQ", kind, flags, mode, uid, uid, mtime[0], mtime[1], 0, 0, 7)
        return head + struct.pack("<Q", size) + tail + struct.pack("<I", len(ext)) + ext, child

    def done(self, bad, **more):
        self.publish(self.tree(self.entry(b"evil", DIR, bad), self.file(b"good", b"good\n")), **more)


def with_tree(make):
    """A case that is one directory."""
    def f(w):
        w.done(make(w))
    cases[make.__name__] = f
    return make


for old in ("dotdot", "absolute", "dot", "parent", "slash", "zero", "dotdot-dir", "empty", "link-and-dir", "dir-and-link", "duplicate",
        "unsorted", "link-to-root", "hardlink", "length", "type", "missing", "deep", "escape"):
    cases[old] = lambda w, old=old: w.done(mkhostile.evil(w, old, os.fsencode(w.outside)))


# ---- trees

@with_tree
def size_2_63(w):
    return w.tree(w.file(b"huge", b"x", size=1 << 63))


@with_tree
def size_2_62_of_one_chunk(w):
    return w.tree(w.file(b"huge", b"x", size=1 << 62))


@with_tree
def hole_2_62(w):
    node = w.list(0, (w.put(D, b"x"), 1), (bytes(32), (1 << 62) - 1))
    return w.tree(w.listed(b"huge", node, 1 << 62))


@with_tree
def hole_sum_wraps(w):
    a = w.put(D, b"x")
    node = w.list(0, (a, (1 << 63) - 1), (a, (1 << 63) - 1), (a, 3))
    return w.tree(w.listed(b"huge", node, 1))


@with_tree
def list_bomb(w):
    """16,384 rows on each of three levels over one chunk of 1 MiB: 4 EiB."""
    node, size = w.put(D, b"\0" * (1 << 20)), 1 << 20
    for level in range(3):
        node = w.list(level, *[(node, size)] * 16384)
        size *= 16384
    return w.tree(w.listed(b"bomb", node, size))


@with_tree
def list_level_8(w):
    return w.tree(w.listed(b"x", w.list(8, (w.put(D, b"x"), 1)), 1))


@with_tree
def list_of_lists_of_wrong_level(w):
    inner = w.list(3, (w.put(D, b"x"), 1))
    return w.tree(w.listed(b"x", w.list(1, (inner, 1)), 1))


@with_tree
def list_of_itself(w):
    me = os.urandom(32)
    w.stubbed(L, bytes([1]) + bytes(7) + me + struct.pack("<Q", 10) + bytes(16), me)
    return w.tree(w.listed(b"x", me, 10))


@with_tree
def list_lies_about_lengths(w):
    return w.tree(w.listed(b"x", w.list(0, (w.put(D, b"abc"), 1000)), 1000))


@with_tree
def list_rows_without_end(w):
    return w.tree(w.listed(b"x", w.put(L, bytes(8) + bytes(55)), 10))


@with_tree
def tree_of_itself(w):
    me = os.urandom(32)
    w.stubbed(T, bytes(8) + w.entry(b"again", DIR, me)[0], me)
    return me


@with_tree
def two_trees_of_each_other(w):
    a, b = os.urandom(32), os.urandom(32)
    w.stubbed(T, bytes(8) + w.entry(b"b", DIR, b)[0], a)
    w.stubbed(T, bytes(8) + w.entry(b"a", DIR, a)[0], b)
    return a


@with_tree
def tree_level_8(w):
    return w.tree(w.file(b"x"), level=8)


@with_tree
def rows_of_10_9_entries(w):
    node = w.tree(w.file(b"x"))
    return w.put(T, bytes([1]) + bytes(7) + node + struct.pack("<IH", 10 ** 9, 1) + b"x", [node])


@with_tree
def rows_level_lies(w):
    node = w.tree(w.file(b"x"))
    return w.put(T, bytes([7]) + bytes(7) + node + struct.pack("<IH", 1, 1) + b"x", [node])


@with_tree
def rows_first_name_lies(w):
    node = w.tree(w.file(b"x"))
    return w.put(T, bytes([1]) + bytes(7) + node + struct.pack("<IH", 1, 1) + b"a", [node])


@with_tree
def depth_20000(w):
    node = w.tree(w.file(b"bottom"))
    for _ in range(20000):
        node = w.tree(w.entry(b"d", DIR, node))
    return node


@with_tree
def diamonds(w):
    """Forty levels of two names for one tree: 2^40 paths."""
    node = w.tree(w.file(b"x"))
    for _ in range(40):
        node = w.tree(w.entry(b"a", DIR, node), w.entry(b"b", DIR, node))
    return node


@with_tree
def kind_9(w):
    return w.tree(w.raw(b"x", 9))


@with_tree
def flags_all(w):
    return w.tree(w.raw(b"x", FILE, flags=0xff, tail=bytes(56)))


@with_tree
def mode_all(w):
    return w.tree(w.raw(b"x", FILE, mode=0xffff))


@with_tree
def times_at_the_ends(w):
    return w.tree(w.raw(b"a", FILE, mtime=(-(1 << 63), 0)), w.raw(b"b", FILE, mtime=((1 << 63) - 1, 999999999)),
        w.raw(b"c", FILE, mtime=(0, 0xffffffff)))


@with_tree
def setuid_root(w):
    return w.tree(w.file(b"su", mode=0o6755))


@with_tree
def device_of_the_disk(w):
    return w.tree(w.raw(b"null", CHAR, size=1 << 32 | 3), w.raw(b"sda", BLOCK, size=8 << 32))


@with_tree
def fifos_and_sockets(w):
    return w.tree(w.raw(b"f", FIFO), w.raw(b"s", SOCKET))


@with_tree
def link_of_64_kib(w):
    return w.tree(w.raw(b"l", LINK, mode=0o777, size=65536, tail=b"a" * 65536))


@with_tree
def link_with_zero(w):
    return w.tree(w.raw(b"l", LINK, mode=0o777, size=3, tail=b"a\0b"))


@with_tree
def link_chain(w):
    """l0 -> l1 -> ... -> outside, and a file through the first."""
    links = [w.entry(b"l%02d" % i, LINK, target=b"l%02d" % (i + 1), mode=0o777) for i in range(60)]
    return w.tree(*links, w.entry(b"l60", LINK, target=os.fsencode(w.outside), mode=0o777))


@with_tree
def hard_links_of_two_contents(w):
    return w.tree(w.file(b"a", b"one\n", dev=1, inode=9), w.file(b"b", b"other\n", dev=1, inode=9))


@with_tree
def hard_link_of_a_device(w):
    return w.tree(w.raw(b"a", CHAR, flags=2, size=0, tail=b""), w.file(b"b", b"x", dev=0, inode=7))


@with_tree
def name_of_65535(w):
    return w.tree(w.file(b"n" * 65535))


@with_tree
def names_100000(w):
    return w.tree(*[w.raw(b"%06d" % i, FILE) for i in range(12000)])


@with_tree
def xattr_security(w):
    value = struct.pack("<III", 0x02000001, 0xffffffff, 0xffffffff) + bytes(8)
    x = struct.pack("<HHI", 19, 0, len(value)) + b"security.capability" + value
    return w.tree(w.raw(b"x", FILE, ext=struct.pack("<HHI", 1, 0, len(x)) + x))


@with_tree
def xattr_lengths_lie(w):
    x = struct.pack("<HHI", 4, 0, 0xfffffff0) + b"user"
    return w.tree(w.raw(b"x", FILE, ext=struct.pack("<HHI", 1, 0, len(x)) + x))


@with_tree
def extension_unknown(w):
    return w.tree(w.raw(b"x", FILE, ext=struct.pack("<HHI", 99, 0, 0)))


@with_tree
def immutable_flag(w):
    return w.tree(w.raw(b"x", FILE, ext=struct.pack("<HHII", 2, 0, 4, 0xffffffff)))


@with_tree
def garbage_for_a_tree(w):
    return w.put(T, random.Random(1).randbytes(5000))


# ---- databases

def database(w, data):
    ext = struct.pack("<HHIIIIIQQ", 3, 0, 64, 1, 1, 4096, 0, 1 << 40, 0) + bytes(32)
    child = w.put(D, data)
    return w.raw(b"app.db", FILE, size=len(data), tail=child + fmt.poly1305(w.keys.fingerprint, data), ext=ext, child=child)


def image():
    with tempfile.NamedTemporaryFile() as f:
        db = sqlite3.connect(f.name)
        db.executescript("create table t (a integer primary key, b); insert into t values (1, 'x'), (2, 'y');")
        db.close()
        return bytearray(open(f.name, "rb").read())


@with_tree
def database_of_2_40_pages(w):
    return w.tree(database(w, bytes(image())))


@with_tree
def database_page_size_0(w):
    p = image()
    p[16:18] = b"\0\0"
    return w.tree(database(w, bytes(p)))


@with_tree
def database_root_of_itself(w):
    p = image()
    p[100] = 5                          # page 1 becomes an inner page whose child is page 1
    p[100 + 8:100 + 12] = struct.pack(">I", 1)
    return w.tree(database(w, bytes(p)))


@with_tree
def database_schema_runs_code(w):
    p = bytes(image())
    return w.tree(database(w, p.replace(b"create table t", b"create view  t")))


@with_tree
def database_of_noise(w):
    return w.tree(database(w, b"SQLite format 3\0" + random.Random(2).randbytes(60000)))


# ---- frames and packs

def one_file(w, data, block=None, size=None):
    child = w.put(D, data)
    if block:
        w.block[child] = block
    w.done(w.tree(w.file(b"x", data, content=child, size=size)))


@case
def zstd_bomb(w):
    """2 GiB of zeros where 2 MiB are said."""
    c = zstandard.ZstdCompressor().compressobj()
    data = b"".join(c.compress(b"\0" * (1 << 24)) for _ in range(128)) + c.flush()
    one_file(w, b"\0" * 1000, (1, 1000, data, 0, b""))


@case
def zstd_size_lies(w):
    data = zstandard.ZstdCompressor().compress(b"\0" * (1 << 21))
    one_file(w, b"\0" * 1000, (1, 1000, data, 0, b""))


@case
def zstd_window_2_27(w):
    p = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    data = zstandard.ZstdCompressor(compression_params=p).compress(os.urandom(1000))
    one_file(w, b"\0" * 1000, (1, 1000, data, 0, b""))


@case
def zstd_of_noise(w):
    one_file(w, b"\0" * 1000, (1, 1000, b"\x28\xb5\x2f\xfd" + os.urandom(500), 0, b""))


@case
def codec_77(w):
    one_file(w, b"x" * 100, (77, 100, b"x" * 100, 0, b""))


@case
def raw_length_lies(w):
    one_file(w, b"x" * 100, (0, (1 << 24) - 1, b"x" * 100, 0, b""))


def deltas(w, n, bases):
    """n chunks, chunk i with base bases(i)."""
    rng = random.Random(n)
    names = [w.put(D, rng.randbytes(500)) for i in range(n)]
    stored = zstandard.ZstdCompressor().compress(b"z" * 500)
    for i, name in enumerate(names):
        b = bases(i)
        if b is not None:
            w.block[name] = (2, 500, stored, min(i % 16 + 1, 16), names[b])
    node = w.list(0, *[(name, 500) for name in names])
    w.done(w.tree(w.listed(b"x", node, 500 * n)))


@case
def delta_of_itself(w):
    deltas(w, 1, lambda i: 0)


@case
def delta_cycle(w):
    deltas(w, 8, lambda i: (i + 1) % 8)


@case
def delta_chain_of_1000(w):
    deltas(w, 1000, lambda i: i - 1 if i else None)


@case
def delta_of_four_each(w):
    """Each stands on the four before it: 2^40 blocks, if somebody decoded them all."""
    rng, stored = random.Random(4), zstandard.ZstdCompressor().compress(b"z" * 500)
    names = [w.put(D, rng.randbytes(500)) for i in range(60)]
    for i in range(4, 60):
        w.block[names[i]] = (2, 500, stored, 32, b"".join(names[i - 4:i]))
    node = w.list(0, *[(name, 500) for name in names])
    w.done(w.tree(w.listed(b"x", node, 500 * 60)))


@case
def delta_of_five(w):
    rng, stored = random.Random(5), zstandard.ZstdCompressor().compress(b"z" * 500)
    names = [w.put(D, rng.randbytes(500)) for i in range(6)]
    w.block[names[5]] = (2, 500, stored, 32, b"".join(names[:5]))
    node = w.list(0, *[(name, 500) for name in names])
    w.done(w.tree(w.listed(b"x", node, 500 * 6)))


@case
def delta_base_missing(w):
    name = w.put(D, b"y" * 500)
    w.block[name] = (2, 500, zstandard.ZstdCompressor().compress(b"y" * 500), 1, os.urandom(32))
    w.done(w.tree(w.file(b"x", b"y" * 500, content=name)))


@case
def delta_base_is_a_tree(w):
    node = w.tree(w.file(b"a"))
    name = w.put(D, b"y" * 500)
    w.block[name] = (2, 500, zstandard.ZstdCompressor().compress(b"y" * 500), 1, node)
    w.done(w.tree(w.entry(b"d", DIR, node), w.file(b"x", b"y" * 500, content=name)))


@case
def frame_counts_lie(w):
    w.cut = lambda t: struct.pack("<II", 65535, 65535) + t[8:]
    w.done(w.tree(w.file(b"x")))


@case
def frame_table_cut(w):
    w.cut = lambda t: t[:-20]
    w.done(w.tree(w.file(b"x")))


@case
def content_under_another_id(w):
    name = os.urandom(32)
    w.stubbed(D, b"not what you asked for", name)
    w.done(w.tree(w.file(b"x", b"." * 22, content=name)))


def packs_of(w, small=True):
    found = [os.path.join(t, n) for t, _, ns in os.walk(os.path.join(w.repo, "packs")) for n in ns]
    return sorted(found, key=os.path.getsize, reverse=not small)


@case
def packs_are_links(w):
    w.done(w.tree(w.file(b"x")))
    for p in packs_of(w):
        os.unlink(p)
        os.symlink("/dev/zero", p)


@case
def packs_are_fifos(w):
    w.done(w.tree(w.file(b"x")))
    for p in packs_of(w):
        os.unlink(p)
        os.mkfifo(p)


@case
def packs_are_directories(w):
    w.done(w.tree(w.file(b"x")))
    for p in packs_of(w):
        os.unlink(p)
        os.mkdir(p)


@case
def packs_of_2_60(w):
    w.done(w.tree(w.file(b"x")))
    for p in packs_of(w):
        os.truncate(p, 1 << 43)


@case
def packs_cut(w):
    w.done(w.tree(w.file(b"x")))
    for p in packs_of(w):
        os.truncate(p, os.path.getsize(p) // 2)


@case
def packs_of_magic(w):
    """Every 16 bytes what looks like a frame of 15 MiB."""
    w.done(w.tree(w.file(b"x")))
    for p in packs_of(w):
        size = 15 << 20
        with open(p, "r+b") as f:
            f.truncate(160)
            f.seek(160)
            f.write(b"".join(struct.pack("<4sIII", b"VFRM", 0, (1 << 23) + 40, max(size - off - 16 - (1 << 23) - 40, 40))
                for off in range(160, size, 16)))


@case
def packs_exchanged(w):
    w.done(w.tree(w.file(b"x")))
    a, b = packs_of(w)
    os.rename(a, a + "-")
    os.rename(b, a)
    os.rename(a + "-", b)


# ---- the index

def lying(f):
    def make(w):
        w.lie = f
        w.done(w.tree(w.file(b"x")))
    cases[f.__name__] = make
    return f


def each(data, size, change):
    return b"".join(change(bytearray(data[i:i + size])) for i in range(0, len(data), size))


def put(row, layout, at, value):
    struct.pack_into(layout, row, at, value)
    return bytes(row)


@lying
def index_refs_4_billion(packs, frames, rows):
    return packs, frames, each(rows, 48, lambda r: put(r, "<I", 32, 0xffffffff))


@lying
def index_uses_4_billion(packs, frames, rows):
    return packs, frames, each(rows, 48, lambda r: put(r, "<I", 36, 0xffffffff))


@lying
def index_frame_out_of_range(packs, frames, rows):
    return packs, frames, each(rows, 48, lambda r: put(r, "<I", 40, 0xfffffff0))


@lying
def index_slot_out_of_range(packs, frames, rows):
    return packs, frames, each(rows, 48, lambda r: put(r, "<H", 44, 60000))


@lying
def index_type_lies(packs, frames, rows):
    return packs, frames, each(rows, 48, lambda r: put(r, "<B", 46, D))


@lying
def index_depth_lies(packs, frames, rows):
    return packs, frames, each(rows, 48, lambda r: put(r, "<B", 47, 16))


@lying
def index_frame_beyond_the_pack(packs, frames, rows):
    return packs, each(frames, 24, lambda r: put(r, "<I", 8, 0xfffffff0)), rows


@lying
def index_frame_of_4_gib(packs, frames, rows):
    return packs, each(frames, 24, lambda r: put(r, "<I", 12, 0xffffffff)), rows


@lying
def index_frame_of_no_pack(packs, frames, rows):
    return packs, each(frames, 24, lambda r: put(r, "<I", 0, 77)), rows


@lying
def index_pack_bytes_2_63(packs, frames, rows):
    return each(packs, 64, lambda r: put(r, "<Q", 32, 1 << 63)), frames, rows


@lying
def index_live_bytes_2_63(packs, frames, rows):
    return each(packs, 64, lambda r: put(r, "<Q", 40, 1 << 63)), frames, rows


@lying
def index_rows_unsorted(packs, frames, rows):
    return packs, frames, b"".join(reversed([rows[i:i + 48] for i in range(0, len(rows), 48)]))


@lying
def index_rows_twice(packs, frames, rows):
    return packs, frames, rows[:48] * (len(rows) // 48)


@case
def index_is_a_link(w):
    w.done(w.tree(w.file(b"x")))
    os.symlink("/dev/zero", os.path.join(w.repo, "index", "f" * 16))


@case
def index_is_a_fifo(w):
    w.done(w.tree(w.file(b"x")))
    os.mkfifo(os.path.join(w.repo, "index", "f" * 32 + "-00000000"))


@case
def index_counts_2_32(w):
    w.done(w.tree(w.file(b"x")))
    p = os.path.join(w.repo, "index", os.listdir(os.path.join(w.repo, "index"))[0])
    with open(p, "r+b") as f:
        f.seek(120)
        f.write(struct.pack("<IIQQ", 0xffffffff, 0xffffffff, 0xffffffff, 1 << 60))


@case
def index_of_8_tib(w):
    w.done(w.tree(w.file(b"x")))
    with open(os.path.join(w.repo, "index", "0" * 15 + "1"), "wb") as f:
        f.truncate(1 << 43)


@case
def index_of_3000_empty_files(w):
    w.done(w.tree(w.file(b"x")))
    for i in range(3000):
        open(os.path.join(w.repo, "index", "%032x-%08x" % (i, 0)), "wb").close()


# ---- records, header, keys

def saying(f):
    def make(w):
        w.say = f
        w.done(w.tree(w.file(b"x")))
    cases[f.__name__] = make
    return f


@saying
def record_times_at_the_ends(p):
    return p[:88] + struct.pack("<qqq", -(1 << 63), (1 << 63) - 1, -(1 << 63)) + p[112:]


@saying
def record_sequence_2_64(p):
    return p[:64] + struct.pack("<Q", (1 << 64) - 1) + p[72:]


@saying
def record_statistics_2_64(p):
    return p[:120] + b"\xff" * 128 + p[248:]


@saying
def record_strings_lie(p):
    return p[:248] + struct.pack("<I", 0xffffffff) + p[252:]


@saying
def record_root_missing(p):
    return os.urandom(32) + p[32:]


@saying
def record_extension_unknown(p):
    return p[:-4] + struct.pack("<IHHI", 8, 1, 0, 0)


@case
def record_of_65535_paths(w):
    w.done(w.tree(w.file(b"x")), paths=tuple(b"/p%05d" % i for i in range(65535)))


@case
def records_of_zeros(w):
    w.done(w.tree(w.file(b"x")))
    os.symlink("/dev/zero", os.path.join(w.repo, "snapshots", "0" * 32))
    with open(os.path.join(w.repo, "snapshots", "1" * 32), "wb") as f:
        f.truncate(1 << 43)
    os.mkfifo(os.path.join(w.repo, "snapshots", "2" * 32))
    os.mkdir(os.path.join(w.repo, "snapshots", "3" * 32))


@case
def records_of_garbage_3000(w):
    w.done(w.tree(w.file(b"x")))
    for i in range(3000):
        with open(os.path.join(w.repo, "snapshots", "%032x" % i), "wb") as f:
            f.write(b"varvesnp" + os.urandom(300))


@case
def header_is_dev_zero(w):
    w.done(w.tree(w.file(b"x")))
    os.unlink(os.path.join(w.repo, "varve-repo"))
    os.symlink("/dev/zero", os.path.join(w.repo, "varve-repo"))


@case
def header_is_a_fifo(w):
    w.done(w.tree(w.file(b"x")))
    os.unlink(os.path.join(w.repo, "varve-repo"))
    os.mkfifo(os.path.join(w.repo, "varve-repo"))


@case
def header_of_8_tib(w):
    w.done(w.tree(w.file(b"x")))
    os.truncate(os.path.join(w.repo, "varve-repo"), 1 << 43)


@case
def header_chunks_of_nothing(w):
    w.done(w.tree(w.file(b"x")))
    p = os.path.join(w.repo, "varve-repo")
    h = bytearray(open(p, "rb").read())
    h[56:68] = bytes(12)
    h[128:160] = fmt.H(bytes(h[:128]))
    open(p, "wb").write(h)


def slot_file(w, change, name=None):
    keys = os.path.join(w.repo, "keys")
    data = bytearray(open(os.path.join(keys, os.listdir(keys)[0]), "rb").read())
    name = name or os.urandom(16).hex()
    data[32:48] = bytes.fromhex(name)
    change(data)
    with open(os.path.join(keys, name), "wb") as f:
        f.write(data)


@case
def slot_argon2_4_tib(w):
    w.done(w.tree(w.file(b"x")))

    def change(d):
        struct.pack_into("<III", d, 12, 1, 0, 0)
        d[16:32] = w.id
        struct.pack_into("<II", d, 48, 0xffffffff, 0xffffffff)
    slot_file(w, change)


@case
def slots_1000(w):
    w.done(w.tree(w.file(b"x")))
    for i in range(1000):
        slot_file(w, lambda d: None, "%032x" % i)


@case
def slot_is_dev_zero(w):
    w.done(w.tree(w.file(b"x")))
    os.symlink("/dev/zero", os.path.join(w.repo, "keys", "0" * 32))
    os.mkfifo(os.path.join(w.repo, "keys", "1" * 32))


@case
def locks_is_a_link(w):
    w.done(w.tree(w.file(b"x")))
    os.unlink(os.path.join(w.repo, "locks"))
    os.symlink(os.path.join(w.outside, "precious"), os.path.join(w.repo, "locks"))


@case
def tmp_is_a_link(w):
    w.done(w.tree(w.file(b"x")))
    shutil.rmtree(os.path.join(w.repo, "tmp"))
    os.symlink(w.outside, os.path.join(w.repo, "tmp"))


@case
def packs_is_a_link(w):
    w.done(w.tree(w.file(b"x")))
    os.rename(os.path.join(w.repo, "forgotten"), os.path.join(w.repo, "forgotten-"))
    os.symlink(w.outside, os.path.join(w.repo, "forgotten"))


# ---- the run

def describe(path):
    out = []
    for top, dirs, names in os.walk(path):
        for n in sorted(dirs + names):
            full = os.path.join(top, n)
            st = os.lstat(full)
            data = open(full, "rb").read() if os.path.isfile(full) and not os.path.islink(full) else b""
            out.append((full, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ino, st.st_nlink, data))
    return sorted(out)


def remove(path):
    """Also what is too deep for shutil."""
    subprocess.run(["rm", "-rf", "--", path], check=False)


def limits():
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


class Room:
    def __init__(self, top):
        self.top, self.outside, self.room = top, os.path.join(top, "outside"), os.path.join(top, "room")
        self.repo, self.key = os.path.join(top, "repo"), os.path.join(top, "key")
        os.makedirs(os.path.join(self.outside, "d0"))
        for n in ("precious", "d0/f00", "x"):
            with open(os.path.join(self.outside, n), "w", encoding="ascii") as f:
                f.write("precious\n")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("VARVE_")}
        self.env.update(VARVE_REPOSITORY=self.repo, VARVE_KEY_FILE=self.key, VARVE_STATE_DIR="", TMPDIR=top)
        self.seconds = self.memory = self.commands = 0

    def fresh(self):
        for p in (self.repo, self.room):
            remove(p)
        if os.path.exists(self.key):
            os.unlink(self.key)
        os.mkdir(self.room)
        subprocess.run([VARVE, "init", "--key-file", self.key], env=self.env, check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def run(self, *args):
        """(what is wrong, or None; status)"""
        begin = time.monotonic()
        with open(os.path.join(self.top, "o"), "w+b") as out:
            p = subprocess.Popen([VARVE, *args], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env,
                cwd=self.room, preexec_fn=limits)
            end = begin + 6 * SECONDS           # the limit is on what it uses: the machine may be busy with other things
            while True:
                pid, status, usage = os.wait4(p.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > end:
                    p.kill()
                    os.wait4(p.pid, 0)
                    return "no end", -1
                time.sleep(0.002)
            p.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            said = out.read(1 << 20)
        used = min(time.monotonic() - begin, usage.ru_utime + usage.ru_stime)
        self.commands += 1
        self.seconds, self.memory = max(self.seconds, used), max(self.memory, usage.ru_maxrss << 10)
        if p.returncode not in KNOWN:
            return "exit %d: %s" % (p.returncode, said[-200:]), p.returncode
        if used > SECONDS:
            return "%.1f s" % used, p.returncode
        if usage.ru_maxrss << 10 > MEMORY:
            return "%d MiB" % (usage.ru_maxrss >> 10), p.returncode
        if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", said) and args[0] != "cat":
            return "control characters", p.returncode
        return None, p.returncode

    def try_case(self, name):
        self.fresh()
        cases[name](Bad(self.repo, self.key, self.outside))
        before = describe(self.outside)
        src = os.path.join(self.room, "src")
        wrong = []
        for args in (["restore", "latest", "--target", "dst"], ["restore", "latest", "--target", "dst", "--verify", "--delete"],
                ["list"], ["list", "--json"], ["ls", "-R", "latest:/good"], ["ls", "-l", "latest:/evil"], ["find", "/evil/x"], ["stats"],
                ["diff", "latest", "latest"], ["cat", "latest", "/evil/x"], ["sql", "latest", "/evil/app.db", "select * from t"],
                ["restore", "latest", "--target", "dry", "--dry-run"], ["key", "list"], ["snapshot", src], ["prune"], ["forget",
                "latest"], ["prune", "--max-unused", "0%"], ["snapshot", src], ["repair", "packs"]):
            if args == ["snapshot", src] and not os.path.exists(src):
                os.mkdir(src)
                with open(os.path.join(src, "f"), "w", encoding="ascii") as f:
                    f.write("mine\n")
            # What lists every path says as much as there is; 2^40 paths are the asker's affair.
            if name in ("diamonds", "list_bomb") and args[0] in ("restore", "diff", "find", "cat", "repair") and "/evil/x" not in args:
                continue
            problem, _ = self.run(*args)
            if problem:
                wrong.append("%s: %s" % (" ".join(args[:2]), problem))
        if describe(self.outside) != before:
            wrong.append("something outside was touched")
        strays = sorted(set(os.listdir(self.room)) - {"dst", "src", "dry"})
        if strays or os.path.exists(os.path.join(self.room, "dry")):
            wrong.append("beside the target: %s" % strays)
        return wrong


EXCHANGE = 2
libc = ctypes.CDLL(None, use_errno=True)


def attack(base, names, stop, count):
    """Exchange directories and links until told to stop; the number of exchanges goes to a pipe."""
    n = 0
    r = random.Random(os.getpid())
    while not os.path.exists(stop):
        for _ in range(64):
            name = os.fsencode(os.path.join(base, r.choice(names)))
            n += libc.renameat2(-100, name, -100, name + b".link", EXCHANGE) == 0
    os.write(count, b"%d" % n)
    os._exit(0)


class Race:
    """d0 ... d7 of 8 files each, and d0.link ... that lead outside, exchanged while something is at work."""

    def __init__(self, room):
        self.room = room
        self.names = ["d%d" % i for i in range(8)]
        room.fresh()
        self.src, self.dst = os.path.join(room.room, "src"), os.path.join(room.room, "dst")
        for i, d in enumerate(self.names):
            os.makedirs(os.path.join(self.src, d, "sub"))
            os.makedirs(os.path.join(room.outside, d, "sub"), exist_ok=True)
            for k in range(8):
                with open(os.path.join(self.src, d, "f%02d" % k), "wb") as f:
                    f.write(b"mine %d %d\n" % (i, k) * 50)
                with open(os.path.join(room.outside, d, "f%02d" % k), "wb") as f:
                    f.write(b"precious\n")
            with open(os.path.join(room.outside, d, "sub", "p"), "wb") as f:
                f.write(b"precious\n")

    def links(self, base):
        for d in self.names:
            link = os.path.join(base, d + ".link")
            if not os.path.lexists(link):
                os.symlink(os.path.join(self.room.outside, d), link)

    def under_attack(self, base, argv):
        """Run argv while base is attacked: exchanges."""
        r, w = os.pipe()
        stop = os.path.join(self.room.top, "stop")
        pid = os.fork()
        if pid == 0:
            attack(base, self.names, stop, w)
        try:
            self.room.run(*argv)
        finally:
            open(stop, "wb").close()
            os.waitpid(pid, 0)
            os.unlink(stop)
        os.close(w)
        n = int(os.read(r, 100))
        os.close(r)
        return n

    def run(self, rounds):
        room, done, wrong, runs = self.room, 0, [], 0
        before = describe(room.outside)
        room.run("snapshot", self.src)
        self.links(self.src)
        while done < rounds and not wrong:
            runs += 1
            os.makedirs(self.dst, exist_ok=True)
            for d in self.names:
                os.makedirs(os.path.join(self.dst, d), exist_ok=True)
            self.links(self.dst)
            how = [[], ["--delete"], ["--verify"], ["--overwrite", "if-changed"]][runs % 4]
            done += self.under_attack(self.dst, ["restore", "latest:" + self.src, "--target", self.dst, *how])
            if describe(room.outside) != before:
                wrong.append("something outside was touched by restore %s" % " ".join(how))
            if runs % 5 == 0:
                shutil.rmtree(self.dst)
            if runs % 3 == 0:
                wrong += self.snapshot()
        return done, runs, wrong

    def snapshot(self):
        """What is outside must not be found in a snapshot of what is inside."""
        self.under_attack(self.src, ["snapshot", "--tag", "raced", self.src])
        look = os.path.join(self.room.room, "look")
        for d in self.names:                    # back to where it belongs
            if os.path.islink(os.path.join(self.src, d)):
                libc.renameat2(-100, os.fsencode(os.path.join(self.src, d)), -100, os.fsencode(os.path.join(self.src, d + ".link")), EXCHANGE)
        shutil.rmtree(look, ignore_errors=True)
        self.room.run("restore", "--tag", "raced", "latest:" + self.src, "--target", look)
        wrong = []
        for t, _, ns in os.walk(look):
            for n in ns:
                p = os.path.join(t, n)
                if not os.path.islink(p) and b"precious" in open(p, "rb").read():
                    wrong.append("a snapshot has what is outside: %s" % p)
        subprocess.run([VARVE, "forget", "--tag", "raced", "latest"], env=self.room.env, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(look, ignore_errors=True)
        return wrong


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only")
    ap.add_argument("--rounds", type=int, default=4000)
    ap.add_argument("--sample", type=int, help="so many of the cases")
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args()
    if a.list:
        print("\n".join(cases))
        return
    todo = [n for n in cases if not a.only or n == a.only]
    if a.sample and a.sample < len(todo):
        todo = random.Random(1).sample(todo, a.sample)      # the same ones in every check
    print("1..%d" % (len(todo) + (not a.only)))
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None      # a great many syncs
    top = tempfile.mkdtemp(prefix="varve-hostile-", dir=shm)
    failed = 0
    try:
        room = Room(top)
        for i, name in enumerate(todo):
            wrong = room.try_case(name)
            failed += bool(wrong)
            print("%sok %d - %s" % ("not " if wrong else "", i + 1, name.replace("_", " ")))
            for w in wrong:
                print("# " + w)
            sys.stdout.flush()
        print("# %d repositories, %d commands, at most %.1f s and %d MiB" % (len(todo), room.commands, room.seconds, room.memory >> 20))
        if not a.only:
            done, runs, wrong = Race(room).run(a.rounds)
            failed += bool(wrong)
            print("%sok %d - directories exchanged for links %d times during %d restores" % ("not " if wrong else "", len(todo) + 1,
                done, runs))
            for w in wrong:
                print("# " + w)
    finally:
        remove(top)
    sys.exit(1 if failed else 0)


main()
