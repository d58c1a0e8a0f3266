/* args: options of a command line: short, long, clustered, repeated, before and after operands. */
#ifndef BASE_ARGS_H
#define BASE_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum args_kind {
	ARGS_FLAG,                      /* out: bool, set to true */
	ARGS_TALLY,                     /* out: int, one more each time (-vv) */
	ARGS_TEXT,                      /* out: const char *, the last one given */
	ARGS_LIST,                      /* out: struct args_list, all that are given */
	ARGS_NUMBER,                    /* out: uint64_t, decimal */
	ARGS_SIZE,                      /* out: uint64_t, bytes: "64K", "1.5G" (text_parse_size) */
	ARGS_CALL,                      /* call(out, value), in the order of the command line */
	ARGS_MAYBE                      /* the same; without "=VALUE" the value is NULL */
};

struct args_option {
	char letter;                    /* -x; 0: none */
	const char *name;               /* --name, without the dashes; NULL: none */
	enum args_kind kind;
	void *out;                      /* see enum args_kind; borrowed */
	int (*call)(void *out, const char *value);      /* ARGS_CALL and ARGS_MAYBE only */
};

/* Values point into argv.  Cleared with args_list_clear. */
struct args_list {
	const char **v;
	size_t count, cap;
};

void args_list_clear(struct args_list *l);
int args_list_add(struct args_list *l, const char *value) __attribute__((warn_unused_result));

#define ARGS_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ARGS_STOP 1u                    /* end at the first operand */

/*
 * Take the options out of argv; argv[0] stays, what remains are the operands in their order and
 * *argc counts them with argv[0].
 *
 * Shape:  -x, -xy, -x VALUE, -xVALUE, --name, --name VALUE, --name=VALUE; "--" ends the options;
 *         "-" alone is an operand. Names are never abbreviated.  With ARGS_STOP the first operand
 *         and everything behind it stay as they are.
 * Errors: ERR_USAGE  unknown option (the note suggests the nearest), missing, superfluous or
 *         malformed value; what call returns
 */
int args_parse(const struct args_option *opts, size_t count, int *argc, char **argv, unsigned flags)
    __attribute__((warn_unused_result));

#endif
