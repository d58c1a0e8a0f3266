/*
 * sample: choose (one walk, every file with the same chance), then for each: is there room, restore, read back, remove.
 *
 * What comes back is compared with ids of chunks computed anew from the bytes on the disk, not with what the restore believes to have
 * written.  A file is called SAMPLE as soon as it is there, whatever the snapshot calls it.
 */
#include "ops/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "ops/listing.h"
#include "ops/placedb.h"
#include "ops/prove.h"
#include "ops/provedb.h"
#include "ops/restore.h"
#include "ops/view.h"
#include "source/dbcheck.h"
#include "store/proofs.h"
#include "store/tree.h"
#include "sys/clock.h"
#include "sys/copy.h"
#include "sys/entropy.h"
#include "sys/fsys.h"
#include "sys/signals.h"
#include "sys/target.h"

#define SAMPLE "sample"
#define PIECE (1u << 20)                /* at least FRAME_CHUNK_MAX */
#define TEXT_MAX 512

struct pick {
	size_t snap;                    /* of o->items */
	char *path;                     /* owned */
	struct tree_entry e;            /* owned */
};

struct picks {
	struct pick *v;
	size_t count, cap;
	uint64_t seen, most;
};

struct run {
	struct repo *r;
	const struct sample_options *o;
	struct sample_result *res;
	struct picks files, databases;
	size_t snap;                    /* being walked */
	char *dir;                      /* private; NULL: not made yet */
	int fd;
	uint8_t *buf;                   /* of PIECE */
	char problem[TEXT_MAX];         /* the first one that the restore told; "": none */
};

/* ---- choosing ---- */

static void
pick_clear(struct pick *p)
{
	free(p->path);
	tree_entry_clear(&p->e);
	*p = (struct pick){ 0 };
}

static void
picks_clear(struct picks *p)
{
	for (size_t i = 0; i < p->count; i++)
		pick_clear(&p->v[i]);
	free(p->v);
	*p = (struct picks){ 0 };
}

/* Every one that is offered stays with the same chance. */
static int
offer(struct picks *p, size_t snap, const struct listing_item *item)
{
	struct pick new = { .snap = snap };
	uint64_t at;
	int rc;

	entropy_fill(&at, sizeof(at));
	at = p->seen < p->most ? p->seen : at % (p->seen + 1);
	p->seen++;
	if (at >= p->most)
		return OK;
	if ((rc = mem_grow((void **)&p->v, &p->cap, p->count + 1, sizeof(*p->v))) || (rc = mem_dup(&new.path, item->path)) ||
	    (rc = tree_entry_copy(&new.e, item->e))) {
		pick_clear(&new);
		return rc;
	}
	if (at < p->count)
		pick_clear(&p->v[at]);
	else
		p->count++;
	p->v[at] = new;
	return OK;
}

static int
choose_item(void *arg, const struct listing_item *item)
{
	struct run *u = arg;
	int rc = signals_check();

	if (rc || item->e->kind != TREENODE_FILE || item->e->flags & TREENODE_UNREAD)
		return rc;
	return offer(placedb_is(item->e) ? &u->databases : &u->files, u->snap, item);
}

/* That was damage, and was told. */
static void
choose_problem(void *arg, const char *path)
{
	(void)arg, (void)path;
}

static bool
same_group(const struct snaprec *a, const struct snaprec *b)
{
	return a->host.len == b->host.len && a->paths_raw.len == b->paths_raw.len &&
	    memcmp(a->host.p, b->host.p, a->host.len) == 0 && memcmp(a->paths_raw.p, b->paths_raw.p, a->paths_raw.len) == 0;
}

/* Among snaps[], is this one to be chosen from? */
static bool
is_source(const struct sample_options *o, const struct snapshots *s, size_t at)
{
	for (size_t i = 0; i < o->snap_count; i++)
		if (name_sid_cmp(&o->snaps[i], &s->items[at].sid) == 0)
			return true;
	if (o->snap_count)
		return false;
	for (size_t i = at + 1; i < s->count; i++)
		if (same_group(&s->items[i].rec, &s->items[at].rec))
			return false;
	return true;
}

