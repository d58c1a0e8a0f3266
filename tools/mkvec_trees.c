/* mkvec_trees: vectors of trees. */
#include <string.h>

#include "format/treenode.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TREE(out) treenode_head_encode((out)->b, MKVEC_MAX, 0)

static void
put(struct mkvec *m, const char *name, const char *expect, const char *rule,
    const char *comment, const struct mkvec_bytes *b)
{
	struct mkvec_case c = {
		.name = name, .record = "tree", .expect = expect, .rule = rule,
		.comment = comment,
	};

	mkvec_put(m, &c, b->b, b->len);
}

static struct treenode_entry
entry(uint8_t kind, const char *name)
{
	struct treenode_entry e = {
		.name = (const uint8_t *)name, .name_len = (uint16_t)strlen(name),
		.kind = kind, .mode = 0644, .uid = 1000, .gid = 1000,
		.mtime = 1700000000, .mtime_ns = 999999999,
		.ctime = 1700000001, .ctime_ns = 1, .inode = 77,
	};

	return e;
}

static void
add(struct mkvec_bytes *b, const struct treenode_entry *e)
{
	size_t n = treenode_entry_encode(b->b + b->len, MKVEC_MAX - b->len, e);

	mkvec_must(n > 0, "tree entry");
	b->len += n;
}

static struct treenode_entry
file(const char *name)
{
	struct treenode_entry e = entry(TREENODE_FILE, name);

	e.size = 5;
	mkvec_fill(e.content.b, NAME_LEN, 0x30);
	mkvec_fill(e.fingerprint, sizeof(e.fingerprint), 0x80);
	return e;
}

