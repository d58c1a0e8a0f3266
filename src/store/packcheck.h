/*
 * packcheck: prove a pack without a key (PK-1): its name proves the footer, the footer's checksums every block before it.
 */
#ifndef STORE_PACKCHECK_H
#define STORE_PACKCHECK_H

#include "format/packfile.h"
#include "sys/io.h"

/* The footer of a pack, proven by the name. */
struct packcheck {
	struct packfile_footer footer;  /* slices point into raw */
	uint8_t *raw;                   /* owned */
	size_t len;                     /* of the footer */
	uint64_t size;                  /* of the file */
};

/*
 * Read the footer of an open pack.
 * Errors: ERR_CORRUPT, ERR_AUTH  it is not the one that the name stands for: a part of it is damaged, or the file is cut
 *         ERR_UNSUPPORTED, ERR_IO, ERR_NOMEM
 */
int packcheck_footer(struct io *io, struct io_file *f, const struct name *name, struct packcheck *out)
    __attribute__((warn_unused_result));
void packcheck_clear(struct packcheck *pc);

/* packs/<aa>/<name>; and the name in the last component of a path. */
#define PACKCHECK_PATH 80
void packcheck_path(char out[static PACKCHECK_PATH], const struct name *name);

#endif
