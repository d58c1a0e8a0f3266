#include "ops/refill.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/keys.h"
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
	free(f->buf);
	f->buf = NULL;
}

/*
 * Whatever the repository cannot give is damage: it costs this file, not the
 * restore.
 */
static int
damage(int rc)
{
	char text[TEXT_MAX];

	if (rc >= 0 || rc == ERR_NOMEM || rc == ERR_INTERRUPTED)
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
write_piece(struct refill *f, const struct tree_piece *p, int out, int old)
{
	const uint8_t *from = f->buf;
	size_t len = (size_t)p->len;
	int rc = old >= 0 ? data_same(f, p, old) : OK;

	if (rc < 0 || (rc == OK && (rc = stored_piece(f, p, &from))))
		return rc;
	if (f->sparse && is_zero(from, len))
		return OK;
	f->written += len;
	return target_write_at(out, p->off, from, len);
}

int
refill_write(struct refill *f, const struct treenode_entry *e, int out,
    int old)
{
	struct tree_content *c = NULL;
	uint64_t end = 0;
	struct tree_piece p;
	int rc;

	if (e->size == 0)
		return OK;
	if ((rc = damage(tree_content_open(f->rd, e, &c))))
		return rc;
	while ((rc = next_piece(c, &p)) == FOUND) {
		if ((rc = length_check(&p)))
			break;
		if (!p.hole && (rc = write_piece(f, &p, out, old)))
			break;
		if (!p.hole && !f->sparse)
			end = p.off + p.len;
		if (f->tick)
			f->tick(f->arg, p.len);
	}
	tree_content_close(c);
	if (rc != AT_END)
		return rc;
	return end == e->size ? OK : target_set_size(out, e->size);
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
