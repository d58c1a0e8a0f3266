"""reader_format.py - every object of a varve repository, decoded from SPEC.md alone.

Bytes in, values or an exception out; no files.  The sections follow SPEC.md; ids such as FR-1 are
its rules.  Nothing is shared with the C program.  Used by reader.py and reader_check.py.
"""
import bisect
import collections
import functools
import hashlib
import hmac
import itertools
import struct

import nacl.bindings as sodium
import nacl.exceptions
import zstandard

# ---- §1 Conventions ----------------------------------------------------------------------------


class Damage(Exception):
    """An object that cannot be used; the subclass is its class of failure."""


class Malformed(Damage):
    pass


class Unsupported(Damage):
    pass


class Auth(Damage):
    pass


class Missing(Damage):
    pass


class Unreadable(Damage):
    """The system could not read it (GN-5)."""


ZERO = bytes(32)
D, L, T = 0x44, 0x4C, 0x54


def need(condition, what, kind=Malformed):
    if not condition:
        raise kind(what)


def H(x, key=b""):
    return hashlib.blake2b(x, digest_size=32, key=key).digest()


def aad(label, repo_id, x):
    return label.ljust(16, b"\0") + repo_id + x


def unseal(key, ad, box, what):
    need(len(box) >= 40, what + ": sealed box too short")
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(box[24:], ad, box[:24], key)
    except nacl.exceptions.CryptoError:
        raise Auth(what + ": not sealed with this key for this place") from None


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    h, top, p, full = 0, 1 << 128, (1 << 130) - 5, len(data) & ~15
    for low, high in struct.iter_unpack("<QQ", data[:full]):
        h = (h + (low | high << 64 | top)) * r % p
    if len(data) > full:
        h = (h + int.from_bytes(data[full:] + b"\1", "little")) * r % p
    return (h + int.from_bytes(key[16:], "little") & top - 1).to_bytes(16, "little")


def show(name):
    """Bytes of unknown origin as text that is safe on a terminal and on one line."""
    out = []
    for c in name.decode("utf-8", "surrogateescape"):
        if c.isprintable() and c != "\\":
            out.append(c)
        else:
            out += ["\\x%02x" % b for b in c.encode("utf-8", "surrogateescape")]
    return "".join(out)


