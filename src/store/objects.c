#include "store/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"

struct listing {
	const char *dir;
	enum objects_kind kind;
	struct objects *out;
};

const char *
objects_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool
objects_name_fits(enum objects_kind kind, const char *name, const char *shard)
{
	struct name_sid sid;
	struct name pack;
	uint64_t number;
	uint32_t part;

	switch (kind) {
	case OBJECTS_HEADER:
		return strcmp(name, "varve-repo") == 0;
	case OBJECTS_SLOT:
	case OBJECTS_RECORD:
		return name_sid_unhex(&sid, name);
	case OBJECTS_INDEX:
		return index_file_parse_segment(name, &sid, &part) || index_file_parse_table(name, &number);
	case OBJECTS_PACK:
		return strlen(name) == NAME_HEX - 1 && name_unhex(&pack, name) && strncmp(name, shard, 2) == 0;
	}
	return false;
}

static int
add(struct objects *o, enum objects_kind kind, const char *dir, const char *name)
{
	int rc = mem_grow((void **)&o->p, &o->cap, o->count + 1, sizeof(*o->p));

	if (rc)
		return rc;
	o->p[o->count].kind = kind;
	snprintf(o->p[o->count++].path, OBJECTS_PATH, "%s%s%s", dir, *dir ? "/" : "", name);
	return OK;
}

static int
add_named(void *arg, const char *name)
{
	struct listing *l = arg;

	return objects_name_fits(l->kind, name, objects_name(l->dir)) ? add(l->out, l->kind, l->dir, name) : OK;
}

static int
item_cmp(const void *a, const void *b)
{
	return strcmp(((const struct objects_item *)a)->path, ((const struct objects_item *)b)->path);
}

int
objects_list_dir(struct io *io, const char *dir, enum objects_kind kind, struct objects *out)
{
	struct listing l = { .dir = dir, .kind = kind, .out = out };
	size_t first = out->count;
	int rc = io_list(io, dir, add_named, &l);

	if (out->count > first)
		qsort(out->p + first, out->count - first, sizeof(*out->p), item_cmp);
	return rc == ERR_ABSENT ? OK : rc;
}

int
objects_list(struct io *io, struct objects *out)
{
	static const struct {
		const char *dir;
		enum objects_kind kind;
	} small[] = {
		{ "keys", OBJECTS_SLOT }, { "index", OBJECTS_INDEX }, { "snapshots", OBJECTS_RECORD }, { "forgotten", OBJECTS_RECORD },
	};
	char dir[16];
	uint64_t size;
	int rc;

	*out = (struct objects){ 0 };
	rc = io_stat(io, "varve-repo", &size);
	if (rc != ERR_ABSENT && (rc || (rc = add(out, OBJECTS_HEADER, "", "varve-repo"))))
		return rc;
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if ((rc = objects_list_dir(io, small[i].dir, small[i].kind, out)))
			return rc;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		if ((rc = objects_list_dir(io, dir, OBJECTS_PACK, out)))
			return rc;
	}
	return OK;
}

void
objects_clear(struct objects *o)
{
	free(o->p);
	*o = (struct objects){ 0 };
}
