/*
 * excise: every directory on the way to a loss is written anew, entry by entry, read node by node: of a large directory of which a
 * node is lost the other nodes' entries stay, and an unreadable file with the first lost name stands for the rest.
 */
#include "ops/excise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "format/treenode.h"
#include "ops/lost.h"
#include "ops/treebuild.h"
#include "store/graves.h"
#include "store/mend.h"
#include "store/parity.h"
#include "store/pins.h"
#include "store/session.h"

#define FLAG_ERRORS 1u                  /* of a record: something could not be read */

struct excise {
	struct repo *r;
	const struct excise_options *o;
	struct excise_stats *stats;
	struct view v;
	struct lost_seen *seen;
	struct session *s;
	const struct snapshots_item *snap;
	struct mem_buf path;
	unsigned depth;
};

static bool
is_damage(int rc)
{
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_ABSENT || rc == ERR_UNSUPPORTED;
}

static void
tell(struct excise *x, bool directory)
{
	if (directory)
		x->stats->directories++;
	else
		x->stats->files++;
	if (x->o->lost)
		x->o->lost(x->o->arg, &x->snap->sid, (const char *)x->path.p, x->path.len, directory);
}

static int rewrite(struct excise *x, const struct name *id, struct name *out);

/* The entry without what is lost of it. */
static int
mend_entry(struct excise *x, struct treenode_entry *e)
{
	int rc = lost_entry_whole(&x->v, x->seen, e);

	if (rc)
		return rc == FOUND ? OK : rc;
	if (e->kind == TREENODE_DIR) {
		rc = rewrite(x, &e->content, &e->content);
		if (!is_damage(rc))
			return rc;
	}
	tell(x, e->kind == TREENODE_DIR);
	e->flags = (uint8_t)((e->flags | TREENODE_UNREAD) & ~TREENODE_LIST);
	memset(&e->content, 0, sizeof(e->content));
	memset(e->fingerprint, 0, sizeof(e->fingerprint));
	return OK;
}

/* A directory being written: entries must ascend whatever damaged nodes say. */
struct target {
	struct treebuild b;
	uint8_t last[TREENODE_NAME_MAX];
	uint16_t last_len;
};

static int
add(struct excise *x, struct target *t, struct treenode_entry *e)
{
	size_t len = x->path.len;
	int rc;

	if (t->last_len && treenode_name_cmp(t->last, t->last_len, e->name, e->name_len) >= 0)
		return OK;
	if ((rc = mem_buf_add(&x->path, "/", 1)) || (rc = mem_buf_add(&x->path, e->name, e->name_len)))
		return rc;
	rc = mend_entry(x, e);
	x->path.len = len;
	memcpy(t->last, e->name, e->name_len);
	t->last_len = e->name_len;
	return rc ? rc : treebuild_add(&t->b, e);
}

/* Entries of a node and of the nodes beneath it.  A lost one beneath it: one entry that says so. */
static int
copy_node(struct excise *x, struct target *t, const struct name *id, unsigned levels)
{
	struct treenode_entry e;
	struct treenode_row row;
	struct treenode n;
	const uint8_t *p;
	uint8_t *copy;
	size_t len;
	int rc;

	if ((rc = reader_get(x->v.rd, id, FRAME_TREE, &p, &len)) || (rc = mem_dup_bytes(&copy, p, len)))
		return rc;
	if ((rc = err_verdict(treenode_check(copy, len), "directory")) || (rc = err_verdict(treenode_open(&n, copy, len), "directory")))
		goto out;
	if (n.level >= levels) {
		rc = fail(ERR_CORRUPT, "a directory's nodes are nested too deeply");
		goto out;
	}
	while (rc == OK && n.level == 0 && treenode_next_entry(&n, &e))
		rc = add(x, t, &e);
	while (rc == OK && n.level > 0 && treenode_next_row(&n, &row)) {
		rc = copy_node(x, t, &row.id, n.level);
		if (!is_damage(rc))
			continue;
		e = (struct treenode_entry){ .name = row.name, .name_len = row.name_len, .kind = TREENODE_FILE, .flags = TREENODE_UNREAD };
		tell(x, true);
		rc = add(x, t, &e);
	}
out:
	free(copy);
	return rc;
}

