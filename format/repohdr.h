/* repohdr: the repository header, file varve-repo (SPEC §4). */
#ifndef FORMAT_REPOHDR_H
#define FORMAT_REPOHDR_H

#include "format/cursor.h"
#include "format/name.h"

#define REPOHDR_LEN 160
#define REPOHDR_COVERED 128             /* the checksum covers bytes 0 ... 127 */
#define REPOHDR_VERSION 1
#define REPOHDR_INCOMPAT_KNOWN 0ull     /* feature bits this program knows */
#define REPOHDR_ROCOMPAT_KNOWN 0ull

struct repohdr {
	struct name_sid repo_id;
	uint64_t compat, ro_compat, incompat;
	uint32_t chunk_min;             /* bytes, 4096 ... 2^20 */
	uint32_t chunk_avg;             /* a power of two, >= 2 * chunk_min */
	uint32_t chunk_max;             /* 2 * chunk_avg ... 2^20 */
	struct name checksum;           /* H(bytes 0 ... 127): the caller computes and compares it */
};

/* REPOHDR_LEN, or 0 when cap is too small. */
size_t repohdr_encode(uint8_t *buf, size_t cap, const struct repohdr *h);

/* Spec: RH-1 without the checksum.  An unknown ro_compat bit is accepted: the caller refuses to write. */
enum cursor_verdict repohdr_decode(struct repohdr *h, const uint8_t *buf, size_t len);

#endif
