/*
 * test_format_codecs: what the vectors cannot show of the records' codecs:
 * limits that need large objects, refusals of encoders, accessors, iterators
 * and layouts.  Single faults are in tests/vectors, mutations in tests/prop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/frame.h"
#include "format/indexfile.h"
#include "format/keyslot.h"
#include "format/packfile.h"
#include "format/recordsum.h"
#include "format/repohdr.h"
#include "format/snaprec.h"

static const struct repohdr good_header = {
	.chunk_min = 4096, .chunk_avg = 8192, .chunk_max = 16384,
};

/* RH-1.  Lost: init writes a header that no program opens. */
static void
repohdr_encoder_refuses_what_decoders_do(void **state)
{
	struct repohdr h = good_header, again;
	uint8_t buf[REPOHDR_LEN + 1];

	(void)state;
	for (size_t cap = 0; cap < REPOHDR_LEN; cap++)
		assert_int_equal(repohdr_encode(buf, cap, &h), 0);
	assert_int_equal(repohdr_encode(buf, sizeof(buf), &h), REPOHDR_LEN);
	assert_int_equal(repohdr_decode(&again, buf, REPOHDR_LEN), CURSOR_OK);
	assert_int_equal(again.chunk_max, 16384);
	for (size_t len = 0; len <= sizeof(buf); len++)
		if (len != REPOHDR_LEN)
			assert_int_equal(repohdr_decode(&again, buf, len),
			    CURSOR_MALFORMED);
	h.chunk_avg = 12288;
	assert_int_equal(repohdr_encode(buf, sizeof(buf), &h), 0);
	h = good_header;
	h.incompat = 1;
	assert_int_equal(repohdr_encode(buf, sizeof(buf), &h), 0);
}

/* KS-2.  Lost: a slot that costs the user years of stretching, or cannot be opened at all. */
static void
keyslot_encoder_bounds_the_cost(void **state)
{
	struct keyslot s = { .kind = KEYSLOT_PASSPHRASE, .passes = 16,
	    .memory_kib = 4194304 };
	uint8_t buf[KEYSLOT_LEN];

	(void)state;
	assert_int_equal(keyslot_encode(buf, sizeof(buf), &s), KEYSLOT_LEN);
	assert_int_equal(keyslot_encode(buf, sizeof(buf) - 1, &s), 0);
	s.passes = 17;
	assert_int_equal(keyslot_encode(buf, sizeof(buf), &s), 0);
	s.passes = 1;
	s.memory_kib = 8191;
	assert_int_equal(keyslot_encode(buf, sizeof(buf), &s), 0);
	s.memory_kib = 8192;
	assert_int_equal(keyslot_encode(buf, sizeof(buf), &s), KEYSLOT_LEN);
	s.kind = KEYSLOT_KEYFILE;
	assert_int_equal(keyslot_encode(buf, sizeof(buf), &s), 0);
	s.passes = s.memory_kib = 0;
	s.kind = 4;
	assert_int_equal(keyslot_encode(buf, sizeof(buf), &s), 0);
}

/* Lost: labels that are cut off, or that are no text. */
static void
keyslot_labels_are_whole_utf8(void **state)
{
	struct keyslot_payload p = { .role = KEYSLOT_FULL }, again;
	uint8_t buf[KEYSLOT_PAYLOAD_LEN];

	(void)state;
	memset(p.label, 'x', KEYSLOT_LABEL_LEN);
	assert_int_equal(keyslot_payload_encode(buf, sizeof(buf), &p),
	    sizeof(buf));
	assert_int_equal(keyslot_payload_decode(&again, buf, sizeof(buf)),
	    CURSOR_OK);
	assert_string_equal(again.label, p.label);
	p.label[KEYSLOT_LABEL_LEN] = 'x';
	assert_int_equal(keyslot_payload_encode(buf, sizeof(buf), &p), 0);
	memset(p.label, 0, sizeof(p.label));
	strcpy(p.label, "\xf4\x8f\xbf\xbf\xef\xbf\xbf");
	assert_int_equal(keyslot_payload_encode(buf, sizeof(buf), &p),
	    sizeof(buf));
	strcpy(p.label, "\xf4\x90\x80\x80");
	assert_int_equal(keyslot_payload_encode(buf, sizeof(buf), &p), 0);
	strcpy(p.label, "M\xfcller");
	assert_int_equal(keyslot_payload_encode(buf, sizeof(buf), &p), 0);
	strcpy(p.label, "");
	p.role = 2;
	assert_int_equal(keyslot_payload_encode(buf, sizeof(buf), &p), 0);
}