/* Damage: the directory itself cannot be read. */
static int
rewrite(struct excise *x, const struct name *id, struct name *out)
{
	const struct name old = *id;
	struct target *t;
	int rc;

	if (x->depth >= TREENODE_DEPTH_MAX)
		return fail(ERR_CORRUPT, "directories are nested too deeply");
	if ((rc = MEM_NEW(t)))
		return rc;
	x->depth++;
	treebuild_init(&t->b, x->s);
	if ((rc = copy_node(x, t, &old, TREENODE_LEVEL_MAX + 1)) == OK)
		rc = t->last_len ? treebuild_end(&t->b, out) : treebuild_empty(x->s, out);
	treebuild_clear(&t->b);
	free(t);
	x->depth--;
	return rc;
}

/* ------------------------------------------------------------------------------------------------------ records */

static int
strings(const struct snaprec_string *raw, uint32_t count, struct snaprec_string **out)
{
	struct cursor c;
	int rc = mem_new((void **)out, mem_array(count + 1u, sizeof(**out)));

	cursor_init(&c, raw->p, raw->len);
	for (uint32_t i = 0; rc == OK && i < count; i++)
		(void)snaprec_next_string(&c, &(*out)[i]);
	return rc;
}

static int
owners(const struct snaprec_string *raw, uint32_t count, struct snaprec_owner **out)
{
	struct cursor c;
	int rc = mem_new((void **)out, mem_array(count + 1u, sizeof(**out)));

	cursor_init(&c, raw->p, raw->len);
	for (uint32_t i = 0; rc == OK && i < count; i++)
		(void)snaprec_next_owner(&c, &(*out)[i]);
	return rc;
}

/* The same record for another root.  It keeps its place in the writer's chain. */
static int
commit(struct excise *x, const struct name *root)
{
	struct snaprec_string *paths = NULL, *tags = NULL;
	struct snaprec_owner *users = NULL, *groups = NULL;
	struct snaprec rec = x->snap->rec;
	int rc;

	rec.root = *root;
	rec.flags |= FLAG_ERRORS;
	if ((rc = strings(&rec.paths_raw, rec.path_count, &paths)) || (rc = strings(&rec.tags_raw, rec.tag_count, &tags)) ||
	    (rc = owners(&rec.users_raw, rec.user_count, &users)) || (rc = owners(&rec.groups_raw, rec.group_count, &groups)))
		goto out;
	rec.paths = paths;
	rec.tags = tags;
	rec.users = users;
	rec.groups = groups;
	rc = session_commit(x->s, &rec);
out:
	free(paths);
	free(tags);
	free(users);
	free(groups);
	return rc;
}

static int
set_record_aside(struct excise *x, const char *dir, const char *hex)
{
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "%s/%.32s", dir, hex);
	if ((rc = parity_drop_synced(x->r->io, OBJECTS_RECORD, hex)))
		return rc;
	return mend_set_aside(x->r, path);
}

static int
move_pin(struct excise *x, const struct name_sid *fresh)
{
	struct graves pins = { 0 };
	int rc = pins_load(x->r, &pins);

	if (rc == OK && pins_have(&pins, &x->snap->sid) && (!fresh || (rc = pins_set(x->r, fresh, true)) == OK))
		rc = pins_set(x->r, &x->snap->sid, false);
	free(pins.p);
	return rc;
}

