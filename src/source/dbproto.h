/*
 * dbproto: what the snapshot and its database helper say to each other: packets of fixed size over a socket, page bytes in shared
 * memory.  Both ends are the same program, but the helper reads what strangers wrote: whatever it says is checked.
 *
 *      ask ADD (with the directory's descriptor) ... ADD, CUT    ->  CUT
 *      ask NEXT                                                  ->  BEGIN, DATA ..., [AGAIN, DATA ...], END    or NONE
 *      ask FREE, for every DATA, when its slot was read
 */
#ifndef SOURCE_DBPROTO_H
#define SOURCE_DBPROTO_H

#include <stdint.h>

#define DBPROTO_SLOTS 8
#define DBPROTO_SLOT_LEN (512u << 10)
#define DBPROTO_NAME_MAX 255
#define DBPROTO_TEXT_MAX 400

enum dbproto_op {
	DBPROTO_ADD = 1, DBPROTO_CUT, DBPROTO_NEXT, DBPROTO_FREE,
	DBPROTO_BEGIN, DBPROTO_DATA, DBPROTO_AGAIN, DBPROTO_END, DBPROTO_NONE
};

struct dbproto_ask {
	uint32_t op, id;
	uint64_t dev, inode;                    /* ADD: the file that is meant */
	uint64_t wal_limit;                     /* CUT: bytes a WAL may grow by while it is held */
	char name[DBPROTO_NAME_MAX + 1];        /* ADD */
};

struct dbproto_say {
	uint32_t op, id;
	uint32_t slot, len;                     /* DATA */
	uint32_t outcome;                       /* END: enum dbread_outcome */
	uint32_t page_size;
	uint32_t one_instant;                   /* END: the file was cut at one instant with the others of its CUT */
	uint32_t opened;                        /* END: enum dbopen_way */
	uint64_t pages, spread_ns, wal_growth, held_ns;
	char text[DBPROTO_TEXT_MAX];            /* END: why not, zero-terminated */
};

#endif
