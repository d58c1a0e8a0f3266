#include "store/parity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/rs.h"
#include "store/blocksum.h"
#include "store/packcheck.h"
#include "sys/entropy.h"

#define HEADER_MAX (64u << 20)

/* ------------------------------------------------------------------------------------------------------- places */

static void
parity_dir(char out[static PARITY_PATH], enum objects_kind kind, const char *name)
{
	switch (kind) {
	case OBJECTS_HEADER:
		snprintf(out, PARITY_PATH, "parity");
		break;
	case OBJECTS_SLOT:
		snprintf(out, PARITY_PATH, "parity/keys");
		break;
	case OBJECTS_RECORD:
		snprintf(out, PARITY_PATH, "parity/snapshots");
		break;
	case OBJECTS_INDEX:
		snprintf(out, PARITY_PATH, "parity/index");
		break;
	case OBJECTS_PACK:
		snprintf(out, PARITY_PATH, "parity/%.2s", name);
		break;
	}
}

void
parity_path(char out[static PARITY_PATH], enum objects_kind kind, const char *name)
{
	char dir[PARITY_PATH];

	parity_dir(dir, kind, name);
	snprintf(out, PARITY_PATH, "%.20s/%.64s", dir, name);
}

int
parity_drop(struct io *io, enum objects_kind kind, const char *name, bool *gone)
{
	char path[PARITY_PATH];
	int rc;

	parity_path(path, kind, name);
	rc = io_unlink(io, path);
	if (rc == OK && gone)
		*gone = true;
	return rc == ERR_ABSENT ? OK : rc;
}

int
parity_drop_synced(struct io *io, enum objects_kind kind, const char *name)
{
	char dir[PARITY_PATH];
	bool gone = false;
	int rc = parity_drop(io, kind, name, &gone);

	if (rc || !gone)
		return rc;
	parity_dir(dir, kind, name);
	return io_sync_dir(io, dir);
}

/* ------------------------------------------------------------------------------------------------------- making */

struct maker {
	struct io *io;
	struct io_file *in, *out;
	struct sidecar s;
	struct packcheck pack;          /* of a pack: proves what is read */
	uint8_t *data_sums, *parity_sums;       /* u64, little-endian */
	uint8_t *block;
	uint8_t *parity[SIDECAR_PARITY_MAX];
};

static void
put_sum(uint8_t *at, const void *p, size_t len)
{
	uint64_t sum = digest_xxh3(p, len);

	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(sum >> (8 * i));
}

/* Is this part of a pack what its footer says? */
static bool
pack_proves(const struct maker *m, uint64_t off, const uint8_t *p, size_t len)
{
	uint64_t end = m->pack.size - m->pack.len;
	struct blocksum b = { .len = end, .block = PACKFILE_BLOCK, .sums = m->pack.footer.checksums };

	for (size_t n; off < end && len; off += n, p += n, len -= n) {
		n = end - off < PACKFILE_BLOCK ? (size_t)(end - off) : PACKFILE_BLOCK;
		if (n > len || !blocksum_fits(&b, off / PACKFILE_BLOCK, p, n))
			return false;
	}
	return true;
}

static int
make_group(struct maker *m, uint64_t group)
{
	const struct sidecar_shape *sh = &m->s.shape;
	uint32_t count = sidecar_group_parity(sh, group), len = sidecar_parity_len(sh, group);
	unsigned rows[SIDECAR_PARITY_MAX];
	int rc = OK;

	for (uint32_t i = 0; i < count; i++) {
		rows[i] = i;
		memset(m->parity[i], 0, len);
	}
	for (uint32_t j = 0; j < sidecar_group_data(sh, group); j++) {
		uint64_t b = sidecar_block_at(sh, group, j);
		uint32_t n = sidecar_block_len(sh, b);

		if ((rc = io_read_at(m->io, m->in, b * sh->block, m->block, n)))
			return rc;
		if (m->pack.raw && !pack_proves(m, b * sh->block, m->block, n))
			return fail(ERR_AUTH, "the pack is damaged");
		put_sum(m->data_sums + 8 * b, m->block, n);
		rs_add(RS_BEST, rows, count, j, m->block, n, m->parity);
	}
	for (uint32_t i = 0; rc == OK && i < count; i++) {
		put_sum(m->parity_sums + 8 * (sidecar_first_parity(sh, group) + i), m->parity[i], len);
		rc = io_append(m->io, m->out, m->parity[i], len);
	}
	return rc;
}

