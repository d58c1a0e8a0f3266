#!/usr/bin/python3
"""The encryption, seen from outside.

    crypto.py [--files N] [--report]

  - what codec/ computes is what Python's hashlib and PyNaCl compute from the same inputs (SPEC §1, §5, CH-1, CH-4, CH-5)
  - two repositories of the same tree, and of the same key, share no piece of 16 bytes in their packs and records
  - fingerprints: an observer who knows a large file and sees lengths and order of everything stored guesses whether the
    repository holds that file or another one of its size

The guess: the observer stores what he knows in a repository of his own and takes the one of two that is more like it, by the
lengths of packs and of frames in their order.  For files that do not compress (images, archives, films) he must not do better than
by chance.  How compressible a file is along its length shows in the lengths of its frames: --report measures how far that leads.
"""
import argparse
import hashlib
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
sys.dont_write_bytecode = True

import nacl.bindings as sodium  # noqa: E402
import reader_format as fmt  # noqa: E402

TOP = os.path.join(HERE, "..", "..")
VARVE = os.environ.get("VARVE", os.path.join(TOP, "varve"))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build/gcc/release"))
count = failed = 0


def result(ok, text):
    global count, failed
    count += 1
    failed += not ok
    print("%sok %d - %s" % ("" if ok else "not ", count, text))
    sys.stdout.flush()


def pattern(n, seed):
    return bytes((seed + 7 * i + (i >> 8) * 13) & 255 for i in range(n))


# ---- known answers

