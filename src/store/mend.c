/*
 * mend: one pass over the object finds the bad blocks; a second one, over the groups that have some, solves for them; the rest is copied.
 *
 *     tmp/mend-... written, synced, proven -> damaged one renamed into damaged/, synced -> tmp renamed to its name, synced
 *
 * A crash in between leaves the damaged object at its place or in damaged/, where the next attempt finds its good blocks.
 */
#include "store/mend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/rs.h"
#include "format/repohdr.h"
#include "store/blocksum.h"
#include "store/packcheck.h"
#include "sys/entropy.h"

#define ASIDE_MAX 1000u                 /* objects of one name in damaged/ that are numbered */
#define ASIDE_PATH 120

static bool
is_damage(int rc)
{
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_IO;
}

/* An object being compared or rebuilt. */
struct mend {
	struct repo *r;
	const struct parity *p;
	const struct sidecar_shape *sh;
	struct io_file *in;             /* NULL: it is missing */
	uint64_t size;                  /* of it */
	uint8_t *bad;                   /* one byte for each data block */
	uint8_t *block;
	uint8_t *sum[SIDECAR_PARITY_MAX];
};

/* A block of a file compared with its checksum: FOUND, OK when it is bad, or an error. */
static int
read_block(struct mend *m, struct io_file *f, uint64_t off, size_t len, const uint8_t *sums, uint64_t i, uint8_t *buf)
{
	struct blocksum b = { .sums = sums };
	int rc = io_read_at(m->r->io, f, off, buf, len);

	if (rc && !is_damage(rc))
		return rc;
	return rc == OK && blocksum_fits(&b, i, buf, len) ? FOUND : OK;
}

static int
data_block(struct mend *m, uint64_t i)
{
	uint64_t off = i * m->sh->block;
	size_t len = sidecar_block_len(m->sh, i);

	if (!m->in || off >= m->size || len > m->size - off)
		return OK;
	return read_block(m, m->in, off, len, m->p->s.data_sums, i, m->block);
}

static int
parity_block(struct mend *m, uint64_t group, uint32_t i, uint8_t *buf)
{
	uint32_t len = sidecar_parity_len(m->sh, group);

	return read_block(m, m->p->file, sidecar_parity_off(m->sh, group) + (uint64_t)i * len, len, m->p->s.parity_sums,
	    sidecar_first_parity(m->sh, group) + i, buf);
}

/* damaged/<first part of the path>-<name>, with a number behind it if that is not 0; above ASIDE_MAX a random one. */
static void
aside_path(char out[static ASIDE_PATH], const char *path, unsigned n)
{
	uint8_t random[8];
	char hex[17] = "";

	int at = snprintf(out, ASIDE_PATH, "damaged/%.*s-%s", (int)strcspn(path, "/"), path, objects_name(path));

	if (n > ASIDE_MAX) {
		entropy_fill(random, sizeof(random));
		name_hex_bytes(random, sizeof(random), hex);
		snprintf(out + at, ASIDE_PATH - (size_t)at, ".%s", hex);
	} else if (n) {
		snprintf(out + at, ASIDE_PATH - (size_t)at, ".%u", n);
	}
}

/* The object; or, if it is missing, the one that was set aside last: most of its blocks may be good. */
static int
open_object(struct repo *r, const char *path, struct io_file **out)
{
	char aside[ASIDE_PATH], next[ASIDE_PATH];
	uint64_t size;
	int rc = io_open(r->io, path, out);

	if (rc != ERR_ABSENT)
		return rc;
	aside_path(aside, path, 0);
	for (unsigned n = 1; n < ASIDE_MAX; n++) {
		aside_path(next, path, n);
		if (io_stat(r->io, next, &size))
			break;
		memcpy(aside, next, sizeof(aside));
	}
	return io_open(r->io, aside, out);
}

static int
mend_init(struct mend *m, struct repo *r, const struct parity *p, const char *path)
{
	int rc;

	*m = (struct mend){ .r = r, .p = p, .sh = &p->s.shape };
	rc = open_object(r, path, &m->in);
	if (rc == OK)
		rc = io_size(r->io, m->in, &m->size);
	else if (rc == ERR_ABSENT || rc == ERR_CORRUPT)
		rc = OK;
	if (rc || (rc = mem_new((void **)&m->bad, (size_t)sidecar_blocks(m->sh))))
		return rc;
	return mem_new((void **)&m->block, m->sh->block);
}

