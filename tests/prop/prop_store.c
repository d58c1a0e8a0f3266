/*
 * prop_store [SEQUENCES [SEED]]: random histories of one repository against a model of its snapshots in memory.
 *
 * A step is a snapshot (in one part or several, alone or two at once), a session given up after a part, forget, undelete, or a
 * settle that collects some of what was forgotten and, often, rewrites packs, or all of this on a chain of versions, or a repair of
 * the index; each but the last may be cut short by a kill or a power loss at any operation.  Directories
 * are shared, files change by a few bytes (so that chunks and nodes are stored as differences), old states return.  In some files
 * pieces change places between chunks, as rows do in a database: such chunks are stored as differences to several others.
 *
 *   after a crash     what was reported is there, every snapshot reads back whole, no count is too low
 *   after a settle    besides, counts are the truth and nothing that is dead is left
 *
 * Lost if it failed: data of snapshots that are kept, or disk space for ever.  The seed of a failed sequence is printed; run
 * `prop_store 1 SEED` to see it alone, with its steps.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/frame.h"
#include "ops/filebuild.h"
#include "ops/treebuild.h"
#include "store/graves.h"
#include "store/rebuild.h"
#include "store/session.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "store/tree.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define DEFAULT_SEED 20240301u
#define DEFAULT_COUNT 200u
#define STEPS 16
#define DIRS 3
#define FILES 12
#define CHUNKS 3
#define CHUNK_LEN 600
#define PIECES 4
#define PIECE_LEN 1536
#define CHUNK_MOST (PIECES * PIECE_LEN)
#define SNAPS 64

struct file {
	uint32_t seed;                  /* 0: not there */
	uint32_t chunks;
	uint32_t version[CHUNKS];
	bool mixed;                     /* its chunks are these pieces: */
	uint32_t piece[CHUNKS][PIECES];
};

struct dir {
	struct file f[FILES];
};

struct model {
	struct dir d[DIRS];
};

enum where { NOWHERE, HERE, FORGOTTEN };

struct snap {
	struct name_sid sid;
	struct model m;
	struct name dirs[DIRS];         /* trees */
	struct filebuild_content files[DIRS][FILES];
	enum where is, was;             /* was: before the step */
	bool fresh;                     /* made in this step */
	bool touched;                   /* moved or collected in this step */
	bool loose, loose_fresh;        /* the same of a step that was killed: not known to be durable until a settle */
};

struct run {
	uint64_t state;
	bool loud;
	struct support_disk *d;
	struct model now;
	struct snap snap[SNAPS];
	size_t count;
	char step[400];
	char why[600];
	bool crashed;                   /* the last step was cut short */
	bool chain;                     /* the parent is the newest snapshot */
	uint64_t deltas, several, hollow, crashes, settles, rebuilds, moved, rebased;
};

