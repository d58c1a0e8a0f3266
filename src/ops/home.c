#include "ops/home.h"

#include <string.h>

#include "base/err.h"
#include "store/repo.h"
#include "sys/fsys.h"

void
home_find(struct home *h, const struct repo *r)
{
	*h = (struct home){ 0 };
	h->known = io_identity(r->io, &h->dev, &h->inode) == FOUND;
}

bool
home_is(const struct home *h, const struct fsys_stat *st)
{
	return h->known && st->dev == h->dev && st->inode == h->inode;
}

int
home_above(const struct home *h, int fd)
{
	struct fsys_stat st, last = { 0 };
	char up[3 * 1024] = "";
	size_t len = 0;
	int rc;

	for (;;) {
		if ((rc = fsys_stat(fd, up, &st)))
			return rc;
		if (home_is(h, &st))
			return FOUND;
		/* The root is its own parent.  What is deeper than a path can say is in nobody's repository. */
		if ((st.dev == last.dev && st.inode == last.inode) || len + 4 > sizeof(up))
			return OK;
		last = st;
		memcpy(up + len, len ? "/.." : "..", len ? 4 : 3);
		len += len ? 3 : 2;
	}
}
