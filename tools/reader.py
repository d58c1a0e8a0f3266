#!/usr/bin/python3
"""reader.py - reads, verifies and restores a varve repository, from SPEC.md alone.

    reader.py REPO [KEY] list                      one line per snapshot: id, time, host, paths
    reader.py REPO [KEY] ls SNAP [PATH]            one line per entry
    reader.py REPO [KEY] restore SNAP TARGET [PATH]
    reader.py REPO [KEY] check [--scrub]           --scrub: block checksums and fingerprints too
    reader.py vectors DIR...                       run every *.vec below DIR, print TAP

KEY is --key-file F, --password-file F (newlines at its end are not part of the passphrase)
or --insecure-no-encryption.  SNAP is a snapshot id, the unambiguous beginning of one, or `latest`.
Restore wants TARGET to be absent or an empty directory and keeps full paths below it.

Exit: 0 ok, 1 failed, 2 usage, 4 damage, 10 no repository, 12 wrong key.

reader_format.py decodes the objects, reader_check.py holds check and vectors; ids such as FR-1
are rules of SPEC.md.  Nothing is shared with the C program.
"""
import argparse
import collections
import datetime
import errno
import fcntl
import mmap
import os
import re
import stat
import struct
import sys

sys.dont_write_bytecode = True

import reader_format as fmt  # noqa: E402
from reader_format import (  # noqa: E402
    BLOCK, CHAR, D, DIR, FIFO, FILE, HARDLINK, IMPLIED, KEYFILE, L, LINK, LIST, NONE, PASSPHRASE,
    PUBLIC, SOCKET, T, UNREAD, ZERO, Auth, Damage, Missing, Unreadable, Unsupported,
    WrongKey, need)


