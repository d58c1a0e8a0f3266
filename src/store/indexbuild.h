/*
 * indexbuild: write a segment or table in one pass (SPEC §9).
 *
 * Sections are added in the order of the file: keeps, removes, packs, frames, rows, each in its prescribed order.
 * ERR_CORRUPT when a row cannot be, or comes out of order: it was taken from an older file, which lied.
 * Memory: the fanout table and the tags, about 0.1 % of the file.
 */
#ifndef STORE_INDEXBUILD_H
#define STORE_INDEXBUILD_H

#include "format/indexfile.h"
#include "store/repo.h"

struct indexbuild;

/*
 * Begin the file at tmp_path ("tmp/" and its final name).  h: kind, sid, number, root, flags; the rest is filled in.
 * row_bound: at least the number of rows to come.  Owns: *out: caller ends it with indexbuild_end or indexbuild_abort.
 */
int indexbuild_begin(struct repo *r, const char *tmp_path, const struct indexfile_header *h, uint64_t row_bound,
    struct indexbuild **out) __attribute__((warn_unused_result));

int indexbuild_keep(struct indexbuild *b, uint64_t number) __attribute__((warn_unused_result));
int indexbuild_remove(struct indexbuild *b, const struct indexfile_remove *r) __attribute__((warn_unused_result));
int indexbuild_pack(struct indexbuild *b, const struct indexfile_pack *p) __attribute__((warn_unused_result));
int indexbuild_frame(struct indexbuild *b, const struct indexfile_frame *f) __attribute__((warn_unused_result));
int indexbuild_row(struct indexbuild *b, const struct indexfile_row *row) __attribute__((warn_unused_result));

/* An extension record; tags ascend, nothing is added when len is 0.  p is borrowed until the end. */
void indexbuild_extra(struct indexbuild *b, uint16_t tag, const void *p, size_t len);

/* Complete and sync the file; *file_len: its length.  Frees b; on failure the file is gone. */
int indexbuild_end(struct indexbuild *b, uint64_t *file_len) __attribute__((warn_unused_result));

/* Drop the file.  NULL is fine. */
void indexbuild_abort(struct indexbuild *b);

#endif
