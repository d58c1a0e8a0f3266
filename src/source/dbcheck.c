#include "source/dbcheck.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "sys/clock.h"
#include "sys/signals.h"
#include "sys/watch.h"

bool
dbcheck_is_damage(int sqlite_code)
{
	return (sqlite_code & 0xff) == SQLITE_CORRUPT || (sqlite_code & 0xff) == SQLITE_NOTADB;
}

static int
complain(const char *text)
{
	return fail(ERR_FAILED, "integrity_check: %s", text ? text : "no answer");
}

static enum dbcheck_verdict
verdict_of(int code)
{
	return dbcheck_is_damage(code) ? DBCHECK_DAMAGED : (code & 0xff) == SQLITE_INTERRUPT ? DBCHECK_ENDLESS : DBCHECK_FOREIGN;
}

static int
ask(sqlite3 *db, enum dbcheck_verdict *v)
{
	sqlite3_stmt *s = NULL;
	const char *answer = NULL;
	int code, rc;

	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	code = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &s, NULL);
	if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW)
		answer = (const char *)sqlite3_column_text(s, 0);
	if (answer && strcmp(answer, "ok") == 0) {
		*v = DBCHECK_SOUND;
		rc = OK;
	} else {
		*v = answer ? DBCHECK_DAMAGED : verdict_of(code);
		rc = complain(answer ? answer : sqlite3_errmsg(db));
	}
	sqlite3_finalize(s);
	return rc;
}

/* Of another thread: SQLite allows this one. */
static void
interrupt(void *db)
{
	sqlite3_interrupt(db);
}

static int
check(sqlite3 *db, uint64_t seconds, enum dbcheck_verdict *v)
{
	struct watch *watch;
	int rc = watch_new(interrupt, db, &watch), stop;

	if (rc)
		return rc;
	watch_begin(watch, seconds ? clock_steady_ns() + (int64_t)(seconds < INT32_MAX ? seconds : INT32_MAX) * CLOCK_NS : 0);
	rc = ask(db, v);
	watch_free(watch);
	return rc && (stop = signals_check()) ? stop : rc;
}

int
dbcheck_file(int dirfd, const char *name, uint64_t seconds, enum dbcheck_verdict *verdict)
{
	char uri[320];
	enum dbcheck_verdict v = DBCHECK_FOREIGN;
	sqlite3 *db = NULL;
	int code, rc;

	/* The names restored files have until they are complete need no quoting in a URI. */
	snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d/%s?immutable=1", dirfd, name);
	code = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	rc = code == SQLITE_OK ? check(db, seconds, &v) : complain(db ? sqlite3_errmsg(db) : NULL);
	sqlite3_close(db);
	if (verdict)
		*verdict = v;
	return rc;
}
