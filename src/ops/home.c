#include "ops/home.h"

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
	int at = -1, up, rc;

	for (;;) {
		if ((rc = fsys_stat(at < 0 ? fd : at, "", &st)))
			break;
		if (home_is(h, &st)) {
			rc = FOUND;
			break;
		}
		/* The root is its own parent. */
		if (st.dev == last.dev && st.inode == last.inode)
			break;
		last = st;
		if ((rc = fsys_open_dir(at < 0 ? fd : at, "..", &up)))
			break;
		fsys_close(at);
		at = up;
	}
	fsys_close(at);
	return rc;
}
