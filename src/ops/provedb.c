/*
 * provedb: down each distinct directory once, snapshot by snapshot.  Directories and images that were met have CENSUS_VISITED; what
 * the census does not have is damage that was told.
 *
 * Of what SQLite says only a complaint of integrity_check and the codes for damaged content speak of the image.  An error of
 * another kind says that this program cannot judge it: the schema names what only its own application has.
 */
#include "ops/provedb.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "ops/placedb.h"
#include "ops/sql.h"
#include "source/dbcheck.h"
#include "store/tree.h"
#include "sys/signals.h"

#define ANSWER_MAX 400

struct walk {
	const struct provedb_ask *ask;
	struct provedb *out;
	const struct name_sid *sid;
	struct mem_buf path;            /* zero-terminated; len without the zero */
};

/* ---- one image ---- */

struct answer {
	char text[ANSWER_MAX + 1];      /* the first complaint, or "ok" */
};

static int
first_row(void *arg, const struct sql_value *values, unsigned count)
{
	struct answer *a = arg;

	if (!a->text[0] && count > 0 && values[0].p)
		snprintf(a->text, sizeof(a->text), "%.*s", (int)(values[0].len < ANSWER_MAX ? values[0].len : ANSWER_MAX),
		    values[0].p);
	return OK;
}

static int
note(struct walk *w, enum provedb_why why, const struct name *content, const char *text)
{
	struct provedb *d = w->out;
	struct provedb_note n = { .why = why, .sid = *w->sid, .content = *content };
	int rc;

	if (d->note_count >= PROVEDB_NOTES)
		return OK;
	if ((rc = mem_grow((void **)&d->notes, &d->note_cap, d->note_count + 1, sizeof(*d->notes))))
		return rc;
	if ((rc = mem_dup(&n.path, (const char *)w->path.p)) || (rc = mem_dup(&n.text, text))) {
		free(n.path);
		return rc;
	}
	d->notes[d->note_count++] = n;
	return OK;
}

/* What a failure of SQLite means; `code` is SQLite's, SQLITE_OK when it has not been asked. */
static int
judge(struct walk *w, const struct name *content, int rc, int code, struct answer *a)
{
	if ((rc == OK && a->text[0]) || (rc && rc != ERR_FAILED && rc != ERR_NOMEM))
		return rc;
	snprintf(a->text, sizeof(a->text), "%s", rc ? err_text() : "no answer");
	if (rc == OK || (rc == ERR_FAILED && (code == SQLITE_OK || dbcheck_is_damage(code))))
		return OK;
	if (rc == ERR_NOMEM || (code & 0xff) == SQLITE_INTERRUPT) {
		w->out->unproved++;
		rc = note(w, PROVEDB_UNPROVED, content, a->text);
	} else {
		w->out->foreign++;
		rc = note(w, PROVEDB_FOREIGN, content, a->text);
	}
	return rc ? rc : AT_END;
}

/* OK: a has SQLite's verdict; AT_END: there is none, which was noted; or a failure. */
static int
examine(struct walk *w, const struct treenode_entry *e, struct answer *a)
{
	const struct sql_sink sink = { .row = first_row, .arg = a };
	const struct sql_options o = { .seconds = w->ask->seconds ? w->ask->seconds : PROVEDB_SECONDS + (e->size >> 20) };
	struct sql *s = NULL;
	int code = SQLITE_OK, rc;

	if ((rc = sql_new(w->ask->rd, &o, &s)) == OK && (rc = sql_add_entry(s, "main", e)) == OK && (rc = sql_seal(s)) == OK &&
	    (rc = sql_fill(s)) == OK)
		rc = sql_run(s, "PRAGMA integrity_check(1)", &sink);
	if (rc && s && sql_handle(s))
		code = sqlite3_errcode(sql_handle(s));
	sql_free(s);
	if (rc == ERR_INTERRUPTED)
		return rc;
	if (prove_is_damage(rc)) {
		w->out->unreadable++;
		return AT_END;
	}
	return judge(w, &e->content, rc, code, a);
}

