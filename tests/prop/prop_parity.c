/*
 * prop_parity [TRIALS [SEED]]: packs of many lengths, 1 to 4 of their blocks made bad, anywhere, adjacent or not, header and footer
 * among them, the end cut off, parity blocks as well: all of it comes back, to the byte (PA-3, PA-5).  With 5 bad blocks in a group
 * nothing is changed, and it is said.
 *
 * Lost if it failed: files, to a disk that loses a sector; or what was still good of them, to the repair.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "store/mend.h"
#include "store/packcheck.h"
#include "store/packout.h"
#include "store/parity.h"
#include "store/repo.h"

#define DEFAULT_TRIALS 200u
#define BLOCK 65536u
#define FRAME 300000u
#define PACKS 7

static const unsigned lengths[PACKS] = { 1, 2, 3, 9, 40, 129, 300 };     /* about so many blocks */

struct sample {
	char path[PACKCHECK_PATH];
	char side[PARITY_PATH];
	uint8_t *bytes, *side_bytes;
	size_t len, side_len;
	struct sidecar_shape shape;
};

struct run {
	char dir[64];
	struct repo *r;
	struct sample packs[PACKS];
	uint64_t state;
	uint8_t noise[FRAME];
	unsigned trials, mended, refused;
	char why[256];
};

static uint32_t
below(struct run *u, uint32_t n)
{
	u->state = u->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(u->state >> 33) % n;
}

static int
put_file(struct run *u, const char *path, const uint8_t *p, size_t len)
{
	char full[256];
	FILE *f;
	int rc;

	snprintf(full, sizeof(full), "%s/%s", u->dir, path);
	f = fopen(full, "wb");
	if (!f)
		return -1;
	rc = fwrite(p, 1, len, f) == len ? 0 : -1;
	return fclose(f) ? -1 : rc;
}

static bool
same_file(struct run *u, const char *path, const uint8_t *p, size_t len)
{
	uint8_t *is;
	size_t n;
	bool same;

	if (io_read_file(u->r->io, path, 1u << 30, &is, &n))
		return false;
	same = n == len && memcmp(is, p, n) == 0;
	free(is);
	return same;
}

/* ------------------------------------------------------------------------------------------------------- packs */

static int
make_pack(struct run *u, struct sample *s, unsigned blocks)
{
	size_t want = (size_t)(blocks - 1) * BLOCK + 400 + below(u, BLOCK / 2), len;
	struct packout o;
	struct parity p;
	int rc = packout_begin(&o, u->r, PACKFILE_DATA);

	while (rc == OK && o.bytes < want) {
		len = want - o.bytes < FRAME ? (size_t)(want - o.bytes) : 96 + below(u, FRAME - 96);
		len = len < 96 ? 96 : len;
		for (size_t i = 0; i < len; i += 8)
			memcpy(u->noise + i, &(uint64_t){ below(u, ~0u) * 0x9e3779b97f4a7c15u }, len - i < 8 ? len - i : 8);
		rc = packout_frame(&o, u->noise, len);
	}
	if (rc || (rc = packout_finish(&o)) || (rc = packout_sync(&o)) || (rc = packout_publish(&o)))
		return rc;
	packcheck_path(s->path, &o.name);
	parity_path(s->side, OBJECTS_PACK, objects_name(s->path));
	packout_clear(&o);
	if ((rc = io_read_file(u->r->io, s->path, 1u << 30, &s->bytes, &s->len)) ||
	    (rc = io_read_file(u->r->io, s->side, 1u << 30, &s->side_bytes, &s->side_len)) ||
	    (rc = parity_open(u->r, true, OBJECTS_PACK, objects_name(s->path), &p)))
		return rc;
	s->shape = p.s.shape;
	rc = p.state == PARITY_WHOLE ? OK : ERR_FAILED;
	parity_close(u->r, &p);
	return rc;
}

