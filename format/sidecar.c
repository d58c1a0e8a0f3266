#include <string.h>

#include "format/emit.h"
#include "format/sidecar.h"

#define VERSION 1

uint64_t
sidecar_blocks(const struct sidecar_shape *s)
{
	return s->len / s->block + (s->len % s->block != 0);
}

uint64_t
sidecar_groups(const struct sidecar_shape *s)
{
	uint64_t n = sidecar_blocks(s);

	return n / s->data + (n % s->data != 0);
}

/* Blocks group, group + G, group + 2 G ... */
uint32_t
sidecar_group_data(const struct sidecar_shape *s, uint64_t group)
{
	uint64_t n = sidecar_blocks(s), groups = sidecar_groups(s);

	return (uint32_t)((n - group + groups - 1) / groups);
}

uint32_t
sidecar_group_parity(const struct sidecar_shape *s, uint64_t group)
{
	uint32_t k = sidecar_group_data(s, group);

	return k < s->parity ? k : s->parity;
}

/* The first groups have one block more than the last ones, so a sum needs no loop. */
uint64_t
sidecar_first_parity(const struct sidecar_shape *s, uint64_t group)
{
	uint64_t n = sidecar_blocks(s), groups = sidecar_groups(s), more = n % groups;
	uint32_t small = (uint32_t)(n / groups);
	uint64_t large_count = group < more ? group : more;
	uint32_t of_large = small + 1 < s->parity ? small + 1 : s->parity;
	uint32_t of_small = small < s->parity ? small : s->parity;

	return large_count * of_large + (group - large_count) * of_small;
}

uint64_t
sidecar_parity_blocks(const struct sidecar_shape *s)
{
	return sidecar_first_parity(s, sidecar_groups(s));
}

uint64_t
sidecar_header_len(const struct sidecar_shape *s)
{
	return SIDECAR_FIXED + 8 * (sidecar_blocks(s) + sidecar_parity_blocks(s)) + NAME_LEN;
}

uint64_t
sidecar_block_at(const struct sidecar_shape *s, uint64_t group, uint32_t j)
{
	return group + j * sidecar_groups(s);
}

uint32_t
sidecar_block_len(const struct sidecar_shape *s, uint64_t block)
{
	uint64_t off = block * s->block;

	return s->len - off < s->block ? (uint32_t)(s->len - off) : s->block;
}

/* The first block of a group is its longest. */
uint32_t
sidecar_parity_len(const struct sidecar_shape *s, uint64_t group)
{
	return sidecar_block_len(s, group);
}

/* Only the last group can have shorter ones. */
uint64_t
sidecar_parity_off(const struct sidecar_shape *s, uint64_t group)
{
	return sidecar_header_len(s) + sidecar_first_parity(s, group) * s->block;
}

uint64_t
sidecar_file_len(const struct sidecar_shape *s)
{
	uint64_t last = sidecar_groups(s) - 1;

	return sidecar_parity_off(s, last) + (uint64_t)sidecar_group_parity(s, last) * sidecar_parity_len(s, last);
}

bool
sidecar_shape_ok(const struct sidecar_shape *s)
{
	return s->len >= 1 && s->len <= SIDECAR_LEN_MAX &&
	    s->block >= SIDECAR_BLOCK_MIN && s->block <= SIDECAR_BLOCK_MAX && s->block % SIDECAR_BLOCK_MIN == 0 &&
	    s->data >= 1 && s->data <= SIDECAR_DATA_MAX && s->parity >= 1 && s->parity <= SIDECAR_PARITY_MAX;
}

size_t
sidecar_encode(uint8_t *buf, size_t cap, const struct sidecar *s)
{
	struct sidecar again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varvepar", 8);
	emit_u32(&e, VERSION);
	emit_u32(&e, s->kind);
	emit_bytes(&e, s->repo_id.b, NAME_SID_LEN);
	emit_bytes(&e, s->name, SIDECAR_NAME);
	emit_u64(&e, s->shape.len);
	emit_u32(&e, s->shape.block);
	emit_u32(&e, s->shape.data);
	emit_u32(&e, s->shape.parity);
	emit_u32(&e, 0);
	if (sidecar_fixed_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	emit_bytes(&e, s->data_sums, (size_t)(8 * sidecar_blocks(&s->shape)));
	emit_bytes(&e, s->parity_sums, (size_t)(8 * sidecar_parity_blocks(&s->shape)));
	return emit_done(&e);
}

/* Printable, at least one byte, zeros only at the end, and what no file's name has is not in it. */
static bool
name_ok(const uint8_t *p)
{
	size_t n = 0;

	while (n < SIDECAR_NAME && ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= '0' && p[n] <= '9') || p[n] == '-'))
		n++;
	if (n == 0)
		return false;
	while (n < SIDECAR_NAME && p[n] == 0)
		n++;
	return n == SIDECAR_NAME;
}

enum cursor_verdict
sidecar_fixed_decode(struct sidecar *s, const uint8_t *buf, size_t len)
{
	const uint8_t *name;
	uint32_t version, kind;
	struct cursor c;

	memset(s, 0, sizeof(*s));
	if (len != SIDECAR_FIXED)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varvepar", 8);
	version = cursor_u32(&c);
	kind = cursor_u32(&c);
	if (!c.broken && (version != VERSION || kind < SIDECAR_HEADER || kind > SIDECAR_PACK))
		return CURSOR_UNSUPPORTED;
	s->kind = (enum sidecar_kind)kind;
	cursor_copy(&c, s->repo_id.b, NAME_SID_LEN);
	name = cursor_bytes(&c, SIDECAR_NAME);
	s->shape.len = cursor_u64(&c);
	s->shape.block = cursor_u32(&c);
	s->shape.data = cursor_u32(&c);
	s->shape.parity = cursor_u32(&c);
	cursor_zero(&c, 4);
	if (!cursor_done(&c) || !name_ok(name) || !sidecar_shape_ok(&s->shape))
		return CURSOR_MALFORMED;
	memcpy(s->name, name, SIDECAR_NAME);
	return CURSOR_OK;
}

enum cursor_verdict
sidecar_decode(struct sidecar *s, const uint8_t *buf, size_t len, const uint8_t **hash)
{
	enum cursor_verdict v;
	struct cursor c;

	*hash = NULL;
	if (len < SIDECAR_FIXED)
		return CURSOR_MALFORMED;
	if ((v = sidecar_fixed_decode(s, buf, SIDECAR_FIXED)) != CURSOR_OK)
		return v;
	if (len != sidecar_header_len(&s->shape))
		return CURSOR_MALFORMED;
	cursor_init(&c, buf + SIDECAR_FIXED, len - SIDECAR_FIXED);
	s->data_sums = cursor_bytes(&c, (size_t)(8 * sidecar_blocks(&s->shape)));
	s->parity_sums = cursor_bytes(&c, (size_t)(8 * sidecar_parity_blocks(&s->shape)));
	*hash = cursor_bytes(&c, NAME_LEN);
	return CURSOR_OK;
}
