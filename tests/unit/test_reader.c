/* reader: whatever a restore gets passes here.  A wrong byte handed out is a wrong file restored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "fakepack.h"

#define CACHE (1u << 20)
#define CHUNK 3000
#define CHAIN 36

/* Text no. n: two with neighbouring numbers are alike. */
static void
text(uint8_t p[static CHUNK], unsigned n)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < CHUNK; i++) {
		x = x * 1103515245u + 12345u;
		p[i] = (uint8_t)('a' + (x >> 16) % 20);
	}
	for (unsigned i = 0; i < n; i++)
		p[i * 71 % CHUNK] = (uint8_t)('A' + i);
}

static int
get(struct fake *f, const struct name *id, uint8_t type)
{
	const uint8_t *p;
	size_t len;

	return reader_get(f->rd, id, type, &p, &len);
}

static void
expect(struct fake *f, const struct name *id, uint8_t type, const void *want,
    size_t want_len)
{
	const uint8_t *p;
	size_t len;

	assert_int_equal(reader_get(f->rd, id, type, &p, &len), OK);
	assert_int_equal(len, want_len);
	assert_memory_equal(p, want, len);
}

/* The note must say which pack and frame. */
static void
expect_damage(struct fake *f, const struct name *id, int rc, bool in_frame)
{
	char hex[NAME_HEX];

	assert_int_equal(get(f, id, FRAME_DATA), rc);
	name_hex(id, hex);
	assert_non_null(strstr(err_text(), hex));
	name_hex(&f->ix.row[0].place.pack_name, hex);
	assert_non_null(strstr(err_text(), hex));
	if (in_frame)
		assert_non_null(strstr(err_text(), "at frame "));
}

/* One pack, one frame, one compressed block with one chunk. */
static struct fake *
one_chunk(struct name *id)
{
	struct fake *f = fake_new(CACHE);
	uint8_t p[CHUNK];

	text(p, 1);
	fake_begin(f, PACKFILE_DATA);
	fake_put(f, FRAME_DATA, p, CHUNK, id);
	fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
	fake_frame(f);
	return f;
}

/* FR-1, FR-3, CH-1, PK-4: raw and compressed blocks, several chunks in a block, blocks in a frame, frames in a pack. */
static void
test_chunks_come_back(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id[12], node[2];
	uint8_t p[CHUNK];

	(void)state;
	fake_begin(f, PACKFILE_DATA);
	for (unsigned i = 0; i < 12; i++) {
		text(p, i);
		fake_put(f, FRAME_DATA, p, CHUNK - 100 * i, &id[i]);
		if (i % 3 == 2)
			fake_block(f, i % 2 ? FRAME_RAW : FRAME_ZSTD, NULL,
			    NULL, 0, 0);
		if (i % 6 == 5)
			fake_frame(f);
	}
	fake_end(f);
	fake_begin(f, PACKFILE_META);
	fake_put(f, FRAME_LIST, "list", 4, &node[0]);
	fake_put(f, FRAME_TREE, "tree", 4, &node[1]);
	fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_end(f);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 12; i++) {
			text(p, i);
			expect(f, &id[i], FRAME_DATA, p, CHUNK - 100 * i);
		}
		expect(f, &node[0], FRAME_LIST, "list", 4);
		expect(f, &node[1], FRAME_TREE, "tree", 4);
	}
	/* the second round came from the cache; two of the blocks are raw */
	assert_int_equal(reader_stats(f->rd)->frames_read, 3);
	assert_int_equal(reader_stats(f->rd)->bytes_decoded, 8700 + 6900 + 8);
	fake_free(f);
}

