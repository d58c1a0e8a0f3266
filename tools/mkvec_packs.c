/*
 * mkvec_packs: vectors of whole packs.  A pack is made in steps, and a plan may
 * spoil each of them: frame heads and bodies, their sealing, the bytes before
 * the footer (checksums still fit), the footer, and the finished file.
 *
 * zstd frames are written by hand, so that the output does not depend on a
 * version of zstd: ZSTD_A is 64 times 'a' as an RLE block; ZSTD_EDIT is one
 * sequence that takes the 32 bytes of BASE from the prefix after "edit:".
 */
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "format/frame.h"
#include "format/listnode.h"
#include "format/packfile.h"
#include "format/treenode.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BASE "the quick brown fox jumps over 1"
#define EDIT "edit:" BASE
#define HELLO "hello, varve\n"
#define ZSTD_A "28b52ffd2040" "03020061"
#define ZSTD_EDIT "28b52ffd2025" "650000" "28" "656469743a" "0154" "05051d" "28"
#define SECOND "jackdaws love my big sphinx of q"
#define BOTH "brown fox jumps over love my big sphinx"
#define ZSTD_BOTH "28b52ffd2027" "4d0000" "00" "02004f79903f0504"
#define FRAMES 36

/* A frame of one block. */
struct part {
	uint8_t codec, depth, type;
	const char *plain;              /* the chunk; NULL: node */
	const char *stored;             /* hexadecimal; NULL: as plain */
	const char *base;               /* plaintext of the base chunk */
	const char *also;               /* and of a second one */
	const struct mkvec_bytes *node;
	uint32_t raw_len;               /* 0: the chunk's */
};

struct plan {
	struct mkvec_case c;
	uint32_t kind;                  /* 0: data */
	struct part parts[FRAMES];
	struct mkvec_patch head, body;  /* of the first frame's plaintext */
	struct mkvec_patch before;      /* of everything before the footer */
	struct mkvec_patch footer;
	struct mkvec_patch file;        /* of the finished file; name as before */
	const char *wrap_label, *head_label, *body_label;
	bool wrap_subkey, wrap_repo, box_repo, box_pack, box_ordinal;
	bool swap_frames, swap_ids;
};

static const char *
or(const char *a, const char *b)
{
	return a != NULL ? a : b;
}

static void
part_make(const struct mkvec *m, const struct plan *p, const struct part *t,
    struct mkvec_bytes *head, struct mkvec_bytes *body)
{
	const void *plain = t->node != NULL ? (const void *)t->node->b : t->plain;
	size_t len = t->node != NULL ? t->node->len : strlen(t->plain);
	struct frame_chunk c = { .type = t->type != 0 ? t->type : FRAME_DATA,
	    .len = (uint32_t)len };
	struct frame_block b = { .codec = t->codec, .depth = t->depth,
	    .chunk_count = 1, .raw_len = (uint32_t)len };

	body->len = 0;
	if (t->stored != NULL)
		mkvec_add_hex(body, t->stored);
	else
		mkvec_add(body, plain, len);
	b.stored_len = (uint32_t)body->len;
	if (t->base != NULL)
		mkvec_chunk_id(m, &b.base[b.base_count++], FRAME_DATA, t->base,
		    strlen(t->base));
	if (t->also != NULL)
		mkvec_chunk_id(m, &b.base[b.base_count++], FRAME_DATA, t->also,
		    strlen(t->also));
	if (t->raw_len != 0)
		b.raw_len = c.len = t->raw_len;
	mkvec_chunk_id(m, &c.id, c.type, plain, len);
	if (p->swap_ids)
		c.id.b[31] ^= 1;
	head->len = frame_head_encode(head->b, MKVEC_MAX, &b, 1, &c, 1);
	mkvec_must(head->len > 0, p->c.name);
}

static void
frame_add(struct mkvec_bytes *file, const struct mkvec *m,
    const struct plan *p, uint32_t ordinal, const uint8_t key[static 32],
    const struct mkvec_bytes *head, const struct mkvec_bytes *body)
{
	struct frame_prefix prefix = {
		.ordinal = ordinal, .head_len = (uint32_t)head->len + 40,
		.body_len = (uint32_t)body->len + 40,
	};
	struct name_sid repo = m->repo_id;
	uint8_t context[32];

	memcpy(context, file->b + 16, 16);
	frame_prefix_encode(context + 16, 16, &prefix);
	mkvec_add(file, context + 16, 16);
	repo.b[15] ^= p->box_repo;
	context[0] ^= p->box_pack;
	context[20] ^= p->box_ordinal;
	mkvec_seal(file, key, or(p->head_label, "varve frame head"), &repo,
	    context, 32, head->b, head->len);
	mkvec_seal(file, key, or(p->body_label, "varve frame body"), &repo,
	    context, 32, body->b, body->len);
}