static int
begin(struct run *u)
{
	static const uint8_t key[32] = { 7 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, key, sizeof(key) };
	struct repo_params params = { .parity = true, .shape = PARITY_DEFAULT };
	struct stat st;
	struct io *io;
	int rc;

	/* In memory if there is such a place: thousands of files are synced. */
	snprintf(u->dir, sizeof(u->dir), "%s/varve-parity-XXXXXX", stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode) ? "/dev/shm" : ".");
	params.shape.len = 1;
	if (!mkdtemp(u->dir))
		return ERR_IO;
	if ((rc = io_posix_new(u->dir, true, &io)) || (rc = repo_create(io, &params, &secret, NULL, NULL, NULL, &u->r)))
		return rc;
	for (unsigned i = 0; rc == OK && i < PACKS; i++)
		rc = make_pack(u, &u->packs[i], lengths[i]);
	return rc;
}

/* ------------------------------------------------------------------------------------------------------- trials */

static void
spoil(struct run *u, uint8_t *p, size_t len)
{
	size_t at = below(u, (uint32_t)len), n = 1 + below(u, (uint32_t)(len - at));

	switch (below(u, 4)) {
	case 0:
		p[at] ^= (uint8_t)(1u << below(u, 8));
		break;
	case 1:
		for (size_t i = 0; i < n; i++)
			p[at + i] = (uint8_t)~p[at + i];
		break;
	default:
		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)(p[i] + 1 + below(u, 255));
		break;
	}
}

/* `count` different blocks, adjacent or anywhere; of group 0 only if `one_group`. */
static void
choose(struct run *u, const struct sample *s, unsigned count, bool one_group, uint64_t *out)
{
	uint64_t blocks = sidecar_blocks(&s->shape), groups = sidecar_groups(&s->shape), pool = one_group ? sidecar_group_data(&s->shape, 0) : blocks;
	uint64_t first = below(u, (uint32_t)pool);
	bool adjacent = below(u, 2);

	for (unsigned i = 0; i < count; i++) {
		bool again;

		do {
			out[i] = adjacent ? (first + i) % pool : below(u, (uint32_t)pool);
			again = false;
			for (unsigned k = 0; k < i; k++)
				again = again || out[k] == out[i];
		} while (again);
	}
	for (unsigned i = 0; one_group && i < count; i++)
		out[i] *= groups;
}

/* Damage blocks of a copy of the pack; cut: the file ends before the first of those at its end. */
static int
damage(struct run *u, const struct sample *s, const uint64_t *bad, unsigned count, bool cut)
{
	uint8_t *copy = malloc(s->len);
	size_t len = s->len;
	int rc;

	if (!copy)
		return -1;
	memcpy(copy, s->bytes, s->len);
	for (unsigned i = 0; i < count; i++)
		spoil(u, copy + bad[i] * s->shape.block, sidecar_block_len(&s->shape, bad[i]));
	if (cut) {
		uint64_t last = (s->len - 1) / s->shape.block;

		len = last * s->shape.block + below(u, (uint32_t)(s->len - last * s->shape.block));
	}
	rc = put_file(u, s->path, copy, len);
	free(copy);
	return rc;
}

static unsigned
clear_damaged(struct run *u)
{
	char full[320];
	unsigned n = 0;

	for (unsigned i = 0; i < PACKS; i++) {
		snprintf(full, sizeof(full), "%s/damaged/packs-%s", u->dir, objects_name(u->packs[i].path));
		n += unlink(full) == 0;
	}
	return n;
}

static bool
wrong(struct run *u, const struct sample *s, const char *what)
{
	snprintf(u->why, sizeof(u->why), "%s (%ju blocks): %.120s", what, (uintmax_t)sidecar_blocks(&s->shape), err_text());
	return false;
}