static void
mend_clear(struct mend *m)
{
	(void)io_close(m->r->io, m->in);
	for (unsigned i = 0; i < SIDECAR_PARITY_MAX; i++)
		free(m->sum[i]);
	free(m->bad);
	free(m->block);
}

/* Which data blocks are bad, in the order of the file. */
static int
find_bad(struct mend *m, int (*bad)(void *arg, uint64_t block), void *arg, struct mend_look *out)
{
	int rc;

	for (uint64_t i = 0; i < sidecar_blocks(m->sh); i++) {
		if ((rc = data_block(m, i)) < 0)
			return rc;
		if (rc == FOUND)
			continue;
		m->bad[i] = 1;
		out->bad++;
		if (bad && (rc = bad(arg, i)))
			return rc;
	}
	return OK;
}

static int
count_parity(struct mend *m, struct mend_look *out)
{
	out->possible = true;
	for (uint64_t g = 0; g < sidecar_groups(m->sh); g++) {
		uint32_t good = 0, lost = 0;

		for (uint32_t i = 0; i < sidecar_group_parity(m->sh, g); i++) {
			int rc = parity_block(m, g, i, m->block);

			if (rc < 0)
				return rc;
			good += rc == FOUND;
			out->bad_parity += rc != FOUND;
		}
		for (uint32_t j = 0; j < sidecar_group_data(m->sh, g); j++)
			lost += m->bad[sidecar_block_at(m->sh, g, j)];
		out->possible = out->possible && lost <= good;
	}
	return OK;
}

int
mend_check_parity(struct repo *r, const struct parity *p, uint8_t *buf, uint64_t *bad, uint64_t *read)
{
	struct mend m = { .r = r, .p = p, .sh = &p->s.shape };
	int rc;

	for (uint64_t g = 0; g < sidecar_groups(m.sh); g++)
		for (uint32_t i = 0; i < sidecar_group_parity(m.sh, g); i++) {
			if ((rc = parity_block(&m, g, i, buf)) < 0)
				return rc;
			*bad += rc != FOUND;
			*read += sidecar_parity_len(m.sh, g);
		}
	return OK;
}

int
mend_look(struct repo *r, const struct parity *p, const char *path, int (*bad)(void *arg, uint64_t block), void *arg,
    struct mend_look *out)
{
	struct mend m;
	uint64_t size = 0;
	int rc;

	*out = (struct mend_look){ 0 };
	rc = io_stat(r->io, path, &size);
	if (rc && rc != ERR_ABSENT)
		return rc;
	out->there = rc == OK;
	out->length = size == p->s.shape.len;
	if ((rc = mend_init(&m, r, p, path)) == OK) {
		if ((rc = find_bad(&m, bad, arg, out)) == OK)
			rc = count_parity(&m, out);
	}
	mend_clear(&m);
	return rc;
}

/* ----------------------------------------------------------------------------------------------------- rebuilding */

/* The lost blocks of a group: *count of them in m->sum, their positions in lost. */
static int
solve(struct mend *m, uint64_t group, unsigned *lost, unsigned *count)
{
	uint32_t k = sidecar_group_data(m->sh, group), len = sidecar_parity_len(m->sh, group);
	unsigned rows[SIDECAR_PARITY_MAX], have = 0;
	int rc;

	*count = 0;
	for (uint32_t j = 0; j < k; j++) {
		if (!m->bad[sidecar_block_at(m->sh, group, j)])
			continue;
		if (*count == sidecar_group_parity(m->sh, group))
			return fail(ERR_CORRUPT, "more blocks are lost than parity can bring back");
		lost[(*count)++] = j;
	}
	for (uint32_t i = 0; have < *count && i < sidecar_group_parity(m->sh, group); i++) {
		if (!m->sum[have] && (rc = mem_new((void **)&m->sum[have], m->sh->block)))
			return rc;
		if ((rc = parity_block(m, group, i, m->sum[have])) < 0)
			return rc;
		rows[have] = i;
		have += rc == FOUND;
	}
	if (have < *count)
		return fail(ERR_CORRUPT, "more blocks are lost than parity can bring back");
	for (uint32_t j = 0; *count && j < k; j++) {
		uint64_t b = sidecar_block_at(m->sh, group, j);

		if (m->bad[b])
			continue;
		if ((rc = data_block(m, b)) != FOUND)
			return rc ? rc : fail(ERR_CORRUPT, "a block that was good is bad now");
		rs_add(RS_BEST, rows, *count, j, m->block, sidecar_block_len(m->sh, b), m->sum);
	}
	rs_solve(RS_BEST, rows, lost, *count, m->sum, len);
	return OK;
}