static void
header_add(struct mkvec_bytes *file, const struct mkvec *m,
    const struct plan *p, const uint8_t key[static 32])
{
	struct packfile_header h = {
		.kind = p->kind != 0 ? p->kind : PACKFILE_DATA,
		.wrap.kind = KEYSLOT_WRAP_SYMMETRIC,
	};
	struct name_sid repo = m->repo_id;
	struct mkvec_bytes box = { 0 };

	mkvec_fill(h.pack_id.b, NAME_SID_LEN, 0x31);
	mkvec_must(packfile_header_encode(file->b, MKVEC_MAX, &h) > 0, "pack");
	repo.b[0] ^= p->wrap_repo;
	mkvec_seal(&box, p->wrap_subkey ? m->record : m->pack,
	    or(p->wrap_label, "varve pack key"), &repo, file->b,
	    PACKFILE_WRAP_CONTEXT, key, 32);
	memcpy(h.wrap.box, box.b, sizeof(h.wrap.box));
	file->len = packfile_header_encode(file->b, MKVEC_MAX, &h);
}

static void
footer_add(struct mkvec_bytes *file, const struct plan *p,
    const uint32_t *lengths, uint32_t count, struct name *name)
{
	uint64_t sum = XXH3_64bits(file->b, file->len);
	struct mkvec_bytes footer = { 0 };
	uint8_t raw[8];

	for (uint32_t i = 0; i < count; i++) {
		for (size_t k = 0; k < 4; k++)
			raw[k] = (uint8_t)(lengths[i] >> 8 * k);
		mkvec_add(&footer, raw, 4);
	}
	for (size_t k = 0; k < 8; k++)
		raw[k] = (uint8_t)(sum >> 8 * k);
	mkvec_add(&footer, raw, 8);
	memset(raw, 0, sizeof(raw));
	raw[0] = (uint8_t)count;
	raw[4] = 1;
	mkvec_add(&footer, raw, 8);
	memset(raw, 0, sizeof(raw));
	raw[0] = (uint8_t)(footer.len + 16);
	mkvec_add(&footer, raw, 8);
	mkvec_add(&footer, "varvefot", 8);
	mkvec_patch(&footer, &p->footer);
	mkvec_hash(name, NULL, footer.b, footer.len);
	mkvec_add(file, footer.b, footer.len);
}

/* Exchange two frames of equal length behind the header. */
static void
swap(struct mkvec_bytes *file, const uint32_t lengths[static 2])
{
	struct mkvec_bytes copy = *file;

	mkvec_must(lengths[0] == lengths[1], "swap");
	memcpy(file->b + 160, copy.b + 160 + lengths[0], lengths[0]);
	memcpy(file->b + 160 + lengths[0], copy.b + 160, lengths[0]);
}

static void
make(struct mkvec *m, const struct plan *p)
{
	struct mkvec_bytes file = { 0 }, head = { 0 }, body = { 0 };
	uint32_t lengths[FRAMES], n = 0;
	struct mkvec_case c = p->c;
	char hex[NAME_HEX];
	struct name name;
	uint8_t key[32];

	mkvec_fill(key, sizeof(key), 0x90);
	header_add(&file, m, p, key);
	for (; n < FRAMES && (p->parts[n].plain != NULL ||
	    p->parts[n].node != NULL); n++) {
		size_t at = file.len;

		part_make(m, p, &p->parts[n], &head, &body);
		if (n == 0) {
			mkvec_patch(&head, &p->head);
			mkvec_patch(&body, &p->body);
		}
		frame_add(&file, m, p, n, key, &head, &body);
		lengths[n] = (uint32_t)(file.len - at);
	}
	if (p->swap_frames)
		swap(&file, lengths);
	mkvec_patch(&file, &p->before);
	footer_add(&file, p, lengths, n, &name);
	mkvec_patch(&file, &p->file);
	name_hex(&name, hex);
	c.record = "pack";
	c.master = c.repo = true;
	if (c.file_name == NULL)
		c.file_name = hex;
	mkvec_put(m, &c, file.b, file.len);
}