class Stop(Exception):
    """The command cannot go on: message and exit status."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def warn(text):
    print("reader: " + text, file=sys.stderr)


# ---- The repository: files, keys, chunks, trees ------------------------------------------------


class Repo:
    CACHE, FILES = 64 << 20, 256

    def __init__(self, path):
        self.path, self.header, self.keys = path, None, None
        self.indexes, self.head = [], None  # newest table first, then segments
        self.packs, self.frames, self.cost = (collections.OrderedDict(),
                                              collections.OrderedDict(), 0)
        try:
            self.header = fmt.decode_header(self.read("varve-repo", 161))
        except Missing:
            raise Stop("no repository at '%s'" % fmt.show(os.fsencode(self.path)), 10) from None
        self.lock()

    def open(self, name):
        try:
            return os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # GN-5
            raise Missing("'%s' is missing" % name) from None
        except OSError as e:
            raise Unreadable("'%s': %s" % (name, e.strerror)) from None

    def read(self, name, limit):
        with open(self.open(name), "rb") as f:
            return f.read(limit)

    def map(self, name):
        with open(self.open(name), "rb") as f:
            if os.fstat(f.fileno()).st_size == 0:
                return b""
            return mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)

    def names(self, where, pattern):
        """The names in a directory that are ours, sorted; others are ignored (GN-4)."""
        try:
            found = os.listdir(os.path.join(self.path, where))
        except FileNotFoundError:
            raise Missing("'%s' is missing" % where) from None
        return sorted(n for n in found if re.fullmatch(pattern, n))

    def lock(self):
        """PB-9: the shared lock, through the turnstile; held until the process ends."""
        try:
            fd = self.open("locks")
        except Missing:
            warn("no lock file: reading without the lock")
            return
        for kind, at in ((fcntl.F_RDLCK, 1), (fcntl.F_RDLCK, 0), (fcntl.F_UNLCK, 1)):
            fcntl.fcntl(fd, fcntl.F_OFD_SETLKW,
                        struct.pack("hhqqi4x", kind, os.SEEK_SET, at, 1, 0))

    def unlock(self, kind, secret):
        """KS-3 ... KS-6: try the slots of one kind in the order of their names."""
        names, failed, tried = self.names("keys", "[0-9a-f]{32}"), None, False
        need(len(names) <= 64, "more than 64 key slots")
        for name in names:
            try:
                data = self.read("keys/" + name, 321)
                if fmt.decode_slot(data, bytes.fromhex(name), self.header) == kind:
                    master = fmt.open_slot(data, kind, secret, self.header)
                    self.keys = fmt.Keys(master, self.header)
                    return
            except WrongKey:
                tried = True
            except fmt.WrongHeader:
                raise
            except Damage as e:
                failed = failed or e
        if failed and not tried:
            raise failed
        raise Stop("no key slot opens with this secret", 12)

    def load_index(self, bad):
        """IX-6: the head, the tables it keeps, the segments it does not remove.

        Index files that cannot be used are told to bad(name, exception) and left out: what the
        others place can still be read."""
        def load(name):
            try:
                self.indexes.append(fmt.Index(self.map("index/" + name), name, self.keys))
                return self.indexes[-1]
            except Damage as e:
                bad("index/" + name, e)

        tables = self.names("index", "[0-9a-f]{16}")
        removed = set()
        self.head = load(tables[-1]) if tables else None
        if self.head:
            removed = self.head.remove_list()
            for number in self.head.keep_list():
                load("%016x" % number)
        for name in self.names("index", "[0-9a-f]{32}-[0-9a-f]{8}"):
            sid, part = name.split("-")
            if (1, bytes.fromhex(sid) + bytes(16), int(part, 16)) not in removed:
                load(name)

    def snapshot(self, where, name):
        try:
            data = self.read("%s/%s" % (where, name), (1 << 24) + 1)
            return fmt.decode_snapshot(data, bytes.fromhex(name), self.keys)
        except Damage as e:
            raise type(e)("%s/%s: %s" % (where, name, e)) from None

    def find_snapshot(self, wanted):
        names = self.names("snapshots", "[0-9a-f]{32}")
        if wanted == "latest":
            found = [max((self.snapshot("snapshots", n) for n in names),
                         key=lambda s: s.begin, default=None)]
        else:
            found = [self.snapshot("snapshots", n) for n in names
                     if wanted and n.startswith(wanted)]
        if len(found) != 1 or found[0] is None:
            raise Stop("%s snapshot '%s'" % ("ambiguous" if len(found) > 1 else "no",
                                             fmt.show(os.fsencode(wanted))))
        return found[0]

    def pack(self, name):
        """(file descriptor, kind, id, key) of a pack, opened once."""
        if name in self.packs:
            self.packs.move_to_end(name)
            return self.packs[name]
        fd = self.open(fmt.pack_path(name))
        try:
            opened = (fd,) + fmt.decode_pack_header(os.pread(fd, 160, 0), self.keys)
        except BaseException:
            os.close(fd)
            raise
        self.packs[name] = opened
        if len(self.packs) > self.FILES:
            os.close(self.packs.popitem(last=False)[1][0])
        return opened

    def frame(self, name, row):
        found = self.frames.pop((name, row.ordinal), None)
        if found is None:
            fd, *opened = self.pack(name)
            try:
                data = os.pread(fd, row.length, row.offset)
            except OSError as e:
                raise Unreadable(e.strerror) from None
            need(len(data) == row.length, "pack ends too early")
            found = fmt.Frame(data, row.ordinal, *opened, self.keys.repo)
            need(len(found.chunks) == row.chunks, "frame: not the chunks that the index has")
        else:
            self.cost -= found.charged
        found.charged = found.cost
        self.cost += found.charged
        self.frames[name, row.ordinal] = found
        while self.cost > self.CACHE and len(self.frames) > 1:
            self.cost -= self.frames.popitem(last=False)[1].charged
        return found

    def places(self, name):
        """CH-3, IX-6: where copies of a chunk are, least depth first."""
        found, table_done = [], False
        for index in self.indexes:
            if index.table and table_done:
                continue
            row = index.find(name)
            if row:
                table_done = table_done or index.table
                if row.frame != NONE:
                    found.append((row.depth, len(found), index, row))
        return sorted(found)

    def fetch(self, name, kind=None, room=None):
        """The plaintext of a chunk; another copy is tried if the best one is damaged."""
        room = room or [32]  # FR-4
        before, failed = room[0], Missing("chunk %s is not in the index" % name.hex())
        for n, (_, _, index, row) in enumerate(self.places(name)):
            pack, room[0] = ZERO, before
            try:
                frame_row = index.frame(row.frame)
                pack = index.pack(frame_row.pack).name
                frame = self.frame(pack, frame_row)
                need(row.slot < len(frame.chunks), "frame: no such slot")
                found_kind, _, found = frame.chunks[row.slot]
                need(found == name and found_kind == row.type and kind in (None, found_kind),
                     "chunk %s: another one is in its place" % name.hex(), Auth)
                plain = frame.chunk(row.slot, lambda base, room: self.fetch(base, None, room), room)
                need(self.keys.chunk_id(found_kind, plain) == name,
                     "chunk %s: content differs" % name.hex(), Auth)  # FR-5
                return plain
            except Damage as e:
                if not n:
                    text = str(e)
                    failed = type(e)(text if text.startswith("pack ") else "pack %s: %s" % (
                        pack.hex()[:16], text))
        raise failed

    def entries(self, name, bad, parent=None, level=None, bound=None):
        """The entries of a directory; bad(exception) is told of parts that are damaged."""
        try:
            own, rows = fmt.decode_tree(self.fetch(name, T))
            if parent:
                fmt.fits_tree(parent, level, bound, own, rows)
        except Damage as e:
            bad(e)
            return
        if not own:
            yield from rows
            return
        for row, after in zip(rows, rows[1:] + [None]):
            yield from self.entries(row.id, bad, row, own, after.name if after else bound)

    def content(self, entry, bad, data=True):
        """(offset, bytes) of a file without its holes; bad(exception, offset, length).

        With data false the rows of level 0 come instead of their bytes."""
        def rows(row, offset, kind, level):
            try:
                if kind == D:
                    plain = self.fetch(row.id, D) if data else row
                    need(not data or len(plain) == row.length, "chunk of another length")
                    yield offset, plain
                    return
                own, below = fmt.decode_list(self.fetch(row.id, L))
                fmt.fits_list(row, level, own, below)
            except Damage as e:
                bad(e, offset, row.length)
                return
            for child in below:
                if child.id != ZERO:
                    yield from rows(child, offset, L if own else D, own)
                offset += child.length

        if entry.content:
            yield from rows(fmt.ListRow(entry.content, entry.size, entry.fingerprint), 0,
                            L if entry.flags & LIST else D, None)


# ---- Commands: list, ls, restore ---------------------------------------------------------------


def iso(ns):
    try:
        then = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=ns // 1000)
        return then.strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return "%d ns" % ns


def command_list(repo):
    found, status = [], 0
    for name in repo.names("snapshots", "[0-9a-f]{32}"):
        try:
            found.append(repo.snapshot("snapshots", name))
        except Damage as e:
            warn(str(e))
            status = 4
    for s in sorted(found, key=lambda s: (s.begin, s.sid)):
        print(s.sid.hex(), iso(s.begin), fmt.show(s.host), *map(fmt.show, s.paths))
    return status


def split(path):
    return [part for part in os.fsencode(path).split(b"/") if part not in (b"", b".")]


class Walk:
    """Depth-first over a snapshot, or over the part of it beneath a path (TN-6)."""

    def __init__(self, repo, snap, path):
        self.repo, self.root, self.wanted = repo, snap.root, split(path)
        self.found, self.status, self.trail = not self.wanted, 0, []

    def bad(self, e, where=None):
        warn("'/%s': %s" % (fmt.show(b"/".join(self.trail if where is None else where)), e))
        self.status = 4

    def visit(self, entry):
        """True to go down into a directory."""
        return True

    def leave(self, entry):
        pass

    def run(self):
        stack = [(None, self.repo.entries(self.root, self.bad))]
        while stack:
            entry = next(stack[-1][1], None)
            if entry is None:
                entry, _ = stack.pop()
                if entry:
                    self.leave(entry)
                    self.trail.pop()
                continue
            depth = len(self.trail)
            if depth < len(self.wanted):
                if entry.name != self.wanted[depth] or (
                        depth + 1 < len(self.wanted) and entry.kind != DIR):
                    continue
                self.found = self.found or depth + 1 == len(self.wanted)
            self.trail.append(entry.name)
            if self.visit(entry) and entry.kind == DIR:
                if len(self.trail) > 4096:
                    self.bad("directories deeper than 4096")
                stack.append((entry, self.repo.entries(entry.content, self.bad)
                              if entry.content and len(self.trail) <= 4096 else iter(())))
            else:
                self.trail.pop()
        if not self.found and not self.status:
            raise Stop("no such path in the snapshot: '%s'" % fmt.show(b"/".join(self.wanted)))
        return self.status


class Ls(Walk):
    def visit(self, e):
        if len(self.trail) >= len(self.wanted):
            print("%s%04o %d %d %d %s /%s%s" % (
                "?-dlpcbs"[e.kind], e.mode, e.uid, e.gid, e.size, iso(e.mtime),
                fmt.show(b"/".join(self.trail)), " -> " + fmt.show(e.target) if e.target else ""))
        return True


def identity(fd):
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


class Restore(Walk):
    """Everything is made relative to the directory `self.fd` and never through a link.

    Only the innermost directory is open, so that depth is not bounded by descriptors; the way
    back is `..`, accepted only if it is the directory we came from."""

    DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

    def __init__(self, repo, snap, target, path):
        super().__init__(repo, snap, path)
        os.makedirs(target, exist_ok=True)
        self.top = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if os.listdir(self.top):
            raise Stop("target '%s' is not empty" % fmt.show(os.fsencode(target)))
        self.fd, self.above, self.links = os.dup(self.top), [], {}
        self.root_user, self.late = os.geteuid() == 0, []

    def failed(self, e):
        warn("'/%s': %s" % (fmt.show(b"/".join(self.trail)), getattr(e, "strerror", None) or e))
        self.status = self.status or 1

    def visit(self, e):
        try:
            return self.make(e)
        except (OSError, ValueError, OverflowError) as error:
            self.failed(error)
            return False

    def make(self, e):
        key = (e.dev, e.inode, e.kind, e.size, e.mtime, e.content, e.target) if e.flags & HARDLINK else None
        if key in self.links:  # TN-4
            self.link(self.links[key], e.name)
            return False
        if e.flags & UNREAD:
            warn("'/%s': could not be read when the snapshot was made" %
                 fmt.show(b"/".join(self.trail)))
        if e.kind == DIR:
            os.mkdir(e.name, 0o700, dir_fd=self.fd)
            child = os.open(e.name, self.DIR_FLAGS, dir_fd=self.fd)
            self.above.append(identity(self.fd))
            os.close(self.fd)
            self.fd = child
        elif e.kind == FILE:
            if not e.flags & UNREAD:
                self.file(e)
        elif e.kind == LINK:
            os.symlink(e.target, e.name, dir_fd=self.fd)
            self.dress(b"/proc/self/fd/%d/%s" % (self.fd, e.name), e, False)
        elif e.kind in (CHAR, BLOCK) and not self.root_user:
            warn("'/%s': device skipped, not root" % fmt.show(b"/".join(self.trail)))
            return False
        else:
            form = {FIFO: stat.S_IFIFO, CHAR: stat.S_IFCHR, BLOCK: stat.S_IFBLK,
                    SOCKET: stat.S_IFSOCK}[e.kind]
            os.mknod(e.name, form | 0o600, os.makedev(e.size >> 32, e.size & NONE),
                     dir_fd=self.fd)
            fd = os.open(e.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            self.dress(b"/proc/self/fd/%d" % fd, e)
            os.close(fd)
        if key and not (e.kind == FILE and e.flags & UNREAD):
            self.links[key] = tuple(self.trail)
        return True

    def link(self, first, name):
        fd = os.dup(self.top)
        try:
            for part in first[:-1]:
                fd, old = os.open(part, os.O_PATH | self.DIR_FLAGS, dir_fd=fd), fd
                os.close(old)
            os.link(first[-1], name, src_dir_fd=fd, dst_dir_fd=self.fd, follow_symlinks=False)
        finally:
            os.close(fd)

    def file(self, e):
        def bad(error, offset, length):
            self.bad("bytes %d to %d lost: %s" % (offset, offset + length - 1, error))

        fd = os.open(e.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW |
                     os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        try:
            for offset, data in self.repo.content(e, bad):
                while data:
                    n = os.pwrite(fd, data, offset)
                    data, offset = data[n:], offset + n
            os.ftruncate(fd, e.size)
            self.dress(fd, e)
        finally:
            os.close(fd)

    def dress(self, where, e, follow=True):
        """Owner, attributes, mode, times, flags: in this order, as each may undo the next."""
        how = {} if follow else {"follow_symlinks": False}
        mode = e.mode
        if self.root_user:
            os.chown(where, e.uid, e.gid, **how)
        elif (e.uid, e.gid) != (os.geteuid(), os.getegid()):
            mode &= 0o1777
        for name, value in e.xattrs:
            try:
                os.setxattr(where, name, value, **how)
            except (OSError, ValueError) as error:
                if self.root_user or getattr(error, "errno", 0) != errno.EPERM:
                    self.failed(error)
                else:
                    warn("'/%s': attribute %s not set" % (fmt.show(b"/".join(self.trail)),
                                                          fmt.show(name)))
        if follow:
            os.chmod(where, mode)
        if not e.flags & IMPLIED:
            os.utime(where, ns=(e.mtime, e.mtime), **how)
        if e.file_flags and isinstance(where, int):
            if e.flags & HARDLINK:  # an immutable file takes no more links
                self.late.append((os.dup(where), e.file_flags))
            else:
                self.set_flags(where, e.file_flags)

    def set_flags(self, fd, flags):
        FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
        try:
            now = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))[0]
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", now | flags))
        except OSError as error:
            self.failed(error)

    def leave(self, e):
        parent = os.open("..", self.DIR_FLAGS, dir_fd=self.fd)
        if identity(parent) != self.above.pop():
            raise Stop("'/%s': directory was moved during the restore" %
                       fmt.show(b"/".join(self.trail)))
        try:
            self.dress(self.fd, e)
        except (OSError, OverflowError) as error:
            self.failed(error)
        os.close(self.fd)
        self.fd = parent

    def run(self):
        super().run()
        for fd, flags in self.late:
            self.set_flags(fd, flags)
            os.close(fd)
        return self.status


# ---- Main --------------------------------------------------------------------------------------


def secret_of(options):
    """(kind of slot, secret); KS-4: a public slot is tried only on demand."""
    given = [(KEYFILE, options.key_file), (PASSPHRASE, options.password_file),
             (PUBLIC, options.insecure_no_encryption)]
    given = [(kind, value) for kind, value in given if value]
    if len(given) != 1:
        raise Stop("give one of --key-file, --password-file, --insecure-no-encryption", 2)
    kind, value = given[0]
    if kind == PUBLIC:
        return kind, None
    with open(value, "rb") as f:
        secret = f.read(1 << 20)
    return kind, secret.rstrip(b"\n") if kind == PASSPHRASE else secret


def run(options):
    words, command = options.words, options.command
    low, high = {"list": (0, 0), "ls": (1, 2), "restore": (2, 3), "check": (0, 0)}[command]
    if not low <= len(words) <= high:
        raise Stop("%s: wrong number of arguments" % command, 2)
    kind, secret = secret_of(options)
    repo, damaged = Repo(options.repo), []
    repo.unlock(kind, secret)
    if command == "list":
        return command_list(repo)
    if command == "check":
        import reader_check
        return reader_check.Check(repo, options.scrub).run()
    snap = repo.find_snapshot(words[0])  # PB-9: before the index is listed
    repo.load_index(lambda name, e: damaged.append(warn("%s: %s" % (name, e))))
    walk = (Ls(repo, snap, words[1] if len(words) > 1 else "") if command == "ls" else
            Restore(repo, snap, words[1], words[2] if len(words) > 2 else ""))
    return walk.run() or (4 if damaged else 0)


def main():
    if sys.argv[1:2] == ["vectors"]:
        import reader_check
        return reader_check.vectors(sys.argv[2:])
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("repo")
    parser.add_argument("command", choices=("list", "ls", "restore", "check"))
    parser.add_argument("words", nargs="*")
    parser.add_argument("--key-file")
    parser.add_argument("--password-file")
    parser.add_argument("--insecure-no-encryption", action="store_true")
    parser.add_argument("--scrub", action="store_true")
    options = parser.parse_intermixed_args()
    try:
        return run(options)
    except Stop as e:
        warn(str(e))
        return e.status
    except Unsupported as e:
        warn("unsupported: %s" % e)
        return 1
    except Damage as e:
        warn("%s: %s" % (type(e).__name__.lower(), e))
        return 4
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as e:
        warn("'%s': %s" % (fmt.show(os.fsencode(e.filename or "")), e.strerror or e))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
