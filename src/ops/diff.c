#include "ops/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "ops/listing.h"
#include "ops/view.h"
#include "store/tree.h"
#include "sys/signals.h"

struct diff {
	struct reader *rd;
	const struct diff_options *o;
	struct diff_result *res;
	struct mem_buf path;            /* zero behind it; "" is the top */
	int worst;
};

/* One side of a directory; an absent side is at its end from the start. */
struct side {
	struct tree_dir *d;
	struct treenode_entry e;
	bool has;                       /* e is the next entry */
};

static bool
is_file(const struct treenode_entry *e)
{
	return e && e->kind == TREENODE_FILE;
}

static bool
is_dir(const struct treenode_entry *e)
{
	return e && e->kind == TREENODE_DIR;
}

static bool
is_implied(const struct treenode_entry *e)
{
	return e && e->flags & TREENODE_IMPLIED;
}

static int
tell(struct diff *d, char what, const struct treenode_entry *a, const struct treenode_entry *b)
{
	struct diff_result *r = d->res;
	struct diff_item item = { what, d->path.len ? (const char *)d->path.p : "/", a, b };

	switch (what) {
	case '+':
		r->added++;
		break;
	case '-':
		r->removed++;
		break;
	case 'M':
		r->modified++;
		break;
	case 'm':
		r->metadata++;
		break;
	default:
		r->retyped++;
	}
	if (what == 'M' && is_file(b))
		r->bytes_modified += b->size;
	if (what == '+' || what == 'T')
		r->bytes_added += is_file(b) ? b->size : 0;
	if (what == '-' || what == 'T')
		r->bytes_removed += is_file(a) ? a->size : 0;
	return d->o->item(d->o->arg, &item);
}

static bool
same_bytes(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	return alen == blen && (!alen || memcmp(a, b, alen) == 0);
}

static bool
same_content(const struct treenode_entry *a, const struct treenode_entry *b)
{
	if (a->kind == TREENODE_DIR)
		return true;
	if (a->kind == TREENODE_LINK)
		return same_bytes(a->target, (size_t)a->size, b->target, (size_t)b->size);
	return a->size == b->size && ((a->flags ^ b->flags) & TREENODE_UNREAD) == 0 &&
	    name_cmp(&a->content, &b->content) == 0;
}

static bool
same_metadata(const struct treenode_entry *a, const struct treenode_entry *b)
{
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
	    !same_bytes(a->ext, a->ext_len, b->ext, b->ext_len))
		return false;
	return a->kind == TREENODE_DIR || (a->mtime == b->mtime && a->mtime_ns == b->mtime_ns);
}

/*
 * What to say of two entries of one name; 0: nothing.  A directory only passed through is not part
 * of its snapshot.
 */
static char
judge(const struct treenode_entry *a, const struct treenode_entry *b)
{
	bool has_a = a && !is_implied(a), has_b = b && !is_implied(b);

	if (!has_a || !has_b)
		return has_b ? '+' : has_a ? '-' : 0;
	if (a->kind != b->kind)
		return 'T';
	if (!same_content(a, b))
		return 'M';
	return same_metadata(a, b) ? 0 : 'm';
}

static int compare_dirs(struct diff *d, const struct treenode_entry *a,
    const struct treenode_entry *b, unsigned depth);

/* Either may be NULL, not both. */
static int
compare(struct diff *d, const struct treenode_entry *a, const struct treenode_entry *b,
    unsigned depth)
{
	char what = judge(a, b);
	int rc = what ? tell(d, what, a, b) : OK;

	if (rc < 0 || (!is_dir(a) && !is_dir(b)))
		return rc;
	if (is_dir(a) && is_dir(b) && name_cmp(&a->content, &b->content) == 0)
		return OK;
	return compare_dirs(d, is_dir(a) ? a : NULL, is_dir(b) ? b : NULL, depth);
}

