/* sweep: unlink what the head says is dead, and what unfinished sessions and settles left under tmp/ (SPEC PB-5). */
#include "store/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"
#include "store/packcheck.h"
#include "store/parity.h"

struct names {
	char (*name)[INDEX_FILE_PATH];
	size_t count, cap;
};

static int
names_add(void *arg, const char *name)
{
	struct names *n = arg;
	int rc;

	if (strlen(name) >= INDEX_FILE_PATH - 8)
		return OK;              /* not one of ours */
	if ((rc = mem_grow((void **)&n->name, &n->cap, n->count + 1, sizeof(*n->name))))
		return rc;
	memcpy(n->name[n->count++], name, strlen(name) + 1);
	return OK;
}

struct sweep {
	struct repo *r;
	struct index *ix;
	struct names tmp;
	struct name *packs;             /* named in the head's remove list, or by an intent in tmp/ */
	size_t pack_count, pack_cap;
	bool unlinked;
	bool dropping;                  /* only sidecars, and whether there were ... */
	bool dropped[2];                /* ... of index files, of records */
};

static int
sweep_pack(struct sweep *s, const struct name *name)
{
	int rc = mem_grow((void **)&s->packs, &s->pack_cap, s->pack_count + 1, sizeof(*s->packs));

	if (rc == OK)
		s->packs[s->pack_count++] = *name;
	return rc;
}

static int
segment_packs(struct sweep *s, struct index_file *f)
{
	struct indexfile_pack p;
	int rc = OK;

	for (uint32_t i = 0; rc == OK && i < index_file_header(f)->pack_count; i++)
		if ((rc = index_file_pack(f, i, &p)) == OK)
			rc = sweep_pack(s, &p.name);
	return rc;
}

static int
table_packs(struct sweep *s, struct index_file *f)
{
	struct mem_buf names = { 0 };
	struct name name;
	struct cursor c;
	int rc = index_file_extra(f, INDEXFILE_PUBLISHED, &names);

	if (rc == FOUND)
		rc = names.len % NAME_LEN ? fail(ERR_CORRUPT, "bad list of packs in a table") : OK;
	cursor_init(&c, names.p, names.len);
	while (rc == OK && c.left > 0) {
		cursor_copy(&c, name.b, NAME_LEN);
		rc = sweep_pack(s, &name);
	}
	mem_buf_clear(&names);
	return rc;
}

/* Packs that a complete segment or table in tmp/ names and that were not published with it. */
static int
intent_packs(struct sweep *s, const char *name)
{
	char path[INDEX_FILE_PATH];
	struct name_sid sid;
	struct index_file *f;
	uint64_t size, number;
	uint32_t part;
	int rc;

	if (!index_file_parse_segment(name, &sid, &part) && !index_file_parse_table(name, &number))
		return OK;
	snprintf(path, sizeof(path), "index/%.48s", name);
	rc = io_stat(s->r->io, path, &size);
	if (rc != ERR_ABSENT)
		return rc;              /* published: its packs are not ours to remove */
	snprintf(path, sizeof(path), "tmp/%.48s", name);
	rc = index_file_open(s->r, path, &f);
	if (err_is_damage(rc) || rc == ERR_UNSUPPORTED)
		return OK;              /* incomplete: it was not synced, so no pack of it was renamed (PB-2) */
	if (rc)
		return rc;
	rc = index_file_header(f)->kind == INDEXFILE_TABLE ? table_packs(s, f) : segment_packs(s, f);
	index_file_close(f);
	return rc == ERR_CORRUPT || rc == ERR_AUTH ? OK : rc;
}

static int
sweep_gather(struct sweep *s)
{
	struct indexfile_remove rm;
	struct index_file *head;
	int rc;

	if ((rc = io_list(s->r->io, "tmp", names_add, &s->tmp)))
		return rc;
	for (size_t i = 0; i < s->tmp.count; i++)
		if ((rc = intent_packs(s, s->tmp.name[i])))
			return rc;
	if (!index_table_count(s->ix))
		return OK;
	head = index_table_at(s->ix, 0);
	for (uint32_t i = 0; i < index_file_header(head)->remove_count; i++) {
		if ((rc = index_file_remove(head, i, &rm)))
			return rc;
		if (rm.kind == INDEXFILE_DEAD_PACK && (rc = sweep_pack(s, &rm.name)))
			return rc;
	}
	return OK;
}

static int
sync_pack_dirs(struct sweep *s)
{
	uint8_t dirty[256] = { 0 };
	char dir[16];
	int rc;

	for (size_t i = 0; i < s->pack_count; i++)
		dirty[s->packs[i].b[0]] = 1;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		if (dirty[i] && (rc = io_sync_dir(s->r->io, dir)))
			return rc;
	}
	return OK;
}

static int
sync_names(struct repo *r)
{
	int rc;

	if ((rc = io_sync_dir(r->io, "index")) || (rc = io_sync_dir(r->io, "snapshots")))
		return rc;
	return io_sync_dir(r->io, "forgotten");
}

