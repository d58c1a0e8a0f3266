/*
 * fuzz_restore: a hostile tree, restored.  The input is a script of a writer without conscience: chunks, entries with any fields, trees
 * and lists of any level over what was made before, so that mutations keep being trees.  Nothing may appear outside of the target,
 * whatever is in there.
 *
 *      0 n bytes            a chunk of n + 1 bytes
 *      1 fields             an entry of the tree under construction (the fields in the order of SPEC §8)
 *      2 level              the tree is finished
 *      3 level n (id len)   a list of n rows
 *      4                    a tree of rows over the last trees
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "format/treenode.h"
#include "ops/restore.h"
#include "store/snapshots.h"
#include "tests/unit/support_store.h"

#define IDS 64
#define TREE_MAX 60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *p;
	size_t left;
	struct session *s;
	struct name id[IDS];
	unsigned count;
	uint8_t tree[TREE_MAX + 4096];
	size_t len;
};

static uint8_t
byte(struct script *c)
{
	if (c->left == 0)
		return 0;
	c->left--;
	return *c->p++;
}

static void
raw(struct script *c, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		c->tree[c->len++] = (uint8_t)(i < 8 ? v >> 8 * i : 0);
}

/* So many bytes of the script. */
static void
copy(struct script *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		c->tree[c->len++] = byte(c);
}

static const struct name *
some_id(struct script *c)
{
	static const struct name none = { { 1 } };
	uint8_t which = byte(c);

	return c->count ? &c->id[which % c->count] : &none;
}

/* A number that is often small, now and then as large as it can be. */
static uint64_t
some_number(struct script *c)
{
	uint8_t b = byte(c);

	return b < 0xf0 ? b : UINT64_MAX >> (b & 15) * 4;
}

static void
id_bytes(struct script *c)
{
	memcpy(c->tree + c->len, some_id(c)->b, 32);
	c->len += 32;
}

static void
put(struct script *c, uint8_t type, const uint8_t *p, size_t len)
{
	struct name id;

	if (len && c->count < IDS && session_put(c->s, type, p, len, NULL, &id, NULL) == OK)
		c->id[c->count++] = id;
}

static void
entry(struct script *c)
{
	uint8_t name = byte(c) % 24, kind = byte(c) % 9, flags = byte(c), target;
	uint64_t size;

	if (c->len > TREE_MAX)
		return;
	raw(c, name, 2);
	copy(c, name);
	raw(c, kind, 1);
	raw(c, flags & (flags >> 4 ? 0x1f : 0xff), 1);
	raw(c, 0600 | byte(c), 2);
	raw(c, byte(c), 4);
	raw(c, byte(c), 4);
	raw(c, some_number(c), 8);
	raw(c, byte(c), 4);
	raw(c, 0, 4);
	raw(c, 0, 8);
	raw(c, byte(c) % 4, 8);
	if (flags & TREENODE_HARDLINK)
		raw(c, 1, 8);
	target = byte(c) % 64;
	size = kind == TREENODE_LINK ? target : kind == TREENODE_DIR ? 0 : some_number(c);
	raw(c, size, 8);
	if (kind == TREENODE_DIR || (kind == TREENODE_FILE && size))
		id_bytes(c);
	if (kind == TREENODE_FILE && size && !(flags & 4))
		raw(c, 0, 16);
	if (kind == TREENODE_LINK)
		copy(c, target);
	target = byte(c);
	target = target < 0xc0 ? 0 : target & 63;
	raw(c, target, 4);
	copy(c, target);
}

static void
finish_tree(struct script *c, uint8_t level)
{
	uint8_t *p = malloc(c->len + 8);

	if (!p)
		abort();
	memset(p, 0, 8);
	p[0] = level;
	memcpy(p + 8, c->tree, c->len);
	put(c, 'T', p, c->len + 8);
	c->len = 0;
	free(p);
}

static void
finish_list(struct script *c)
{
	uint8_t p[8 + 16 * 56] = { byte(c) % 9 };
	size_t n = byte(c) % 16;

	for (size_t i = 0; i < n; i++) {
		uint64_t len = some_number(c);

		memcpy(p + 8 + 56 * i, some_id(c)->b, 32);
		memcpy(p + 8 + 56 * i + 32, &len, 8);
	}
	put(c, 'L', p, 8 + 56 * n);
}

static void
play(struct script *c)
{
	while (c->left) {
		uint8_t op = byte(c) % 5;
		size_t n;

		if (op == 0) {
			n = (size_t)byte(c) % 64 + 1;
			n = n < c->left ? n : c->left;
			put(c, 'D', c->p, n);
			c->p += n;
			c->left -= n;
		} else if (op == 1) {
			entry(c);
		} else if (op == 2) {
			finish_tree(c, byte(c) < 0xf0 ? 0 : byte(c) % 9);
		} else if (op == 3) {
			finish_list(c);
		} else {
			memcpy(c->tree, some_id(c)->b, 32);
			c->len = 32;
			raw(c, some_number(c), 4);
			n = (size_t)byte(c) % 8;
			raw(c, n, 2);
			copy(c, n);
			finish_tree(c, 1 + byte(c) % 3);
		}
	}
	if (c->len)
		finish_tree(c, 0);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int
seen(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	/* The room has the target and nothing else. */
	if (ftw->level == 1 && strcmp(path + ftw->base, "target") != 0)
		abort();
	(void)st;
	(void)kind;
	return 0;
}

static void
restore(struct repo *r, const struct name_sid *sid)
{
	char room[] = "/dev/shm/varve-fuzz-XXXXXX", target[64];
	struct restore_options o = { .target = target, .overwrite = RESTORE_ALWAYS, .numeric_owner = true };
	struct restore_result res = { 0 };
	struct snapshots_item it;

	if (!mkdtemp(room) || snapshots_read(r, false, sid, &it))
		abort();
	snprintf(target, sizeof(target), "%s/target", room);
	(void)!restore_run(r, &it, &o, &res);
	o.delete_extra = true;
	o.verify = true;
	(void)!restore_run(r, &it, &o, &res);
	snapshots_item_clear(&it);
	nftw(room, seen, 32, FTW_PHYS);
	nftw(room, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct support_disk *d = support_disk_new();
	struct script *c = calloc(1, sizeof(*c));
	struct name_sid sid;
	struct repo *r;

	if (!c || support_store_init(d, &r) || session_begin(r, &cfg, &c->s))
		abort();
	c->p = data;
	c->left = size < 8192 ? size : 8192;
	play(c);
	if (c->count && support_store_commit(c->s, &c->id[c->count - 1]) == OK) {
		sid = *session_sid(c->s);
		session_free(c->s);
		restore(r, &sid);
	} else {
		session_abort(c->s);
		session_free(c->s);
	}
	repo_close(r);
	support_disk_free(d);
	free(c);
	return 0;
}
