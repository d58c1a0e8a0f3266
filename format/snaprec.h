/* snaprec: snapshot records (SPEC §10): the clear head and the sealed payload. */
#ifndef FORMAT_SNAPREC_H
#define FORMAT_SNAPREC_H

#include "format/cursor.h"
#include "format/keyslot.h"
#include "format/name.h"

#define SNAPREC_HEAD_LEN 160
#define SNAPREC_WRAP_CONTEXT 32
#define SNAPREC_LEN_MAX (1u << 24)
#define SNAPREC_STRING_MAX 65535
#define SNAPREC_COUNT_MAX 65535

#define SNAPREC_INCOMPLETE 1ull         /* something could not be read */
#define SNAPREC_PIPE 2ull
#define SNAPREC_ATOMIC 4ull

struct snaprec_head {
	struct name_sid sid;
	struct keyslot_wrap wrap;
};

size_t snaprec_head_encode(uint8_t *buf, size_t cap, const struct snaprec_head *h);
enum cursor_verdict snaprec_head_decode(struct snaprec_head *h, const uint8_t *buf, size_t len);

enum snaprec_stat {
	SNAPREC_FILES, SNAPREC_DIRS, SNAPREC_OTHERS, SNAPREC_FILES_NEW, SNAPREC_FILES_CHANGED, SNAPREC_FILES_UNMODIFIED,
	SNAPREC_DATABASES, SNAPREC_ERRORS, SNAPREC_BYTES_TOTAL, SNAPREC_BYTES_READ, SNAPREC_BYTES_NEW, SNAPREC_BYTES_STORED,
	SNAPREC_CHUNKS_NEW, SNAPREC_STAT_COUNT = 16     /* the last three are 0 in version 1 */
};

struct snaprec_string {
	const uint8_t *p;               /* borrowed */
	uint32_t len;
};

struct snaprec_owner {
	uint32_t number;                /* uid or gid */
	struct snaprec_string name;
};

/* Lists are slices of the encoded payload when decoded, and host arrays when encoding. */
struct snaprec {
	struct name root;
	struct name_sid parent, writer, previous;
	uint64_t sequence;
	int64_t begin_ns, end_ns, clock_ns;
	uint64_t flags;
	uint64_t stats[SNAPREC_STAT_COUNT];
	struct snaprec_string host, user, program;
	const struct snaprec_string *paths, *tags;      /* encoding: sorted, unique */
	uint32_t path_count, tag_count;
	const struct snaprec_owner *users, *groups;     /* encoding: sorted by number */
	uint32_t user_count, group_count;
	struct snaprec_string paths_raw, tags_raw, users_raw, groups_raw;       /* decoding: encoded lists, for the iterators */
	struct snaprec_string ext;
};

size_t snaprec_bound(const struct snaprec *s);
size_t snaprec_encode(uint8_t *buf, size_t cap, const struct snaprec *s);

/* Everything checked (SR-1); paths, tags, users, groups are NULL, use the iterators. */
enum cursor_verdict snaprec_decode(struct snaprec *s, const uint8_t *buf, size_t len);

/* Iterators over paths_raw, tags_raw (strings) and users_raw, groups_raw; false at the end. */
bool snaprec_next_string(struct cursor *c, struct snaprec_string *s);
bool snaprec_next_owner(struct cursor *c, struct snaprec_owner *o);

#endif
