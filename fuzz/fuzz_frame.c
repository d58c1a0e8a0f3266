/* fuzz_frame: prefixes and heads of frames: whatever is accepted encodes to the same bytes (GN-1). */
#include "fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (again_frame_prefix(data, size) == AGAIN_DIFFERS ||
	    again_frame_head(data, size) == AGAIN_DIFFERS)
		abort();
	return 0;
}