static int
check_image(struct walk *w, const struct treenode_entry *e)
{
	struct answer a = { "" };
	const struct prove *p = w->ask->p;
	int rc = w->ask->progress ? w->ask->progress(w->ask->arg) : OK;

	if (rc || (rc = examine(w, e, &a)))
		return rc == AT_END ? OK : rc;
	w->out->checked++;
	if (strcmp(a.text, "ok") == 0)
		return OK;
	w->out->damaged++;
	damage_add(p->d, DAMAGE_DATABASE, (const char *)w->path.p, NULL, &e->content, "integrity_check: %s", a.text);
	return OK;
}

static int
raw_image(struct walk *w, const struct treenode_entry *e)
{
	for (size_t i = 0; i < w->out->note_count; i++)
		if (w->out->notes[i].why == PROVEDB_RAW && name_cmp(&w->out->notes[i].content, &e->content) == 0)
			return OK;
	w->out->raw++;
	return note(w, PROVEDB_RAW, &e->content, "stored as found, since it was locked or SQLite could not read it");
}

/* ---- all of them ---- */

/* The first time that this chunk is met? */
static bool
is_new(struct walk *w, const struct name *id)
{
	uint32_t n = census_find(w->ask->p->c, id);
	struct census_cell *c;

	if (n == CENSUS_NONE)
		return false;
	c = &w->ask->p->c->cells[n];
	if (c->flags & CENSUS_VISITED)
		return false;
	c->flags |= CENSUS_VISITED;
	return true;
}

static int walk(struct walk *w, const struct name *tree, unsigned depth);

static int
meet(struct walk *w, const struct treenode_entry *e, unsigned depth)
{
	const struct name content = e->content;

	if (e->kind == TREENODE_FILE && placedb_capture(e) == PLACEDB_RAW)
		return raw_image(w, e);
	if (!is_new(w, &content))
		return OK;
	return e->kind == TREENODE_DIR ? walk(w, &content, depth + 1) : check_image(w, e);
}

static int
walk_entry(struct walk *w, const struct treenode_entry *e, unsigned depth)
{
	size_t len = w->path.len;
	int rc;

	if (e->flags & TREENODE_UNREAD || name_is_zero(&e->content) ||
	    (e->kind != TREENODE_DIR && (e->kind != TREENODE_FILE || !placedb_capture(e))))
		return OK;
	if ((rc = mem_buf_reserve(&w->path, e->name_len + 2u)))
		return rc;
	w->path.p[w->path.len++] = '/';
	memcpy(w->path.p + w->path.len, e->name, e->name_len);
	w->path.len += e->name_len;
	w->path.p[w->path.len] = 0;
	rc = meet(w, e, depth);
	w->path.len = len;
	w->path.p[len] = 0;
	return rc;
}

static int
walk(struct walk *w, const struct name *tree, unsigned depth)
{
	struct tree_dir *d = NULL;
	struct treenode_entry e;
	int rc, entry_rc = OK;

	if (depth > TREENODE_DEPTH_MAX)
		return OK;
	if ((rc = tree_open(w->ask->rd, tree, &d)) == OK)
		while ((rc = signals_check()) == OK && (rc = tree_next(d, &e)) == FOUND)
			if ((entry_rc = walk_entry(w, &e, depth)))
				break;
	tree_close(d);
	if (entry_rc)
		return entry_rc;
	return rc < 0 && !prove_is_damage(rc) ? rc : OK;
}

int
provedb_run(const struct provedb_ask *ask, struct provedb *out)
{
	struct walk w = { .ask = ask, .out = out };
	int rc = mem_buf_reserve(&w.path, 1);

	*out = (struct provedb){ 0 };
	for (size_t i = 0; rc == OK && i < ask->count; i++) {
		if (!ask->snaps[i])
			continue;
		w.sid = &ask->snaps[i]->sid;
		w.path.len = 0;
		w.path.p[0] = 0;
		if (is_new(&w, &ask->snaps[i]->rec.root))
			rc = walk(&w, &ask->snaps[i]->rec.root, 0);
	}
	mem_buf_clear(&w.path);
	return rc;
}

void
provedb_clear(struct provedb *d)
{
	for (size_t i = 0; i < d->note_count; i++) {
		free(d->notes[i].path);
		free(d->notes[i].text);
	}
	free(d->notes);
	*d = (struct provedb){ 0 };
}
