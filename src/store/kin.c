/*
 * kin: a table tells which chunk had an anchor last.  The chunks most of whose anchors occur win; what two have counts for the later one only,
 * so that each adds something.
 */
#include "store/kin.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/anchors.h"

#define TABLE_LEAST (1u << 14)
#define TABLE_MOST (1u << 20)
#define FULL (TABLE_MOST / 4 * 3)
#define RATE 7                          /* an anchor in 128 bytes */
#define VOTES_MIN 6
#define VOTERS 64
#define WAITING_BYTES (32u << 20)

struct slot {
	uint32_t hash;                  /* of an anchor; 0: free */
	uint32_t chunk;
};

struct kin {
	struct slot *table;
	uint32_t size, used;            /* slots: a power of two; those that are taken */
	struct name *chunks;
	size_t count, cap;
	struct kin_waiting *waiting;    /* [given, held) wait; their bytes are owned */
	size_t given, held, waiting_cap, bytes;
};

int
kin_new(struct kin **out)
{
	struct kin *k;
	int rc;

	if ((rc = MEM_NEW(k)) == OK) {
		k->size = TABLE_LEAST;
		rc = mem_new((void **)&k->table, k->size * sizeof(*k->table));
	}
	*out = rc ? kin_free(k) : k;
	return rc;
}

struct kin *
kin_free(struct kin *k)
{
	if (k) {
		while (kin_next(k))
			;
		free(k->waiting);
		free(k->table);
		free(k->chunks);
	}
	free(k);
	return NULL;
}

bool
kin_any(const struct kin *k)
{
	return k->count > 0;
}

static uint32_t
slot_of(const struct kin *k, uint32_t hash)
{
	uint32_t s = (hash * 0x9e3779b1u) % k->size;

	while (k->table[s].hash && k->table[s].hash != hash)
		s = (s + 1) % k->size;
	return s;
}

/* A table of the greatest size, touched all over, takes a snapshot of little longer than all else. */
static int
grow(struct kin *k)
{
	struct slot *old = k->table;
	uint32_t n = k->size;
	int rc = mem_new((void **)&k->table, mem_array(4 * n, sizeof(*old)));

	if (rc) {
		k->table = old;
		return rc;
	}
	k->size = 4 * n;
	/* In order: a page that is read first and then written to costs each processor an interrupt. */
	memset(k->table, 0, mem_array(k->size, sizeof(*old)));
	for (uint32_t i = 0; i < n; i++)
		if (old[i].hash)
			k->table[slot_of(k, old[i].hash)] = old[i];
	free(old);
	return OK;
}

int
kin_look(const void *p, size_t len, struct mem_buf *to)
{
	struct anchors w;
	uint32_t h;
	int rc = OK;

	anchors_begin(&w, p, len, RATE);
	while (rc == OK && (h = anchors_next(&w)))
		rc = mem_buf_add(to, &h, sizeof(h));
	return rc;
}

int
kin_add(struct kin *k, const struct name *id, const uint8_t *hashes, size_t len)
{
	uint32_t h, s;
	int rc;

	if (k->used >= FULL)
		return OK;
	if ((rc = mem_grow((void **)&k->chunks, &k->cap, k->count + 1, sizeof(*k->chunks))))
		return rc;
	k->chunks[k->count] = *id;
	for (size_t at = 0; k->used < FULL && at + sizeof(h) <= len; at += sizeof(h)) {
		memcpy(&h, hashes + at, sizeof(h));
		s = slot_of(k, h);
		k->used += k->table[s].hash == 0;
		k->table[s] = (struct slot){ h, (uint32_t)k->count };
		if (k->used > k->size / 2 && k->size < TABLE_MOST && (rc = grow(k)))
			return rc;
	}
	k->count++;
	return OK;
}

struct voted {
	uint32_t chunk, votes;
};

static int
most_votes(const void *a, const void *b)
{
	const struct voted *x = a, *y = b;

	return x->votes != y->votes ? (x->votes > y->votes ? -1 : 1) : x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

unsigned
kin_find(const struct kin *k, const void *p, size_t len, struct name ids[static KIN_MOST])
{
	struct voted voted[VOTERS];
	uint32_t n = 0, found = 0, h, s, i;
	struct anchors w;

	anchors_begin(&w, p, len, RATE);
	while ((h = anchors_next(&w))) {
		s = slot_of(k, h);
		if (!k->table[s].hash)
			continue;
		for (i = 0; i < n && voted[i].chunk != k->table[s].chunk; i++)
			;
		if (i == VOTERS)
			continue;
		if (i == n) {
			voted[n].chunk = k->table[s].chunk;
			voted[n++].votes = 0;
		}
		voted[i].votes++;
	}
	qsort(voted, n, sizeof(*voted), most_votes);
	for (; found < n && found < KIN_MOST && voted[found].votes >= VOTES_MIN; found++)
		ids[found] = k->chunks[voted[found].chunk];
	return found;
}

int
kin_wait(struct kin *k, const struct packer_item *it, const struct name *base)
{
	struct kin_waiting *w;
	uint8_t *copy;
	int rc;

	if (k->bytes + it->len > WAITING_BYTES)
		return OK;
	if ((rc = mem_grow((void **)&k->waiting, &k->waiting_cap, k->held + 1, sizeof(*k->waiting))) ||
	    (rc = mem_dup_bytes(&copy, it->p, it->len)))
		return rc;
	w = &k->waiting[k->held++];
	*w = (struct kin_waiting){ .it = *it };
	w->it.p = copy;
	if (base)
		w->base = *base;
	k->bytes += it->len;
	return FOUND;
}

const struct kin_waiting *
kin_next(struct kin *k)
{
	if (k->given)
		free((void *)(uintptr_t)k->waiting[k->given - 1].it.p);
	if (k->given < k->held)
		return &k->waiting[k->given++];
	k->given = k->held = k->bytes = 0;
	return NULL;
}
