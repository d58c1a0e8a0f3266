/*
 * fakepack: packs made by hand in a directory of their own, and an index that says where their chunks are: what the tests of
 * reader and tree read.  Includes an index_find of its own, which takes the place of store/index.c.
 */
#ifndef UNIT_FAKEPACK_H
#define UNIT_FAKEPACK_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/frame.h"
#include "format/packfile.h"
#include "store/index.h"
#include "store/reader.h"

#define FAKE_BLOCKS 64
#define FAKE_CHUNKS 256
#define FAKE_ROWS 4096
#define FAKE_CONTEXT (NAME_SID_LEN + FRAME_PREFIX_LEN)

struct fake_row {
	struct name id;
	struct index_place place;
};

struct index {
	struct fake_row row[FAKE_ROWS];
	size_t count;
};

/* Threads that the readers made here read ahead with; 0: none. */
static unsigned fake_ahead;

struct fake {
	char dir[200];
	struct repo repo;
	struct index ix;
	struct reader *rd;
	struct squeeze *sq;
	/* the pack being made */
	struct mem_buf pack;
	uint8_t key[32];
	struct packfile_header header;
	uint32_t lengths[64], frames;
	size_t first_row;               /* of this pack */
	uint32_t pack_count;
	struct name pack_name;          /* of the last one finished */
	/* the frame being made */
	struct frame_block block[FAKE_BLOCKS];
	struct frame_chunk chunk[FAKE_CHUNKS];
	uint32_t blocks, chunks;
	struct mem_buf body, raw;       /* raw: of the block being made */
	/* lies: for the next frame only */
	uint32_t add_ordinal;
	size_t add_body;
	void (*edit_head)(uint8_t *head, size_t len);
};

int
index_find(struct index *ix, const struct name *id, struct index_place *place,
    bool *reusable)
{
	(void)reusable;
	for (size_t i = ix->count; i > 0; i--) {
		if (name_cmp(&ix->row[i - 1].id, id) != 0)
			continue;
		*place = ix->row[i - 1].place;
		return FOUND;
	}
	return OK;
}

static inline struct fake *
fake_new(size_t cache_bytes)
{
	const char *tmp = getenv("TMPDIR");
	const uint8_t master[32] = { 1, 2, 3 };
	struct fake *f = calloc(1, sizeof(*f));
	char path[300];

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%s/varve-unit-XXXXXX",
	    tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/packs", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(io_posix_new(f->dir, false, &f->repo.io), OK);
	assert_int_equal(keys_new(master, &f->repo.keys), OK);
	memset(f->repo.hdr.repo_id.b, 0x5a, NAME_SID_LEN);
	assert_int_equal(squeeze_new(3, &f->sq), OK);
	assert_int_equal(reader_new(&f->repo, &f->ix, cache_bytes, &f->rd), OK);
	if (fake_ahead)
		assert_int_equal(reader_ahead(f->rd, fake_ahead), OK);
	return f;
}

