"""A snapshot is stopped, or its helper killed, at the right moment.

    dbheld.py DIR NAME MODE [OPTION...]     stop it while the helper reads DIR/NAME, write to that, let it go on
    dbheld.py --kill TIMES DIR              kill its helper, up to TIMES times

Exit 0: all was as it should be.
"""
import os
import signal
import sqlite3
import subprocess
import sys
import time

VARVE = os.environ["VARVE"]
HELPER = b"sqlite-capture-helper"
HELD = 4                                # seconds that a writer may have to wait
SLACK = 20                              # of a busy machine


def helper_of(parent):
    """The pid of its helper, or None."""
    try:
        with open("/proc/%d/task/%d/children" % (parent, parent)) as f:
            children = f.read().split()
        for pid in children:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if HELPER in f.read():
                    return int(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def locks(pid, inode):
    """Does the process hold a POSIX lock on the file?"""
    with open("/proc/locks") as f:
        return any(w[1] == "POSIX" and int(w[4]) == pid and int(w[5].split(":")[2]) == inode for w in map(str.split, f) if w[1] != "->")


def write(path):
    """Seconds that a small transaction took, and whether the log could be reset then."""
    c = sqlite3.connect(path, isolation_level=None, timeout=HELD + SLACK)
    begin = time.monotonic()
    c.execute("insert into t(v) values(zeroblob(1000000))")
    took = time.monotonic() - begin
    c.execute("pragma busy_timeout=50")
    busy = c.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    os.write(1, b"wrote in %.2f s, checkpoint %s\n" % (took, b"busy" if busy else b"done"))
    return took, busy, c


def caught(p, path):
    """Stop the snapshot while its helper holds the file, with much of it still to be read."""
    inode = os.stat(path).st_ino
    while p.poll() is None:
        helper = helper_of(p.pid)
        if not helper or not locks(helper, inode):
            continue
        p.send_signal(signal.SIGSTOP)
        time.sleep(0.3)                 # it fills what there is to be filled
        if locks(helper, inode):
            return helper
        p.send_signal(signal.SIGCONT)
        p.wait()
    return None


def stop(directory, name, mode, options):
    path = os.path.join(directory, name)
    keep = sqlite3.connect(path)        # so that a WAL stays
    keep.execute("select count(*) from t").fetchone()
    for _ in range(40):
        p = subprocess.Popen([VARVE, "snapshot", directory] + options)
        helper = caught(p, path)
        if helper:
            break
    else:
        return "the helper could not be caught"
    try:
        took, busy, c = write(path)
        let_go = not locks(helper, os.stat(path).st_ino)
    finally:
        time.sleep(0.3)
        p.send_signal(signal.SIGCONT)
    if p.wait():
        return "exit %d" % p.returncode
    c.close()
    if mode == "delete" and not 1 < took < HELD + SLACK:
        return "a writer waited %.2f s" % took
    if mode == "delete" and not let_go:
        return "a lock is held, and yet could be written"
    if mode == "wal" and (took > SLACK or not busy):
        return "a writer waited %.2f s, the log could be reset: %s" % (took, not busy)
    return None


def kill(times, directory):
    p = subprocess.Popen([VARVE, "snapshot", directory])
    killed = set()
    while p.poll() is None:
        helper = helper_of(p.pid)
        if helper and helper not in killed and len(killed) < times:
            os.kill(helper, signal.SIGKILL)
            killed.add(helper)
        time.sleep(0.002)
    os.write(1, b"killed %d\nexit %d\n" % (len(killed), p.returncode))
    return None if killed else "no helper was seen"


if sys.argv[1] == "--kill":
    sys.exit(kill(int(sys.argv[2]), sys.argv[3]))
sys.exit(stop(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
