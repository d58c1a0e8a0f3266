#include "ops/refill.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "store/fetch.h"
#include "store/tree.h"
#include "sys/fsys.h"
#include "sys/signals.h"
#include "sys/target.h"

#define CHUNK_MAX (1u << 20)            /* CH-2 */
#define TEXT_MAX 512

int
refill_init(struct refill *f)
{
	return mem_new((void **)&f->buf, CHUNK_MAX);
}

void
refill_clear(struct refill *f)
{
	f->fetch = fetch_free(f->fetch);
	free(f->buf);
	f->buf = NULL;
}

/*
 * What is wrong in the repository costs this file, not the restore; that it
 * cannot be opened now, by this process, is not damage.
 */
static int
damage(int rc)
{
	char text[TEXT_MAX];

	if (!err_is_lost(rc) && rc != ERR_UNSUPPORTED && rc != ERR_FAILED)
		return rc;
	strncpy(text, err_text(), sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return fail(ERR_CORRUPT, "%s", text);
}

static int
next_piece(struct tree_content *c, struct tree_piece *piece)
{
	int rc = signals_check();

	return rc ? rc : damage(tree_content_next(c, piece));
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* FOUND when the file reads as zeros from off to end. */
static int
hole_same(struct refill *f, int fd, uint64_t off, uint64_t end)
{
	uint64_t start, stop;
	size_t want, got;
	int rc;

	while (off < end) {
		if ((rc = fsys_next_data(fd, off, end, &start, &stop)))
			return rc;
		for (off = start; off < stop; off += got) {
			want = stop - off < CHUNK_MAX ? (size_t)(stop - off) :
			    CHUNK_MAX;
			if ((rc = fsys_read_at(fd, off, f->buf, want, &got)))
				return rc;
			if (got < want || !is_zero(f->buf, got))
				return OK;
		}
	}
	return FOUND;
}

/*
 * FOUND when the file has this piece; its bytes are in f->buf then.  In a
 * repository whose keys everybody knows fingerprints prove nothing against the
 * author of a file, so the id is computed instead.
 */
static int
data_same(struct refill *f, const struct tree_piece *p, int fd)
{
	size_t len = (size_t)p->len, got;
	uint8_t mac[16];
	struct name id;
	int rc = fsys_read_at(fd, p->off, f->buf, len, &got);

	if (rc || got < len)
		return rc;
	if (f->keys->public_slot) {
		digest_chunk_id(&id, f->keys->id, 'D', f->buf, len);
		return name_cmp(&id, &p->id) == 0 ? FOUND : OK;
	}
	digest_poly1305(mac, f->keys->fingerprint, f->buf, len);
	return memcmp(mac, p->fingerprint, sizeof(mac)) == 0 ? FOUND : OK;
}

static int
length_check(const struct tree_piece *p)
{
	return p->hole || (p->len >= 1 && p->len <= CHUNK_MAX) ? OK :
	    fail(ERR_CORRUPT, "bad length of a chunk");
}

int
refill_same(struct refill *f, const struct treenode_entry *e, int fd,
    uint64_t size)
{
	struct tree_content *c = NULL;
	struct tree_piece p;
	int rc;

	if (size != e->size || size == 0)
		return size == e->size ? FOUND : OK;
	if ((rc = damage(tree_content_open(f->rd, e, &c))))
		return rc;
	while ((rc = next_piece(c, &p)) == FOUND) {
		if ((rc = length_check(&p)))
			break;
		rc = p.hole ? hole_same(f, fd, p.off, p.off + p.len) :
		    data_same(f, &p, fd);
		if (rc != FOUND)
			break;
		if (f->tick)
			f->tick(f->arg, p.len);
	}
	tree_content_close(c);
	return rc == AT_END ? FOUND : rc;
}

/* The piece as the repository has it. */
static int
stored_piece(struct refill *f, const struct tree_piece *p, const uint8_t **from)
{
	size_t len;
	int rc = damage(reader_get(f->rd, &p->id, 'D', from, &len));

	if (rc < 0)
		return rc;
	return len == p->len ? OK : fail(ERR_CORRUPT,
	    "a chunk has another length than its list says");
}

static int
put_piece(struct refill *f, const struct tree_piece *p, int out,
    const uint8_t *from)
{
	size_t len = (size_t)p->len;

	if (f->sparse && is_zero(from, len))
		return OK;
	f->written += len;
	return target_write_at(out, p->off, from, len);
}

static int
write_piece(struct refill *f, const struct tree_piece *p, int out, int old)
{
	const uint8_t *from = f->buf;
	int rc = old >= 0 ? data_same(f, p, old) : OK;

	if (rc < 0 || (rc == OK && (rc = stored_piece(f, p, &from))))
		return rc;
	return put_piece(f, p, out, from);
}

/* A file on its way to `out`. */
struct copy {
	struct refill *f;
	int out, old;
	uint64_t end;                   /* of what was written */
	int failed;                     /* to write it */
};

/* p: NULL when it is to be had from the repository, or the old file. */
static int
copy_piece(struct copy *c, const struct tree_piece *t, const uint8_t *p)
{
	struct refill *f = c->f;
	int rc = OK;

	if (!t->hole)
		rc = p ? put_piece(f, t, c->out, p) :
		    write_piece(f, t, c->out, c->old);
	if (rc)
		return rc;
	if (!t->hole && !f->sparse)
		c->end = t->off + t->len;
	if (f->tick)
		f->tick(f->arg, t->len);
	return OK;
}

static int
copy_fetched(void *arg, const struct tree_piece *t, const uint8_t *p)
{
	struct copy *c = arg;

	return c->failed = copy_piece(c, t, p);
}


static int
copy_all(struct copy *c, const struct treenode_entry *e)
{
	struct tree_content *content = NULL;
	struct tree_piece t;
	int rc = damage(tree_content_open(c->f->rd, e, &content));

	while (rc == OK && (rc = next_piece(content, &t)) == FOUND &&
	    (rc = length_check(&t)) == OK)
		rc = copy_piece(c, &t, NULL);
	tree_content_close(content);
	return rc;
}

/* With many threads; AT_END when all is there. */
static int
fetch_all(struct copy *c, const struct treenode_entry *e)
{
	struct refill *f = c->f;
	int rc;

	if (!f->fetch && fetch_new(f->rd, f->jobs, &f->fetch)) {
		f->jobs = 0;            /* no threads, or no files, for it */
		return copy_all(c, e);
	}
	rc = fetch_content(f->fetch, e, copy_fetched, c);
	if (rc == OK)
		return AT_END;
	return c->failed ? rc : damage(rc);
}

int
refill_write(struct refill *f, const struct treenode_entry *e, int out,
    int old)
{
	struct copy c = { .f = f, .out = out, .old = old };
	int rc;

	if (e->size == 0)
		return OK;
	rc = old < 0 && f->jobs > 0 && e->size >= FETCH_LEAST ?
	    fetch_all(&c, e) : copy_all(&c, e);
	if (rc != AT_END)
		return rc;
	return c.end == e->size ? OK : target_set_size(out, e->size);
}

int
refill_read(struct refill *f, const struct treenode_entry *e, uint8_t *to)
{
	struct tree_content *c = NULL;
	const uint8_t *from;
	struct tree_piece p;
	int rc;

	if (e->size == 0)
		return FOUND;
	if ((rc = damage(tree_content_open(f->rd, e, &c))))
		return rc;
	while ((rc = next_piece(c, &p)) == FOUND && !p.hole) {
		if ((rc = length_check(&p)) || (rc = stored_piece(f, &p, &from)))
			break;
		memcpy(to + p.off, from, (size_t)p.len);
	}
	tree_content_close(c);
	return rc == AT_END ? FOUND : rc == FOUND ? OK : rc;
}
