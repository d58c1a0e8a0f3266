/*
 * bigindex: an index as large as one likes, in a repository that holds nothing yet; and what a look into it costs.
 *
 *     bigindex REPO KEYFILE build ROWS       table number 1 with ROWS data chunks, in packs that are holes of the right length
 *     bigindex REPO KEYFILE find ROWS COUNT  COUNT chunks that are there and COUNT that are not, each at random: nanoseconds each
 *
 * Chunk i has the i-th id in order, so that rows are written as they are made and any of them can be asked for: its first 64 bits
 * are i scaled to 2^64 with a random rest, the others random, all from i alone.  Snapshots, forget and prune go on top of the table
 * as on any other.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "format/packfile.h"
#include "format/tablesums.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/indexbuild.h"
#include "store/repo.h"
#include "store/sums.h"
#include "sys/clock.h"

#define CHUNKS 16u                      /* in a frame */
#define FRAMES 16u                      /* in a pack */
#define FRAME_BYTES (1u << 20)

struct plan {
	uint64_t rows, frames, packs;
	struct tablesums sums;
};

static uint64_t
mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* The i-th of `rows` ids; salt 0: of the chunks that are there. */
static void
id_of(struct name *id, uint64_t i, uint64_t rows, uint64_t salt)
{
	uint64_t step = UINT64_MAX / rows, first = i * step + mix(2 * i + salt) % step, z = i ^ salt << 32;

	for (int k = 0; k < 8; k++)
		id->b[k] = (uint8_t)(first >> (56 - 8 * k));
	for (int k = 8; k < NAME_LEN; k += 8) {
		z = mix(z);
		memcpy(id->b + k, &z, 8);
	}
}

static uint32_t
frames_of(const struct plan *p, uint64_t pack)
{
	uint64_t left = p->frames - pack * FRAMES;

	return left < FRAMES ? (uint32_t)left : FRAMES;
}

static uint64_t
pack_bytes(uint32_t frames)
{
	uint64_t before = PACKFILE_HEADER_LEN + (uint64_t)frames * FRAME_BYTES;

	return before + 4ull * frames + 8 * ((before + PACKFILE_BLOCK - 1) / PACKFILE_BLOCK) + 24;
}

/* A file without content: nothing in here reads a frame. */
static int
make_hole(const char *repo, const struct name *pack, uint64_t len)
{
	char path[4096], hex[NAME_HEX];
	int fd;

	name_hex(pack, hex);
	snprintf(path, sizeof(path), "%s/packs/%.2s/%s", repo, hex, hex);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)len) || close(fd))
		return fail(ERR_IO, "cannot make the pack '%s'", path);
	return OK;
}

static int
put_packs(struct plan *p, struct indexbuild *b, const char *repo)
{
	struct indexfile_pack row = { .kind = PACKFILE_DATA };
	int rc;

	for (uint64_t i = 0; i < p->packs; i++) {
		row.frames = row.live_frames = frames_of(p, i);
		row.bytes = pack_bytes(row.frames);
		row.live_bytes = (uint64_t)row.frames * FRAME_BYTES;
		id_of(&row.name, i, p->packs, 7);
		sums_add(&p->sums, &row, 1);
		if ((rc = make_hole(repo, &row.name, row.bytes)) || (rc = indexbuild_pack(b, &row)))
			return rc;
	}
	return OK;
}

static uint32_t
chunks_of(const struct plan *p, uint64_t frame)
{
	uint64_t left = p->rows - frame * CHUNKS;

	return left < CHUNKS ? (uint32_t)left : CHUNKS;
}

static int
put_frames(struct plan *p, struct indexbuild *b)
{
	struct indexfile_frame row = { .len = FRAME_BYTES };
	int rc;

	for (uint64_t i = 0; i < p->frames; i++) {
		row.pack = (uint32_t)(i / FRAMES);
		row.ordinal = (uint32_t)(i % FRAMES);
		row.off = PACKFILE_HEADER_LEN + row.ordinal * FRAME_BYTES;
		row.chunks = row.live = chunks_of(p, i);
		if ((rc = indexbuild_frame(b, &row)))
			return rc;
	}
	return OK;
}

/* Places are spread over all packs, as ids are. */
static int
put_rows(struct plan *p, struct indexbuild *b)
{
	struct indexfile_row row = { .refs = 1, .type = FRAME_DATA };
	uint64_t full = p->rows / CHUNKS;
	int rc;

	for (uint64_t i = 0; i < p->rows; i++) {
		/* Row i lies in slot i / full of frame i % full; what is left over fills the last frame. */
		row.frame = (uint32_t)(i < full * CHUNKS ? i % full : full);
		row.slot = (uint16_t)(i < full * CHUNKS ? i / full : i - full * CHUNKS);
		id_of(&row.id, i, p->rows, 0);
		if ((rc = indexbuild_row(b, &row)))
			return rc;
	}
	return OK;
}

