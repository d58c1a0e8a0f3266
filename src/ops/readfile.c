#include "ops/readfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "codec/lanes.h"
#include "format/frame.h"
#include "ops/entry.h"
#include "sys/fsys.h"

#define STAGE_BUFFER (2u << 20)
#define STAGE_FILE_MAX (512u << 10)
#define STAGE_FILES 128
#define STAGE_PIECES (STAGE_FILES + STAGE_BUFFER / 4096)        /* the chunk minimum is 4096 or more */

struct readfile_staged {
	struct treenode_entry *e;
	size_t off;                     /* in the stage */
	struct name old;                /* the parent's chunk, zero: none.  The same if the fingerprint is, else a base */
	uint64_t old_size;
	uint8_t old_fingerprint[16];
};

int
readfile_init(struct readfile *f, struct repo *r, struct session *s, bool fingerprints)
{
	int rc;

	*f = (struct readfile){ .repo = r, .s = s };
	chunker_init(&f->chunker, r->keys->gear, r->hdr.chunk_min, r->hdr.chunk_avg, r->hdr.chunk_max);
	filebuild_init(&f->build, s, r, &f->chunker, fingerprints);
	if ((rc = mem_new((void **)&f->buf, READFILE_BUFFER)) || (rc = mem_new((void **)&f->stage, STAGE_BUFFER)))
		return rc;
	return mem_new((void **)&f->staged, STAGE_FILES * sizeof(*f->staged));
}

void
readfile_clear(struct readfile *f)
{
	filebuild_clear(&f->build);
	free(f->buf);
	free(f->stage);
	free(f->staged);
	explicit_bzero(&f->chunker, sizeof(f->chunker));
}

/* ------------------------------------------------------------------------------------------------ large files */

static int
fill(struct readfile *f, int fd, uint64_t *off, uint64_t end, size_t *have, bool *eof, int *source)
{
	size_t want, got;

	while (!*eof && *have < READFILE_BUFFER) {
		want = READFILE_BUFFER - *have;
		if (want > end - *off)
			want = (size_t)(end - *off);
		if (want == 0) {
			*eof = true;
			break;
		}
		if ((*source = fsys_read_at(fd, *off, f->buf + *have, want, &got)))
			break;
		*eof = got < want;
		*have += got;
		*off += got;
		f->bytes_read += got;
	}
	return f->tick ? f->tick(f->arg) : OK;
}

/*
 * The old cut instead of the one the content asks for (*len), if one of the chunks that followed it is where it was, or the end.  FOUND:
 * there must be more data to tell.
 */
static int
keep_cut(struct readfile *f, const uint8_t *p, size_t have, bool eof, uint64_t off, size_t *len)
{
	const struct tree_piece *k = f->cuts.piece;
	uint8_t fingerprint[16];
	unsigned count;
	uint64_t at;
	bool last;
	int rc;

	if (!f->build.fingerprints)
		return OK;
	if ((rc = cuts_at(&f->cuts, off, &count, &last)) || count == 0 || k[0].len == *len)
		return rc;
	at = k[0].len;
	for (unsigned i = 1; i < count; at += k[i++].len) {
		if (have < at + k[i].len)
			return eof || have == READFILE_BUFFER ? OK : FOUND;
		digest_poly1305(fingerprint, f->repo->keys->fingerprint, p + at, (size_t)k[i].len);
		if (memcmp(fingerprint, k[i].fingerprint, sizeof(fingerprint)) == 0) {
			*len = (size_t)k[0].len;
			return OK;
		}
	}
	if (!last || have != at)
		return OK;
	if (!eof)
		return have == READFILE_BUFFER ? OK : FOUND;
	*len = (size_t)k[0].len;
	return OK;
}

/* Lengths of the next chunks at f->buf + *used, at most FILEBUILD_BATCH. */
static int
cut_batch(struct readfile *f, size_t have, bool eof, size_t *used, size_t *lens, size_t *count)
{
	uint64_t off = f->build.off;
	size_t n;
	int rc;

	for (n = 0; n < FILEBUILD_BATCH && *used < have; n++) {
		lens[n] = chunker_cut(&f->chunker, f->buf + *used, have - *used, eof);
		if (lens[n] == 0)
			break;
		rc = keep_cut(f, f->buf + *used, have - *used, eof, off, &lens[n]);
		if (rc == FOUND)
			break;
		if (rc)
			return rc;
		*used += lens[n];
		off += lens[n];
	}
	*count = n;
	return OK;
}

/* A run of data [off, end); *got_end: where the file really ended, if sooner. */
static int
read_run(struct readfile *f, int fd, uint64_t off, uint64_t end, uint64_t *got_end, int *source)
{
	size_t lens[FILEBUILD_BATCH], have = 0, used, n, at;
	bool eof = false;
	int rc;

	while (!eof || have) {
		if ((rc = fill(f, fd, &off, end, &have, &eof, source)) || *source)
			return rc;
		used = 0;
		do {
			at = used;
			if ((rc = cut_batch(f, have, eof, &used, lens, &n)) ||
			    (n && (rc = filebuild_chunks(&f->build, f->buf + at, lens, n))))
				return rc;
		} while (n == FILEBUILD_BATCH);
		memmove(f->buf, f->buf + used, have - used);
		have -= used;
	}
	*got_end = off;
	return OK;
}