static int
choose_from(struct run *u, struct reader *rd, const struct name_sid *sid)
{
	const struct listing_options lo = { .recursive = true, .item = choose_item, .problem = choose_problem, .arg = u };
	int rc;

	for (u->snap = 0; u->snap < u->o->item_count; u->snap++)
		if (name_sid_cmp(&u->o->items[u->snap].sid, sid) == 0)
			break;
	if (u->snap == u->o->item_count)
		return OK;
	u->res->snapshots++;
	rc = listing_walk(rd, &u->o->items[u->snap].rec.root, "", &lo);
	return prove_is_damage(rc) ? OK : rc;
}

static void
bad_record(void *arg, const char *sid_hex, int rc)
{
	(void)arg, (void)sid_hex, (void)rc;
}

static int
choose(struct run *u)
{
	struct view v;
	int rc = view_open(u->r, VIEW_CONTENT, bad_record, NULL, &v);

	for (size_t i = 0; rc == OK && i < v.snaps.count; i++)
		if (is_source(u->o, &v.snaps, i))
			rc = choose_from(u, v.rd, &v.snaps.items[i].sid);
	view_close(&v);
	return rc;
}

/* ---- one file ---- */

static void
keep_problem(void *arg, const char *path, const char *text)
{
	struct run *u = arg;

	(void)path;
	if (!u->problem[0])
		snprintf(u->problem, sizeof(u->problem), "%s", text);
}

static const char *
base_name(const struct pick *p)
{
	return strrchr(p->path, '/') + 1;
}

/* The next one finds the directory empty; the note of what went before stays. */
static int
drop(struct run *u, const struct pick *p, int rc)
{
	const char *const names[] = { base_name(p), SAMPLE };
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%s", err_text());
	for (int i = 0; i < 2; i++) {
		(void)!target_unlock(u->fd, names[i]);
		(void)!target_unlink(u->fd, names[i]);
	}
	if (rc < 0)
		err_set(rc, text);
	return rc;
}

static int
no_room(struct run *u, const char *why)
{
	return fail(ERR_FAILED, "not enough space for a sample in '%s': %s; TMPDIR says where", u->dir, why);
}

/* Bytes that it will occupy: holes are none. */
static int
is_room(struct run *u, struct reader *rd, const struct pick *p)
{
	char need_text[TEXT_SIZE_MAX], room_text[TEXT_SIZE_MAX], why[TEXT_MAX];
	struct tree_content *c = NULL;
	struct tree_piece piece;
	uint64_t need = 0, room;
	int rc = tree_content_open(rd, &p->e.e, &c);

	while (rc == OK && (rc = signals_check()) == OK && (rc = tree_content_next(c, &piece)) == FOUND) {
		need += piece.hole ? 0 : piece.len;
		rc = OK;
	}
	tree_content_close(c);
	if ((rc != AT_END && rc != OK) || (rc = copy_room(u->fd, &room)))
		return rc;
	snprintf(why, sizeof(why), "a file of %s was chosen, %s are free", text_size(need_text, need), text_size(room_text, room));
	return need > room ? no_room(u, why) : OK;
}

/* Whatever mode and owner it has now, we want to read it, under a name of ours. */
static int
take_hold(struct run *u, const struct pick *p)
{
	struct target_place at = { .dirfd = u->fd, .name = SAMPLE, .fd = -1 };
	struct target_meta want = { .mode = 0600, .only_access = true };
	struct fsys_stat st;
	bool changed = false;
	int rc;

	(void)!target_unlock(u->fd, base_name(p));
	if (strcmp(base_name(p), SAMPLE) != 0 && (rc = target_rename(u->fd, base_name(p), SAMPLE)))
		return rc;
	if ((rc = fsys_stat(u->fd, SAMPLE, &st)))
		return rc;
	want.uid = st.uid;
	want.gid = st.gid;
	return target_fix(&at, &st, &want, &changed);
}

static int
same_hole(struct run *u, int fd, uint64_t off, uint64_t len)
{
	size_t got, n;
	int rc;

	for (; len > 0; off += got, len -= got) {
		n = len < PIECE ? (size_t)len : PIECE;
		if ((rc = signals_check()) || (rc = fsys_read_at(fd, off, u->buf, n, &got)))
			return rc;
		if (got == 0 || u->buf[0] || memcmp(u->buf, u->buf + 1, got - 1) != 0)
			return OK;
	}
	return FOUND;
}

