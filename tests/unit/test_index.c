/*
 * test_index: index files as they are written (indexbuild), opened (index_file) and put together to one view (index).  Lost if it
 * failed: a chunk that is there is not found (stored twice, or worse, not restored), or one that is not there is believed in.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail

#include "base/err.h"
#include "format/frame.h"
#include "format/packfile.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/indexbuild.h"
#include "store/sieve.h"
#include "tests/unit/support_open.h"
#include "tests/unit/support_store.h"

struct fixture {
	struct support_disk *disk;
	struct repo *r;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	repo_close(f->r);
	support_disk_free(f->disk);
	free(f);
	return 0;
}

/* What to write; counts of zero leave a section out. */
struct plan {
	struct indexfile_header h;
	const uint64_t *keeps;
	size_t keep_count;
	const struct indexfile_remove *removes;
	size_t remove_count;
	const struct indexfile_pack *packs;
	size_t pack_count;
	const struct indexfile_frame *frames;
	size_t frame_count;
	const struct indexfile_row *rows;
	size_t row_count;
	uint64_t row_bound;             /* 0: row_count */
};

static void
path_of(char out[static INDEX_FILE_PATH], const char *dir, const struct indexfile_header *h)
{
	if (h->kind == INDEXFILE_TABLE)
		index_file_table_path(out, dir, h->number);
	else
		index_file_segment_path(out, dir, &h->sid, (uint32_t)h->number);
}

static void
publish(struct repo *r, const struct plan *p)
{
	char tmp[INDEX_FILE_PATH], path[INDEX_FILE_PATH];
	struct indexbuild *b;
	uint64_t len, size;

	path_of(tmp, "tmp", &p->h);
	path_of(path, "index", &p->h);
	assert_int_equal(indexbuild_begin(r, tmp, &p->h, p->row_bound ? p->row_bound : p->row_count, &b), OK);
	for (size_t i = 0; i < p->keep_count; i++)
		assert_int_equal(indexbuild_keep(b, p->keeps[i]), OK);
	for (size_t i = 0; i < p->remove_count; i++)
		assert_int_equal(indexbuild_remove(b, &p->removes[i]), OK);
	for (size_t i = 0; i < p->pack_count; i++)
		assert_int_equal(indexbuild_pack(b, &p->packs[i]), OK);
	for (size_t i = 0; i < p->frame_count; i++)
		assert_int_equal(indexbuild_frame(b, &p->frames[i]), OK);
	for (size_t i = 0; i < p->row_count; i++)
		assert_int_equal(indexbuild_row(b, &p->rows[i]), OK);
	assert_int_equal(indexbuild_end(b, &len), OK);
	assert_int_equal(io_stat(r->io, tmp, &size), OK);
	assert_int_equal(size, len);
	assert_int_equal(io_rename(r->io, tmp, path), OK);
}

