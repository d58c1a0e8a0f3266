/*
 * Most of a snapshot is what the snapshot before was.  A subtree that was searched at a path has
 * left its hits, the numbers of the
 * versions found in it, as one run of `hits`; where the same tree stands at the same path again,
 * the run is copied and its versions
 * get one more snapshot.  So the cost follows the number of different trees, not the number of
 * snapshots.
 *
 *      hits:   ... | a b c d e f | ...         run of a directory
 *                    ^^^ ^ ^^^^^               runs of its subdirectories lie inside of it
 */
#include "ops/find.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "source/filter.h"
#include "sys/signals.h"

/* Names to numbers: open addressing, never more than half full. */
struct map {
	struct cell {
		struct name key;
		size_t value;           /* plus 1; 0: empty cell */
	} *cells;
	size_t count, room;             /* room: a power of two, or 0 */
};

struct run {
	size_t first, end;              /* of hits */
};

struct find {
	struct reader *rd;
	const struct find_options *o;
	struct find_result *res;
	const struct snapshots_item *snap;
	size_t snap_no;
	char **patterns;                /* prepared: lower case if case is ignored,
	    "**" + "/" in front where needed */
	struct map versions, trees;     /* version keys to versions; (tree, path) to runs */
	size_t *hits;
	size_t hit_count, hit_cap;
	struct run *runs;
	size_t run_count, run_cap;
	struct mem_buf path, folded;
	int worst;
};

static struct cell *
map_at(const struct map *m, const struct name *key)
{
	uint64_t h;
	size_t i;

	memcpy(&h, key->b, sizeof(h));
	for (i = (size_t)h & (m->room - 1); m->cells[i].value; i = (i + 1) & (m->room - 1))
		if (name_cmp(&m->cells[i].key, key) == 0)
			break;
	return &m->cells[i];
}

static int
map_grow(struct map *m)
{
	struct map big = { .room = m->room ? m->room * 2 : 256 };
	int rc;

	if ((rc = mem_new((void **)&big.cells, mem_array(big.room, sizeof(*big.cells)))))
		return rc;
	for (size_t i = 0; i < m->room; i++)
		if (m->cells[i].value)
			*map_at(&big, &m->cells[i].key) = m->cells[i];
	big.count = m->count;
	free(m->cells);
	*m = big;
	return OK;
}

/* The cell of the key, with value 0 if it is new. */
static int
map_cell(struct map *m, const struct name *key, struct cell **out)
{
	int rc;

	if (m->count * 2 >= m->room && (rc = map_grow(m)))
		return rc;
	*out = map_at(m, key);
	if (!(*out)->value) {
		(*out)->key = *key;
		m->count++;
	}
	return OK;
}

static int
add_snap(struct find *f, size_t version)
{
	struct find_version *v = &f->res->versions[version];
	int rc;

	if (v->snap_count && v->snaps[v->snap_count - 1] == f->snap_no)
		return OK;
	if ((rc = mem_grow((void **)&v->snaps, &v->snap_cap, v->snap_count + 1, sizeof(*v->snaps))))
		return rc;
	v->snaps[v->snap_count++] = f->snap_no;
	f->res->matches++;
	return OK;
}

static int
add_hit(struct find *f, size_t version)
{
	int rc = mem_grow((void **)&f->hits, &f->hit_cap, f->hit_count + 1, sizeof(*f->hits));

	if (rc == OK)
		f->hits[f->hit_count++] = version;
	return rc ? rc : add_snap(f, version);
}

/*
 * Everything that makes two entries of one path different versions; access to a directory's content
 * does not.
 */
static int
version_key(struct find *f, const struct treenode_entry *e, struct name *key)
{
	struct mem_buf b = { 0 };
	const uint64_t fields[] = {
		e->kind, e->mode, e->uid, e->gid, (uint64_t)e->mtime, e->mtime_ns, e->size,
	};
	int rc;

	if ((rc = mem_buf_add(&b, fields, sizeof(fields))) == OK &&
	    (rc = e->kind == TREENODE_DIR ? OK : mem_buf_add(&b, e->content.b, NAME_LEN)) == OK &&
	    (rc = e->target ? mem_buf_add(&b, e->target, (size_t)e->size) : OK) == OK &&
	    (rc = mem_buf_add(&b, f->path.p, f->path.len)) == OK)
		digest_hash(key, b.p, b.len);
	mem_buf_clear(&b);
	return rc;
}

