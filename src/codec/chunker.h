/* chunker: content-defined cut points (SPEC CH-5), the same on every machine. */
#ifndef CODEC_CHUNKER_H
#define CODEC_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunker {
	uint64_t gear[256];             /* keyed; secret */
	uint32_t min, avg, max;
	uint64_t mask_before, mask_after;       /* of the average */
};

void chunker_init(struct chunker *c, const uint8_t gear_key[static 32], uint32_t min, uint32_t avg, uint32_t max);

/*
 * Length of the chunk that starts at p, or 0 when more data is needed to know (only if !eof and len < max).
 *
 * Shape: len > 0 bytes at p, starting at a chunk's start; eof: no data follows them.
 * Cost:  reads at most max bytes, skips the first min - 64.
 */
size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t len, bool eof);

#endif