/* A chain of count chunks, each on the one before; a frame each if `apart`. */
static void
chain(struct fake *f, struct name *id, unsigned count, bool apart)
{
	uint8_t p[CHUNK], base[CHUNK];

	fake_begin(f, PACKFILE_DATA);
	for (unsigned i = 0; i < count; i++) {
		/* a writer that does not know how deep the base is */
		uint8_t depth = (uint8_t)(i < FRAME_DEPTH_MAX ? i : FRAME_DEPTH_MAX);

		text(p, i);
		fake_put(f, FRAME_DATA, p, CHUNK, &id[i]);
		if (i == 0)
			fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
		else
			fake_block(f, FRAME_DELTA, &id[i - 1], base, CHUNK,
			    depth);
		memcpy(base, p, CHUNK);
		if (apart || i + 1 == count)
			fake_frame(f);
	}
	fake_end(f);
}

/* FR-4: 32 bases beneath a chunk are fine, even if no frame but those in use fits in the cache. */
static void
test_thirtytwo_bases_come_back(void **state)
{
	(void)state;
	for (unsigned apart = 0; apart < 2; apart++) {
		struct fake *f = fake_new(1);
		struct name id[33];
		uint8_t p[CHUNK];

		chain(f, id, 33, apart);
		text(p, 32);
		expect(f, &id[32], FRAME_DATA, p, CHUNK);
		text(p, 9);
		expect(f, &id[9], FRAME_DATA, p, CHUNK);
		text(p, 32);
		expect(f, &id[32], FRAME_DATA, p, CHUNK);
		fake_free(f);
	}
}

/* Whoever follows what dies asks for the bases of a frame one at a time: its head is read once for all of them. */
static void
test_bases_from_one_head(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct reader_bases bases;
	struct name id[16];
	uint64_t once = 0;

	(void)state;
	chain(f, id, 16, false);
	for (unsigned i = 1; i < 16; i++) {
		assert_int_equal(reader_bases(f->rd, &f->ix.row[i].place, &bases), OK);
		assert_int_equal(bases.count, 1);
		assert_true(name_cmp(&bases.id[0], &id[i - 1]) == 0);
		once = i == 1 ? reader_stats(f->rd)->bytes_read : once;
	}
	assert_true(once > 0);
	assert_int_equal(reader_stats(f->rd)->bytes_read, once);
	assert_int_equal(reader_stats(f->rd)->frames_read, 0);
	f->ix.row[1].place.slot = 16;
	assert_int_equal(reader_bases(f->rd, &f->ix.row[1].place, &bases), ERR_CORRUPT);
	fake_free(f);
}

struct seen {
	const struct name *id;
	unsigned count, stop;
};

static int
see_chunk(void *arg, const struct reader_chunk *chunk)
{
	struct seen *s = arg;
	unsigned i = s->count++;

	assert_true(name_cmp(&chunk->id, &s->id[i]) == 0);
	assert_int_equal(chunk->slot, i);
	assert_int_equal(chunk->len, CHUNK);
	assert_int_equal(chunk->depth, i);
	assert_int_equal(chunk->bases.count, i > 0);
	assert_true(i == 0 || name_cmp(&chunk->bases.id[0], &s->id[i - 1]) == 0);
	return s->count == s->stop ? fail(ERR_FAILED, "enough") : OK;
}

/* All chunks of a frame, each once, up to where the caller has enough. */
static void
test_chunks_of_a_frame(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id[8];
	struct seen s = { .id = id };

	(void)state;
	chain(f, id, 8, false);
	assert_int_equal(reader_frame(f->rd, &f->ix.row[3].place, see_chunk, &s), OK);
	assert_int_equal(s.count, 8);
	s.count = 0;
	s.stop = 3;
	assert_int_equal(reader_frame(f->rd, &f->ix.row[3].place, see_chunk, &s), ERR_FAILED);
	assert_int_equal(s.count, 3);
	fake_free(f);
}

