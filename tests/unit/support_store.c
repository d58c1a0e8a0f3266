#include "tests/unit/support_store.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/frame.h"
#include "format/treenode.h"

const uint8_t support_store_master[32] = { 'm', 'a', 's', 't', 'e', 'r' };

static const uint8_t key_file[32] = { 'k', 'e', 'y' };

int
support_store_init(struct support_disk *d, struct repo **out)
{
	const struct keys_secret secret = { KEYSLOT_KEYFILE, key_file, sizeof(key_file) };
	const struct repo_params small = { .chunk_min = 4096, .chunk_avg = 8192, .chunk_max = 16384 };

	return repo_create(support_disk_io(d), &small, &secret, NULL, NULL, support_store_master, out);
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

void
support_store_bytes(uint8_t *p, size_t len, uint64_t seed)
{
	uint64_t state = seed, z;

	for (size_t i = 0; i < len; i++) {
		z = state += 0x9e3779b97f4a7c15ull;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		p[i] = (uint8_t)(z >> 40);
	}
}

bool
support_store_file(const char *dir, const char *name, size_t len, uint64_t seed)
{
	uint8_t *p = malloc(len + 1);
	char path[500];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (!p || !f)
		abort();
	support_store_bytes(p, len, seed);
	ok = fwrite(p, 1, len, f) == len;
	ok = fclose(f) == 0 && ok;
	free(p);
	return ok;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

bool
support_store_remove(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

int
support_store_data(struct session *s, uint64_t seed, size_t len, const struct name *base, struct name *id)
{
	uint8_t *p = malloc(len);
	int rc;

	assert(p);
	support_store_bytes(p, len, seed);
	rc = session_put(s, FRAME_DATA, p, len, base, id, NULL);
	free(p);
	return rc;
}

int
support_store_tree(struct session *s, uint8_t kind, const struct name *ids, size_t count, const struct name *base,
    struct name *id)
{
	size_t cap = 64 + 256 * count, len;
	uint8_t *p = malloc(cap);
	char name[8];
	int rc;

	assert(p && count < 1000);
	len = treenode_head_encode(p, cap, 0);
	for (size_t i = 0; i < count; i++) {
		struct treenode_entry e = { .name = (const uint8_t *)name, .name_len = 4, .kind = kind, .mode = 0644,
			.size = kind == TREENODE_FILE ? 100 : 0, .content = ids[i] };

		snprintf(name, sizeof(name), "f%03u", (unsigned)i % 1000);
		len += treenode_entry_encode(p + len, cap - len, &e);
	}
	rc = session_put(s, FRAME_TREE, p, len, base, id, NULL);
	free(p);
	return rc;
}

int
support_store_commit(struct session *s, const struct name *root)
{
	const struct snaprec rec = { .root = *root, .sequence = 1 };

	return session_commit(s, &rec);
}

void
support_store_pack_path(char out[static SUPPORT_IO_PATH], const struct name *pack)
{
	char hex[NAME_HEX];

	name_hex(pack, hex);
	snprintf(out, SUPPORT_IO_PATH, "packs/%.2s/%s", hex, hex);
}

void
support_store_record_path(char out[static SUPPORT_IO_PATH], const char *dir, const struct name_sid *sid)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(sid, hex);
	snprintf(out, SUPPORT_IO_PATH, "%s/%s", dir, hex);
}
