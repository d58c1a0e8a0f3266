/*
 * mkvec_indexes: vectors of segments and tables.  Faults of the clear parts are
 * made before the MAC or after it (`late`), faults of rows before the tags:
 * both are what a holder of the key could have written.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "format/indexfile.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SEGMENT_NAME "5152535455565758595a5b5c5d5e5f60-00000000"
#define TABLE_NAME "0000000000000009"

struct plan {
	struct mkvec_case c;
	bool table;
	struct mkvec_patch body;        /* before tags and MAC */
	struct mkvec_patch header;      /* before the MAC */
	struct mkvec_patch late;        /* of the finished file */
	bool other_key;
	const char *label;              /* of the MAC */
};

static void
frame_row(struct mkvec_bytes *b, uint32_t ordinal, uint32_t off, uint32_t live)
{
	struct indexfile_frame f = { .ordinal = ordinal, .off = off,
	    .len = 165, .chunks = 2, .live = live };

	b->len += indexfile_frame_encode(b->b + b->len, MKVEC_MAX - b->len, &f);
}

static void
pack_row(struct mkvec_bytes *b, uint8_t first, uint32_t frames,
    uint32_t live_frames, uint64_t live_bytes)
{
	struct indexfile_pack p = { .bytes = 531, .live_bytes = live_bytes,
	    .frames = frames, .live_frames = live_frames, .kind = 1 };

	p.name.b[0] = first;
	b->len += indexfile_pack_encode(b->b + b->len, MKVEC_MAX - b->len, &p);
}

static void
chunk_row(struct mkvec_bytes *b, uint8_t first, uint32_t refs, uint32_t frame,
    uint16_t slot)
{
	struct indexfile_row r = { .refs = refs, .frame = frame, .slot = slot,
	    .type = 0x44 };

	r.id.b[0] = first;
	b->len += indexfile_row_encode(b->b + b->len, MKVEC_MAX - b->len, &r);
}

static void
fanout(struct mkvec_bytes *b, uint8_t rows)
{
	uint8_t raw[4] = { rows, 0, 0, 0 };

	mkvec_add(b, raw, sizeof(raw));
}

/* Pack 0, frames 64 and 88, rows 112, 160, 208, fanout 256; 260 bytes. */
static void
segment(struct indexfile_header *h, struct mkvec_bytes *body)
{
	h->kind = INDEXFILE_SEGMENT;
	mkvec_fill(h->sid.b, NAME_SID_LEN, 0x51);
	mkvec_fill(h->root.b, NAME_LEN, 0x71);
	h->flags = INDEXFILE_LAST_PART;
	h->pack_count = 1;
	h->frame_count = 2;
	h->row_count = 3;
	pack_row(body, 0x10, 2, 2, 164);
	frame_row(body, 0, 160, 1);
	frame_row(body, 1, 325, 1);
	chunk_row(body, 0x20, 0, 0, 1);
	chunk_row(body, 0x21, 0, INDEXFILE_NO_FRAME, 0);
	body->b[body->len - 12] = 1;            /* a use of a base */
	chunk_row(body, 0x22, 0, 1, 0);
	fanout(body, 3);
}

static void
remove_row(struct mkvec_bytes *b, uint32_t kind, uint32_t part, uint8_t first)
{
	struct indexfile_remove r = { .kind = kind, .part = part };

	r.name.b[0] = first;
	b->len += indexfile_remove_encode(b->b + b->len, MKVEC_MAX - b->len,
	    &r);
}

/* Keeps 0 and 8, removes 16, 56, 96, packs 136, 200, frames 264, 288, rows 312, 360, fanout 408, extra 412; 421 bytes. */
static void
table(struct indexfile_header *h, struct mkvec_bytes *body)
{
	h->kind = INDEXFILE_TABLE;
	h->number = 9;
	h->keep_count = 2;
	h->remove_count = 3;
	h->pack_count = 2;
	h->frame_count = 2;
	h->row_count = 2;
	h->extra_len = 9;
	mkvec_add_hex(body, "07000000000000000300000000000000");
	remove_row(body, INDEXFILE_DEAD_SEGMENT, 1, 0x31);
	remove_row(body, INDEXFILE_DEAD_RECORD, 0, 0x31);
	remove_row(body, INDEXFILE_DEAD_PACK, 0, 0x32);
	pack_row(body, 0x10, 1, 1, 82);
	pack_row(body, 0x11, 1, 0, 0);
	frame_row(body, 0, 160, 1);
	body->len += indexfile_frame_encode(body->b + body->len,
	    MKVEC_MAX - body->len, &(struct indexfile_frame){ .pack = 1,
	    .off = 160, .len = 165, .chunks = 2 });
	chunk_row(body, 0x20, 1, 0, 1);
	chunk_row(body, 0x21, 0, INDEXFILE_NO_FRAME, 0);
	fanout(body, 2);
	mkvec_add_hex(body, "0100000001000000ff");
}

