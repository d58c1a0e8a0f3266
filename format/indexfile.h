/* indexfile: session segments and tables (SPEC §9).  Encoders and decoders of header and rows; searching and checking is in store/. */
#ifndef FORMAT_INDEXFILE_H
#define FORMAT_INDEXFILE_H

#include "format/cursor.h"
#include "format/name.h"

#define INDEXFILE_HEADER_LEN 256
#define INDEXFILE_MAC_OFF 224           /* the MAC covers bytes 0 ... 223 and the tags of tags */
#define INDEXFILE_BLOCK 4096             /* of the body, and of the tags */
#define INDEXFILE_TAG_LEN 16
#define INDEXFILE_KEEP_LEN 8
#define INDEXFILE_REMOVE_LEN 40
#define INDEXFILE_PACK_LEN 64
#define INDEXFILE_FRAME_LEN 24
#define INDEXFILE_ROW_LEN 48
#define INDEXFILE_FANOUT_LEN 4
#define INDEXFILE_NO_FRAME 0xffffffffu
#define INDEXFILE_LAST_PART 1u

/* Extra tags of a table. */
#define INDEXFILE_PUBLISHED 1           /* packs published with it */
#define INDEXFILE_SUMS 2                /* struct tablesums */
#define INDEXFILE_CATALOGUE 3           /* records of settled snapshots, sealed */
#define INDEXFILE_RECORDS 4             /* struct recordsum */

enum indexfile_kind { INDEXFILE_SEGMENT = 1, INDEXFILE_TABLE = 2 };
enum indexfile_dead { INDEXFILE_DEAD_SEGMENT = 1, INDEXFILE_DEAD_RECORD = 2, INDEXFILE_DEAD_PACK = 3 };

struct indexfile_header {
	uint32_t kind;
	struct name_sid repo_id;
	uint8_t nonce[16];
	struct name_sid sid;            /* segment; zero for a table */
	uint64_t number;                /* part or table number */
	struct name root;               /* last part of a segment; else zero */
	uint32_t flags;
	uint32_t fanout_bits;
	uint32_t keep_count, remove_count, pack_count, frame_count;
	uint64_t row_count, extra_len;
	uint8_t mac[32];
};

struct indexfile_remove {
	uint32_t kind, part;
	struct name name;               /* a sid is followed by zeros */
};

struct indexfile_pack {
	struct name name;
	uint64_t bytes, live_bytes;
	uint32_t frames, live_frames, kind;
};

struct indexfile_frame {
	uint32_t pack, ordinal, off, len, chunks, live;
};

struct indexfile_row {
	struct name id;
	uint32_t refs, uses;
	uint32_t frame;                 /* INDEXFILE_NO_FRAME: none */
	uint16_t slot;
	uint8_t type, depth;
};

size_t indexfile_header_encode(uint8_t *buf, size_t cap, const struct indexfile_header *h);

/* Spec: IX-1 without MAC, name and file length; checks counts against the limits and fanout_bits (IX-5). */
enum cursor_verdict indexfile_header_decode(struct indexfile_header *h, const uint8_t *buf, size_t len);

/* Where the sections begin, as offsets in the body; .end is its length. */
struct indexfile_layout {
	uint64_t keep, remove, packs, frames, rows, fanout, extra, end;
	uint64_t block_count;           /* blocks of the body: tags */
	uint64_t upper_count;           /* blocks of tags: tags of tags */
	uint64_t body_off, tags_off, upper_off; /* in the file */
	uint64_t file_len;
};

void indexfile_layout(const struct indexfile_header *h, struct indexfile_layout *l);

/* IX-5. */
uint32_t indexfile_fanout_bits(uint64_t row_count);

/* Bucket of an id: its first `bits` bits as a big-endian number. */
uint32_t indexfile_bucket(const struct name *id, uint32_t bits);

/* Rows: encoders write exactly the length named above; decoders reject what breaks IX-4 in shape. */
size_t indexfile_remove_encode(uint8_t *buf, size_t cap, const struct indexfile_remove *r);
enum cursor_verdict indexfile_remove_decode(struct indexfile_remove *r, const uint8_t *buf, size_t len);
size_t indexfile_pack_encode(uint8_t *buf, size_t cap, const struct indexfile_pack *p);
enum cursor_verdict indexfile_pack_decode(struct indexfile_pack *p, const uint8_t *buf, size_t len);
size_t indexfile_frame_encode(uint8_t *buf, size_t cap, const struct indexfile_frame *f);
enum cursor_verdict indexfile_frame_decode(struct indexfile_frame *f, const uint8_t *buf, size_t len);
size_t indexfile_row_encode(uint8_t *buf, size_t cap, const struct indexfile_row *r);
enum cursor_verdict indexfile_row_decode(struct indexfile_row *r, const uint8_t *buf, size_t len);

#endif