static uint64_t
mix(uint64_t z)
{
	z = (z + 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static struct name
id_of(uint64_t n)
{
	struct name id = { { 0 } };

	for (int i = 0; i < 4; i++) {
		uint64_t z = mix(4 * n + (uint64_t)i);

		memcpy(id.b + 8 * i, &z, 8);
	}
	return id;
}

static int
row_cmp(const void *a, const void *b)
{
	return name_cmp(&((const struct indexfile_row *)a)->id, &((const struct indexfile_row *)b)->id);
}

/* n rows in the one frame of a plan. */
static struct indexfile_row *
make_rows(size_t n)
{
	struct indexfile_row *rows = calloc(n + 1, sizeof(*rows));

	assert_non_null(rows);
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct indexfile_row){ .id = id_of(i), .refs = (uint32_t)i + 1, .uses = (uint32_t)(i % 3),
			.slot = (uint16_t)(i % 60000), .type = FRAME_DATA };
	qsort(rows, n, sizeof(*rows), row_cmp);
	return rows;
}

static const struct indexfile_pack one_pack = { .name = { { 1 } }, .bytes = 5000, .live_bytes = 4000, .frames = 1, .live_frames = 1,
	.kind = PACKFILE_DATA };
static const struct indexfile_frame one_frame = { .ordinal = 0, .off = 160, .len = 4000, .chunks = 60000, .live = 60000 };

static struct plan
plan_rows(uint64_t number, const struct indexfile_row *rows, size_t n)
{
	return (struct plan){ .h = { .kind = INDEXFILE_TABLE, .number = number }, .packs = &one_pack, .pack_count = 1,
		.frames = &one_frame, .frame_count = 1, .rows = rows, .row_count = n };
}

static struct index_file *
open_table(struct repo *r, uint64_t number)
{
	char path[INDEX_FILE_PATH];
	struct index_file *f;

	index_file_table_path(path, "index", number);
	assert_int_equal(index_file_open(r, path, &f), OK);
	return f;
}

static int
open_result(struct repo *r, const char *path)
{
	struct index_file *f;
	int rc = index_file_open(r, path, &f);

	assert_true((rc == OK) == (f != NULL));
	index_file_close(f);
	return rc;
}

/* IX-1 ... IX-5 by the checker of the vectors, which shares no code with the writer. */
static void
check_whole(struct repo *r, const char *path)
{
	struct support_vec *v = calloc(1, sizeof(*v));
	uint8_t *raw;
	size_t len;

	assert_non_null(v);
	memcpy(v->master, support_store_master, 32);
	assert_int_equal(io_read_file(r->io, "varve-repo", 160, &raw, &len), OK);
	memcpy(v->repo, raw, sizeof(v->repo));
	free(raw);
	assert_int_equal(io_read_file(r->io, path, sizeof(v->body), &raw, &v->len), OK);
	memcpy(v->body, raw, v->len);
	free(raw);
	snprintf(v->name, sizeof(v->name), "%s", strchr(path, '/') + 1);
	assert_int_equal(support_index(v), OK);
	free(v);
}

/* ------------------------------------------------------------------------------------------------ one file */

static const struct indexfile_remove some_removes[] = {
	{ .kind = INDEXFILE_DEAD_SEGMENT, .part = 0, .name = { { 7 } } },
	{ .kind = INDEXFILE_DEAD_SEGMENT, .part = 3, .name = { { 7 } } },
	{ .kind = INDEXFILE_DEAD_RECORD, .name = { { 5 } } },
	{ .kind = INDEXFILE_DEAD_PACK, .name = { { 9, 9 } } },
};

static const struct indexfile_pack some_packs[] = {
	{ .name = { { 1 } }, .bytes = 900, .live_bytes = 250, .frames = 2, .live_frames = 1, .kind = PACKFILE_DATA },
	{ .name = { { 2 } }, .bytes = 800, .live_bytes = 200, .frames = 1, .live_frames = 1, .kind = PACKFILE_META },
};

static const struct indexfile_frame some_frames[] = {
	{ .pack = 0, .ordinal = 0, .off = 160, .len = 100, .chunks = 3, .live = 0 },
	{ .pack = 0, .ordinal = 1, .off = 260, .len = 500, .chunks = 4, .live = 2 },
	{ .pack = 1, .ordinal = 0, .off = 160, .len = 200, .chunks = 1, .live = 1 },
};

static const struct indexfile_row some_rows[] = {
	{ .id = { { 1 } }, .refs = 7, .uses = 2, .frame = 1, .slot = 3, .type = FRAME_DATA, .depth = 4 },
	{ .id = { { 2 } }, .frame = INDEXFILE_NO_FRAME, .type = FRAME_TREE },
	{ .id = { { 2, 1 } }, .refs = 1, .frame = 1, .slot = 0, .type = FRAME_DATA },
	{ .id = { { 3 } }, .refs = 1, .frame = 2, .slot = 0, .type = FRAME_LIST },
};

static const uint64_t some_keeps[] = { 0x1122334455667787, 3 };

/* The struct has padding. */
static void
same_pack(const struct indexfile_pack *a, const struct indexfile_pack *b)
{
	uint8_t x[INDEXFILE_PACK_LEN], y[INDEXFILE_PACK_LEN];

	assert_int_equal(indexfile_pack_encode(x, sizeof(x), a), sizeof(x));
	assert_int_equal(indexfile_pack_encode(y, sizeof(y), b), sizeof(y));
	assert_memory_equal(x, y, sizeof(x));
}

static void
compare_sections(struct index_file *f)
{
	struct indexfile_remove rm;
	struct indexfile_pack p;
	struct indexfile_frame fr;
	struct indexfile_row row;
	uint64_t keep;

	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(index_file_keep(f, i, &keep), OK);
		assert_int_equal(keep, some_keeps[i]);
		assert_int_equal(index_file_pack(f, i, &p), OK);
		same_pack(&p, &some_packs[i]);
	}
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(index_file_remove(f, i, &rm), OK);
		assert_memory_equal(&rm, &some_removes[i], sizeof(rm));
		assert_int_equal(index_file_row(f, i, &row), OK);
		assert_memory_equal(&row, &some_rows[i], sizeof(row));
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(index_file_frame(f, i, &fr), OK);
		assert_memory_equal(&fr, &some_frames[i], sizeof(fr));
	}
	assert_int_equal(index_file_pack(f, 2, &p), ERR_CORRUPT);
	assert_int_equal(index_file_frame(f, 3, &fr), ERR_CORRUPT);
}

static void
compare_searches(struct index_file *f)
{
	struct indexfile_remove rm = some_removes[1];
	struct name other = { { 1, 1 } };
	struct indexfile_frame fr;
	struct indexfile_pack p;

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(index_file_find_remove(f, &some_removes[i]), FOUND);
	rm.part = 2;
	assert_int_equal(index_file_find_remove(f, &rm), OK);
	rm = some_removes[3];
	rm.kind = INDEXFILE_DEAD_RECORD;
	assert_int_equal(index_file_find_remove(f, &rm), OK);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(index_file_find_pack(f, &some_packs[i].name, &p, NULL), FOUND);
	assert_int_equal(index_file_find_pack(f, &other, &p, NULL), OK);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(index_file_find_frame(f, some_frames[i].pack, some_frames[i].ordinal, &fr), FOUND);
		assert_memory_equal(&fr, &some_frames[i], sizeof(fr));
	}
	assert_int_equal(index_file_find_frame(f, 1, 1, &fr), OK);
	assert_int_equal(index_file_find_frame(f, 0, 2, &fr), OK);
}

