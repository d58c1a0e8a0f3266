/* rollcall: see the header. */
#include "store/rollcall.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/aside.h"

#define DIRS 2

static const char *const dirs[DIRS] = { "snapshots", "forgotten" };

struct rollcall {
	struct aside *aside;
	struct recordsum sum;
};

static int
add(void *arg, const char *name)
{
	struct name_sid sid;

	if (name_sid_unhex(&sid, name))
		recordsum_add(arg, &sid);
	return OK;
}

int
rollcall_now(struct repo *r, struct recordsum *out)
{
	int rc = OK;

	*out = (struct recordsum){ 0 };
	for (size_t i = 0; rc == OK && i < DIRS; i++)
		rc = io_list(r->io, dirs[i], add, out);
	return rc;
}

static int
is_there(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return ERR_EXISTS;
}

struct rollcall *
rollcall_ahead(struct io *io)
{
	struct rollcall *c;
	bool forgotten = false;

	(void)!io_list(io, dirs[1], is_there, &forgotten);
	if (!forgotten || MEM_NEW(c))
		return NULL;
	c->aside = aside_begin(io, dirs, DIRS, add, &c->sum);
	return c->aside ? c : rollcall_free(c);
}

bool
rollcall_is(struct rollcall *c, const struct recordsum *sum)
{
	return aside_done(c->aside) && recordsum_equal(&c->sum, sum);
}

struct rollcall *
rollcall_free(struct rollcall *c)
{
	if (!c)
		return NULL;
	aside_free(c->aside);
	free(c);
	return NULL;
}