#define CASE(n, e, r, t) \
	.c = { .name = n, .expect = e, .rule = r, .comment = t }
#define RAW { .plain = HELLO }
#define ONE .parts = { RAW }
#define TWO .parts = { RAW, { .plain = "HELLO, VARVE\n" } }
#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define ZSTD(hex) .parts = { { .codec = FRAME_ZSTD, .plain = A64, .stored = hex } }
#define ON_TWO(a, b, d) { .codec = FRAME_DELTA, .depth = d, .plain = BOTH, .stored = ZSTD_BOTH, .base = a, .also = b }
#define DELTA(d, hex) { .codec = FRAME_DELTA, .depth = d, .plain = EDIT, \
	.stored = hex, .base = BASE }

/* With ONE: frame at 160, prefix 16, head box 176 ... 271, body box 272 ... 324, footer 325 ... 360. */
static const struct plan plans[] = {
	{ CASE("pk-ok", "ok", "PK-2", "one raw chunk"), ONE },
	{ CASE("pk-two-frames", "ok", "PK-2", "two frames"), TWO },
	{ CASE("pk-magic", "malformed", "PK-2", "another magic"), ONE, .before = { 0, "56", 0, false } },
	{ CASE("pk-version", "unsupported", "PK-2", "version 2"), ONE, .before = { 8, "02", 0, false } },
	{ CASE("pk-kind-zero", "malformed", "PK-2", "kind 0"), ONE, .before = { 12, "00", 0, false } },
	{ CASE("pk-kind-3", "malformed", "PK-2", "kind 3"), ONE, .before = { 12, "03", 0, false } },
	{ CASE("pk-kind-changed", "auth", "PK-3", "kind changed from data to meta: the wrap covers it"), ONE, .before = { 12, "02", 0, false } },
	{ CASE("pk-id-changed", "auth", "PK-3", "another pack id"), ONE, .before = { 16, "01", 0, true } },
	{ CASE("pk-wrap-kind", "unsupported", "PK-3", "key wrap of kind 2"), ONE, .before = { 32, "02", 0, false } },
	{ CASE("pk-wrap-length", "malformed", "PK-3", "key wrap of length 71"), ONE, .before = { 36, "47", 0, false } },
	{ CASE("pk-wrap-padding", "malformed", "GN-1", "padding of the key wrap"), ONE, .before = { 159, "01", 0, false } },
	{ CASE("pk-wrap-tag", "auth", "PK-3", "a bit of the key wrap's tag flipped"), ONE, .before = { 111, "01", 0, true } },
	{ CASE("pk-wrap-subkey", "auth", "PK-3", "wrapped with the record key"), ONE, .wrap_subkey = true },
	{ CASE("pk-wrap-label", "auth", "PK-3", "wrapped under the label of a record"), ONE, .wrap_label = "varve snap key" },
	{ CASE("pk-wrap-repo", "auth", "PK-3", "wrapped for another repository"), ONE, .wrap_repo = true },
	{ .c = { .name = "pk-name", .expect = "auth", .rule = "PK-1", .comment = "name is not the footer's hash",
	    .file_name = "0000000000000000000000000000000000000000000000000000000000000000" }, ONE },
	{ CASE("pk-footer-bit", "auth", "PK-1", "a bit of a checksum flipped after naming"), ONE, .file = { 329, "01", 0, true } },
	{ CASE("pk-bit", "auth", "PK-1", "a bit of a frame flipped after its checksum was taken"), ONE, .file = { 300, "01", 0, true } },
	{ CASE("pk-checksum", "auth", "PK-1", "checksum of other bytes"), ONE, .footer = { 4, "01", 0, true } },
	{ CASE("pk-footer-magic", "malformed", "PK-2", "another magic of the footer"), ONE, .footer = { -1, "00", 0, false } },
	{ CASE("pk-footer-reserved", "malformed", "GN-1", "reserved bytes of the footer"), ONE, .footer = { -12, "01", 0, false } },
	{ CASE("pk-footer-length", "malformed", "PK-2", "footer length one too large"), ONE, .footer = { -16, "25", 0, false } },
	{ CASE("pk-frames-zero", "malformed", "PK-2", "no frame") , ONE, .footer = { -24, "00", 0, false } },
	{ CASE("pk-frames-more", "malformed", "PK-2", "two frames counted, one there"), ONE, .footer = { -24, "02", 0, false } },
	{ CASE("pk-blocks-zero", "malformed", "PK-2", "no checksum counted"), ONE, .footer = { -20, "00", 0, false } },
	{ CASE("pk-frames-huge", "malformed", "GN-2", "2^32 - 1 frames"), ONE, .footer = { -24, "ffffffff", 0, false } },
	{ CASE("pk-frame-gap", "malformed", "PK-2", "a byte between the last frame and the footer"), ONE, .before = { .grow = 1 } },
	{ CASE("pk-frame-length", "malformed", "PK-2", "frame length one too small"), ONE, .footer = { 0, "a4", 0, false } },
	{ CASE("pk-frame-lengths-shifted", "malformed", "FR-1", "a byte moved from one frame length to the next"), TWO,
	    .footer = { 0, "a4000000a6", 0, false } },
	{ CASE("pk-frame-short", "malformed", "PK-2", "a frame of 95 bytes and one of the rest"), TWO,
	    .footer = { 0, "5f000000eb", 0, false } },
	{ CASE("pk-short", "malformed", "PK-2", "last byte missing"), ONE, .file = { .grow = -1 } },
	{ CASE("pk-long", "malformed", "GN-1", "one byte too many"), ONE, .file = { .grow = 1 } },
	{ CASE("pk-header-only", "malformed", "PK-2", "the header and nothing else"), ONE, .file = { .grow = -201 } },
	{ CASE("pk-empty", "malformed", "GN-2", "no byte at all"), ONE, .file = { .grow = -361 } },
	{ CASE("pk-meta-holds-data", "malformed", "PK-4", "a chunk of type D in a meta pack"), .kind = PACKFILE_META, ONE },

	{ CASE("fr-magic", "malformed", "FR-1", "another magic of a frame"), ONE, .before = { 160, "76", 0, false } },
	{ CASE("fr-ordinal", "malformed", "FR-1", "ordinal 1 of the first frame"), ONE, .before = { 164, "01", 0, false } },
	{ CASE("fr-swapped", "malformed", "FR-1", "two frames exchanged"), TWO, .swap_frames = true },
	{ CASE("fr-head-length", "malformed", "FR-1", "head length one too large"), ONE, .before = { 168, "61", 0, false } },
	{ CASE("fr-lengths-shifted", "auth", "FR-1", "a byte moved from the body's length to the head's"), ONE,
	    .before = { 168, "6100000034", 0, false } },
	{ CASE("fr-head-length-tiny", "malformed", "FR-1", "head box of 39 bytes"), ONE, .before = { 168, "270000006e", 0, false } },
	{ CASE("fr-head-tag", "auth", "FR-1", "a bit of the head's tag flipped"), ONE, .before = { 271, "01", 0, true } },
	{ CASE("fr-head-nonce", "auth", "FR-1", "a bit of the head's nonce flipped"), ONE, .before = { 176, "01", 0, true } },
	{ CASE("fr-body-tag", "auth", "FR-1", "a bit of the body's tag flipped"), ONE, .before = { 324, "80", 0, true } },
	{ CASE("fr-body-text", "auth", "FR-1", "a bit of the body's ciphertext flipped"), ONE, .before = { 300, "01", 0, true } },
	{ CASE("fr-labels-swapped", "auth", "FR-1", "head sealed as a body and body as a head"), ONE,
	    .head_label = "varve frame body", .body_label = "varve frame head" },
	{ CASE("fr-head-label", "auth", "FR-1", "head sealed as a body"), ONE, .head_label = "varve frame body" },
	{ CASE("fr-body-label", "auth", "FR-1", "body sealed as a head"), ONE, .body_label = "varve frame head" },
	{ CASE("fr-aad-repo", "auth", "FR-1", "sealed for another repository"), ONE, .box_repo = true },
	{ CASE("fr-aad-pack", "auth", "FR-1", "sealed for another pack"), ONE, .box_pack = true },
	{ CASE("fr-aad-ordinal", "auth", "FR-1", "sealed for another ordinal"), ONE, .box_ordinal = true },
	{ CASE("fr-sealed-head-bad", "malformed", "FR-1", "the head opens and has no chunk"), ONE, .head = { 4, "00", 0, false } },
	{ CASE("fr-sealed-codec", "unsupported", "FR-2", "the head opens and has codec 3"), ONE, .head = { 8, "03", 0, false } },
	{ CASE("fr-body-short", "malformed", "FR-1", "body one byte shorter than the stored lengths"), ONE, .body = { .grow = -1 } },
	{ CASE("fr-body-long", "malformed", "FR-1", "body one byte longer than the stored lengths"), ONE, .body = { .grow = 1 } },
	{ CASE("fr-chunk-id", "auth", "FR-5", "id of another chunk"), ONE, .swap_ids = true },
	{ CASE("fr-chunk-bytes", "auth", "FR-5", "a byte of the plaintext changed by a holder of the key"), ONE, .body = { 0, "48", 0, false } },
	{ CASE("fr-chunk-type", "auth", "CH-1", "type of a chunk changed: its id says D"), .kind = PACKFILE_META, ONE,
	    .head = { 20, "54", 0, false } },

	{ CASE("fr-zstd-ok", "ok", "FR-3", "a zstd block"), ZSTD(ZSTD_A) },
	{ CASE("fr-zstd-raw-block", "ok", "FR-3", "a zstd frame with a raw block"),
	    .parts = { { .codec = FRAME_ZSTD, .plain = "abc", .stored = "28b52ffd2003190000616263" } } },
	{ CASE("fr-zstd-shorter", "malformed", "FR-3", "content is one byte shorter than raw length"), ZSTD("28b52ffd203ffb010061") },
	{ CASE("fr-zstd-longer", "malformed", "FR-3", "content is one byte longer than raw length"), ZSTD("28b52ffd20410b020061") },
	{ CASE("fr-zstd-lies", "malformed", "FR-3", "content size says 64, blocks hold 63"), ZSTD("28b52ffd2040fb010061") },
	{ CASE("fr-zstd-no-size", "malformed", "FR-3", "no content size"), ZSTD("28b52ffd000003020061") },
	{ CASE("fr-zstd-dictionary", "malformed", "FR-3", "a dictionary id"), ZSTD("28b52ffd21074003020061") },
	{ CASE("fr-zstd-window", "malformed", "FR-3", "a window of 2^24 bytes"), ZSTD("28b52ffd8070400000" "0003020061") },
	{ CASE("fr-zstd-window-ok", "ok", "FR-3", "a window of 2^23 bytes"), ZSTD("28b52ffd8068400000" "0003020061") },
	{ CASE("fr-zstd-two-frames", "malformed", "FR-3", "two zstd frames"), ZSTD("28b52ffd2020030100" "6128b52ffd202003010061") },
	{ CASE("fr-zstd-trailing", "malformed", "GN-1", "a byte behind the zstd frame"), ZSTD(ZSTD_A "00") },
	{ CASE("fr-zstd-skippable", "malformed", "FR-3", "a skippable frame behind the zstd frame"), ZSTD(ZSTD_A "502a4d1800000000") },
	{ CASE("fr-zstd-magic", "malformed", "FR-3", "no zstd frame"), ZSTD("29b52ffd204003020061") },
	{ CASE("fr-zstd-cut", "malformed", "FR-3", "last byte of the zstd frame missing"), ZSTD("28b52ffd2040030200") },
	{ CASE("fr-zstd-reserved-block", "malformed", "FR-3", "a block of the reserved type"), ZSTD("28b52ffd204007020061") },

	{ CASE("fr-delta-ok", "ok", "FR-4", "a delta block and its base"), .parts = { { .plain = BASE }, DELTA(1, ZSTD_EDIT) } },
	{ CASE("fr-delta-before-base", "ok", "FR-4", "a delta block before its base"), .parts = { DELTA(1, ZSTD_EDIT), { .plain = BASE } } },
	{ CASE("fr-delta-without-prefix", "ok", "FR-4", "a delta block that does not use its base"),
	    .parts = { { .plain = BASE }, { .codec = FRAME_DELTA, .depth = 1, .plain = "abc", .stored = "28b52ffd2003190000616263", .base = BASE } } },
	{ CASE("fr-delta-missing", "missing", "FR-4", "the base of a delta block is not there"), .parts = { DELTA(1, ZSTD_EDIT) } },
	{ CASE("fr-delta-other-base", "auth", "FR-5", "the delta block was made with another base"),
	    .parts = { { .plain = "THE QUICK BROWN FOX JUMPS OVER 1" }, { .codec = FRAME_DELTA, .depth = 1, .plain = EDIT, .stored = ZSTD_EDIT,
	    .base = "THE QUICK BROWN FOX JUMPS OVER 1" } } },
	{ CASE("fr-delta-self", "malformed", "FR-4", "a chunk is its own base"),
	    .parts = { { .codec = FRAME_DELTA, .depth = 1, .plain = "abc", .stored = "28b52ffd2003190000616263", .base = "abc" } } },
	{ CASE("fr-delta-past-base", "malformed", "FR-4", "an offset that reaches before the base"), .parts = { { .plain = "short" },
	    { .codec = FRAME_DELTA, .depth = 1, .plain = EDIT, .stored = ZSTD_EDIT, .base = "short" } } },
	{ CASE("fr-bases-ok", "ok", "FR-4", "a delta block that has parts of two bases"),
	    .parts = { { .plain = BASE }, { .plain = SECOND }, ON_TWO(BASE, SECOND, 2) } },
	{ CASE("fr-bases-order", "auth", "FR-5", "the same bases the other way round"),
	    .parts = { { .plain = BASE }, { .plain = SECOND }, ON_TWO(SECOND, BASE, 2) } },
	{ CASE("fr-bases-missing", "missing", "FR-4", "the second base is not there"), .parts = { { .plain = BASE }, ON_TWO(BASE, SECOND, 2) } },
};

