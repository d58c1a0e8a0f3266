/*
 * trace: a cell is tainted if it, or anything beneath it, cannot be read.  Each is judged once (CENSUS_SEEN), so only what leads to
 * damage is walked with its path, snapshot by snapshot.
 */
#include "ops/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/treenode.h"
#include "store/children.h"
#include "store/tree.h"
#include "sys/signals.h"

#define DEPTH_MAX (2 * (TREENODE_DEPTH_MAX + 8))

struct trace {
	const struct prove *p;
	struct reader *rd;
	size_t snap;
	const struct name_sid *sid;
	struct mem_buf path;            /* zero-terminated; len without the zero */
	bool listed;                    /* the file at hand was told of at least one damage */
};

struct kids {
	struct kid {
		struct name id;
		uint8_t type;
	} *v;
	size_t count, cap;
};

static int
keep_kid(void *arg, const struct name *id, uint8_t type)
{
	struct kids *k = arg;
	int rc = mem_grow((void **)&k->v, &k->cap, k->count + 1, sizeof(*k->v));

	if (rc == OK)
		k->v[k->count++] = (struct kid){ *id, type };
	return rc;
}

static int
kids_of(struct trace *t, const struct name *id, uint8_t type, struct kids *k)
{
	const uint8_t *raw;
	size_t len;
	int rc = reader_get(t->rd, id, type, &raw, &len);

	return rc ? rc : children_each(type, raw, len, keep_kid, k);
}

/* FOUND when something at or beneath this chunk cannot be read, OK when not, or a failure. */
static int
tainted(struct trace *t, const struct name *id, uint8_t type, unsigned depth)
{
	uint32_t n = census_find(t->p->c, id);
	struct kids k = { 0 };
	struct census_cell *c;
	int rc = OK;

	if (n == CENSUS_NONE || t->p->c->cells[n].frame == CENSUS_NONE || depth > DEPTH_MAX)
		return FOUND;
	c = &t->p->c->cells[n];
	if (c->flags & CENSUS_SEEN)
		return c->flags & CENSUS_TAINTED ? FOUND : OK;
	c->flags |= CENSUS_SEEN;
	if (prove_problem(t->p, c) || damage_of(t->p->d, id)) {
		rc = FOUND;
	} else if (type != FRAME_DATA) {
		if ((rc = signals_check()) == OK)
			rc = kids_of(t, id, type, &k);
		if (prove_is_damage(rc))
			rc = FOUND;
		for (size_t i = 0; rc == OK && i < k.count; i++)
			rc = tainted(t, &k.v[i].id, k.v[i].type, depth + 1);
	}
	free(k.v);
	if (rc == FOUND)
		c->flags |= CENSUS_TAINTED;
	return rc;
}

/* The damage of this very chunk; 0: none, or nobody noted it. */
static uint32_t
own_damage(const struct trace *t, const struct name *id)
{
	uint32_t n = census_find(t->p->c, id), no = 0;

	if (n != CENSUS_NONE)
		no = prove_problem(t->p, &t->p->c->cells[n]);
	return no ? no : damage_of(t->p->d, id);
}

static int
tell(struct trace *t, uint32_t no)
{
	t->listed = t->listed || no;
	return damage_file(t->p->d, no, t->path.len ? (const char *)t->path.p : "/", t->snap, t->sid);
}

/* Each damage at or beneath this chunk is one of the path at hand. */
static int
tell_all(struct trace *t, const struct name *id, uint8_t type, unsigned depth)
{
	uint32_t no = own_damage(t, id);
	struct kids k = { 0 };
	int rc;

	if (no)
		return tell(t, no);
	if (type == FRAME_DATA || depth > DEPTH_MAX || (rc = tainted(t, id, type, depth)) != FOUND)
		return OK;
	rc = kids_of(t, id, type, &k);
	if (prove_is_damage(rc))
		rc = OK;
	for (size_t i = 0; rc == OK && i < k.count; i++)
		rc = tell_all(t, &k.v[i].id, k.v[i].type, depth + 1);
	free(k.v);
	return rc;
}

static int walk(struct trace *t, const struct name *tree, unsigned depth);

static int
walk_entry(struct trace *t, const struct treenode_entry *e, unsigned depth)
{
	uint8_t type = e->kind == TREENODE_DIR ? FRAME_TREE : e->flags & TREENODE_LIST ? FRAME_LIST : FRAME_DATA;
	struct name content = e->content;
	size_t len = t->path.len;
	int rc;

	if (name_is_zero(&content) || (rc = tainted(t, &content, type, 0)) == OK)
		return OK;
	if (rc != FOUND || (rc = mem_buf_reserve(&t->path, e->name_len + 2u)))
		return rc;
	t->path.p[t->path.len++] = '/';
	memcpy(t->path.p + t->path.len, e->name, e->name_len);
	t->path.len += e->name_len;
	t->path.p[t->path.len] = 0;
	rc = type == FRAME_TREE ? walk(t, &content, depth + 1) : tell_all(t, &content, type, 0);
	t->path.len = len;
	t->path.p[len] = 0;
	return rc;
}

static int
walk(struct trace *t, const struct name *tree, unsigned depth)
{
	struct tree_dir *d = NULL;
	struct treenode_entry e;
	int rc, entry_rc = OK;

	if (depth > TREENODE_DEPTH_MAX)
		return OK;
	if ((rc = tree_open(t->rd, tree, &d)) == OK)
		while ((rc = signals_check()) == OK && (rc = tree_next(d, &e)) == FOUND)
			if ((entry_rc = walk_entry(t, &e, depth)))
				break;
	tree_close(d);
	if (entry_rc)
		return entry_rc;
	/* The directory itself, and who knows what was beneath. */
	if (prove_is_damage(rc))
		return tell_all(t, tree, FRAME_TREE, 0);
	return rc < 0 ? rc : OK;
}

/* The damage that chunk `id` suffers from in the end. */
static uint32_t
root_problem(const struct prove *p, const struct name *id)
{
	uint32_t no = 0;

	for (int i = 0; i <= FRAME_DEPTH_MAX && !name_is_zero(id); i++) {
		uint32_t n = census_find(p->c, id), next = n == CENSUS_NONE ? 0 : prove_problem(p, &p->c->cells[n]);

		if (!next)
			break;
		no = next;
		id = &p->d->v[no - 1].cause;
	}
	return no;
}

/* One damaged base is one damage, however many differences stand on it. */
static void
join_problems(const struct prove *p)
{
	damage_sort(p->d);
	for (uint32_t no = 1; no <= p->d->count; no++) {
		uint32_t root = name_is_zero(&p->d->v[no - 1].cause) ? 0 : root_problem(p, &p->d->v[no - 1].cause);

		if (root && root != no)
			damage_drop(p->d, no, root);
	}
}

int
trace_run(const struct prove *p, struct reader *rd, const struct snapshots_item *const *snaps, size_t count)
{
	struct trace t = { .p = p, .rd = rd };
	int rc;

	join_problems(p);
	rc = mem_buf_reserve(&t.path, 1);
	for (size_t i = 0; rc == OK && i < count; i++) {
		if (!snaps[i])
			continue;
		t.snap = i;
		t.sid = &snaps[i]->sid;
		t.path.len = 0;
		t.path.p[0] = 0;
		if ((rc = tainted(&t, &snaps[i]->rec.root, FRAME_TREE, 0)) == FOUND)
			rc = walk(&t, &snaps[i]->rec.root, 0);
	}
	mem_buf_clear(&t.path);
	return rc;
}
