/* owners: the ids of a snapshot's owners on this machine, found by their names in the record's lists. */
#ifndef OPS_OWNERS_H
#define OPS_OWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snaprec;

struct owners_row {
	uint32_t there, here;
};

struct owners {
	struct owners_row *users, *groups;      /* sorted by `there`; only those that differ here */
	size_t user_count, group_count;
};

/* Look up every name of the record once; numeric: none.  A name that is unknown here keeps its number. */
int owners_load(struct owners *o, const struct snaprec *rec, bool numeric) __attribute__((warn_unused_result));
void owners_clear(struct owners *o);

uint32_t owners_uid(const struct owners *o, uint32_t uid);
uint32_t owners_gid(const struct owners *o, uint32_t gid);

#endif
