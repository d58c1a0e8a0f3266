/*
 * support_open: reads a test vector (tests/vectors/README.md) and opens what it
 * holds with the program's own decoders and ciphers, as a careful reader would.
 */
#ifndef TESTS_UNIT_SUPPORT_OPEN_H
#define TESTS_UNIT_SUPPORT_OPEN_H

#include <stddef.h>
#include <stdint.h>

#define SUPPORT_BODY_MAX (1u << 20)
#define SUPPORT_VALUE_MAX 512

struct support_vec {
	char record[16], expect[16], rule[8];
	char name[SUPPORT_VALUE_MAX];           /* "" when there is none */
	uint8_t master[32], repo[160];
	uint8_t secret[SUPPORT_VALUE_MAX];
	size_t secret_len;
	int has_secret;
	uint8_t body[SUPPORT_BODY_MAX];
	size_t len;
};

/* 0, or -1 when the file cannot be read or is not a vector. */
int support_load(struct support_vec *v, const char *path);

/* "ok", "malformed", "unsupported", "auth" or "missing"; NULL for a record nobody knows. */
const char *support_open(const struct support_vec *v);

/* Parts of it, as codes of base/err.h: the repository header; a whole index file. */
struct repohdr;
int support_repo(struct repohdr *h, const uint8_t *p, size_t len);
int support_index(const struct support_vec *v);

#endif
