/*
 * filter: which paths a snapshot leaves out.  A wrong answer either loses a
 * file from every snapshot or stores a secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "source/filter.h"

#define ROOT "/home/x"

struct one {
	const char *pattern, *path;     /* path: beneath ROOT */
	bool dir, out;
};

/* One pattern each, as gitignore(5) describes them. */
static void
test_one_pattern_decides_as_gitignore_does(void **state)
{
	static const struct one table[] = {
		/* without a slash: any depth, the last component */
		{ "a", "a", false, true },
		{ "a", "b/a", false, true },
		{ "a", "b/c/a", true, true },
		{ "a", "ab", false, false },
		{ "a", "a/b", false, false },
		{ "*.o", "x.o", false, true },
		{ "*.o", "d/e/x.o", false, true },
		{ "*.o", ".o", false, true },
		{ "*.o", "x.oo", false, false },
		{ "*", "anything", false, true },
		{ ".*", ".hidden", false, true },
		{ ".*", "a/.hidden", false, true },
		/* anchored */
		{ "/a", "a", false, true },
		{ "/a", "b/a", false, false },
		{ "a/b", "a/b", false, true },
		{ "a/b", "c/a/b", false, false },
		{ "/a/b", "a/b", false, true },
		{ "a/*.c", "a/x.c", false, true },
		{ "a/*.c", "a/b/x.c", false, false },
		{ "/*", "a", true, true },
		{ "/*", "a/b", true, false },
		/* the absolute path */
		{ "/home/x/a", "a", false, true },
		{ "/home/x/a", "b/a", false, false },
		{ "/home/*/a", "a", false, true },
		{ "home/x/a", "a", false, false },
		{ "/home/x", "", true, true },
		{ "x", "", true, false },
		/* directories only */
		{ "d/", "d", true, true },
		{ "d/", "d", false, false },
		{ "d/", "a/d", true, true },
		{ "/d/", "a/d", true, false },
		{ "a/d/", "a/d", true, true },
		/* two stars */
		{ "**/a", "a", false, true },
		{ "**/a", "b/c/a", false, true },
		{ "**/a", "ba", false, false },
		{ "**/a/b", "x/y/a/b", false, true },
		{ "a/**", "a/b", false, true },
		{ "a/**", "a/b/c", false, true },
		{ "a/**", "a", true, false },
		{ "a/**/b", "a/b", false, true },
		{ "a/**/b", "a/x/b", false, true },
		{ "a/**/b", "a/x/y/b", false, true },
		{ "a/**/b", "a/xb", false, false },
		{ "a/**/b", "ab", false, false },
		{ "**", "a/b", false, true },
		{ "x/a**b", "x/a/y/b", false, true },
		{ "a**b", "q/a/y/b", false, true },
		{ "a**b", "q/ab", false, true },
		{ "**/*.tmp", "a/b.tmp", false, true },
		{ "**/x/**/y", "1/x/2/3/y", false, true },
		{ "***/a", "b/a", false, true },
		/* one byte, sets */
		{ "a?c", "abc", false, true },
		{ "a?c", "ac", false, false },
		{ "/a?c", "a/c", false, false },
		{ "[ab]x", "bx", false, true },
		{ "[ab]x", "cx", false, false },
		{ "[!ab]x", "cx", false, true },
		{ "[^ab]x", "ax", false, false },
		{ "[a-f]", "d", false, true },
		{ "[a-f]", "g", false, false },
		{ "[]]", "]", false, true },
		{ "[!]]", "]", false, false },
		{ "[a-]", "-", false, true },
		{ "[\\]x]", "]", false, true },
		{ "[[:digit:]]*", "7up", false, true },
		{ "[[:digit:]]*", "up", false, false },
		{ "[![:space:]]", " ", false, false },
		{ "/a[!x]b", "a/b", false, false },
		/* quoting */
		{ "\\*", "*", false, true },
		{ "\\*", "x", false, false },
		{ "\\!a", "!a", false, true },
		{ "\\#a", "#a", false, true },
		{ "a\\[b", "a[b", false, true },
		/* bytes, not characters */
		{ "?", "\xff", false, true },
		{ "?", "\xc3\xa4", false, false },
		{ "\xff*", "\xff\xfe", false, true },
		{ "[\x80-\xff]", "\xe0", false, true },
		{ "a\nb", "a\nb", false, true },
	};
	char path[256];
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct filter *f;

		assert_int_equal(filter_new(&f), OK);
		assert_int_equal(filter_add(f, table[i].pattern, false), OK);
		snprintf(path, sizeof(path), "%s%s%s", ROOT,
		    *table[i].path ? "/" : "", table[i].path);
		if (filter_excludes(f, path, strlen(ROOT), table[i].dir) !=
		    table[i].out) {
			print_error("'%s' against '%s'\n", table[i].pattern,
			    table[i].path);
			wrong++;
		}
		filter_free(f);
	}
	assert_int_equal(wrong, 0);
}