/* A chain of `depth` delta blocks on one raw block, the deepest first, so that a reader's cache does not shorten it. */
static void
chain(struct mkvec *m, const char *name, const char *expect,
    const char *comment, size_t depth)
{
	struct plan p = { CASE(name, expect, "FR-4", comment) };
	char plain[FRAMES][4], stored[FRAMES][32];

	for (size_t i = 0; i <= depth; i++) {
		struct part *t = &p.parts[depth - i];

		snprintf(plain[i], sizeof(plain[i]), "c%02zu", i);
		snprintf(stored[i], sizeof(stored[i]),
		    "28b52ffd200319000063%02x%02x", (unsigned)plain[i][1],
		    (unsigned)plain[i][2]);
		t->plain = plain[i];
		if (i == 0)
			continue;
		t->codec = FRAME_DELTA;
		t->depth = (uint8_t)(i > 32 ? 32 : i);
		t->stored = stored[i];
		t->base = plain[i - 1];
	}
	make(m, &p);
}

/* One chunk on two chains, of left and of right delta blocks, which end on the same raw block: left + right + 2 are decoded for it. */
static void
fork_of(struct mkvec *m, const char *name, const char *expect, const char *comment, size_t left, size_t right)
{
	struct plan p = { CASE(name, expect, "FR-4", comment) };
	char plain[FRAMES][4], stored[FRAMES][32];
	size_t top = left + right + 1;

	for (size_t i = 0; i <= top; i++) {
		struct part *t = &p.parts[top - i];
		size_t chain = i > left ? i - left : i;

		snprintf(plain[i], sizeof(plain[i]), "f%02zu", i);
		snprintf(stored[i], sizeof(stored[i]), "28b52ffd200319000066%02x%02x", (unsigned)plain[i][1], (unsigned)plain[i][2]);
		t->plain = plain[i];
		if (i == 0)
			continue;
		t->codec = FRAME_DELTA;
		t->depth = (uint8_t)(i == top ? 32 : chain);
		t->stored = stored[i];
		t->base = plain[i == left + 1 ? 0 : i - 1];
		t->also = i == top ? plain[left] : NULL;
	}
	make(m, &p);
}