/* The header goes in front when all sums are known. */
static int
make_parts(struct maker *m)
{
	size_t len = (size_t)sidecar_header_len(&m->s.shape), n;
	struct name hash;
	uint8_t *raw;
	int rc = mem_new((void **)&raw, len);

	if (rc == OK)
		rc = io_append(m->io, m->out, raw, len);
	for (uint64_t g = 0; rc == OK && g < sidecar_groups(&m->s.shape); g++)
		rc = make_group(m, g);
	if (rc == OK) {
		m->s.data_sums = m->data_sums;
		m->s.parity_sums = m->parity_sums;
		n = sidecar_encode(raw, len, &m->s);
		digest_hash(&hash, raw, n);
		memcpy(raw + n, hash.b, NAME_LEN);
		rc = n + NAME_LEN == len ? io_write_at(m->io, m->out, 0, raw, len) :
		    fail(ERR_FAILED, "a sidecar cannot be encoded");
	}
	free(raw);
	return rc;
}

static int
maker_init(struct maker *m, struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape)
{
	const char *name = objects_name(path);
	struct name pack;
	int rc;

	m->io = r->io;
	m->s = (struct sidecar){ .kind = (enum sidecar_kind)kind, .repo_id = r->hdr.repo_id, .shape = *shape };
	snprintf(m->s.name, sizeof(m->s.name), "%s", name);
	if ((rc = io_open(m->io, path, &m->in)) || (rc = io_size(m->io, m->in, &m->s.shape.len)))
		return rc;
	if (!sidecar_shape_ok(&m->s.shape) || sidecar_header_len(&m->s.shape) > HEADER_MAX)
		return fail(ERR_FAILED, "'%s' cannot have parity: its length is %ju", path, (uintmax_t)m->s.shape.len);
	if (kind == OBJECTS_PACK && (!name_unhex(&pack, name) || (rc = packcheck_footer(m->io, m->in, &pack, &m->pack))))
		return rc ? rc : fail(ERR_FAILED, "'%s' has no name of a pack", path);
	if ((rc = mem_new((void **)&m->data_sums, (size_t)(8 * sidecar_blocks(&m->s.shape)))) ||
	    (rc = mem_new((void **)&m->parity_sums, (size_t)(8 * sidecar_parity_blocks(&m->s.shape)))) ||
	    (rc = mem_new((void **)&m->block, sidecar_block_len(&m->s.shape, 0))))
		return rc;
	for (uint32_t i = 0; rc == OK && i < sidecar_group_parity(&m->s.shape, 0); i++)
		rc = mem_new((void **)&m->parity[i], sidecar_parity_len(&m->s.shape, 0));
	return rc;
}

int
parity_make_tmp(struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape,
    char tmp[static PARITY_TMP])
{
	struct maker m = { 0 };
	uint8_t random[8];
	char hex[17];
	int rc, rc2;

	entropy_fill(random, sizeof(random));
	name_hex_bytes(random, sizeof(random), hex);
	snprintf(tmp, PARITY_TMP, "tmp/parity-%s", hex);
	if ((rc = maker_init(&m, r, kind, path, shape)) == OK && (rc = io_create(r->io, tmp, &m.out)) == OK) {
		rc = make_parts(&m);
		rc2 = io_close(r->io, m.out);
		rc = rc ? rc : rc2;
		if (rc)
			io_discard(r->io, tmp);
	}
	(void)io_close(r->io, m.in);
	packcheck_clear(&m.pack);
	for (unsigned i = 0; i < SIDECAR_PARITY_MAX; i++)
		free(m.parity[i]);
	free(m.block);
	free(m.data_sums);
	free(m.parity_sums);
	return err_context(rc, "parity of '%s'", path);
}

