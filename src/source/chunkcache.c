#include "source/chunkcache.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"

#define BUCKETS 32768u                   /* a power of two */

struct item {
	struct name id;
	uint8_t *p;                     /* owned */
	size_t len;
	struct item *newer, *older;     /* by last use */
	struct item *chain;             /* of its bucket */
};

struct chunkcache {
	struct reader *rd;
	size_t used, cap;
	struct item *newest, *oldest;
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

static void
drop(struct chunkcache *cc, struct item *it)
{
	struct item **at = bucket_of(cc, &it->id);

	while (*at != it)
		at = &(*at)->chain;
	*at = it->chain;
	unlink_use(cc, it);
	cc->used -= it->len + sizeof(*it);
	free(it->p);
	free(it);
}

struct chunkcache *
chunkcache_free(struct chunkcache *cc)
{
	while (cc && cc->newest)
		drop(cc, cc->newest);
	free(cc);
	return NULL;
}

void
chunkcache_set_reader(struct chunkcache *cc, struct reader *rd)
{
	cc->rd = rd;
}

static int
keep(struct chunkcache *cc, const struct name *id, const uint8_t *p, size_t n, struct item **out)
{
	struct item *it = NULL;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(it)) || (rc = mem_dup_bytes(&it->p, p, n))) {
		free(it);
		return rc;
	}
	it->id = *id;
	it->len = n;
	while (cc->oldest && cc->used + n > cc->cap)
		drop(cc, cc->oldest);
	cc->used += n + sizeof(*it);
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
	return rc ? rc : keep(cc, id, p, n, out);
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
	int rc = find(cc, id) ? AT_END : keep(cc, id, p, len, &it);

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
	if (it)
		unlink_use(cc, it);
	else if ((rc = load(cc, id, len, &it)))
		return rc;
	link_use(cc, it);
	*p = it->p;
	return OK;
}
