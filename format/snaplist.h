/* snaplist: payloads of snapshot records, one after the other (SPEC IX-10): what the catalogue of a table holds. */
#ifndef FORMAT_SNAPLIST_H
#define FORMAT_SNAPLIST_H

#include "format/cursor.h"
#include "format/name.h"

#define SNAPLIST_HEAD_LEN 20            /* sid, length */
#define SNAPLIST_LEN_MAX (1u << 28)     /* of the whole list */

struct snaplist_row {
	struct name_sid sid;
	const uint8_t *payload;         /* len bytes of a record's payload (struct snaprec); borrowed */
	uint32_t len;
};

/* Bytes, or 0 when it does not fit. */
size_t snaplist_encode(uint8_t *buf, size_t cap, const struct snaplist_row *row);

/* Iterates a list; checks that sids ascend strictly.  Payloads are not looked into. */
struct snaplist_iter {
	struct cursor c;
	struct name_sid last;
	bool begun;
};

void snaplist_init(struct snaplist_iter *it, const uint8_t *buf, size_t len);

/* False at the end and on the first bad row: then cursor_done(&it->c) tells which. */
bool snaplist_next(struct snaplist_iter *it, struct snaplist_row *row);

#endif