int
parity_place(struct io *io, enum objects_kind kind, const char *name, const char *tmp)
{
	char path[PARITY_PATH], dir[PARITY_PATH];
	int rc;

	parity_path(path, kind, name);
	parity_dir(dir, kind, name);
	if ((rc = io_rename(io, tmp, path)) != ERR_ABSENT)
		return rc;
	if ((rc = io_mkdir(io, "parity")) && rc != ERR_EXISTS)
		return rc;
	if (kind != OBJECTS_HEADER && (rc = io_mkdir(io, dir)) && rc != ERR_EXISTS)
		return rc;
	return io_rename(io, tmp, path);
}

int
parity_make(struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape)
{
	char tmp[PARITY_TMP];
	int rc = parity_make_tmp(r, kind, path, shape, tmp);

	if (rc)
		return rc;
	if ((rc = parity_place(r->io, kind, objects_name(path), tmp)))
		io_discard(r->io, tmp);
	return rc == ERR_EXISTS ? OK : rc;
}

void
parity_keep(struct repo *r, enum objects_kind kind, const char *path)
{
	struct sidecar_shape shape = PARITY_DEFAULT;
	char text[1024];
	int rc;

	snprintf(text, sizeof(text), "%s", err_text());
	rc = parity_make(r, kind, path, &shape);
	if (rc)
		err_set(rc, text);
}

void
parity_keep_pack(struct repo *r, uint32_t pack_kind, const struct name *name)
{
	struct sidecar_shape shape = PARITY_DEFAULT;
	char path[PACKCHECK_PATH], side[PARITY_PATH], text[1024];
	uint64_t size;
	int rc;

	snprintf(text, sizeof(text), "%s", err_text());
	packcheck_path(path, name);
	parity_path(side, OBJECTS_PACK, objects_name(path));
	rc = pack_kind == PACKFILE_META ? FOUND : parity_policy(r, &shape);
	if (rc == FOUND) {
		rc = io_stat(r->io, side, &size);
		if (rc == OK && size == 0)
			rc = io_unlink(r->io, side) ? ERR_IO : ERR_ABSENT;
		if (rc == ERR_ABSENT)
			rc = parity_make(r, OBJECTS_PACK, path, &shape);
	}
	if (rc)
		err_set(rc, text);
}

/* ------------------------------------------------------------------------------------------------------- policy */

struct policies {
	struct io *io;
	bool found, drop;
	struct sidecar_shape shape;
	char keep[64];                  /* of those that are there, the one that counts; else the one to keep */
};

/* data-<parity>-<data>-<block> */
static bool
policy_parse(const char *name, struct sidecar_shape *s)
{
	char again[64];
	unsigned parity, data, block;

	if (sscanf(name, "data-%9u-%9u-%9u", &parity, &data, &block) != 3)
		return false;
	*s = (struct sidecar_shape){ .len = 1, .block = block, .data = data, .parity = parity };
	snprintf(again, sizeof(again), "data-%u-%u-%u", parity, data, block);
	return strcmp(again, name) == 0 && sidecar_shape_ok(s);
}

static int
policy_seen(void *arg, const char *name)
{
	struct policies *p = arg;
	struct sidecar_shape s;
	char path[PARITY_PATH];

	if (!policy_parse(name, &s))
		return OK;
	if (p->drop) {
		snprintf(path, sizeof(path), "parity/%.60s", name);
		return strcmp(name, p->keep) ? io_unlink(p->io, path) : OK;
	}
	/* Two only while one replaces the other. */
	if (!p->found || strcmp(name, p->keep) > 0) {
		p->shape = s;
		snprintf(p->keep, sizeof(p->keep), "%s", name);
	}
	p->found = true;
	return OK;
}

void
parity_forget(struct repo *r)
{
	r->parity_known = false;
}

int
parity_policy(struct repo *r, struct sidecar_shape *shape)
{
	struct policies p = { .io = r->io };
	int rc;

	if (!r->parity_known) {
		rc = io_list(r->io, "parity", policy_seen, &p);
		if (rc && rc != ERR_ABSENT)
			return rc;
		r->parity_known = true;
		r->parity_data = p.found;
		r->parity_shape = p.shape;
	}
	*shape = r->parity_shape;
	return r->parity_data ? FOUND : OK;
}

