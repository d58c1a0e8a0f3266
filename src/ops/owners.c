#include "ops/owners.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/snaprec.h"
#include "sys/fsys.h"

#define OWNER_NAME_MAX 255

typedef bool (*lookup_fn)(const char *name, uint32_t *id);

static int
load_list(const struct snaprec_string *raw, lookup_fn lookup,
    struct owners_row **rows, size_t *count)
{
	char name[OWNER_NAME_MAX + 1];
	struct snaprec_owner o;
	struct cursor c;
	uint32_t here;
	size_t cap = 0;
	int rc;

	cursor_init(&c, raw->p, raw->len);
	while (snaprec_next_owner(&c, &o)) {
		if (o.name.len == 0 || o.name.len > OWNER_NAME_MAX)
			continue;
		memcpy(name, o.name.p, o.name.len);
		name[o.name.len] = '\0';
		if (!lookup(name, &here) || here == o.number)
			continue;
		rc = mem_grow((void **)rows, &cap, *count + 1, sizeof(**rows));
		if (rc)
			return rc;
		(*rows)[(*count)++] = (struct owners_row){ o.number, here };
	}
	return OK;
}

int
owners_load(struct owners *o, const struct snaprec *rec, bool numeric)
{
	int rc;

	*o = (struct owners){ 0 };
	if (numeric)
		return OK;
	rc = load_list(&rec->users_raw, fsys_user_id, &o->users,
	    &o->user_count);
	if (rc == OK)
		rc = load_list(&rec->groups_raw, fsys_group_id, &o->groups,
		    &o->group_count);
	return rc;
}

void
owners_clear(struct owners *o)
{
	free(o->users);
	free(o->groups);
	*o = (struct owners){ 0 };
}

static uint32_t
map(const struct owners_row *rows, size_t count, uint32_t id)
{
	size_t lo = 0, hi = count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (rows[mid].there < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < count && rows[lo].there == id ? rows[lo].here : id;
}

uint32_t
owners_uid(const struct owners *o, uint32_t uid)
{
	return map(o->users, o->user_count, uid);
}

uint32_t
owners_gid(const struct owners *o, uint32_t gid)
{
	return map(o->groups, o->group_count, gid);
}
