#include "source/dbcheck.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

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

static int
check(sqlite3 *db)
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
	if (answer && strcmp(answer, "ok") == 0)
		rc = OK;
	else
		rc = complain(answer ? answer : sqlite3_errmsg(db));
	sqlite3_finalize(s);
	return rc;
}

int
dbcheck_file(int dirfd, const char *name)
{
	char uri[320];
	sqlite3 *db = NULL;
	int code, rc;

	/* The names restored files have until they are complete need no quoting in a URI. */
	snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d/%s?immutable=1", dirfd, name);
	code = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	rc = code == SQLITE_OK ? check(db) : complain(db ? sqlite3_errmsg(db) : NULL);
	sqlite3_close(db);
	return rc;
}