/* splitmix64 */
static uint64_t
next(struct run *u)
{
	uint64_t z = u->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 ... n - 1 */
static uint32_t
below(struct run *u, uint64_t n)
{
	return (uint32_t)(next(u) % n);
}

static bool wrong(struct run *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool
wrong(struct run *u, const char *fmt, ...)
{
	va_list ap;

	if (u->why[0])
		return false;
	va_start(ap, fmt);
	vsnprintf(u->why, sizeof(u->why), fmt, ap);
	va_end(ap);
	return false;
}

static bool
well(struct run *u, int rc, const char *what)
{
	return rc >= 0 || wrong(u, "%s: %d %s", what, rc, err_text());
}

static void say(struct run *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct run *u, const char *fmt, ...)
{
	size_t n = strlen(u->step);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->step + n, sizeof(u->step) - n, fmt, ap);
	va_end(ap);
}

/* ------------------------------------------------------------------------------------------------ the model */

static void
new_file(struct run *u, struct file *f)
{
	*f = (struct file){ .seed = 1 + below(u, 1000000), .chunks = below(u, 3) ? 1 : 1 + below(u, CHUNKS) };
	if (below(u, 4))
		return;
	f->mixed = true;
	f->chunks = CHUNKS;
	for (size_t i = 0; i < CHUNKS * PIECES; i++)
		f->piece[i / PIECES][i % PIECES] = 1 + below(u, 1u << 30);
}

/* A piece of any mixed file of the directory; NULL: there is none. */
static uint32_t *
any_piece(struct run *u, struct dir *d)
{
	uint32_t *found = NULL, n = 0;

	for (size_t i = 0; i < FILES; i++)
		if (d->f[i].seed && d->f[i].mixed && below(u, ++n) == 0)
			found = &d->f[i].piece[below(u, CHUNKS)][below(u, PIECES)];
	return found;
}

/* Pieces change places; some are new. */
static void
mix(struct run *u, struct dir *d)
{
	uint32_t *a, *b, was;

	for (uint32_t n = 2 + below(u, 14); n > 0; n--) {
		a = any_piece(u, d);
		b = any_piece(u, d);
		if (!a)
			return;
		was = *a;
		*a = *b;
		*b = below(u, 16) ? was : 1 + below(u, 1u << 30);
	}
}

static void
mutate(struct run *u)
{
	struct dir *d = &u->now.d[below(u, DIRS)];
	struct file *f = &d->f[below(u, FILES)];

	if (below(u, 3) == 0)
		mix(u, d);
	switch (below(u, 10)) {
	case 0:
		new_file(u, f);
		break;
	case 1:
		f->seed = 0;
		break;
	case 2:
		*d = u->now.d[below(u, DIRS)];
		break;
	case 3:
		if (u->count)
			u->now = u->snap[below(u, u->count)].m;
		break;
	default:
		if (f->seed)
			f->version[below(u, f->chunks)] = below(u, 4);
		else
			new_file(u, f);
		break;
	}
}

static size_t
chunk_len(const struct file *f)
{
	return f->mixed ? CHUNK_MOST : CHUNK_LEN;
}

static void
chunk_bytes(const struct file *f, uint32_t i, uint8_t p[static CHUNK_MOST])
{
	for (size_t k = 0; f->mixed && k < PIECES; k++)
		support_store_bytes(p + k * PIECE_LEN, PIECE_LEN, (uint64_t)f->piece[i][k] << 32);
	if (f->mixed)
		return;
	support_store_bytes(p, CHUNK_LEN, (uint64_t)f->seed * CHUNKS + i);
	memcpy(p + 50, &f->version[i], sizeof(f->version[i]));
}

/* -------------------------------------------------------------------------------------------------- writing */

struct writer {
	struct run *u;
	struct repo *r;
	struct session *s;
	struct filebuild fb;
	const struct snap *parent;
	struct snap out;
	struct name root;
	bool parts;
};

static bool
writer_begin(struct run *u, struct writer *w)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };

	*w = (struct writer){ .u = u, .parts = below(u, 4) == 0 };
	for (size_t i = 0; i < u->count; i++)
		if (u->snap[i].is == HERE && (!w->parent || u->chain || below(u, 2)))
			w->parent = &u->snap[i];
	if (!well(u, support_store_open(u->d, &w->r), "open") || !well(u, session_begin(w->r, &cfg, &w->s), "begin"))
		return false;
	filebuild_init(&w->fb, w->s, w->r, NULL, true);
	w->out = (struct snap){ .sid = *session_sid(w->s), .m = u->now };
	return true;
}

static void
writer_end(struct writer *w)
{
	filebuild_clear(&w->fb);
	session_free(w->s);
	repo_close(w->r);
}

/* The parent's content of this file; NULL when it had none. */
static struct tree_content *
old_content(struct writer *w, size_t d, size_t i)
{
	const struct filebuild_content *c;
	struct tree_content *old = NULL;
	struct treenode_entry e = { .kind = TREENODE_FILE };

	if (!w->parent || !w->parent->m.d[d].f[i].seed)
		return NULL;
	c = &w->parent->files[d][i];
	e.flags = c->list ? TREENODE_LIST : 0;
	e.size = c->size;
	e.content = c->id;
	memcpy(e.fingerprint, c->fingerprint, sizeof(e.fingerprint));
	return tree_content_open(session_reader(w->s), &e, &old) == OK ? old : NULL;
}

static int
put_file(struct writer *w, size_t d, size_t i)
{
	const struct file *f = &w->out.m.d[d].f[i];
	struct tree_content *old = old_content(w, d, i);
	uint8_t p[CHUNKS * CHUNK_MOST];
	size_t lens[CHUNKS];
	int rc;

	for (uint32_t k = 0; k < f->chunks; k++) {
		lens[k] = chunk_len(f);
		chunk_bytes(f, k, p + k * lens[k]);
	}
	filebuild_begin(&w->fb, old);
	if ((rc = filebuild_chunks(&w->fb, p, lens, f->chunks)) == OK)
		rc = filebuild_end(&w->fb, &w->out.files[d][i]);
	tree_content_close(old);
	return rc;
}

