/* fuzz_sidecar: headers of sidecars: whatever is accepted encodes to the same bytes (GN-1), and its parts lie in the file. */
#include "fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *hash;
	struct sidecar s;

	if (again_sidecar(data, size) == AGAIN_DIFFERS)
		abort();
	if (sidecar_decode(&s, data, size, &hash) == CURSOR_OK) {
		uint64_t last = sidecar_groups(&s.shape) - 1;

		if (sidecar_parity_off(&s.shape, last) + sidecar_group_parity(&s.shape, last) * sidecar_parity_len(&s.shape, last) !=
		    sidecar_file_len(&s.shape) || sidecar_block_at(&s.shape, last, sidecar_group_data(&s.shape, last) - 1) >=
		    sidecar_blocks(&s.shape))
			abort();
	}
	return 0;
}
