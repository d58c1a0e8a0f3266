/*
 * dbopen: which way in.  Opening a database can change it or its surroundings: a connection to an idle WAL database creates -wal and
 * -shm, the last one that may write checkpoints and deletes the WAL, a hot journal is rolled back; and one opened as immutable does not
 * see a WAL at all.  So:
 *
 *      journal     found                            way
 *      WAL         -wal and -shm                    in place: somebody uses it, or did until it crashed
 *      WAL         -wal with content, no -shm       a copy of both, recovered there
 *      WAL         no -wal, or an empty one         in place without locks, true only if nothing has changed afterwards
 *      WAL         the same, and a hot journal      a copy of both, recovered there: another database was being copied over this one
 *      rollback    -wal with content, no -shm       a copy of both: SQLite would read it, and make a -shm
 *      rollback    no hot journal                   in place: a SHARED lock
 *      rollback    a hot journal                    a copy of both, recovered there
 *      any         locked by one process for good   not at all
 *
 * A hot journal of a transaction over several databases names their super-journal, whose removal is the commit.  If it is there, the journal
 * counts; if it is gone, it is void.  Where it should lie may not be seen from here (a container's volume): then nobody can tell, and
 * the parts are stored as found.  SQLite itself would take it for gone.
 *
 * "In place" is through a VFS that cannot write (dbsource.c).  Everything is reached through the directory's descriptor.
 */
#include "source/dbopen.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "source/dbimage.h"
#include "source/dbsource.h"
#include "sys/clock.h"
#include "sys/copy.h"

#define BUSY_MS 250
#define LOCKED_WAIT_NS (3 * CLOCK_NS)
#define COPY_TRIES 5
#define TICK_NS (20 * 1000000ll)        /* more than the grain of file times */
#define SHARED_FIRST (0x40000000u + 2)
#define SHARED_SIZE 510
#define SUPER_CAP 4096
#define SUPER_TAIL 16                   /* length of the name, its sum, magic */
#define SUPER_SUFFIX 12                 /* "-mj" and nine digits, behind the name of a database */

enum super {
	SUPER_NONE,                     /* not named */
	SUPER_THERE,
	SUPER_GONE,
	SUPER_AWAY                      /* its place is not to be seen from here */
};

static const char *
part(const struct dbopen *o, const char *suffix, char buf[static 300])
{
	snprintf(buf, 300, "%s%s", o->name, suffix);
	return buf;
}

static bool
stat_part(const struct dbopen *o, const char *suffix, struct fsys_stat *st)
{
	char name[300];

	if (fsys_stat(o->dirfd, part(o, suffix, name), st) || !S_ISREG(st->mode)) {
		*st = (struct fsys_stat){ 0 };
		return false;
	}
	return true;
}

static bool
same(const struct fsys_stat *a, const struct fsys_stat *b)
{
	return a->mode == b->mode && a->inode == b->inode && a->dev == b->dev && a->size == b->size && a->mtime == b->mtime &&
	    a->mtime_ns == b->mtime_ns && a->ctime == b->ctime && a->ctime_ns == b->ctime_ns;
}

void
dbopen_fail(struct dbopen *o, int rc)
{
	o->outcome = rc == ERR_LOCKED ? DBREAD_LOCKED : rc == ERR_CORRUPT ? DBREAD_DAMAGED : DBREAD_FAILED;
	snprintf(o->text, sizeof(o->text), "%s", err_text());
}

/* ---------------------------------------------------------------------------------------------------- looking at it */

/* Is there a journal to be played back?  One that is done with may stay there, empty or with zeros at its beginning. */
static bool
is_hot(const struct dbopen *o)
{
	char name[300];
	struct fsys_stat st;
	uint8_t first = 1;
	size_t got;
	int fd;

	if (!stat_part(o, "-journal", &st) || st.size == 0 || fsys_open_file(o->dirfd, part(o, "-journal", name), &fd))
		return st.size != 0;
	if (fsys_read_at(fd, 0, &first, 1, &got))
		first = 1;
	fsys_close(fd);
	return first != 0;
}

