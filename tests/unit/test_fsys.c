/*
 * fsys: the user's files as the system shows them.  What it misreads, every
 * snapshot has wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "format/treenode.h"
#include "source/tags.h"
#include "sys/fsys.h"

#define NAMES 3000
#define DEPTH 400

struct fixture {
	char path[512];
	int fd;
};

static int
setup(void **state)
{
	const char *dir = getenv("TMPDIR");
	struct fixture *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	snprintf(t->path, sizeof(t->path), "%s/varve-fsys-XXXXXX",
	    dir ? dir : "/tmp");
	assert_non_null(mkdtemp(t->path));
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY);
	assert_true(t->fd >= 0);
	*state = t;
	return 0;
}

static void
empty(int fd)
{
	struct fsys_names n;

	assert_int_equal(fsys_list(fd, &n), OK);
	for (size_t i = 0; i < n.count; i++) {
		int sub;

		if (unlinkat(fd, n.name[i], 0) == 0)
			continue;
		sub = openat(fd, n.name[i], O_RDONLY | O_DIRECTORY);
		assert_true(sub >= 0);
		empty(sub);
		close(sub);
		assert_int_equal(unlinkat(fd, n.name[i], AT_REMOVEDIR), 0);
	}
	fsys_names_clear(&n);
}

static int
teardown(void **state)
{
	struct fixture *t = *state;

	empty(t->fd);
	close(t->fd);
	assert_int_equal(rmdir(t->path), 0);
	free(t);
	return 0;
}

static void
put(int dirfd, const char *name, const void *p, size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	close(fd);
}

/*
 * A name lost by the listing is a file lost; a wrong order breaks the tree's
 * rules (TN-1).
 */
static void
test_list_has_every_name_in_byte_order(void **state)
{
	struct fixture *t = *state;
	struct fsys_names n;
	char name[256];

	assert_int_equal(fsys_list(t->fd, &n), OK);
	assert_int_equal(n.count, 0);
	fsys_names_clear(&n);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%d-%0*d", i, i % 100 + 1, 0);
		put(t->fd, name, "", 0);
	}
	memset(name, 'n', 255);
	name[255] = '\0';
	put(t->fd, name, "", 0);
	put(t->fd, "\xff\n\x1b", "", 0);
	put(t->fd, ".hidden", "", 0);
	put(t->fd, "...", "", 0);
	assert_int_equal(fsys_list(t->fd, &n), OK);
	assert_int_equal(n.count, NAMES + 4);
	for (size_t i = 1; i < n.count; i++)
		assert_true(strcmp(n.name[i - 1], n.name[i]) < 0);
	assert_string_equal(n.name[n.count - 1], "\xff\n\x1b");
	fsys_names_clear(&n);
}

static void
test_stat_does_not_follow_and_has_nanoseconds(void **state)
{
	const struct timespec times[2] = { { 5, 6 }, { -7, 123456789 } };
	struct fixture *t = *state;
	struct fsys_stat st, dir;

	put(t->fd, "f", "hello", 5);
	assert_int_equal(utimensat(t->fd, "f", times, 0), 0);
	assert_int_equal(fchmodat(t->fd, "f", 04751, 0), 0);
	assert_int_equal(linkat(t->fd, "f", t->fd, "g", 0), 0);
	assert_int_equal(symlinkat("f", t->fd, "l"), 0);
	assert_int_equal(mkfifoat(t->fd, "p", 0600), 0);

	assert_int_equal(fsys_stat(t->fd, "f", &st), OK);
	assert_int_equal(st.mode, S_IFREG | 04751);
	assert_int_equal(st.size, 5);
	assert_int_equal(st.nlink, 2);
	assert_int_equal(st.mtime, -7);
	assert_int_equal(st.mtime_ns, 123456789);
	assert_int_equal(st.uid, geteuid());
	assert_int_equal(fsys_stat(t->fd, "l", &st), OK);
	assert_true(S_ISLNK(st.mode));
	assert_int_equal(fsys_stat(t->fd, "p", &st), OK);
	assert_true(S_ISFIFO(st.mode));
	assert_int_equal(fsys_stat(t->fd, "", &dir), OK);
	assert_true(S_ISDIR(dir.mode));
	assert_int_equal(dir.dev, st.dev);
	assert_int_equal(fsys_stat(t->fd, "gone", &st), ERR_ABSENT);
	assert_int_equal(fsys_stat(t->fd, "f/x", &st), ERR_IO);
}

