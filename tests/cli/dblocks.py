"""What locks and links do to a capture of a database that others use.  Each says what is wrong, and ends with 1.

    dblocks.py held MODE DIR       the helper is stopped while it reads; others write, checkpoint, read, link, copy
    dblocks.py grown DIR           a WAL that grows while the helper reads: it is told; beyond a limit the helper begins anew, or gives up
    dblocks.py linked DIR          while the helper reads an idle database, a link to one that it holds comes into its place
    dblocks.py undone DIR          while a private copy is made, an application undoes the transaction of the hot journal and commits one
    dblocks.py begun MODE DIR      an application is in the middle of transactions, and commits after the snapshot
    dblocks.py trace LOG FILE...   strace -f -y of a snapshot: who has descriptors of FILE... while the helper has one
    dblocks.py app FILE            runs each line of standard input as SQL, prints its rows or its error

Locks are looked at by fcntl(F_GETLK), which says who has them.  Whoever uses SQLite here is a process of its own.
"""
import fcntl
import hashlib
import json
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import time

HELPER = b"sqlite-capture-helper"
VARVE = os.environ["VARVE"]
SHARED, SHARED_LEN = 0x40000002, 510            # of a database: readers
WAL_READ, WAL_READ_LEN, DMS = 123, 5, 128       # of a -shm: readers; everybody
FLOCK = "hhqqi4x"
TRIES = 30


def app_main(path):
    c = sqlite3.connect(path, isolation_level=None, timeout=0)
    for line in sys.stdin:
        try:
            print(c.execute(line).fetchall(), flush=True)
        except sqlite3.Error as e:
            print("error: %s" % e, flush=True)


