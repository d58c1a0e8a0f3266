/* snapshots: snapshot records, snapshots/ and forgotten/ (SPEC §10). */
#ifndef STORE_SNAPSHOTS_H
#define STORE_SNAPSHOTS_H

#include "format/snaprec.h"
#include "store/repo.h"

struct snapshots_item {
	struct name_sid sid;
	struct snaprec rec;             /* slices point into mem; lists as *_raw */
	uint8_t *mem;                   /* owned; NULL: see struct snapshots */
	uint64_t file_bytes;
};

struct snapshots {
	struct snapshots_item *items;   /* sorted by (begin_ns, sid), oldest first */
	size_t count;
	size_t damaged;                 /* records that could not be used (each was reported to the callback) */
	uint8_t *shared;                /* owned; what items without mem point into */
};

/* Called for a record that cannot be used; err_text() says why. */
typedef void (*snapshots_bad_fn)(void *arg, const char *sid_hex, int rc);

/*
 * All records of snapshots/ (or forgotten/).  A bad record is reported and left out, not an error; one that may not be read (made by
 * another user) is: who knows what it is.
 *
 * Cost: names are listed; of many, those that a table's catalogue has are not opened (IX-10).  The caller holds a lock, and loads
 *       the index afterwards, if it does (PB-9).
 */
int snapshots_load(struct repo *r, bool forgotten, snapshots_bad_fn bad, void *arg, struct snapshots *out)
    __attribute__((warn_unused_result));

/* The same, every record opened: to prove them.  Each item has memory of its own. */
int snapshots_load_files(struct repo *r, bool forgotten, snapshots_bad_fn bad, void *arg, struct snapshots *out)
    __attribute__((warn_unused_result));

/*
 * Only those whose ids begin with one of these texts (hexadecimal digits); names are listed only if one is no whole id, and no other
 * record is read: so naming a snapshot costs the same however many there are.
 */
int snapshots_load_some(struct repo *r, bool forgotten, const char *const *ids, size_t count, snapshots_bad_fn bad, void *arg,
    struct snapshots *out) __attribute__((warn_unused_result));
void snapshots_clear(struct snapshots *s);

/* Is there a record in snapshots/ or forgotten/?  FOUND, OK, or an error. */
int snapshots_exist(struct repo *r, const struct name_sid *sid) __attribute__((warn_unused_result));

/* One record. */
int snapshots_read(struct repo *r, bool forgotten, const struct name_sid *sid, struct snapshots_item *out)
    __attribute__((warn_unused_result));
void snapshots_item_clear(struct snapshots_item *it);

/* Seal a record into bytes.  Owns: *out: caller frees. */
int snapshots_seal(struct repo *r, const struct name_sid *sid, const struct snaprec *rec, uint8_t **out, size_t *len)
    __attribute__((warn_unused_result));

/* SR-4 for this machine and host name. */
void snapshots_writer(const struct repo *r, const char *host, struct name_sid *writer);

#endif