/*
 * A link put in place of a directory or file must not lead the walk elsewhere.
 */
static void
test_open_refuses_links_and_never_blocks(void **state)
{
	struct fixture *t = *state;
	int fd;

	put(t->fd, "f", "x", 1);
	assert_int_equal(symlinkat("f", t->fd, "lf"), 0);
	assert_int_equal(symlinkat(".", t->fd, "ld"), 0);
	assert_int_equal(mkfifoat(t->fd, "p", 0600), 0);
	assert_int_equal(fsys_open_file(t->fd, "f", &fd), OK);
	fsys_close(fd);
	assert_int_equal(fsys_open_file(t->fd, "lf", &fd), ERR_IO);
	assert_int_equal(fsys_open_dir(t->fd, "ld", &fd), ERR_IO);
	assert_int_equal(fsys_open_dir(t->fd, "f", &fd), ERR_IO);
	assert_int_equal(fsys_open_file(t->fd, "none", &fd), ERR_ABSENT);
	assert_int_equal(fsys_open_file(t->fd, "p", &fd), OK);
	fsys_close(fd);
	assert_int_equal(fsys_open_dir(t->fd, "", &fd), OK);
	fsys_close(fd);
	fsys_close(-1);
}

static void
test_open_parent_splits_as_written(void **state)
{
	struct fixture *t = *state;
	struct fsys_stat want, st;
	static const char *const tails[] = { "", "/", "///", "/.", "/d/..",
		"/d/../" };
	char path[600], *name, *store;
	int fd;

	assert_int_equal(mkdirat(t->fd, "d", 0700), 0);
	assert_int_equal(symlinkat("d", t->fd, "l"), 0);
	assert_int_equal(fsys_stat(t->fd, "", &want), OK);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", t->path, tails[i]);
		assert_int_equal(fsys_open_parent(path, &fd, &name, &store),
		    OK);
		assert_int_equal(fsys_stat(fd, name, &st), OK);
		assert_int_equal(st.inode, want.inode);
		assert_int_equal(*name == '\0', i >= 3);
		fsys_close(fd);
		free(store);
	}
	snprintf(path, sizeof(path), "%s/l", t->path);
	assert_int_equal(fsys_open_parent(path, &fd, &name, &store), OK);
	assert_string_equal(name, "l");
	fsys_close(fd);
	free(store);
	assert_int_equal(fsys_open_parent("/", &fd, &name, &store), OK);
	assert_string_equal(name, "");
	assert_int_equal(fsys_stat(fd, name, &st), OK);
	fsys_close(fd);
	free(store);
	snprintf(path, sizeof(path), "%s/none/x", t->path);
	assert_int_equal(fsys_open_parent(path, &fd, &name, &store),
	    ERR_ABSENT);
}

static void
test_absolute_is_lexical(void **state)
{
	static const char *const table[][2] = {
		{ "/", "/" }, { "//", "/" }, { "/..", "/" }, { "/a/", "/a" },
		{ "/a//b/./c", "/a/b/c" }, { "/a/../b", "/b" },
		{ "/a/b/../../..", "/" }, { "/...", "/..." },
		{ "/.a/..b", "/.a/..b" },
	};
	char *got, *cwd = getcwd(NULL, 0), want[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(fsys_absolute(table[i][0], &got), OK);
		assert_string_equal(got, table[i][1]);
		free(got);
	}
	assert_int_equal(fsys_absolute("x/../y", &got), OK);
	snprintf(want, sizeof(want), "%s/y", strcmp(cwd, "/") ? cwd : "");
	assert_string_equal(got, want);
	free(got);
	free(cwd);
	assert_int_equal(fsys_absolute("", &got), ERR_USAGE);
}

