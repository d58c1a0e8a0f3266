/* listnode: L nodes, the chunks of a file (SPEC §8). */
#ifndef FORMAT_LISTNODE_H
#define FORMAT_LISTNODE_H

#include "format/cursor.h"
#include "format/name.h"

#define LISTNODE_HEAD_LEN 8
#define LISTNODE_ROW_LEN 56
#define LISTNODE_ROWS_MAX 16384
#define LISTNODE_LEVEL_MAX 7
#define LISTNODE_END_ROWS 4096
#define LISTNODE_FP_LEN 16

struct listnode_row {
	struct name id;                 /* zero: a hole (level 0 only) */
	uint64_t len;                   /* bytes of the file, >= 1 */
	uint8_t fingerprint[LISTNODE_FP_LEN];   /* zero for holes and above level 0 */
};

/* Encode head and one row; a list is a head followed by its rows. */
size_t listnode_head_encode(uint8_t *buf, size_t cap, uint8_t level);
size_t listnode_row_encode(uint8_t *buf, size_t cap, const struct listnode_row *r);

struct listnode {
	uint8_t level;
	uint32_t row_count;
	uint64_t total;                 /* sum of the rows' lengths */
	const uint8_t *rows;            /* slice of the input */
};

/* Spec: LN-1, every row checked. */
enum cursor_verdict listnode_decode(struct listnode *l, const uint8_t *buf, size_t len);

/* Row i < row_count. */
void listnode_row_at(const struct listnode *l, uint32_t i, struct listnode_row *r);

/* LN-3: does a list with `rows` rows, of which `last` is the newest, end here? */
bool listnode_ends(uint32_t rows, const struct listnode_row *last);

#endif