static void
name_of(char out[static 8], char letter, size_t i)
{
	snprintf(out, 8, "%c%02u", letter, (unsigned)i % 100);
}

static int
put_dir(struct writer *w, size_t d)
{
	struct treebuild tb;
	char name[8];
	int rc = OK;

	treebuild_init(&tb, w->s);
	if (w->parent)
		treebuild_hint(&tb, &w->parent->dirs[d]);
	for (size_t i = 0; rc == OK && i < FILES; i++) {
		const struct filebuild_content *c = &w->out.files[d][i];
		struct treenode_entry e = { .name = (const uint8_t *)name, .name_len = 3, .kind = TREENODE_FILE, .mode = 0644 };

		if (!w->out.m.d[d].f[i].seed || (rc = put_file(w, d, i)))
			continue;
		name_of(name, 'f', i);
		e.flags = c->list ? TREENODE_LIST : 0;
		e.size = c->size;
		e.content = c->id;
		memcpy(e.fingerprint, c->fingerprint, sizeof(e.fingerprint));
		rc = treebuild_add(&tb, &e);
	}
	if (rc == OK)
		rc = treebuild_end(&tb, &w->out.dirs[d]);
	treebuild_clear(&tb);
	return rc;
}

/* As databases are stored: with all chunks seen that were replaced. */
static int
put_dir_fine(struct writer *w, size_t d)
{
	bool fine = false;
	int rc;

	for (size_t i = 0; i < FILES; i++)
		fine = fine || (w->out.m.d[d].f[i].seed && w->out.m.d[d].f[i].mixed);
	if ((rc = session_fine(w->s, fine)) || (rc = put_dir(w, d)))
		return rc;
	return session_fine(w->s, false);
}

static bool
writer_dir(struct writer *w, size_t d)
{
	return well(w->u, put_dir_fine(w, d), "store") &&
	    (!w->parts || below(w->u, 2) || well(w->u, session_checkpoint(w->s), "checkpoint"));
}

static bool
writer_commit(struct writer *w)
{
	struct treebuild tb;
	char name[8];
	int rc = OK;

	treebuild_init(&tb, w->s);
	for (size_t d = 0; rc == OK && d < DIRS; d++) {
		struct treenode_entry e = { .name = (const uint8_t *)name, .name_len = 3, .kind = TREENODE_DIR, .mode = 0755,
			.content = w->out.dirs[d] };

		name_of(name, 'd', d);
		rc = treebuild_add(&tb, &e);
	}
	if (rc == OK)
		rc = treebuild_end(&tb, &w->root);
	treebuild_clear(&tb);
	if (rc == OK)
		rc = support_store_commit(w->s, &w->root);
	if (!well(w->u, rc, "commit"))
		return false;
	w->out.is = HERE;
	w->out.fresh = true;
	w->u->snap[w->u->count++] = w->out;
	return true;
}

/* ---------------------------------------------------------------------------------------------- reading back */

static bool
read_file(struct run *u, struct reader *rd, const struct treenode_entry *e, const struct file *f)
{
	struct tree_content *c;
	struct tree_piece piece;
	uint8_t want[CHUNK_MOST];
	const uint8_t *p;
	size_t len;
	uint32_t n = 0;
	int rc;

	if (!well(u, tree_content_open(rd, e, &c), "read back"))
		return false;
	while ((rc = tree_content_next(c, &piece)) == FOUND) {
		if (n < f->chunks && (rc = reader_get(rd, &piece.id, FRAME_DATA, &p, &len)) == OK) {
			chunk_bytes(f, n, want);
			if (len != chunk_len(f) || memcmp(p, want, len) != 0)
				wrong(u, "read back: other bytes");
		}
		n++;
		if (rc < 0)
			break;
	}
	tree_content_close(c);
	return well(u, rc, "read back") && (n == f->chunks || wrong(u, "read back: a file of another length")) && !u->why[0];
}

