#include "ops/placedb.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "format/treenode.h"
#include "source/dbcheck.h"
#include "sys/fsys.h"
#include "sys/target.h"

/* The first says nothing without the others: it goes before them, so that a restore that was killed finds one of those again. */
static const char *const suffixes[] = { "-shm", "-journal", "-wal" };

unsigned
placedb_capture(const struct treenode_entry *e)
{
	const uint8_t *val;
	struct cursor c;
	size_t len;

	if (!e->ext_len || !treenode_ext_find(e->ext, e->ext_len, TREENODE_EXT_DATABASE, &val, &len))
		return 0;
	cursor_init(&c, val, len);
	(void)cursor_u32(&c);
	return cursor_u32(&c);
}

bool
placedb_is(const struct treenode_entry *e)
{
	return placedb_capture(e) == PLACEDB_BACKUP;
}

static const char *
beside(const char *name, int i, char buf[static TREENODE_NAME_MAX + 16])
{
	snprintf(buf, TREENODE_NAME_MAX + 16, "%s%s", name, suffixes[i]);
	return buf;
}

bool
placedb_has_side(int dirfd, const char *name)
{
	char side[TREENODE_NAME_MAX + 16];
	struct fsys_stat st;

	for (int i = 1; i < 3; i++)
		if (fsys_stat(dirfd, beside(name, i, side), &st) == OK && st.size)
			return true;
	return false;
}

int
placedb_may_replace(int fd, bool force)
{
	if (force || fd < 0 || !target_in_use(fd))
		return OK;
	return fail(ERR_FAILED, "another process has this database open: stop it first, or say --force");
}

int
placedb_alone(int dirfd, const char *name)
{
	char side[TREENODE_NAME_MAX + 16];
	bool any = false;
	int rc;

	for (int i = 0; i < 3; i++) {
		rc = target_unlink(dirfd, beside(name, i, side));
		any |= rc == OK;
		if (rc && rc != ERR_ABSENT)
			return err_context(rc, "'%s' lies beside it", side);
	}
	return any ? target_sync(dirfd) : OK;
}

int
placedb_ready(int dirfd, const char *name, const char *temp, int fd, bool check)
{
	int rc = target_sync(fd);

	if (rc == OK && check)
		rc = dbcheck_file(dirfd, temp, 0, NULL);
	return rc ? rc : placedb_alone(dirfd, name);
}

int
placedb_settle(int dirfd, const char *name, bool dry)
{
	int rc = dry ? OK : target_sync_name(dirfd, name);

	return rc || dry ? rc : target_sync(dirfd);
}
