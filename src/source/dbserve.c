/*
 * dbserve: cuts and captures.
 *
 * One instant over several databases, without a lock: read the data version of all (1), begin a read transaction in all (2), compare.
 * If none has changed, each was, at the moment between (1) and (2), in the state that its transaction sees.  Else again; after
 * CUT_TRIES one after the other, with the time between the first and the last recorded.
 *
 * Databases with a rollback journal come first: their writers wait while we read.  One that cannot be read within HOLD_NS is let go and
 * read without a lock, page by page, beginning anew when it changes; after FREE_TRIES of that it is held for as long as it takes.
 */
#include "source/dbserve.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "source/dbimage.h"
#include "source/dbopen.h"
#include "source/dbproto.h"
#include "source/dbsource.h"
#include "sys/clock.h"
#include "sys/confine.h"
#include "sys/helper.h"

#define CUT_TRIES 60
#define WAIT_MS 50
#define BUSY_NS (5 * CLOCK_NS)
#define HOLD_NS (4 * CLOCK_NS)
#define FREE_TRIES 3
#define CAPTURE_TRIES 3
#define STEP_BYTES (1 << 20)
#define WAL_LIMIT_MIN (1ull << 30)

struct serve {
	struct helper h;
	struct dbopen *db;
	size_t count, cap;
	uint64_t wal_limit;
	/* The capture under way. */
	struct dbopen *cur;
	bool free_running;              /* without a lock on the source */
	bool hold;                      /* with one, for as long as it takes */
	bool too_long;                  /* HOLD_NS are over */
	bool taken[DBPROTO_SLOTS];      /* not yet freed by the other side */
	uint32_t slot, fill;
};

static int
say(struct serve *s, struct dbproto_say *m)
{
	m->id = s->cur ? s->cur->id : 0;
	return helper_send(s->h.sock, m, sizeof(*m), -1);
}

/* ---------------------------------------------------------------------------------------------------- the cut */

static bool
is_open(const struct dbopen *o)
{
	return o->db && !o->done && o->outcome == 0;
}

/* It could not be asked: is there a reason to try again? */
static bool
give_up(struct dbopen *o, int rc, int64_t until)
{
	if (rc == ERR_LOCKED && clock_steady_ns() < until)
		return false;
	dbopen_fail(o, rc);
	dbopen_close(o);
	return true;
}

static void
end_all(struct serve *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (is_open(&s->db[i]))
			dbopen_end(&s->db[i]);
}

/* One attempt.  FOUND: all were cut at one instant. */
static int
cut_once(struct serve *s, int64_t until)
{
	int64_t version;
	bool again = false;
	int rc;

	for (size_t i = 0; i < s->count; i++)
		if (is_open(&s->db[i]) && (rc = dbopen_version(&s->db[i], &s->db[i].version)))
			again |= !give_up(&s->db[i], rc, until);
	for (size_t i = 0; !again && i < s->count; i++) {
		if (!is_open(&s->db[i]))
			continue;
		if ((rc = dbopen_begin(&s->db[i], &version)))
			again |= !give_up(&s->db[i], rc, until);
		else
			again |= version != s->db[i].version;
	}
	for (size_t i = 0; !again && i < s->count; i++)
		again |= is_open(&s->db[i]) && !dbopen_still(&s->db[i]);
	return again ? OK : FOUND;
}

/*
 * Closing a descriptor of a file drops the locks that another connection has of it.  The walk names each inode once, but whoever may
 * rename there can put a link to one in another's place.
 */
static int
connect_alone(struct serve *s, struct dbopen *o)
{
	struct fsys_stat st;

	if (fsys_stat(o->dirfd, o->name, &st))
		return dbopen_connect(o);
	for (size_t i = 0; i < s->count; i++) {
		const struct dbopen *other = &s->db[i];

		if (other == o || !other->db || other->main.dev != st.dev || other->main.inode != st.inode)
			continue;
		dbopen_fail(o, fail(ERR_LOCKED, "it has become another name of a database that is being read"));
		return OK;
	}
	return dbopen_connect(o);
}