static bool
read_dir(struct run *u, struct reader *rd, const struct treenode_entry *top, const struct dir *m)
{
	struct tree_dir *d = NULL;
	struct treenode_entry e;
	char name[8];
	size_t i = 0;
	bool ok = well(u, tree_open(rd, &top->content, &d), "read back");
	int rc;

	while (ok && (rc = tree_next(d, &e)) != AT_END) {
		if (!(ok = well(u, rc, "read back")))
			break;
		while (i < FILES && !m->f[i].seed)
			i++;
		name_of(name, 'f', i);
		if (i == FILES || e.name_len != 3 || memcmp(e.name, name, 3) != 0)
			ok = wrong(u, "read back: other files");
		else
			ok = read_file(u, rd, &e, &m->f[i++]);
	}
	tree_close(d);
	while (i < FILES && !m->f[i].seed)
		i++;
	return ok && (i == FILES || wrong(u, "read back: files are missing"));
}

static bool
read_snap(struct run *u, struct repo *r, struct reader *rd, const struct snap *s)
{
	struct snapshots_item it;
	struct tree_dir *d = NULL;
	struct tree_entry copy;
	struct treenode_entry e;
	size_t n = 0;
	bool ok = well(u, snapshots_read(r, s->is == FORGOTTEN, &s->sid, &it), "read back") &&
	    well(u, tree_open(rd, &it.rec.root, &d), "read back");
	int rc;

	while (ok && (rc = tree_next(d, &e)) != AT_END) {
		if (!(ok = well(u, rc, "read back") && well(u, tree_entry_copy(&copy, &e), "read back")))
			break;
		ok = n < DIRS && read_dir(u, rd, &copy.e, &s->m.d[n]);
		n++;
		tree_entry_clear(&copy);
	}
	tree_close(d);
	snapshots_item_clear(&it);
	return ok && (n == DIRS || wrong(u, "read back: directories are missing"));
}

static bool
read_all(struct run *u, struct repo *r)
{
	struct index *ix = NULL;
	struct reader *rd = NULL;
	bool ok = well(u, io_lock(r->io, IO_SHARED, false), "lock") && well(u, index_load(r, &ix), "index") &&
	    well(u, reader_new(r, ix, 8u << 20, &rd), "reader");

	for (size_t i = 0; ok && i < u->count; i++)
		if (u->snap[i].is != NOWHERE)
			ok = read_snap(u, r, rd, &u->snap[i]);
	reader_free(rd);
	index_free(ix);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	return ok;
}

static bool
check(struct run *u, enum support_recount how)
{
	struct support_recount_result res;
	struct repo *r;
	bool ok;

	if (!well(u, support_store_open(u->d, &r), "open"))
		return false;
	ok = support_recount(r, how, &res) || wrong(u, "%s", res.why);
	u->deltas += res.deltas;
	u->several += res.several;
	u->hollow += res.hollow;
	ok = ok && read_all(u, r);
	repo_close(r);
	return ok;
}

/* ---------------------------------------------------------------------------------------------------- steps */

static bool
step_snapshot(struct run *u, bool changed)
{
	struct writer w;
	bool ok;

	for (uint32_t n = below(u, 6); changed && n > 0; n--)
		mutate(u);
	ok = writer_begin(u, &w);
	say(u, "snapshot%s", w.parts ? " in parts" : "");
	for (size_t d = 0; ok && d < DIRS; d++)
		ok = writer_dir(&w, d);
	ok = ok && writer_commit(&w);
	writer_end(&w);
	return ok;
}

/* Two sessions at once, of states that differ a little or not at all. */
static bool
step_twins(struct run *u)
{
	struct writer a, b = { 0 };
	bool ok;

	mutate(u);
	ok = writer_begin(u, &a);
	if (below(u, 2))
		mutate(u);
	ok = ok && writer_begin(u, &b);
	say(u, "two snapshots at once%s%s", a.parts ? ", one in parts" : "", b.parts ? ", other in parts" : "");
	for (size_t d = 0; ok && d < DIRS; d++)
		ok = writer_dir(&a, d) && writer_dir(&b, d);
	if (below(u, 2))
		ok = ok && writer_commit(&a) && writer_commit(&b);
	else
		ok = ok && writer_commit(&b) && writer_commit(&a);
	writer_end(&a);
	writer_end(&b);
	return ok;
}

static bool
step_abandon(struct run *u)
{
	struct writer w;
	size_t dirs = 1 + below(u, DIRS);
	bool ok;

	mutate(u);
	mutate(u);
	ok = writer_begin(u, &w);
	say(u, "a session given up");
	for (size_t d = 0; ok && d < dirs; d++)
		ok = writer_dir(&w, d);
	ok = ok && well(u, session_checkpoint(w.s), "checkpoint");
	writer_end(&w);
	return ok;
}