static void
test_readlink_and_read_at(void **state)
{
	struct fixture *t = *state;
	char buf[32];
	size_t len;
	int fd;

	assert_int_equal(symlinkat("../some/where", t->fd, "l"), 0);
	assert_int_equal(fsys_readlink(t->fd, "l", buf, sizeof(buf), &len), OK);
	assert_string_equal(buf, "../some/where");
	assert_int_equal(len, 13);
	assert_int_equal(fsys_readlink(t->fd, "l", buf, 14, &len), OK);
	assert_int_equal(fsys_readlink(t->fd, "l", buf, 13, &len), ERR_IO);
	assert_int_equal(err_errno(), ENAMETOOLONG);

	put(t->fd, "f", "0123456789", 10);
	assert_int_equal(fsys_open_file(t->fd, "f", &fd), OK);
	assert_int_equal(fsys_read_at(fd, 4, buf, sizeof(buf), &len), OK);
	assert_int_equal(len, 6);
	assert_memory_equal(buf, "456789", 6);
	assert_int_equal(fsys_read_at(fd, 10, buf, sizeof(buf), &len), OK);
	assert_int_equal(len, 0);
	fsys_close(fd);
}

/* A hole taken for data costs space; data taken for a hole is lost. */
static void
test_runs_of_data_cover_every_byte_written(void **state)
{
	const uint64_t size = 64u << 20, at = 32u << 20;
	uint64_t off = 0, start, end, seen = 0;
	struct fixture *t = *state;
	int fd = openat(t->fd, "s", O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, "data", 4, (off_t)at), 4);
	for (;;) {
		assert_int_equal(fsys_next_data(fd, off, size, &start, &end),
		    OK);
		assert_true(start >= off && end <= size);
		if (start == size)
			break;
		assert_true(end > start);
		seen += start <= at && end >= at + 4;
		off = end;
	}
	assert_int_equal(seen, 1);
	assert_int_equal(fsys_next_data(fd, size, size, &start, &end), OK);
	assert_int_equal(start, size);
	close(fd);
}

static void
test_xattrs_are_sorted_and_complete(void **state)
{
	struct fixture *t = *state;
	struct treenode_xattr x;
	struct cursor c;
	uint8_t *p;
	size_t len;
	int fd;

	put(t->fd, "f", "", 0);
	assert_int_equal(fsys_xattrs(t->fd, "f", S_IFREG, 1 << 16, &p, &len),
	    OK);
	fd = openat(t->fd, "f", O_RDWR);
	assert_true(fd >= 0);
	if (len || fsetxattr(fd, "user.b", "two", 3, 0)) {
		free(p);
		close(fd);
		skip();
	}
	assert_null(p);
	assert_int_equal(fsetxattr(fd, "user.a", "", 0, 0), 0);
	close(fd);
	assert_int_equal(symlinkat("f", t->fd, "l"), 0);
	assert_int_equal(fsys_xattrs(t->fd, "l", S_IFLNK, 1 << 16, &p, &len),
	    OK);
	assert_int_equal(len, 0);
	assert_int_equal(fsys_xattrs(t->fd, "f", S_IFREG, 1 << 16, &p, &len),
	    OK);
	cursor_init(&c, p, len);
	assert_true(treenode_xattr_next(&c, &x));
	assert_int_equal(x.name_len, 6);
	assert_memory_equal(x.name, "user.a", 6);
	assert_int_equal(x.value_len, 0);
	assert_true(treenode_xattr_next(&c, &x));
	assert_memory_equal(x.name, "user.b", 6);
	assert_int_equal(x.value_len, 3);
	assert_memory_equal(x.value, "two", 3);
	assert_false(treenode_xattr_next(&c, &x));
	assert_true(cursor_done(&c));
	free(p);
	assert_int_equal(fsys_xattrs(t->fd, "f", S_IFREG, len - 1, &p, &len),
	    ERR_FAILED);
	assert_int_equal(fsys_xattrs(t->fd, "none", S_IFREG, 1, &p, &len),
	    ERR_ABSENT);
	assert_int_equal(fsys_xattrs(t->fd, "", S_IFDIR, 1 << 16, &p, &len),
	    OK);
	free(p);
}

