#include "store/reserve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/entropy.h"

#define PATH "reserve"
#define TMP "tmp/reserve"
#define LEAST (4ull << 20)
#define MOST (1ull << 30)
#define PIECE (1u << 20)

uint64_t
reserve_want(uint64_t pack_bytes)
{
	uint64_t n = pack_bytes / 1000;

	return n < LEAST ? LEAST : n > MOST ? MOST : n;
}

bool
reserve_is_full(int rc)
{
	/* The failure may have come from another thread: then only its text is here. */
	return rc == ERR_IO && (err_errno() == ENOSPC || err_errno() == EDQUOT || strstr(err_text(), strerror(ENOSPC)) ||
	    strstr(err_text(), strerror(EDQUOT)));
}

/* Bytes that no file system compresses. */
static int
fill(struct io *io, struct io_file *f, uint64_t bytes)
{
	uint8_t *piece;
	int rc = mem_new((void **)&piece, PIECE);

	if (rc)
		return rc;
	entropy_fill(piece, PIECE);
	for (; rc == OK && bytes; bytes -= bytes < PIECE ? bytes : PIECE)
		rc = io_append(io, f, piece, bytes < PIECE ? (size_t)bytes : PIECE);
	free(piece);
	return rc ? rc : io_sync(io, f);
}

static int
make(struct io *io, uint64_t bytes)
{
	struct io_file *f;
	int rc, rc2;

	if ((rc = io_create(io, TMP, &f)))
		return rc == ERR_EXISTS ? OK : rc;      /* somebody else is at it, or was: the next sweep knows */
	rc = fill(io, f, bytes);
	rc2 = io_close(io, f);
	if (rc == OK)
		rc = rc2;
	if (rc == OK && (rc = reserve_give(io)) >= 0)
		rc = io_rename(io, TMP, PATH);
	if (rc)
		io_discard(io, TMP);
	return rc == OK || rc == ERR_EXISTS ? io_sync_dir(io, "") : rc;
}

int
reserve_make(struct io *io, uint64_t bytes)
{
	uint64_t size;
	int rc = io_stat(io, PATH, &size);

	if (rc == OK && size >= bytes / 4 * 3)
		return OK;
	if (rc && rc != ERR_ABSENT)
		return rc;
	rc = make(io, bytes);
	return reserve_is_full(rc) ? OK : rc;
}

int
reserve_give(struct io *io)
{
	int sys_errno = err_errno(), rc;
	char note[1024];

	snprintf(note, sizeof(note), "%s", err_text());
	if ((rc = io_unlink(io, PATH)) != ERR_ABSENT)
		return rc ? rc : FOUND;
	/* The caller's failure, for which he looked here, is the one to be told. */
	err_set(ERR_IO, note);
	err_set_errno(sys_errno);
	return OK;
}
