/* dump: parts of varve-dump: printing of fields, and one function for each kind of file. */
#ifndef TOOLS_DUMP_H
#define TOOLS_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/repohdr.h"

struct keys;
struct squeeze;

struct dump {
	const char *repo_dir, *key_file, *master;       /* options; NULL */
	bool public_slot, nodes;
	struct repohdr repo;
	struct name repo_hash;          /* RH-2 */
	struct keys *keys;              /* NULL: none given */
	struct squeeze *squeeze;
};

/* One line: a label and a value. */
void dump_line(const char *label, const char *value);
void dump_number(const char *label, uint64_t n);
void dump_hex(const char *label, const void *p, size_t len);        /* at most 64 bytes */
void dump_when(const char *label, int64_t ns);
void dump_words(const char *label, const void *p, size_t len);      /* bytes that somebody else chose */
const char *dump_fits(bool ok);

/* Print an object.  Codes of base/err.h. */
int dump_pack(const struct dump *d, const uint8_t *p, size_t len);
int dump_index(const struct dump *d, const uint8_t *p, size_t len);
int dump_snapshot(const struct dump *d, const uint8_t *p, size_t len);

#endif