/* OK; AT_END: nothing is left of it.  *fresh: of what was made. */
static int
mend_snapshot(struct excise *x, struct name_sid *fresh)
{
	const struct session_config cfg = { .jobs = 1, .no_settle = true };
	struct name root;
	int rc = session_begin(x->r, &cfg, &x->s);

	if (rc)
		return rc;
	*fresh = *session_sid(x->s);
	x->path.len = 0;
	rc = rewrite(x, &x->snap->rec.root, &root);
	if (rc == OK)
		rc = commit(x, &root);
	else if (is_damage(rc)) {
		if ((rc = mem_buf_add(&x->path, "/", 1)) == OK) {
			tell(x, true);
			rc = AT_END;
		}
	}
	if (rc)
		session_abort(x->s);
	x->s = session_free(x->s);
	return rc;
}

static int
one(struct excise *x, bool forgotten)
{
	struct treenode_entry top = { .kind = TREENODE_DIR, .content = x->snap->rec.root };
	struct name_sid fresh = { { 0 } };
	char hex[NAME_SID_HEX];
	int rc;

	if ((rc = lost_entry_whole(&x->v, x->seen, &top)))
		return rc == FOUND ? OK : rc;
	rc = forgotten ? AT_END : mend_snapshot(x, &fresh);
	if (rc < 0)
		return rc;
	if (rc == AT_END)
		x->stats->dropped++;
	else
		x->stats->snapshots++;
	if (x->o->snapshot)
		x->o->snapshot(x->o->arg, &x->snap->sid, rc == AT_END ? NULL : &fresh);
	if ((rc = move_pin(x, rc == AT_END ? NULL : &fresh)))
		return rc;
	name_sid_hex(&x->snap->sid, hex);
	return set_record_aside(x, forgotten ? "forgotten" : "snapshots", hex);
}

static int
all_of(struct excise *x, bool forgotten)
{
	int rc = view_open(x->r, VIEW_CONTENT | (forgotten ? VIEW_FORGOTTEN : 0), NULL, NULL, &x->v);

	if (rc == OK)
		rc = lost_seen_new(&x->seen);
	for (size_t i = 0; rc == OK && i < x->v.snaps.count; i++) {
		x->snap = &x->v.snaps.items[i];
		rc = one(x, forgotten);
	}
	x->seen = lost_seen_free(x->seen);
	view_close(&x->v);
	return rc;
}

static int
records_of(struct excise *x, bool forgotten)
{
	const char *dir = forgotten ? "forgotten" : "snapshots";
	struct graves list = { 0 };
	struct snapshots_item it;
	char hex[NAME_SID_HEX];
	int rc = graves_list(x->r, dir, &list);

	for (size_t i = 0; rc == OK && i < list.count; i++) {
		rc = snapshots_read(x->r, forgotten, &list.p[i], &it);
		if (rc == OK)
			snapshots_item_clear(&it);
		if (rc == ERR_ABSENT)
			rc = OK;        /* forgotten or taken back meanwhile */
		if (!is_damage(rc))
			continue;
		name_sid_hex(&list.p[i], hex);
		x->stats->dropped++;
		if (x->o->record)
			x->o->record(x->o->arg, hex);
		rc = set_record_aside(x, dir, hex);
	}
	free(list.p);
	return rc;
}

int
excise_records(struct repo *r, const struct excise_options *o, struct excise_stats *stats)
{
	struct excise x = { .r = r, .o = o, .stats = stats };
	int rc, rc2;

	*stats = (struct excise_stats){ 0 };
	if ((rc = io_lock(r->io, IO_EXCLUSIVE, true)))
		return rc;
	if ((rc = records_of(&x, false)) == OK)
		rc = records_of(&x, true);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

int
excise_run(struct repo *r, const struct excise_options *o, struct excise_stats *stats)
{
	struct excise x = { .r = r, .o = o, .stats = stats };
	int rc, rc2;

	/* Shared, a second one at the same time would give every snapshot a successor, too. */
	if ((rc = io_lock(r->io, IO_EXCLUSIVE, true)))
		return rc;
	if ((rc = all_of(&x, false)) == OK)
		rc = all_of(&x, true);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	mem_buf_clear(&x.path);
	return rc ? rc : rc2;
}
