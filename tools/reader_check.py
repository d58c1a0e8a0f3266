"""reader_check.py - `reader.py REPO check` and `reader.py vectors`: SPEC.md held against bytes.

check proves every object that a valid index or a snapshot names, opens every frame, computes
every chunk id, walks every snapshot and counts refs, uses and live anew (IX-4, IX-7).
"""
import collections
import os
import re
import struct
import sys

import reader_format as fmt
from reader_format import (D, DIR, FILE, HARDLINK, NONE, L, T, Auth, Damage, Malformed,
                           Missing, need)

# ---- XXH3-64, seed 0 ---------------------------------------------------------------------------

M64 = (1 << 64) - 1
P32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
       0x27D4EB2F165667C5)
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def fold(a, b):
    product = a * b
    return product & M64 ^ product >> 64


def avalanche(h):
    h = (h ^ h >> 37) * 0x165667919E3779F9 & M64
    return h ^ h >> 32


def avalanche64(h):
    h = (h ^ h >> 33) * P64[1] & M64
    h = (h ^ h >> 29) * P64[2] & M64
    return h ^ h >> 32


def xxh3_short(d):
    n, s = len(d), lambda at: u64(SECRET, at)
    if n == 0:
        return avalanche64(s(56) ^ s(64))
    if n <= 3:
        return avalanche64((d[0] << 16 | d[n >> 1] << 24 | d[-1] | n << 8)
                           ^ (s(0) & 0xFFFFFFFF) ^ s(0) >> 32)
    if n <= 8:
        h = (int.from_bytes(d[-4:], "little") + (int.from_bytes(d[:4], "little") << 32)) ^ (
            s(8) ^ s(16))
        h ^= ((h << 49 | h >> 15) ^ (h << 24 | h >> 40)) & M64
        h = h * 0x9FB21C651E98DF25 & M64
        h = (h ^ (h >> 35) + n) * 0x9FB21C651E98DF25 & M64
        return h ^ h >> 28
    low, high = u64(d, 0) ^ s(24) ^ s(32), u64(d, n - 8) ^ s(40) ^ s(48)
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    return avalanche((n + swapped + high + fold(low, high)) & M64)


