#include "source/dbread.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "source/dbproto.h"
#include "source/dbserve.h"
#include "sys/helper.h"

struct dbread {
	struct helper h;
	struct dbproto_say say;         /* what was heard last */
	size_t used;                    /* of its bytes */
	bool pending;                   /* it is DATA, and has more */
	uint32_t id;
};

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

bool
dbread_is_header(const uint8_t h[static DBREAD_HEADER_LEN])
{
	uint32_t size = be16(h + 16);

	if (size == 1)
		size = 65536;
	return memcmp(h, "SQLite format 3", 16) == 0 && size >= 512 && (size & (size - 1)) == 0 &&
	    h[18] >= 1 && h[18] <= 2 && h[19] >= 1 && h[19] <= 2 && size - h[20] >= 480 &&
	    h[21] == 64 && h[22] == 32 && h[23] == 32;
}

int
dbread_start(const char *program, struct dbread **out)
{
	struct dbread *d;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(d)))
		return rc;
	d->h.sock = -1;
	rc = helper_start(&d->h, program, DBSERVE_ARG, (size_t)DBPROTO_SLOTS * DBPROTO_SLOT_LEN);
	*out = rc ? dbread_free(d) : d;
	return rc;
}

struct dbread *
dbread_free(struct dbread *d)
{
	if (d)
		helper_stop(&d->h);
	free(d);
	return NULL;
}

static int
ask(struct dbread *d, const struct dbproto_ask *a, int fd)
{
	return helper_send(d->h.sock, a, sizeof(*a), fd);
}

static int
hear(struct dbread *d)
{
	int rc = helper_receive(d->h.sock, &d->say, sizeof(d->say), NULL);

	d->say.text[sizeof(d->say.text) - 1] = 0;
	return rc == AT_END ? fail(ERR_FAILED, "the database helper ended unexpectedly") : rc;
}

static int
nonsense(void)
{
	return fail(ERR_FAILED, "the database helper said something that makes no sense");
}

int
dbread_add(struct dbread *d, uint32_t id, int dirfd, const char *name, uint64_t dev, uint64_t inode)
{
	struct dbproto_ask a = { .op = DBPROTO_ADD, .id = id, .dev = dev, .inode = inode };

	if (strlen(name) > DBPROTO_NAME_MAX)
		return fail(ERR_FAILED, "the name is too long");
	memcpy(a.name, name, strlen(name) + 1);
	return ask(d, &a, dirfd);
}

int
dbread_cut(struct dbread *d, uint64_t wal_limit)
{
	struct dbproto_ask a = { .op = DBPROTO_CUT, .wal_limit = wal_limit };
	int rc;

	if ((rc = ask(d, &a, -1)) || (rc = hear(d)))
		return rc;
	return d->say.op == DBPROTO_CUT ? OK : nonsense();
}

int
dbread_next(struct dbread *d, uint32_t *id, uint32_t *page_size)
{
	struct dbproto_ask a = { .op = DBPROTO_NEXT };
	int rc;

	if ((rc = ask(d, &a, -1)) || (rc = hear(d)))
		return rc;
	if (d->say.op == DBPROTO_NONE)
		return AT_END;
	*id = d->id = d->say.id;
	*page_size = d->say.page_size;
	d->pending = false;
	return d->say.op == DBPROTO_BEGIN && *page_size <= 65536 ? FOUND : nonsense();
}

static int
take_end(struct dbread *d, struct dbread_result *res)
{
	const struct dbproto_say *s = &d->say;

	if (s->outcome < DBREAD_CAPTURED || s->outcome > DBREAD_FAILED || s->page_size > 65536)
		return nonsense();
	*res = (struct dbread_result){ .outcome = s->outcome, .page_size = s->page_size, .pages = s->pages,
		.one_instant = s->one_instant != 0, .spread_ns = s->spread_ns, .wal_growth = s->wal_growth,
		.held_ns = s->held_ns };
	memcpy(res->text, s->text, sizeof(res->text));
	return AT_END;
}

int
dbread_look(struct dbread *d, const uint8_t **p, size_t *len, struct dbread_result *res)
{
	int rc;

	if (!d->pending) {
		if ((rc = hear(d)))
			return rc;
		if (d->say.id != d->id || d->say.len > DBPROTO_SLOT_LEN || d->say.slot >= DBPROTO_SLOTS)
			return nonsense();
		d->used = 0;
		if (d->say.op == DBPROTO_END)
			return take_end(d, res);
		if (d->say.op == DBPROTO_AGAIN)
			return OK;
		if (d->say.op != DBPROTO_DATA || d->say.len == 0)
			return nonsense();
		d->pending = true;
	}
	*p = d->h.shared + (size_t)d->say.slot * DBPROTO_SLOT_LEN + d->used;
	*len = d->say.len - d->used;
	return FOUND;
}

int
dbread_used(struct dbread *d, size_t n)
{
	const struct dbproto_ask a = { .op = DBPROTO_FREE, .id = d->say.slot };

	d->used += n;
	d->pending = d->used < d->say.len;
	return d->pending ? OK : ask(d, &a, -1);
}