/* A meta pack of two nodes, the second naming the first. */
static void
nodes(struct mkvec *m, const char *name, const char *expect, const char *rule,
    const char *comment, uint8_t type, const struct mkvec_bytes *child,
    const struct mkvec_bytes *parent)
{
	struct plan p = { CASE(name, expect, rule, comment),
	    .kind = PACKFILE_META, .parts = { { .type = type, .node = child },
	    { .type = type, .node = parent } } };

	make(m, &p);
}

static void
list_pair(struct mkvec *m, const char *name, const char *expect,
    const char *comment, uint8_t level, uint64_t len)
{
	struct mkvec_bytes child = { 0 }, parent = { 0 };
	struct listnode_row r = { .len = 4096 };

	child.len = listnode_head_encode(child.b, MKVEC_MAX, 0);
	mkvec_fill(r.id.b, NAME_LEN, 9);
	child.len += listnode_row_encode(child.b + child.len,
	    MKVEC_MAX - child.len, &r);
	parent.len = listnode_head_encode(parent.b, MKVEC_MAX, level);
	mkvec_chunk_id(m, &r.id, FRAME_LIST, child.b, child.len);
	r.len = len;
	parent.len += listnode_row_encode(parent.b + parent.len,
	    MKVEC_MAX - parent.len, &r);
	nodes(m, name, expect, "LN-2", comment, FRAME_LIST, &child, &parent);
}