static int
sweep_unlink(struct sweep *s, const char *path, uint64_t *freed)
{
	uint64_t size = 0;
	int rc;

	if (freed && (rc = io_stat(s->r->io, path, &size)))
		return rc == ERR_ABSENT ? OK : rc;
	rc = io_unlink(s->r->io, path);
	if (rc == ERR_ABSENT || (rc == ERR_IO && (err_errno() == EISDIR || err_errno() == EPERM)))
		return OK;              /* gone, or a directory: not one of ours */
	if (rc == OK) {
		s->unlinked = true;
		if (freed)
			*freed += size;
	}
	return rc;
}

/* An index file or a record; or first, while dropping, its sidecar (PA-4). */
static int
sweep_object(struct sweep *s, enum objects_kind kind, const char *path)
{
	if (s->dropping)
		return parity_drop(s->r->io, kind, objects_name(path), &s->dropped[kind == OBJECTS_RECORD]);
	return sweep_unlink(s, path, NULL);
}

/* Tables that the head neither is nor keeps, dead segments and records. */
static int
sweep_index(struct sweep *s)
{
	char path[INDEX_FILE_PATH], hex[NAME_SID_HEX];
	struct names all = { 0 };
	struct indexfile_remove rm;
	struct name_sid sid;
	struct index_file *head;
	uint64_t number;
	bool kept;
	int rc;

	if (!index_table_count(s->ix))
		return OK;
	head = index_table_at(s->ix, 0);
	rc = io_list(s->r->io, "index", names_add, &all);
	for (size_t i = 0; rc == OK && i < all.count; i++) {
		if (!index_file_parse_table(all.name[i], &number) || number > index_file_header(head)->number)
			continue;
		kept = false;
		for (size_t k = 0; k < index_table_count(s->ix); k++)
			kept = kept || index_file_header(index_table_at(s->ix, k))->number == number;
		snprintf(path, sizeof(path), "index/%.48s", all.name[i]);
		if (!kept)
			rc = sweep_object(s, OBJECTS_INDEX, path);
	}
	free(all.name);
	for (uint32_t i = 0; rc == OK && i < index_file_header(head)->remove_count; i++) {
		if ((rc = index_file_remove(head, i, &rm)))
			break;
		memcpy(sid.b, rm.name.b, sizeof(sid.b));
		name_sid_hex(&sid, hex);
		if (rm.kind == INDEXFILE_DEAD_SEGMENT) {
			index_file_segment_path(path, "index", &sid, rm.part);
			rc = sweep_object(s, OBJECTS_INDEX, path);
		} else if (rm.kind == INDEXFILE_DEAD_RECORD) {
			snprintf(path, sizeof(path), "forgotten/%s", hex);
			rc = sweep_object(s, OBJECTS_RECORD, path);
		}
	}
	return rc;
}

/* Sidecars go first, durably: what a later scrub finds without its object was lost, not swept. */
static int
sweep_sidecars(struct sweep *s)
{
	int rc;

	s->dropping = true;
	rc = sweep_index(s);
	s->dropping = false;
	if (rc == OK && s->dropped[0])
		rc = io_sync_dir(s->r->io, "parity/index");
	if (rc == OK && s->dropped[1])
		rc = io_sync_dir(s->r->io, "parity/snapshots");
	return rc;
}

static int
sweep_packs(struct sweep *s, uint64_t *freed)
{
	char path[PACKCHECK_PATH];
	int rc = OK;

	for (size_t i = 0; rc == OK && i < s->pack_count; i++) {
		packcheck_path(path, &s->packs[i]);
		if ((rc = parity_drop(s->r->io, OBJECTS_PACK, objects_name(path), NULL)) == OK)
			rc = sweep_unlink(s, path, freed);
	}
	return rc;
}

/* The first one syncs before (a killed process may not have) and after; the last one leaves that to the next. */
int
sweep_run(struct repo *r, struct index *ix, bool first, uint64_t *freed)
{
	struct sweep s = { .r = r, .ix = ix };
	char path[128];
	int rc;

	if ((rc = sweep_gather(&s)))
		goto out;
	if (first && ((rc = sync_names(r)) || (rc = sync_pack_dirs(&s))))
		goto out;
	if ((rc = sweep_sidecars(&s)) || (rc = sweep_index(&s)) || (rc = sweep_packs(&s, freed)))
		goto out;
	if (s.unlinked && (first || s.tmp.count))
		rc = sync_pack_dirs(&s);
	for (size_t i = 0; rc == OK && i < s.tmp.count; i++) {
		snprintf(path, sizeof(path), "tmp/%.*s", INDEX_FILE_PATH, s.tmp.name[i]);
		rc = sweep_unlink(&s, path, NULL);
	}
	if (rc == OK && first && s.unlinked)
		rc = sync_names(r);
out:
	free(s.tmp.name);
	free(s.packs);
	return rc;
}
