/* mkvec_plain: vectors of the repository header, frame heads, lists and snapshot payloads. */
#include <stdio.h>
#include <string.h>

#include "format/frame.h"
#include "format/listnode.h"
#include "format/repohdr.h"
#include "format/snaplist.h"
#include "format/snaprec.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
put_ok(struct mkvec *m, const char *name, const char *record, const char *rule,
    const char *comment, const struct mkvec_bytes *b)
{
	struct mkvec_case c = {
		.name = name, .record = record, .expect = "ok", .rule = rule,
		.comment = comment,
	};

	mkvec_put(m, &c, b->b, b->len);
}

static const struct mkvec_fault repohdr_faults[] = {
	{ "rh-magic", "RH-1", "malformed", "another magic", { .hex = "56" } },
	{ "rh-version", "RH-1", "unsupported", "version 2", { 8, "02", 0, false } },
	{ "rh-reserved-early", "GN-1", "malformed", "reserved byte after the version", { 12, "01", 0, false } },
	{ "rh-reserved-late", "GN-1", "malformed", "last reserved byte", { 127, "80", 0, false } },
	{ "rh-compat-unknown", "RH-1", "ok", "unknown compatible feature", { 32, "0000000000000080", 0, false } },
	{ "rh-rocompat-unknown", "RH-1", "ok", "unknown read-compatible feature: read, do not write", { 40, "04", 0, false } },
	{ "rh-incompat-unknown", "RH-1", "unsupported", "unknown incompatible feature", { 48, "01", 0, false } },
	{ "rh-min-small", "RH-1", "malformed", "chunk minimum 4095", { 56, "ff0f0000", 0, false } },
	{ "rh-min-least", "RH-1", "ok", "chunk minimum 4096", { 56, "00100000", 0, false } },
	{ "rh-min-over-half-avg", "RH-1", "malformed", "average below twice the minimum", { 56, "01000100", 0, false } },
	{ "rh-avg-no-power", "RH-1", "malformed", "average not a power of two", { 60, "01000200", 0, false } },
	{ "rh-avg-zero", "RH-1", "malformed", "average 0", { 60, "00000000", 0, false } },
	{ "rh-max-below-avg", "RH-1", "malformed", "maximum below twice the average", { 64, "ffff0300", 0, false } },
	{ "rh-max-greatest", "RH-1", "ok", "maximum 2^20", { 64, "00001000", 0, false } },
	{ "rh-max-large", "RH-1", "malformed", "maximum above 2^20", { 64, "01001000", 0, false } },
	{ "rh-short", "RH-1", "malformed", "one byte missing", { .grow = -1 } },
	{ "rh-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
	{ "rh-empty", "GN-2", "malformed", "no byte at all", { .grow = -160 } },
};

static void
repohdrs(struct mkvec *m)
{
	struct mkvec_case bad = {
		.name = "rh-checksum", .record = "repohdr",
		.expect = "malformed", .rule = "RH-1",
		.comment = "a bit of the checksum flipped",
	};
	struct mkvec_bytes good = { 0 };

	mkvec_add(&good, m->repo, sizeof(m->repo));
	put_ok(m, "rh-ok", "repohdr", "RH-1", "a repository header", &good);
	for (size_t i = 0; i < COUNT(repohdr_faults); i++) {
		const struct mkvec_fault *f = &repohdr_faults[i];
		struct mkvec_case c = {
			.name = f->name, .record = "repohdr",
			.expect = f->expect, .rule = f->rule,
			.comment = f->comment,
		};
		struct mkvec_bytes b = good;
		struct name sum;

		mkvec_patch(&b, &f->patch);
		if (b.len >= REPOHDR_LEN) {
			mkvec_hash(&sum, NULL, b.b, REPOHDR_COVERED);
			memcpy(b.b + REPOHDR_COVERED, sum.b, NAME_LEN);
		}
		mkvec_put(m, &c, b.b, b.len);
	}
	good.b[REPOHDR_LEN - 1] ^= 1;
	mkvec_put(m, &bad, good.b, good.len);
}

/*
 * blocks at 8 (raw, two chunks), 20 (zstd), 32 (delta, base at 44); chunks at
 * 76, 112, 148, 184.
 */
static const struct mkvec_fault head_faults[] = {
	{ "fr-blocks-zero", "FR-1", "malformed", "no block", { 0, "00000000", 0, false } },
	{ "fr-blocks-many", "GN-2", "malformed", "65,536 blocks", { 0, "00000100", 0, false } },
	{ "fr-chunks-zero", "FR-1", "malformed", "no chunk", { 4, "00000000", 0, false } },
	{ "fr-chunks-many", "GN-2", "malformed", "2^32 - 1 chunks", { 4, "ffffffff", 0, false } },
	{ "fr-chunks-fewer", "FR-1", "malformed", "one chunk fewer than the blocks say, its row cut off", { 4, "03000000", -36, false } },
	{ "fr-codec-unknown", "FR-2", "unsupported", "codec 3", { 20, "03", 0, false } },
	{ "fr-raw-len-differs", "FR-1", "malformed", "raw length is not the sum of its chunks", { 21, "c90000", 0, false } },
	{ "fr-raw-len-zero", "FR-1", "malformed", "raw length 0", { 21, "000000", 0, false } },
	{ "fr-raw-stored-differs", "FR-1", "malformed", "codec raw, stored length is another than raw length", { 12, "1f000000", 0, false } },
	{ "fr-stored-zero", "FR-1", "malformed", "stored length 0", { 24, "00000000", 0, false } },
	{ "fr-stored-large", "GN-2", "malformed", "body above 2^24", { 24, "01000001", 0, false } },
	{ "fr-block-no-chunks", "FR-1", "malformed", "a block of no chunks", { 28, "0000", 0, false } },
	{ "fr-depth-of-zstd", "FR-1", "malformed", "depth 1 without a base", { 30, "01", 0, false } },
	{ "fr-block-reserved", "GN-1", "malformed", "reserved byte of a block", { 31, "01", 0, false } },
	{ "fr-delta-two-chunks", "FR-1", "malformed", "a delta block of two chunks", { 40, "0200", 0, false } },
	{ "fr-delta-depth-zero", "FR-1", "malformed", "a delta block of depth 0", { 42, "00", 0, false } },
	{ "fr-delta-depth-33", "FR-1", "malformed", "a delta block of depth 33", { 42, "21", 0, false } },
	{ "fr-bases-cut", "GN-2", "malformed", "a second base where chunks begin", { 43, "01", 0, false } },
	{ "fr-type-unknown", "FR-1", "malformed", "chunk of type M", { 76, "4d", 0, false } },
	{ "fr-chunk-len-zero", "FR-1", "malformed", "chunk of length 0", { 77, "000000", 0, false } },
	{ "fr-chunk-len-large", "CH-2", "malformed", "chunk of more than 2^20 bytes", { 77, "010010", 0, false } },
	{ "fr-head-short", "GN-2", "malformed", "last byte missing", { .grow = -1 } },
	{ "fr-head-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
	{ "fr-head-empty", "GN-2", "malformed", "no byte at all", { .grow = -220 } },
};

/* The same with four bases at 44, 76, 108, 140. */
static const struct mkvec_fault base_faults[] = {
	{ "fr-bases-five", "FR-1", "malformed", "five bases", { 43, "04", 0, false } },
	{ "fr-bases-alike", "FR-1", "malformed", "the same base twice", { 140, "1112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30", 0, false } },
	{ "fr-bases-depth", "FR-1", "malformed", "four bases, and a depth of 3", { 42, "03", 0, false } },
};

static void
frameheads(struct mkvec *m)
{
	struct frame_block blocks[3] = {
		{ .codec = FRAME_RAW, .raw_len = 30, .stored_len = 30,
		    .chunk_count = 2 },
		{ .codec = FRAME_ZSTD, .raw_len = 200, .stored_len = 19,
		    .chunk_count = 1 },
		{ .codec = FRAME_DELTA, .raw_len = 37, .stored_len = 22,
		    .chunk_count = 1, .depth = 32, .base_count = 1 },
	};
	struct frame_chunk chunks[4] = {
		{ .type = FRAME_DATA, .len = 10 },
		{ .type = FRAME_LIST, .len = 20 },
		{ .type = FRAME_TREE, .len = 200 },
		{ .type = FRAME_DATA, .len = 37 },
	};
	struct mkvec_bytes b = { 0 };

	for (size_t i = 0; i < COUNT(chunks); i++)
		mkvec_fill(chunks[i].id.b, NAME_LEN, (uint8_t)(0x10 * (i + 1)));
	mkvec_fill(blocks[2].base[0].b, NAME_LEN, 0x10);
	b.len = frame_head_encode(b.b, MKVEC_MAX, blocks, 3, chunks, 4);
	mkvec_must(b.len == 220, "frame head");
	put_ok(m, "fr-head-ok", "framehead", "FR-1",
	    "a raw block of two chunks, a zstd block, a delta block", &b);
	mkvec_faults(m, "framehead", &b, head_faults, COUNT(head_faults));

	blocks[2].base_count = 4;
	for (size_t i = 1; i < 4; i++)
		mkvec_fill(blocks[2].base[i].b, NAME_LEN, (uint8_t)(0x10 + i));
	b.len = frame_head_encode(b.b, MKVEC_MAX, blocks, 3, chunks, 4);
	mkvec_must(b.len == 316, "frame head");
	put_ok(m, "fr-bases-four", "framehead", "FR-1", "a delta block with four bases", &b);
	mkvec_faults(m, "framehead", &b, base_faults, COUNT(base_faults));

	blocks[0].chunk_count = 1;
	blocks[0].raw_len = blocks[0].stored_len = 10;
	b.len = frame_head_encode(b.b, MKVEC_MAX, blocks, 1, chunks, 1);
	put_ok(m, "fr-head-least", "framehead", "FR-1",
	    "one block of one chunk", &b);
}

/* Rows at 8, 64 (a hole) and 120. */
static const struct mkvec_fault list_faults[] = {
	{ "ln-level-8", "LN-1", "malformed", "level 8", { 0, "08", 0, false } },
	{ "ln-reserved", "GN-1", "malformed", "reserved byte of the head", { 7, "01", 0, false } },
	{ "ln-no-rows", "LN-1", "malformed", "no row", { .grow = -168 } },
	{ "ln-length-zero", "LN-1", "malformed", "a row of length 0", { 40, "0000000000000000", 0, false } },
	{ "ln-length-sum", "LN-1", "malformed", "lengths add up to 2^63", { 96, "f6efffffffffff7f", 0, false } },
	{ "ln-length-sum-most", "LN-1", "ok", "lengths add up to 2^63 - 1", { 96, "f5efffffffffff7f", 0, false } },
	{ "ln-length-wraps", "LN-1", "malformed", "lengths add up to more than 2^64", { 96, "ffffffffffffffff", 0, false } },
	{ "ln-hole-fingerprint", "LN-1", "malformed", "a hole with a fingerprint", { 104, "01", 0, false } },
	{ "ln-two-holes", "LN-1", "malformed", "a hole after a hole", { 120, "0000000000000000000000000000000000000000000000000000000000000000"
	    "0a0000000000000000000000000000000000000000000000", 0, false } },
	{ "ln-short", "GN-2", "malformed", "last byte missing", { .grow = -1 } },
	{ "ln-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
	{ "ln-head-only", "GN-2", "malformed", "half a head", { .grow = -172 } },
};

static const struct mkvec_fault upper_faults[] = {
	{ "ln-upper-zero-id", "LN-1", "malformed", "a zero id above level 0", { 8, "0000000000000000000000000000000000000000000000000000000000000000",
	    0, false } },
	{ "ln-upper-fingerprint", "LN-1", "malformed", "a fingerprint above level 0", { 63, "01", 0, false } },
};

static void
lists(struct mkvec *m)
{
	struct listnode_row rows[3] = { { .len = 10 }, { .len = 4096 },
	    { .len = 0 } };
	struct mkvec_bytes b = { 0 };

	mkvec_fill(rows[0].id.b, NAME_LEN, 1);
	mkvec_fill(rows[0].fingerprint, LISTNODE_FP_LEN, 0x61);
	mkvec_fill(rows[2].id.b, NAME_LEN, 3);
	mkvec_fill(rows[2].fingerprint, LISTNODE_FP_LEN, 0x63);
	rows[2].len = 4096;
	b.len = listnode_head_encode(b.b, MKVEC_MAX, 0);
	for (size_t i = 0; i < COUNT(rows); i++)
		b.len += listnode_row_encode(b.b + b.len, MKVEC_MAX - b.len,
		    &rows[i]);
	mkvec_must(b.len == 176, "list");
	put_ok(m, "ln-ok", "list", "LN-1", "a chunk, a hole, a chunk", &b);
	mkvec_faults(m, "list", &b, list_faults, COUNT(list_faults));

	memset(rows[0].fingerprint, 0, LISTNODE_FP_LEN);
	b.len = listnode_head_encode(b.b, MKVEC_MAX, 7);
	b.len += listnode_row_encode(b.b + b.len, MKVEC_MAX - b.len, &rows[0]);
	put_ok(m, "ln-upper-ok", "list", "LN-1", "one row of level 7", &b);
	mkvec_faults(m, "list", &b, upper_faults, COUNT(upper_faults));
}

/*
 * statistics at 120; host "vault" at 248, user "ann" at 257, program at 264;
 * paths at 275: count, "/etc" 279, "/home" 287; tags at 296: count, "a" 300;
 * users at 305: count, 0 "root" 309, 1000 "ann" 321; groups at 332: count, 0
 * "root" 336; extension length at 348.
 */
static const struct mkvec_fault payload_faults[] = {
	{ "sr-sequence-zero", "SR-4", "malformed", "sequence 0", { 64, "0000000000000000", 0, false } },
	{ "sr-flags-unknown", "GN-1", "malformed", "flag bit 3", { 112, "08", 0, false } },
	{ "sr-statistics-reserved", "GN-1", "malformed", "a reserved statistic", { 247, "01", 0, false } },
	{ "sr-host-long", "SR-1", "malformed", "host of 65,536 bytes", { 248, "00000100", 0, false } },
	{ "sr-host-past-end", "GN-2", "malformed", "host longer than the payload", { 248, "ffff0000", 0, false } },
	{ "sr-paths-many", "SR-1", "malformed", "65,536 paths", { 275, "00000100", 0, false } },
	{ "sr-paths-unsorted", "GN-1", "malformed", "paths do not ascend", { 284, "7a", 0, false } },
	{ "sr-tags-past-end", "GN-2", "malformed", "more tags than bytes", { 296, "ffff0000", 0, false } },
	{ "sr-users-equal", "GN-1", "malformed", "one uid twice", { 321, "00000000", 0, false } },
	{ "sr-groups-past-end", "GN-2", "malformed", "more groups than bytes", { 332, "02000000", 0, false } },
	{ "sr-extension-unknown", "TN-2", "unsupported", "unknown obligatory extension", { 348, "08000000027f000000000000", 8, false } },
	{ "sr-extension-optional", "TN-2", "ok", "unknown optional extension", { 348, "090000000280000001000000aa", 9, false } },
	{ "sr-extension-reserved", "GN-1", "malformed", "reserved bytes of an extension", { 348, "080000000280010000000000", 8, false } },
	{ "sr-extension-unsorted", "GN-1", "malformed", "extensions of one tag", { 348, "1000000001800000000000000180000000000000", 16, false } },
	{ "sr-extension-past-end", "GN-2", "malformed", "extension longer than the payload", { 348, "01000000", 0, false } },
	{ "sr-payload-short", "GN-2", "malformed", "last byte missing", { .grow = -1 } },
	{ "sr-payload-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
	{ "sr-payload-empty", "GN-2", "malformed", "no byte at all", { .grow = -352 } },
};

static struct snaprec_string
text(const char *s)
{
	struct snaprec_string r = { (const uint8_t *)s, (uint32_t)strlen(s) };

	return r;
}

static void
payloads(struct mkvec *m)
{
	struct snaprec_string paths[2] = { text("/etc"), text("/home") };
	struct snaprec_string tags[1] = { text("a") };
	struct snaprec_owner users[2] = { { 0, text("root") },
	    { 1000, text("ann") } };
	struct snaprec_owner groups[1] = { { 0, text("root") } };
	struct snaprec s = {
		.sequence = 2, .begin_ns = 1700000000000000000,
		.end_ns = 1700000001000000000, .clock_ns = 1700000000000000000,
		.flags = SNAPREC_INCOMPLETE,
		.host = text("vault"), .user = text("ann"),
		.program = text("varve 1"),
		.paths = paths, .path_count = 2, .tags = tags, .tag_count = 1,
		.users = users, .user_count = 2,
		.groups = groups, .group_count = 1,
	};
	struct mkvec_bytes b = { 0 };

	mkvec_fill(s.root.b, NAME_LEN, 0x20);
	mkvec_fill(s.writer.b, NAME_SID_LEN, 0x50);
	mkvec_fill(s.previous.b, NAME_SID_LEN, 0x70);
	for (uint32_t i = 0; i <= SNAPREC_CHUNKS_NEW; i++)
		s.stats[i] = i + 1;
	b.len = snaprec_encode(b.b, MKVEC_MAX, &s);
	mkvec_must(b.len == 352, "snapshot payload");
	put_ok(m, "sr-payload-ok", "snappayload", "SR-1",
	    "every list has a row", &b);
	mkvec_faults(m, "snappayload", &b, payload_faults,
	    COUNT(payload_faults));

	s.path_count = s.tag_count = s.user_count = s.group_count = 0;
	s.host.len = s.user.len = s.program.len = 0;
	b.len = snaprec_encode(b.b, MKVEC_MAX, &s);
	put_ok(m, "sr-payload-least", "snappayload", "SR-1",
	    "every list and string empty", &b);
}

/* Rows at 0 and 22; 47 bytes. */
static const struct mkvec_fault snaplist_faults[] = {
	{ "sl-unsorted", "IX-10", "malformed", "sids do not ascend", { 0, "03", 0, false } },
	{ "sl-equal", "IX-10", "malformed", "one sid twice", { 0, "02", 0, false } },
	{ "sl-empty-payload", "IX-10", "malformed", "a payload of no bytes", { 38, "00", -5, false } },
	{ "sl-payload-long", "IX-10", "malformed", "a payload longer than a record may be", { 38, "01000001", 0, false } },
	{ "sl-cut", "GN-2", "malformed", "last byte missing", { .grow = -1 } },
	{ "sl-long", "GN-1", "malformed", "one byte too many", { .grow = 1 } },
};

static void
snaplists(struct mkvec *m)
{
	struct mkvec_bytes b = { 0 };
	struct snaplist_row row = { .payload = (const uint8_t *)"first", .len = 2 };

	for (uint8_t i = 1; i <= 2; i++) {
		row.sid.b[0] = i;
		b.len += snaplist_encode(b.b + b.len, MKVEC_MAX - b.len, &row);
		row.len = 5;
	}
	mkvec_must(b.len == 47, "list of snapshots");
	put_ok(m, "sl-ok", "snaplist", "IX-10", "two rows, whose payloads nobody looks into", &b);
	mkvec_faults(m, "snaplist", &b, snaplist_faults, COUNT(snaplist_faults));
}

void
mkvec_plain(struct mkvec *m)
{
	repohdrs(m);
	frameheads(m);
	lists(m);
	payloads(m);
	snaplists(m);
}
