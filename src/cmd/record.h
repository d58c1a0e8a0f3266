/* record: snapshot records and tree entries as JSON and text, the same in every command. */
#ifndef CMD_RECORD_H
#define CMD_RECORD_H

#include "cmd/report.h"
#include "format/treenode.h"
#include "store/snapshots.h"

/* Everything the record says.  Owns: the caller gives it to report_json or json_array. */
json_t *record_json(struct report *rp, const struct snapshots_item *snap);

/* What the snapshot added to the repository: packs, index segments, and the record itself, which cannot hold its own length. */
uint64_t record_stored(const struct snapshots_item *snap);

/*
 * An encoded list of strings as a JSON array; strings that are not UTF-8 make a second array
 * key_b64 of all.
 */
void record_set_strings(struct report *rp, json_t *obj, const char *key,
    const struct snaprec_string *raw);

/*
 * The same as text, printable, with a separator between two.  Owns: caller frees out->p with
 * mem_buf_clear.
 */
struct mem_buf;
int record_join(struct mem_buf *out, const struct snaprec_string *raw, const char *separator)
    __attribute__((warn_unused_result));

/* Name of an owner in users_raw or groups_raw; false when it is not there or empty. */
bool record_owner(const struct snaprec_string *raw, uint32_t number, struct snaprec_string *name);

/* "file", "dir", "link", "fifo", "char", "block", "socket". */
const char *record_kind(uint8_t kind);

/* "drwxr-sr-t". */
#define RECORD_MODE_LEN 11
const char *record_mode(char buf[static RECORD_MODE_LEN], const struct treenode_entry *e);

int64_t record_mtime_ns(const struct treenode_entry *e);

/*
 * Fields of an entry: path, name, kind, size, mode, owners, times ... into obj; snap may be NULL
 * (no owners' names).
 */
void record_set_entry(struct report *rp, json_t *obj, const char *path,
    const struct treenode_entry *e,
    const struct snapshots_item *snap);

#endif