static int
build(struct repo *r, const char *repo, uint64_t rows)
{
	struct plan p = { .rows = rows, .frames = (rows + CHUNKS - 1) / CHUNKS };
	struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = 1 };
	char tmp[INDEX_FILE_PATH], path[INDEX_FILE_PATH];
	uint8_t sums[TABLESUMS_LEN];
	struct indexbuild *b;
	struct index *ix;
	uint64_t len;
	int rc;

	p.packs = (p.frames + FRAMES - 1) / FRAMES;
	if ((rc = index_load(r, &ix)))
		return rc;
	if (index_table_count(ix) || index_segment_count(ix))
		rc = fail(ERR_EXISTS, "there is something in '%s' already", repo);
	index_free(ix);
	index_file_table_path(tmp, "tmp", 1);
	index_file_table_path(path, "index", 1);
	if (rc || (rc = indexbuild_begin(r, tmp, &h, rows, &b)))
		return rc;
	if ((rc = put_packs(&p, b, repo)) || (rc = put_frames(&p, b)) || (rc = put_rows(&p, b))) {
		indexbuild_abort(b);
		return rc;
	}
	indexbuild_extra(b, INDEXFILE_SUMS, sums, tablesums_encode(sums, sizeof(sums), &p.sums));
	if ((rc = indexbuild_end(b, &len)) || (rc = io_rename(r->io, tmp, path)))
		return rc;
	printf("%llu rows, %llu packs, a table of %llu bytes\n", (unsigned long long)rows, (unsigned long long)p.packs, (unsigned long long)len);
	return OK;
}

static int
find(struct repo *r, uint64_t rows, uint64_t count, uint64_t salt, const char *what)
{
	int64_t begin = clock_steady_ns();
	struct index_place place;
	struct index *ix;
	struct name id;
	int64_t opened;
	int rc = index_load(r, &ix);

	if (rc)
		return rc;
	opened = clock_steady_ns();
	for (uint64_t i = 0; i < count; i++) {
		id_of(&id, mix(i ^ salt << 40) % rows, rows, salt);
		if ((rc = index_find(ix, &id, &place, NULL)) < 0)
			goto out;
		if ((rc == FOUND) != (salt == 0)) {
			rc = fail(ERR_FAILED, "this is not the index of %llu rows", (unsigned long long)rows);
			goto out;
		}
	}
	rc = OK;
	printf("%s: opened in %.1f us, %.0f ns each of %llu\n", what, (double)(opened - begin) / 1e3,
	    (double)(clock_steady_ns() - opened) / (double)count, (unsigned long long)count);
out:
	index_free(ix);
	return rc;
}

static int
open_repo(const char *dir, const char *key_path, struct repo **out)
{
	uint8_t key[32];
	struct keys_secret secret = { KEYSLOT_KEYFILE, key, sizeof(key) };
	int fd = open(key_path, O_RDONLY | O_CLOEXEC), rc;
	bool good = fd >= 0 && read(fd, key, sizeof(key)) == (ssize_t)sizeof(key);

	if (fd >= 0)
		(void)close(fd);
	if (!good)
		return fail(ERR_IO, "cannot read the key file '%s'", key_path);
	if ((rc = repo_open_dir(dir, out)))
		return rc;
	return repo_unlock(*out, &secret);
}

int
main(int argc, char **argv)
{
	uint64_t rows = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	uint64_t count = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
	bool building = argc == 5 && strcmp(argv[3], "build") == 0;
	struct repo *r = NULL;
	int rc;

	if (rows == 0 || !(building || (argc == 6 && strcmp(argv[3], "find") == 0 && count > 0))) {
		fprintf(stderr, "usage: bigindex REPO KEYFILE build ROWS | bigindex REPO KEYFILE find ROWS COUNT\n");
		return 2;
	}
	if ((rc = open_repo(argv[1], argv[2], &r)))
		goto out;
	if (building)
		rc = build(r, argv[1], rows);
	else if ((rc = find(r, rows, count, 0, "there")) == OK)
		rc = find(r, rows, count, 5, "not there");
out:
	if (rc < 0)
		fprintf(stderr, "bigindex: %s\n", err_text());
	repo_close(r);
	return rc < 0 ? 1 : 0;
}