class Cursor:
    """Bounded reading in file order (GN-2); end() rejects what is left over (GN-1)."""

    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, n):
        self.pos += n
        need(self.pos <= len(self.data), "ends too early")
        return self.data[self.pos - n:self.pos]

    def get(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def one(self, layout):
        return self.get(layout)[0]

    def zeros(self, n):
        need(not any(self.take(n)), "reserved bytes not zero")

    def left(self):
        return len(self.data) - self.pos

    def end(self):
        need(self.left() == 0, "trailing bytes")


def ascending(rows, what):
    need(all(a < b for a, b in zip(rows, rows[1:])), what + " not strictly ascending")


def extensions(data, known):
    """`u16 tag, u16 0, u32 length, bytes`; TN-2.  With known None every tag is ignored (§9)."""
    c, out = Cursor(data), {}
    while c.left():
        tag, zero, length = c.get("HHI")
        need(zero == 0, "extension: reserved bytes not zero")
        need(not out or tag > max(out), "extensions not strictly ascending")
        out[tag] = c.take(length)
    for tag in out:
        need(known is None or tag in known or tag >= 0x8000, "unknown extension %d" % tag,
             Unsupported)
    return out


# ---- §4 Repository header ----------------------------------------------------------------------

Header = collections.namedtuple("Header", "id hash")


def decode_header(data):  # RH-1
    need(len(data) == 160 and data[:8] == b"varverep", "not a repository header")
    need(data[128:] == H(data[:128]), "header: checksum differs")
    c = Cursor(data)
    c.take(8)
    need(c.one("I") == 1, "header: unknown version", Unsupported)
    reserved, repo_id = c.one("I"), c.take(16)
    _, _, incompatible, low, average, high = c.get("QQQIII")
    need(incompatible == 0, "header: unknown feature", Unsupported)
    need(reserved == 0, "header: reserved bytes not zero")
    c.zeros(60)
    need(4096 <= low <= 1 << 20 and average & (average - 1) == 0 and average >= 2 * low
         and 2 * average <= high <= 1 << 20, "header: chunk sizes out of range")
    return Header(repo_id, H(data))


# ---- §5 Key slots ------------------------------------------------------------------------------

PASSPHRASE, KEYFILE, PUBLIC = 1, 2, 3


class WrongKey(Auth):
    """Not the secret of this slot: the commitment differs (KS-3)."""


class WrongHeader(Auth):
    """The slot opens, but was made for another repository header (RH-2)."""


def decode_slot(data, name, header):  # KS-2
    need(len(data) == 320 and data[:8] == b"varvekey", "not a key slot")
    version, kind = struct.unpack_from("<II", data, 8)
    need(version == 1 and kind in (1, 2, 3), "slot: unknown version or kind", Unsupported)
    passes, memory = struct.unpack_from("<II", data, 48)
    if kind == PASSPHRASE:
        need(1 <= passes <= 16 and 8192 <= memory <= 4194304, "slot: cost out of range")
    else:
        need(not any(data[48:72]), "slot: reserved bytes not zero")
    need(data[16:32] == header.id, "slot: of another repository", Auth)
    need(data[32:48] == name, "slot: has another name", Auth)
    return kind


def open_slot(data, kind, secret, header):
    """The master key in a decoded slot."""
    if kind == PASSPHRASE:  # KS-1
        passes, memory = struct.unpack_from("<II", data, 48)
        stretched = sodium.crypto_pwhash_alg(64, secret, data[56:72], passes, memory * 1024,
                                             sodium.crypto_pwhash_ALG_ARGON2ID13)
    else:
        key = secret if kind == KEYFILE else ZERO
        need(len(key) == 32, "a key file has exactly 32 bytes", WrongKey)
        stretched = hashlib.blake2b(data[:72], digest_size=64, key=key).digest()
    need(hmac.compare_digest(stretched[32:], data[72:104]), "slot: not this secret", WrongKey)
    c = Cursor(unseal(stretched[:32], aad(b"varve slot", header.id, data[:104]), data[104:],
                      "slot"))
    need(c.one("I") == 1, "slot: unknown role", Unsupported)  # KS-5
    c.zeros(4)
    c.take(8)
    need(c.take(32) == header.hash, "another header was put in front of these keys",
         WrongHeader)
    master = c.take(32)
    c.zeros(32)
    label = c.take(64).rstrip(b"\0")
    c.end()
    need(b"\0" not in label, "slot: zero inside the label")
    try:
        label.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("slot: label is not UTF-8") from None
    return master


class Keys:
    def __init__(self, master, header):
        def subkey(n):
            return hashlib.blake2b(b"", digest_size=32, key=master, person=b"varve-01",
                                   salt=struct.pack("<QQ", n, 0)).digest()
        self.repo = header.id
        self.id, self.fingerprint, self.pack, self.record, self.index = map(
            subkey, (1, 3, 4, 5, 6))

    def chunk_id(self, kind, plain):  # CH-1
        return H(bytes([kind]) + plain, self.id)

    def unwrap(self, subkey, label, context, wrap, what):
        c = Cursor(wrap)
        kind, length = c.get("II")
        need(kind == 1, what + ": unknown key wrap", Unsupported)
        need(length == 72, what + ": key wrap of wrong length")
        box = c.take(length)
        c.zeros(c.left())
        return unseal(subkey, aad(label, self.repo, context), box, what)


# ---- §6 Packs and frames -----------------------------------------------------------------------

Block = collections.namedtuple("Block", "codec raw stored chunks depth bases first offset")


def decode_pack_header(data, keys):
    """Kind, id and key of a pack."""
    need(len(data) == 160 and data[:8] == b"varvepak", "not a pack")
    version, kind = struct.unpack_from("<II", data, 8)
    need(version == 1, "pack: unknown version", Unsupported)
    need(kind in (1, 2), "pack: unknown kind")
    return kind, data[16:32], keys.unwrap(keys.pack, b"varve pack key", data[:32], data[32:],
                                          "pack")


def decode_footer(data, name):
    """PK-1, PK-2: frame lengths and block checksums of a whole pack file."""
    need(160 + 24 <= len(data) < 1 << 32, "pack: length out of range")
    need(data[:8] == b"varvepak", "not a pack")
    frames, blocks, length, reserved, magic = struct.unpack("<IIII8s", data[-24:])
    need(magic == b"varvefot", "pack: no footer")
    need(struct.unpack_from("<I", data, 8)[0] == 1, "pack: unknown version", Unsupported)
    need(struct.unpack_from("<I", data, 12)[0] in (1, 2), "pack: unknown kind")
    need(reserved == 0, "pack: reserved bytes not zero")
    need(1 <= frames <= 65535, "pack: number of frames out of range")
    need(length == 4 * frames + 8 * blocks + 24 and 160 + length <= len(data),
         "pack: footer does not add up")
    need(blocks == -(-(len(data) - length) // 65536), "pack: wrong number of blocks")
    c = Cursor(data[-length:])
    lengths, sums = c.get("%dI" % frames), c.get("%dQ" % blocks)
    need(min(lengths) >= 96 and 160 + sum(lengths) + length == len(data),
         "pack: frames do not add up")
    need(H(c.data) == name, "pack: name is not that of its footer", Auth)
    return lengths, sums


def decode_head(data, body_length=None):
    """FR-1: blocks and chunks of a frame's head."""
    need(len(data) <= 1 << 23, "frame: head too long")
    c, blocks, first, offset = Cursor(data), [], 0, 0
    block_count, chunk_count = c.get("II")
    need(1 <= block_count <= 65535 and 1 <= chunk_count <= 65535, "frame: counts out of range")
    need(c.left() >= 12 * block_count + 36 * chunk_count, "frame: counts out of range")
    for _ in range(block_count):
        word, stored, chunks, depth, more = c.get("IIHBB")
        codec, raw = word & 255, word >> 8
        need(codec <= 2, "frame: unknown codec", Unsupported)  # FR-2
        need(1 <= raw <= 1 << 21 and 1 <= stored <= 1 << 24 and more <= (3 if codec == 2 else 0),
             "block: field out of range")
        need(codec != 0 or stored == raw, "block: raw and stored length differ")
        need(chunks == 1 and more < depth <= 32 if codec == 2 else depth == 0,
             "block: depth or chunks do not fit the codec")
        bases = [c.take(32) for _ in range(more + 1)] if codec == 2 else []
        need(len(set(bases)) == len(bases), "block: the same base twice")
        blocks.append(Block(codec, raw, stored, chunks, depth, bases, first, offset))
        first, offset = first + chunks, offset + stored
    need(first == chunk_count, "frame: chunks do not add up")
    need(body_length in (None, offset), "frame: blocks do not add up")
    chunks = [(word & 255, word >> 8, name)
              for word, name in struct.iter_unpack("<I32s", c.take(36 * chunk_count))]
    c.end()
    for kind, length, _ in chunks:
        need(kind in (D, L, T) and 1 <= length <= 1 << 20, "chunk: field out of range")
    for b in blocks:
        need(sum(x[1] for x in chunks[b.first:b.first + b.chunks]) == b.raw,
             "block: chunk lengths do not add up")
    return blocks, chunks


def unzstd(data, raw, base):
    """FR-3, FR-4: one zstd frame of exactly raw bytes; base: plaintexts of the bases."""
    try:
        need(data[:4] == b"\x28\xb5\x2f\xfd", "not a zstd frame")
        info, pos, last = zstandard.get_frame_parameters(data), zstandard.frame_header_size(
            data), 0
        need(info.content_size == raw and info.window_size <= 1 << 23 and data[4] & 3 == 0,
             "zstd header: size, window or dictionary id")
        while not last:  # walk the blocks: the frame must end where the data ends
            need(pos + 3 <= len(data), "zstd frame ends too early")
            word = int.from_bytes(data[pos:pos + 3], "little")
            last, pos = word & 1, pos + 3 + (1 if word >> 1 & 3 == 1 else word >> 3)
        need(pos + 4 * info.has_checksum == len(data), "zstd frame of wrong length")
        prefix = base and zstandard.ZstdCompressionDict(
            base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        plain = zstandard.ZstdDecompressor(dict_data=prefix or None).decompress(data)
    except zstandard.ZstdError as e:
        raise Malformed("zstd: %s" % e) from None
    need(len(plain) == raw, "zstd: wrong length")
    return plain


def take(room, n):
    need(n <= room[0], "more than 32 bases beneath a chunk")
    room[0] -= n


class Frame:
    """A frame, opened; blocks are decoded when they are first needed."""

    def __init__(self, data, ordinal, kind, pack_id, key, repo_id):  # FR-1
        need(len(data) >= 16 and data[:4] == b"VFRM", "not a frame")
        self.ordinal, head, body = struct.unpack_from("<III", data, 4)
        need(self.ordinal == ordinal, "frame: ordinal is not its position")
        need(16 + head + body == len(data) and head <= (1 << 23) + 40
             and body <= (1 << 24) + 40, "frame: lengths do not add up")
        context = pack_id + data[:16]
        plain = unseal(key, aad(b"varve frame head", repo_id, context), data[16:16 + head],
                       "frame head")
        self.body = unseal(key, aad(b"varve frame body", repo_id, context), data[16 + head:],
                           "frame body")
        self.blocks, self.chunks = decode_head(plain, len(self.body))
        need(all((x[0] == D) == (kind == 1) for x in self.chunks),
             "frame: chunk type does not fit the pack")  # PK-4
        self.firsts, self.offsets = [b.first for b in self.blocks], []
        for b in self.blocks:
            lengths = [x[1] for x in self.chunks[b.first:b.first + b.chunks]]
            self.offsets += itertools.accumulate(lengths[:-1], initial=0)
        self.plain, self.below, self.cost = {}, {}, len(data)

    def block_of(self, slot):
        return bisect.bisect_right(self.firsts, slot) - 1

    def chunk(self, slot, fetch_base, room):
        """room: a list of one number, the bases that may still be decoded (FR-4)."""
        n = self.block_of(slot)
        block = self.blocks[n]
        if n in self.plain:
            take(room, self.below[n])
        else:
            stored, before, base = self.body[block.offset:block.offset + block.stored], room[0], b""
            for name in block.bases:
                take(room, 1)
                base += fetch_base(name, room)
            self.plain[n] = unzstd(stored, block.raw, base) if block.codec else stored
            self.below[n] = before - room[0]
            self.cost += block.raw
        return self.plain[n][self.offsets[slot]:self.offsets[slot] + self.chunks[slot][1]]


def pack_path(name):
    return "packs/%s/%s" % (name.hex()[:2], name.hex())


# ---- §8 Nodes ----------------------------------------------------------------------------------

FILE, DIR, LINK, FIFO, CHAR, BLOCK, SOCKET = range(1, 8)
CHANGED, HARDLINK, LIST, UNREAD, IMPLIED = 1, 2, 4, 8, 16
ListRow = collections.namedtuple("ListRow", "id length fingerprint")
TreeRow = collections.namedtuple("TreeRow", "id entries name")
Entry = collections.namedtuple("Entry", "name kind flags mode uid gid mtime inode dev size "
                               "content fingerprint target xattrs file_flags")


def decode_list(data):  # LN-1
    c = Cursor(data)
    level = c.one("B")
    c.zeros(7)
    need(level <= 7 and c.left() % 56 == 0, "list: level or length out of range")
    rows = [ListRow(*x) for x in struct.iter_unpack("<32sQ16s", c.take(c.left()))]
    need(1 <= len(rows) <= 16384, "list: number of rows out of range")
    hole = False
    for row in rows:
        need(row.length >= 1, "list: empty row")
        need(row.id != ZERO or not hole and level == 0, "list: hole out of place")
        hole = row.id == ZERO
        need(not any(row.fingerprint) or level == 0 and not hole, "list: stray fingerprint")
        need(level or hole or row.length <= 1 << 20, "list: row longer than a chunk")
    need(sum(row.length for row in rows) < 1 << 63, "list: too long")
    return level, rows


def decode_name(c):
    length = c.one("H")
    need(1 <= length <= 255, "name: length out of range")
    name = c.take(length)
    need(b"/" not in name and b"\0" not in name and name not in (b".", b".."), "name: forbidden")
    return name


def decode_xattrs(data):
    c, out = Cursor(data), []
    while c.left():
        length, zero, size = c.get("HHI")
        need(zero == 0 and length > 0, "extended attribute: field out of range")
        out.append((c.take(length), c.take(size)))
    need(out, "no extended attributes")
    ascending([x[0] for x in out], "extended attributes")
    return out


def decode_entry(c):
    name = decode_name(c)
    kind, flags, mode, uid, gid, mtime, ns, ctime_ns, ctime, inode = c.get("BBHIIqIIqQ")
    need(1 <= kind <= 7 and flags < 32 and mode <= 0o7777 and ns < 10**9
         and ctime_ns < 10**9, "entry: field out of range")
    need((kind == FILE or not flags & (CHANGED | LIST)) and
         (kind == DIR or not flags & IMPLIED) and (kind != DIR or not flags & HARDLINK)
         and (kind in (FILE, DIR) or not flags & UNREAD), "entry: flags do not fit the kind")
    dev = c.one("Q") if flags & HARDLINK else None
    size, content, fingerprint, target = c.one("Q"), None, None, None
    has_content = not flags & UNREAD and (kind == DIR or kind == FILE and size > 0)
    need(has_content or not flags & LIST, "file: a list without content")
    if kind == LINK:
        need(1 <= size <= 4095, "link: length out of range")
    elif kind == FILE:
        need(size < 1 << 63 and (flags & LIST or not has_content or size <= 1 << 20),
             "file: size out of range")
    elif kind not in (CHAR, BLOCK):
        need(size == 0, "entry: size out of range")
    if has_content:
        content = c.take(32)
    if has_content and kind == FILE and not flags & LIST:
        fingerprint = c.take(16)
    if kind == LINK:
        target = c.take(size)
        need(b"\0" not in target, "link: zero in the target")
    length = c.one("I")
    need(length <= 1 << 19, "entry: extensions too long")
    need(not flags & IMPLIED or not (mtime or ns or ctime or ctime_ns or inode or length),
         "implied directory: field not zero")
    ext = extensions(c.take(length), (1, 2, 3))
    xattrs = decode_xattrs(ext[1]) if 1 in ext else []
    if 2 in ext:
        need(len(ext[2]) == 4 and any(ext[2]), "file flags: length or value")
    if 3 in ext:
        need(len(ext[3]) == 64, "database: length")
        version, capture, _, bits = struct.unpack_from("<IIII", ext[3])
        need(version == 1, "database: unknown version", Unsupported)
        need(capture in (1, 2) and bits <= 1 and not any(ext[3][48:]), "database: field")
    return Entry(name, kind, flags, mode, uid, gid, mtime * 10**9 + ns, inode, dev, size,
                 content, fingerprint, target, xattrs, int.from_bytes(ext.get(2, b""), "little"))


def decode_tree(data):  # TN-1
    c, rows = Cursor(data), []
    level = c.one("B")
    c.zeros(7)
    need(level <= 7, "tree: level out of range")
    while c.left():
        rows.append(TreeRow(*c.get("32sI"), decode_name(c)) if level else decode_entry(c))
        need(level == 0 or rows[-1].entries, "tree: empty row")
    need(level == 0 or rows, "tree: no rows")
    ascending([row.name for row in rows], "names")
    return level, rows


def fits_list(row, level, own, rows):
    """LN-2: a list, read by way of a row of a list of this level (None: of an entry)."""
    need(level in (None, own + 1) and sum(r.length for r in rows) == row.length,
         "list %s does not fit the row that names it" % row.id.hex())


def fits_tree(row, level, bound, own, rows):
    """TN-3: a tree, read by way of a row of this level; bound is the name that comes after."""
    count = sum(r.entries for r in rows) if own else len(rows)
    need(own == level - 1 and count == row.entries and rows[0].name == row.name
         and (not bound or rows[-1].name < bound),
         "tree %s does not fit the row that names it" % row.id.hex())


def children(kind, data):
    """What a node names: {(type, id)}."""
    level, rows = (decode_list if kind == L else decode_tree)(data)
    if level or kind == L:
        return {(kind if level else D, r.id) for r in rows if r.id != ZERO or level}
    return {(T if e.kind == DIR else L if e.flags & LIST else D, e.content)
            for e in rows if e.content}


# ---- §9 Index ----------------------------------------------------------------------------------

PackRow = collections.namedtuple("PackRow", "name bytes live_bytes frames live_frames kind zero")
FrameRow = collections.namedtuple("FrameRow", "pack ordinal offset length chunks live")
Row = collections.namedtuple("Row", "id refs uses frame slot type depth")
REMOVE = struct.Struct("<II32s")
PACK_ROW, FRAME_ROW, ROW = map(struct.Struct, ("<32sQQIIII", "<IIIIII", "<32sIIIHBB"))
NONE = 0xFFFFFFFF


class Index:
    """A segment or table, searched in place; nothing is used before its tag is checked (IX-3)."""

    def __init__(self, data, name, keys):  # IX-1
        need(len(data) >= 256, "index: too short")
        self.name, self.data, self.key, head = name, data, keys.index, data[:256]
        c = Cursor(head)
        need(c.take(8) == b"varveidx", "not an index file")
        version, self.kind = c.get("II")
        need(version == 1 and self.kind in (1, 2), "index: unknown version or kind", Unsupported)
        need(c.take(16) == keys.repo, "index: of another repository", Auth)
        self.nonce, self.sid, self.number, self.root = c.get("16s16sQ32s")
        self.flags, self.bits, *counts = c.get("IIIIII")
        self.keeps, self.removes, self.packs, self.frames = counts
        self.rows, extra = c.get("QQ")
        c.zeros(80)
        mac = c.take(32)
        self.table = self.kind == 2
        need(name == ("%016x" % self.number if self.table else
                      "%s-%08x" % (self.sid.hex(), self.number)), "index: has another name", Auth)
        need(max(counts[:3]) <= 1 << 24 and self.frames <= 1 << 30 and self.rows < 1 << 32,
             "index: counts out of range")
        if self.table:
            need(not any(self.sid) and self.root == ZERO and self.flags == 0
                 and self.number >= 1, "table: reserved bytes not zero")
        else:
            need(self.keeps == self.removes == 0 and self.flags <= 1
                 and (self.flags == 1 or self.root == ZERO), "segment: reserved bytes not zero")
        need(self.bits == max(0, -(-self.rows // 64) - 1).bit_length(),
             "index: wrong fanout bits")  # IX-5
        at, sizes = 0, (8 * self.keeps, 40 * self.removes, 64 * self.packs, 24 * self.frames,
                        48 * self.rows, 4 << self.bits, extra)
        self.at = []
        for size in sizes:
            self.at.append(at)
            at += size
        self.length, self.extra, blocks = at, extra, -(-at // 4096)
        above, self.upper = -(-blocks // 256), 256 + at + 16 * blocks
        need(len(data) == self.upper + 16 * above, "index: length does not add up")
        need(hmac.compare_digest(mac, H(b"varve index head" + head[:224] + data[self.upper:],
                                         self.key)),
             "index: MAC differs", Auth)  # IX-2
        self.proved, self.proved_tags = bytearray(blocks), bytearray(above)

    def prove(self, label, n, start, end, wanted):
        """The bytes start … end of the file are block n of a section; wanted: its tag."""
        key = H(label + self.nonce + struct.pack("<Q", n), self.key)
        need(hmac.compare_digest(poly1305(key, self.data[start:end]), wanted),
             "index: tag of block %d differs" % n, Auth)

    def tag(self, n):
        """Of block n of the body; 256 of them are proved at a time."""
        first, block = 256 + self.length, n >> 8
        if not self.proved_tags[block]:
            start, above = first + 4096 * block, self.upper + 16 * block
            self.prove(b"varve index tags", block, start, min(start + 4096, self.upper),
                       self.data[above:above + 16])
            self.proved_tags[block] = 1
        return self.data[first + 16 * n:first + 16 * n + 16]

    def body(self, at, length):
        for n in range(at >> 12, (at + length + 4095) >> 12):
            if not self.proved[n]:
                start = 256 + 4096 * n
                self.prove(b"varve index body", n, start, min(start + 4096, 256 + self.length),
                           self.tag(n))
                self.proved[n] = 1
        return self.data[256 + at:256 + at + length]

    def pack(self, n):
        row = PackRow(*PACK_ROW.unpack(self.body(self.at[2] + 64 * n, 64)))
        need(row.zero == 0 and row.kind in (1, 2) and row.bytes < 1 << 32 and
             row.live_bytes <= row.bytes and row.live_frames <= row.frames
             and 1 <= row.frames <= 65535, "index: pack row out of range")
        return row

    def frame(self, n):
        row = FrameRow(*FRAME_ROW.unpack(self.body(self.at[3] + 24 * n, 24)))
        need(row.pack < self.packs and row.ordinal < 65535 and row.offset >= 160
             and row.length >= 96 and row.live <= row.chunks and 1 <= row.chunks <= 65535,
             "index: frame row out of range")
        return row

    def row(self, n):
        row = Row(*ROW.unpack(self.body(self.at[4] + 48 * n, 48)))
        need(row.type in (D, L, T) and row.depth <= 32, "index: row out of range")
        need(self.table or row.refs == 0, "segment: references counted")  # IX-4
        if row.frame == NONE:  # IX-4
            need(row.slot == row.depth == 0 and not (self.table and (row.refs or row.uses)),
                 "index: row without a place")
        else:
            need(row.frame < self.frames, "index: row out of range")
        return row

    def fan(self, n):
        return struct.unpack("<I", self.body(self.at[5] + 4 * n, 4))[0]

    def find(self, name):
        """The row of a chunk, or None: fanout, then bisection."""
        n = int.from_bytes(name[:4], "big") >> (32 - self.bits)
        low, high = self.fan(n - 1) if n else 0, self.fan(n)
        need(low <= high <= self.rows, "index: bad fanout")
        while low < high:
            middle = (low + high) // 2
            found = self.body(self.at[4] + 48 * middle, 32)
            if found == name:
                return self.row(middle)
            low, high = (middle + 1, high) if found < name else (low, middle)
        return None

    def keep_list(self):
        keep = struct.unpack("<%dQ" % self.keeps, self.body(0, 8 * self.keeps))
        numbers = (self.number,) + keep  # of older tables, from 1
        need(all(0 < b < a for a, b in zip(numbers, keep)), "index: keep list not descending")
        return keep

    def remove_list(self):
        """{(kind, name, part)}"""
        rows = [(kind, name, part) for kind, part, name in
                REMOVE.iter_unpack(self.body(self.at[1], 40 * self.removes))]
        ascending(rows, "index: remove list")
        for kind, name, part in rows:
            need(1 <= kind <= 3 and (kind == 1 or part == 0)
                 and (kind == 3 or not any(name[16:])), "index: remove row out of range")
        return set(rows)

    def check_body(self):
        """Everything about the body that needs nothing but this file."""
        self.body(0, self.length)
        self.keep_list()
        self.remove_list()
        packs = [self.pack(n) for n in range(self.packs)]
        ascending([p.name for p in packs], "index: packs")
        frames = [self.frame(n) for n in range(self.frames)]
        ascending([(f.pack, f.ordinal) for f in frames], "index: frames")
        for f in frames:
            need(f.offset + f.length <= packs[f.pack].bytes and
                 f.ordinal < packs[f.pack].frames, "index: frame outside its pack")
        last, counts = b"", [0] * (1 << self.bits)
        for n in range(self.rows):
            row = self.row(n)
            need(row.id > last, "index: rows not strictly ascending")
            need(row.frame == NONE or row.slot < frames[row.frame].chunks,
                 "index: slot outside its frame")
            last = row.id
            counts[int.from_bytes(last[:4], "big") >> (32 - self.bits)] += 1
        total = 0
        for n, count in enumerate(counts):
            total += count
            need(self.fan(n) == total, "index: wrong fanout")
        for n, p in enumerate(packs):  # IX-4: a table that keeps others may have some frames only
            own = frames[bisect.bisect_left(frames, (n,)):bisect.bisect_left(frames, (n + 1,))]
            size = sum(f.length * f.live // f.chunks for f in own)
            number = sum(f.live > 0 for f in own)
            need(size <= p.live_bytes and number <= p.live_frames and
                 (len(own) < p.frames or (size, number) == (p.live_bytes, p.live_frames)),
                 "index: live of a pack is not that of its frames")
        if self.table:
            need(len(self.extensions().get(2, bytes(280))) == 280, "index: sums too short")  # IX-9
            need(len(self.extensions().get(4, bytes(24))) == 24,
                 "index: record sum of wrong length")  # IX-12
        else:
            self.extensions()

    def extensions(self):
        return extensions(self.body(self.at[6], self.extra), None)


# ---- §10 Snapshot records ----------------------------------------------------------------------

Snapshot = collections.namedtuple("Snapshot", "sid root writer sequence previous begin host paths")


def decode_payload(sid, data):
    c = Cursor(data)

    def string():
        length = c.one("I")
        need(length <= 65535, "string too long")
        return c.take(length)

    def many(item, what):
        count = c.one("I")
        need(count <= 65535, what + ": count out of range")
        rows = [item() for _ in range(count)]
        ascending([row[0] if isinstance(row, tuple) else row for row in rows], what)
        return rows

    root, _, writer, sequence, previous = c.get("32s16s16sQ16s")
    begin, _, _, flags = c.get("qqqQ")
    need(root != ZERO and sequence >= 1 and flags < 8, "snapshot: field out of range")
    c.take(8 * 13)
    c.zeros(8 * 3)
    host, _, _ = string(), string(), string()
    paths = many(string, "paths")
    many(string, "tags")
    many(lambda: (c.one("I"), string()), "users")
    many(lambda: (c.one("I"), string()), "groups")
    extensions(c.take(c.one("I")), ())
    c.end()
    return Snapshot(sid, root, writer, sequence, previous, begin, host, paths)


def open_snapshot(data, name, keys):  # SR-1
    need(200 <= len(data) <= 1 << 24 and data[:8] == b"varvesnp", "not a snapshot record")
    need(struct.unpack_from("<I", data, 8)[0] == 1, "snapshot: unknown version", Unsupported)
    need(not any(data[12:16]), "snapshot: reserved bytes not zero")
    need(data[16:32] == name, "snapshot: has another name", Auth)
    key = keys.unwrap(keys.record, b"varve snap key", data[:32], data[32:160], "snapshot")
    return unseal(key, aad(b"varve snap", keys.repo, data[:160]), data[160:], "snapshot")


def decode_snapshot(data, name, keys):
    return decode_payload(name, open_snapshot(data, name, keys))


def decode_snaplist(data):  # IX-10
    c, rows = Cursor(data), {}
    while c.left():
        sid, length = c.get("16sI")
        need(1 <= length <= 1 << 24, "catalogue: length out of range")
        need(not rows or sid > max(rows), "catalogue: not strictly ascending")
        rows[sid] = c.take(length)
    return rows


def catalogue(index, keys):
    """{sid: payload} of a table."""
    box = index.extensions().get(3)
    if not box:
        return {}
    plain = unseal(keys.record, aad(b"varve snap list", keys.repo, struct.pack("<Q", index.number)),
                   box, "catalogue")
    need(len(plain) > 4, "catalogue: too short")
    length = struct.unpack_from("<I", plain)[0]
    need(1 <= length <= 1 << 28, "catalogue: length out of range")
    return decode_snaplist(unzstd(plain[4:], length, None))


# ---- §10 What was verified ---------------------------------------------------------------------

Proof = collections.namedtuple("Proof", "written sample packs snapshots")


def decode_proof(data, name, keys):  # VF-1
    need(200 <= len(data) <= 1 << 30 and data[:8] == b"varvevfd", "not a record of what was verified")
    need(struct.unpack_from("<I", data, 8)[0] == 1, "verified: unknown version", Unsupported)
    need(not any(data[12:16]), "verified: reserved bytes not zero")
    need(data[16:32] == name, "verified: has another name", Auth)
    key = keys.unwrap(keys.record, b"varve proof key", data[:32], data[32:160], "verified")
    plain = unseal(key, aad(b"varve proof", keys.repo, data[:160]), data[160:], "verified")
    c = Cursor(plain)
    written, sample, packs, snapshots = c.get("qqII")
    need(written >= 1 and sample >= 0 and packs <= 1 << 24 and snapshots <= 1 << 24,
         "verified: field out of range")
    need(len(plain) == 24 + 40 * packs + 24 * snapshots, "verified: wrong length")
    rows = [[c.get(shape) for _ in range(n)] for shape, n in (("32sq", packs), ("16sq", snapshots))]
    c.end()
    for table in rows:
        need(all(time >= 1 for _, time in table), "verified: a time is not one")
        ascending([row[0] for row in table], "verified")
    return Proof(written, sample, dict(rows[0]), dict(rows[1]))


# ---- §13 Sidecars ------------------------------------------------------------------------------

Sidecar = collections.namedtuple("Sidecar", "kind name length block data parity sums parities")


def groups(sidecar):
    """The data blocks of each group, by their numbers (PA-2)."""
    blocks = -(-sidecar.length // sidecar.block)
    count = -(-blocks // sidecar.data)
    return [range(g, blocks, count) for g in range(count)]


def decode_sidecar(data, name, repo):  # PA-1
    need(len(data) >= 120 and data[:8] == b"varvepar", "not a sidecar")
    version, kind = struct.unpack_from("<II", data, 8)
    need(version == 1 and 1 <= kind <= 5, "sidecar: unknown version or kind", Unsupported)
    found = data[32:96].rstrip(b"\0")
    need(found and all(c in b"abcdefghijklmnopqrstuvwxyz0123456789-" for c in found),
         "sidecar: bad name")
    length, block, most, parity, reserved = struct.unpack_from("<QIIII", data, 96)
    need(1 <= length <= 1 << 40 and reserved == 0, "sidecar: field out of range")
    need(block % 65536 == 0 and 65536 <= block <= 1 << 20, "sidecar: impossible block length")
    need(1 <= most <= 128 and 1 <= parity <= 32, "sidecar: impossible group")
    shape = Sidecar(kind, found.decode(), length, block, most, parity, None, None)
    sizes = [min(block, length - g[0] * block) for g in groups(shape)
             for _ in range(min(len(g), parity))]
    blocks = -(-length // block)
    end = 120 + 8 * (blocks + len(sizes))
    need(len(data) == end + 32 + sum(sizes), "sidecar: has another length than it says")
    need(data[end:end + 32] == H(data[:end]), "sidecar: hash differs", Auth)
    need(data[16:32] == repo and found.decode() == name, "sidecar: of another object", Auth)
    sums = struct.unpack_from("<%dQ" % (blocks + len(sizes)), data, 120)
    at, parities = end + 32, []
    for size, wanted in zip(sizes, sums[blocks:]):
        parities.append((data[at:at + size], wanted))
        at += size
    return shape._replace(sums=sums[:blocks], parities=parities)


def times(a, b):
    """A product in GF(2^8)."""
    product = 0
    while b:
        product ^= a * (b & 1)
        a, b = a << 1 ^ (0x11D if a & 128 else 0), b >> 1
    return product


@functools.lru_cache(maxsize=None)
def products(p, j):
    """c(p, j) times every byte."""
    inverse = next(b for b in range(1, 256) if times(128 + p ^ j, b) == 1)
    return bytes(times(times(128 ^ j, inverse), value) for value in range(256))


def make_parity(sidecar, blocks):  # PA-3
    """The parity blocks of an object's blocks."""
    made = []
    for group in groups(sidecar):
        size = len(blocks[group[0]])
        for p in range(min(len(group), sidecar.parity)):
            total = 0
            for j, block in enumerate(group):
                part = blocks[block].translate(products(p, j)).ljust(size, b"\0")
                total ^= int.from_bytes(part, "big")
            made.append(total.to_bytes(size, "big"))
    return made
