/* objects: every object of a repository by its path, in the order of the layout (SPEC §2); unknown names are left out (GN-4). */
#ifndef STORE_OBJECTS_H
#define STORE_OBJECTS_H

#include "format/name.h"
#include "sys/io.h"

#define OBJECTS_PATH 80

enum objects_kind { OBJECTS_HEADER = 1, OBJECTS_SLOT, OBJECTS_RECORD, OBJECTS_INDEX, OBJECTS_PACK };

struct objects_item {
	enum objects_kind kind;
	char path[OBJECTS_PATH];        /* in the repository */
};

struct objects {
	struct objects_item *p;         /* owned */
	size_t count, cap;
};

/* List them all.  A directory that is missing holds nothing.  Owns: objects_clear, also after a failure. */
int objects_list(struct io *io, struct objects *out) __attribute__((warn_unused_result));

/* Those of one directory: "keys", "index", "snapshots", "forgotten", "packs/ab"; or below parity/. */
int objects_list_dir(struct io *io, const char *dir, enum objects_kind kind, struct objects *out)
    __attribute__((warn_unused_result));
void objects_clear(struct objects *o);

/* Is this a name that objects of the kind have?  `shard`: the two digits that a pack's must begin with; else ignored. */
bool objects_name_fits(enum objects_kind kind, const char *name, const char *shard);

/* The name in a path: behind the last slash. */
const char *objects_name(const char *path);

#endif