/* What comes from older files may contradict itself: rows that do not ascend, frames of no pack, rows in no frame. */
static void
test_impossible(void **state)
{
	const struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = 1 };
	struct indexfile_row row = some_rows[1];
	struct fixture *f = *state;
	struct indexbuild *b;

	assert_int_equal(indexbuild_begin(f->r, "tmp/0000000000000001", &h, 4, &b), OK);
	assert_int_equal(indexbuild_frame(b, &some_frames[0]), ERR_CORRUPT);
	assert_int_equal(indexbuild_pack(b, &some_packs[0]), OK);
	assert_int_equal(indexbuild_frame(b, &some_frames[2]), ERR_CORRUPT);
	assert_int_equal(indexbuild_frame(b, &some_frames[0]), OK);
	row.frame = 1;
	assert_int_equal(indexbuild_row(b, &row), ERR_CORRUPT);
	row.frame = 0;
	assert_int_equal(indexbuild_row(b, &row), OK);
	assert_int_equal(indexbuild_row(b, &row), ERR_CORRUPT);
	assert_int_equal(indexbuild_row(b, &some_rows[0]), ERR_CORRUPT);
	row.id = some_rows[2].id;
	assert_int_equal(indexbuild_row(b, &row), OK);
	indexbuild_abort(b);
}

/* IX-4, GN-1: every field of every section comes back. */
static void
test_sections(void **state)
{
	struct fixture *f = *state;
	struct plan p = { .h = { .kind = INDEXFILE_TABLE, .number = 0x1122334455667788 }, .keeps = some_keeps, .keep_count = 2,
		.removes = some_removes, .remove_count = 4, .packs = some_packs, .pack_count = 2, .frames = some_frames,
		.frame_count = 3, .rows = some_rows, .row_count = 4 };
	struct index_file *file;

	publish(f->r, &p);
	check_whole(f->r, "index/1122334455667788");
	file = open_table(f->r, p.h.number);
	assert_int_equal(index_file_header(file)->keep_count, 2);
	assert_int_equal(index_file_header(file)->remove_count, 4);
	assert_int_equal(index_file_header(file)->pack_count, 2);
	assert_int_equal(index_file_header(file)->frame_count, 3);
	assert_int_equal(index_file_header(file)->row_count, 4);
	compare_sections(file);
	compare_searches(file);
	index_file_close(file);
}

/* IX-1: a segment's sid, part, root and flag come back. */
static void
test_segment_header(void **state)
{
	struct fixture *f = *state;
	struct plan p = { .h = { .kind = INDEXFILE_SEGMENT, .sid = { { 1, 2 } }, .number = 17, .root = { { 3 } },
		.flags = INDEXFILE_LAST_PART } };
	char path[INDEX_FILE_PATH];
	struct index_file *file;
	struct name_sid sid;
	uint32_t part;

	publish(f->r, &p);
	path_of(path, "index", &p.h);
	assert_string_equal(path, "index/01020000000000000000000000000000-00000011");
	assert_true(index_file_parse_segment(path + 6, &sid, &part));
	assert_int_equal(part, 17);
	check_whole(f->r, path);
	assert_int_equal(index_file_open(f->r, path, &file), OK);
	assert_memory_equal(&index_file_header(file)->sid, &p.h.sid, NAME_SID_LEN);
	assert_memory_equal(&index_file_header(file)->root, &p.h.root, NAME_LEN);
	assert_int_equal(index_file_header(file)->flags, INDEXFILE_LAST_PART);
	index_file_close(file);
}

static void
find_all(struct index_file *file, const struct indexfile_row *rows, size_t n, size_t step)
{
	struct indexfile_row row;
	struct name id;

	for (size_t i = 0; i < n; i += step) {
		assert_int_equal(index_file_find(file, &rows[i].id, &row), FOUND);
		assert_memory_equal(&row, &rows[i], sizeof(row));
		id = rows[i].id;
		id.b[31] ^= 1;
		assert_int_equal(index_file_find(file, &id, &row), OK);
	}
	for (size_t i = 0; i < 500; i++) {
		id = id_of(n + i);
		assert_int_equal(index_file_find(file, &id, &row), OK);
	}
	memset(&id, 0, sizeof(id));
	assert_int_equal(index_file_find(file, &id, &row), OK);
	memset(&id, 0xff, sizeof(id));
	assert_int_equal(index_file_find(file, &id, &row), OK);
}

/* IX-5: hits and misses around every size at which the fanout grows, however wrong the writer's bound was. */
static void
test_find(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 64, 65, 128, 129, 4096, 100000 };
	struct fixture *f = *state;
	uint64_t number = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];
		struct indexfile_row *rows = make_rows(n);
		const uint64_t bounds[] = { n, n + 1, 3 * n + 200, 1000000 };

		for (size_t k = 0; k < 4; k++) {
			struct plan p = plan_rows(++number, rows, n);
			char path[INDEX_FILE_PATH];
			struct index_file *file;

			p.row_bound = bounds[k];
			publish(f->r, &p);
			path_of(path, "index", &p.h);
			if (n <= 4096)
				check_whole(f->r, path);
			file = open_table(f->r, number);
			assert_int_equal(index_file_header(file)->fanout_bits, indexfile_fanout_bits(n));
			find_all(file, rows, n, n > 4096 ? 97 : 1);
			index_file_close(file);
		}
		free(rows);
	}
}

