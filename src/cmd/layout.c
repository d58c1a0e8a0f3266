#include "cmd/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "store/parity.h"

int
layout_parse(const char *text, struct sidecar_shape *s)
{
	char block[16] = "64K", end = 0;
	uint64_t bytes;

	*s = PARITY_DEFAULT;
	s->len = 1;
	if (!text)
		return OK;
	if ((sscanf(text, "%5u/%5u%c", &s->parity, &s->data, &end) != 2 &&
	    sscanf(text, "%5u/%5u/%15[0-9KMkmiB]%c", &s->parity, &s->data, block, &end) != 3) || text_parse_size(block, &bytes) ||
	    bytes > SIDECAR_BLOCK_MAX)
		return fail(ERR_USAGE, "--parity-layout is PARITY/DATA or PARITY/DATA/SIZE, as in 4/128/64K");
	s->block = (uint32_t)bytes;
	if (!sidecar_shape_ok(s))
		return fail(ERR_USAGE, "--parity-layout: 1 to 32 parity blocks for 1 to 128 data blocks of a multiple of 64K, at most 1M");
	return OK;
}
