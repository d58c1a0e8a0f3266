/* home: the repository's own directory, which no snapshot takes in and no restore touches. */
#ifndef OPS_HOME_H
#define OPS_HOME_H

#include <stdbool.h>
#include <stdint.h>

struct fsys_stat;
struct repo;

struct home {
	bool known;                     /* false: it is no directory of this machine */
	uint64_t dev, inode;
};

void home_find(struct home *h, const struct repo *r);

bool home_is(const struct home *h, const struct fsys_stat *st);

/* Is the open directory the repository's, or beneath it?  FOUND, OK, or an error. */
int home_above(const struct home *h, int fd) __attribute__((warn_unused_result));

#endif