/* IX-3: a body too large to be kept in memory is searched in place, with its tags checked. */
static void
test_large(void **state)
{
	enum { ROWS = 720000 };
	struct fixture *f = *state;
	struct indexfile_row *rows = make_rows(ROWS), row;
	struct plan p = plan_rows(1, rows, ROWS);
	const char *path = "index/0000000000000001";
	struct index_file *file;
	uint64_t off;

	publish(f->r, &p);
	file = open_table(f->r, 1);
	assert_true(index_file_len(file) > INDEX_FILE_CACHED);
	find_all(file, rows, ROWS, 9973);
	/* Once more where blocks have been checked, and right beside each id. */
	for (size_t i = 0; i < ROWS; i += 7) {
		struct name next = rows[i].id;
		struct indexfile_frame fr, fr2;
		struct indexfile_pack pk, pk2;

		assert_int_equal(index_file_find(file, &next, &row), FOUND);
		assert_memory_equal(&row.id, &next, sizeof(next));
		assert_int_equal(row.frame, rows[i].frame);
		next.b[NAME_LEN - 1] ^= 1;
		assert_int_equal(index_file_find(file, &next, &row), OK);
		assert_int_equal(index_file_place(file, rows[i].frame, &fr, &pk), OK);
		assert_int_equal(index_file_frame(file, rows[i].frame, &fr2), OK);
		assert_int_equal(index_file_pack(file, fr2.pack, &pk2), OK);
		assert_int_equal(fr.off, fr2.off);
		assert_memory_equal(&pk.name, &pk2.name, sizeof(pk.name));
	}
	index_file_close(file);
	/* The last byte of row 5000: found by nobody who does not look there. */
	off = INDEXFILE_HEADER_LEN + INDEXFILE_PACK_LEN + INDEXFILE_FRAME_LEN + 5001 * INDEXFILE_ROW_LEN - 1;
	assert_true(support_disk_flip(f->disk, path, off));
	file = open_table(f->r, 1);
	assert_int_equal(index_file_find(file, &rows[ROWS - 1].id, &row), FOUND);
	assert_int_equal(index_file_find(file, &rows[5000].id, &row), ERR_AUTH);
	assert_int_equal(index_file_find(file, &rows[5000].id, &row), ERR_AUTH);
	index_file_close(file);
	free(rows);
}

/* IX-3: damage in a block is found when the block is first used, and costs only what lies in it; in a block of tags all they stand for. */
static void
test_block_tags(void **state)
{
	enum { ROWS = 24000, TAGS = INDEXFILE_BLOCK / INDEXFILE_TAG_LEN };
	struct fixture *f = *state;
	struct indexfile_row *rows = make_rows(ROWS), row;
	struct plan p = plan_rows(1, rows, ROWS);
	const char *path = "index/0000000000000001";
	uint64_t first = INDEXFILE_PACK_LEN + INDEXFILE_FRAME_LEN, blocks;
	uint64_t tags;
	struct index_file *file;

	publish(f->r, &p);
	blocks = (first + ROWS * INDEXFILE_ROW_LEN) / INDEXFILE_BLOCK;
	assert_true(blocks > TAGS + 5);
	for (uint64_t k = 0; k < blocks; k += 7) {
		uint64_t bad = INDEXFILE_HEADER_LEN + k * INDEXFILE_BLOCK + 997 * k % INDEXFILE_BLOCK;

		assert_true(support_disk_flip(f->disk, path, bad));
		file = open_table(f->r, 1);
		for (uint64_t i = 0; i < ROWS; i += 13) {
			uint64_t from = first + i * INDEXFILE_ROW_LEN, to = from + INDEXFILE_ROW_LEN - 1;
			bool hit = from / INDEXFILE_BLOCK == k || to / INDEXFILE_BLOCK == k;

			assert_int_equal(index_file_row(file, i, &row), hit ? ERR_AUTH : OK);
		}
		index_file_close(file);
		assert_true(support_disk_flip(f->disk, path, bad));
	}
	/* The last tag of the first block of tags. */
	file = open_table(f->r, 1);
	tags = index_file_len(file) - INDEXFILE_TAG_LEN * (2 + blocks + 1);
	index_file_close(file);
	assert_true(support_disk_flip(f->disk, path, tags + INDEXFILE_BLOCK - 1));
	file = open_table(f->r, 1);
	for (uint64_t i = 0; i < ROWS; i += 13) {
		bool hit = (first + i * INDEXFILE_ROW_LEN) / INDEXFILE_BLOCK < TAGS;

		assert_int_equal(index_file_row(file, i, &row), hit ? ERR_AUTH : OK);
	}
	index_file_close(file);
	free(rows);
}

