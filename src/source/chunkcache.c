#include "source/chunkcache.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "sys/host.h"

#define BUCKETS 32768u                   /* a power of two */

#define SLAB (4u << 20)

/* Room for many chunks that are put one after the other: the system gives it at once, not page by page. */
struct slab {
	size_t used;
	unsigned live;                  /* chunks that are kept */
	uint8_t bytes[];
};

struct item {
	struct name id;
	uint8_t *p;                     /* owned, unless it is in ... */
	struct slab *slab;
	size_t len;
	struct item *newer, *older;     /* by last use */
	struct item *chain;             /* of its bucket */
};

struct chunkcache {
	struct reader *rd;
	size_t used, cap;
	struct item *newest, *oldest;
	struct slab *slab;              /* being filled; NULL: none */
	struct item *buckets[BUCKETS];
};

int
chunkcache_new(struct reader *rd, size_t bytes, struct chunkcache **out)
{
	int rc = MEM_NEW(*out);

	if (rc == OK) {
		(*out)->rd = rd;
		(*out)->cap = bytes;
	}
	return rc;
}

static struct item **
bucket_of(struct chunkcache *cc, const struct name *id)
{
	uint32_t h;

	/* An id is a keyed hash: any of its bytes will do. */
	memcpy(&h, id->b, sizeof(h));
	return &cc->buckets[h & (BUCKETS - 1)];
}

static void
unlink_use(struct chunkcache *cc, struct item *it)
{
	*(it->newer ? &it->newer->older : &cc->newest) = it->older;
	*(it->older ? &it->older->newer : &cc->oldest) = it->newer;
}

static void
link_use(struct chunkcache *cc, struct item *it)
{
	it->newer = NULL;
	it->older = cc->newest;
	*(it->older ? &it->older->newer : &cc->oldest) = it;
	cc->newest = it;
}

/* Slabs count as a whole. */
static void
slab_free(struct chunkcache *cc, struct slab *s)
{
	if (s)
		cc->used -= SLAB;
	free(s);
}

static void
drop(struct chunkcache *cc, struct item *it)
{
	struct item **at = bucket_of(cc, &it->id);

	while (*at != it)
		at = &(*at)->chain;
	*at = it->chain;
	unlink_use(cc, it);
	cc->used -= sizeof(*it) + (it->slab ? 0 : it->len);
	if (!it->slab)
		free(it->p);
	else if (--it->slab->live == 0 && it->slab != cc->slab)
		slab_free(cc, it->slab);
	free(it);
}

static void
make_room(struct chunkcache *cc, size_t n)
{
	while (cc->oldest && cc->used + n > cc->cap)
		drop(cc, cc->oldest);
}

struct chunkcache *
chunkcache_free(struct chunkcache *cc)
{
	while (cc && cc->newest)
		drop(cc, cc->newest);
	if (cc)
		slab_free(cc, cc->slab);
	free(cc);
	return NULL;
}

void
chunkcache_set_reader(struct chunkcache *cc, struct reader *rd)
{
	cc->rd = rd;
}

/* Room in a slab; the last one that was begun stays until it is full, even if nothing in it is kept any more. */
static int
slab_room(struct chunkcache *cc, size_t n, struct item *it)
{
	struct slab *s = cc->slab;

	if (!s || SLAB - s->used < n) {
		cc->slab = NULL;
		if (s && s->live == 0)
			slab_free(cc, s);
		make_room(cc, SLAB);
		if (!(s = malloc(sizeof(*s) + SLAB)))
			return fail(ERR_NOMEM, "out of memory");
		*s = (struct slab){ .used = 0 };
		cc->slab = s;
		cc->used += SLAB;
		host_populate(s->bytes, SLAB);
	}
	it->slab = s;
	it->p = s->bytes + s->used;
	s->used += n;
	s->live++;
	return OK;
}

/* together: with others that are put now. */
static int
keep(struct chunkcache *cc, const struct name *id, const uint8_t *p, size_t n, bool together, struct item **out)
{
	struct item *it = NULL;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(it)))
		return rc;
	if ((rc = together && n <= SLAB ? slab_room(cc, n, it) : mem_dup_bytes(&it->p, p, n))) {
		free(it);
		return rc;
	}
	if (it->slab)
		memcpy(it->p, p, n);
	it->id = *id;
	it->len = n;
	if (!it->slab)
		make_room(cc, n);
	cc->used += sizeof(*it) + (it->slab ? 0 : n);
	it->chain = *bucket_of(cc, id);
	*bucket_of(cc, id) = it;
	*out = it;
	return OK;
}

static int
load(struct chunkcache *cc, const struct name *id, uint64_t len, struct item **out)
{
	const uint8_t *p;
	size_t n;
	int rc = reader_get(cc->rd, id, FRAME_DATA, &p, &n);

	*out = NULL;
	if (rc == OK && n != len)
		rc = fail(ERR_CORRUPT, "a chunk has not the length that its list says");
	return rc ? rc : keep(cc, id, p, n, false, out);
}

static struct item *
find(struct chunkcache *cc, const struct name *id)
{
	struct item *it = *bucket_of(cc, id);

	while (it && name_cmp(&it->id, id) != 0)
		it = it->chain;
	return it;
}

int
chunkcache_put(struct chunkcache *cc, const struct name *id, const uint8_t *p, size_t len)
{
	struct item *it;
	int rc = find(cc, id) ? AT_END : keep(cc, id, p, len, true, &it);

	if (rc == OK)
		link_use(cc, it);
	return rc < 0 ? rc : OK;
}

int
chunkcache_get(struct chunkcache *cc, const struct name *id, uint64_t len, const uint8_t **p)
{
	struct item *it = find(cc, id);
	int rc;

	*p = NULL;
	if (it && it->len != len)
		return fail(ERR_CORRUPT, "a chunk has not the length that its list says");
	if (!it) {
		if ((rc = load(cc, id, len, &it)))
			return rc;
		link_use(cc, it);
	} else if (it != cc->newest) {
		unlink_use(cc, it);
		link_use(cc, it);
	}
	*p = it->p;
	return OK;
}