def xchacha_stream(key, n):
    """Key stream of XChaCha20 with a zero nonce: HChaCha20, then ChaCha20 (RFC 8439) with counter 0."""
    def quarter(s, a, b, c, d):
        for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xffffffff
            s[z] ^= s[x]
            s[z] = (s[z] << r | s[z] >> (32 - r)) & 0xffffffff

    def rounds(state):
        s = list(state)
        for _ in range(10):
            for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13),
                    (3, 4, 9, 14)):
                quarter(s, *q)
        return s
    const = struct.unpack("<4I", b"expand 32-byte k")
    s = rounds(const + struct.unpack("<8I", key) + (0, 0, 0, 0))
    sub = tuple(s[:4] + s[12:])
    out = b""
    for i in range(0, n, 64):
        state = const + sub + (i // 64, 0, 0, 0)
        out += struct.pack("<16I", *[(a + b) & 0xffffffff for a, b in zip(rounds(state), state)])
    return out[:n]


def answers():
    text = subprocess.run([os.path.join(BUILD, "tests/crypto/crypto_proof"), "answers"], check=True, stdout=subprocess.PIPE).stdout
    said = dict(line.split(" ", 1) for line in text.decode().splitlines())
    master = pattern(32, 1)
    right = {"master": master.hex()}
    for n, name in enumerate(("id", "gear", "fingerprint", "pack", "record", "index", "writer"), 1):
        right[name] = hashlib.blake2b(b"", digest_size=32, key=master, person=b"varve-01", salt=struct.pack("<QQ", n, 0)).hexdigest()
    key = {k: bytes.fromhex(v) for k, v in right.items()}
    for i, n in enumerate((1, 63, 64, 127, 128, 129, 4096, 65537, 300000, 1 << 20)):
        p = pattern(n, i)
        right["chunk-%d" % i] = hashlib.blake2b(b"D" + p, digest_size=32, key=key["id"]).hexdigest()
        right["hash-%d" % i] = hashlib.blake2b(p, digest_size=32).hexdigest()
        right["wide-%d" % i] = hashlib.blake2b(p, digest_size=64, key=key["id"]).hexdigest()
        right["mac-%d" % i] = poly1305(key["fingerprint"], p).hex()
    wrong = [k for k, v in right.items() if said.get(k) != v]
    result(not wrong, "%d keys, ids, hashes and fingerprints are Python's %s" % (len(right), " ".join(wrong)))
    box = bytes.fromhex(said["box"])
    ad = fmt.aad(b"varve frame head", pattern(16, 200), pattern(48, 100))
    plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(box[24:], ad, box[:24], key["pack"])
    result(plain == pattern(1000, 5), "PyNaCl opens a box")
    data = deterministic(1 << 20, master)
    result(data[:64].hex() == said["cut-bytes"], "both cut the same bytes")
    gear = struct.unpack("<256Q", xchacha_stream(key["gear"], 2048))
    result(cuts(data, gear, 4096, 16384, 65536) == [int(x) for x in said["cuts"].split()], "cut points are those of CH-5, word for word")


def poly1305(key, data):
    """RFC 8439, in whole numbers."""
    r, s = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff, int.from_bytes(key[16:], "little")
    acc = 0
    for i in range(0, len(data), 16):
        acc = (acc + int.from_bytes(data[i:i + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((acc + s) & ((1 << 128) - 1)).to_bytes(16, "little")


def deterministic(n, seed):
    """libsodium's randombytes_buf_deterministic: ChaCha20 (IETF) under the seed with this nonce."""
    nonce = b"LibsodiumDRG"
    out = b""
    if hasattr(sodium, "crypto_stream_chacha20_ietf"):
        return sodium.crypto_stream_chacha20_ietf(n, nonce, seed)
    # An AEAD encrypts with the stream from block 1 on; block 0 is only 64 bytes, and computed here.
    const = struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", seed)
    first = chacha_block(const + (0,) + struct.unpack("<3I", nonce))
    rest = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(bytes(n), None, nonce, seed)
    out = first + rest
    return out[:n]


def chacha_block(state):
    s = list(state)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13),
                (3, 4, 9, 14)):
            for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & 0xffffffff
                s[z] ^= s[x]
                s[z] = (s[z] << r | s[z] >> (32 - r)) & 0xffffffff
    return struct.pack("<16I", *[(a + b) & 0xffffffff for a, b in zip(s, state)])


def cuts(data, gear, least, average, most):
    bits, mask = average.bit_length() - 1, (1 << 64) - 1
    out, start = [], 0
    while start < len(data):
        end, h = min(start + most, len(data)), 0
        cut = end
        for p in range(start + least - 64, end):
            h = ((h << 1) + gear[data[p]]) & mask
            n = p + 1 - start
            if n >= least and h >> (64 - (bits + 2 if n < average else bits - 2)) == 0:
                cut = p + 1
                break
        out.append(cut - start)
        start = cut
    return out


# ---- repositories

class Store:
    def __init__(self, top, name):
        self.repo, self.key = os.path.join(top, name), os.path.join(top, name + ".key")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("VARVE_")}
        self.env.update(VARVE_REPOSITORY=self.repo, VARVE_KEY_FILE=self.key, VARVE_STATE_DIR="")

    def run(self, *args):
        return subprocess.run([VARVE, *args], env=self.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout

    def make(self, *paths):
        self.run("init", "--key-file", self.key)
        for p in paths:
            self.run("snapshot", p)
        return self

    def objects(self, *dirs):
        return [os.path.join(t, n) for d in dirs for t, _, ns in os.walk(os.path.join(self.repo, d)) for n in sorted(ns)]

    def sealed(self):
        """What is sealed, without the fields in the clear around it."""
        for p in self.objects("keys", "snapshots", "packs"):
            with open(p, "rb") as f:
                data = f.read()
            if data[:8] != b"varvepak":
                yield data[104:] if data[:8] == b"varvekey" else data[160:]
                continue
            footer = data[-struct.unpack_from("<I", data, len(data) - 16)[0]:]
            at = 160
            for n in struct.unpack_from("<%dI" % struct.unpack_from("<I", footer, len(footer) - 24)[0], footer):
                yield data[at + 16:at + n]
                at += n

    def view(self):
        """What an observer sees: per data pack, as they were written, its length and the lengths of its frames."""
        out = []
        for p in self.objects("packs"):
            with open(p, "rb") as f:
                data = f.read()
            if struct.unpack_from("<I", data, 12)[0] == 1:
                footer = data[-struct.unpack_from("<I", data, len(data) - 16)[0]:]
                frames = struct.unpack_from("<I", footer, len(footer) - 24)[0]
                out.append((os.stat(p).st_mtime_ns, len(data), list(struct.unpack_from("<%dI" % frames, footer))))
        out.sort()
        return [n for _, n, _ in out], [f for _, _, frames in out for f in frames]


def nothing_in_common(top):
    src = os.path.join(top, "src")
    os.mkdir(src)
    for i in range(20):
        with open(os.path.join(src, "f%d" % i), "wb") as f:
            f.write(b"the same line of text\n" * 5000 if i % 2 else random.Random(i).randbytes(60000))
    a, b = Store(top, "a").make(src), Store(top, "b").make(src)
    seen, shared, pieces = None, 0, 0
    for store in (a, b):
        mine = {data[i:i + 16] for data in store.sealed() for i in range(0, len(data) - 15)}
        pieces += len(mine)
        shared += len(mine & seen) if seen else 0
        seen = mine
    result(shared == 0, "two repositories of one tree: %d of %d pieces of 16 bytes in common" % (shared, pieces))


def unlike(a, b):
    """How little two views resemble each other: lengths in their order, and the totals."""
    (packs, frames), (packs2, frames2) = a, b
    d = abs(len(frames) - len(frames2)) * 1000 + abs(sum(packs) - sum(packs2)) / 100
    for x, y in ((frames, frames2), (sorted(frames), sorted(frames2)), (packs, packs2)):
        d += sum(abs(p - q) for p, q in zip(x, y)) / 1000
    return d


def guesses(top, files, content, what):
    """In how many of these pairs is the file told from the other one?"""
    right = 0
    background = os.path.join(top, "background")
    with open(background, "wb") as f:
        f.write(random.Random(1).randbytes(400000))
    for i in range(files):
        r = random.Random("%s %d" % (what, i))
        size = r.randrange(1 << 20, 4 << 20)
        views = []
        known, other = content(r, size), content(r, size)
        for name, data in (("observer", known), ("with", known), ("without", other)):
            path = os.path.join(top, "large")
            with open(path, "wb") as f:
                f.write(data)
            views.append(Store(top, name).make(background, path).view())
            shutil.rmtree(os.path.join(top, name))
            os.unlink(os.path.join(top, name + ".key"))
        a, b = unlike(views[0], views[1]), unlike(views[0], views[2])
        right += 1 if a < b else 0.5 if a == b else 0
    return right


def text(r, size):
    """Compresses well here and badly there."""
    out = b""
    while len(out) < size:
        n = r.randrange(20000, 300000)
        out += r.randbytes(n) if r.random() < 0.5 else bytes(r.choice(b"abcdefgh ") for _ in range(n // 8)) * 8
    return out[:size]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--files", type=int, default=24)
    ap.add_argument("--report", action="store_true")
    a = ap.parse_args()
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None      # a great many syncs
    top = tempfile.mkdtemp(prefix="varve-crypto-", dir=shm)
    try:
        answers()
        nothing_in_common(top)
        n = guesses(top, a.files, lambda r, size: r.randbytes(size), "noise")
        bound = a.files                 # chance alone goes beyond less than once in a million runs
        while sum(math.comb(a.files, k) for k in range(bound, a.files + 1)) < 2 ** a.files / 1000000:
            bound -= 1
        result(n <= bound, "files that do not compress: %g of %d told apart, by chance %d" % (n, a.files, a.files // 2))
        if a.report:
            n = guesses(top, a.files, text, "text")
            print("# files that compress here and there, which is visible: %g of %d told apart" % (n, a.files))
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print("1..%d" % count)
    sys.exit(failed != 0)


main()
