/* fuzz_packfile: headers and footers of packs: whatever is accepted encodes to the same bytes (GN-1). */
#include "fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (again_packfile_header(data, size) == AGAIN_DIFFERS ||
	    again_packfile_footer(data, size) == AGAIN_DIFFERS)
		abort();
	return 0;
}
