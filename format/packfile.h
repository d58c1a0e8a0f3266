/* packfile: header and footer of a pack (SPEC §6). */
#ifndef FORMAT_PACKFILE_H
#define FORMAT_PACKFILE_H

#include "format/cursor.h"
#include "format/keyslot.h"
#include "format/name.h"

#define PACKFILE_HEADER_LEN 160
#define PACKFILE_WRAP_CONTEXT 32        /* the key wrap's AAD covers bytes 0 ... 31 */
#define PACKFILE_TAIL_LEN 24            /* fixed part at the end of the footer */
#define PACKFILE_BLOCK 65536            /* bytes under one checksum */
#define PACKFILE_FRAMES_MAX 65535
#define PACKFILE_LEN_MAX 0xffffffffull

enum packfile_kind { PACKFILE_DATA = 1, PACKFILE_META = 2 };

struct packfile_header {
	uint32_t kind;                  /* enum packfile_kind */
	struct name_sid pack_id;
	struct keyslot_wrap wrap;
};

size_t packfile_header_encode(uint8_t *buf, size_t cap, const struct packfile_header *h);
enum cursor_verdict packfile_header_decode(struct packfile_header *h, const uint8_t *buf, size_t len);

/* The last PACKFILE_TAIL_LEN bytes of a pack: enough to know how long the footer is. */
struct packfile_tail {
	uint32_t frame_count, block_count;
	uint32_t footer_len;
};

enum cursor_verdict packfile_tail_decode(struct packfile_tail *t, const uint8_t *buf, size_t len);

/* A whole footer.  Tables are slices of the encoded bytes, read with the accessors below. */
struct packfile_footer {
	uint32_t frame_count, block_count;
	const uint8_t *lengths;         /* frame_count * u32 */
	const uint8_t *checksums;       /* block_count * u64 */
};

size_t packfile_footer_bound(uint32_t frame_count, uint32_t block_count);

/* Encode from host arrays. */
size_t packfile_footer_encode(uint8_t *buf, size_t cap, const uint32_t *lengths, uint32_t frame_count,
    const uint64_t *checksums, uint32_t block_count);

/* Spec: PK-2; file_len is the length of the whole pack. */
enum cursor_verdict packfile_footer_decode(struct packfile_footer *f, const uint8_t *buf, size_t len, uint64_t file_len);

uint32_t packfile_frame_len(const struct packfile_footer *f, uint32_t ordinal);
uint64_t packfile_checksum(const struct packfile_footer *f, uint32_t block);

#endif