static int
found(struct find *f, const struct treenode_entry *e)
{
	struct find_version *v;
	struct cell *cell;
	struct name key;
	int rc;

	if ((rc = version_key(f, e, &key)) || (rc = map_cell(&f->versions, &key, &cell)))
		return rc;
	if (!cell->value) {
		if ((rc = mem_grow((void **)&f->res->versions, &f->res->cap, f->res->count + 1,
		    sizeof(*v))))
			return rc;
		v = &f->res->versions[f->res->count++];
		*v = (struct find_version){ .path = NULL };
		cell->value = f->res->count;
		if ((rc = mem_dup(&v->path, (const char *)f->path.p)) ||
		    (rc = tree_entry_copy(&v->entry, e)))
			return rc;
	}
	return add_hit(f, cell->value - 1);
}

static void
fold(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* The path as patterns see it. */
static int
folded_path(struct find *f, const char **out)
{
	int rc;

	*out = (const char *)f->path.p;
	if (!f->o->ignore_case)
		return OK;
	f->folded.len = 0;
	if ((rc = mem_buf_add(&f->folded, f->path.p, f->path.len + 1)))
		return rc;
	fold((char *)f->folded.p);
	*out = (const char *)f->folded.p;
	return OK;
}

static bool
matches(const struct find *f, const char *path)
{
	for (size_t i = 0; i < f->o->pattern_count; i++) {
		const char *p = f->patterns[i];

		if (filter_glob(p, strchr(p, '/') ? path : strrchr(path, '/') + 1, false))
			return true;
	}
	return false;
}

/*
 * Can anything beneath this directory match?  Patterns that begin with "/" lead the way by what
 * stands before their first star.
 */
static bool
leads_on(const struct find *f, const char *dir)
{
	size_t len = strlen(dir);

	for (size_t i = 0; i < f->o->pattern_count; i++) {
		const char *p = f->patterns[i];
		size_t fixed = strcspn(p, "*?[\\");

		if (p[0] != '/')
			return true;
		if (len < fixed ? strncmp(p, dir, len) == 0 && p[len] == '/' :
		    strncmp(p, dir, fixed) == 0 && p[fixed])
			return true;
	}
	return false;
}

static int search_dir(struct find *f, const struct name *tree, unsigned depth);

static int
search_entry(struct find *f, const struct treenode_entry *e, unsigned depth)
{
	size_t len = f->path.len;
	const char *shown;
	int rc;

	if ((rc = mem_buf_reserve(&f->path, e->name_len + 2u)))
		return rc;
	f->path.p[f->path.len++] = '/';
	memcpy(f->path.p + f->path.len, e->name, e->name_len);
	f->path.len += e->name_len;
	f->path.p[f->path.len] = 0;
	rc = folded_path(f, &shown);
	if (rc == OK && !(e->flags & TREENODE_IMPLIED) && matches(f, shown))
		rc = found(f, e);
	if (rc == OK && e->kind == TREENODE_DIR && !(e->flags & TREENODE_UNREAD) &&
	    leads_on(f, shown))
		rc = search_dir(f, &e->content, depth + 1);
	f->path.len = len;
	f->path.p[len] = 0;
	return rc;
}

static int
read_dir(struct find *f, const struct name *tree, unsigned depth)
{
	struct tree_dir *d = NULL;
	struct treenode_entry e;
	int rc, entry_rc = OK;

	if (depth > TREENODE_DEPTH_MAX)
		rc = fail(ERR_CORRUPT, "directories are nested too deep");
	else if ((rc = tree_open(f->rd, tree, &d)) == OK)
		while ((rc = signals_check()) == OK && (rc = tree_next(d, &e)) == FOUND)
			if ((entry_rc = search_entry(f, &e, depth)))
				break;
	tree_close(d);
	if (entry_rc)
		return entry_rc;
	if (err_is_damage(rc) || rc == ERR_UNSUPPORTED) {
		f->o->problem(f->o->arg, f->snap, f->path.len ? (const char *)f->path.p : "/");
		f->worst = view_damage(rc);
		return OK;
	}
	return rc < 0 ? rc : OK;
}

/* What was found when this tree was searched at this path before. */
static int
repeat(struct find *f, const struct run *run)
{
	int rc = OK;

	for (size_t i = run->first; rc == OK && i < run->end; i++)
		rc = add_hit(f, f->hits[i]);
	return rc;
}

static int
search_dir(struct find *f, const struct name *tree, unsigned depth)
{
	struct name key;
	struct cell *cell;
	struct run run = { .first = f->hit_count };
	struct mem_buf b = { 0 };
	size_t mine;
	int rc;

	if ((rc = mem_buf_add(&b, tree->b, NAME_LEN)) == OK && (rc = mem_buf_add(&b, f->path.p,
	    f->path.len)) == OK)
		digest_hash(&key, b.p, b.len);
	mem_buf_clear(&b);
	if (rc || (rc = map_cell(&f->trees, &key, &cell)))
		return rc;
	if (cell->value)
		return repeat(f, &f->runs[cell->value - 1]);
	/* The cell may move while subdirectories are searched: it is filled now, the run later. */
	if ((rc = mem_grow((void **)&f->runs, &f->run_cap, f->run_count + 1, sizeof(run))))
		return rc;
	f->runs[f->run_count] = run;
	cell->value = ++f->run_count;
	mine = f->run_count - 1;
	rc = read_dir(f, tree, depth);
	f->runs[mine].end = f->hit_count;
	return rc;
}

static int
prepare(struct find *f)
{
	int rc = mem_new((void **)&f->patterns, mem_array(f->o->pattern_count + 1, sizeof(char *)));

	for (size_t i = 0; rc == OK && i < f->o->pattern_count; i++) {
		const char *p = f->o->patterns[i];
		struct mem_buf b = { 0 };

		if (!*p)
			return fail(ERR_USAGE, "an empty pattern finds nothing");
		if (p[0] != '/' && strchr(p, '/'))
			rc = mem_buf_add(&b, "/**/", 4);
		if (rc == OK)
			rc = mem_buf_add(&b, p, strlen(p) + 1);
		f->patterns[i] = (char *)b.p;
		if (rc == OK && f->o->ignore_case)
			fold(f->patterns[i]);
	}
	return rc;
}

static int
by_path(const void *a, const void *b)
{
	const struct find_version *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	if (c)
		return c;
	return (x->snaps[0] > y->snaps[0]) - (x->snaps[0] < y->snaps[0]);
}

int
find_run(struct reader *rd, const struct snapshots_item *const *snaps, size_t snap_count,
    const struct find_options *o,
    struct find_result *res)
{
	struct find f = { .rd = rd, .o = o, .res = res };
	int rc;

	*res = (struct find_result){ 0 };
	rc = prepare(&f);
	if (rc == OK && (rc = mem_buf_add(&f.path, "", 1)) == OK)
		f.path.len = 0;
	for (f.snap_no = 0; rc == OK && f.snap_no < snap_count; f.snap_no++) {
		f.snap = snaps[f.snap_no];
		rc = search_dir(&f, &f.snap->rec.root, 0);
	}
	if (rc == OK && res->count)
		qsort(res->versions, res->count, sizeof(*res->versions), by_path);
	for (size_t i = 0; f.patterns && i < o->pattern_count; i++)
		free(f.patterns[i]);
	free(f.patterns);
	free(f.versions.cells);
	free(f.trees.cells);
	free(f.hits);
	free(f.runs);
	mem_buf_clear(&f.path);
	mem_buf_clear(&f.folded);
	return rc ? rc : f.worst;
}

void
find_clear(struct find_result *res)
{
	for (size_t i = 0; i < res->count; i++) {
		free(res->versions[i].path);
		free(res->versions[i].snaps);
		tree_entry_clear(&res->versions[i].entry);
	}
	free(res->versions);
	*res = (struct find_result){ 0 };
}
