/* support_store: repositories on a disk in memory. */
#ifndef TESTS_UNIT_SUPPORT_STORE_H
#define TESTS_UNIT_SUPPORT_STORE_H

#include "store/repo.h"
#include "store/session.h"
#include "tests/unit/support_io.h"

/* The master key of all of them. */
extern const uint8_t support_store_master[32];

/* Make a repository of small chunks that opens with a fixed key file; open it, as one more process.  Owns: *out: repo_close, before the disk. */
int support_store_init(struct support_disk *d, struct repo **out) __attribute__((warn_unused_result));
int support_store_open(struct support_disk *d, struct repo **out) __attribute__((warn_unused_result));

/* len bytes that do not compress and are the same for the same seed. */
void support_store_bytes(uint8_t *p, size_t len, uint64_t seed);

/* Write such bytes to the file dir/name, over one that is there. */
bool support_store_file(const char *dir, const char *name, size_t len, uint64_t seed);

/* Remove what is there under this path, however much is beneath it. */
bool support_store_remove(const char *path);

/* Put a data chunk of such bytes. */
int support_store_data(struct session *s, uint64_t seed, size_t len, const struct name *base, struct name *id)
    __attribute__((warn_unused_result));

/* Put a directory with `count` files "f000", "f001", ...: each has one chunk of 100 bytes; or with directories of these trees. */
int support_store_tree(struct session *s, uint8_t kind, const struct name *ids, size_t count, const struct name *base,
    struct name *id) __attribute__((warn_unused_result));

/* Commit with a record that says nothing but the root. */
int support_store_commit(struct session *s, const struct name *root) __attribute__((warn_unused_result));

/* The path of a pack, and of this session's record in `dir`. */
void support_store_pack_path(char out[static SUPPORT_IO_PATH], const struct name *pack);
void support_store_record_path(char out[static SUPPORT_IO_PATH], const char *dir, const struct name_sid *sid);

#endif
