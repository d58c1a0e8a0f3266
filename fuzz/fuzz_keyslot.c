/* fuzz_keyslot: key slots, their payloads, key wraps: whatever is accepted encodes to the same bytes (GN-1). */
#include "fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (again_keyslot(data, size) == AGAIN_DIFFERS ||
	    again_keyslot_payload(data, size) == AGAIN_DIFFERS ||
	    again_keyslot_wrap(data, size) == AGAIN_DIFFERS)
		abort();
	return 0;
}