class App:
    def __init__(self, path):
        self.p = subprocess.Popen([sys.executable, os.path.abspath(__file__), "app", path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.pid = self.p.pid

    def do(self, sql):
        self.p.stdin.write(sql + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().rstrip()

    def end(self):
        self.p.stdin.close()
        self.p.wait()
        self.p.stdout.close()


def want(what, got, wanted):
    if got != wanted:
        raise SystemExit("%s: %s, not %s" % (what, got, wanted))


def holder(path, off, length):
    """Who is in the way of writing there; 0: nobody."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        got = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, off, length, 0))
    finally:
        os.close(fd)
    kind, _, _, _, pid = struct.unpack(FLOCK, got)
    return 0 if kind == fcntl.F_UNLCK else pid


def is_helper(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return HELPER in f.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def state_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_reading(pid):
    """Is it in the middle of pages?  None: nobody may know."""
    try:
        with open("/proc/%d/io" % pid) as f:
            return int(f.read().split()[1]) > 2 << 20
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop(pid):
    """It stands, or it is gone."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    while state_of(pid) not in "TXZ":
        time.sleep(0.001)
    return state_of(pid) == "T"


def has_lock(path, mode):
    """The helper, if it reads the database."""
    pid = holder(path + "-shm", WAL_READ, WAL_READ_LEN) if mode == "wal" else holder(path, SHARED, SHARED_LEN)
    return pid if pid and is_helper(pid) else 0


def catch(p, path, mode):
    """The helper of a snapshot, stopped while it reads; None: it was too fast."""
    while p.poll() is None:
        pid = has_lock(path, mode)
        if pid and is_reading(pid) is not False and stop(pid):
            if has_lock(path, mode) == pid:
                return pid
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.0005)
    return None


def digest(path):
    h = hashlib.sha1()
    with open(path, "rb") as f:
        while part := f.read(1 << 20):
            h.update(part)
    return h.hexdigest()


def parts(path):
    """What may not change; of the -shm only that it stays the same file."""
    got = {}
    for suffix in ("", "-wal", "-journal"):
        if os.path.exists(path + suffix):
            st = os.stat(path + suffix)
            got[suffix] = (st.st_ino, st.st_mtime_ns, st.st_size, digest(path + suffix))
    got["-shm"] = os.stat(path + "-shm").st_ino if os.path.exists(path + "-shm") else 0
    return got


LOOK = "select (select count(*) from t), (select sum(length(v)) from t), (select n from mark), (select integrity_check from pragma_integrity_check)"


def image(path):
    """The database in the newest snapshot: LOOK."""
    out = os.path.join(os.environ["T"], "image")
    with open(out, "wb") as f:
        subprocess.run([VARVE, "cat", "latest", path], stdout=f, check=True)
    c = sqlite3.connect("file:%s?mode=ro&immutable=1" % out, uri=True)
    try:
        return str(c.execute(LOOK).fetchall())
    finally:
        c.close()


def make(path, mode, rows):
    app = App(path)
    for sql in ("pragma page_size=512", "pragma journal_mode=%s" % mode, "pragma synchronous=off", "pragma wal_autocheckpoint=0",
        "create table t(id integer primary key, v blob)", "create table mark(n integer)", "insert into mark values(0)",
        "with recursive c(i) as (select 1 union all select i + 1 from c where i < %d) "
        "insert into t(v) select randomblob(700) || zeroblob(7000) from c" % rows):
        got = app.do(sql)
        if got.startswith("error"):
            raise SystemExit("%s: %s" % (sql, got))
    return app


def snapshot(directory, *more):
    return subprocess.Popen([VARVE, "snapshot", "--json", directory, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def objects(out):
    return [json.loads(line) for line in out.decode().splitlines()]


def ended(p):
    """What it says of its databases."""
    out, err = p.communicate()
    if p.returncode:
        raise SystemExit("snapshot: %d %s" % (p.returncode, err.decode()))
    return [o for o in objects(out) if o.get("type") == "database"]


def hard_link(mode):
    return os.path.join(os.environ["T"], "hard-" + mode)


def disturb(app, path, mode):
    """What others do while the helper stands in the middle of its pages."""
    other = App(path)
    other.do("pragma wal_autocheckpoint=0")
    for who in (app, other):
        got = who.do("update t set v = randomblob(900) where id % 3 = 0")
        want("a write meanwhile", got, "[]" if mode == "wal" else "error: database is locked")
    if mode == "wal":
        for who in (app, other):
            got = who.do("pragma wal_checkpoint(truncate)")
            want("the WAL cannot be reset", got[:3], "[(1")
            want("another write", who.do("delete from t where id % 7 = 0"), "[]")
    other.do("select count(*) from t")
    other.end()
    # Whoever looks at the files, under whatever name, drops locks of its own only.
    for suffix in ("", "-shm", "-wal", "-journal"):
        if os.path.exists(path + suffix):
            digest(path + suffix)
    digest(path + ".link")
    digest(hard_link(mode))


def held(mode, directory):
    path = os.path.join(directory, "a")
    app = make(path, mode, 4000)
    os.symlink("a", path + ".link")
    os.link(path, hard_link(mode))
    for n in range(TRIES):
        app.do("update mark set n = n + 1")
        before = app.do(LOOK)
        p = snapshot(directory)
        helper = catch(p, path, mode)
        if helper:
            break
        ended(p)
    else:
        raise SystemExit("the helper was too fast, or had no lock, %d times" % TRIES)
    strict = is_reading(helper) is not None
    try:
        disturb(app, path, mode)
        want("the helper's lock is there", has_lock(path, mode), helper)
    finally:
        os.kill(helper, signal.SIGCONT)
    ended(p)
    after = app.do(LOOK)
    got = image(path)
    if got != before and (strict or got != after):
        raise SystemExit("the image has %s; the database had %s and has %s" % (got, before, after))
    want("the application can write", app.do("insert into t(v) values('end')"), "[]")
    if mode == "wal":
        want("and checkpoint", app.do("pragma wal_checkpoint(truncate)"), "[(0, 0, 0)]")
    app.end()


GROW = "insert into t(v) values(randomblob(1000000))"


def grown_by(app, path, *more):
    """A snapshot during whose reading the WAL grows by a megabyte: what it says, and whether its image is what was before."""
    app.do("update mark set n = n + 1")
    p = snapshot(os.path.dirname(path), *more)
    helper = catch(p, path, "wal")
    before = app.do(LOOK)
    if helper:
        want("a large write", app.do(GROW), "[]")
        os.kill(helper, signal.SIGCONT)
    said = ended(p)
    return helper and said[0], image(path) == before


def give_up(app, path):
    """Nobody takes pages, and the WAL grows whenever the helper has begun anew.  Its words; None: it came to an end before."""
    app.do("update mark set n = n + 1")
    p = snapshot(os.path.dirname(path), "--sqlite-wal-limit", "100K")
    helper = catch(p, path, "wal")
    idle = 0
    if helper:
        p.send_signal(signal.SIGSTOP)
        os.kill(helper, signal.SIGCONT)
        while idle < 40:
            idle = 0 if has_lock(path, "wal") else idle + 1
            if not idle:
                app.do("update t set v = randomblob(200000) where id = 1")
            time.sleep(0.02)
        p.send_signal(signal.SIGCONT)
    err = p.communicate()[1].decode()
    return err if p.returncode == 3 else None


def grown(directory):
    path = os.path.join(directory, "a")
    app = make(path, "wal", 4000)
    for what, more, same in (("reported", (), True), ("begun anew", ("--sqlite-wal-limit", "100K"), False)):
        for n in range(TRIES):
            said, kept = grown_by(app, path, *more)
            if said and kept == same:
                break
        else:
            raise SystemExit("%s: never" % what)
        if same and said["wal_growth"] < 1000000:
            raise SystemExit("grown by a megabyte: %s" % said)
        if not same and said["wal_growth"] > 100 << 10:
            raise SystemExit("beyond the limit: %s" % said)
    for n in range(5):
        app.do("pragma wal_checkpoint(truncate)")
        err = give_up(app, path)
        if err:
            break
    want("given up", "its WAL grew by" in str(err), True)
    want("the application can checkpoint", app.do("pragma wal_checkpoint(truncate)"), "[(0, 0, 0)]")
    app.end()


def copying(p):
    """The helper of a snapshot, stopped while it copies a journal; None: it was too fast."""
    tmp = os.environ["TMPDIR"]
    while p.poll() is None:
        if any(os.path.exists(os.path.join(tmp, d, "db-journal")) for d in os.listdir(tmp)):
            with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
                pid = int((f.read().split() or [0])[0])
            if pid and stop(pid):
                return pid
        time.sleep(0.0002)
    return None


def undone(directory):
    path = os.path.join(directory, "a")
    for n in range(TRIES):
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        make(path, "delete", 4000).end()
        app = App(path)
        before = app.do(LOOK)
        for sql in ("pragma cache_size=5", "begin", "update t set v = randomblob(7000)"):
            app.do(sql)
        app.p.kill()
        app.end()
        want("a hot journal", os.path.getsize(path + "-journal") > 8 << 20, True)
        p = snapshot(directory)
        helper = copying(p)
        if not helper:
            ended(p)
            continue
        app = App(path)
        try:
            # Fewer pages than the journal has: what is played back would be seen.
            for sql in ("update t set v = randomblob(10) where id % 2 = 0", "update mark set n = 1"):
                want("a write meanwhile", app.do(sql), "[]")
        finally:
            os.kill(helper, signal.SIGCONT)
        ended(p)
        got, after = image(path), app.do(LOOK)
        app.end()
        if got != before:               # else the copy was complete when the helper was stopped
            want("the image", got, after)
            return
    raise SystemExit("the helper was too fast, %d times" % TRIES)


def linked(directory):
    live, idle = os.path.join(directory, "z"), os.path.join(directory, "a")
    keep = os.path.join(os.environ["T"], "keep")
    make(keep, "wal", 4000).end()
    app = make(live, "wal", 20)
    for n in range(TRIES):
        subprocess.run(["cp", keep, idle], check=True)
        p = snapshot(directory)
        helper = catch(p, live, "wal")
        if helper:
            strict = is_reading(helper) is not None
            os.link(live, idle + ".link")
            os.rename(idle + ".link", idle)
            os.kill(helper, signal.SIGCONT)
        err = p.communicate()[1].decode()
        if helper and p.returncode == 3:
            break
        if helper and strict:
            raise SystemExit("the link was opened: exit %d %s" % (p.returncode, err))
    else:
        if helper:
            return                      # nobody may know what it reads: never at the right moment
        raise SystemExit("the helper was too fast %d times" % TRIES)
    want("the words", "another name of a database that is being read" in err, True)
    want("the image", image(live), app.do(LOOK))
    app.end()


def begun(mode, directory):
    path = os.path.join(directory, "a")
    app = make(path, mode, 300)
    reader = App(path)
    before = app.do(LOOK)
    # In WAL mode a checkpoint lies between what is in the file and what is not.
    if mode == "wal":
        app.do("pragma wal_checkpoint(passive)")
        app.do("insert into t(v) values('beyond')")
        before = app.do(LOOK)
    want("begin", reader.do("begin"), "[]")
    want("a reader", reader.do(LOOK), before)
    want("begin", app.do("begin immediate"), "[]")
    want("a change", app.do("update t set v = randomblob(500) where id % 5 = 0"), "[]")
    was = parts(path)
    p = snapshot(directory)
    ended(p)
    want("the image", image(path), before)
    want("the files", parts(path), was)
    want("what the reader sees", reader.do(LOOK), before)
    if mode == "wal":
        want("the -shm is theirs", holder(path + "-shm", DMS, 1) in (app.pid, reader.pid), True)
    want("end", reader.do("commit"), "[]")
    want("commit", app.do("commit"), "[]")
    after = app.do(LOOK)
    want("another sees it", reader.do(LOOK), after)
    want("and it is something else", after != before, True)
    reader.end()
    ended(snapshot(directory))
    want("the next image", image(path), after)
    app.end()


class Trace:
    """Descriptors of some inodes, from a log of strace -f -y; an open counts from its beginning, a close at its end."""

    CALL = re.compile(r"(\w+)\((.*?)(?:\) += (.*))?$", re.S)

    def __init__(self, files):
        self.files = {}
        for f in files:
            st = os.stat(f)
            self.files[st.st_dev, st.st_ino] = f
        self.names = {}
        self.process, self.pending = {}, {}
        self.open = {}                  # (process, descriptor): (file, line of its beginning)
        self.helpers, self.spans = set(), []

    def file_at(self, text):
        """The file that `<path>` behind a descriptor names, by inode."""
        m = re.match(r"(-?\d+)<(.*?)>(?:\(deleted\))?$", text.strip())
        if not m:
            return None, None
        if m.group(2) not in self.names:
            try:
                st = os.stat(m.group(2))
                self.names[m.group(2)] = self.files.get((st.st_dev, st.st_ino))
            except OSError:
                self.names[m.group(2)] = None
        return int(m.group(1)), self.names[m.group(2)]

    def shut(self, process, fd, n):
        file, begin = self.open.pop((process, fd))
        self.spans.append((file, process, begin, n))

    def call(self, process, begin, n, name, args, result):
        if name in ("open", "openat", "openat2", "open_by_handle_at", "creat"):
            fd, file = self.file_at(result)
            if file:
                if "O_CLOEXEC" not in args:
                    raise SystemExit("line %d: %s is open beyond exec" % (n, file))
                if "O_PATH" not in args:
                    self.open[process, fd] = (file, begin)
        elif name == "close" and result.startswith("0"):
            fd = int(re.match(r"\d+", args).group())
            if (process, fd) in self.open:
                self.shut(process, fd, n)
        elif name in ("dup", "dup2", "dup3") or (name == "fcntl" and "F_DUPFD" in args) or name == "recvmsg":
            for text in re.findall(r"\d+<[^>]*>", args + " " + result):
                if self.file_at(text)[1]:
                    raise SystemExit("line %d: a second descriptor of %s" % (n, text))
        elif name == "execve" and result == "0" and HELPER.decode() in args:
            self.helpers.add(process)

    def line(self, n, text):
        task, text = text.rstrip("\n").split(None, 1)
        process = self.process.setdefault(task, task)
        if text.startswith("+++"):
            for key in [k for k in self.open if k[0] == task]:
                self.shut(*key, n)
            return
        begin = n
        if text.endswith(" <unfinished ...>"):
            self.pending[task] = (n, text[:-len(" <unfinished ...>")])
            # A thread is of its process, which must be known before it does anything.
            return
        if text.startswith("<..."):
            begin, first = self.pending.pop(task, (n, ""))
            text = first + text.split(" resumed>", 1)[1]
        m = self.CALL.match(text)
        if not m or m.group(3) is None:
            return
        if m.group(1) in ("clone", "clone3", "vfork", "fork") and "CLONE_THREAD" in m.group(2):
            child = re.match(r"\d+", m.group(3))
            if child:
                self.adopt(child.group(), process)
            return
        self.call(process, begin, n, m.group(1), m.group(2), m.group(3))

    def adopt(self, task, process):
        """What a thread did before its maker heard of it was its process's, too."""
        self.process[task] = process
        for key in [k for k in self.open if k[0] == task]:
            self.open[process, key[1]] = self.open.pop(key)
        self.spans = [(f, process if p == task else p, b, e) for f, p, b, e in self.spans]


def trace(log, *files):
    t = Trace(files)
    with open(log, errors="surrogateescape") as f:
        for n, text in enumerate(f, 1):
            t.line(n, text)
    for key in list(t.open):
        t.shut(*key, 1 << 60)
    want("helpers", len(t.helpers), 1)
    helper = t.helpers.pop()
    mine = [s for s in t.spans if s[1] == helper]
    for f in files:
        if f.endswith("-wal") or f.endswith("-journal") or f.endswith("-shm"):
            continue
        if f not in [s[0] for s in mine]:
            raise SystemExit("the helper never opened %s" % f)
    # One more descriptor of its own would drop its locks when it is closed.
    for i, (f, _, begin, end) in enumerate(mine):
        for g, process, b, e in mine[:i] + [s for s in t.spans if s[1] != helper]:
            if f == g and b < end and e > begin:
                raise SystemExit("%s: the helper has it from line %d to %d, %s from %d to %d" % (f, begin, end, process, b, e))
    print("%d of the helper, %d of others, never at once" % (len(mine), len(t.spans) - len(mine)))


{"held": held, "grown": grown, "begun": begun, "linked": linked, "undone": undone, "trace": trace, "app": app_main}[sys.argv[1]](*sys.argv[2:])