/* The tag of `of`, which is a block of its own. */
static void
tag(struct mkvec_bytes *tags, const char *kind, const struct indexfile_header *h,
    const uint8_t key[static 32], const struct mkvec_bytes *of)
{
	uint8_t once[32], in[16 + 16 + 8] = { 0 }, out[16];

	memcpy(in, kind, 16);
	memcpy(in + 16, h->nonce, 16);
	crypto_generichash(once, 32, in, sizeof(in), key, 32);
	crypto_onetimeauth_poly1305(out, of->b, of->len, once);
	mkvec_add(tags, out, sizeof(out));
}

static void
make(struct mkvec *m, const struct plan *p)
{
	struct mkvec_bytes file = { 0 }, body = { 0 }, tags = { 0 }, upper = { 0 };
	struct mkvec_bytes covered = { 0 };
	struct indexfile_header h = { .repo_id = m->repo_id };
	struct mkvec_case c = p->c;
	struct name mac;
	uint8_t key[32];

	memcpy(key, m->index, sizeof(key));
	key[0] ^= p->other_key;
	mkvec_fill(h.nonce, sizeof(h.nonce), 0xb0);
	p->table ? table(&h, &body) : segment(&h, &body);
	file.len = indexfile_header_encode(file.b, MKVEC_MAX, &h);
	mkvec_must(file.len > 0 && body.len == (p->table ? 421 : 260),
	    "index file");
	mkvec_patch(&file, &p->header);
	mkvec_patch(&body, &p->body);
	tag(&tags, "varve index body", &h, key, &body);
	tag(&upper, "varve index tags", &h, key, &tags);
	mkvec_add(&covered, p->label != NULL ? p->label : "varve index head",
	    16);
	mkvec_add(&covered, file.b, INDEXFILE_MAC_OFF);
	mkvec_add(&covered, upper.b, upper.len);
	mkvec_hash(&mac, key, covered.b, covered.len);
	memcpy(file.b + INDEXFILE_MAC_OFF, mac.b, NAME_LEN);
	mkvec_add(&file, body.b, body.len);
	mkvec_add(&file, tags.b, tags.len);
	mkvec_add(&file, upper.b, upper.len);
	mkvec_patch(&file, &p->late);
	c.record = "index";
	c.master = c.repo = true;
	if (c.file_name == NULL)
		c.file_name = p->table ? TABLE_NAME : SEGMENT_NAME;
	mkvec_put(m, &c, file.b, file.len);
}

#define CASE(n, e, r, t) \
	.c = { .name = n, .expect = e, .rule = r, .comment = t }
#define NAMED(n, r, t, f) \
	.c = { .name = n, .expect = "auth", .rule = r, .comment = t, .file_name = f }
#define TABLE .table = true