static int
write_good(struct mend *m, struct io_file *out)
{
	int rc;

	for (uint64_t i = 0; i < sidecar_blocks(m->sh); i++) {
		size_t len = sidecar_block_len(m->sh, i);

		if (m->bad[i]) {
			memset(m->block, 0, len);
		} else if ((rc = data_block(m, i)) != FOUND) {
			return rc ? rc : fail(ERR_CORRUPT, "a block that was good is bad now");
		}
		if ((rc = io_append(m->r->io, out, m->block, len)))
			return rc;
	}
	return OK;
}

static int
write_lost(struct mend *m, struct io_file *out)
{
	struct blocksum sums = { .sums = m->p->s.data_sums };
	unsigned lost[SIDECAR_PARITY_MAX], count;
	int rc;

	for (uint64_t g = 0; g < sidecar_groups(m->sh); g++) {
		if ((rc = solve(m, g, lost, &count)))
			return rc;
		for (unsigned i = 0; i < count; i++) {
			uint64_t b = sidecar_block_at(m->sh, g, lost[i]);
			size_t len = sidecar_block_len(m->sh, b);

			if (!blocksum_fits(&sums, b, m->sum[i], len))
				return fail(ERR_CORRUPT, "what parity gives is not what was there");
			if ((rc = io_write_at(m->r->io, out, b * m->sh->block, m->sum[i], len)))
				return rc;
		}
	}
	return OK;
}

static int
prove_pack(struct repo *r, struct io_file *f, const struct name *name)
{
	struct blocksum b = { .block = PACKFILE_BLOCK };
	struct packcheck pc;
	uint8_t *buf;
	uint64_t off;
	int rc;

	if ((rc = packcheck_footer(r->io, f, name, &pc)))
		return rc;
	b.len = pc.size - pc.len;
	b.sums = pc.footer.checksums;
	rc = mem_new((void **)&buf, PACKFILE_BLOCK);
	for (off = 0; rc == OK && off < b.len; off += PACKFILE_BLOCK) {
		size_t n = b.len - off < PACKFILE_BLOCK ? (size_t)(b.len - off) : PACKFILE_BLOCK;

		if ((rc = io_read_at(r->io, f, off, buf, n)) == OK && !blocksum_fits(&b, off / PACKFILE_BLOCK, buf, n))
			rc = fail(ERR_AUTH, "what was rebuilt is not the pack of this name");
	}
	free(buf);
	packcheck_clear(&pc);
	return rc;
}

/* What an object says of itself; what is sealed was compared with the sidecar's checksums, block by block. */
static int
prove(struct repo *r, enum objects_kind kind, const char *path, const char *object)
{
	uint8_t raw[REPOHDR_LEN];
	struct repohdr h;
	struct io_file *f;
	struct name name;
	int rc;

	if (kind != OBJECTS_PACK && kind != OBJECTS_HEADER)
		return OK;
	if ((rc = io_open(r->io, path, &f)))
		return rc;
	if (kind == OBJECTS_PACK) {
		rc = name_unhex(&name, objects_name(object)) ? prove_pack(r, f, &name) : fail(ERR_FAILED, "no name of a pack");
	} else if ((rc = io_read_at(r->io, f, 0, raw, sizeof(raw))) == OK &&
	    (rc = err_verdict(repohdr_decode(&h, raw, sizeof(raw)), "repository header")) == OK) {
		digest_hash(&name, raw, REPOHDR_COVERED);
		rc = name_cmp(&name, &h.checksum) ? fail(ERR_CORRUPT, "bad repository header") : OK;
	}
	(void)io_close(r->io, f);
	return rc;
}

static void
parent_dir(char out[static OBJECTS_PATH], const char *path)
{
	snprintf(out, OBJECTS_PATH, "%.*s", objects_name(path) > path ? (int)(objects_name(path) - path) - 1 : 0, path);
}

int
mend_move_aside(struct repo *r, const char *path)
{
	char to[ASIDE_PATH];
	unsigned n = 0;
	int rc;

	do {
		aside_path(to, path, n);
		rc = io_rename(r->io, path, to);
		if (rc == ERR_ABSENT && n == 0 && (rc = io_mkdir(r->io, "damaged")) == OK)
			rc = io_rename(r->io, path, to);
	} while (rc == ERR_EXISTS && n++ <= ASIDE_MAX);
	return rc;
}

int
mend_set_aside(struct repo *r, const char *path)
{
	char dir[OBJECTS_PATH];
	int rc = mend_move_aside(r, path);

	parent_dir(dir, path);
	if (rc || (rc = io_sync_dir(r->io, "damaged")))
		return rc;
	return io_sync_dir(r->io, dir);
}