/* A difference is had as it is stored, although all of its frame was decoded before and only that was kept. */
static void
test_delta_as_stored(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct frame_block fresh, again;
	uint8_t want[CHUNK], p[CHUNK];
	const uint8_t *stored;
	struct name id[8];

	(void)state;
	chain(f, id, 8, false);
	assert_int_equal(reader_delta(f->rd, &f->ix.row[5].place, &fresh, &stored), OK);
	assert_true(name_cmp(&fresh.base[0], &id[4]) == 0);
	memcpy(want, stored, fresh.stored_len);
	fake_reopen(f, CACHE);
	for (unsigned i = 0; i < 8; i++) {
		text(p, i);
		expect(f, &id[i], FRAME_DATA, p, CHUNK);
	}
	assert_int_equal(reader_delta(f->rd, &f->ix.row[5].place, &again, &stored), OK);
	assert_int_equal(again.stored_len, fresh.stored_len);
	assert_memory_equal(stored, want, again.stored_len);
	fake_free(f);
}

/* FR-4: 33 are malformed, and stay so when a part of the chain is decoded already. */
static void
test_thirtythree_bases_are_malformed(void **state)
{
	(void)state;
	for (unsigned apart = 0; apart < 2; apart++) {
		struct fake *f = fake_new(CACHE);
		struct name id[CHAIN];
		uint8_t p[CHUNK];

		chain(f, id, CHAIN, apart);
		assert_int_equal(get(f, &id[33], FRAME_DATA), ERR_CORRUPT);
		for (unsigned i = 0; i < 33; i++) {
			text(p, i);
			expect(f, &id[i], FRAME_DATA, p, CHUNK);
			assert_int_equal(get(f, &id[33], FRAME_DATA),
			    ERR_CORRUPT);
			assert_int_equal(get(f, &id[34], FRAME_DATA),
			    ERR_CORRUPT);
		}
		assert_non_null(strstr(err_text(), "more than 32 bases"));
		fake_free(f);
	}
}

/* FR-4: a ring of bases, whoever made it, must not be followed forever. */
static void
test_ring_of_bases_is_malformed(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name a = { { 1 } }, b = { { 2 } }, self = { { 3 } };
	uint8_t p[CHUNK];

	(void)state;
	text(p, 1);
	fake_begin(f, PACKFILE_DATA);
	fake_put_as(f, FRAME_DATA, p, CHUNK, &a);
	fake_block(f, FRAME_DELTA, &b, p, 100, 1);
	fake_put_as(f, FRAME_DATA, p, CHUNK, &self);
	fake_block(f, FRAME_DELTA, &self, p, 100, 1);
	fake_frame(f);
	fake_put_as(f, FRAME_DATA, p, CHUNK, &b);
	fake_block(f, FRAME_DELTA, &a, p, 100, 1);
	fake_frame(f);
	fake_end(f);
	expect_damage(f, &a, ERR_CORRUPT, true);
	expect_damage(f, &b, ERR_CORRUPT, true);
	expect_damage(f, &self, ERR_CORRUPT, true);
	fake_free(f);
}

/* A base that is gone is named, since it is what repair must look for. */
static void
test_missing_base_is_named(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id[3];
	char hex[NAME_HEX];

	(void)state;
	chain(f, id, 3, true);
	f->ix.row[0].id.b[0] ^= 1;
	assert_int_equal(get(f, &id[2], FRAME_DATA), ERR_ABSENT);
	name_hex(&id[0], hex);
	assert_non_null(strstr(err_text(), hex));
	fake_free(f);
}

/* GN-3, PK-2, FR-1: any damaged byte of header or frame is an error of the right class, before anything of it is used. */
static void
test_every_damaged_byte_is_found(void **state)
{
	struct name id;
	struct fake *f = one_chunk(&id);
	uint32_t head_len;

	(void)state;
	fake_end(f);
	head_len = PACKFILE_HEADER_LEN + f->lengths[0];
	for (size_t off = 0; off < head_len; off++) {
		bool auth = (off >= 16 && off < 32) ||          /* pack id */
		    (off >= 40 && off < 112) ||                 /* its key */
		    off >= PACKFILE_HEADER_LEN + FRAME_PREFIX_LEN;
		/* version; kind of the key wrap */
		bool newer = (off >= 8 && off < 12) || (off >= 32 && off < 36);

		if (off > 600 && off % 13)
			continue;
		fake_flip(f, &f->pack_name, off, 4);
		fake_reopen(f, CACHE);
		if (newer)
			assert_int_equal(get(f, &id, FRAME_DATA),
			    ERR_UNSUPPORTED);
		else
			expect_damage(f, &id, auth ? ERR_AUTH : ERR_CORRUPT,
			    off >= PACKFILE_HEADER_LEN);
		fake_flip(f, &f->pack_name, off, 4);
	}
	fake_reopen(f, CACHE);
	assert_int_equal(get(f, &id, FRAME_DATA), OK);
	fake_free(f);
}