static int
compare_child(struct diff *d, const struct treenode_entry *a, const struct treenode_entry *b,
    unsigned depth)
{
	const struct treenode_entry *e = a ? a : b;
	size_t len = d->path.len;
	int rc;

	if ((rc = mem_buf_reserve(&d->path, e->name_len + 2u)))
		return rc;
	d->path.p[d->path.len++] = '/';
	memcpy(d->path.p + d->path.len, e->name, e->name_len);
	d->path.len += e->name_len;
	d->path.p[d->path.len] = 0;
	rc = compare(d, a, b, depth);
	d->path.len = len;
	d->path.p[len] = 0;
	return rc < 0 ? rc : OK;
}

static int
advance(struct side *s)
{
	int rc = s->d ? tree_next(s->d, &s->e) : AT_END;

	s->has = rc == FOUND;
	return rc < 0 ? rc : OK;
}

static int
side_open(struct diff *d, struct side *s, const struct treenode_entry *dir)
{
	int rc;

	*s = (struct side){ .d = NULL };
	if (!dir || dir->flags & TREENODE_UNREAD)
		return OK;
	rc = tree_open(d->rd, &dir->content, &s->d);
	return rc ? rc : advance(s);
}

/* Both directories in step.  *child_rc: a failure that does not come from reading these two. */
static int
merge(struct diff *d, struct side *a, struct side *b, unsigned depth, int *child_rc)
{
	int order, rc = OK;

	while (rc == OK && (a->has || b->has)) {
		order = !a->has ? 1 : !b->has ? -1 : treenode_name_cmp(a->e.name, a->e.name_len,
		    b->e.name, b->e.name_len);
		if ((*child_rc = signals_check()) ||
		    (*child_rc = compare_child(d, order <= 0 ? &a->e : NULL, order >= 0 ? &b->e :
		    NULL, depth + 1)))
			return OK;
		if (order <= 0)
			rc = advance(a);
		if (rc == OK && order >= 0)
			rc = advance(b);
	}
	return rc;
}

static int
compare_dirs(struct diff *d, const struct treenode_entry *a, const struct treenode_entry *b,
    unsigned depth)
{
	struct side sa = { .d = NULL }, sb = { .d = NULL };
	int rc, child_rc = OK;

	if (depth > TREENODE_DEPTH_MAX)
		rc = fail(ERR_CORRUPT, "directories are nested too deep");
	else if ((rc = side_open(d, &sa, a)) == OK && (rc = side_open(d, &sb, b)) == OK)
		rc = merge(d, &sa, &sb, depth, &child_rc);
	tree_close(sa.d);
	tree_close(sb.d);
	if (child_rc)
		return child_rc;
	if (err_is_damage(rc) || rc == ERR_UNSUPPORTED) {
		d->o->problem(d->o->arg, d->path.len ? (const char *)d->path.p : "/");
		d->worst = view_damage(rc);
		return OK;
	}
	return rc;
}

static int
find_top(struct diff *d, const struct name *root, const char *which, const char *path, struct tree_entry *out)
{
	int rc = view_damage(tree_lookup(d->rd, root, path, strlen(path), out));

	if (rc == OK)
		return fail(ERR_ABSENT, "the %s snapshot has no '%s'", which, path);
	return rc < 0 ? rc : OK;
}

int
diff_run(struct reader *rd, const struct name *old_root, const char *old_path,
    const struct name *new_root,
    const char *new_path, const struct diff_options *o, struct diff_result *res)
{
	struct diff d = { .rd = rd, .o = o, .res = res };
	struct tree_entry a = { .mem = NULL }, b = { .mem = NULL };
	char *clean[2] = { NULL, NULL };
	int rc;

	*res = (struct diff_result){ 0 };
	if ((rc = listing_clean_path(NULL, old_path, &clean[0])) ||
	    (rc = listing_clean_path(NULL, new_path, &clean[1])) ||
	    (rc = find_top(&d, old_root, "first", clean[0], &a)) ||
	    (rc = find_top(&d, new_root, "second", clean[1], &b)) ||
	    (rc = mem_buf_add(&d.path, clean[1], strlen(clean[1]) + 1)))
		goto out;
	d.path.len = clean[1][1] ? d.path.len - 1 : 0;
	rc = compare(&d, &a.e, &b.e, 0);
out:
	tree_entry_clear(&a);
	tree_entry_clear(&b);
	mem_buf_clear(&d.path);
	free(clean[0]);
	free(clean[1]);
	return rc < 0 ? rc : d.worst;
}
