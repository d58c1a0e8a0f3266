/* fuzz_indexfile: headers and rows of index files: whatever is accepted encodes to the same bytes (GN-1). */
#include "fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (again_indexfile_header(data, size) == AGAIN_DIFFERS ||
	    again_indexfile_remove(data, size) == AGAIN_DIFFERS ||
	    again_indexfile_pack(data, size) == AGAIN_DIFFERS ||
	    again_indexfile_frame(data, size) == AGAIN_DIFFERS ||
	    again_indexfile_row(data, size) == AGAIN_DIFFERS)
		abort();
	return 0;
}