/* One after the other. */
static int
cut_staggered(struct serve *s)
{
	int64_t until = clock_steady_ns() + BUSY_NS, first = 0, last = 0;
	int rc;

	for (size_t i = 0; i < s->count; i++) {
		struct dbopen *o = &s->db[i];

		while (is_open(o) && !o->reading) {
			if ((rc = dbopen_begin(o, &o->version)) == OK && dbopen_still(o))
				break;
			dbopen_end(o);
			if (rc) {
				give_up(o, rc, until);
			} else {
				dbopen_close(o);
				if ((rc = connect_alone(s, o)))
					return rc;
			}
		}
		if (is_open(o)) {
			first = first ? first : o->begun_ns;
			last = o->begun_ns;
		}
	}
	for (size_t i = 0; i < s->count; i++)
		if (is_open(&s->db[i]))
			s->db[i].spread_ns = (uint64_t)(last - first);
	return OK;
}

/* What is no longer what was opened is opened again. */
static int
reopen_moved(struct serve *s)
{
	int rc;

	for (size_t i = 0; i < s->count; i++)
		if (is_open(&s->db[i]) && !dbopen_still(&s->db[i])) {
			dbopen_close(&s->db[i]);
			if ((rc = connect_alone(s, &s->db[i])))
				return rc;
		}
	return OK;
}

static int
cut_all(struct serve *s)
{
	int64_t until = clock_steady_ns() + BUSY_NS;
	bool whole = true;
	int rc = OK;

	for (size_t i = 0; i < s->count; i++)
		if (!s->db[i].done && (rc = connect_alone(s, &s->db[i])))
			return rc;
	for (int n = 0; n < CUT_TRIES && rc == OK; n++) {
		if ((rc = cut_once(s, until)) != OK)
			break;
		end_all(s);
		if ((rc = reopen_moved(s)))
			return rc;
		clock_sleep_ns((n % 8) * 500000ll);
	}
	if (rc < 0)
		return rc;
	if (rc == OK && (rc = cut_staggered(s)))
		return rc;
	for (size_t i = 0; i < s->count; i++) {
		whole &= s->db[i].done || is_open(&s->db[i]) || s->db[i].outcome == DBREAD_NO_DATABASE;
		if (is_open(&s->db[i]))
			s->db[i].one_instant = rc == FOUND;
	}
	for (size_t i = 0; i < s->count; i++)
		s->db[i].one_instant &= whole;
	return OK;
}

/* ---------------------------------------------------------------------------------------------------- pages */

static bool
held_too_long(const struct dbopen *o)
{
	return o->way == DBOPEN_LOCKING && o->reading && clock_steady_ns() - o->begun_ns > HOLD_NS;
}

/* Those that are still to come have waited long enough: they are read without a lock, then. */
static void
let_others_go(struct serve *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (&s->db[i] != s->cur && is_open(&s->db[i]) && held_too_long(&s->db[i])) {
			s->db[i].one_instant = false;
			dbopen_end(&s->db[i]);
		}
}

/* Between steps, and while nobody takes what was read: is the source harmed by what we do? */
static int
on_tick(void *arg)
{
	struct serve *s = arg;
	struct dbopen *o = s->cur;
	uint64_t grown = dbopen_wal_growth(o), limit = s->wal_limit;

	let_others_go(s);
	if (!limit)
		limit = o->main.size / 2 > WAL_LIMIT_MIN ? o->main.size / 2 : WAL_LIMIT_MIN;
	if (grown > limit)
		return fail(ERR_LOCKED, "its WAL grew by %llu bytes while it was read: given up", (unsigned long long)grown);
	if (!s->hold && held_too_long(o)) {
		s->too_long = true;
		return fail(ERR_FAILED, "it is too long to keep its writers waiting");
	}
	return OK;
}

/* A free slot to fill: wait until there is one. */
static int
wait_slot(struct serve *s)
{
	struct dbproto_ask a;
	int rc;

	while (s->taken[s->slot]) {
		/* However long the other side takes: the source must not suffer from it. */
		if ((rc = helper_wait(s->h.sock, WAIT_MS)) < 0)
			return rc;
		if (rc == OK && (rc = on_tick(s)))
			return rc;
		if (rc != FOUND)
			continue;
		if ((rc = helper_receive(s->h.sock, &a, sizeof(a), NULL)))
			return rc == AT_END ? fail(ERR_INTERRUPTED, "nobody listens") : rc;
		if (a.op != DBPROTO_FREE || a.id >= DBPROTO_SLOTS)
			return fail(ERR_FAILED, "unexpected request");
		s->taken[a.id] = false;
	}
	return OK;
}

