/*
 * args: what a command line means.  An option taken for an operand, or the other way round,
 * snapshots or deletes the wrong thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <string.h>

#include "base/args.h"
#include "base/err.h"

#define WORDS_MAX 16

struct line {
	bool flag;
	int tally;
	const char *text;
	struct args_list list;
	uint64_t number, size;
	char order[64];                 /* what the call got */
	int argc;
	char *argv[WORDS_MAX + 1];
	char store[256];
};

static int
note(void *out, const char *value)
{
	if (strcmp(value, "bad") == 0)
		return fail(ERR_USAGE, "bad value");
	strcat(out, value);
	return OK;
}

/* Words separated by single spaces; "_" stands for an empty one. */
static int
parse(struct line *l, const char *words, unsigned flags)
{
	const struct args_option opts[] = {
		{ 'f', "flag", ARGS_FLAG, &l->flag, NULL },
		{ 'v', "verbose", ARGS_TALLY, &l->tally, NULL },
		{ 't', "text", ARGS_TEXT, &l->text, NULL },
		{ 'l', "list", ARGS_LIST, &l->list, NULL },
		{ 'n', "number", ARGS_NUMBER, &l->number, NULL },
		{ 0, "size", ARGS_SIZE, &l->size, NULL },
		{ 'c', "call", ARGS_CALL, l->order, note },
		{ 'C', "Call", ARGS_CALL, l->order, note },
	};
	char *save = NULL;

	args_list_clear(&l->list);
	memset(l, 0, sizeof(*l));
	strncpy(l->store, words, sizeof(l->store) - 1);
	l->argv[l->argc++] = (char[]){ "cmd" };
	for (char *w = strtok_r(l->store, " ", &save); w && l->argc < WORDS_MAX; w = strtok_r(NULL,
	    " ", &save)) {
		if (strcmp(w, "_") == 0)
			*w = 0;
		l->argv[l->argc++] = w;
	}
	return args_parse(opts, ARGS_COUNT(opts), &l->argc, l->argv, flags);
}

static void
expect_operands(const struct line *l, const char *joined)
{
	char got[256] = "";

	for (int i = 1; i < l->argc; i++) {
		strcat(got, i > 1 ? " " : "");
		strcat(got, l->argv[i]);
	}
	assert_string_equal(got, joined);
	assert_null(l->argv[l->argc]);
}

static void
test_every_spelling_of_an_option(void **state)
{
	struct line l = { .flag = false };

	(void)state;
	assert_int_equal(parse(&l, "a -f b", 0), OK);
	assert_true(l.flag);
	expect_operands(&l, "a b");
	assert_int_equal(parse(&l, "--flag -vv --verbose a", 0), OK);
	assert_int_equal(l.tally, 3);
	assert_int_equal(parse(&l, "-t x a -ty --text z --text=w", 0), OK);
	assert_string_equal(l.text, "w");
	assert_int_equal(parse(&l, "-fvtvalue a", 0), OK);
	assert_true(l.flag && l.tally == 1);
	assert_string_equal(l.text, "value");
	assert_int_equal(parse(&l, "--text= a", 0), OK);
	assert_string_equal(l.text, "");
	assert_int_equal(parse(&l, "--text _ a", 0), OK);
	assert_string_equal(l.text, "");
	assert_int_equal(parse(&l, "--text=a=b", 0), OK);
	assert_string_equal(l.text, "a=b");
	assert_int_equal(parse(&l, "-n 12 --size 1.5K", 0), OK);
	assert_true(l.number == 12 && l.size == 1536);
	args_list_clear(&l.list);
}

/*
 * A value that looks like an option is a value; behind "--" nothing is an option; "-" is standard
 * input.
 */
static void
test_values_and_operands_that_look_like_options(void **state)
{
	struct line l = { .flag = false };

	(void)state;
	assert_int_equal(parse(&l, "-t --flag a", 0), OK);
	assert_string_equal(l.text, "--flag");
	assert_false(l.flag);
	assert_int_equal(parse(&l, "--text -- --flag -- --flag -v", 0), OK);
	assert_string_equal(l.text, "--");
	assert_true(l.flag && l.tally == 0);
	expect_operands(&l, "--flag -v");
	assert_int_equal(parse(&l, "- a -- -- b", 0), OK);
	expect_operands(&l, "- a -- b");
	args_list_clear(&l.list);
}

static void
test_repeated_options_keep_their_order(void **state)
{
	struct line l = { .flag = false };

	(void)state;
	assert_int_equal(parse(&l, "-l a --list=b x -lc", 0), OK);
	assert_int_equal(l.list.count, 3);
	assert_string_equal(l.list.v[0], "a");
	assert_string_equal(l.list.v[1], "b");
	assert_string_equal(l.list.v[2], "c");
	/* --exclude and --include decide by their order. */
	assert_int_equal(parse(&l, "-c1 --Call 2 -c 3 --Call=4", 0), OK);
	assert_string_equal(l.order, "1234");
	args_list_clear(&l.list);
}

/* Global options stand before the command; what is behind its name is the command's. */
static void
test_stop_leaves_the_rest_alone(void **state)
{
	struct line l = { .flag = false };

	(void)state;
	assert_int_equal(parse(&l, "-f -t x list --flag -z -- y", ARGS_STOP), OK);
	assert_true(l.flag);
	expect_operands(&l, "list --flag -z -- y");
	assert_int_equal(parse(&l, "-f", ARGS_STOP), OK);
	assert_int_equal(l.argc, 1);
	args_list_clear(&l.list);
}

static void
test_mistakes_are_refused_with_a_hint(void **state)
{
	static const struct {
		const char *words, *hint;
	} table[] = {
		{ "--flga", "'--flag'" }, { "--Text=x", "'--text'" },
		    { "--nothing-like-it", "unknown option '--nothing-like-it'" },
		{ "-z", "unknown option '-z'" }, { "-fz", "unknown option '-z'" },
		    { "-zlag", "unknown option '-zlag'" }, { "-xlist", "'--list'" },
		    { "-flag", "option '-l'" }, { "-vfz a", "unknown option" },
		{ "--fla", "'--flag'" }, { "--flag=yes", "takes no value" },
		    { "a -t", "option '-t' needs a value" },
		{ "--text", "needs a value" }, { "-n x", "option '-n': 'x' is not a number" },
		    { "-n -1", "not a number" },
		{ "-n 18446744073709551616", "not a number" }, { "--size 1Q", "not a size" },
		    { "--call bad", "option '--call': bad value" },
		{ "--=x", "unknown option" }, { "---flag", "unknown option" },
	};
	struct line l = { .flag = false };

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int rc = parse(&l, table[i].words, 0);

		/* "-flag" is -f and -l with the value "ag". */
		if (strcmp(table[i].words, "-flag") == 0) {
			assert_int_equal(rc, OK);
			assert_string_equal(l.list.v[0], "ag");
			continue;
		}
		assert_int_equal(rc, ERR_USAGE);
		assert_non_null(strstr(err_text(), table[i].hint));
	}
	args_list_clear(&l.list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_spelling_of_an_option),
		cmocka_unit_test(test_values_and_operands_that_look_like_options),
		cmocka_unit_test(test_repeated_options_keep_their_order),
		cmocka_unit_test(test_stop_leaves_the_rest_alone),
		cmocka_unit_test(test_mistakes_are_refused_with_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
