/*
 * proofs: what was verified when, remembered in the repository (SPEC §10, verified/): so that a slice each night covers all of it.
 *
 * Nothing depends on it: what is lost or put back is verified sooner than needed.
 */
#ifndef STORE_PROOFS_H
#define STORE_PROOFS_H

#include "base/mem.h"
#include "format/proofrec.h"
#include "store/repo.h"

struct proofs {
	struct proofrec_pack *packs;    /* sorted by name */
	size_t pack_count, pack_cap;
	struct proofrec_snap *snaps;    /* sorted by sid */
	size_t snap_count, snap_cap;
	int64_t written_ns, drill_ns;   /* the latest; 0: never */
	struct name_sid *read;          /* the objects that this was made of */
	size_t read_count, read_cap;
};

/* All of verified/, merged by newest (VF-2).  What cannot be used is left out. */
int proofs_load(struct repo *r, struct proofs *out) __attribute__((warn_unused_result));
void proofs_clear(struct proofs *p);

/* When it was proved last; 0: never. */
int64_t proofs_of_pack(const struct proofs *p, const struct name *name);
int64_t proofs_of_snap(const struct proofs *p, const struct name_sid *sid);

/* Proved now; a later proofs_save makes it last. */
int proofs_note_pack(struct proofs *p, const struct name *name, int64_t ns) __attribute__((warn_unused_result));
int proofs_note_snap(struct proofs *p, const struct name_sid *sid, int64_t ns) __attribute__((warn_unused_result));

/* Write all rows as one new object, then remove those that were read (VF-3).  The caller holds the shared lock. */
int proofs_save(struct repo *r, struct proofs *p) __attribute__((warn_unused_result));

#endif