/* The pack is damaged in `count` blocks, its sidecar in `parities` parity blocks. */
static bool
attempt(struct run *u, const struct sample *s, unsigned count, unsigned parities, bool one_group)
{
	uint64_t bad[8];
	uint8_t *side = malloc(s->side_len);
	struct parity p;
	bool cut, refuse = count > 4, gone;
	int rc;

	if (!side)
		return false;
	memcpy(side, s->side_bytes, s->side_len);
	choose(u, s, count, one_group, bad);
	cut = !refuse && count && below(u, 4) == 0;
	if (cut)
		bad[0] = sidecar_blocks(&s->shape) - 1;
	for (unsigned i = 1; cut && i < count; i++)     /* the last block only once */
		if (bad[i] == bad[0])
			count = i;
	for (unsigned i = 0; i < parities; i++)
		spoil(u, side + sidecar_header_len(&s->shape) + (size_t)i * sidecar_parity_len(&s->shape, 0), sidecar_parity_len(&s->shape, 0));
	gone = !refuse && parities == 0 && sidecar_blocks(&s->shape) <= 4 && below(u, 3) == 0;
	if (put_file(u, s->side, side, s->side_len) || damage(u, s, bad, count, cut) ||
	    (gone && io_unlink(u->r->io, s->path)))
		rc = ERR_FAILED;
	else
		rc = parity_open(u->r, true, OBJECTS_PACK, objects_name(s->path), &p);
	free(side);
	if (rc || p.state != PARITY_WHOLE)
		return wrong(u, s, "the sidecar does not open");
	rc = mend_object(u->r, &p, OBJECTS_PACK, s->path);
	parity_close(u->r, &p);
	if (refuse) {
		u->refused++;
		return rc == ERR_CORRUPT && clear_damaged(u) == 0 && !same_file(u, s->path, s->bytes, s->len) ? true :
		    wrong(u, s, "5 bad blocks were not refused");
	}
	u->mended++;
	if (rc)
		return wrong(u, s, "not mended");
	if (!same_file(u, s->path, s->bytes, s->len))
		return wrong(u, s, "other bytes came back");
	return clear_damaged(u) == (gone ? 0 : 1) ? true : wrong(u, s, "what was damaged is not kept");
}

/* 5 bad blocks: the file stays exactly as it was found. */
static bool
refuse(struct run *u, const struct sample *s)
{
	uint8_t *before, *after = NULL;
	size_t n, m = 0;
	bool ok = attempt(u, s, 5, 0, true);

	/* Once more over the same damage: it is the same afterwards. */
	if (io_read_file(u->r->io, s->path, 1u << 30, &before, &n))
		return false;
	if (ok) {
		struct parity p;

		ok = parity_open(u->r, true, OBJECTS_PACK, objects_name(s->path), &p) == OK &&
		    mend_object(u->r, &p, OBJECTS_PACK, s->path) == ERR_CORRUPT &&
		    io_read_file(u->r->io, s->path, 1u << 30, &after, &m) == OK && n == m && memcmp(before, after, n) == 0;
		parity_close(u->r, &p);
	}
	free(before);
	free(after);
	return ok ? true : wrong(u, s, "5 bad blocks");
}

static bool
trial(struct run *u)
{
	/* Small ones more often: they cost less. */
	const struct sample *s = &u->packs[below(u, 8) ? below(u, 5) : 5 + below(u, 2)];
	unsigned most = sidecar_group_parity(&s->shape, 0), count, parities;
	bool ok;

	if (sidecar_group_data(&s->shape, 0) >= 5 && below(u, 8) == 0) {
		ok = refuse(u, s);
	} else {
		count = 1 + below(u, most);
		parities = below(u, 4) ? 0 : below(u, most - count + 1);
		ok = attempt(u, s, count, parities, below(u, 2));
	}
	clear_damaged(u);
	if (put_file(u, s->path, s->bytes, s->len))
		return wrong(u, s, "cannot put the pack back");
	return ok;
}

static void
end(struct run *u)
{
	char command[128];

	repo_close(u->r);
	for (unsigned i = 0; i < PACKS; i++) {
		free(u->packs[i].bytes);
		free(u->packs[i].side_bytes);
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", u->dir);
	if (u->dir[0] && system(command))
		printf("# %s stays\n", u->dir);
	free(u);
}

int
main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_TRIALS, i = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20261120;
	struct run *u = calloc(1, sizeof(*u));
	bool ok = u != NULL;

	if (!u)
		return 1;
	u->state = seed;
	printf("# seed %ju\n1..1\n", (uintmax_t)seed);
	fflush(stdout);
	if (begin(u)) {
		ok = false;
		snprintf(u->why, sizeof(u->why), "begin: %.200s", err_text());
	}
	for (; ok && i < count; i++)
		ok = trial(u);
	if (!ok)
		printf("# trial %lu: %s\n", i, u->why);
	printf("%sok 1 - %lu trials: %u mended, %u refused\n", ok ? "" : "not ", i, u->mended, u->refused);
	end(u);
	return !ok;
}