/* PK-2 with more than one block of checksums. */
static void
packfile_footer_adds_up(void **state)
{
	static const uint32_t lengths[] = { 65536 - 160, 65536, 96 };
	uint64_t sums[] = { 1, 2, ~0ull };
	uint64_t file_len = 160 + 65536 - 160 + 65536 + 96;
	struct packfile_footer f;
	struct packfile_tail t;
	uint8_t buf[128];
	size_t n;

	(void)state;
	n = packfile_footer_encode(buf, sizeof(buf), lengths, 3, sums, 3);
	assert_int_equal(n, 3 * 4 + 3 * 8 + 24);
	assert_int_equal(n, packfile_footer_bound(3, 3));
	file_len += n;
	assert_int_equal(packfile_tail_decode(&t, buf + n - 24, 24), CURSOR_OK);
	assert_int_equal(t.footer_len, n);
	assert_int_equal(packfile_footer_decode(&f, buf, n, file_len),
	    CURSOR_OK);
	assert_int_equal(packfile_frame_len(&f, 0), 65376);
	assert_int_equal(packfile_frame_len(&f, 2), 96);
	assert_true(packfile_checksum(&f, 1) == 2);
	assert_true(packfile_checksum(&f, 2) == ~0ull);
	assert_int_equal(packfile_footer_decode(&f, buf, n, file_len + 1),
	    CURSOR_MALFORMED);
	assert_int_equal(packfile_footer_decode(&f, buf, n, file_len - 1),
	    CURSOR_MALFORMED);
	assert_int_equal(packfile_footer_decode(&f, buf, n - 1, file_len),
	    CURSOR_MALFORMED);
	assert_int_equal(packfile_footer_encode(buf, sizeof(buf), lengths, 3,
	    sums, 2), 0);
	assert_int_equal(packfile_footer_encode(buf, n - 1, lengths, 3, sums,
	    3), 0);
	assert_int_equal(packfile_footer_encode(buf, sizeof(buf), lengths, 0,
	    sums, 0), 0);
}

/* PK-5: 2^32 - 1 bytes and not one more. */
static void
packfile_length_is_bounded(void **state)
{
	uint32_t lengths[2] = { 0xfff00000u, 0 };
	uint64_t *sums = calloc(65536, sizeof(*sums));
	size_t cap = packfile_footer_bound(2, 65536);
	uint8_t *buf = malloc(cap);

	(void)state;
	lengths[1] = (uint32_t)(PACKFILE_LEN_MAX - 160 - lengths[0] -
	    packfile_footer_bound(2, 65529));
	assert_int_equal(packfile_footer_encode(buf, cap, lengths, 2, sums,
	    65529), packfile_footer_bound(2, 65529));
	lengths[1]++;
	assert_int_equal(packfile_footer_encode(buf, cap, lengths, 2, sums,
	    65529), 0);
	free(sums);
	free(buf);
}