static int
flush_slot(struct serve *s)
{
	struct dbproto_say m = { .op = DBPROTO_DATA, .slot = s->slot, .len = s->fill };
	int rc;

	if (s->fill == 0)
		return OK;
	if ((rc = say(s, &m)))
		return rc;
	s->taken[s->slot] = true;
	s->slot = (s->slot + 1) % DBPROTO_SLOTS;
	s->fill = 0;
	return OK;
}

static int
on_page(void *arg, const uint8_t *p, uint32_t len)
{
	struct serve *s = arg;
	int rc;

	if (s->fill == 0 && (rc = wait_slot(s)))
		return rc;
	memcpy(s->h.shared + (size_t)s->slot * DBPROTO_SLOT_LEN + s->fill, p, len);
	s->fill += len;
	return s->fill + len > DBPROTO_SLOT_LEN ? flush_slot(s) : OK;
}

static int
capture_once(struct serve *s, struct dbimage *img)
{
	const struct dbimage_sink sink = { .page = on_page, .tick = on_tick, .arg = s };
	const uint8_t *first;
	uint32_t size;
	int rc;

	*img = (struct dbimage){ 0 };
	if (!(first = dbsource_first_page(s->cur->db, &size)))
		return fail(ERR_CORRUPT, "it has no first page");
	rc = dbimage_capture(s->cur->db, first, size, STEP_BYTES / (int)size, &sink, img);
	return rc ? rc : flush_slot(s);
}

static int
say_again(struct serve *s)
{
	struct dbproto_say m = { .op = DBPROTO_AGAIN };

	s->fill = 0;
	return say(s, &m);
}

/* What was read without locks has changed: what is it now? */
static int
start_over(struct serve *s)
{
	struct dbopen *o = s->cur;
	int64_t version;
	int rc;

	o->one_instant = false;
	dbopen_close(o);
	if ((rc = connect_alone(s, o)) || o->outcome)
		return rc;
	if ((rc = dbopen_begin(o, &version)))
		dbopen_fail(o, rc);
	return OK;
}

/* After a capture that took too long, or ran free and was overtaken: how to go on. */
static int
let_go(struct serve *s, int n)
{
	int64_t version;
	int rc;

	s->cur->one_instant = false;
	dbopen_end(s->cur);
	s->free_running = n < FREE_TRIES;
	s->hold = !s->free_running;
	s->too_long = false;
	/* What is sniffed of page 1 must be of now. */
	rc = s->hold ? dbopen_begin(s->cur, &version) : dbopen_version(s->cur, &version);
	if (rc)
		dbopen_fail(s->cur, rc);
	return OK;
}

/* What was seen of one that is read without a lock counts only if it has not changed. */
static bool
fails(struct dbopen *o, int rc)
{
	dbopen_fail(o, rc);             /* before the note is another one's */
	if (o->way == DBOPEN_STILL && !dbopen_still(o))
		o->outcome = 0;
	return o->outcome != 0;
}

/* Until it succeeds, or there is an outcome. */
static int
capture(struct serve *s, struct dbimage *img)
{
	struct dbopen *o = s->cur;
	int64_t until = clock_steady_ns() + BUSY_NS;
	int rc, tries = 0, frees = 0;

	s->fill = 0;                    /* of one that failed */
	s->free_running = s->hold = s->too_long = false;
	if (!o->outcome && o->way == DBOPEN_LOCKING && !o->reading && (rc = let_go(s, frees++)))
		return rc;
	while (!o->outcome) {
		rc = capture_once(s, img);
		if (rc == OK && dbopen_still(o)) {
			o->outcome = DBREAD_CAPTURED;
			break;
		}
		if (rc == ERR_INTERRUPTED || rc == ERR_NOMEM)
			return rc;
		if (s->too_long || img->moved)
			rc = let_go(s, frees++);
		else if (rc && rc != ERR_LOCKED && fails(o, rc))
			break;
		else if (++tries >= CAPTURE_TRIES && clock_steady_ns() > until)
			dbopen_fail(o, rc == ERR_LOCKED ? rc :
			    fail(ERR_LOCKED, "it changes all the time, in a way that cannot be followed"));
		else
			rc = start_over(s);
		if (o->outcome)
			break;
		if (rc || (rc = say_again(s)))
			return rc;
	}
	return OK;
}