static void
tree_pair(struct mkvec *m, const char *name, const char *expect,
    const char *comment, uint32_t entries, const char *first,
    const char *next)
{
	struct treenode_entry e = { .name = (const uint8_t *)"b",
	    .name_len = 1, .kind = TREENODE_FIFO };
	struct mkvec_bytes child = { 0 }, parent = { 0 };
	struct treenode_row r = { .entries = entries,
	    .name = (const uint8_t *)first, .name_len = 1 };

	child.len = treenode_head_encode(child.b, MKVEC_MAX, 0);
	for (const char *n = "bd"; *n != '\0'; n++) {
		e.name = (const uint8_t *)n;
		child.len += treenode_entry_encode(child.b + child.len,
		    MKVEC_MAX - child.len, &e);
	}
	parent.len = treenode_head_encode(parent.b, MKVEC_MAX, 1);
	mkvec_chunk_id(m, &r.id, FRAME_TREE, child.b, child.len);
	parent.len += treenode_row_encode(parent.b + parent.len,
	    MKVEC_MAX - parent.len, &r);
	r.name = (const uint8_t *)next;
	r.id.b[0] ^= 1;                 /* a tree that is in no pack here */
	parent.len += treenode_row_encode(parent.b + parent.len,
	    MKVEC_MAX - parent.len, &r);
	nodes(m, name, expect, "TN-3", comment, FRAME_TREE, &child, &parent);
}

