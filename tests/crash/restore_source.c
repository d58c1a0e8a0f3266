#include "tests/crash/restore_source.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support_store.h"

bool
source_put_dir(const char *dir, const char *name)
{
	char path[500];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return mkdir(path, 0755) == 0;
}

static bool
put_symlink(const char *dir, const char *name, const char *text)
{
	char path[500];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return symlink(text, path) == 0;
}

static bool
put_link(const char *dir, const char *from, const char *to)
{
	char a[500], b[500];

	snprintf(a, sizeof(a), "%s/%s", dir, from);
	snprintf(b, sizeof(b), "%s/%s", dir, to);
	return link(a, b) == 0;
}

bool
source_take(const char *dir, const char *name)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return support_store_remove(path);
}

static bool
put_hole(const char *dir, const char *name, const char *end)
{
	char path[500];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ok = fd >= 0 && pwrite(fd, end, strlen(end), 65536) == (ssize_t)strlen(end) && ftruncate(fd, 131072) == 0;
	return fd >= 0 && close(fd) == 0 && ok;
}

static bool
put_database(const char *path, const char *before, int rows)
{
	char text[400];
	sqlite3 *db;

	snprintf(text, sizeof(text), "%s create table if not exists t(a integer primary key, b text); with recursive n(i) as "
	    "(select 1 union all select i + 1 from n where i < %d) insert or replace into t select i, 'row number ' || i from n", before, rows);
	return sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK &&
	    (*before || sqlite3_close(db) == SQLITE_OK);
}

static bool
put_app(const char *dir, int rows)
{
	char path[500];

	snprintf(path, sizeof(path), "%s/" SOURCE_DATABASE, dir);
	return put_database(path, "", rows);
}

/* A process of its own, since locks are no obstacle to the one that holds them. */
bool
source_hold(const char *dir, int rows, pid_t *holder)
{
	char path[500], wal[510], c;
	int fds[2];
	bool ok;

	snprintf(path, sizeof(path), "%s/" SOURCE_FOUND, dir);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	(void)unlink(path);
	(void)unlink(wal);
	if (pipe2(fds, O_CLOEXEC))
		return false;
	*holder = fork();
	if (*holder == 0) {
		close(fds[0]);
		ok = put_database(path, "pragma locking_mode = exclusive; pragma journal_mode = wal;", rows);
		while (ok && write(fds[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(fds[1]);
	ok = *holder > 0 && read(fds[0], &c, 1) == 1;
	close(fds[0]);
	return ok;
}

void
source_release(pid_t holder)
{
	if (holder > 0 && kill(holder, SIGKILL) == 0)
		(void)!waitpid(holder, NULL, 0);
}

bool
source_first(const char *s)
{
	static const char *const dirs[] = { "", "d0", "d1", "d2", "d2/deep", "db", "dc", "gone", "kind", "kind/to_file", "pair" };
	char name[32];
	bool ok = true;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		ok = ok && source_put_dir(s, dirs[i]);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "d%u/f%u", i / 4, i % 4);
		ok = ok && support_store_file(s, name, 100 + 700 * (i % 4), i);
	}
	return ok && support_store_file(s, "d2/deep/x", 300, 20) && support_store_file(s, "d2/filled", 0, 0) &&
	    support_store_file(s, "d2/emptied", 900, 21) && support_store_file(s, "large", 60000, 22) &&
	    support_store_file(s, "gone/one", 50, 23) && support_store_file(s, "gone/two", 60, 24) &&
	    support_store_file(s, "pair/a", 400, 25) && put_link(s, "pair/a", "pair/b") && support_store_file(s, "pair/z", 500, 26) &&
	    support_store_file(s, "kind/to_file/inside", 70, 27) && support_store_file(s, "kind/to_dir", 80, 28) &&
	    support_store_file(s, "kind/to_link", 90, 29) && put_symlink(s, "kind/from_link", "../d0/f0") &&
	    put_symlink(s, "link", "d0/f1") && put_hole(s, "hole", "one") && put_app(s, 600) && put_link(s, SOURCE_DATABASE, SOURCE_LINK);
}

/* pair/new comes before pair/z, which becomes a name of it. */
bool
source_second(const char *s)
{
	return support_store_file(s, "d0/f1", 1500, 40) && source_take(s, "d0/f2") && support_store_file(s, "d0/new", 700, 41) &&
	    support_store_file(s, "d1/f3", 2200, 42) && support_store_file(s, "d2/filled", 250, 43) &&
	    support_store_file(s, "d2/emptied", 0, 0) && support_store_file(s, "large", 61000, 22) && source_take(s, "gone") &&
	    support_store_file(s, "pair/a", 450, 44) && support_store_file(s, "pair/new", 520, 45) && source_take(s, "pair/z") &&
	    put_link(s, "pair/new", "pair/z") && source_take(s, "kind/to_file") && support_store_file(s, "kind/to_file", 75, 46) &&
	    source_take(s, "kind/to_dir") && source_put_dir(s, "kind/to_dir") && support_store_file(s, "kind/to_dir/inside", 85, 47) &&
	    source_take(s, "kind/to_link") && put_symlink(s, "kind/to_link", "../d1/f1") && source_take(s, "kind/from_link") &&
	    support_store_file(s, "kind/from_link", 95, 48) && source_take(s, "link") && put_symlink(s, "link", "d0/new") &&
	    put_hole(s, "hole", "two") && put_app(s, 900) && source_put_dir(s, "fresh") && support_store_file(s, "fresh/one", 800, 49) &&
	    support_store_file(s, "fresh/two", 20000, 50) && support_store_file(s, "fresh/three", 0, 0);
}
