/*
 * lanes: the ids of many chunks at once (CH-1): BLAKE2b of several messages in the lanes of vector registers.
 *
 * The same bytes as digest_chunk_id() on every machine; where there are no wide registers, it is digest_chunk_id() in a loop.
 */
#ifndef CODEC_LANES_H
#define CODEC_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "format/name.h"

struct lanes_job {
	const uint8_t *p;               /* len bytes, borrowed during the call */
	size_t len;                     /* at least 1 */
	uint8_t type;
	struct name id;                 /* out */
};

enum lanes_width { LANES_BEST = 0, LANES_1 = 1, LANES_4 = 4, LANES_8 = 8 };

/* Fill in jobs[].id.  Cost: on AVX-512 about a fifth of hashing one by one, on AVX2 about a half; best with many jobs of like length. */
void lanes_chunk_ids(const uint8_t key[static 32], struct lanes_job *jobs, size_t count);

/* The same with a given width, for tests and benchmarks; falls back to LANES_1 when this processor cannot.  Returns the width used. */
enum lanes_width lanes_chunk_ids_width(const uint8_t key[static 32], struct lanes_job *jobs, size_t count, enum lanes_width width);

#endif
