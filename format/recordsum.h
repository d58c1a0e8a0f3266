/* recordsum: how many snapshot records a head counts, and which: an extension record of tables (SPEC IX-12). */
#ifndef FORMAT_RECORDSUM_H
#define FORMAT_RECORDSUM_H

#include "format/cursor.h"
#include "format/name.h"

#define RECORDSUM_LEN 24

struct recordsum {
	uint64_t count;
	struct name_sid sids;           /* exclusive or of all of them */
};

size_t recordsum_encode(uint8_t *buf, size_t cap, const struct recordsum *s);
enum cursor_verdict recordsum_decode(struct recordsum *s, const uint8_t *buf, size_t len);

/* One more, or one less. */
void recordsum_add(struct recordsum *s, const struct name_sid *sid);
void recordsum_take(struct recordsum *s, const struct name_sid *sid);

bool recordsum_equal(const struct recordsum *a, const struct recordsum *b);

#endif