/* One file "a": kind 11, flags 12, mode 13, mtime ns 31, ctime ns 35, size 55, content 63, extensions 111. */
static const struct mkvec_fault file_faults[] = {
	{ "tn-level-8", "TN-1", "malformed", "level 8", { 0, "08", 0, false } },
	{ "tn-reserved", "GN-1", "malformed", "reserved byte of the head", { 1, "01", 0, false } },
	{ "tn-name-empty", "TN-1", "malformed", "name of no bytes", { 8, "0000", 0, false } },
	{ "tn-name-slash", "TN-1", "malformed", "name with a slash", { 10, "2f", 0, false } },
	{ "tn-name-zero", "TN-1", "malformed", "name with a zero byte", { 10, "00", 0, false } },
	{ "tn-name-dot", "TN-1", "malformed", "name is one dot", { 10, "2e", 0, false } },
	{ "tn-name-escape", "TN-1", "ok", "name is ESC: names are bytes", { 10, "1b", 0, false } },
	{ "tn-name-invalid-utf8", "TN-1", "ok", "name is no UTF-8: names are bytes", { 10, "ff", 0, false } },
	{ "tn-name-past-end", "GN-2", "malformed", "name longer than the node", { 8, "ff00", 0, false } },
	{ "tn-kind-zero", "TN-1", "malformed", "kind 0", { 11, "00", 0, false } },
	{ "tn-kind-8", "TN-1", "malformed", "kind 8", { 11, "08", 0, false } },
	{ "tn-flags-unknown", "GN-1", "malformed", "flag bit 5", { 12, "20", 0, false } },
	{ "tn-file-changed", "TN-1", "ok", "flag bit 0 on a file", { 12, "01", 0, false } },
	{ "tn-file-implied", "TN-1", "malformed", "flag bit 4 on a file", { 12, "10", 0, false } },
	{ "tn-mode-large", "TN-1", "malformed", "mode 010000", { 13, "0010", 0, false } },
	{ "tn-mtime-ns-large", "TN-1", "malformed", "10^9 ns", { 31, "00ca9a3b", 0, false } },
	{ "tn-ctime-ns-large", "TN-1", "malformed", "10^9 ns", { 35, "00ca9a3b", 0, false } },
	{ "tn-mtime-before-1970", "TN-1", "ok", "mtime -1", { 23, "ffffffffffffffff", 0, false } },
	{ "tn-extension-large", "GN-2", "malformed", "extension length above 2^19", { 111, "01000800", 0, false } },
	{ "tn-extension-past-end", "GN-2", "malformed", "extension longer than the node", { 111, "08000000", 0, false } },
	{ "tn-extension-unknown", "TN-2", "unsupported", "unknown obligatory extension", { 111, "08000000047f000000000000", 8, false } },
	{ "tn-extension-zero", "TN-2", "unsupported", "extension of tag 0", { 111, "080000000000000000000000", 8, false } },
	{ "tn-extension-optional", "TN-2", "ok", "unknown optional extension", { 111, "090000000080000001000000ee", 9, false } },
	{ "tn-extension-reserved", "GN-1", "malformed", "reserved bytes of an extension", { 111, "080000000080010000000000", 8, false } },
	{ "tn-extension-unsorted", "TN-1", "malformed", "extensions do not ascend", { 111, "1000000002800000000000000180000000000000", 16, false } },
	{ "tn-extension-half", "GN-2", "malformed", "half an extension's head", { 111, "0400000000800000", 4, false } },
	{ "tn-file-flags", "TN-1", "ok", "file flags 0x10", { 111, "0c000000020000000400000010000000", 12, false } },
	{ "tn-file-flags-zero", "TN-1", "malformed", "file flags 0", { 111, "0c000000020000000400000000000000", 12, false } },
	{ "tn-file-flags-long", "TN-1", "malformed", "file flags of 5 bytes", { 111, "0d00000002000000050000001000000000", 13, false } },
	{ "tn-short", "GN-2", "malformed", "last byte missing", { .grow = -1 } },
	{ "tn-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
	{ "tn-head-only-half", "GN-2", "malformed", "half a head", { .grow = -111 } },
};

/* The last bytes of an entry without extensions are the extension length. */
static void
put_ext(struct mkvec *m, const char *name, const char *expect,
    const char *comment, uint8_t tag, const char *hex)
{
	struct mkvec_bytes b = { 0 }, val = { 0 };
	struct treenode_entry e = file("a");
	uint8_t head[12] = { 0 };

	b.len = TREE(&b);
	add(&b, &e);
	b.len -= 4;
	mkvec_add_hex(&val, hex);
	head[0] = (uint8_t)(val.len + 8);
	head[4] = tag;
	head[8] = (uint8_t)val.len;
	mkvec_add(&b, head, sizeof(head));
	mkvec_add(&b, val.b, val.len);
	put(m, name, expect, tag == 3 && expect[0] == 'u' ? "TN-2" : "TN-1",
	    comment, &b);
}

static void
extensions(struct mkvec *m)
{
#define A "0600000001000000757365722e6178"      /* user.a = x */
#define B "0600000000000000757365722e62"        /* user.b, empty */
#define DB(version, capture, flags, reserved) version capture "00100000" \
	flags "0300000000000000" "0000000000000000" \
	"00000000000000000000000000000000000000000000000000000000000000" reserved

	put_ext(m, "tn-xattr-ok", "ok", "two extended attributes", 1, A B);
	put_ext(m, "tn-xattr-none", "malformed", "no extended attribute", 1, "");
	put_ext(m, "tn-xattr-unsorted", "malformed",
	    "extended attributes do not ascend", 1, B A);
	put_ext(m, "tn-xattr-equal", "malformed",
	    "one extended attribute twice", 1, A A);
	put_ext(m, "tn-xattr-nameless", "malformed",
	    "extended attribute without a name", 1, "0000000000000000");
	put_ext(m, "tn-xattr-past-end", "malformed",
	    "value longer than the extension", 1,
	    "0600000002000000757365722e6178");
	put_ext(m, "tn-xattr-reserved", "malformed",
	    "reserved bytes of an extended attribute", 1,
	    "0600010001000000757365722e6178");
	put_ext(m, "tn-database-ok", "ok", "a database of three pages", 3,
	    DB("01000000", "01000000", "01000000", "00"));
	put_ext(m, "tn-database-beside", "ok",
	    "a database that had a WAL", 3, "01000000" "01000000" "00100000"
	    "00000000" "0300000000000000" "0000000000000000"
	    "000102030405060708090a0b0c0d0e0f"
	    "00000000000000000000000000000000");
	put_ext(m, "tn-database-version", "unsupported",
	    "version 2 of the database extension", 3,
	    DB("02000000", "01000000", "01000000", "00"));
	put_ext(m, "tn-database-capture", "malformed", "capture 3", 3,
	    DB("01000000", "03000000", "00000000", "00"));
	put_ext(m, "tn-database-flags", "malformed", "flag bit 1", 3,
	    DB("01000000", "02000000", "02000000", "00"));
	put_ext(m, "tn-database-reserved", "malformed",
	    "last reserved byte of the database extension", 3,
	    DB("01000000", "02000000", "00000000", "01"));
	put_ext(m, "tn-database-reserved-first", "malformed",
	    "first reserved byte of the database extension", 3,
	    "01000000" "01000000" "00100000"
	    "00000000" "0300000000000000" "0000000000000000"
	    "00000000000000000000000000000000"
	    "01000000000000000000000000000000");
	put_ext(m, "tn-database-short", "malformed",
	    "database extension of 4 bytes", 3, "01000000");
#undef A
#undef B
#undef DB
}

/* A directory with an entry of every kind. */
static void
every_kind(struct mkvec *m)
{
	struct treenode_entry a = file("a"), b = entry(TREENODE_BLOCK, "b"),
	    c = entry(TREENODE_CHAR, "c"), d = entry(TREENODE_DIR, "d"),
	    e = file("e"), f = entry(TREENODE_FIFO, "f"),
	    g = entry(TREENODE_FILE, "g"), l = entry(TREENODE_LINK, "l"),
	    s = entry(TREENODE_SOCKET, "s");
	struct treenode_entry *all[] = { &a, &b, &c, &d, &e, &f, &g, &l, &s };
	struct mkvec_bytes out = { 0 };

	a.flags = TREENODE_HARDLINK;
	a.dev = 0x801;
	b.size = c.size = 8ull << 32 | 1;
	mkvec_fill(d.content.b, NAME_LEN, 0x60);
	e.flags = TREENODE_LIST | TREENODE_CHANGED;
	e.size = 5u << 20;
	memset(e.fingerprint, 0, sizeof(e.fingerprint));
	l.size = 6;
	l.target = (const uint8_t *)"../etc";
	out.len = TREE(&out);
	for (size_t i = 0; i < COUNT(all); i++)
		add(&out, all[i]);
	put(m, "tn-every-kind", "ok", "TN-1", "an entry of every kind", &out);
}

/* Entries of one kind, patched: name one byte, so the offsets of file_faults hold up to the size. */
static const struct mkvec_fault dir_faults[] = {
	{ "tn-dir-hardlink", "TN-1", "malformed", "flag bit 1 on a directory", { 12, "02", 0, false } },
	{ "tn-dir-changed", "TN-1", "malformed", "flag bit 0 on a directory", { 12, "01", 0, false } },
	{ "tn-dir-list", "TN-1", "malformed", "flag bit 2 on a directory", { 12, "04", 0, false } },
	{ "tn-dir-size", "TN-1", "malformed", "size 1 of a directory", { 55, "01", 0, false } },
	{ "tn-implied-times", "TN-1", "malformed", "an implied directory with times", { 12, "10", 0, false } },
	{ "tn-dir-content-cut", "GN-2", "malformed", "content of a directory missing", { 63, "00000000", -32, false } },
	{ "tn-dir-unread", "TN-1", "ok", "a directory that could not be read", { 12, "08", -32, false } },
};

/* "l" -> "to": target 63, extension length 65. */
static const struct mkvec_fault link_faults[] = {
	{ "tn-link-zero", "TN-1", "malformed", "a zero byte in a link's target", { 64, "00", 0, false } },
	{ "tn-link-empty", "TN-1", "malformed", "a link without a target", { 55, "000000000000000000000000", -2, false } },
	{ "tn-link-long", "GN-2", "malformed", "a link of 4,096 bytes", { 55, "0010", 0, false } },
	{ "tn-link-past-end", "GN-2", "malformed", "target longer than the node", { 55, "ff0f", 0, false } },
	{ "tn-link-list", "TN-1", "malformed", "flag bit 2 on a link", { 12, "04", 0, false } },
	{ "tn-link-unread", "TN-1", "malformed", "flag bit 3 on a link", { 12, "08", 0, false } },
};

static const struct mkvec_fault fifo_faults[] = {
	{ "tn-fifo-size", "TN-1", "malformed", "size 1 of a fifo", { 55, "01", 0, false } },
	{ "tn-fifo-changed", "TN-1", "malformed", "flag bit 0 on a fifo", { 12, "01", 0, false } },
};

static const struct mkvec_fault socket_faults[] = {
	{ "tn-socket-size", "TN-1", "malformed", "size 1 of a socket", { 55, "01", 0, false } },
};

static void
one_entry(struct mkvec *m, const struct treenode_entry *e,
    const struct mkvec_fault *list, size_t count)
{
	struct mkvec_bytes b = { 0 };

	b.len = TREE(&b);
	add(&b, e);
	mkvec_faults(m, "tree", &b, list, count);
}

static void
kinds(struct mkvec *m)
{
	struct treenode_entry d = entry(TREENODE_DIR, "d"),
	    l = entry(TREENODE_LINK, "l"), f = entry(TREENODE_FIFO, "f"),
	    s = entry(TREENODE_SOCKET, "s"), i = { .name = (const uint8_t *)"home", .name_len = 4,
	    .kind = TREENODE_DIR, .flags = TREENODE_IMPLIED, .mode = 0755 },
	    e = entry(TREENODE_FILE, "e");
	struct mkvec_bytes b = { 0 };

	mkvec_fill(d.content.b + 4, NAME_LEN - 4, 0x60);
	one_entry(m, &d, dir_faults, COUNT(dir_faults));
	l.size = 2;
	l.target = (const uint8_t *)"to";
	one_entry(m, &l, link_faults, COUNT(link_faults));
	one_entry(m, &f, fifo_faults, COUNT(fifo_faults));
	one_entry(m, &s, socket_faults, COUNT(socket_faults));

	i.content = d.content;
	b.len = TREE(&b);
	add(&b, &i);
	put(m, "tn-implied-ok", "ok", "TN-1", "an implied directory", &b);

	e.flags = TREENODE_UNREAD;
	e.size = 4096;
	b.len = TREE(&b);
	add(&b, &e);
	put(m, "tn-file-unread", "ok", "TN-1",
	    "a file that could not be read has no content", &b);
	b.b[12] |= TREENODE_LIST;
	put(m, "tn-file-unread-list", "malformed", "TN-1",
	    "flag bit 2 without content", &b);
}

static void
pair(struct mkvec *m, const char *name, const char *expect,
    const char *comment, const char *first, const char *second)
{
	struct treenode_entry a = file(first), z = file(second);
	struct mkvec_bytes b = { 0 };

	b.len = TREE(&b);
	add(&b, &a);
	add(&b, &z);
	put(m, name, expect, "TN-1", comment, &b);
}

static void
order(struct mkvec *m)
{
	struct treenode_entry dots = file("..x");
	struct mkvec_bytes b = { 0 };

	pair(m, "tn-shorter-first", "ok", "a prefix comes first", "a", "a.b");
	pair(m, "tn-high-bytes-last", "ok", "order is that of unsigned bytes",
	    "z", "\xc3\xa4");
	pair(m, "tn-unsorted", "malformed", "names do not ascend", "b", "a");
	pair(m, "tn-longer-first", "malformed", "a prefix comes last", "ab",
	    "a");
	pair(m, "tn-equal", "malformed", "one name twice", "a", "a");

	b.len = TREE(&b);
	add(&b, &dots);
	put(m, "tn-name-dots-and-more", "ok", "TN-1", "name is ..x", &b);
	b.b[8] = 2;
	memmove(b.b + 12, b.b + 13, b.len - 13);
	b.len--;
	put(m, "tn-name-dot-dot", "malformed", "TN-1", "name is two dots", &b);

	b.len = TREE(&b);
	put(m, "tn-empty", "ok", "TN-1", "an empty directory", &b);
	b.b[0] = 1;
	put(m, "tn-upper-empty", "malformed", "TN-1",
	    "level 1 without a row", &b);
}

/* Rows "a" at 8 and "m" at 47. */
static const struct mkvec_fault row_faults[] = {
	{ "tn-row-entries-zero", "TN-3", "malformed", "a row of no entries", { 40, "00000000", 0, false } },
	{ "tn-row-name-empty", "TN-1", "malformed", "a row without a name", { 44, "0000", 0, false } },
	{ "tn-row-name-slash", "TN-1", "malformed", "a row's name with a slash", { 46, "2f", 0, false } },
	{ "tn-row-unsorted", "TN-1", "malformed", "rows do not ascend", { 46, "7a", 0, false } },
	{ "tn-row-equal", "TN-1", "malformed", "one row's name twice", { 46, "6d", 0, false } },
	{ "tn-row-short", "GN-2", "malformed", "last byte missing", { .grow = -1 } },
	{ "tn-row-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
};

static void
rows(struct mkvec *m)
{
	struct treenode_row r = { .entries = 70, .name_len = 1 };
	struct mkvec_bytes b = { 0 };

	b.len = treenode_head_encode(b.b, MKVEC_MAX, 7);
	mkvec_fill(r.id.b, NAME_LEN, 0x10);
	r.name = (const uint8_t *)"a";
	b.len += treenode_row_encode(b.b + b.len, MKVEC_MAX - b.len, &r);
	r.id.b[0] = 0x90;
	r.name = (const uint8_t *)"m";
	b.len += treenode_row_encode(b.b + b.len, MKVEC_MAX - b.len, &r);
	mkvec_must(b.len == 86, "tree rows");
	put(m, "tn-upper-ok", "ok", "TN-1", "two rows of level 7", &b);
	mkvec_faults(m, "tree", &b, row_faults, COUNT(row_faults));
}

void
mkvec_trees(struct mkvec *m)
{
	struct treenode_entry e = file("a");
	struct mkvec_bytes b = { 0 };

	b.len = TREE(&b);
	add(&b, &e);
	mkvec_must(b.len == 115, "tree");
	put(m, "tn-ok", "ok", "TN-1", "one file of one chunk", &b);
	mkvec_faults(m, "tree", &b, file_faults, COUNT(file_faults));
	every_kind(m);
	extensions(m);
	kinds(m);
	order(m);
	rows(m);
}
