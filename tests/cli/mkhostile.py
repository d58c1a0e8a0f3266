#!/usr/bin/python3
"""mkhostile.py REPO KEYFILE CASE OUTSIDE: put a snapshot into an empty repository that a holder of the key with bad intentions could
have written.  Everything is sealed correctly; what is wrong is inside.  OUTSIDE: a directory that no restore may touch.
"""
import hashlib
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
sys.dont_write_bytecode = True

import nacl.bindings as sodium  # noqa: E402
import reader_check  # noqa: E402
import reader_format as fmt  # noqa: E402

FILE, DIR, LINK = 1, 2, 3


def seal(key, ad, plain):
    nonce = os.urandom(24)
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, ad, nonce, key)


class Writer:
    """Chunks, then two packs, one segment and a record (PB-2)."""

    def __init__(self, repo, keyfile):
        self.repo = repo
        with open(os.path.join(repo, "varve-repo"), "rb") as f:
            header = fmt.decode_header(f.read())
        name = os.listdir(os.path.join(repo, "keys"))[0]
        with open(os.path.join(repo, "keys", name), "rb") as f:
            slot = f.read()
        with open(keyfile, "rb") as f:
            master = fmt.open_slot(slot, fmt.decode_slot(slot, bytes.fromhex(name), header), f.read(), header)
        self.id, self.keys = header.id, fmt.Keys(master, header)
        self.chunks, self.refs = {}, {}

    def put(self, kind, plain, children=()):
        name = self.keys.chunk_id(kind, plain)
        if name not in self.chunks:
            self.chunks[name] = (kind, plain)
            for child in set(children):
                self.refs[child] = self.refs.get(child, 0) + 1
        return name

    def entry(self, name, kind, content=None, data=b"", target=b"", mode=None, dev=None, size=None, inode=7):
        """content: id of a tree; data: bytes of a file."""
        flags = 2 if dev is not None else 0
        mode = mode or (0o755 if kind == DIR else 0o644)
        length = size if size is not None else len(data) if kind == FILE else len(target)
        out = struct.pack("<H", len(name)) + name
        out += struct.pack("<BBHIIqIIqQ", kind, flags, mode, os.getuid(), os.getgid(), 1700000000, 5, 6, 1700000000, inode)
        if dev is not None:
            out += struct.pack("<Q", dev)
        out += struct.pack("<Q", length)
        child = content
        if kind == FILE and length:
            child = content or self.put(fmt.D, data)
            out += child + fmt.poly1305(self.keys.fingerprint, data)
        elif kind == DIR:
            out += child
        return out + target + struct.pack("<I", 0), child

    def tree(self, *entries, level=0):
        return self.put(fmt.T, bytes([level]) + bytes(7) + b"".join(e for e, _ in entries), [c for _, c in entries if c])

    def wrap(self, subkey, label, context, key):
        box = seal(subkey, fmt.aad(label, self.id, context), key)
        return (struct.pack("<II", 1, len(box)) + box).ljust(128, b"\0")

    def frame(self, names):
        """Head and body in the clear: one raw block for each chunk."""
        rows = [self.chunks[n] for n in names]
        table = struct.pack("<II", len(names), len(names))
        table += b"".join(struct.pack("<IIHBB", len(p) << 8, len(p), 1, 0, 0) for _, p in rows)
        table += b"".join(struct.pack("<I", k | len(p) << 8) + n for (k, p), n in zip(rows, names))
        return table, b"".join(p for _, p in rows)

    def pack(self, kind, names):
        """Write a pack with one frame per 1,000 chunks: (name, file length, [(offset, length, chunks)])."""
        head = struct.pack("<8sII", b"varvepak", 1, kind) + os.urandom(16)
        key = os.urandom(32)
        body, frames = head + self.wrap(self.keys.pack, b"varve pack key", head, key), []
        for at in range(0, len(names), 1000):
            part = names[at:at + 1000]
            table, plain = self.frame(part)
            prefix = struct.pack("<4sIII", b"VFRM", len(frames), len(table) + 40, len(plain) + 40)
            frame = prefix + seal(key, fmt.aad(b"varve frame head", self.id, head[16:] + prefix), table)
            frame += seal(key, fmt.aad(b"varve frame body", self.id, head[16:] + prefix), plain)
            frames.append((len(body), len(frame), len(part)))
            body += frame
        blocks = [body[i:i + 65536] for i in range(0, len(body), 65536)]
        footer = b"".join(struct.pack("<I", n) for _, n, _ in frames)
        footer += b"".join(struct.pack("<Q", reader_check.xxh3(b)) for b in blocks)
        footer += struct.pack("<IIII8s", len(frames), len(blocks), len(footer) + 24, 0, b"varvefot")
        name = fmt.H(footer)
        self.write("packs/%s/%s" % (name.hex()[:2], name.hex()), body + footer)
        return name, len(body + footer), frames

    def write(self, path, data):
        with open(os.path.join(self.repo, path), "xb") as f:
            f.write(data)

    def publish(self, root, host=b"host", paths=(b"/src",), tags=()):
        sid = os.urandom(16)
        packs, place = [], {}
        for kind, types in ((1, (fmt.D,)), (2, (fmt.L, fmt.T))):
            names = [n for n, (k, _) in self.chunks.items() if k in types]
            if names:
                packs.append((*self.pack(kind, names), kind))
                for i, n in enumerate(names):
                    place[n] = (packs[-1][0], i // 1000, i % 1000)
        packs.sort()
        rows, number, pack_rows, frame_rows = b"", {}, b"", b""
        for i, (name, size, frames, kind) in enumerate(packs):
            pack_rows += name + struct.pack("<QQIIII", size, sum(f[1] for f in frames), len(frames), len(frames), kind, 0)
            for ordinal, (offset, length, chunks) in enumerate(frames):
                number[name, ordinal] = len(number)
                frame_rows += struct.pack("<IIIIII", i, ordinal, offset, length, chunks, chunks)
        for n in sorted(self.chunks):
            pack, ordinal, slot = place[n]
            rows += n + struct.pack("<IIIHBB", self.refs.get(n, 0), 0, number[pack, ordinal], slot, self.chunks[n][0], 0)
        pack_rows, frame_rows, rows = self.bend(pack_rows, frame_rows, rows)
        self.segment(sid, root, len(packs), pack_rows, len(number), frame_rows, rows)
        self.record(sid, root, host, paths, tags)

    def bend(self, packs, frames, rows):
        """For cases that lie in the index."""
        return packs, frames, rows

    def segment(self, sid, root, pack_count, packs, frame_count, frames, rows):
        count, bits = len(rows) // 48, 0
        while count > 64 << bits:
            bits += 1
        firsts = [int.from_bytes(rows[i:i + 4], "big") >> (32 - bits) for i in range(0, len(rows), 48)]
        fanout = b"".join(struct.pack("<I", sum(f <= i for f in firsts)) for i in range(1 << bits))
        body, nonce = packs + frames + rows + fanout, os.urandom(16)
        head = struct.pack("<8sII16s16s16sQ32sIIIIIIQQ", b"varveidx", 1, 1, self.id, nonce, sid, 0, root, 1, bits, 0, 0, pack_count,
            frame_count, count, 0).ljust(224, b"\0")
        tags = self.tags(b"varve index body", nonce, body)
        upper = self.tags(b"varve index tags", nonce, tags)
        mac = fmt.H(b"varve index head" + head + upper, self.keys.index)
        self.write("index/%s-%08x" % (sid.hex(), 0), head + mac + body + tags + upper)

    def tags(self, kind, nonce, data):
        return b"".join(fmt.poly1305(fmt.H(kind + nonce + struct.pack("<Q", i // 4096), self.keys.index), data[i:i + 4096])
            for i in range(0, len(data), 4096))

    def payload(self, plain):
        return plain

    def record(self, sid, root, host, paths, tags):
        def text(s):
            return struct.pack("<I", len(s)) + s
        now = 1750000000 * 10**9
        payload = root + bytes(16) + os.urandom(16) + struct.pack("<Q", 1) + bytes(16)
        payload += struct.pack("<qqqQ", now, now, now, 0) + bytes(128)
        payload += text(host) + text(b"user") + text(b"hostile 1")
        for strings in (paths, tags):
            payload += struct.pack("<I", len(strings)) + b"".join(text(s) for s in sorted(strings))
        payload = self.payload(payload + bytes(12))
        head, key = struct.pack("<8sII16s", b"varvesnp", 1, 0, sid), os.urandom(32)
        head += self.wrap(self.keys.record, b"varve snap key", head, key)
        self.write("snapshots/" + sid.hex(), head + seal(key, fmt.aad(b"varve snap", self.id, head), payload))


def evil(w, case, outside):
    """The directory that holds what is wrong; None: the case has put it together itself."""
    def f(name, data=b"pwned\n", **more):
        return w.entry(name, FILE, data=data, **more)

    def link(name, target):
        return w.entry(name, LINK, target=target, mode=0o777)
    if case in ("dotdot", "absolute", "dot", "parent", "slash", "zero"):
        name = {"dotdot": b"..", "absolute": outside + b"/x", "dot": b".", "parent": b"../x", "slash": b"a/b", "zero": b"a\0b"}[case]
        return w.tree(f(name))
    if case == "dotdot-dir":
        return w.tree(w.entry(b"..", DIR, w.tree(f(b"x"))))
    if case == "empty":
        return w.tree(f(b""))
    if case == "link-and-dir":
        return w.tree(link(b"same", outside), w.entry(b"same", DIR, w.tree(f(b"x"))))
    if case == "dir-and-link":
        return w.tree(w.entry(b"same", DIR, w.tree(f(b"x"))), link(b"same", outside))
    if case == "duplicate":
        return w.tree(f(b"a", b"one\n"), f(b"a", b"two\n"))
    if case == "unsorted":
        return w.tree(f(b"b"), f(b"a"))
    if case == "link-to-root":
        return w.tree(link(b"l", outside), f(b"l/x"))
    if case == "hardlink":      # one file of two names, of which one is a symbolic link to something of ours
        return w.tree(w.entry(b"a", LINK, target=outside + b"/precious", mode=0o777, dev=1, inode=9),
            f(b"b", dev=1, inode=9))
    if case == "length":        # the chunk is shorter than the entry says
        return w.tree(f(b"long", b"short", content=w.put(fmt.D, b"short"), size=1000))
    if case == "type":          # a tree served as a file
        node = w.tree()
        return w.tree(w.entry(b"node", FILE, content=node, data=b"\0" * 8))
    if case == "missing":
        return w.tree(f(b"gone", content=hashlib.sha256(b"nothing").digest()), f(b"here", b"here\n"))
    if case == "deep":
        node = w.tree(f(b"bottom"))
        for _ in range(5000):
            node = w.tree(w.entry(b"d", DIR, node))
        return node
    if case == "escape":
        return w.tree(f(b"\x1b]0;title\x07\x1b[31mred"), link(b"l\x1b[2J", b"\x1b[31mtarget\x07"), f(b"\xc2\x9b31mc1"))
    raise SystemExit("unknown case " + case)


def main():
    repo, keyfile, case, outside = sys.argv[1:]
    w = Writer(repo, keyfile)
    bad = evil(w, case, os.fsencode(outside))
    root = w.tree(w.entry(b"evil", DIR, bad), w.entry(b"good", FILE, data=b"good\n"))
    strange = {"host": b"h\x1b[31m", "paths": (b"/\x1b[2Jsrc",), "tags": (b"t\x1b]0;x\x07",)} if case == "escape" else {}
    w.publish(root, **strange)


if __name__ == "__main__":
    main()