/* FOUND: the bytes on the disk are those that the id names. */
static int
same_piece(struct run *u, int fd, const struct tree_piece *piece)
{
	struct name id;
	size_t got = 0, n;
	int rc;

	if (piece->hole)
		return same_hole(u, fd, piece->off, piece->len);
	if ((rc = signals_check()))
		return rc;
	for (n = 0; n < piece->len; n += got)
		if ((rc = fsys_read_at(fd, piece->off + n, u->buf + n, (size_t)piece->len - n, &got)) || got == 0)
			return rc;
	digest_chunk_id(&id, u->r->keys->id, FRAME_DATA, u->buf, n);
	return name_cmp(&id, &piece->id) == 0 ? FOUND : OK;
}

/* FOUND, or OK when the restored file is another one; why says where. */
static int
compare(struct run *u, struct reader *rd, const struct pick *p, int fd, char why[static TEXT_MAX])
{
	struct tree_content *c = NULL;
	struct tree_piece piece;
	struct fsys_stat st;
	int rc;

	if ((rc = fsys_stat(fd, "", &st)))
		return rc;
	if (st.size != p->e.e.size) {
		snprintf(why, TEXT_MAX, "%ju bytes were restored, it had %ju", (uintmax_t)st.size, (uintmax_t)p->e.e.size);
		return OK;
	}
	rc = tree_content_open(rd, &p->e.e, &c);
	while (rc == OK && (rc = tree_content_next(c, &piece)) == FOUND) {
		if ((rc = same_piece(u, fd, &piece)) == OK) {
			snprintf(why, TEXT_MAX, "what was read back at %ju is different", (uintmax_t)piece.off);
			break;
		}
		rc = rc == FOUND ? OK : rc;
	}
	tree_content_close(c);
	return rc == AT_END ? FOUND : rc;
}

/* OK, FOUND when it is damaged (why), or a failure. */
static int
check_database(struct run *u, const struct pick *p, enum damage_kind *kind, char why[static TEXT_MAX])
{
	uint64_t seconds = u->o->seconds ? u->o->seconds : PROVEDB_SECONDS + (p->e.e.size >> 20);
	enum dbcheck_verdict verdict;
	int rc;

	if (!placedb_is(&p->e.e) || (rc = dbcheck_file(u->fd, SAMPLE, seconds, &verdict)) == OK)
		return OK;
	if (rc != ERR_FAILED)
		return rc;
	if (verdict == DBCHECK_ENDLESS)
		return fail(ERR_FAILED, "'%s': integrity_check had no end in %ju s (--timeout)", p->path, (uintmax_t)seconds);
	if (verdict == DBCHECK_FOREIGN) {
		u->res->foreign++;
		return OK;
	}
	snprintf(why, TEXT_MAX, "%s", err_text());
	*kind = DAMAGE_DATABASE;
	return FOUND;
}

/* The same outcomes: content, then, of a database, what SQLite says. */
static int
check(struct run *u, const struct pick *p, enum damage_kind *kind, char why[static TEXT_MAX])
{
	struct view v = { 0 };
	int fd = -1, rc;

	if ((rc = view_open(u->r, VIEW_CONTENT, bad_record, NULL, &v)) || (rc = take_hold(u, p)) ||
	    (rc = fsys_open_file(u->fd, SAMPLE, &fd)) || (rc = target_sync(fd)))
		goto out;
	target_forget(fd);              /* what is read next comes from the disk */
	rc = compare(u, v.rd, p, fd, why);
	if (rc == OK) {
		*kind = DAMAGE_FILE;
		rc = FOUND;
	} else if (rc == FOUND) {
		rc = check_database(u, p, kind, why);
	}
out:
	fsys_close(fd);
	view_close(&v);
	return rc;
}

/* Pruned while we were at it? */
static int
is_gone(struct run *u, const struct name_sid *sid, bool *gone)
{
	struct view v;
	int rc = view_open(u->r, 0, bad_record, NULL, &v);

	*gone = true;
	for (size_t i = 0; rc == OK && i < v.snaps.count; i++)
		*gone = *gone && name_sid_cmp(&v.snaps.items[i].sid, sid) != 0;
	view_close(&v);
	return rc;
}

