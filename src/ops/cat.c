#include "ops/cat.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "ops/listing.h"
#include "ops/view.h"
#include "store/tree.h"
#include "sys/signals.h"

#define ZEROS_LEN (64u << 10)

static int
give_hole(uint64_t len, cat_sink_fn sink, void *arg, uint64_t *bytes)
{
	uint8_t *zeros;
	int rc = mem_new((void **)&zeros, ZEROS_LEN);

	while (rc == OK && len) {
		size_t n = len < ZEROS_LEN ? (size_t)len : ZEROS_LEN;

		if ((rc = signals_check()) || (rc = sink(arg, zeros, n)))
			break;
		*bytes += n;
		len -= n;
	}
	free(zeros);
	return rc;
}

static int
give_piece(struct reader *rd, const struct tree_piece *piece, cat_sink_fn sink, void *arg,
    uint64_t *bytes)
{
	const uint8_t *p;
	size_t len;
	int rc;

	if (piece->hole)
		return give_hole(piece->len, sink, arg, bytes);
	if ((rc = reader_get(rd, &piece->id, FRAME_DATA, &p, &len)))
		return view_damage(rc);
	if (len != piece->len)
		return fail(ERR_CORRUPT, "a chunk has not the length that its list says");
	if ((rc = sink(arg, p, len)) == OK)
		*bytes += len;
	return rc;
}

static int
give_content(struct reader *rd, const struct treenode_entry *e, cat_sink_fn sink, void *arg,
    uint64_t *bytes)
{
	struct tree_content *c;
	struct tree_piece piece;
	int rc, piece_rc = OK;

	if ((rc = tree_content_open(rd, e, &c)))
		return view_damage(rc);
	while ((rc = tree_content_next(c, &piece)) == FOUND)
		if ((piece_rc = signals_check()) || (piece_rc = give_piece(rd, &piece, sink, arg,
		    bytes)))
			break;
	tree_content_close(c);
	if (piece_rc)
		return piece_rc;
	return rc < 0 ? view_damage(rc) : OK;
}

int
cat_file(struct reader *rd, const struct name *root, const char *path, cat_sink_fn sink, void *arg,
    uint64_t *bytes)
{
	struct tree_entry found = { .mem = NULL };
	char *clean;
	int rc;

	*bytes = 0;
	if ((rc = listing_clean_path(NULL, path, &clean)))
		return rc;
	rc = view_damage(tree_lookup(rd, root, clean, strlen(clean), &found));
	if (rc < 0)
		goto out;
	if (rc == OK)
		rc = fail(ERR_ABSENT, "no '%s'", clean);
	else if (found.e.kind == TREENODE_DIR)
		rc = fail(ERR_FAILED, "'%s' is a directory; 'varve restore' brings it back", clean);
	else if (found.e.kind == TREENODE_LINK)
		rc = fail(ERR_FAILED, "'%s' is a symbolic link to '%.*s'", clean, (int)found.e.size,
		    (const char *)found.e.target);
	else if (found.e.kind != TREENODE_FILE)
		rc = fail(ERR_FAILED, "'%s' is not a regular file", clean);
	else if (found.e.flags & TREENODE_UNREAD)
		rc = fail(ERR_FAILED, "'%s' could not be read when the snapshot was made", clean);
	else
		rc = err_context(give_content(rd, &found.e, sink, arg, bytes), "'%s'", clean);
out:
	tree_entry_clear(&found);
	free(clean);
	return rc;
}