/* Paths longer than PATH_MAX are walked like any other. */
static void
test_deep_trees_need_no_path(void **state)
{
	struct fixture *t = *state;
	int fd = dup(t->fd), next;
	struct fsys_names n;
	char name[40];

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(mkdirat(fd, name, 0700), 0);
		assert_int_equal(fsys_open_dir(fd, name, &next), OK);
		fsys_close(fd);
		fd = next;
	}
	put(fd, "bottom", "x", 1);
	assert_int_equal(fsys_list(fd, &n), OK);
	assert_int_equal(n.count, 1);
	fsys_names_clear(&n);
	fsys_close(fd);
}

static void
test_owner_names_both_ways(void **state)
{
	char name[64], again[64];
	uint32_t id = 99;

	(void)state;
	assert_int_equal(fsys_user_name(0, name, sizeof(name)), OK);
	if (*name) {
		assert_true(fsys_user_id(name, &id));
		assert_int_equal(id, 0);
	}
	assert_int_equal(fsys_group_name(0, name, sizeof(name)), OK);
	if (*name) {
		assert_true(fsys_group_id(name, &id));
		assert_int_equal(id, 0);
	}
	assert_int_equal(fsys_user_name(3999999999u, again, 64), OK);
	assert_string_equal(again, "");
	assert_false(fsys_user_id("no such user at all", &id));
	assert_false(fsys_group_id("no such group at all", &id));
}

/* A cache taken for data costs space, data taken for a cache is lost. */
static void
test_tags_want_the_signature(void **state)
{
	static const char good[] =
	    "Signature: 8a477f597d28d172789f06886806bc55\n# more\n";
	struct fixture *t = *state;

	assert_false(tags_is_cache(t->fd));
	put(t->fd, "CACHEDIR.TAG", good + 1, sizeof(good) - 2);
	assert_false(tags_is_cache(t->fd));
	assert_int_equal(unlinkat(t->fd, "CACHEDIR.TAG", 0), 0);
	put(t->fd, "CACHEDIR.TAG", good, 20);
	assert_false(tags_is_cache(t->fd));
	assert_int_equal(unlinkat(t->fd, "CACHEDIR.TAG", 0), 0);
	put(t->fd, "CACHEDIR.TAG", good, sizeof(good) - 1);
	assert_true(tags_is_cache(t->fd));

	assert_true(tags_is_present(t->fd, "CACHEDIR.TAG"));
	assert_true(tags_is_present(t->fd, "CACHEDIR.TAG:Signature: 8a"));
	assert_false(tags_is_present(t->fd, "CACHEDIR.TAG:signature"));
	assert_false(tags_is_present(t->fd, ".nobackup"));
	assert_false(tags_is_present(t->fd, "../passwd"));
	assert_false(tags_is_present(t->fd, ""));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_list_has_every_name_in_byte_order),
		T(test_stat_does_not_follow_and_has_nanoseconds),
		T(test_open_refuses_links_and_never_blocks),
		T(test_open_parent_splits_as_written),
		T(test_absolute_is_lexical),
		T(test_readlink_and_read_at),
		T(test_runs_of_data_cover_every_byte_written),
		T(test_xattrs_are_sorted_and_complete),
		T(test_deep_trees_need_no_path),
		T(test_owner_names_both_ways),
		T(test_tags_want_the_signature),
	};
#undef T

	fsys_raise_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