/* FR-1 at its limits: 65,535 chunks in 65,535 blocks; the last slot is found. */
static void
frame_head_holds_the_most(void **state)
{
	size_t most = FRAME_CHUNKS_MAX, cap = frame_head_bound(65535, 0, 65535);
	struct frame_block *blocks = calloc(most + 1, sizeof(*blocks));
	struct frame_chunk *chunks = calloc(most + 1, sizeof(*chunks)), c;
	uint8_t *buf = malloc(cap + 48);
	struct frame_head h;

	(void)state;
	for (size_t i = 0; i <= most; i++) {
		blocks[i].raw_len = blocks[i].stored_len = 2;
		blocks[i].chunk_count = 1;
		chunks[i].type = FRAME_DATA;
		chunks[i].len = 2;
		chunks[i].id.b[0] = (uint8_t)i;
		chunks[i].id.b[1] = (uint8_t)(i >> 8);
	}
	assert_int_equal(frame_head_encode(buf, cap, blocks, 65535, chunks,
	    65535), cap);
	assert_int_equal(frame_head_decode(&h, buf, cap), CURSOR_OK);
	assert_int_equal(h.body_len, 2 * most);
	frame_chunk_at(&h, 65534, &c);
	assert_int_equal(c.id.b[0], 0xfe);
	assert_int_equal(c.id.b[1], 0xff);
	assert_int_equal(frame_head_encode(buf, cap + 48, blocks, 65536,
	    chunks, 65536), 0);
	free(blocks);
	free(chunks);
	free(buf);
}

/* FR-1: the limits of a body and of what a block unpacks to. */
static void
frame_blocks_are_bounded(void **state)
{
	struct frame_block b[9] = { { 0 } };
	struct frame_chunk c[18] = { { 0 } };
	uint8_t buf[1024];

	(void)state;
	for (int i = 0; i < 18; i++) {
		c[i].type = FRAME_DATA;
		c[i].len = FRAME_CHUNK_MAX;
	}
	for (int i = 0; i < 9; i++) {
		b[i].chunk_count = 2;
		b[i].raw_len = b[i].stored_len = FRAME_BLOCK_MAX;
	}
	assert_true(frame_head_encode(buf, sizeof(buf), b, 8, c, 16) > 0);
	assert_int_equal(frame_head_encode(buf, sizeof(buf), b, 9, c, 18), 0);
	b[0].raw_len = b[0].stored_len = FRAME_BLOCK_MAX + 1;
	assert_int_equal(frame_head_encode(buf, sizeof(buf), b, 1, c, 2), 0);
	b[0].chunk_count = 3;
	b[0].raw_len = b[0].stored_len = 3 * FRAME_CHUNK_MAX;
	assert_int_equal(frame_head_encode(buf, sizeof(buf), b, 1, c, 3), 0);
}

/* Lost: a block decoded from its neighbour's bytes. */
static void
frame_iterator_follows_the_body(void **state)
{
	struct frame_block b[2] = {
		{ .codec = FRAME_ZSTD, .raw_len = 5, .stored_len = 7,
		    .chunk_count = 2 },
		{ .codec = FRAME_DELTA, .raw_len = 4, .stored_len = 9,
		    .chunk_count = 1, .depth = 3, .base_count = 2,
		    .base = { { { 0xbb } }, { { 0xcc } } } } }, got;
	struct frame_chunk c[3] = { { .type = FRAME_DATA, .len = 2 },
	    { .type = FRAME_LIST, .len = 3 }, { .type = FRAME_TREE, .len = 4 } },
	    chunk;
	struct frame_iter it;
	struct frame_head h;
	uint8_t buf[256];
	size_t n = frame_head_encode(buf, sizeof(buf), b, 2, c, 3);

	(void)state;
	assert_int_equal(n, frame_head_bound(2, 2, 3));
	for (size_t len = 0; len < n; len++)
		assert_int_equal(frame_head_decode(&h, buf, len),
		    CURSOR_MALFORMED);
	assert_int_equal(frame_head_decode(&h, buf, n), CURSOR_OK);
	frame_iter_init(&it, &h);
	assert_int_equal(it.body_off, 0);
	assert_true(frame_next_block(&it, &got));
	assert_int_equal(it.body_off, 7);
	assert_true(frame_next_chunk(&it, &chunk));
	assert_true(frame_next_chunk(&it, &chunk));
	assert_int_equal(chunk.type, FRAME_LIST);
	assert_true(frame_next_block(&it, &got));
	assert_int_equal(got.depth, 3);
	assert_int_equal(got.base_count, 2);
	assert_int_equal(got.base[0].b[0], 0xbb);
	assert_int_equal(got.base[1].b[0], 0xcc);
	assert_int_equal(it.body_off, h.body_len);
	assert_true(frame_next_chunk(&it, &chunk));
	assert_int_equal(chunk.len, 4);
	assert_false(frame_next_block(&it, &got));
	assert_false(frame_next_chunk(&it, &chunk));
}

