/*
 * test_vectors [DIR ...]: every *.vec file of the directories (tests/vectors by
 * default) must be accepted, or refused for the reason that it names.  Lost if
 * it failed: the agreement of all programs about what a repository is.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/unit/support_open.h"

#define PATH_CAP 4096
#define LEAST 100                       /* so few in the tree: the search went wrong */

struct run {
	const char *const *dirs;
	int count;
	unsigned least;
};

static int
is_vec(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && strcmp(d->d_name + n - 4, ".vec") == 0;
}

static unsigned
run_file(const char *path)
{
	struct support_vec *v = malloc(sizeof(*v));
	const char *got = "no vector";

	assert_non_null(v);
	if (support_load(v, path) == 0) {
		got = support_open(v);
		if (got != NULL && strcmp(got, v->expect) == 0) {
			free(v);
			return 0;
		}
	}
	print_error("%s: expected %s by %s, got %s\n", path, v->expect, v->rule,
	    got != NULL ? got : "an error");
	free(v);
	return 1;
}

static void
run_dir(const char *dir, unsigned *done, unsigned *wrong)
{
	struct dirent **list;
	int n = scandir(dir, &list, is_vec, alphasort);

	if (n < 0)
		fail_msg("%s: cannot be read", dir);
	for (int i = 0; i < n; i++) {
		char path[PATH_CAP];

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		*wrong += run_file(path);
		++*done;
		free(list[i]);
	}
	free(list);
}

static void
every_vector_has_its_class(void **state)
{
	const struct run *r = *state;
	unsigned done = 0, wrong = 0;

	for (int i = 0; i < r->count; i++)
		run_dir(r->dirs[i], &done, &wrong);
	print_message("# %u vectors, %u wrong\n", done, wrong);
	assert_true(done >= r->least);
	assert_int_equal(wrong, 0);
}

/* The tree's vectors, looked for upwards from this program: tests run elsewhere. */
static int
tree_vectors(char dir[static PATH_CAP])
{
	char probe[PATH_CAP + 16];
	ssize_t n = readlink("/proc/self/exe", dir, PATH_CAP - 32);
	char *slash;

	if (n < 0)
		return -1;
	dir[n] = '\0';
	while ((slash = strrchr(dir, '/')) != NULL) {
		*slash = '\0';
		snprintf(probe, sizeof(probe), "%s/SPEC.md", dir);
		if (access(probe, F_OK) == 0) {
			strcat(dir, "/tests/vectors");
			return 0;
		}
	}
	strcpy(dir, "tests/vectors");
	return 0;
}

int
main(int argc, char **argv)
{
	struct run r = { .dirs = (const char *const *)argv + 1,
	    .count = argc - 1, .least = 1 };
	char dir[PATH_CAP];
	const char *found = dir;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(every_vector_has_its_class, &r),
	};

	if (sodium_init() < 0 || tree_vectors(dir) != 0)
		return 1;
	if (r.count == 0) {
		r.dirs = &found;
		r.count = 1;
		r.least = LEAST;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