static uint32_t
be32(const uint8_t p[static 4])
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The name before such a tail, with the sum of its bytes, which are signed or not as the machine has it.  Else none, as SQLite has it. */
static void
read_super(int fd, uint64_t size, char name[static SUPER_CAP])
{
	static const uint8_t magic[] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };
	uint32_t len, sum, sum_signed;
	uint8_t tail[SUPER_TAIL];
	size_t got;

	name[0] = '\0';
	if (size < SUPER_TAIL || fsys_read_at(fd, size - SUPER_TAIL, tail, SUPER_TAIL, &got) || got < SUPER_TAIL ||
	    memcmp(tail + 8, magic, sizeof(magic)) != 0)
		return;
	len = be32(tail);
	sum = sum_signed = be32(tail + 4);
	if (len >= SUPER_CAP || len > size - SUPER_TAIL || fsys_read_at(fd, size - SUPER_TAIL - len, name, len, &got) || got < len)
		len = 0;
	for (uint32_t i = 0; i < len; i++) {
		sum -= (uint8_t)name[i];
		sum_signed -= (uint8_t)name[i] - (name[i] & 0x80 ? 256u : 0u);
	}
	name[sum && sum_signed ? 0 : len] = '\0';
}

/* Is this directory its writer's?  Proof is that ours lies there, too, with the database whose name it was made from. */
static bool
is_its_place(const struct dbopen *o, int dir, char *name)
{
	size_t len = strlen(name);
	struct fsys_stat st;

	if (len <= SUPER_SUFFIX)
		return false;
	name[len - SUPER_SUFFIX] = '\0';
	if (fsys_stat(dir, name, &st))
		return false;
	return fsys_stat(dir, o->name, &st) == OK && st.dev == o->main.dev && st.inode == o->main.inode;
}

static enum super
find_super(const struct dbopen *o, const char *path)
{
	enum super found = SUPER_AWAY;
	struct fsys_stat st;
	char *name, *store;
	int dir, rc;

	if (*path != '/' || fsys_open_parent(path, &dir, &name, &store))
		return SUPER_AWAY;
	rc = fsys_stat(dir, name, &st);
	if (rc == OK)
		found = st.size ? SUPER_THERE : SUPER_GONE;
	else if (rc == ERR_ABSENT && is_its_place(o, dir, name))
		found = SUPER_GONE;
	fsys_close(dir);
	free(store);
	return found;
}

static enum super
look_for_super(const struct dbopen *o)
{
	char name[300], path[SUPER_CAP];
	struct fsys_stat st;
	int fd;

	if (!is_hot(o) || !stat_part(o, "-journal", &st) || fsys_open_file(o->dirfd, part(o, "-journal", name), &fd))
		return SUPER_NONE;
	read_super(fd, st.size, path);
	fsys_close(fd);
	return *path ? find_super(o, path) : SUPER_NONE;
}

/* Wait until times of what is there can no longer hide a change. */
static void
let_settle(const struct fsys_stat *st)
{
	int64_t age = clock_coarse_ns() - (st->mtime * CLOCK_NS + st->mtime_ns);

	if (age >= 0 && age < TICK_NS)
		clock_sleep_ns(TICK_NS - age);
}

/* The header, and whether a process holds the whole file to itself. */
static int
look(struct dbopen *o, uint8_t header[static DBREAD_HEADER_LEN], bool *locked)
{
	int64_t until = clock_steady_ns() + LOCKED_WAIT_NS;
	size_t got;
	int fd, rc;

	do {
		if ((rc = fsys_open_file(o->dirfd, o->name, &fd)))
			return rc;
		rc = fsys_read_at(fd, 0, header, DBREAD_HEADER_LEN, &got);
		if (rc == OK && got < DBREAD_HEADER_LEN)
			memset(header, 0, DBREAD_HEADER_LEN);
		*locked = copy_is_locked(fd, SHARED_FIRST, SHARED_SIZE);
		fsys_close(fd);
		if (*locked)
			clock_sleep_ns(TICK_NS);
	} while (rc == OK && *locked && header[18] == 2 && clock_steady_ns() < until);
	return rc;
}

/* ---------------------------------------------------------------------------------------------------- a private copy */

static int
copy_parts(struct dbopen *o, const char *const *suffix, int to)
{
	char name[300], as[32];
	int rc = OK;

	for (int i = 0; rc == OK && suffix[i]; i++) {
		snprintf(as, sizeof(as), "db%s", suffix[i]);
		rc = copy_file(o->dirfd, part(o, suffix[i], name), to, as);
		if (rc == ERR_ABSENT && i > 0)
			rc = OK;
	}
	return rc;
}

static bool
all_same(const struct dbopen *o, const char *const *suffix, const struct fsys_stat *before)
{
	struct fsys_stat now;

	for (int i = 0; suffix[i]; i++) {
		(void)stat_part(o, suffix[i], &now);
		if (!same(&before[i], &now))
			return false;
	}
	return true;
}

static void
drop_copy(struct dbopen *o)
{
	copy_remove_dir(o->copy_dir);
	free(o->copy_dir);
	o->copy_dir = NULL;
}

