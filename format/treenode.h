/* treenode: T nodes, the entries of a directory (SPEC §8). */
#ifndef FORMAT_TREENODE_H
#define FORMAT_TREENODE_H

#include "format/cursor.h"
#include "format/name.h"

#define TREENODE_HEAD_LEN 8
#define TREENODE_LEVEL_MAX 7
#define TREENODE_NAME_MAX 255
#define TREENODE_TARGET_MAX 4095
#define TREENODE_EXT_MAX (1u << 19)
#define TREENODE_ENTRY_MAX (TREENODE_EXT_MAX + 4095 + 255 + 160)
#define TREENODE_TARGET_LEN (128u << 10)        /* TN-5: a tree of level 0 ends at this length */
#define TREENODE_DEPTH_MAX 4096

enum treenode_kind {
	TREENODE_FILE = 1, TREENODE_DIR, TREENODE_LINK, TREENODE_FIFO, TREENODE_CHAR, TREENODE_BLOCK, TREENODE_SOCKET
};

#define TREENODE_CHANGED 0x01u          /* changed while it was read */
#define TREENODE_HARDLINK 0x02u         /* dev is valid */
#define TREENODE_LIST 0x04u             /* content is an L chunk */
#define TREENODE_UNREAD 0x08u           /* content could not be read: no content */
#define TREENODE_IMPLIED 0x10u          /* directory only passed through */

#define TREENODE_EXT_XATTR 1
#define TREENODE_EXT_FLAGS 2
#define TREENODE_EXT_DATABASE 3
#define TREENODE_BESIDE_AT 32           /* in the value of TREENODE_EXT_DATABASE: which WAL and journal were beside it */
#define TREENODE_BESIDE_LEN 16

struct treenode_entry {
	const uint8_t *name;            /* name_len bytes, not zero-terminated; borrowed */
	uint16_t name_len;
	uint8_t kind, flags;            /* enum treenode_kind, TREENODE_... */
	uint16_t mode;                  /* 0 ... 07777 */
	uint32_t uid, gid;
	int64_t mtime, ctime;           /* seconds */
	uint32_t mtime_ns, ctime_ns;
	uint64_t inode, dev;            /* dev only with TREENODE_HARDLINK */
	uint64_t size;                  /* per kind, see SPEC */
	struct name content;            /* zero when absent */
	uint8_t fingerprint[16];        /* zero when absent */
	const uint8_t *target;          /* link text, size bytes; NULL for other kinds */
	const uint8_t *ext;             /* encoded extensions; NULL when ext_len is 0 */
	uint32_t ext_len;
};

size_t treenode_head_encode(uint8_t *buf, size_t cap, uint8_t level);

/* Bytes, or 0 when cap is too small or the entry breaks a rule (TN-1). */
size_t treenode_entry_encode(uint8_t *buf, size_t cap, const struct treenode_entry *e);

struct treenode_row {                   /* level above 0 */
	struct name id;
	uint32_t entries;
	const uint8_t *name;            /* first name beneath */
	uint16_t name_len;
};

size_t treenode_row_encode(uint8_t *buf, size_t cap, const struct treenode_row *r);

/* A node whose head is decoded; entries or rows follow one by one. */
struct treenode {
	uint8_t level;
	struct cursor c;
	const uint8_t *prev;            /* name of the last one given out, to check the order */
	uint16_t prev_len;
	enum cursor_verdict verdict;    /* after _next said false: OK at the end of a good node */
};

enum cursor_verdict treenode_open(struct treenode *t, const uint8_t *buf, size_t len);

/* Next entry (level 0) or row (above); false at the end and on the first bad one: look at t->verdict. */
bool treenode_next_entry(struct treenode *t, struct treenode_entry *e);
bool treenode_next_row(struct treenode *t, struct treenode_row *r);

/* Run through the whole node.  Cost: linear. */
enum cursor_verdict treenode_check(const uint8_t *buf, size_t len);

/* A name that may stand in a tree: 1 ... 255 bytes, no '/', no zero, not "." or "..". */
bool treenode_name_ok(const uint8_t *name, size_t len);

/* Bytewise order, shorter first. */
int treenode_name_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen);

/* Extensions: find a tag; false when absent.  ext was checked by the entry's decoding. */
bool treenode_ext_find(const uint8_t *ext, size_t len, uint16_t tag, const uint8_t **val, size_t *val_len);
size_t treenode_ext_encode(uint8_t *buf, size_t cap, uint16_t tag, const uint8_t *val, size_t val_len);

struct treenode_xattr {
	const uint8_t *name, *value;
	uint16_t name_len;
	uint32_t value_len;
};

size_t treenode_xattr_encode(uint8_t *buf, size_t cap, const struct treenode_xattr *x);

/* Iterate the value of TREENODE_EXT_XATTR; false at the end. */
bool treenode_xattr_next(struct cursor *c, struct treenode_xattr *x);

#endif
