#include "store/delta.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/squeeze.h"
#include "format/frame.h"
#include "store/framejob.h"
#include "store/packer.h"

#define SLOW_LEVEL 5
#define DEFAULT_LEVEL 3                 /* for which differences are made at ... */
#define QUICK_LEVEL 2                   /* ... this one: DESIGN, "Several bases" */
#define SLOW_FROM 3
#define SLOW_SAVES 8                    /* one part in so many, seldom more */

struct delta {
	struct squeeze *fast, *slow;    /* slow: NULL until it is wanted */
	int level;
	uint8_t *buf;                   /* two, each with room for a chunk */
};

int
delta_new(int level, struct delta **out)
{
	struct delta *d;
	int rc = MEM_NEW(d);

	*out = NULL;
	if (rc)
		return rc;
	d->level = level;
	rc = squeeze_new(level == DEFAULT_LEVEL ? QUICK_LEVEL : level, &d->fast);
	*out = rc ? delta_free(d) : d;
	return rc;
}

struct delta *
delta_free(struct delta *d)
{
	if (d) {
		squeeze_free(d->fast);
		squeeze_free(d->slow);
		free(d->buf);
		free(d);
	}
	return NULL;
}

int
delta_slow_level(int level)
{
	return level >= SLOW_FROM && level < SLOW_LEVEL ? SLOW_LEVEL : level;
}

int
delta_make(struct delta *d, const void *p, size_t len,
    const struct packer_base *base, unsigned save, bool slow,
    const uint8_t **stored, size_t *stored_len)
{
	size_t cap = squeeze_bound(FRAME_CHUNK_MAX), n, plain = len;
	int rc, level = slow ? delta_slow_level(d->level) : d->level;

	if (!d->buf && (rc = mem_new((void **)&d->buf, 2 * cap)))
		return rc;
	if (level != d->level && !d->slow &&
	    (rc = squeeze_new(level, &d->slow)))
		return rc;
	if ((rc = squeeze_pack(d->fast, d->buf, cap, p, len, base->p,
	    base->len, &n)))
		return rc;
	/* What is that short needs no comparison. */
	if (n > len / FRAMEJOB_SURE && n < len && (rc = squeeze_pack(d->fast,
	    d->buf + cap, cap, p, len, NULL, 0, &plain)))
		return rc;
	if (level != d->level && n > len / FRAMEJOB_SURE &&
	    framejob_delta_pays(n - n / SLOW_SAVES, base->count, len, plain,
	    save) && (rc = squeeze_pack(d->slow, d->buf, cap, p, len, base->p,
	    base->len, &n)))
		return rc;
	*stored = d->buf;
	*stored_len = n;
	return framejob_delta_pays(n, base->count, len, plain, save) ? FOUND :
	    OK;
}