static inline int
fake_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void
fake_free(struct fake *f)
{
	reader_free(f->rd);
	squeeze_free(f->sq);
	keys_free(f->repo.keys);
	io_free(f->repo.io);
	mem_buf_clear(&f->pack);
	mem_buf_clear(&f->body);
	mem_buf_clear(&f->raw);
	nftw(f->dir, fake_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
}

/* Forget what was cached. */
static inline void
fake_reopen(struct fake *f, size_t cache_bytes)
{
	reader_free(f->rd);
	assert_int_equal(reader_new(&f->repo, &f->ix, cache_bytes, &f->rd), OK);
	if (fake_ahead)
		assert_int_equal(reader_ahead(f->rd, fake_ahead), OK);
}

static inline void
fake_id(const struct fake *f, uint8_t type, const void *p, size_t len,
    struct name *id)
{
	digest_chunk_id(id, f->repo.keys->id, type, p, len);
}

static inline void
fake_begin(struct fake *f, uint32_t kind)
{
	uint8_t raw[PACKFILE_HEADER_LEN];

	f->frames = 0;
	f->pack.len = 0;
	f->first_row = f->ix.count;
	memset(f->key, (int)(f->pack_count + 1), sizeof(f->key));
	f->header = (struct packfile_header){ .kind = kind };
	memset(f->header.pack_id.b, (int)(0x80 + f->pack_count), NAME_SID_LEN);
	/* once to have the bytes that the wrap covers, once with the wrap */
	f->header.wrap.kind = KEYSLOT_WRAP_SYMMETRIC;
	assert_int_equal(packfile_header_encode(raw, sizeof(raw), &f->header),
	    sizeof(raw));
	keys_wrap(&f->header.wrap, f->repo.keys->pack, "varve pack key",
	    &f->repo.hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT, f->key);
	assert_int_equal(packfile_header_encode(raw, sizeof(raw), &f->header),
	    sizeof(raw));
	assert_int_equal(mem_buf_add(&f->pack, raw, sizeof(raw)), OK);
}

/* A chunk of the block being made, found in the index as `id`. */
static inline void
fake_put_as(struct fake *f, uint8_t type, const void *p, size_t len,
    const struct name *id)
{
	struct fake_row *row = &f->ix.row[f->ix.count++];

	assert_true(f->ix.count <= FAKE_ROWS && f->chunks < FAKE_CHUNKS);
	row->id = *id;
	row->place = (struct index_place){ .pack_no = f->pack_count,
	    .pack_kind = f->header.kind, .ordinal = f->frames,
	    .slot = (uint16_t)f->chunks, .type = type,
	    .off = (uint32_t)f->pack.len };
	f->chunk[f->chunks++] = (struct frame_chunk){ .type = type,
	    .len = (uint32_t)len, .id = *id };
	f->block[f->blocks].chunk_count++;
	assert_int_equal(mem_buf_add(&f->raw, p, len), OK);
}

static inline void
fake_put(struct fake *f, uint8_t type, const void *p, size_t len,
    struct name *id)
{
	fake_id(f, type, p, len, id);
	fake_put_as(f, type, p, len, id);
}

/* End the block; base as for squeeze_pack, with base_id and depth for FRAME_DELTA. */
static inline void
fake_block(struct fake *f, uint8_t codec, const struct name *base_id,
    const void *base, size_t base_len, uint8_t depth)
{
	struct frame_block *b = &f->block[f->blocks++];
	size_t n = f->raw.len;

	assert_true(f->blocks < FAKE_BLOCKS);
	b->codec = codec;
	b->depth = depth;
	b->raw_len = (uint32_t)f->raw.len;
	if (base_id) {
		b->base[0] = *base_id;
		b->base_count = 1;
	}
	assert_int_equal(mem_buf_reserve(&f->body, squeeze_bound(n)), OK);
	if (codec == FRAME_RAW)
		memcpy(f->body.p + f->body.len, f->raw.p, n);
	else
		assert_int_equal(squeeze_pack(f->sq, f->body.p + f->body.len,
		    squeeze_bound(n), f->raw.p, f->raw.len, base, base_len,
		    &n), OK);
	b->stored_len = (uint32_t)n;
	f->body.len += n;
	f->raw.len = 0;
}

static inline void
fake_seal(struct fake *f, const uint8_t *prefix, const char *label,
    const void *p, size_t len)
{
	uint8_t context[FAKE_CONTEXT];
	struct seal_aad aad = { label, &f->repo.hdr.repo_id, context,
	    sizeof(context) };

	memcpy(context, f->header.pack_id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, prefix, FRAME_PREFIX_LEN);
	assert_int_equal(mem_buf_reserve(&f->pack, len + SEAL_OVERHEAD), OK);
	seal_box(f->pack.p + f->pack.len, p, len, f->key, &aad);
	f->pack.len += len + SEAL_OVERHEAD;
}

static inline void
fake_frame(struct fake *f)
{
	uint8_t head[16384], prefix[FRAME_PREFIX_LEN];
	size_t start = f->pack.len, n = frame_head_encode(head, sizeof(head),
	    f->block, f->blocks, f->chunk, f->chunks);
	struct frame_prefix pre = { f->frames + f->add_ordinal,
	    (uint32_t)n + FRAME_SEAL,
	    (uint32_t)(f->body.len + f->add_body) + FRAME_SEAL };

	assert_true(n > 0);
	if (f->edit_head)
		f->edit_head(head, n);
	assert_int_equal(mem_buf_reserve(&f->body, f->add_body + 1), OK);
	memset(f->body.p + f->body.len, 0, f->add_body);
	frame_prefix_encode(prefix, sizeof(prefix), &pre);
	assert_int_equal(mem_buf_add(&f->pack, prefix, sizeof(prefix)), OK);
	fake_seal(f, prefix, "varve frame head", head, n);
	fake_seal(f, prefix, "varve frame body", f->body.p,
	    f->body.len + f->add_body);
	f->lengths[f->frames++] = (uint32_t)(f->pack.len - start);
	for (size_t i = f->ix.count - f->chunks; i < f->ix.count; i++)
		f->ix.row[i].place.len = (uint32_t)(f->pack.len - start);
	memset(f->block, 0, sizeof(f->block));
	f->body.len = f->blocks = f->chunks = f->add_ordinal = 0;
	f->add_body = 0;
	f->edit_head = NULL;
}

static inline void
fake_path(const struct fake *f, const struct name *pack, char *path, size_t cap)
{
	char hex[NAME_HEX];

	name_hex(pack, hex);
	snprintf(path, cap, "%s/packs/%.2s", f->dir, hex);
	mkdir(path, 0700);
	snprintf(path, cap, "%s/packs/%.2s/%s", f->dir, hex, hex);
}

static inline void
fake_end(struct fake *f)
{
	uint32_t n = (uint32_t)((f->pack.len + PACKFILE_BLOCK - 1) /
	    PACKFILE_BLOCK);
	uint64_t sums[64];
	size_t len, cap = packfile_footer_bound(f->frames, n);
	char path[300];
	FILE *out;

	assert_true(n <= 64);
	for (size_t i = 0; i < n; i++) {
		size_t at = i * PACKFILE_BLOCK, left = f->pack.len - at;

		sums[i] = digest_xxh3(f->pack.p + at,
		    left < PACKFILE_BLOCK ? left : PACKFILE_BLOCK);
	}
	assert_int_equal(mem_buf_reserve(&f->pack, cap), OK);
	len = packfile_footer_encode(f->pack.p + f->pack.len, cap, f->lengths,
	    f->frames, sums, n);
	assert_true(len > 0);
	digest_hash(&f->pack_name, f->pack.p + f->pack.len, len);
	f->pack.len += len;
	for (size_t i = f->first_row; i < f->ix.count; i++)
		f->ix.row[i].place.pack_name = f->pack_name;
	f->pack_count++;
	fake_path(f, &f->pack_name, path, sizeof(path));
	assert_non_null(out = fopen(path, "wb"));
	assert_int_equal(fwrite(f->pack.p, 1, f->pack.len, out), f->pack.len);
	assert_int_equal(fclose(out), 0);
}

/* XOR one byte of a pack's file. */
static inline void
fake_flip(const struct fake *f, const struct name *pack, size_t off, uint8_t by)
{
	char path[300];
	uint8_t b;
	int fd;

	fake_path(f, pack, path, sizeof(path));
	assert_true((fd = open(path, O_RDWR)) >= 0);
	assert_int_equal(pread(fd, &b, 1, (off_t)off), 1);
	b ^= by;
	assert_int_equal(pwrite(fd, &b, 1, (off_t)off), 1);
	close(fd);
}

#endif
