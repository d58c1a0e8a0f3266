#include "ops/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "ops/view.h"
#include "store/tree.h"
#include "sys/signals.h"

struct walk {
	struct reader *rd;
	const struct listing_options *o;
	struct mem_buf path;            /* of the directory being listed,
	    zero behind it; "" is "/" */
	int worst;                      /* OK, or how the worst directory failed */
};

/* Lengthen the path by a component, or cut it back to len. */
static int
push(struct mem_buf *path, const uint8_t *name, size_t len)
{
	int rc;

	if ((rc = mem_buf_reserve(path, len + 2)))
		return rc;
	path->p[path->len++] = '/';
	memcpy(path->p + path->len, name, len);
	path->len += len;
	path->p[path->len] = 0;
	return OK;
}

static void
cut(struct mem_buf *path, size_t len)
{
	path->len = len;
	path->p[len] = 0;
}

static int list_dir(struct walk *w, const struct name *tree, unsigned depth);

static int
list_entry(struct walk *w, const struct treenode_entry *e, unsigned depth)
{
	size_t len = w->path.len;
	int rc;

	if ((rc = push(&w->path, e->name, e->name_len)))
		return rc;
	if (!w->o->recursive || !(e->flags & TREENODE_IMPLIED)) {
		struct listing_item item = {
			.path = (const char *)w->path.p, .path_len = w->path.len,
			    .name_off = len + 1, .e = e,
		};

		rc = w->o->item(w->o->arg, &item);
	}
	if (rc >= 0 && w->o->recursive && e->kind == TREENODE_DIR && !(e->flags & TREENODE_UNREAD))
		rc = list_dir(w, &e->content, depth + 1);
	cut(&w->path, len);
	return rc < 0 ? rc : OK;
}

/* A directory that cannot be read is told and remembered; only other failures end the walk. */
static int
list_dir(struct walk *w, const struct name *tree, unsigned depth)
{
	struct tree_dir *d = NULL;
	struct treenode_entry e;
	int rc, item_rc = OK;

	if (depth > TREENODE_DEPTH_MAX)
		rc = fail(ERR_CORRUPT, "directories are nested too deep");
	else if ((rc = tree_open(w->rd, tree, &d)) == OK)
		while ((rc = signals_check()) == OK && (rc = tree_next(d, &e)) == FOUND)
			if ((item_rc = list_entry(w, &e, depth)))
				break;
	tree_close(d);
	if (item_rc)
		return item_rc;
	if (err_is_damage(rc) || rc == ERR_UNSUPPORTED) {
		w->o->problem(w->o->arg, w->path.len ? (const char *)w->path.p : "/");
		w->worst = view_damage(rc);
		return OK;
	}
	return rc < 0 ? rc : OK;
}

int
listing_clean_path(const char *base, const char *path, char **out)
{
	struct mem_buf b = { 0 };
	const char *part[2] = { base ? base : "", path ? path : "" };
	int rc = mem_buf_reserve(&b, 2);

	for (int i = 0; i < 2; i++)
		for (const char *s = part[i]; rc == OK && *s;) {
			size_t n = strcspn(s, "/");

			if (n && !(n == 1 && s[0] == '.'))
				rc = push(&b, (const uint8_t *)s, n);
			s += n + (s[n] == '/');
		}
	if (rc == OK && !b.len)
		rc = mem_buf_add(&b, "/", 2);
	*out = rc ? NULL : (char *)b.p;
	if (rc)
		mem_buf_clear(&b);
	return rc;
}

int
listing_walk(struct reader *rd, const struct name *root, const char *path,
    const struct listing_options *o)
{
	struct walk w = { .rd = rd, .o = o };
	struct tree_entry found = { .mem = NULL };
	char *clean = NULL;
	size_t name_off;
	int rc;

	if ((rc = listing_clean_path(NULL, path, &clean)))
		return rc;
	rc = view_damage(tree_lookup(rd, root, clean, strlen(clean), &found));
	if (rc < 0)
		goto out;
	if (rc == OK) {
		rc = fail(ERR_ABSENT, "no '%s'", clean);
		goto out;
	}
	if (found.e.kind == TREENODE_DIR) {
		if (clean[1])
			rc = mem_buf_add(&w.path, clean, strlen(clean) + 1);
		else
			rc = mem_buf_add(&w.path, "", 1);
		if (rc == OK) {
			w.path.len--;
			rc = found.e.flags & TREENODE_UNREAD ? OK :
			    list_dir(&w, &found.e.content, 0);
		}
	} else {
		name_off = (size_t)(strrchr(clean, '/') - clean) + 1;
		rc = o->item(o->arg, &(struct listing_item){ clean, strlen(clean), name_off,
		    &found.e });
	}
out:
	tree_entry_clear(&found);
	mem_buf_clear(&w.path);
	free(clean);
	return rc < 0 ? rc : w.worst;
}