/* IX-2: header and tags of tags are under the MAC; IX-1: lengths and versions. */
static void
test_head_damage(void **state)
{
	static const struct {
		uint64_t off;
		int rc;
	} flips[] = {
		{ 0, ERR_CORRUPT },             /* magic */
		{ 8, ERR_UNSUPPORTED },         /* version 0 */
		{ 20, ERR_AUTH },               /* repository id */
		{ 40, ERR_AUTH },               /* nonce */
		{ 64, ERR_AUTH },               /* number */
		{ 120, ERR_CORRUPT },           /* packs: the length is another then */
		{ 150, ERR_CORRUPT },           /* reserved */
		{ 230, ERR_AUTH },              /* MAC */
	};
	struct fixture *f = *state;
	struct indexfile_row *rows = make_rows(100);
	struct plan p = plan_rows(4, rows, 100);
	const char *path = "index/0000000000000004";
	uint64_t size;

	publish(f->r, &p);
	for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
		assert_true(support_disk_flip(f->disk, path, flips[i].off));
		assert_int_equal(open_result(f->r, path), flips[i].rc);
		assert_true(support_disk_flip(f->disk, path, flips[i].off));
	}
	assert_int_equal(open_result(f->r, path), OK);
	assert_int_equal(io_stat(f->r->io, path, &size), OK);
	assert_true(support_disk_flip(f->disk, path, size - 1));
	assert_int_equal(open_result(f->r, path), ERR_AUTH);
	for (uint64_t cut = 1; cut < size; cut += 301) {
		assert_true(support_disk_cut(f->disk, path, size - cut));
		assert_int_equal(open_result(f->r, path), ERR_CORRUPT);
	}
	assert_true(support_disk_cut(f->disk, path, 0));
	assert_int_equal(open_result(f->r, path), ERR_CORRUPT);
	assert_true(support_disk_remove(f->disk, path));
	assert_int_equal(open_result(f->r, path), ERR_ABSENT);
	free(rows);
}

/* Copy a file between repositories, or to another name. */
static void
copy(struct repo *from, const char *path, struct repo *to, const char *name)
{
	uint8_t *raw;
	size_t len;

	assert_int_equal(io_read_file(from->io, path, 1u << 20, &raw, &len), OK);
	assert_int_equal(io_write_file(to->io, name, raw, len), OK);
	free(raw);
}

/* IX-1, GN-3: a good file at another name, in another repository of the same key, or of another key is refused. */
static void
test_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct support_disk *other_disk = support_disk_new();
	struct repo *other;
	const uint8_t master[32] = { 'x' };
	struct plan p = { .h = { .kind = INDEXFILE_TABLE, .number = 4 }, .rows = some_rows, .row_count = 0 };
	struct keys *keys, *mine;

	publish(f->r, &p);
	copy(f->r, "index/0000000000000004", f->r, "index/0000000000000005");
	assert_int_equal(open_result(f->r, "index/0000000000000005"), ERR_AUTH);
	copy(f->r, "index/0000000000000004", f->r, "tmp/0000000000000004");
	assert_int_equal(open_result(f->r, "tmp/0000000000000004"), OK);
	copy(f->r, "index/0000000000000004", f->r, "index/something");
	assert_int_equal(open_result(f->r, "index/something"), ERR_AUTH);
	assert_int_equal(support_store_init(other_disk, &other), OK);
	copy(f->r, "index/0000000000000004", other, "index/0000000000000004");
	assert_int_equal(open_result(other, "index/0000000000000004"), ERR_AUTH);
	assert_int_equal(keys_new(master, &keys), OK);
	mine = f->r->keys;
	f->r->keys = keys;
	assert_int_equal(open_result(f->r, "index/0000000000000004"), ERR_AUTH);
	f->r->keys = mine;
	keys_free(keys);
	repo_close(other);
	support_disk_free(other_disk);
}

/* GN-6, PB-8: whatever write or sync fails, the builder says so and leaves no file behind. */
static void
test_build_fails(void **state)
{
	struct fixture *f = *state;
	struct indexfile_row *rows = make_rows(4000);
	struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = 1 };
	uint64_t len, size, n;
	int rc = ERR_IO;

	for (n = 1; rc; n++) {
		struct indexbuild *b;

		support_disk_fail(f->disk, SUPPORT_WRITES & ~SUPPORT_BIT(SUPPORT_UNLINK), n, ENOSPC, false);
		rc = indexbuild_begin(f->r, "tmp/0000000000000001", &h, 4000, &b);
		if (rc)
			goto checked;
		if ((rc = indexbuild_pack(b, &one_pack)) == OK)
			rc = indexbuild_frame(b, &one_frame);
		for (size_t i = 0; rc == OK && i < 4000; i++)
			rc = indexbuild_row(b, &rows[i]);
		if (rc)
			indexbuild_abort(b);
		else
			rc = indexbuild_end(b, &len);
checked:
		assert_true((rc == OK) == (support_disk_failures(f->disk) == 0));
		if (rc)
			assert_int_equal(io_stat(f->r->io, "tmp/0000000000000001", &size), ERR_ABSENT);
	}
	assert_true(n > 6);
	support_disk_fail(f->disk, 0, 0, 0, false);
	assert_int_equal(open_result(f->r, "tmp/0000000000000001"), OK);
	free(rows);
}

/* ------------------------------------------------------------------------------------------------ the view */

static const struct indexfile_frame wide_frame = { .off = 160, .len = 4000, .chunks = 100, .live = 100 };

