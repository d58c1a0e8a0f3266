#include "tests/unit/support_store.h"

#include "base/err.h"

const uint8_t support_store_master[32] = { 'm', 'a', 's', 't', 'e', 'r' };

static const uint8_t key_file[32] = { 'k', 'e', 'y' };

int
support_store_init(struct support_disk *d, struct repo **out)
{
	const struct keys_secret secret = { KEYSLOT_KEYFILE, key_file, sizeof(key_file) };

	return repo_create(support_disk_io(d), NULL, &secret, NULL, NULL, support_store_master, out);
}

int
support_store_open(struct support_disk *d, struct repo **out)
{
	const struct keys_secret secret = { KEYSLOT_KEYFILE, key_file, sizeof(key_file) };
	int rc = repo_open(support_disk_io(d), out);

	if (rc == OK && (rc = repo_unlock(*out, &secret)))
		*out = repo_close(*out);
	return rc;
}