/* PB-10 */
static bool
move_record(struct run *u, struct snap *s, enum where to)
{
	struct repo *r;
	bool ok = well(u, support_store_open(u->d, &r), "open") && well(u, io_lock(r->io, IO_SHARED, false), "lock") &&
	    (to == HERE ? well(u, graves_raise(r, &s->sid), "undelete") : well(u, graves_bury(r, &s->sid, 1), "forget"));

	repo_close(r);
	s->is = to;
	s->touched = true;
	return ok;
}

static struct snap *
pick(struct run *u, enum where is)
{
	struct snap *found = NULL;
	uint32_t n = 0;

	for (size_t i = 0; i < u->count; i++)
		if (u->snap[i].is == is && below(u, ++n) == 0)
			found = &u->snap[i];
	return found;
}

static bool
step_forget(struct run *u, enum where from)
{
	struct snap *s = pick(u, from);

	if (!s)
		return true;
	say(u, from == HERE ? "forget %u" : "undelete %u", (unsigned)(s - u->snap));
	return move_record(u, s, from == HERE ? FORGOTTEN : HERE);
}

/* Packs with dead bytes are emptied to different degrees; or only small ones are merged. */
static bool
rewrite(struct run *u, struct repo *r)
{
	static const unsigned unused[] = { 0, 0, 100, 400 };
	struct rewrite_policy policy = { .max_unused = unused[below(u, 4)], .max_bytes = below(u, 4) ? 1u << 20 : 1,
		.small_only = below(u, 6) == 0 };
	struct settle_stats stats = { 0 };
	bool ok = well(u, settle_rewrite(r, &policy, false, &stats), "rewrite");

	say(u, " (rewrote %ju chunks of %ju packs)", (uintmax_t)stats.rewrite.chunks, (uintmax_t)stats.rewrite.packs);
	u->moved += stats.rewrite.chunks;
	u->rebased += stats.rewrite.rebased;
	return ok;
}

static bool
step_settle(struct run *u)
{
	struct name_sid collect[SNAPS];
	struct settle_stats stats;
	struct repo *r;
	size_t n = 0;
	bool ok;

	say(u, "settle");
	for (size_t i = 0; i < u->count; i++)
		if (u->snap[i].is == FORGOTTEN && below(u, 3)) {
			collect[n++] = u->snap[i].sid;
			u->snap[i].is = NOWHERE;
			u->snap[i].touched = true;
			say(u, " -%u", (unsigned)i);
		}
	ok = well(u, support_store_open(u->d, &r), "open") && well(u, settle_run(r, collect, n, false, &stats), "settle");
	say(u, " (%ju segments, head %ju)", (uintmax_t)stats.segments, (uintmax_t)stats.head);
	if (ok && below(u, 3))
		ok = rewrite(u, r);
	repo_close(r);
	u->settles++;
	for (size_t i = 0; i < u->count; i++)
		u->snap[i].loose = u->snap[i].loose_fresh = false;
	return ok;
}

/* A chain of versions, of which most go: what stays has to find other bases. */
static bool
step_chain(struct run *u)
{
	struct dir *d = &u->now.d[below(u, DIRS)];
	uint32_t n = 5 + below(u, 7), version = 100;
	size_t first = u->count, f = 0;
	bool ok = true;

	while (f < FILES - 1 && !d->f[f].seed)
		f++;
	if (!d->f[f].seed)
		new_file(u, &d->f[f]);
	u->chain = true;
	for (uint32_t i = 0; ok && i < n && u->count < SNAPS - 3; i++) {
		d->f[f].version[0] = version++ * 0x01010101u;
		mix(u, d);
		say(u, "chain: ");
		ok = step_snapshot(u, false);
		if (ok && below(u, 6) == 0)
			ok = step_settle(u);
	}
	u->chain = false;
	for (size_t i = first; ok && i < u->count; i++)
		if (u->snap[i].is == HERE && below(u, 4))
			ok = move_record(u, &u->snap[i], FORGOTTEN);
	return ok && step_settle(u);
}

/* ---------------------------------------------------------------------------------------------------- crashes */

struct found {
	struct run *u;
	enum where in;
	struct name_sid strange;
	bool is_strange;
};

