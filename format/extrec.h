/* extrec: extension records `u16 tag, u16 0, u32 length, bytes` (SPEC §8), which trees, index files and snapshot records carry. */
#ifndef FORMAT_EXTREC_H
#define FORMAT_EXTREC_H

#include "format/cursor.h"

#define EXTREC_HEAD_LEN 8
#define EXTREC_OPTIONAL 0x8000u         /* TN-2: unknown tags from here on are ignored */

struct extrec {
	uint16_t tag;
	uint32_t len;
	const uint8_t *val;             /* len bytes; borrowed */
};

/* Bytes, or 0 when it does not fit. */
size_t extrec_encode(uint8_t *buf, size_t cap, const struct extrec *r);

/* Iterates a list of records; checks that tags ascend strictly. */
struct extrec_iter {
	struct cursor c;
	bool begun;
	uint16_t last_tag;
};

void extrec_init(struct extrec_iter *it, const uint8_t *buf, size_t len);

/* False at the end and on the first bad record: then cursor_done(&it->c) tells which. */
bool extrec_next(struct extrec_iter *it, struct extrec *r);

#endif
