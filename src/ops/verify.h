/*
 * verify: is everything there, and is it what was stored?
 *
 *      default   key slots, records, every block and row of the index; header, footer and name of every pack; every frame's head
 *                against the index; every directory and list opened and hashed, what it names looked for; references counted anew
 *      read      besides, every chunk opened, decompressed and hashed, once, in the order of the packs
 *      databases besides, every distinct database opened where it lies and checked by SQLite
 */
#ifndef OPS_VERIFY_H
#define OPS_VERIFY_H

#include "ops/damage.h"
#include "ops/provedb.h"
#include "ops/slice.h"
#include "store/snapshots.h"

struct verify_progress {
	const char *verb;
	uint64_t packs, packs_total, bytes, bytes_total;
	uint64_t damaged;
};

struct verify_options {
	const struct name_sid *snaps;   /* only what these need; 0: everything */
	size_t snap_count;
	unsigned jobs;                  /* threads; 0: one for each processor */
	bool no_state;                  /* do not compare with what this user saw before (ops/heads.h) */
	bool read;                      /* content as well; what was proved is noted in the repository */
	bool databases;                 /* SQLite's integrity_check on every database, where it lies */
	uint64_t seconds;               /* for one of them; 0: PROVEDB_SECONDS and more for large ones */
	const struct name *packs;       /* without read: the content of these as well */
	size_t pack_count;
	struct slice_ask slice;         /* of the content; directories are read in any case */
	int (*progress)(void *arg, const struct verify_progress *p);
	void *arg;
};

struct verify_result {
	struct damages damages;         /* sorted: first found first */
	struct snapshots_item *items;   /* records whose trees were looked at, by time; owned */
	size_t item_count;
	uint64_t snapshots;             /* proved: those asked for, or all */
	uint64_t forgotten;             /* besides, of forgotten/ */
	uint64_t chunks;                /* in the index, found where it says */
	uint64_t chunks_read;           /* opened and hashed */
	uint64_t packs, packs_read;     /* looked at; read from the first to the last byte */
	uint64_t bytes_read, bytes_decoded;
	uint64_t index_files;
	struct provedb databases;       /* damaged ones are among the damages */
	uint64_t counted_high;          /* chunks counted more often than they are named: space that is not given back */
	uint64_t spare;                 /* packs and frames that are damaged or missing, and nothing in them is needed */
	uint64_t leftovers;             /* packs that no index file names: of an interrupted session */
	int64_t proved_ns;              /* since when every pack has been read and found right; 0: some never were */
	int save_rc;                    /* OK, or why that could not be noted in the repository */
	char save_note[256];
	int64_t elapsed_ns;
};

/*
 * Holds the shared lock.  OK when the work was done, whatever was found: res->damages.total says.
 * Owns: *res: caller clears with verify_clear, also after a failure.
 * Cost: 64 bytes of memory for each chunk in the index, besides 8 MiB for each processor and 192 MiB for bases.
 */
int verify_run(struct repo *r, const struct verify_options *o, struct verify_result *res) __attribute__((warn_unused_result));
void verify_clear(struct verify_result *res);

#endif