static int
found_one(void *arg, const char *text)
{
	struct found *f = arg;
	struct name_sid sid;

	if (!name_sid_unhex(&sid, text))
		return OK;
	for (size_t i = 0; i < f->u->count; i++)
		if (name_sid_cmp(&f->u->snap[i].sid, &sid) == 0) {
			f->u->snap[i].is = f->in;
			return OK;
		}
	f->is_strange = true;
	return OK;
}

static bool
is_collected(struct repo *r, const struct snap *s)
{
	struct indexfile_remove what = { .kind = INDEXFILE_DEAD_RECORD };
	struct index *ix;
	int rc;

	memcpy(what.name.b, s->sid.b, NAME_SID_LEN);
	if (index_load(r, &ix) != OK)
		return false;
	rc = index_removed(ix, &what);
	index_free(ix);
	return rc == FOUND;
}

/* What became of the step that was cut short: where is each snapshot now, and may it be there? */
static bool
resolve(struct run *u)
{
	struct found f = { .u = u, .in = HERE };
	struct repo *r;
	bool ok;

	for (size_t i = 0; i < u->count; i++)
		u->snap[i].is = NOWHERE;
	if (!well(u, support_store_open(u->d, &r), "open"))
		return false;
	ok = well(u, io_list(r->io, "snapshots", found_one, &f), "list");
	f.in = FORGOTTEN;
	ok = ok && well(u, io_list(r->io, "forgotten", found_one, &f), "list");
	if (f.is_strange)
		ok = wrong(u, "a record of nobody");
	for (size_t i = 0; ok && i < u->count; i++) {
		struct snap *s = &u->snap[i];

		if (s->is == FORGOTTEN && is_collected(r, s))
			s->is = NOWHERE;
		if (s->is != s->was && !s->fresh && !s->touched)
			ok = wrong(u, "I0: snapshot %u was in %d and is in %d", (unsigned)i, (int)s->was, (int)s->is);
		if (s->was == HERE && s->is == NOWHERE && !s->fresh)
			ok = wrong(u, "I0: snapshot %u is gone", (unsigned)i);
	}
	repo_close(r);
	return ok;
}

/* A record that was collected, but is there still: only the old index knows that. */
static bool
lingers(struct run *u, struct repo *r)
{
	char path[SUPPORT_IO_PATH];
	uint64_t size;

	for (size_t i = 0; i < u->count; i++) {
		support_store_record_path(path, "forgotten", &u->snap[i].sid);
		if (u->snap[i].is == NOWHERE && io_stat(r->io, path, &size) == OK)
			return true;
	}
	return false;
}

/* Not cut short: until it was repeated nobody can read then (IX-11). */
static bool
step_rebuild(struct run *u)
{
	const struct rebuild_options o = { .above = 0 };
	struct rebuild_stats stats;
	struct repo *r;
	bool ok;

	say(u, "repair index");
	ok = well(u, support_store_open(u->d, &r), "open") && well(u, io_lock(r->io, IO_EXCLUSIVE, false), "lock");
	if (ok && lingers(u, r)) {
		repo_close(r);
		return true;
	}
	ok = ok && well(u, rebuild_index(r, &o, &stats), "repair index") && (stats.counted || wrong(u, "not counted: %s", stats.note));
	repo_close(r);
	u->rebuilds++;
	return ok && check(u, SUPPORT_RECOUNT_SAFE);
}

static void
choose_loss(struct run *u, size_t n, struct support_loss *loss)
{
	size_t pending = support_disk_pending(u->d, n), torn = support_disk_torn(u->d, n);

	loss->kind = (enum support_loss_kind)below(u, SUPPORT_RANDOM + 2);
	if (loss->kind > SUPPORT_RANDOM)
		loss->kind = SUPPORT_RANDOM;
	loss->which = loss->kind == SUPPORT_RANDOM ? next(u) : loss->kind == SUPPORT_TORN ? below(u, torn + 1) : below(u, pending + 1);
}