/* FR-1: a frame sealed for another position. */
static void
test_other_ordinal_is_malformed(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id;

	(void)state;
	fake_begin(f, PACKFILE_DATA);
	fake_put(f, FRAME_DATA, "abc", 3, &id);
	fake_block(f, FRAME_RAW, NULL, NULL, 0, 0);
	f->add_ordinal = 1;
	fake_frame(f);
	fake_end(f);
	expect_damage(f, &id, ERR_CORRUPT, true);
	fake_free(f);
}

/* FR-1: the storage cannot swap frames, within a pack or between packs, even where ordinal and lengths agree. */
static void
test_swapped_frames_are_found(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name a, b;
	char path[300];
	FILE *out;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fake_begin(f, PACKFILE_DATA);
		fake_put(f, FRAME_DATA, i ? "bbb" : "aaa", 3, i ? &b : &a);
		fake_block(f, FRAME_RAW, NULL, NULL, 0, 0);
		fake_frame(f);
		fake_end(f);
	}
	/* the second pack's frame behind the first pack's header */
	fake_path(f, &f->ix.row[0].place.pack_name, path, sizeof(path));
	assert_non_null(out = fopen(path, "r+b"));
	assert_int_equal(fseek(out, PACKFILE_HEADER_LEN, SEEK_SET), 0);
	assert_int_equal(fwrite(f->pack.p + PACKFILE_HEADER_LEN, 1,
	    f->lengths[0], out), f->lengths[0]);
	fclose(out);
	expect_damage(f, &a, ERR_AUTH, true);
	expect(f, &b, FRAME_DATA, "bbb", 3);
	fake_free(f);
}

/* GN-5: absence of a pack or chunk is said to be that, and a short pack is not. */
static void
test_missing_pack_and_chunk_are_missing(void **state)
{
	struct name id, none = { { 9 } };
	struct fake *f = one_chunk(&id);
	char path[300];

	(void)state;
	fake_end(f);
	assert_int_equal(get(f, &none, FRAME_DATA), ERR_ABSENT);
	fake_path(f, &f->pack_name, path, sizeof(path));
	assert_int_equal(truncate(path, PACKFILE_HEADER_LEN + 50), 0);
	expect_damage(f, &id, ERR_CORRUPT, true);
	fake_reopen(f, CACHE);
	assert_int_equal(truncate(path, 50), 0);
	expect_damage(f, &id, ERR_CORRUPT, false);
	assert_non_null(strstr(err_text(), "is damaged"));
	assert_int_equal(unlink(path), 0);
	expect_damage(f, &id, ERR_ABSENT, false);
	assert_non_null(strstr(err_text(), "is missing"));
	fake_free(f);
}

/* FR-5: content under another chunk's id is damage, even properly sealed, cached or not. */
static void
test_wrong_content_is_never_handed_out(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id, other;
	const uint8_t *p;
	size_t len;

	(void)state;
	fake_id(f, FRAME_DATA, "wanted", 6, &id);
	fake_begin(f, PACKFILE_DATA);
	fake_put_as(f, FRAME_DATA, "forged", 6, &id);
	fake_put(f, FRAME_DATA, "other!", 6, &other);
	fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_end(f);
	for (unsigned i = 0; i < 2; i++) {
		expect_damage(f, &id, ERR_AUTH, true);
		assert_int_equal(reader_get(f->rd, &id, FRAME_DATA, &p, &len),
		    ERR_AUTH);
		assert_null(p);
		assert_int_equal(len, 0);
	}
	expect(f, &other, FRAME_DATA, "other!", 6);
	fake_free(f);
}

