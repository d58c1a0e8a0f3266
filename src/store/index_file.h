/*
 * index_file: one session segment or table, opened and searched in place (SPEC §9).
 *
 * Opening reads the header and the tags.  Every 64 KiB block of the body is checked against its tag before a byte of it is used
 * for the first time (IX-3).  Bodies up to INDEX_FILE_CACHED bytes are then kept in memory; of larger ones only what a lookup
 * needs is read again.  Not thread-safe.
 */
#ifndef STORE_INDEX_FILE_H
#define STORE_INDEX_FILE_H

#include "format/indexfile.h"
#include "store/repo.h"

#define INDEX_FILE_CACHED (32u << 20)
#define INDEX_FILE_PATH 64

struct index_file;

/*
 * Open index/... or tmp/...; the last component is the file's name and must be what the header says (IX-1).
 * Without keys in r nothing is authenticated: only for saying what is missing.
 * Errors: ERR_ABSENT, ERR_CORRUPT, ERR_AUTH, ERR_UNSUPPORTED, ERR_IO.  Owns: *out: caller closes with index_file_close.
 */
int index_file_open(struct repo *r, const char *path, struct index_file **out) __attribute__((warn_unused_result));
struct index_file *index_file_close(struct index_file *f);

const struct indexfile_header *index_file_header(const struct index_file *f);
uint64_t index_file_len(const struct index_file *f);

/* Row i of a section, checked and decoded; i is below the header's count. */
int index_file_keep(struct index_file *f, uint32_t i, uint64_t *number) __attribute__((warn_unused_result));
int index_file_remove(struct index_file *f, uint32_t i, struct indexfile_remove *r) __attribute__((warn_unused_result));
int index_file_pack(struct index_file *f, uint32_t i, struct indexfile_pack *p) __attribute__((warn_unused_result));
int index_file_frame(struct index_file *f, uint32_t i, struct indexfile_frame *fr) __attribute__((warn_unused_result));
int index_file_row(struct index_file *f, uint64_t i, struct indexfile_row *row) __attribute__((warn_unused_result));

/* FOUND (with *row), OK when it is not there, or an error.  Cost: about one cache miss. */
int index_file_find(struct index_file *f, const struct name *id, struct indexfile_row *row) __attribute__((warn_unused_result));
int index_file_find_pack(struct index_file *f, const struct name *name, struct indexfile_pack *p, uint32_t *row)
    __attribute__((warn_unused_result));        /* row: its number; may be NULL */
int index_file_find_remove(struct index_file *f, const struct indexfile_remove *what) __attribute__((warn_unused_result));

/* Packs published with a table (extra tag 1).  Owns: *names: caller frees; NULL when there are none. */
int index_file_published(struct index_file *f, struct name **names, size_t *count) __attribute__((warn_unused_result));

/* The frame with this pack row and ordinal: FOUND, OK, or an error. */
int index_file_find_frame(struct index_file *f, uint32_t pack, uint32_t ordinal, struct indexfile_frame *fr)
    __attribute__((warn_unused_result));

/* Read and check every block of the body (IX-3), the order of keeps and dead names, and the fanout (IX-5). */
int index_file_prove(struct index_file *f) __attribute__((warn_unused_result));

/* Names of index files.  False when `name` is none. */
bool index_file_parse_segment(const char *name, struct name_sid *sid, uint32_t *part);
bool index_file_parse_table(const char *name, uint64_t *number);
void index_file_segment_path(char out[static INDEX_FILE_PATH], const char *dir, const struct name_sid *sid, uint32_t part);
void index_file_table_path(char out[static INDEX_FILE_PATH], const char *dir, uint64_t number);

#endif