static int
publish(struct repo *r, const char *tmp, const char *path, bool there)
{
	char dir[OBJECTS_PATH];
	int rc;

	parent_dir(dir, path);
	if (there && (rc = mend_set_aside(r, path)))
		return rc;
	rc = io_rename(r->io, tmp, path);
	if (rc == ERR_ABSENT && ((rc = io_mkdir(r->io, dir)) == OK || rc == ERR_EXISTS))
		rc = io_rename(r->io, tmp, path);
	return rc ? rc : io_sync_dir(r->io, dir);
}

int
mend_object(struct repo *r, const struct parity *p, enum objects_kind kind, const char *path)
{
	struct mend_look look = { 0 };
	struct io_file *out = NULL;
	char tmp[PARITY_TMP], hex[17];
	uint8_t random[8];
	struct mend m;
	uint64_t size;
	int rc, rc2;

	entropy_fill(random, sizeof(random));
	name_hex_bytes(random, sizeof(random), hex);
	snprintf(tmp, sizeof(tmp), "tmp/mend-%s", hex);
	if ((rc = mend_init(&m, r, p, path)) || (rc = find_bad(&m, NULL, NULL, &look)) || (rc = count_parity(&m, &look)))
		goto out;
	if (!look.possible) {
		rc = fail(ERR_CORRUPT, "more blocks are lost than parity can bring back");
		goto out;
	}
	if ((rc = io_create(r->io, tmp, &out)))
		goto out;
	if ((rc = write_good(&m, out)) == OK && (rc = write_lost(&m, out)) == OK)
		rc = io_sync(r->io, out);
	rc2 = io_close(r->io, out);
	rc = rc ? rc : rc2;
	if (rc == OK && (rc = prove(r, kind, tmp, path)) == OK) {
		rc2 = io_stat(r->io, path, &size);
		rc = rc2 && rc2 != ERR_ABSENT ? rc2 : publish(r, tmp, path, rc2 == OK);
	}
	if (rc)
		io_discard(r->io, tmp);
out:
	mend_clear(&m);
	return rc;
}

/* Are both files, from `off` to the end, equal and of one length?  FOUND or OK. */
static int
same_end(struct repo *r, const char *a, const char *b, uint64_t off)
{
	uint8_t *x = NULL, *y = NULL;
	size_t xlen, ylen;
	int rc;

	/* The first is ours; the second may have any length. */
	if ((rc = io_read_file(r->io, a, SIZE_MAX / 2, &x, &xlen)) || (rc = io_read_file(r->io, b, xlen, &y, &ylen)))
		rc = is_damage(rc) ? OK : rc;
	else
		rc = xlen == ylen && xlen > off && memcmp(x + off, y + off, xlen - off) == 0 ? FOUND : OK;
	free(x);
	free(y);
	return rc;
}

int
mend_sidecar(struct repo *r, const struct parity *p, enum objects_kind kind, const char *path, bool proven)
{
	struct sidecar_shape shape = PARITY_DEFAULT;
	char tmp[PARITY_TMP];
	uint64_t size;
	int rc;

	if (p->state == PARITY_WHOLE) {
		shape = p->s.shape;
		proven = true;          /* its checksums prove the object: the caller has compared */
	}
	proven = proven || kind == OBJECTS_PACK || kind == OBJECTS_HEADER;
	if ((rc = prove(r, kind, path, path)) || (rc = io_stat(r->io, path, &size)) ||
	    (rc = parity_make_tmp(r, kind, path, &shape, tmp)))
		return rc;
	shape.len = size;
	if (!proven && (rc = same_end(r, tmp, p->path, sidecar_header_len(&shape))) == OK)
		rc = fail(ERR_CORRUPT, "the object and its sidecar contradict each other");
	if (rc < 0 || ((rc = io_unlink(r->io, p->path)) && rc != ERR_ABSENT) || (rc = io_rename(r->io, tmp, p->path)))
		io_discard(r->io, tmp);
	return rc;
}

int
mend_replace(struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape)
{
	char tmp[PARITY_TMP];
	int rc = parity_make_tmp(r, kind, path, shape, tmp);

	if (rc)
		return rc;
	if ((rc = parity_drop(r->io, kind, objects_name(path), NULL)) == OK)
		rc = parity_place(r->io, kind, objects_name(path), tmp);
	if (rc)
		io_discard(r->io, tmp);
	return rc;
}