/* ---------------------------------------------------------------------------------------------------- requests */

static int
add(struct serve *s, const struct dbproto_ask *a, int fd)
{
	struct dbopen *o;
	int rc;

	if (fd < 0 || (rc = mem_grow((void **)&s->db, &s->cap, s->count + 1, sizeof(*s->db))))
		return fail(ERR_FAILED, "unexpected request");
	o = &s->db[s->count++];
	*o = (struct dbopen){ .dirfd = fd, .id = a->id };
	memcpy(o->name, a->name, sizeof(o->name));
	o->name[sizeof(o->name) - 1] = '\0';
	return OK;
}

static int
cut(struct serve *s, const struct dbproto_ask *a)
{
	struct dbproto_say m = { .op = DBPROTO_CUT };
	int rc;

	s->wal_limit = a->wal_limit;
	rc = cut_all(s);
	s->cur = NULL;
	return rc ? rc : say(s, &m);
}

/* Those whose writers wait first; in the end all are forgotten. */
static struct dbopen *
choose(struct serve *s)
{
	struct dbopen *best = NULL;

	for (size_t i = 0; i < s->count; i++)
		if (!s->db[i].done && (!best || (best->way != DBOPEN_LOCKING && s->db[i].way == DBOPEN_LOCKING)))
			best = &s->db[i];
	return best;
}

static void
forget_all(struct serve *s)
{
	for (size_t i = 0; i < s->count; i++)
		dbopen_clear(&s->db[i]);
	s->count = 0;
}

static int
next(struct serve *s)
{
	struct dbproto_say m = { .op = DBPROTO_BEGIN };
	struct dbimage img = { 0 };
	uint64_t growth;
	int64_t begun;
	int rc;

	s->cur = choose(s);
	if (!s->cur) {
		m.op = DBPROTO_NONE;
		forget_all(s);
		return say(s, &m);
	}
	if (!s->cur->outcome)
		(void)dbsource_first_page(s->cur->db, &m.page_size);
	if ((rc = say(s, &m)) || (rc = capture(s, &img)))
		return rc;
	growth = dbopen_wal_growth(s->cur);
	begun = s->cur->begun_ns;
	m = (struct dbproto_say){ .op = DBPROTO_END, .outcome = s->cur->outcome, .page_size = img.page_size, .pages = img.pages,
		.one_instant = s->cur->one_instant, .opened = s->cur->way, .spread_ns = s->cur->spread_ns, .wal_growth = growth };
	if (s->cur->way == DBOPEN_LOCKING && s->cur->reading)
		m.held_ns = (uint64_t)(clock_steady_ns() - begun);
	memcpy(m.text, s->cur->text, sizeof(m.text));
	dbopen_clear(s->cur);
	s->cur->done = true;
	return say(s, &m);
}

int
dbserve_run(void)
{
	struct serve s = { .slot = 0 };
	struct dbproto_ask a;
	int rc, fd;

	if ((rc = helper_enter(&s.h, (size_t)DBPROTO_SLOTS * DBPROTO_SLOT_LEN)) || (rc = dbimage_register()) ||
	    (rc = dbsource_register()))
		return 1;
	confine_helper();
	while ((rc = helper_receive(s.h.sock, &a, sizeof(a), &fd)) == OK) {
		if (a.op == DBPROTO_ADD)
			rc = add(&s, &a, fd);
		else if (a.op == DBPROTO_CUT)
			rc = cut(&s, &a);
		else if (a.op == DBPROTO_NEXT)
			rc = next(&s);
		else if (a.op == DBPROTO_FREE && a.id < DBPROTO_SLOTS)
			s.taken[a.id] = false;
		else
			rc = fail(ERR_FAILED, "unexpected request");
		if (rc)
			break;
	}
	forget_all(&s);
	free(s.db);
	helper_stop(&s.h);
	return rc == AT_END ? 0 : 1;
}