/* All of fd; errors of the source go to *source. */
static int
read_content(struct readfile *f, int fd, const struct fsys_stat *st, struct tree_content *old, struct filebuild_content *out,
    int *source)
{
	bool sparse = st->blocks * 512 < st->size;
	uint64_t off = 0, start = 0, end = st->size, got;
	int rc;

	*source = OK;
	filebuild_begin(&f->build, old);
	while (off < st->size) {
		if (sparse && (*source = fsys_next_data(fd, off, st->size, &start, &end)))
			return OK;
		if (start > off && (rc = filebuild_hole(&f->build, start - off)))
			return rc;
		if (start >= st->size)
			break;
		if ((rc = read_run(f, fd, start, end, &got, source)) || *source)
			return rc;
		if (got < end)
			break;          /* it shrank: the second stat tells */
		off = start = end;
		end = st->size;
	}
	return filebuild_end(&f->build, out);
}

static int
old_content(struct readfile *f, const struct treenode_entry *old, struct tree_content **out)
{
	int rc;

	*out = NULL;
	if (!old || !f->parent_reader || old->kind != TREENODE_FILE || name_is_zero(&old->content))
		return OK;
	rc = tree_content_open(f->parent_reader, old, out);
	/* A damaged parent only costs the shortcut. */
	return err_is_damage(rc) ? OK : rc;
}

static void
entry_content(struct treenode_entry *e, const struct filebuild_content *c)
{
	e->content = c->id;
	memcpy(e->fingerprint, c->fingerprint, sizeof(e->fingerprint));
	e->size = c->size;
	if (c->list)
		e->flags |= TREENODE_LIST;
}

static int
read_large(struct readfile *f, int fd, const struct fsys_stat *st, const struct treenode_entry *old, struct treenode_entry *e,
    int *source)
{
	struct filebuild_content content;
	struct tree_content *oc, *cuts = NULL;
	int rc;

	if ((rc = old_content(f, old, &oc)) == OK && (rc = old_content(f, old, &cuts)) == OK) {
		cuts_begin(&f->cuts, cuts);
		rc = read_content(f, fd, st, oc, &content, source);
		cuts_end(&f->cuts);
	}
	tree_content_close(oc);
	f->bytes_new += f->build.bytes_new;
	if (rc == OK && *source == OK)
		entry_content(e, &content);
	return rc;
}

/* ------------------------------------------------------------------------------------------------ staged files */

static bool
can_stage(const struct readfile *f, const struct fsys_stat *st, const struct treenode_entry *old)
{
	if (st->size > STAGE_FILE_MAX || st->blocks * 512 < st->size)
		return false;
	/* A changed file of several chunks is compared with its predecessor's list as it is read. */
	return !old || old->kind != TREENODE_FILE || name_is_zero(&old->content) ||
	    (st->size <= f->repo->hdr.chunk_min && !(old->flags & TREENODE_LIST));
}

static int
stage(struct readfile *f, int fd, const struct fsys_stat *st, struct treenode_entry *e, int *source)
{
	size_t got;
	int rc;

	if ((f->staged_count == STAGE_FILES || STAGE_BUFFER - f->stage_len <= st->size) && (rc = readfile_flush(f)))
		return rc;
	if ((*source = fsys_read_file(fd, (size_t)st->size, f->stage + f->stage_len, &got)))
		return OK;
	e->size = got;
	f->bytes_read += got;
	return f->tick ? f->tick(f->arg) : OK;
}

/* The file just staged is as it should be: it counts. */
static void
stage_keep(struct readfile *f, const struct treenode_entry *old, struct treenode_entry *e)
{
	struct readfile_staged *k;

	if (e->size == 0)
		return;
	k = &f->staged[f->staged_count++];
	*k = (struct readfile_staged){ .e = e, .off = f->stage_len };
	f->stage_len += (size_t)e->size;
	if (old && old->kind == TREENODE_FILE) {
		k->old = old->content;
		k->old_size = old->size;
		memcpy(k->old_fingerprint, old->fingerprint, sizeof(k->old_fingerprint));
	}
}

/* A staged chunk. */
struct piece {
	uint32_t file;                  /* index in staged[] */
	uint8_t fingerprint[16];
	bool known;                     /* the parent's chunk of this file is this one */
};

