/* Directories looked at ahead are what the walk would have found itself, whatever it skips and whatever goes away meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/scout.h"

#define WIDE 40
#define TRIES 60000                     /* of a millisecond each, and at least one succeeds at once on an idle machine */

struct walk {
	struct scout *s;
	struct mem_buf found;           /* lines */
	unsigned looked_at;             /* directories that came with their entries looked at */
};

static void
put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, path, strlen(path)), strlen(path));
	close(fd);
}

/* Directories of directories with files of different lengths. */
static void
make(const char *top)
{
	char path[300];

	for (int a = 0; a < WIDE; a++) {
		snprintf(path, sizeof(path), "%s/d%d", top, a);
		assert_int_equal(mkdir(path, 0755), 0);
		for (int b = 0; b < a % 7; b++) {
			snprintf(path, sizeof(path), "%s/d%d/e%d", top, a, b);
			assert_int_equal(mkdir(path, 0755), 0);
			for (int c = 0; c < 5; c++) {
				snprintf(path, sizeof(path), "%s/d%d/e%d/f%d", top, a, b, c);
				put(path);
			}
		}
		snprintf(path, sizeof(path), "%s/d%d/file", top, a);
		put(path);
	}
}

/* Not d3, d13, ...; the walk goes there all the same. */
static bool
wants(void *arg, const char *name)
{
	(void)arg;
	return name[strlen(name) - 1] != '3';
}

static void
note(struct walk *w, const char *name, const struct fsys_stat *st)
{
	char line[400];

	snprintf(line, sizeof(line), "%s %o %llu %llu\n", name, st->mode, (unsigned long long)st->size,
	    (unsigned long long)st->inode);
	assert_int_equal(mem_buf_add(&w->found, line, strlen(line)), OK);
}

/* It leaves out d5, d15, ... */
static void
walk(struct walk *w, struct scout_dir *d)
{
	struct scout_dir below;
	struct fsys_stat st;

	assert_int_equal(scout_list(d), OK);
	w->looked_at += d->stats != NULL;
	scout_ahead(w->s, d, wants, w);
	for (size_t i = 0; i < d->names.count; i++) {
		const char *name = d->names.name[i];

		if (d->stats && d->stats[i].mode)
			st = d->stats[i];
		else
			assert_int_equal(fsys_stat(d->fd, name, &st), OK);
		note(w, name, &st);
		if (!S_ISDIR(st.mode) || name[strlen(name) - 1] == '5')
			continue;
		assert_int_equal(scout_open(w->s, d->fd, name, &below), OK);
		walk(w, &below);
		scout_close(w->s, &below);
	}
}

static void
walk_from(struct walk *w, const char *top, unsigned threads, bool stats)
{
	struct scout_dir d = { .fd = open(top, O_RDONLY | O_DIRECTORY) };

	*w = (struct walk){ .s = NULL };
	assert_int_equal(scout_new(threads, &w->s), OK);
	scout_set_stats(w->s, stats);
	walk(w, &d);
	scout_close(w->s, &d);
	scout_free(w->s);
}

static void
remove_all(const char *top)
{
	char command[400];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	assert_int_equal(system(command), 0);
}

static void
test_the_same_is_found(void **state)
{
	char top[] = "/tmp/varve-scout-XXXXXX";
	struct walk alone, w;

	(void)state;
	assert_non_null(mkdtemp(top));
	make(top);
	walk_from(&alone, top, 0, true);
	assert_int_equal(alone.looked_at, 0);
	for (unsigned i = 0; i < 60; i++) {
		walk_from(&w, top, 1 + i % 4, i % 3 != 0);
		assert_int_equal(w.found.len, alone.found.len);
		assert_memory_equal(w.found.p, alone.found.p, alone.found.len);
		if (i % 3 == 0)
			assert_int_equal(w.looked_at, 0);
		mem_buf_clear(&w.found);
	}
	mem_buf_clear(&alone.found);
	remove_all(top);
}

static void
nap(void)
{
	nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

static void
test_others_do_look_ahead(void **state)
{
	char top[] = "/tmp/varve-scout-XXXXXX";
	struct scout_dir d, below;
	bool seen = false;
	struct scout *s;

	(void)state;
	assert_non_null(mkdtemp(top));
	make(top);
	assert_int_equal(scout_new(2, &s), OK);
	scout_set_stats(s, true);
	for (unsigned i = 0; i < TRIES && !seen; i++) {
		d = (struct scout_dir){ .fd = open(top, O_RDONLY | O_DIRECTORY) };
		assert_int_equal(scout_list(&d), OK);
		scout_ahead(s, &d, wants, NULL);
		nap();
		assert_int_equal(scout_open(s, d.fd, d.names.name[0], &below), OK);
		seen = below.listed && below.stats && S_ISREG(below.stats[0].mode);
		scout_close(s, &below);
		scout_close(s, &d);
	}
	assert_true(seen);
	scout_free(s);
	remove_all(top);
}

/* What is gone, or something else, fails as it would have without. */
static void
test_what_changes_meanwhile(void **state)
{
	char top[] = "/tmp/varve-scout-XXXXXX", path[300];
	struct scout_dir d, below;
	struct scout *s;
	int rc;

	(void)state;
	assert_non_null(mkdtemp(top));
	assert_int_equal(scout_new(1, &s), OK);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "%s/gone", top);
		assert_int_equal(mkdir(path, 0755), 0);
		snprintf(path, sizeof(path), "%s/other", top);
		assert_int_equal(mkdir(path, 0755), 0);
		d = (struct scout_dir){ .fd = open(top, O_RDONLY | O_DIRECTORY) };
		assert_int_equal(scout_list(&d), OK);
		assert_int_equal(rmdir(path), 0);
		put(path);
		scout_ahead(s, &d, wants, NULL);
		snprintf(path, sizeof(path), "%s/gone", top);
		assert_int_equal(rmdir(path), 0);
		if ((rc = scout_open(s, d.fd, d.names.name[0], &below)) == OK)
			scout_close(s, &below);         /* it came in time */
		else
			assert_int_equal(rc, ERR_ABSENT);
		assert_true(scout_open(s, d.fd, d.names.name[1], &below) < 0);
		scout_close(s, &d);
		snprintf(path, sizeof(path), "%s/other", top);
		assert_int_equal(unlink(path), 0);
	}
	scout_free(s);
	remove_all(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_is_found),
		cmocka_unit_test(test_others_do_look_ahead),
		cmocka_unit_test(test_what_changes_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