/* IX-5 */
static void
indexfile_fanout_grows_with_rows(void **state)
{
	static const uint8_t id[NAME_LEN] = { 0x80, 0x01, 0xff, 0x10, 0xee };
	struct name n;

	(void)state;
	assert_int_equal(indexfile_fanout_bits(0), 0);
	assert_int_equal(indexfile_fanout_bits(64), 0);
	assert_int_equal(indexfile_fanout_bits(65), 1);
	assert_int_equal(indexfile_fanout_bits(128), 1);
	assert_int_equal(indexfile_fanout_bits(129), 2);
	assert_int_equal(indexfile_fanout_bits(0xffffffff), 26);
	memcpy(n.b, id, sizeof(id));
	assert_int_equal(indexfile_bucket(&n, 0), 0);
	assert_int_equal(indexfile_bucket(&n, 1), 1);
	assert_int_equal(indexfile_bucket(&n, 16), 0x8001);
	assert_int_equal(indexfile_bucket(&n, 26), 0x8001ff10 >> 6);
}

/* IX-1.  Lost: sections read at places where the writer did not put them. */
static void
indexfile_layout_has_no_gaps(void **state)
{
	struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = 1,
	    .keep_count = 2, .remove_count = 3, .pack_count = 4,
	    .frame_count = 5, .row_count = 65, .extra_len = 9,
	    .fanout_bits = 1 };
	struct indexfile_layout l;

	(void)state;
	indexfile_layout(&h, &l);
	assert_int_equal(l.keep, 0);
	assert_int_equal(l.remove, 16);
	assert_int_equal(l.packs, 136);
	assert_int_equal(l.frames, 392);
	assert_int_equal(l.rows, 512);
	assert_int_equal(l.fanout, 512 + 48 * 65);
	assert_int_equal(l.extra, l.fanout + 8);
	assert_int_equal(l.end, l.extra + 9);
	assert_int_equal(l.block_count, 1);
	assert_int_equal(l.body_off, 256);
	assert_int_equal(l.tags_off, 256 + l.end);
	assert_int_equal(l.upper_off, l.tags_off + 16);
	assert_int_equal(l.file_len, l.upper_off + 16);
	h.extra_len += 4096 - l.end;
	indexfile_layout(&h, &l);
	assert_int_equal(l.block_count, 1);
	h.extra_len++;
	indexfile_layout(&h, &l);
	assert_int_equal(l.block_count, 2);
	h.extra_len += 256 * 4096 - l.end;
	indexfile_layout(&h, &l);
	assert_int_equal(l.block_count, 256);
	assert_int_equal(l.upper_count, 1);
	h.extra_len++;
	indexfile_layout(&h, &l);
	assert_int_equal(l.block_count, 257);
	assert_int_equal(l.upper_count, 2);
	assert_int_equal(l.file_len, l.tags_off + 259 * 16);
}

/* GN-2: sums over a header's counts cannot wrap. */
static void
indexfile_counts_cannot_wrap(void **state)
{
	struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = 1,
	    .keep_count = 1u << 24, .remove_count = 1u << 24,
	    .pack_count = 1u << 24, .frame_count = 1u << 30,
	    .row_count = 0xffffffff, .fanout_bits = 26,
	    .extra_len = 1ull << 60 };
	uint8_t buf[INDEXFILE_HEADER_LEN];
	struct indexfile_layout l;

	(void)state;
	assert_int_equal(indexfile_header_encode(buf, sizeof(buf), &h),
	    sizeof(buf));
	indexfile_layout(&h, &l);
	assert_true(l.end > l.extra && l.file_len > l.tags_off &&
	    l.tags_off > l.end && l.file_len < INT64_MAX);
	h.extra_len++;
	assert_int_equal(indexfile_header_encode(buf, sizeof(buf), &h), 0);
	h.extra_len = 0;
	h.pack_count++;
	assert_int_equal(indexfile_header_encode(buf, sizeof(buf), &h), 0);
	h.pack_count--;
	h.kind = INDEXFILE_SEGMENT;     /* keeps and removes are a table's */
	assert_int_equal(indexfile_header_encode(buf, sizeof(buf), &h), 0);
	h.keep_count = h.remove_count = 0;
	assert_int_equal(indexfile_header_encode(buf, sizeof(buf), &h),
	    sizeof(buf));
	h.number = 1ull << 32;
	assert_int_equal(indexfile_header_encode(buf, sizeof(buf), &h), 0);
}