static struct indexfile_pack
pack_named(uint8_t n, uint32_t kind)
{
	return (struct indexfile_pack){ .name = { { n } }, .bytes = 5000, .live_bytes = 4000, .frames = 1, .live_frames = 1,
		.kind = kind };
}

/* A table or segment of one pack with these rows. */
static void
put_file(struct fixture *f, struct plan p, uint8_t pack, const struct indexfile_row *rows, size_t n)
{
	struct indexfile_pack row = pack_named(pack, PACKFILE_META);

	p.packs = &row;
	p.pack_count = 1;
	p.frames = &wide_frame;
	p.frame_count = 1;
	p.rows = rows;
	p.row_count = n;
	publish(f->r, &p);
}

static struct plan
table(uint64_t number, const uint64_t *keeps, size_t keep_count)
{
	return (struct plan){ .h = { .kind = INDEXFILE_TABLE, .number = number }, .keeps = keeps, .keep_count = keep_count };
}

static struct plan
segment(uint8_t sid)
{
	return (struct plan){ .h = { .kind = INDEXFILE_SEGMENT, .sid = { { sid } } } };
}

static struct indexfile_row
row_of(uint8_t id, uint32_t refs, uint32_t uses, uint8_t depth)
{
	return (struct indexfile_row){ .id = { { id } }, .refs = refs, .uses = uses, .type = FRAME_TREE, .depth = depth };
}

/* The pack in which the view finds the chunk; 0: not there. */
static uint8_t
find(struct index *ix, uint8_t id, bool *reusable)
{
	struct name name = { { id } };
	struct index_place place;
	int rc = index_find(ix, &name, &place, reusable);

	assert_true(rc == FOUND || rc == OK);
	return rc == FOUND ? place.pack_name.b[0] : 0;
}

static struct index *
load(struct fixture *f)
{
	struct index *ix;

	assert_int_equal(index_load(f->r, &ix), OK);
	return ix;
}

/* IX-6: no table is an empty table of number 0. */
static void
test_load_empty(void **state)
{
	struct fixture *f = *state;
	struct index *ix = load(f);
	bool reusable;

	assert_int_equal(index_head_number(ix), 0);
	assert_int_equal(index_table_count(ix), 0);
	assert_int_equal(index_segment_count(ix), 0);
	assert_int_equal(find(ix, 1, &reusable), 0);
	index_free(ix);
}

/* IX-6, GN-4: the head is the highest number; tables that it does not keep and unknown names are ignored; newer rows hide. */
static void
test_load_tables(void **state)
{
	struct fixture *f = *state;
	const uint64_t keeps[] = { 7, 2 };
	struct indexfile_row two[] = { row_of(1, 1, 0, 0), row_of(2, 1, 0, 0), row_of(3, 1, 0, 0) };
	struct indexfile_row five[] = { row_of(1, 1, 0, 0), row_of(4, 1, 0, 0) };
	struct indexfile_row seven[] = { row_of(2, 1, 0, 0), { .id = { { 3 } }, .frame = INDEXFILE_NO_FRAME, .type = FRAME_TREE } };
	struct indexfile_row ten[] = { row_of(5, 1, 0, 0) };
	struct index *ix;

	put_file(f, table(2, NULL, 0), 22, two, 3);
	put_file(f, table(5, NULL, 0), 55, five, 2);
	put_file(f, table(7, NULL, 0), 77, seven, 2);
	put_file(f, table(10, keeps, 2), 110, ten, 1);
	assert_int_equal(io_write_file(f->r->io, "index/junk", "x", 1), OK);
	assert_int_equal(io_write_file(f->r->io, "index/0000000000000000", "x", 1), OK);
	assert_int_equal(io_write_file(f->r->io, "index/00000000000000FF", "x", 1), OK);
	ix = load(f);
	assert_int_equal(index_head_number(ix), 10);
	assert_int_equal(index_table_count(ix), 3);
	assert_int_equal(find(ix, 1, NULL), 22);
	assert_int_equal(find(ix, 2, NULL), 77);
	assert_int_equal(find(ix, 3, NULL), 0);
	assert_int_equal(find(ix, 4, NULL), 0);
	assert_int_equal(find(ix, 5, NULL), 110);
	index_free(ix);
}

/* IX-6: a kept table that is missing is damage, not an empty table; so is any file that does not authenticate. */
static void
test_load_missing(void **state)
{
	struct fixture *f = *state;
	const uint64_t keeps[] = { 1 };
	struct indexfile_row row = row_of(1, 1, 0, 0);
	struct index *ix;

	put_file(f, table(1, NULL, 0), 1, &row, 1);
	put_file(f, table(2, keeps, 1), 2, &row, 0);
	ix = load(f);
	index_free(ix);
	assert_true(support_disk_remove(f->disk, "index/0000000000000001"));
	assert_int_equal(index_load(f->r, &ix), ERR_CORRUPT);
	assert_null(ix);
	put_file(f, table(1, NULL, 0), 1, &row, 1);
	put_file(f, segment(9), 3, &row, 1);
	ix = load(f);
	assert_int_equal(index_segment_count(ix), 1);
	index_free(ix);
	assert_true(support_disk_flip(f->disk, "index/09000000000000000000000000000000-00000000", 50));
	assert_int_equal(index_load(f->r, &ix), ERR_AUTH);
	/* GN-5: what cannot be read is not absent. */
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_OPEN), 1, EIO, false);
	assert_int_equal(index_load(f->r, &ix), ERR_IO);
}

