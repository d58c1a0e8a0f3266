/*
 * index_file: one session segment or table, opened and searched in place (SPEC §9).
 *
 * Opening reads the header and the tags of tags.  Every block of 4 KiB of the body is checked against its tag before a byte of it
 * is used for the first time, and so is the block of tags where that lies (IX-3).  Bodies up to INDEX_FILE_CACHED bytes are then
 * kept in memory; of larger ones the last block is, and others are read again.  Not thread-safe.
 */
#ifndef STORE_INDEX_FILE_H
#define STORE_INDEX_FILE_H

#include "format/indexfile.h"
#include "store/repo.h"

#define INDEX_FILE_CACHED (32u << 20)
#define INDEX_FILE_PATH 64

struct index_file;
struct mem_buf;

/* The two kinds of blocks that have a tag (IX-3). */
#define INDEX_FILE_BODY "varve index body"
#define INDEX_FILE_TAGS "varve index tags"

/* The tag of block i of a kind (16 characters). */
void index_file_tag(uint8_t tag[static INDEXFILE_TAG_LEN], const struct repo *r, const struct indexfile_header *h,
    const char *kind, uint64_t i, const uint8_t *p, size_t len);

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

/* A frame and its pack, for who looks at few of them, all over the file. */
int index_file_place(struct index_file *f, uint32_t frame, struct indexfile_frame *fr, struct indexfile_pack *p)
    __attribute__((warn_unused_result));
int index_file_row(struct index_file *f, uint64_t i, struct indexfile_row *row) __attribute__((warn_unused_result));

/* FOUND (with *row), OK when it is not there, or an error.  Cost: about one cache miss. */
int index_file_find(struct index_file *f, const struct name *id, struct indexfile_row *row) __attribute__((warn_unused_result));
int index_file_find_pack(struct index_file *f, const struct name *name, struct indexfile_pack *p, uint32_t *row)
    __attribute__((warn_unused_result));        /* row: its number; may be NULL */
int index_file_find_remove(struct index_file *f, const struct indexfile_remove *what) __attribute__((warn_unused_result));

/* The extension record with this tag, in place of what is in *out: FOUND, OK (there is none), or an error.  No other is read. */
int index_file_extra(struct index_file *f, uint16_t tag, struct mem_buf *out) __attribute__((warn_unused_result));

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
