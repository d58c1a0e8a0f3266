/*
 * index: what the repository holds: the head table, the tables it keeps and the session segments that count (SPEC §9, IX-6).
 *
 * A loaded index is a view of the names seen by index_load; it is valid while the lock is held.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "format/indexfile.h"
#include "store/repo.h"

struct index;
struct index_file;

struct index_place {
	uint32_t pack_no;               /* small number, one per pack name in this index object */
	struct name pack_name;
	uint32_t pack_kind;
	uint32_t ordinal, off, len;     /* the frame in the pack */
	uint16_t slot;
	uint8_t type, depth;
};

/* List index/, choose the valid files, open them.  The caller holds a lock.  Owns: *out: index_free. */
int index_load(struct repo *r, struct index **out) __attribute__((warn_unused_result));
struct index *index_free(struct index *ix);

/*
 * A copy of a chunk: FOUND, OK (not there), or an error.  Of several, one whose pack is there; then the least deep (CH-3); then the
 * newest.
 * reusable (may be NULL): whether a session may name it without storing it (IX-8).
 */
int index_find(struct index *ix, const struct name *id, struct index_place *place, bool *reusable)
    __attribute__((warn_unused_result));

/* Add a segment that the caller has just published under path to the view. */
int index_add_segment(struct index *ix, const char *path) __attribute__((warn_unused_result));

/* The number of a pack, given now if it has none. */
int index_pack_number(struct index *ix, const struct indexfile_pack *p, uint32_t *no) __attribute__((warn_unused_result));

/* Is this pack on the disk, with the length it should have?  FOUND or OK.  Cost: one look per pack and index object. */
int index_pack_there(struct index *ix, uint32_t no) __attribute__((warn_unused_result));

/* Are all packs of the view there?  FOUND or OK (one is missing or has another length).  Cost: one look per pack, once. */
int index_packs_whole(struct index *ix) __attribute__((warn_unused_result));

/* Told of each pack of the view once, as the newest file that has it says; of live ones only. */
typedef int (*index_pack_fn)(struct index *ix, uint32_t no, const struct indexfile_pack *p, void *arg);
int index_each_pack(struct index *ix, index_pack_fn fn, void *arg) __attribute__((warn_unused_result));

/* Does any file of the view name this pack, living or dead?  FOUND or OK. */
int index_names_pack(struct index *ix, const struct name *name) __attribute__((warn_unused_result));

/* Number of packs that have been numbered so far. */
uint32_t index_pack_count(const struct index *ix);

uint64_t index_head_number(const struct index *ix);             /* 0: no table */

/* Valid files: tables, newest first, then segments. */
size_t index_table_count(const struct index *ix);
size_t index_segment_count(const struct index *ix);
struct index_file *index_table_at(struct index *ix, size_t i);
struct index_file *index_segment_at(struct index *ix, size_t i);

/* Does the head's remove list name it?  FOUND or OK. */
int index_removed(struct index *ix, const struct indexfile_remove *what) __attribute__((warn_unused_result));

/* Totals over the view, every pack once.  Cost: linear in packs and frames of the tables. */
struct index_totals {
	uint64_t packs, pack_bytes, live_bytes, rows, index_bytes, data_bytes, meta_bytes;
};
int index_totals(struct index *ix, struct index_totals *t) __attribute__((warn_unused_result));

#endif