/* IX-6: a segment that the head removes is ignored, however good it looks; other parts of the session are not. */
static void
test_load_removed(void **state)
{
	struct fixture *f = *state;
	const struct indexfile_remove removes[] = {
		{ .kind = INDEXFILE_DEAD_SEGMENT, .part = 1, .name = { { 4 } } },
		{ .kind = INDEXFILE_DEAD_RECORD, .name = { { 6 } } },
	};
	struct plan head = table(1, NULL, 0), part = segment(4);
	struct indexfile_row a = row_of(1, 1, 0, 0), b = row_of(2, 1, 0, 0), c = row_of(3, 1, 0, 0);
	struct index *ix;

	put_file(f, part, 41, &a, 1);
	part.h.number = 1;
	put_file(f, part, 42, &b, 1);
	put_file(f, segment(6), 61, &c, 1);
	head.removes = removes;
	head.remove_count = 2;
	put_file(f, head, 1, &a, 0);
	ix = load(f);
	assert_int_equal(index_segment_count(ix), 2);
	assert_int_equal(find(ix, 1, NULL), 41);
	assert_int_equal(find(ix, 2, NULL), 0);
	assert_int_equal(find(ix, 3, NULL), 61);
	assert_int_equal(index_removed(ix, &removes[0]), FOUND);
	assert_int_equal(index_removed(ix, &removes[1]), FOUND);
	index_free(ix);
}

/* CH-3: of several copies the least deep, wherever it is: only that order keeps two copies from being each other's base. */
static void
test_least_deep(void **state)
{
	struct fixture *f = *state;
	struct indexfile_row in_table[] = { row_of(1, 1, 0, 2), row_of(2, 1, 0, 0), row_of(3, 1, 0, 5) };
	struct indexfile_row in_first[] = { row_of(1, 1, 0, 1), row_of(2, 1, 0, 1), row_of(3, 1, 0, 4), row_of(4, 1, 0, 3) };
	struct indexfile_row in_last[] = { row_of(1, 1, 0, 3), row_of(2, 1, 0, 2), row_of(3, 1, 0, 3), row_of(4, 1, 0, 2) };
	struct index *ix;

	put_file(f, table(1, NULL, 0), 1, in_table, 3);
	put_file(f, segment(2), 2, in_first, 4);
	put_file(f, segment(3), 3, in_last, 4);
	ix = load(f);
	assert_int_equal(find(ix, 1, NULL), 2);
	assert_int_equal(find(ix, 2, NULL), 1);
	assert_int_equal(find(ix, 3, NULL), 3);
	assert_int_equal(find(ix, 4, NULL), 3);
	index_free(ix);
}

/* Among copies of one depth the newest: it was stored because somebody missed the other one's pack. */
static void
test_newest_of_equals(void **state)
{
	struct fixture *f = *state;
	struct indexfile_row row = row_of(1, 1, 0, 0);
	struct index *ix;

	put_file(f, table(1, NULL, 0), 1, &row, 1);
	put_file(f, segment(2), 2, &row, 1);
	ix = load(f);
	assert_int_equal(find(ix, 1, NULL), 2);
	index_free(ix);
}

static bool
may_reuse(struct index *ix, uint8_t id)
{
	bool reusable = false;

	(void)find(ix, id, &reusable);
	return reusable;
}

/* IX-8: a hollow node may not be named (its children are not counted), data and what a segment places may. */
static void
test_reusable(void **state)
{
	struct fixture *f = *state;
	struct indexfile_row in_table[] = { row_of(1, 1, 0, 0), row_of(2, 0, 3, 0), row_of(3, 0, 1, 0), row_of(4, 0, 1, 0) };
	struct indexfile_row in_segment[] = { row_of(3, 0, 0, 0), row_of(4, 2, 0, 0), row_of(5, 1, 0, 0) };
	struct index *ix;

	in_table[1].type = FRAME_DATA;
	in_segment[1].frame = in_segment[2].frame = INDEXFILE_NO_FRAME;
	put_file(f, table(1, NULL, 0), 1, in_table, 4);
	put_file(f, segment(2), 2, in_segment, 3);
	ix = load(f);
	assert_true(may_reuse(ix, 1));
	assert_true(may_reuse(ix, 2));                  /* data without references */
	assert_true(may_reuse(ix, 3));                  /* hollow, but stored again by a session */
	assert_false(may_reuse(ix, 4));                 /* hollow; a segment only counts it */
	assert_false(may_reuse(ix, 5));                 /* counted, placed nowhere */
	assert_false(may_reuse(ix, 6));
	index_free(ix);
}