/* Cut the staged files; chunks whose id is not known become jobs. */
static int
cut_staged(struct readfile *f, struct piece *pieces, struct lanes_job *jobs, size_t *count)
{
	int rc;

	*count = 0;
	for (uint32_t i = 0; i < f->staged_count; i++) {
		struct readfile_staged *k = &f->staged[i];
		size_t left = (size_t)k->e->size, len;
		const uint8_t *p = f->stage + k->off;

		for (; left; left -= len, p += len) {
			struct piece *c = &pieces[*count];

			len = chunker_cut(&f->chunker, p, left, true);
			*c = (struct piece){ .file = i };
			digest_poly1305(c->fingerprint, f->repo->keys->fingerprint, p, len);
			jobs[(*count)++] = (struct lanes_job){ .p = p, .len = len, .type = FRAME_DATA, .id = k->old };
			if (!f->build.fingerprints || name_is_zero(&k->old) || k->old_size != len ||
			    memcmp(k->old_fingerprint, c->fingerprint, sizeof(c->fingerprint)) != 0)
				continue;
			if ((rc = session_has(f->s, &k->old)) < 0)
				return rc;
			c->known = rc == FOUND;
		}
	}
	return OK;
}

/* Hash the jobs of the pieces that are not known; jobs keep their places. */
static void
hash_staged(struct readfile *f, const struct piece *pieces, struct lanes_job *jobs, size_t count)
{
	struct lanes_job todo[STAGE_PIECES];
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!pieces[i].known)
			todo[n++] = jobs[i];
	lanes_chunk_ids(f->repo->keys->id, todo, n);
	n = 0;
	for (size_t i = 0; i < count; i++)
		if (!pieces[i].known)
			jobs[i].id = todo[n++].id;
}

int
readfile_flush(struct readfile *f)
{
	struct lanes_job jobs[STAGE_PIECES];
	struct piece pieces[STAGE_PIECES];
	struct filebuild_content content;
	size_t count, at = 0;
	int rc;

	if ((rc = cut_staged(f, pieces, jobs, &count)))
		return rc;
	hash_staged(f, pieces, jobs, count);
	for (uint32_t i = 0; rc == OK && i < f->staged_count; i++) {
		struct readfile_staged *k = &f->staged[i];

		filebuild_begin(&f->build, NULL);
		for (; rc == OK && at < count && pieces[at].file == i; at++)
			rc = filebuild_named(&f->build, jobs[at].p, jobs[at].len, &jobs[at].id, pieces[at].fingerprint,
			    name_is_zero(&k->old) ? NULL : &k->old);
		if (rc == OK && (rc = filebuild_end(&f->build, &content)) == OK)
			entry_content(k->e, &content);
		f->bytes_new += f->build.bytes_new;
	}
	f->staged_count = f->stage_len = 0;
	return rc;
}

/* -------------------------------------------------------------------------------------------------- one file */

static bool
stat_equal(const struct fsys_stat *a, const struct fsys_stat *b)
{
	return a->size == b->size && a->mtime == b->mtime && a->mtime_ns == b->mtime_ns && a->ctime == b->ctime &&
	    a->ctime_ns == b->ctime_ns;
}

/* The file turned out to be unreadable. */
static void
unread(struct treenode_entry *e, const struct fsys_stat *st)
{
	e->flags = (uint8_t)((e->flags & ~TREENODE_LIST) | TREENODE_UNREAD);
	memset(&e->content, 0, sizeof(e->content));
	e->size = st->size;
}

int
readfile_read(struct readfile *f, int fd, struct fsys_stat *st, const struct treenode_entry *old, struct treenode_entry *e,
    enum readfile_outcome *outcome)
{
	struct fsys_stat after;
	int rc, source = OK;
	bool staged;

	*outcome = READFILE_DONE;
	for (int attempt = 0;; attempt++) {
		staged = attempt == 0 && can_stage(f, st, old);
		rc = staged ? stage(f, fd, st, e, &source) : read_large(f, fd, st, old, e, &source);
		if (rc)
			return rc;
		if (source || (source = fsys_stat(fd, "", &after))) {
			unread(e, st);
			*outcome = READFILE_FAILED;
			return source == ERR_NOMEM ? source : OK;
		}
		if (stat_equal(st, &after) && e->size == st->size)
			break;
		if (attempt > 0) {
			e->flags |= TREENODE_CHANGED;
			*outcome = READFILE_CHANGED;
			break;
		}
		*st = after;
		entry_stat(e, st);
		e->flags &= (uint8_t)~TREENODE_LIST;
	}
	if (staged)
		stage_keep(f, old, e);
	return OK;
}

int
readfile_stream(struct readfile *f, int fd, struct treenode_entry *e)
{
	struct filebuild_content content;
	uint64_t end;
	int rc, source = OK;

	filebuild_begin(&f->build, NULL);
	if ((rc = read_run(f, fd, 0, UINT64_MAX / 4, &end, &source)) || (rc = source) ||
	    (rc = filebuild_end(&f->build, &content)))
		return rc;
	f->bytes_new += f->build.bytes_new;
	entry_content(e, &content);
	return OK;
}