/* Cut the step short that began at operation `from`. */
static bool
crash(struct run *u, size_t from)
{
	size_t end = support_disk_ops(u->d), n = from + below(u, end - from + 1);
	struct support_disk *d;
	struct support_loss loss;
	bool killed = below(u, 3) == 0;

	u->crashes++;
	u->crashed = true;
	if (killed) {
		say(u, "; killed at %zu of %zu", n - from, end - from);
		d = support_disk_kill(u->d, n);
	} else {
		choose_loss(u, n, &loss);
		say(u, "; power loss %d (%ju) at %zu of %zu", (int)loss.kind, (uintmax_t)loss.which, n - from, end - from);
		d = support_disk_loss(u->d, n, &loss);
	}
	support_disk_free(u->d);
	u->d = d;
	/* Cut behind its last operation, the step was reported. */
	for (size_t i = 0; n == end && i < u->count; i++) {
		u->snap[i].was = u->snap[i].is;
		u->snap[i].touched = u->snap[i].loose;
		u->snap[i].fresh = u->snap[i].loose_fresh;
	}
	if (!resolve(u))
		return false;
	for (size_t i = 0; i < u->count; i++) {
		u->snap[i].loose = killed && u->snap[i].touched;
		u->snap[i].loose_fresh = killed && u->snap[i].fresh;
	}
	return check(u, SUPPORT_RECOUNT_SAFE);
}

static bool
step(struct run *u)
{
	size_t from = support_disk_ops(u->d);
	uint32_t kind = below(u, 100);
	bool ok;

	for (size_t i = 0; i < u->count; i++) {
		u->snap[i].was = u->snap[i].is;
		u->snap[i].touched = u->snap[i].loose;
		u->snap[i].fresh = u->snap[i].loose_fresh;
	}
	if (u->count > SNAPS - 3)
		return true;
	/* After a crash often the same again, or what clears up: the narrow ways to lose something begin so. */
	if (u->crashed && kind % 3 == 0)
		kind = 100;
	else if (u->crashed && kind % 3 == 1)
		kind = 99;
	u->crashed = false;
	if (kind >= 77 && kind < 80)
		return step_rebuild(u);
	ok = kind == 100 || kind < 35 ? step_snapshot(u, kind < 100) : kind < 45 ? step_twins(u) : kind < 52 ? step_abandon(u) :
	    kind < 68 ? step_forget(u, HERE) : kind < 72 ? step_forget(u, FORGOTTEN) : kind < 77 ? step_chain(u) : step_settle(u);
	if (ok && below(u, 5) < 2)
		return crash(u, from);
	if (ok && kind >= 72 && kind < 100)
		return check(u, SUPPORT_RECOUNT_EXACT);
	return ok;
}

/* The end of every history: a settle that nothing disturbs. */
static bool
finish(struct run *u)
{
	u->step[0] = 0;
	return step_settle(u) && check(u, SUPPORT_RECOUNT_EXACT);
}

static bool
sequence(struct run *u, uint64_t seed)
{
	struct repo *r;
	bool ok;

	u->state = seed;
	u->count = 0;
	u->why[0] = 0;
	u->crashed = false;
	memset(&u->now, 0, sizeof(u->now));
	for (size_t d = 0; d < DIRS; d++)
		for (size_t i = 0; i < FILES; i++)
			if (below(u, 4))
				new_file(u, &u->now.d[d].f[i]);
	u->d = support_disk_new();
	ok = well(u, support_store_init(u->d, &r), "init");
	repo_close(r);
	for (unsigned i = 0; ok && i < STEPS; i++) {
		u->step[0] = 0;
		ok = step(u);
		if (u->loud)
			printf("# %u: %s\n", i, u->step);
	}
	ok = ok && finish(u);
	if (!ok)
		printf("# seed %ju: %s\n# last step: %s\n", (uintmax_t)seed, u->why, u->step);
	support_disk_free(u->d);
	return ok;
}

int
main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_COUNT, failed = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : DEFAULT_SEED;
	struct run *u = calloc(1, sizeof(*u));

	if (!u)
		return 1;
	u->loud = count == 1;
	printf("# seed %ju\n1..1\n", (uintmax_t)seed);
	fflush(stdout);
	for (unsigned long i = 0; i < count && failed < 10; i++)
		failed += !sequence(u, seed + i);
	printf("%sok 1 - %lu histories (%ju crashes, %ju settles, %ju repairs of the index; chunks checked: %ju stored as differences, %ju of them "
	    "to several, %ju hollow; %ju moved, %ju of them rebased)\n", failed ? "not " : "", count, (uintmax_t)u->crashes, (uintmax_t)u->settles, (uintmax_t)u->rebuilds,
	    (uintmax_t)u->deltas, (uintmax_t)u->several, (uintmax_t)u->hollow, (uintmax_t)u->moved, (uintmax_t)u->rebased);
	free(u);
	return failed != 0;
}