/* An index that points elsewhere: at another slot, behind the last one, at an impossible place. */
static void
test_wrong_place_is_found(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct index_place *at = &f->ix.row[0].place, good;
	struct name a, b;

	(void)state;
	fake_begin(f, PACKFILE_DATA);
	fake_put(f, FRAME_DATA, "aaa", 3, &a);
	fake_put(f, FRAME_DATA, "bbb", 3, &b);
	fake_block(f, FRAME_RAW, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_end(f);
	good = *at;
	at->slot = 1;
	expect_damage(f, &a, ERR_AUTH, true);
	at->slot = 2;
	expect_damage(f, &a, ERR_CORRUPT, true);
	*at = good;
	at->type = FRAME_TREE;
	expect_damage(f, &a, ERR_AUTH, true);
	*at = good;
	expect(f, &a, FRAME_DATA, "aaa", 3);
	fake_reopen(f, CACHE);
	at->off++;
	expect_damage(f, &a, ERR_CORRUPT, true);
	at->off = 0;
	expect_damage(f, &a, ERR_CORRUPT, true);
	*at = good;
	at->len--;
	expect_damage(f, &a, ERR_CORRUPT, true);
	at->len = UINT32_MAX;
	expect_damage(f, &a, ERR_CORRUPT, true);
	*at = good;
	at->ordinal = 7;
	expect_damage(f, &a, ERR_CORRUPT, true);
	*at = good;
	at->pack_kind = PACKFILE_META;
	fake_reopen(f, CACHE);
	expect_damage(f, &a, ERR_CORRUPT, false);
	fake_free(f);
}

/* CH-1, PK-4: data is never taken for a node, nor a node for data. */
static void
test_types_are_kept_apart(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name a, in_data, in_meta;

	(void)state;
	fake_begin(f, PACKFILE_DATA);
	fake_put(f, FRAME_DATA, "aaa", 3, &a);
	fake_block(f, FRAME_RAW, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_put(f, FRAME_TREE, "ttt", 3, &in_data);
	fake_block(f, FRAME_RAW, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_end(f);
	fake_begin(f, PACKFILE_META);
	fake_put(f, FRAME_DATA, "bbb", 3, &in_meta);
	fake_block(f, FRAME_RAW, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_end(f);
	assert_int_equal(get(f, &a, FRAME_TREE), ERR_CORRUPT);
	assert_int_equal(get(f, &in_data, FRAME_TREE), ERR_CORRUPT);
	assert_int_equal(get(f, &in_meta, FRAME_DATA), ERR_CORRUPT);
	fake_free(f);
}

static void
edit_codec(uint8_t *head, size_t len)
{
	(void)len;
	head[8] = 3;
}

/* raw length of the block and length of its chunk one more */
static void
edit_length(uint8_t *head, size_t len)
{
	head[9]++;
	head[len - 35]++;
}

static void
edit_counts(uint8_t *head, size_t len)
{
	(void)len;
	head[4]++;
}

/* FR-1, FR-2, FR-3: a sealed head that does not fit its body; a codec of the future. */
static void
test_head_that_does_not_fit_is_malformed(void **state)
{
	static const struct {
		void (*edit)(uint8_t *head, size_t len);
		size_t add_body;
		int rc;
	} table[] = {
		{ NULL, 0, OK },
		{ NULL, 1, ERR_CORRUPT },
		{ edit_length, 0, ERR_CORRUPT },
		{ edit_counts, 0, ERR_CORRUPT },
		{ edit_codec, 0, ERR_UNSUPPORTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct fake *f = fake_new(CACHE);
		struct name id;
		uint8_t p[CHUNK];

		text(p, 1);
		fake_begin(f, PACKFILE_DATA);
		fake_put(f, FRAME_DATA, p, CHUNK, &id);
		fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
		f->edit_head = table[i].edit;
		f->add_body = table[i].add_body;
		fake_frame(f);
		fake_end(f);
		assert_int_equal(get(f, &id, FRAME_DATA), table[i].rc);
		fake_free(f);
	}
}

/* More packs than are kept open, more frames than are cached: slower, not wrong. */
static void
test_small_caches_only_cost_time(void **state)
{
	struct fake *f = fake_new(20000);
	struct name id[40][3];
	uint8_t p[CHUNK];

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		fake_begin(f, PACKFILE_DATA);
		for (unsigned k = 0; k < 3; k++) {
			text(p, 3 * i + k);
			fake_put(f, FRAME_DATA, p, CHUNK, &id[i][k]);
			fake_block(f, k ? FRAME_ZSTD : FRAME_RAW, NULL, NULL,
			    0, 0);
			fake_frame(f);
		}
		fake_end(f);
	}
	for (unsigned round = 0; round < 3; round++)
		for (unsigned n = 0; n < 120; n++) {
			unsigned i = n * 7 % 40, k = n % 3;

			text(p, 3 * i + k);
			expect(f, &id[i][k], FRAME_DATA, p, CHUNK);
		}
	assert_true(reader_stats(f->rd)->frames_read > 240);
	fake_free(f);
}

/* What was decoded on a base is not kept: a frame full of it would drive out the base, which would be read again for each. */
static void
test_deltas_do_not_fill_the_cache(void **state)
{
	struct fake *f = fake_new(6 * CHUNK);
	uint8_t p[CHUNK], base[CHUNK];
	struct name id[40];

	(void)state;
	fake_begin(f, PACKFILE_DATA);
	text(base, 0);
	fake_put(f, FRAME_DATA, base, CHUNK, &id[0]);
	fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
	fake_frame(f);
	for (unsigned i = 1; i < 40; i++) {
		text(p, i);
		fake_put(f, FRAME_DATA, p, CHUNK, &id[i]);
		fake_block(f, FRAME_DELTA, &id[0], base, CHUNK, 1);
	}
	fake_frame(f);
	fake_end(f);
	for (unsigned i = 1; i < 40; i++) {
		text(p, i);
		expect(f, &id[i], FRAME_DATA, p, CHUNK);
	}
	assert_int_equal(reader_stats(f->rd)->frames_read, 2);
	fake_free(f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_come_back),
		cmocka_unit_test(test_bases_from_one_head),
		cmocka_unit_test(test_chunks_of_a_frame),
		cmocka_unit_test(test_delta_as_stored),
		cmocka_unit_test(test_thirtytwo_bases_come_back),
		cmocka_unit_test(test_thirtythree_bases_are_malformed),
		cmocka_unit_test(test_ring_of_bases_is_malformed),
		cmocka_unit_test(test_missing_base_is_named),
		cmocka_unit_test(test_every_damaged_byte_is_found),
		cmocka_unit_test(test_other_ordinal_is_malformed),
		cmocka_unit_test(test_swapped_frames_are_found),
		cmocka_unit_test(test_missing_pack_and_chunk_are_missing),
		cmocka_unit_test(test_wrong_content_is_never_handed_out),
		cmocka_unit_test(test_wrong_place_is_found),
		cmocka_unit_test(test_types_are_kept_apart),
		cmocka_unit_test(test_head_that_does_not_fit_is_malformed),
		cmocka_unit_test(test_small_caches_only_cost_time),
		cmocka_unit_test(test_deltas_do_not_fill_the_cache),
	};
	int failed = cmocka_run_group_tests_name("reader", tests, NULL, NULL);

	/* Whatever was opened ahead must be as good, and as bad. */
	fake_ahead = 2;
	return failed +
	    cmocka_run_group_tests_name("reader, ahead", tests, NULL, NULL);
}