/* IX-4 */
static void
indexfile_rows_refuse_nonsense(void **state)
{
	struct indexfile_frame f = { .chunks = 65536 };
	struct indexfile_pack p = { .kind = 1, .bytes = 1ull << 32 };
	struct indexfile_row r = { .type = FRAME_DATA,
	    .frame = INDEXFILE_NO_FRAME, .refs = 1 };
	uint8_t buf[64];

	(void)state;
	assert_int_equal(indexfile_frame_encode(buf, 64, &f), 0);
	f.chunks = 65535;
	assert_int_equal(indexfile_frame_encode(buf, 64, &f), 24);
	f.chunks = 0;
	assert_int_equal(indexfile_frame_encode(buf, 64, &f), 0);
	assert_int_equal(indexfile_pack_encode(buf, 64, &p), 0);
	p.bytes--;
	assert_int_equal(indexfile_pack_encode(buf, 64, &p), 64);
	p.live_bytes = p.bytes + 1;
	assert_int_equal(indexfile_pack_encode(buf, 64, &p), 0);
	assert_int_equal(indexfile_row_encode(buf, 64, &r), 48);
	r.depth = 1;
	assert_int_equal(indexfile_row_encode(buf, 64, &r), 0);
	r.frame = 0;
	assert_int_equal(indexfile_row_encode(buf, 64, &r), 48);
	assert_int_equal(indexfile_row_encode(buf, 47, &r), 0);
}

static struct snaprec_string
text(const char *s)
{
	struct snaprec_string r = { (const uint8_t *)s, (uint32_t)strlen(s) };

	return r;
}

/* SR-1.  Lost: paths, tags and owners of a snapshot. */
static void
snaprec_lists_come_back(void **state)
{
	struct snaprec_string paths[2] = { text("/a"), text("/a b") }, got;
	struct snaprec_owner users[2] = { { 7, text("x") }, { 9, text("") } };
	struct snaprec_owner owner;
	struct snaprec s = { .sequence = 1, .host = text("h"), .paths = paths,
	    .path_count = 2, .users = users, .user_count = 2 }, again;
	uint8_t buf[512];
	struct cursor c;
	size_t n = snaprec_encode(buf, sizeof(buf), &s);

	(void)state;
	assert_int_equal(n, snaprec_bound(&s));
	assert_int_equal(snaprec_encode(buf, n - 1, &s), 0);
	assert_int_equal(snaprec_encode(buf, sizeof(buf), &s), n);
	for (size_t len = 0; len < n; len++)
		assert_int_equal(snaprec_decode(&again, buf, len),
		    CURSOR_MALFORMED);
	assert_int_equal(snaprec_decode(&again, buf, n), CURSOR_OK);
	assert_int_equal(again.path_count, 2);
	assert_null(again.paths);
	cursor_init(&c, again.paths_raw.p, again.paths_raw.len);
	assert_true(snaprec_next_string(&c, &got));
	assert_true(snaprec_next_string(&c, &got));
	assert_int_equal(got.len, 4);
	assert_memory_equal(got.p, "/a b", 4);
	assert_false(snaprec_next_string(&c, &got));
	cursor_init(&c, again.users_raw.p, again.users_raw.len);
	assert_true(snaprec_next_owner(&c, &owner));
	assert_true(snaprec_next_owner(&c, &owner));
	assert_int_equal(owner.number, 9);
	assert_false(snaprec_next_owner(&c, &owner));
	assert_int_equal(again.groups_raw.len, 0);
}