/* Does a process hold the whole file to itself? */
static bool
is_locked(const struct dbopen *o)
{
	bool locked;
	int fd;

	if (fsys_open_file(o->dirfd, o->name, &fd))
		return false;
	locked = copy_is_locked(fd, SHARED_FIRST, SHARED_SIZE);
	fsys_close(fd);
	return locked;
}

/* FOUND: nothing has changed meanwhile, and at its beginning nobody was in the middle of writing. */
static int
copy_once(struct dbopen *o, bool *locked)
{
	static const char *const suffix[] = { "", "-wal", "-journal", NULL };
	static const char *const without_journal[] = { "", "-wal", NULL };
	struct fsys_stat before[3];
	enum super super;
	int rc, to;

	/* A journal of an earlier attempt must not be played into this one. */
	drop_copy(o);
	if ((rc = copy_private_dir(&o->copy_dir, &to)))
		return rc;
	for (int i = 0; suffix[i]; i++)
		if (stat_part(o, suffix[i], &before[i]))
			let_settle(&before[i]);
	o->main = before[0];
	o->wal = before[1];
	*locked = is_locked(o);
	super = look_for_super(o);
	if (*locked)
		clock_sleep_ns(BUSY_MS * 1000000ll / COPY_TRIES);
	else if (super == SUPER_AWAY)
		rc = fail(ERR_FAILED, "its journal is of a transaction over several databases; whether that was committed cannot be told from here");
	else
		rc = copy_parts(o, super == SUPER_GONE ? without_journal : suffix, to);
	if (rc == OK && !*locked && look_for_super(o) == super && all_same(o, suffix, before))
		rc = FOUND;
	fsys_close(to);
	return rc;
}

/* The database and what belongs to it, as they were at one time. */
static int
make_copy(struct dbopen *o)
{
	bool locked = false;
	int rc = OK;

	for (int n = 0; rc == OK && n < COPY_TRIES; n++)
		rc = copy_once(o, &locked);
	if (rc == OK && locked)
		return fail(ERR_LOCKED, "another process keeps it locked");
	if (rc == OK)
		return fail(ERR_LOCKED, "it changes all the time, in a way that cannot be followed");
	return rc == FOUND ? OK : rc;
}

/* ---------------------------------------------------------------------------------------------------- connecting */

static int
pragma(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(s, 0);
		code = SQLITE_OK;
	}
	/* The words of the step, not of finalizing. */
	code = code == SQLITE_DONE ? SQLITE_OK : code;
	if (code)
		(void)!dbimage_error(db, code);
	sqlite3_finalize(s);
	return code;
}

/* Nothing of a stranger's schema is run. */
static int
tame(sqlite3 *db)
{
	int64_t ignored;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, BUSY_MS);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return dbimage_error(db, pragma(db, "PRAGMA mmap_size=0", &ignored));
}

/* name of the directory and of the file in it, as a URI: every byte but letters and digits quoted. */
static int
uri(const char *dir, const char *name, const char *query, char **out)
{
	static const char hex[] = "0123456789abcdef";
	struct mem_buf b = { 0 };
	char q[3] = "%";
	int rc = mem_buf_add(&b, "file:", 5);

	for (int k = 0; k < 3; k++)
		for (const char *s = k == 0 ? dir : k == 1 ? "/" : name; rc == OK && *s; s++) {
			bool plain = *s == '/' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z');

			q[1] = hex[(unsigned char)*s >> 4];
			q[2] = hex[(unsigned char)*s & 15];
			rc = plain ? mem_buf_add(&b, s, 1) : mem_buf_add(&b, q, 3);
		}
	if (rc == OK)
		rc = mem_buf_add(&b, query, strlen(query) + 1);
	*out = (char *)b.p;
	return rc;
}

static int
connect_way(struct dbopen *o)
{
	bool copy = o->way == DBOPEN_COPY;
	/* A -wal that comes late, or by a link: SQLite must not make a -shm. */
	const char *query = o->way == DBOPEN_STILL ? "?immutable=1" : o->way == DBOPEN_LOCKING ? "?readonly_shm=1" : "";
	char dir[64], *name = NULL;
	int rc, code;

	snprintf(dir, sizeof(dir), "/proc/self/fd/%d", o->dirfd);
	if ((rc = uri(copy ? o->copy_dir : dir, copy ? "db" : o->name, query, &name)) == OK) {
		code = sqlite3_open_v2(name, &o->db, SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
		    (copy ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY), copy ? DBSOURCE_PRIVATE : DBSOURCE_IN_PLACE);
		rc = dbimage_error(o->db, code);
	}
	free(name);
	return rc ? rc : tame(o->db);
}