/* File: header, body from 256, one tag, one tag of tags. */
static const struct plan plans[] = {
	{ CASE("ix-segment-ok", "ok", "IX-1", "a segment, last of its session") },
	{ CASE("ix-table-ok", "ok", "IX-1", "a table"), TABLE },
	{ CASE("ix-magic", "malformed", "IX-1", "another magic"), .header = { 0, "56", 0, false } },
	{ CASE("ix-version", "unsupported", "IX-1", "version 2"), .header = { 8, "02", 0, false } },
	{ CASE("ix-kind-unknown", "unsupported", "IX-1", "kind 3"), .header = { 12, "03", 0, false } },
	{ CASE("ix-repo", "auth", "IX-1", "repository id of another repository"), .header = { 16, "01", 0, true } },
	{ NAMED("ix-name-sid", "IX-1", "sid is not the name's", "5152535455565758595a5b5c5d5e5f61-00000000") },
	{ NAMED("ix-name-part", "IX-1", "part is not the name's", "5152535455565758595a5b5c5d5e5f60-00000001") },
	{ NAMED("ix-name-number", "IX-1", "number is not the name's", "000000000000000a"), TABLE },
	{ NAMED("ix-name-kind", "IX-1", "a segment with a table's name", TABLE_NAME) },
	{ CASE("ix-table-sid", "malformed", "IX-1", "a table with a sid"), TABLE, .header = { 48, "01", 0, false } },
	{ .c = { .name = "ix-table-number-zero", .expect = "malformed", .rule = "IX-1", .comment = "table number 0",
	    .file_name = "0000000000000000" }, TABLE, .header = { 64, "00", 0, false } },
	{ CASE("ix-table-root", "malformed", "IX-1", "a table with a root"), TABLE, .header = { 103, "01", 0, false } },
	{ CASE("ix-table-flags", "malformed", "IX-1", "a table that is a last part"), TABLE, .header = { 104, "01", 0, false } },
	{ CASE("ix-flags-unknown", "malformed", "GN-1", "flag bit 1"), .header = { 104, "03", 0, false } },
	{ CASE("ix-root-early", "malformed", "IX-1", "a root that is not the last part's"), .header = { 104, "00", 0, false } },
	{ CASE("ix-fanout-bits", "malformed", "IX-5", "one fanout bit too many"), .header = { 108, "01", 0, false } },
	{ CASE("ix-segment-keeps", "malformed", "IX-1", "a segment that keeps a table"), .header = { 112, "01", 0, false } },
	{ CASE("ix-segment-removes", "malformed", "IX-1", "a segment that removes something"), .header = { 116, "01", 0, false } },
	{ CASE("ix-packs-more", "malformed", "IX-1", "one pack more than there is"), .header = { 120, "02", 0, false } },
	{ CASE("ix-packs-many", "malformed", "GN-2", "more than 2^24 packs"), .header = { 120, "01000001", 0, false } },
	{ CASE("ix-frames-many", "malformed", "GN-2", "more than 2^30 frames"), .header = { 124, "01000040", 0, false } },
	{ CASE("ix-rows-fewer", "malformed", "IX-1", "one row fewer than there are"), .header = { 128, "02", 0, false } },
	{ CASE("ix-rows-many", "malformed", "GN-2", "2^32 rows"), .header = { 128, "0000000001000000", 0, false } },
	{ CASE("ix-extra-huge", "malformed", "GN-2", "2^64 - 1 bytes of extensions"), .header = { 136, "ffffffffffffffff", 0, false } },
	{ CASE("ix-reserved", "malformed", "GN-1", "last reserved byte"), .header = { 223, "01", 0, false } },
	{ CASE("ix-mac", "auth", "IX-2", "a bit of the MAC flipped"), .late = { 224, "01", 0, true } },
	{ CASE("ix-mac-nonce", "auth", "IX-2", "a bit of the nonce flipped"), .late = { 32, "01", 0, true } },
	{ CASE("ix-mac-root", "auth", "IX-2", "a bit of the root flipped"), .late = { 72, "01", 0, true } },
	{ CASE("ix-mac-tag", "auth", "IX-2", "a bit of a tag of tags flipped"), .late = { -16, "01", 0, true } },
	{ CASE("ix-tags-bit", "auth", "IX-3", "a bit of a tag flipped"), .late = { -32, "01", 0, true } },
	{ CASE("ix-mac-label", "auth", "IX-2", "MAC under another label"), .label = "varve index body" },
	{ CASE("ix-key", "auth", "IX-2", "made with another key"), .other_key = true },
	{ CASE("ix-body-bit", "auth", "IX-3", "a bit of the body flipped"), .late = { -33, "01", 0, true } },
	{ CASE("ix-short", "malformed", "IX-1", "last byte missing"), .late = { .grow = -1 } },
	{ CASE("ix-long", "malformed", "GN-1", "one byte too many"), .late = { .grow = 1 } },
	{ CASE("ix-header-short", "malformed", "GN-2", "half a header"), .late = { .grow = -420 } },

	{ CASE("ix-keep-unsorted", "malformed", "GN-1", "keeps do not descend"), TABLE, .body = { 8, "08", 0, false } },
	{ CASE("ix-keep-newer", "malformed", "IX-6", "a table keeps itself"), TABLE, .body = { 0, "09", 0, false } },
	{ CASE("ix-remove-kind", "malformed", "IX-6", "remove of kind 4"), TABLE, .body = { 96, "04", 0, false } },
	{ CASE("ix-remove-part", "malformed", "GN-1", "part of a snapshot record"), TABLE, .body = { 60, "01", 0, false } },
	{ CASE("ix-remove-sid-padding", "malformed", "GN-1", "bytes behind a sid"), TABLE, .body = { 95, "01", 0, false } },
	{ CASE("ix-remove-unsorted", "malformed", "GN-1", "removes do not ascend"), TABLE, .body = { 16, "02000000000000003200", 0, false } },
	{ CASE("ix-pack-kind", "malformed", "IX-4", "pack of kind 3"), .body = { 56, "03", 0, false } },
	{ CASE("ix-pack-reserved", "malformed", "GN-1", "reserved bytes of a pack"), .body = { 60, "01", 0, false } },
	{ CASE("ix-pack-live-frames", "malformed", "IX-4", "more live frames than frames"), .body = { 52, "03", 0, false } },
	{ CASE("ix-pack-live-bytes", "malformed", "IX-4", "live bytes are not what the frames say"), TABLE, .body = { 176, "53", 0, false } },
	{ CASE("ix-pack-unsorted", "malformed", "GN-1", "packs do not ascend"), TABLE, .body = { 136, "12", 0, false } },
	{ CASE("ix-frame-pack", "malformed", "GN-2", "a frame of a pack that is not there"), .body = { 88, "01", 0, false } },
	{ CASE("ix-frame-unsorted", "malformed", "GN-1", "frames do not ascend"), .body = { 92, "00", 0, false } },
	{ CASE("ix-frame-live", "malformed", "IX-4", "more live chunks than chunks"), .body = { 84, "03", 0, false } },
	{ CASE("ix-fanout", "malformed", "IX-5", "fanout counts one row too few"), .body = { 256, "02", 0, false } },
	{ CASE("ix-row-unsorted", "malformed", "GN-1", "rows do not ascend"), .body = { 160, "1f", 0, false } },
	{ CASE("ix-row-equal", "malformed", "GN-1", "one id twice"), .body = { 160, "20", 0, false } },
	{ CASE("ix-row-frame", "malformed", "GN-2", "a row in a frame that is not there"), .body = { 152, "02", 0, false } },
	{ CASE("ix-row-slot", "malformed", "GN-2", "a slot that the frame does not have"), .body = { 156, "02", 0, false } },
	{ CASE("ix-row-type", "malformed", "IX-4", "a row of type M"), .body = { 158, "4d", 0, false } },
	{ CASE("ix-row-depth", "malformed", "IX-4", "depth 33"), .body = { 159, "21", 0, false } },
	{ CASE("ix-segment-refs", "malformed", "IX-4", "a segment counts references"), .body = { 144, "01", 0, false } },
	{ CASE("ix-tombstone-refs", "malformed", "IX-4", "a tombstone with refs"), TABLE, .body = { 392, "01", 0, false } },
	{ CASE("ix-tombstone-slot", "malformed", "IX-4", "a tombstone with a slot"), TABLE, .body = { 404, "01", 0, false } },
	{ CASE("ix-extra-unknown", "ok", "IX-1", "an unknown extension is ignored"), TABLE, .body = { 412, "ff7f", 0, false } },
	{ CASE("ix-extra-reserved", "malformed", "GN-1", "reserved bytes of an extension"), TABLE, .body = { 414, "01", 0, false } },
	{ CASE("ix-extra-length", "malformed", "GN-2", "an extension longer than the section"), TABLE, .body = { 416, "02", 0, false } },
};

void
mkvec_indexes(struct mkvec *m)
{
	for (size_t i = 0; i < COUNT(plans); i++)
		make(m, &plans[i]);
}