static void
test_add_segment(void **state)
{
	struct fixture *f = *state;
	struct indexfile_row row = row_of(1, 1, 0, 0);
	struct index *ix = load(f);
	uint32_t no, again;
	struct indexfile_pack pack = { .name = { { 2 } } };

	put_file(f, segment(2), 2, &row, 1);
	assert_int_equal(find(ix, 1, NULL), 0);
	assert_int_equal(index_add_segment(ix, "index/02000000000000000000000000000000-00000000"), OK);
	assert_int_equal(find(ix, 1, NULL), 2);
	assert_int_equal(index_segment_count(ix), 1);
	assert_int_equal(index_pack_number(ix, &pack, &no), OK);
	for (unsigned i = 0; i < 200; i++) {
		struct indexfile_pack other = { .name = id_of(i) };

		assert_int_equal(index_pack_number(ix, &other, &again), OK);
		assert_true(again != no);
	}
	assert_int_equal(index_pack_number(ix, &pack, &again), OK);
	assert_int_equal(again, no);
	assert_int_equal(index_pack_count(ix), 201);
	index_free(ix);
}

#define SEGMENTS 70u                    /* more than a sieve has bits */
#define SEGMENT_ROWS 40u

/* Row i of segment n; the first is in all of them. */
static struct name
many_id(unsigned n, unsigned i)
{
	struct name id = id_of(i == 0 ? 7 : 1000 + n * SEGMENT_ROWS + i);

	id.b[0] = (uint8_t)(i * 6);             /* rows are in order */
	return id;
}

static void
put_many(struct fixture *f)
{
	struct indexfile_row rows[SEGMENT_ROWS];

	for (unsigned n = 0; n < SEGMENTS; n++) {
		for (unsigned i = 0; i < SEGMENT_ROWS; i++) {
			rows[i] = row_of(0, 1, 0, (uint8_t)(n == 33 ? 1 : 2));
			rows[i].id = many_id(n, i);
		}
		put_file(f, segment((uint8_t)(n + 1)), (uint8_t)(n + 1), rows, SEGMENT_ROWS);
	}
}

static void
expect_many(struct index *ix)
{
	struct index_place place;
	struct name id;

	for (unsigned n = 0; n < SEGMENTS; n++)
		for (unsigned i = 0; i < SEGMENT_ROWS; i++) {
			id = many_id(n, i);
			assert_int_equal(index_find(ix, &id, &place, NULL), FOUND);
			assert_int_equal(place.pack_name.b[0], i ? n + 1 : 34);
			id.b[31] ^= 1;
			assert_int_equal(index_find(ix, &id, &place, NULL), OK);
		}
}

/* CH-3: one look instead of many finds the same: each, the least deep of all, and what was added afterwards. */
static void
test_many_segments(void **state)
{
	struct fixture *f = *state;
	struct indexfile_row row = row_of(1, 1, 0, 0);
	struct index *ix;

	put_many(f);
	ix = load(f);
	assert_int_equal(index_segment_count(ix), SEGMENTS);
	expect_many(ix);
	expect_many(ix);
	put_file(f, segment(200), 200, &row, 1);
	assert_int_equal(find(ix, 1, NULL), 0);
	assert_int_equal(index_add_segment(ix, "index/c8000000000000000000000000000000-00000000"), OK);
	assert_int_equal(find(ix, 1, NULL), 200);
	index_free(ix);
}

/* It never denies what a segment has, nor what it does not know, and seldom lets pass what no segment has. */
static void
test_sieve(void **state)
{
	struct fixture *f = *state;
	unsigned passed = 0;
	struct index *ix;
	struct sieve *s;
	struct name id;

	put_many(f);
	ix = load(f);
	assert_int_equal(sieve_new(SIEVE_SEGMENTS * SEGMENT_ROWS, &s), OK);
	for (unsigned n = 1; n < SIEVE_SEGMENTS; n++)
		assert_int_equal(sieve_add(s, n, index_segment_at(ix, n)), OK);
	for (unsigned n = 0; n < SIEVE_SEGMENTS; n++)
		for (unsigned i = 0; i < SEGMENT_ROWS; i++) {
			id = many_id(n, i);
			assert_true(sieve_ask(s, &id) >> n & 1);
			assert_true(sieve_ask(s, &id) & 1);     /* was not added */
			id.b[9] ^= 0x55;
			id.b[13] ^= 1;
			passed += sieve_ask(s, &id) != 1;
		}
	assert_in_range(passed, 0, SIEVE_SEGMENTS * SEGMENT_ROWS * 2 / 3);
	sieve_free(s);
	index_free(ix);
}

/* A sieve that cannot be made, as a sector of a segment cannot be read, denies nothing that was found without it. */
static void
test_no_sieve(void **state)
{
	static struct indexfile_row rows[250];
	struct fixture *f = *state;
	struct index_place place;
	struct name id = { { 7 } };
	struct index *ix;

	for (uint8_t n = 1; n <= 8; n++) {
		for (uint8_t i = 0; i < 250; i++) {
			rows[i] = row_of(i, 1, 0, 2);
			rows[i].id.b[1] = n;
		}
		put_file(f, segment(n), n, rows, 250);
	}
	id.b[1] = 3;
	ix = load(f);
	assert_int_equal(index_find(ix, &id, &place, NULL), FOUND);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_READ), 1, EIO, true);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(index_find(ix, &id, &place, NULL), FOUND);
	/* It was tried, and for each segment only once. */
	assert_in_range(support_disk_failures(f->disk), 1, 8);
	index_free(ix);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_impossible, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segment_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_block_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_build_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_least_deep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newest_of_equals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reusable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sieve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_sieve, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