/* OK, FOUND when the repository does not have it whole (why), AT_END when the snapshot has gone, or a failure. */
static int
bring_back(struct run *u, const struct pick *p, enum damage_kind *kind, char why[static TEXT_MAX])
{
	const struct restore_options o = { .target = u->dir, .subpath = p->path, .numeric_owner = true, .force = true,
		.problem = keep_problem, .arg = u };
	struct restore_result res;
	struct fsys_stat st;
	struct view v;
	bool gone;
	int rc = view_open(u->r, VIEW_CONTENT, bad_record, NULL, &v);

	if (rc == OK)
		rc = is_room(u, v.rd, p);
	view_close(&v);
	u->problem[0] = 0;
	if (rc == OK)
		rc = restore_run(u->r, &u->o->items[p->snap], &o, &res);
	if (rc == ERR_IO && (err_errno() == ENOSPC || err_errno() == EDQUOT))
		return no_room(u, "it is full");
	if (prove_is_damage(rc)) {
		snprintf(why, TEXT_MAX, "cannot be restored: %.480s", u->problem[0] ? u->problem : err_text());
		*kind = DAMAGE_PACK;
		rc = is_gone(u, &u->o->items[p->snap].sid, &gone);
		return rc ? rc : gone ? AT_END : FOUND;
	}
	if (rc == ERR_PARTIAL)
		rc = fsys_stat(u->fd, base_name(p), &st) == OK ? OK : fail(ERR_FAILED, "'%s' cannot be restored in '%s': %s", p->path,
		    u->dir, u->problem);
	return rc;
}

static int
one(struct run *u, const struct pick *p)
{
	struct sample_item item = { .snap = &u->o->items[p->snap], .path = p->path, .size = p->e.e.size,
		.database = placedb_is(&p->e.e) };
	enum damage_kind kind = DAMAGE_FILE;
	char why[TEXT_MAX] = "";
	uint32_t no;
	int rc = bring_back(u, p, &kind, why);

	if (rc == OK)
		rc = check(u, p, &kind, why);
	rc = drop(u, p, rc);
	if (rc < 0 || rc == AT_END)
		return rc < 0 ? err_context(rc, "sample") : OK;
	if (rc == FOUND) {
		item.problem = why;
		u->res->damaged++;
		no = damage_add(u->o->damages, kind, p->path, "restored as a sample", NULL, "%s", why);
		if ((rc = damage_file(u->o->damages, no, p->path, p->snap, &item.snap->sid)))
			return rc;
	}
	item.remark = item.problem || !u->problem[0] ? NULL : u->problem;
	u->res->bytes += item.size;
	u->res->files += !item.database;
	u->res->databases += item.database;
	if (u->o->item)
		u->o->item(u->o->arg, &item);
	return OK;
}

/* ---- all of it ---- */

static int
all(struct run *u)
{
	uint64_t total = u->files.count + u->databases.count;
	int rc = OK;

	for (uint64_t i = 0; rc == OK && i < total; i++) {
		if (u->o->progress && (rc = u->o->progress(u->o->arg, i, total)))
			return rc;
		rc = one(u, i < u->files.count ? &u->files.v[i] : &u->databases.v[i - u->files.count]);
	}
	return rc;
}

static int
remember(struct run *u)
{
	struct proofs proofs = { 0 };
	int rc = io_lock(u->r->io, IO_SHARED, true), unlocked;

	if (rc)
		return rc;
	if ((rc = proofs_load(u->r, &proofs)) == OK) {
		proofs.drill_ns = clock_wall_ns();
		rc = proofs_save(u->r, &proofs);
	}
	unlocked = io_lock(u->r->io, IO_UNLOCKED, false);
	proofs_clear(&proofs);
	return rc ? rc : unlocked;
}

int
sample_run(struct repo *r, const struct sample_options *o, struct sample_result *res)
{
	struct run u = { .r = r, .o = o, .res = res, .fd = -1, .files.most = o->count, .databases.most = 1 };
	int rc;

	*res = (struct sample_result){ 0 };
	if ((rc = mem_new((void **)&u.buf, PIECE)) || (rc = choose(&u)) || (rc = copy_private_dir(&u.dir, &u.fd)))
		goto out;
	rc = all(&u);
	if (rc == OK && !res->damaged && res->files + res->databases > 0 && (res->save_rc = remember(&u)))
		snprintf(res->save_note, sizeof(res->save_note), "%s", err_text());
out:
	fsys_close(u.fd);
	copy_remove_dir(u.dir);
	free(u.dir);
	free(u.buf);
	picks_clear(&u.files);
	picks_clear(&u.databases);
	return rc;
}