/* Copy, recover.  The first statement plays a journal back. */
static int
connect_copy(struct dbopen *o)
{
	int64_t ignored;
	int rc;

	dbopen_close(o);
	o->way = DBOPEN_COPY;
	if ((rc = make_copy(o)) || (rc = connect_way(o)))
		return rc;
	return dbimage_error(o->db, pragma(o->db, "PRAGMA data_version", &ignored));
}

/* Must it be recovered, which in place would change it? */
static bool
wants_recovery(int code)
{
	switch (code) {
	case SQLITE_READONLY_ROLLBACK:
	case SQLITE_READONLY_RECOVERY:
	case SQLITE_READONLY_CANTLOCK:
	case SQLITE_READONLY_CANTINIT:
	case SQLITE_CANTOPEN:
	case SQLITE_BUSY_RECOVERY:
		return true;
	default:
		return false;
	}
}

static int
connect_in_place(struct dbopen *o)
{
	int64_t ignored;
	int code, rc;

	if ((rc = connect_way(o)))
		return rc;
	code = pragma(o->db, "PRAGMA data_version", &ignored);
	return wants_recovery(code) ? connect_copy(o) : dbimage_error(o->db, code);
}

int
dbopen_connect(struct dbopen *o)
{
	uint8_t header[DBREAD_HEADER_LEN];
	struct fsys_stat shm;
	bool locked = false, has_wal, has_shm;
	int rc;

	o->outcome = 0;
	o->way = DBOPEN_NOT;
	if ((rc = look(o, header, &locked)))
		goto out;
	if (!dbread_is_header(header)) {
		o->outcome = DBREAD_NO_DATABASE;
		return OK;
	}
	(void)stat_part(o, "", &o->main);
	has_wal = stat_part(o, "-wal", &o->wal);
	has_shm = stat_part(o, "-shm", &shm);
	if (header[18] == 1 && header[19] == 1)
		o->way = o->wal.size && !has_shm ? DBOPEN_COPY : DBOPEN_LOCKING;
	else if (locked)
		rc = fail(ERR_LOCKED, "another process keeps it locked");
	else if (has_wal && has_shm)
		o->way = DBOPEN_SHARED;
	else
		o->way = o->wal.size || is_hot(o) ? DBOPEN_COPY : DBOPEN_STILL;
	if (o->way == DBOPEN_STILL)
		let_settle(&o->main);
	if (rc == OK)
		rc = o->way == DBOPEN_COPY ? connect_copy(o) : connect_in_place(o);
out:
	if (rc == ERR_NOMEM)
		return rc;
	if (rc) {
		dbopen_fail(o, rc);
		dbopen_close(o);
		o->way = DBOPEN_NOT;
	}
	return OK;
}

bool
dbopen_still(const struct dbopen *o)
{
	struct fsys_stat main, wal;

	(void)stat_part(o, "", &main);
	(void)stat_part(o, "-wal", &wal);
	if (o->way == DBOPEN_STILL)
		return same(&main, &o->main) && wal.size == 0 && !is_hot(o);
	/* A file that took its place brings a WAL of its own. */
	return o->way == DBOPEN_COPY || main.inode == o->main.inode;
}

int
dbopen_version(struct dbopen *o, int64_t *version)
{
	return dbimage_error(o->db, pragma(o->db, "PRAGMA data_version", version));
}

int
dbopen_begin(struct dbopen *o, int64_t *version)
{
	int code = sqlite3_exec(o->db, "BEGIN", NULL, NULL, NULL);

	if (code == SQLITE_OK) {
		o->reading = true;
		o->begun_ns = clock_steady_ns();
		code = pragma(o->db, "PRAGMA data_version", version);
	}
	return dbimage_error(o->db, code);
}

void
dbopen_end(struct dbopen *o)
{
	if (o->reading)
		(void)sqlite3_exec(o->db, "COMMIT", NULL, NULL, NULL);
	o->reading = false;
}

uint64_t
dbopen_wal_growth(const struct dbopen *o)
{
	struct fsys_stat st;

	if (o->way != DBOPEN_SHARED || !stat_part(o, "-wal", &st))
		return 0;
	return st.size > o->wal.size ? st.size - o->wal.size : 0;
}

void
dbopen_close(struct dbopen *o)
{
	dbopen_end(o);
	sqlite3_close(o->db);
	o->db = NULL;
	drop_copy(o);
}

void
dbopen_clear(struct dbopen *o)
{
	dbopen_close(o);
	fsys_close(o->dirfd);
	o->dirfd = -1;
}