static bool
excluded(const char *const *patterns, const char *path, bool dir)
{
	struct filter *f;
	bool out;

	assert_int_equal(filter_new(&f), OK);
	for (; *patterns; patterns++)
		assert_int_equal(filter_add(f, *patterns, false), OK);
	out = filter_excludes(f, path, 0, dir);
	filter_free(f);
	return out;
}

static void
test_last_match_decides_and_negation_takes_back(void **state)
{
	const char *const keep[] = { "*.log", "!important.log", NULL };
	const char *const again[] = { "*.log", "!important.log", "/tmp/**",
		NULL };
	const char *const all_but[] = { "/*", "!/etc/", NULL };
	struct filter *f;

	(void)state;
	assert_true(excluded(keep, "/a/x.log", false));
	assert_false(excluded(keep, "/a/important.log", false));
	assert_true(excluded(again, "/tmp/important.log", false));
	assert_false(excluded(all_but, "/etc", true));
	assert_true(excluded(all_but, "/etc", false));
	assert_true(excluded(all_but, "/var", true));

	/* --include is the opposite of --exclude, "!" of either. */
	assert_int_equal(filter_new(&f), OK);
	assert_true(filter_is_empty(f));
	assert_int_equal(filter_add(f, "*", false), OK);
	assert_int_equal(filter_add(f, "*.c", true), OK);
	assert_int_equal(filter_add(f, "!bad.c", true), OK);
	assert_false(filter_is_empty(f));
	assert_true(filter_excludes(f, "/a.h", 0, false));
	assert_false(filter_excludes(f, "/a.c", 0, false));
	assert_true(filter_excludes(f, "/bad.c", 0, false));
	filter_free(f);
}

/*
 * A malformed pattern must be told, not silently match nothing: the user
 * believes his secret is excluded.
 */
static void
test_malformed_patterns_are_refused(void **state)
{
	static const char *const bad[] = { "", "!", "/", "[", "a[b", "[!]",
		"x\\", "[a-" };
	struct filter *f;

	(void)state;
	assert_int_equal(filter_new(&f), OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(filter_add(f, bad[i], false), ERR_USAGE);
	assert_true(filter_is_empty(f));
	filter_free(f);
}

static void
test_pathological_patterns_are_quick(void **state)
{
	static const char *const patterns[] = {
		"a*a*a*a*a*a*a*a*b", "**/a*/**/a*/**/a*/**/b",
		"/a**a**a**a**a**b"
	};
	struct timespec from, to;
	char path[4000];

	(void)state;
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 200 ? 'a' : '/';
	path[sizeof(path) - 1] = '\0';
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (size_t i = 0; i < 3; i++) {
		const char *const one[] = { patterns[i], NULL };

		assert_false(excluded(one, path, false));
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_true(to.tv_sec - from.tv_sec < 2);
}

static void
test_a_file_of_patterns_skips_comments_and_blanks(void **state)
{
	const char *dir = getenv("TMPDIR");
	char path[512];
	struct filter *f;
	FILE *out;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/varve-filter-XXXXXX",
	    dir ? dir : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	out = fdopen(fd, "w");
	assert_non_null(out);
	fputs("# comment\n\n*.o  \r\nq\\ \n\\#x\n!keep.o", out);
	fclose(out);
	assert_int_equal(filter_new(&f), OK);
	assert_int_equal(filter_add_file(f, path, false), OK);
	assert_true(filter_excludes(f, "/a/x.o", 0, false));
	assert_false(filter_excludes(f, "/a/keep.o", 0, false));
	assert_true(filter_excludes(f, "/q ", 0, false));
	assert_true(filter_excludes(f, "/#x", 0, false));
	assert_false(filter_excludes(f, "/# comment", 0, false));
	assert_int_equal(truncate(path, 0), 0);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs("ok\nbad[\n", out);
	fclose(out);
	assert_int_equal(filter_add_file(f, path, false), ERR_USAGE);
	assert_non_null(strstr(err_text(), "line 2"));
	unlink(path);
	assert_int_equal(filter_add_file(f, path, false), ERR_ABSENT);
	filter_free(f);
}

static void
test_glob_for_find(void **state)
{
	(void)state;
	assert_true(filter_glob("*.c", "x.c", false));
	assert_false(filter_glob("*.c", "a/x.c", false));
	assert_true(filter_glob("*.c", "a/x.c", true));
	assert_true(filter_glob("a?b", "a/b", true));
	assert_false(filter_glob("a?b", "a/b", false));
	assert_true(filter_glob("", "", false));
	assert_false(filter_glob("", "a", false));
	assert_true(filter_glob("odd[", "odd[", false));
	assert_true(filter_glob("**/x", "a/b/x", false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_pattern_decides_as_gitignore_does),
		cmocka_unit_test(
		    test_last_match_decides_and_negation_takes_back),
		cmocka_unit_test(test_malformed_patterns_are_refused),
		cmocka_unit_test(test_pathological_patterns_are_quick),
		cmocka_unit_test(
		    test_a_file_of_patterns_skips_comments_and_blanks),
		cmocka_unit_test(test_glob_for_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
