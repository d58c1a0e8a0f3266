#!/usr/bin/python3
"""same.py A B: compare two trees of any depth by directory descriptors: names, types, modes, owners, times, links, contents, holes."""
import os
import stat
import sys

BAD = []


def complain(path, what):
    BAD.append(path)
    if len(BAD) <= 20:
        print("%r: %s" % (path, what))


def same_bytes(a, b, name, path):
    fa, fb = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=a), os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=b)
    try:
        while True:
            x, y = os.read(fa, 1 << 20), os.read(fb, 1 << 20)
            if x != y:
                complain(path, "content")
                return
            if not x:
                return
    finally:
        os.close(fa)
        os.close(fb)


def compare(a, b, path):
    na, nb = sorted(os.listdir(a)), sorted(os.listdir(b))
    if na != nb:
        complain(path, "names: only here %r, only there %r" % (sorted(set(na) - set(nb))[:5], sorted(set(nb) - set(na))[:5]))
    for name in sorted(set(na) & set(nb)):
        here = path + "/" + name
        sa, sb = os.stat(name, dir_fd=a, follow_symlinks=False), os.stat(name, dir_fd=b, follow_symlinks=False)
        for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_rdev"):
            if getattr(sa, field) != getattr(sb, field):
                complain(here, "%s %s, %s" % (field, getattr(sa, field), getattr(sb, field)))
        if stat.S_IFMT(sa.st_mode) != stat.S_IFMT(sb.st_mode):
            continue
        if stat.S_ISDIR(sa.st_mode):
            da = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=a)
            db = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=b)
            compare(da, db, here)
            os.close(da)
            os.close(db)
        elif stat.S_ISLNK(sa.st_mode):
            if os.readlink(name, dir_fd=a) != os.readlink(name, dir_fd=b):
                complain(here, "target")
        elif stat.S_ISREG(sa.st_mode):
            if sa.st_size != sb.st_size:
                complain(here, "size")
            else:
                same_bytes(a, b, name, here)


sys.setrecursionlimit(10000)
compare(os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDONLY), "")
print("%d differences" % len(BAD))
sys.exit(1 if BAD else 0)