int
parity_check_shape(const struct sidecar_shape *shape)
{
	struct sidecar_shape s = *shape;

	s.len = 1;
	return sidecar_shape_ok(&s) ? OK : fail(ERR_USAGE, "no parity has %u blocks for %u of %u bytes", s.parity, s.data, s.block);
}

int
parity_set_policy(struct repo *r, const struct sidecar_shape *shape)
{
	struct policies p = { .io = r->io, .drop = true };
	char path[PARITY_PATH], tmp[PARITY_TMP] = "tmp/parity-policy";
	int rc;

	if (shape && (rc = parity_check_shape(shape)))
		return rc;
	parity_forget(r);
	if (shape) {
		snprintf(p.keep, sizeof(p.keep), "data-%u-%u-%u", shape->parity, shape->data, shape->block);
		snprintf(path, sizeof(path), "parity/%s", p.keep);
		rc = io_unlink(r->io, tmp);
		if ((rc && rc != ERR_ABSENT) || (rc = io_write_file(r->io, tmp, "", 0)))
			return rc;
		if ((rc = io_rename(r->io, tmp, path))) {
			io_discard(r->io, tmp);
			if (rc != ERR_EXISTS)
				return rc;
		}
	}
	if ((rc = io_list(r->io, "parity", policy_seen, &p)))
		return rc;
	return io_sync_dir(r->io, "parity");
}

/* ------------------------------------------------------------------------------------------------------- opening */

/* A file whose content never reached the disk: nothing, or zeros. */
static bool
unfinished(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static int
read_header(struct repo *r, struct parity *p)
{
	uint8_t fixed[SIDECAR_FIXED] = { 0 };
	const uint8_t *hash;
	struct name is;
	uint64_t size;
	size_t len;
	int rc;

	if ((rc = io_size(r->io, p->file, &size)))
		return rc;
	len = size < sizeof(fixed) ? (size_t)size : sizeof(fixed);
	if ((rc = io_read_at(r->io, p->file, 0, fixed, len)))
		return rc;
	if (unfinished(fixed, len)) {
		p->state = PARITY_NONE;
		return OK;
	}
	if ((rc = err_verdict(sidecar_fixed_decode(&p->s, fixed, len), "sidecar")))
		return rc;
	if (sidecar_file_len(&p->s.shape) != size || sidecar_header_len(&p->s.shape) > HEADER_MAX)
		return fail(ERR_CORRUPT, "bad sidecar: it has another length than it says");
	len = (size_t)sidecar_header_len(&p->s.shape);
	if ((rc = mem_new((void **)&p->raw, len)) || (rc = io_read_at(r->io, p->file, 0, p->raw, len)) ||
	    (rc = err_verdict(sidecar_decode(&p->s, p->raw, len, &hash), "sidecar")))
		return rc;
	digest_hash(&is, p->raw, len - NAME_LEN);
	return memcmp(is.b, hash, NAME_LEN) ? fail(ERR_AUTH, "the sidecar's hash differs") : OK;
}

int
parity_open(struct repo *r, bool header, enum objects_kind kind, const char *name, struct parity *out)
{
	int rc;

	*out = (struct parity){ .state = PARITY_WHOLE };
	parity_path(out->path, kind, name);
	rc = io_open(r->io, out->path, &out->file);
	if (rc == ERR_ABSENT) {
		out->state = PARITY_NONE;
		return OK;
	}
	if (rc == OK)
		rc = read_header(r, out);
	if (rc == OK && out->state == PARITY_WHOLE && ((int)out->s.kind != (int)kind || strcmp(out->s.name, name) != 0 ||
	    (header && name_sid_cmp(&out->s.repo_id, &r->hdr.repo_id) != 0)))
		rc = fail(ERR_AUTH, "the sidecar belongs to another object");
	/* Of a version that nobody knows yet: it is of no use here, and a flipped bit is more likely. */
	if (rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_UNSUPPORTED || (rc == ERR_IO && out->file)) {
		out->state = PARITY_DAMAGED;
		rc = OK;
	}
	if (rc)
		parity_close(r, out);
	return rc;
}

void
parity_close(struct repo *r, struct parity *p)
{
	(void)io_close(r->io, p->file);
	free(p->raw);
	p->file = NULL;
	p->raw = NULL;
}