def xxh3_middle(d):
    n = len(d)

    def mix(at, key):
        return fold(u64(d, at) ^ u64(SECRET, key), u64(d, at + 8) ^ u64(SECRET, key + 8))

    h = n * P64[0]
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            h += mix(16 * i, 32 * i) + mix(n - 16 * i - 16, 32 * i + 16)
        return avalanche(h & M64)
    h = avalanche(h + sum(mix(16 * i, 16 * i) for i in range(8)) & M64)
    h += sum(mix(16 * i, 16 * i - 125) for i in range(8, n // 16)) + mix(n - 16, 119)
    return avalanche(h & M64)


def xxh3(d):
    n = len(d)
    if n <= 240:
        return xxh3_short(d) if n <= 16 else xxh3_middle(d)
    acc = [P32[2], *P64[:4], P32[1], P64[4], P32[0]]

    def stripe(values, keys):
        for i in range(8):
            key = values[i] ^ keys[i]
            acc[i ^ 1] += values[i]
            acc[i] += (key & 0xFFFFFFFF) * (key >> 32)

    keys = [struct.unpack_from("<8Q", SECRET, 8 * i) for i in range(17)]
    count = (n - 1) // 64
    for i, values in enumerate(struct.iter_unpack("<8Q", d[:64 * count])):
        stripe(values, keys[i % 16])
        if i % 16 == 15:
            for k in range(8):
                a = acc[k] & M64
                acc[k] = (a ^ a >> 47 ^ keys[16][k]) * P32[0] & M64
    stripe(struct.unpack("<8Q", d[-64:]), struct.unpack_from("<8Q", SECRET, 121))
    h = n * P64[0]
    for i in range(4):
        h += fold(acc[2 * i] & M64 ^ u64(SECRET, 11 + 16 * i),
                  acc[2 * i + 1] & M64 ^ u64(SECRET, 19 + 16 * i))
    return avalanche(h & M64)


# ---- check -------------------------------------------------------------------------------------


def check_blocks(data, footer_length, sums):
    """The block checksums of a pack (§6)."""
    for n, wanted in enumerate(sums):
        end = min(65536 * (n + 1), len(data) - footer_length)
        need(xxh3(data[65536 * n:end]) == wanted, "pack: checksum of block %d differs" % n, Auth)


class Check:
    def __init__(self, repo, scrub):
        self.repo, self.scrub, self.problems = repo, scrub, 0
        self.frames = {}    # (pack, ordinal): the opened frame without its bytes
        self.damaged = set()  # packs with a problem, and absent ones
        self.sizes = {}     # pack: (bytes, frames, kind)
        self.lengths = {}   # D chunk: (length, fingerprint)
        self.children = {}  # node: {(type, id)}
        self.trees = {}     # tree: (height, its hard links)

    def bad(self, where, what):
        self.problems += 1
        kind = type(what).__name__.lower() + ": " if isinstance(what, Exception) else ""
        print("problem: %s: %s%s" % (where, kind, what))

    def attempt(self, where, action, *args):
        try:
            return action(*args)
        except Damage as e:
            self.bad(where, e)

    def run(self):
        repo = self.repo
        self.slots()
        records = {}
        for where in ("snapshots", "forgotten"):
            for name in repo.names(where, "[0-9a-f]{32}"):
                records[bytes.fromhex(name)] = where, self.attempt(
                    "record", repo.snapshot, where, name)
        repo.load_index(self.bad)
        for index in list(repo.indexes):
            try:
                index.check_body()
            except Damage as e:  # its rows cannot be trusted
                self.bad("index/" + index.name, e)
                repo.indexes.remove(index)
        self.packs()
        removed = repo.head.remove_list() if repo.head else set()
        records = {sid: found for sid, found in records.items()
                   if (2, sid + bytes(16), 0) not in removed}
        self.recount(records)
        self.catalogues(records)
        if not self.damaged:
            self.live()
        self.record_sum(self.repo.head, records)
        self.snapshots(records)
        if self.scrub:
            self.sidecars()
        print("%d snapshots, %d index files, %d packs, %d frames, %d data chunks, %d nodes: "
              "%s" % (len(records), len(repo.indexes), len({p for p, _ in self.frames}),
                      len(self.frames), len(self.lengths), len(self.children),
                      "%d problems" % self.problems if self.problems else "no problems"))
        return 4 if self.problems else 0

    def slots(self):
        for name in self.repo.names("keys", "[0-9a-f]{32}"):
            data = self.repo.read("keys/" + name, 321)
            self.attempt("keys/" + name, fmt.decode_slot, data, bytes.fromhex(name),
                         self.repo.header)

    def sidecars(self):
        """Every sidecar fits its object, and its parity is the one of PA-3."""
        packs = [("parity/%02x" % n, "packs/%02x" % n, "[0-9a-f]{64}") for n in range(256)]
        for place, home, pattern in packs + [
                ("parity/keys", "keys", "[0-9a-f]{32}"), ("parity/index", "index", "[0-9a-f-]+"),
                ("parity/snapshots", "snapshots", "[0-9a-f]{32}"), ("parity", "", "varve-repo")]:
            if not os.path.isdir(os.path.join(self.repo.path, place)):
                continue
            for name in self.repo.names(place, pattern):
                self.attempt("%s/%s" % (place, name), self.sidecar, place, home, name)

    def sidecar(self, place, home, name):
        data = self.repo.read("%s/%s" % (place, name), 1 << 32)
        if not any(data[:120]):
            return  # it never reached the disk (PA-4)
        sidecar = check_sidecar(data, name, self.repo.keys.repo)
        if home == "snapshots" and not os.path.exists(
                os.path.join(self.repo.path, home, name)):
            home = "forgotten"
        whole = self.repo.read(os.path.join(home, name), 1 << 32)
        need(len(whole) == sidecar.length, "sidecar: object has another length", Auth)
        blocks = [bytes(whole[at:at + sidecar.block])
                  for at in range(0, len(whole), sidecar.block)]
        need([xxh3(b) for b in blocks] == list(sidecar.sums), "object differs", Auth)
        need(fmt.make_parity(sidecar, blocks) == [p for p, _ in sidecar.parities],
             "parity differs from the object's", Auth)

    def effective(self):
        """(index, row) of every row that counts: of the tables, the newest of a chunk (IX-6)."""
        seen = set()
        for index in self.repo.indexes:
            for n in range(index.rows):
                row = index.row(n)
                if index.table and row.id in seen:
                    continue
                if index.table:
                    seen.add(row.id)
                yield index, row

    def packs(self):
        needed, known, self.indexed = set(), set(), set()
        for index, row in self.effective():
            if row.frame != NONE:
                frame = index.frame(row.frame)
                pack = index.pack(frame.pack).name
                self.indexed.add((pack, frame.ordinal, row.slot))
                needed.add(pack)
        for index in self.repo.indexes:
            known |= {index.pack(n).name for n in range(index.packs)}
        for name in sorted(known):
            try:
                self.pack(name)
            except Missing as e:
                if name in needed:  # a dead pack may be gone
                    self.damaged.add(name)
                    self.bad("packs", e)
            except Damage as e:
                self.damaged.add(name)
                self.bad("pack " + name.hex(), e)

    def pack(self, name):
        repo, data, at = self.repo, self.repo.map(fmt.pack_path(name)), 160
        lengths, sums = fmt.decode_footer(data, name)
        opened = fmt.decode_pack_header(data[:160], repo.keys)
        if self.scrub:
            self.attempt("pack " + name.hex(), check_blocks, data,
                         4 * len(lengths) + 8 * len(sums) + 24, sums)
        for ordinal, length in enumerate(lengths):
            where = "pack %s frame %d" % (name.hex(), ordinal)
            frame = self.attempt(where, fmt.Frame, data[at:at + length], ordinal, *opened,
                                 repo.keys.repo)
            if frame:
                before = self.problems
                for slot in range(len(frame.chunks)):
                    self.attempt("%s slot %d" % (where, slot), self.chunk, frame, slot,
                                 (name, ordinal, slot) in self.indexed)
                if self.problems > before:
                    self.damaged.add(name)
                frame.place, frame.body = (at, length, len(frame.chunks)), None
                frame.plain.clear()
                self.frames[name, ordinal] = frame
            else:
                self.damaged.add(name)
            at += length
        self.sizes[name] = len(data), len(lengths), opened[0]

    def chunk(self, frame, slot, live):
        kind, length, name = frame.chunks[slot]
        try:
            plain = frame.chunk(slot, lambda base, room: self.repo.fetch(base, None, room), [32])
        except Missing:
            if live:
                raise
            return  # of a dead block the base may be gone, though the chunk lives elsewhere (FR-6)
        need(self.repo.keys.chunk_id(kind, plain) == name, "content differs", Auth)  # FR-5
        if kind == D:
            self.lengths[name] = length, self.scrub and fmt.poly1305(
                self.repo.keys.fingerprint, plain)
        else:
            self.children[name] = fmt.children(kind, plain)  # CH-2

    def placed(self, index, row):
        """(pack, ordinal, frame) of a row, the frame None if its pack is damaged; checks both."""
        frame_row = index.frame(row.frame)
        pack = index.pack(frame_row.pack).name
        frame = self.frames.get((pack, frame_row.ordinal))
        if frame:
            need(frame.place == (frame_row.offset, frame_row.length, frame_row.chunks),
                 "frame row differs from the pack")
            need(row.slot < len(frame.chunks), "slot outside its frame")
            kind, _, name = frame.chunks[row.slot]
            need((kind, name) == (row.type, row.id), "another chunk is at its place")
            need(frame.blocks[frame.block_of(row.slot)].depth == row.depth, "depth differs")
        else:
            need(pack in self.damaged, "no such frame in the pack", Missing)
        return pack, frame_row.ordinal, frame

    def recount(self, records):
        """IX-7: refs and uses from the nodes, the blocks and the roots."""
        has, wants = collections.Counter(), collections.Counter()
        places, self.count = set(), collections.Counter()
        for index, row in self.effective():
            has[row.id, "refs"] += row.refs
            has[row.id, "uses"] += row.uses
            if row.frame == NONE:
                continue
            where = "%s: chunk %s" % (index.name, row.id.hex())
            found = self.attempt(where, self.placed, index, row)
            if not found:
                continue
            pack, ordinal, frame = found
            places.add(row.id)
            if index.table and not (row.refs or row.uses):
                continue
            self.count[None if index.table else index.name, pack, ordinal] += 1
            if row.type != D and row.refs:  # what a segment stored is counted by the next settle
                for _, child in self.children.get(row.id, ()):
                    wants[child, "refs"] += 1
            for base in frame.blocks[frame.block_of(row.slot)].bases if frame else ():
                wants[base, "uses"] += 1
                below = self.repo.places(base)
                if below and below[0][0] >= row.depth:  # PB-6
                    self.bad(where, "it is not deeper than its base")
        pending = {index.sid for index in self.repo.indexes if index.flags & 1}
        for sid, (_, record) in records.items():
            if record and sid not in pending:
                wants[record.root, "refs"] += 1
        if self.damaged:
            print("note: counts not compared, as not every node and block can be read")
            return
        for key in sorted(set(has) | set(wants)):
            if has[key] != wants[key]:
                self.bad("chunk " + key[0].hex(), "%s is %d, counted %d" % (
                    key[1], has[key], wants[key]))
            elif has[key] and key[0] not in places:
                self.bad("chunk " + key[0].hex(), Missing("named, but no index places it"))

    def live(self):
        """IX-4: live of frames and packs; tables together (the newest row wins), segments alone."""
        tables = [index for index in self.repo.indexes if index.table]
        for group, files in [(None, tables)] + [
                (index.name, [index]) for index in self.repo.indexes if not index.table]:
            frames, packs = {}, {}
            for index in files:
                names = [index.pack(n) for n in range(index.packs)]
                for row in names:
                    packs.setdefault(row.name, row)
                for row in map(index.frame, range(index.frames)):
                    frames.setdefault((names[row.pack].name, row.ordinal), row)
            size, number = collections.Counter(), collections.Counter()
            for (pack, ordinal), row in frames.items():
                counted = self.count[group, pack, ordinal]
                if row.live != counted:
                    self.bad("pack %s frame %d" % (pack.hex(), ordinal),
                             "live is %d, counted %d" % (row.live, counted))
                size[pack] += row.length * row.live // row.chunks
                number[pack] += row.live > 0
            if group is None and files:
                self.sums(files[0], packs)
            for pack, row in packs.items():
                if (row.live_bytes, row.live_frames) != (size[pack], number[pack]):
                    self.bad("pack " + pack.hex(), "live bytes, frames are %d, %d, counted %d, %d"
                             % (row.live_bytes, row.live_frames, size[pack], number[pack]))
                found = self.sizes.get(pack)
                if found and found != (row.bytes, row.frames, row.kind):
                    self.bad("pack " + pack.hex(), "pack row differs from the pack")

    def catalogues(self, records):
        """IX-10: what a table says of a record that exists is what the record says."""
        for index in self.repo.indexes:
            rows = self.attempt("index/" + index.name, fmt.catalogue, index, self.repo.keys) or {}
            for sid in rows.keys() & records.keys():
                where, record = records[sid]
                path = "%s/%s" % (where, sid.hex())
                if record and rows[sid] != fmt.open_snapshot(self.repo.read(path, 1 << 25), sid,
                                                             self.repo.keys):
                    self.bad("index/" + index.name, "another record of " + sid.hex())

    def sums(self, head, packs):
        """IX-9."""
        wanted = [0] * 67
        for row in packs.values():
            if row.live_frames:
                at = 3 + 32 * (row.kind - 1) + row.bytes.bit_length() - 1
                for n, more in enumerate((row.frames, row.bytes, row.live_bytes)):
                    wanted[n] += more
                wanted[at] += 1
        said = head.extensions().get(2)
        if said and said != struct.pack("<3Q64I", *wanted):
            self.bad("index/" + head.name, "sums are not those of the packs")

    def record_sum(self, head, records):
        """IX-12: as it was when the head was published.  Segments have later ones."""
        said = head and head.extensions().get(4)
        if not said or any(not index.table for index in self.repo.indexes):
            return
        both = 0
        for sid in records:
            both ^= int.from_bytes(sid, "little")
        if said != struct.pack("<Q", len(records)) + both.to_bytes(16, "little"):
            print("note: the head was published when there were other records")

    def snapshots(self, records):
        sys.setrecursionlimit(30000)
        parts = collections.defaultdict(list)
        for index in self.repo.indexes:
            if not index.table:
                parts[index.sid].append(index)
        chains = collections.defaultdict(dict)
        for sid, (where, record) in records.items():
            if not record:
                continue
            where = "%s/%s" % (where, sid.hex())
            chains[record.writer][record.sequence] = sid
            segments = parts.get(sid)
            if segments:  # absorbed together or not at all (PB-6)
                ends = [s.flags for s in segments]
                if [s.number for s in segments] != list(range(len(ends))) or (
                        ends != [0] * (len(ends) - 1) + [1]):
                    self.bad(where, Missing("a segment of the session is missing"))
                elif segments[-1].root != record.root:
                    self.bad(where, "the segment has another root")
            height, links = self.tree(record.root, where)
            if height > 4097:  # TN-6
                self.bad(where, "directories deeper than 4096")
            same = {}
            for key, content in links:  # TN-4
                if same.setdefault(key, content) != content:
                    self.bad(where, "names of inode %d differ in content" % key[1])
        for writer, chain in chains.items():  # SR-4: normal after a prune, so only a note
            gaps = [n for n in range(1, max(chain)) if n not in chain]
            if gaps:
                print("note: writer %s has no snapshot %s" % (
                    writer.hex(), ", ".join(map(str, gaps))))

    def tree(self, name, where):
        """Height and hard links of a directory; each is walked once."""
        if name in self.trees:
            return self.trees[name]
        height, links = 1, []
        for e in self.repo.entries(name, lambda error: self.bad(where, error)):
            below = where + "/" + fmt.show(e.name)
            if e.kind == DIR and e.content:
                deep, more = self.tree(e.content, below)
                height, links = max(height, deep + 1), links + more
            if e.flags & HARDLINK:
                links.append(((e.dev, e.inode), (e.kind, e.size, e.content, e.target)))
            if e.kind == FILE:
                for _, row in self.repo.content(
                        e, lambda error, *_: self.bad(below, error), data=False):
                    self.row(row, below)
        self.trees[name] = height, links
        return height, links

    def row(self, row, where):
        length, fingerprint = self.lengths.get(row.id, (None, None))
        if length is None:
            self.bad(where, Missing("data chunk %s" % row.id.hex()))
        elif length != row.length:  # LN-2
            self.bad(where, Malformed("chunk %s of another length" % row.id.hex()))
        elif self.scrub and fingerprint != row.fingerprint:  # CH-4
            self.bad(where, Malformed("chunk %s: fingerprint differs" % row.id.hex()))


# ---- vectors -----------------------------------------------------------------------------------


def vector_slot(v, body):
    header = fmt.decode_header(v["repo"])
    kind = fmt.decode_slot(body, bytes.fromhex(v["name"]), header)
    need(kind != fmt.PUBLIC or "secret" not in v, "public slot, unasked", Auth)  # KS-4
    fmt.open_slot(body, kind, bytes.fromhex(v.get("secret", "")), header)


def vector_keys(v):
    header = fmt.decode_header(v["repo"])
    return fmt.Keys(bytes.fromhex(v["master"]), header)


def vector_pack(v, body):
    keys, at, frames, places = vector_keys(v), 160, [], {}
    lengths, sums = fmt.decode_footer(body, bytes.fromhex(v["name"]))
    opened = fmt.decode_pack_header(body[:160], keys)
    for ordinal, length in enumerate(lengths):
        frame = fmt.Frame(body[at:at + length], ordinal, *opened, keys.repo)
        for slot, chunk in enumerate(frame.chunks):
            places.setdefault(chunk[2], (frame, slot))
        frames.append(frame)
        at += length

    def fetch(name, room):
        need(name in places, "no such base", Missing)
        return places[name][0].chunk(places[name][1], fetch, room)

    for frame in frames:
        for slot, (kind, _, name) in enumerate(frame.chunks):
            plain = frame.chunk(slot, fetch, [32])
            need(keys.chunk_id(kind, plain) == name, "content differs", Auth)
            if kind != D:
                fmt.children(kind, plain)
    check_blocks(body, len(body) - at, sums)
    nodes = {name: decode(fetch(name, [32])) for name, (frame, slot) in places.items()
             for decode in [{L: fmt.decode_list, T: fmt.decode_tree}.get(frame.chunks[slot][0])]
             if decode}
    for level, rows in nodes.values():
        for n, row in enumerate(rows if level else ()):
            if row.id in nodes and isinstance(row, fmt.ListRow):
                fmt.fits_list(row, level, *nodes[row.id])
            elif row.id in nodes:
                bound = rows[n + 1].name if n + 1 < len(rows) else None
                fmt.fits_tree(row, level, bound, *nodes[row.id])


def vector_index(v, body):
    fmt.Index(body, v["name"], vector_keys(v)).check_body()


def check_sidecar(data, name, repo):
    """PA-1, and the parity blocks against their checksums."""
    sidecar = fmt.decode_sidecar(data, name, repo)
    for block, wanted in sidecar.parities:
        need(xxh3(block) == wanted, "sidecar: a parity block differs", Auth)
    return sidecar


RECORDS = {
    "repohdr": lambda v, body: fmt.decode_header(body),
    "keyslot": vector_slot,
    "pack": vector_pack,
    "framehead": lambda v, body: fmt.decode_head(body),
    "list": lambda v, body: fmt.decode_list(body),
    "tree": lambda v, body: fmt.decode_tree(body),
    "index": vector_index,
    "proof": lambda v, body: fmt.decode_proof(body, bytes.fromhex(v["name"]),
                                              vector_keys(v)),
    "snapshot": lambda v, body: fmt.decode_snapshot(body, bytes.fromhex(v["name"]),
                                                    vector_keys(v)),
    "sidecar": lambda v, body: check_sidecar(body, v["name"], v["repo"][16:32]),
    "snaplist": lambda v, body: fmt.decode_snaplist(body),
    "snappayload": lambda v, body: fmt.decode_payload(bytes(16), body),
}


def run_vector(path):
    """(expected class, class found)"""
    with open(path, encoding="ascii") as f:
        head, _, body = f.read().partition("\n\n")
    v = dict(re.match(r"([a-z]+):\s*(.*)", line).groups() for line in head.splitlines())
    if "repo" in v:
        v["repo"] = bytes.fromhex(v["repo"])
    try:
        RECORDS[v["record"]](v, bytes.fromhex("".join(body.split())))
        return v["expect"], "ok", ""
    except Damage as e:
        kind = next(c for c in type(e).__mro__ if c.__base__ is Damage)
        return v["expect"], kind.__name__.lower(), str(e)


def vectors(places):
    paths = sorted(os.path.join(top, name) for place in places
                   for top, _, names in os.walk(place) for name in names
                   if name.endswith(".vec"))
    failed = 0
    print("1..%d" % len(paths))
    for n, path in enumerate(paths, 1):
        name = os.path.basename(path)[:-4]
        try:
            expected, got, why = run_vector(path)
        except (OSError, ValueError, KeyError, AttributeError) as e:
            expected, got, why = None, "no usable vector", repr(e)
        if expected == got:
            print("ok %d - %s" % (n, name))
        else:
            failed += 1
            print("not ok %d - %s: got %s" % (n, name, got))
            print("# expected %s; %s" % (expected, why))
    return 1 if failed or not paths else 0