static void
metas(struct mkvec *m)
{
	struct plan junk = { CASE("pk-node-junk", "malformed", "CH-2",
	    "a chunk of type T that is no tree"), .kind = PACKFILE_META,
	    .parts = { { .type = FRAME_TREE, .plain = HELLO } } };
	struct mkvec_bytes empty = { .len = TREENODE_HEAD_LEN };
	struct plan data = { CASE("pk-data-holds-tree", "malformed", "PK-4",
	    "a chunk of type T in a data pack"),
	    .parts = { { .type = FRAME_TREE, .node = &empty } } };

	make(m, &junk);
	make(m, &data);
	data.c.name = "pk-meta-ok";
	data.c.expect = "ok";
	data.c.comment = "an empty directory in a meta pack";
	data.kind = PACKFILE_META;
	make(m, &data);
	list_pair(m, "ln-child-ok", "ok", "a list of two levels", 1, 4096);
	list_pair(m, "ln-child-length", "malformed",
	    "a row's length is not that of its list", 1, 4097);
	list_pair(m, "ln-child-level", "malformed",
	    "a row of level 2 names a list of level 0", 2, 4096);
	tree_pair(m, "tn-child-ok", "ok", "a tree of two levels", 2, "b", "e");
	tree_pair(m, "tn-child-count", "malformed",
	    "a row counts more entries than its tree has", 3, "b", "e");
	tree_pair(m, "tn-child-name", "malformed",
	    "a row's name is not its tree's first", 2, "a", "e");
	tree_pair(m, "tn-child-overlap", "malformed",
	    "a tree's last entry is the next row's first", 2, "b", "d");
}

void
mkvec_packs(struct mkvec *m)
{
	for (size_t i = 0; i < COUNT(plans); i++)
		make(m, &plans[i]);
	chain(m, "fr-chain-32", "ok", "a chain of 32 bases", 32);
	chain(m, "fr-chain-33", "malformed", "a chain of 33 bases", 33);
	fork_of(m, "fr-fork-32", "ok", "two bases, 32 blocks to be decoded for one", 15, 15);
	fork_of(m, "fr-fork-33", "malformed", "two bases, 33 blocks to be decoded for one", 15, 16);
	metas(m);
}
