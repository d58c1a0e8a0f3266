/* support_store: repositories on a disk in memory. */
#ifndef TESTS_UNIT_SUPPORT_STORE_H
#define TESTS_UNIT_SUPPORT_STORE_H

#include "store/repo.h"
#include "tests/unit/support_io.h"

/* The master key of all of them. */
extern const uint8_t support_store_master[32];

/* Make a repository that opens with a fixed key file; open it, as one more process.  Owns: *out: repo_close, before the disk. */
int support_store_init(struct support_disk *d, struct repo **out) __attribute__((warn_unused_result));
int support_store_open(struct support_disk *d, struct repo **out) __attribute__((warn_unused_result));

#endif