/* GN-1, SR-1 */
static void
snaprec_encoder_refuses_what_decoders_do(void **state)
{
	struct snaprec_string paths[2] = { text("/b"), text("/a") };
	uint8_t *buf = malloc(1u << 17), *big = calloc(1, 65536);
	struct snaprec s = { .sequence = 1, .paths = paths, .path_count = 2 };

	(void)state;
	assert_int_equal(snaprec_encode(buf, 1u << 17, &s), 0);
	s.path_count = 1;
	assert_true(snaprec_encode(buf, 1u << 17, &s) > 0);
	s.host.p = big;
	s.host.len = 65535;
	assert_true(snaprec_encode(buf, 1u << 17, &s) > 65535);
	s.host.len = 65536;
	assert_int_equal(snaprec_encode(buf, 1u << 17, &s), 0);
	s.host.len = 0;
	s.sequence = 0;
	assert_int_equal(snaprec_encode(buf, 1u << 17, &s), 0);
	s.sequence = 1;
	s.flags = 8;
	assert_int_equal(snaprec_encode(buf, 1u << 17, &s), 0);
	s.flags = 7;
	s.stats[SNAPREC_STAT_COUNT - 1] = 1;
	assert_int_equal(snaprec_encode(buf, 1u << 17, &s), 0);
	free(buf);
	free(big);
}

/* IX-12.  Lost: a record that is not counted, and what prune deletes of it; byte for byte, since there is no vector. */
static void
recordsum_is_count_and_xor(void **state)
{
	const struct name_sid a = { { 1, 2, 0xff } }, b = { { 3, 0, 0xff } };
	const uint8_t want[RECORDSUM_LEN + 1] = { 2, [8] = 2, [9] = 2 };
	struct recordsum s = { 0 }, other = { 0 };
	uint8_t buf[RECORDSUM_LEN];

	(void)state;
	recordsum_add(&s, &a);
	recordsum_add(&s, &b);
	recordsum_add(&other, &b);
	assert_false(recordsum_equal(&s, &other));
	recordsum_add(&other, &a);
	assert_true(recordsum_equal(&s, &other));
	assert_int_equal(recordsum_encode(buf, sizeof(buf), &s), RECORDSUM_LEN);
	assert_memory_equal(buf, want, RECORDSUM_LEN);
	for (size_t len = 0; len <= sizeof(want); len++)
		assert_int_equal(recordsum_decode(&other, want, len),
		    len == RECORDSUM_LEN ? CURSOR_OK : CURSOR_MALFORMED);
	assert_int_equal(recordsum_decode(&other, want, RECORDSUM_LEN), CURSOR_OK);
	assert_true(recordsum_equal(&s, &other));
	recordsum_take(&other, &b);
	assert_int_equal(other.count, 1);
	assert_memory_equal(other.sids.b, a.b, NAME_SID_LEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repohdr_encoder_refuses_what_decoders_do),
		cmocka_unit_test(keyslot_encoder_bounds_the_cost),
		cmocka_unit_test(keyslot_labels_are_whole_utf8),
		cmocka_unit_test(packfile_footer_adds_up),
		cmocka_unit_test(packfile_length_is_bounded),
		cmocka_unit_test(frame_head_holds_the_most),
		cmocka_unit_test(frame_blocks_are_bounded),
		cmocka_unit_test(frame_iterator_follows_the_body),
		cmocka_unit_test(indexfile_fanout_grows_with_rows),
		cmocka_unit_test(indexfile_layout_has_no_gaps),
		cmocka_unit_test(indexfile_counts_cannot_wrap),
		cmocka_unit_test(indexfile_rows_refuse_nonsense),
		cmocka_unit_test(recordsum_is_count_and_xor),
		cmocka_unit_test(snaprec_lists_come_back),
		cmocka_unit_test(snaprec_encoder_refuses_what_decoders_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
