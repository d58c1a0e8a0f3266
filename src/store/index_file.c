/*
 * index_file: see the header.  The one hard idea: bits per block, set once it was checked.
 *
 *     MAC -> tags of tags (read when the file is opened) -> a block of tags -> a block of the body
 *
 * A lookup in a file of any size checks a block of tags and one or two of the body, 4 KiB each.
 */
#include "store/index_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "format/extrec.h"

#define EXTRA_READ (1u << 28)            /* eight million packs published at once */
#define BUCKET_ROWS 160                 /* a bucket holds 64 rows or fewer on average */

struct index_file {
	struct repo *repo;
	struct io_file *file;
	struct indexfile_header h;
	struct indexfile_layout l;
	uint8_t *upper;                 /* tags of tags */
	uint8_t *tags;                  /* filled block by block */
	uint64_t *tags_seen, *seen;     /* one bit per block of tags, of the body */
	uint8_t *body;                  /* the body, filled block by block; NULL when it is too large to keep */
	uint8_t *block;                 /* block block_no of it, when body is NULL */
	uint64_t block_no;              /* UINT64_MAX: none */
	char path[INDEX_FILE_PATH];
};

bool
index_file_parse_segment(const char *name, struct name_sid *sid, uint32_t *part)
{
	char hex[NAME_SID_HEX];
	uint8_t p[4];

	if (strlen(name) != 41 || name[32] != '-')
		return false;
	memcpy(hex, name, 32);
	hex[32] = 0;
	if (!name_sid_unhex(sid, hex) || !name_unhex_bytes(p, 4, name + 33))
		return false;
	*part = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return true;
}

bool
index_file_parse_table(const char *name, uint64_t *number)
{
	uint8_t p[8];

	if (strlen(name) != 16 || !name_unhex_bytes(p, 8, name))
		return false;
	*number = 0;
	for (int i = 0; i < 8; i++)
		*number = *number << 8 | p[i];
	return *number > 0;
}

void
index_file_segment_path(char out[static INDEX_FILE_PATH], const char *dir, const struct name_sid *sid, uint32_t part)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(sid, hex);
	snprintf(out, INDEX_FILE_PATH, "%s/%s-%08x", dir, hex, part);
}

void
index_file_table_path(char out[static INDEX_FILE_PATH], const char *dir, uint64_t number)
{
	snprintf(out, INDEX_FILE_PATH, "%s/%016llx", dir, (unsigned long long)number);
}

static bool
name_fits(const struct index_file *f, const char *path)
{
	const char *base = strrchr(path, '/');
	struct name_sid sid;
	uint64_t number;
	uint32_t part;

	base = base ? base + 1 : path;
	if (f->h.kind == INDEXFILE_SEGMENT)
		return index_file_parse_segment(base, &sid, &part) && part == f->h.number &&
		    name_sid_cmp(&sid, &f->h.sid) == 0;
	return index_file_parse_table(base, &number) && number == f->h.number;
}

/* IX-2. */
static int
check_mac(const struct index_file *f, const uint8_t *raw)
{
	uint8_t head[16 + INDEXFILE_MAC_OFF];
	struct name mac;

	if (!f->repo->keys)
		return OK;              /* nothing can be proven, only read: scrub */
	memcpy(head, "varve index head", 16);
	memcpy(head + 16, raw, INDEXFILE_MAC_OFF);
	digest_keyed2(&mac, f->repo->keys->index, head, sizeof(head), f->upper,
	    (size_t)f->l.upper_count * INDEXFILE_TAG_LEN);
	if (memcmp(mac.b, f->h.mac, sizeof(mac.b)) != 0)
		return fail(ERR_AUTH, "index file '%s' was not made with this key or is damaged", f->path);
	return OK;
}

static size_t
bits_len(uint64_t count)
{
	return (size_t)((count + 63) / 64 * 8);
}

static int
read_head(struct index_file *f, const char *path)
{
	struct io *io = f->repo->io;
	uint8_t raw[INDEXFILE_HEADER_LEN];
	uint64_t size;
	size_t upper_len;
	int rc;

	if ((rc = io_size(io, f->file, &size)) ||
	    (rc = io_read_at(io, f->file, 0, raw, sizeof(raw))) ||
	    (rc = err_verdict(indexfile_header_decode(&f->h, raw, sizeof(raw)), "index file header")))
		return rc;
	indexfile_layout(&f->h, &f->l);
	if (f->l.file_len != size)
		return fail(ERR_CORRUPT, "index file '%s' has the wrong length", path);
	if (name_sid_cmp(&f->h.repo_id, &f->repo->hdr.repo_id) != 0 || !name_fits(f, path))
		return fail(ERR_AUTH, "index file '%s' belongs elsewhere", path);
	upper_len = (size_t)f->l.upper_count * INDEXFILE_TAG_LEN;
	/* Large ones are zero pages until they are used. */
	if ((rc = mem_new((void **)&f->upper, upper_len)) ||
	    (rc = mem_new((void **)&f->tags, (size_t)f->l.block_count * INDEXFILE_TAG_LEN)) ||
	    (rc = mem_new((void **)&f->tags_seen, bits_len(f->l.upper_count))) ||
	    (rc = mem_new((void **)&f->seen, bits_len(f->l.block_count))) ||
	    (rc = io_read_at(io, f->file, f->l.upper_off, f->upper, upper_len)))
		return rc;
	return check_mac(f, raw);
}

int
index_file_open(struct repo *r, const char *path, struct index_file **out)
{
	struct index_file *f;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(f)))
		return rc;
	f->repo = r;
	f->block_no = UINT64_MAX;
	snprintf(f->path, sizeof(f->path), "%s", path);
	if ((rc = io_open(r->io, path, &f->file)) || (rc = read_head(f, path)))
		goto out;
	/* Not zeroed: a block is read before it is used, and of a large body only a few are. */
	if (f->l.end <= INDEX_FILE_CACHED)
		f->body = malloc(f->l.end ? (size_t)f->l.end : 1);
	else
		f->block = malloc(INDEXFILE_BLOCK);
	if (!f->body && !f->block)
		rc = fail(ERR_NOMEM, "out of memory");
out:
	*out = rc ? index_file_close(f) : f;
	return err_context(rc, "%s", path);
}

struct index_file *
index_file_close(struct index_file *f)
{
	if (f) {
		(void)io_close(f->repo->io, f->file);
		free(f->upper);
		free(f->tags);
		free(f->tags_seen);
		free(f->seen);
		free(f->body);
		free(f->block);
		free(f);
	}
	return NULL;
}

const struct indexfile_header *
index_file_header(const struct index_file *f)
{
	return &f->h;
}

uint64_t
index_file_len(const struct index_file *f)
{
	return f->l.file_len;
}

void
index_file_tag(uint8_t tag[static INDEXFILE_TAG_LEN], const struct repo *r, const struct indexfile_header *h,
    const char *kind, uint64_t i, const uint8_t *p, size_t len)
{
	uint8_t msg[40];
	struct name key;

	memcpy(msg, kind, 16);
	memcpy(msg + 16, h->nonce, 16);
	for (int k = 0; k < 8; k++)
		msg[32 + k] = (uint8_t)(i >> (8 * k));
	digest_keyed(&key, r->keys->index, msg, sizeof(msg));
	digest_poly1305(tag, key.b, p, len);
}

static bool
bit(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* Length of block i of a section that ends at `end`. */
static size_t
block_len(uint64_t end, uint64_t i)
{
	uint64_t left = end - i * INDEXFILE_BLOCK;

	return (size_t)(left < INDEXFILE_BLOCK ? left : INDEXFILE_BLOCK);
}

static int
check_tag(const struct index_file *f, const char *kind, uint64_t i, const uint8_t *p, size_t len, const uint8_t *wanted)
{
	uint8_t tag[INDEXFILE_TAG_LEN];

	if (!f->repo->keys)
		return OK;              /* as in check_mac */
	index_file_tag(tag, f->repo, &f->h, kind, i, p, len);
	if (memcmp(tag, wanted, sizeof(tag)) != 0)
		return fail(ERR_AUTH, "index file '%s' is damaged in block %llu of its %s", f->path, (unsigned long long)i,
		    kind + 12);
	return OK;
}

static int
see_tags(struct index_file *f, uint64_t i)
{
	uint64_t off = i * INDEXFILE_BLOCK;
	size_t len = block_len(f->l.block_count * INDEXFILE_TAG_LEN, i);
	int rc;

	if ((rc = io_read_at(f->repo->io, f->file, f->l.tags_off + off, f->tags + off, len)) ||
	    (rc = check_tag(f, INDEX_FILE_TAGS, i, f->tags + off, len, f->upper + i * INDEXFILE_TAG_LEN)))
		return rc;
	f->tags_seen[i / 64] |= 1ull << (i % 64);
	return OK;
}

/* Read block i of the body to p, checked the first time (IX-3). */
static int
see_block(struct index_file *f, uint64_t i, uint8_t *p)
{
	uint64_t above = i * INDEXFILE_TAG_LEN / INDEXFILE_BLOCK;
	size_t len = block_len(f->l.end, i);
	int rc;

	if ((rc = io_read_at(f->repo->io, f->file, f->l.body_off + i * INDEXFILE_BLOCK, p, len)) || bit(f->seen, i))
		return rc;
	if ((!bit(f->tags_seen, above) && (rc = see_tags(f, above))) ||
	    (rc = check_tag(f, INDEX_FILE_BODY, i, p, len, f->tags + i * INDEXFILE_TAG_LEN)))
		return rc;
	f->seen[i / 64] |= 1ull << (i % 64);
	return OK;
}

/* Where block i of the body is in memory. */
static int
get_block(struct index_file *f, uint64_t i, const uint8_t **p)
{
	int rc;

	if (f->body) {
		*p = f->body + i * INDEXFILE_BLOCK;
		return bit(f->seen, i) ? OK : see_block(f, i, f->body + i * INDEXFILE_BLOCK);
	}
	*p = f->block;
	if (f->block_no == i)
		return OK;
	f->block_no = UINT64_MAX;
	if ((rc = see_block(f, i, f->block)) == OK)
		f->block_no = i;
	return rc;
}

/* len bytes of the body at off, all from checked blocks. */
static int
body_read(struct index_file *f, uint64_t off, void *dst, size_t len)
{
	const uint8_t *p;
	uint8_t *to = dst;
	size_t at, n;
	int rc;

	if (off > f->l.end || len > f->l.end - off)
		return fail(ERR_CORRUPT, "index file '%s' ends too early", f->path);
	for (; len > 0; off += n, to += n, len -= n) {
		if ((rc = get_block(f, off / INDEXFILE_BLOCK, &p)))
			return rc;
		at = (size_t)(off % INDEXFILE_BLOCK);
		n = INDEXFILE_BLOCK - at < len ? INDEXFILE_BLOCK - at : len;
		memcpy(to, p + at, n);
	}
	return OK;
}

/* For who wants few bytes of many blocks: of those that have been checked (IX-3) no more is read than that. */
static int
body_peek(struct index_file *f, uint64_t off, void *dst, size_t len)
{
	uint64_t i = off / INDEXFILE_BLOCK;

	if (f->body || len == 0 || off > f->l.end || len > f->l.end - off)
		return body_read(f, off, dst, len);
	for (; i <= (off + len - 1) / INDEXFILE_BLOCK; i++)
		if (f->block_no == i || !bit(f->seen, i))
			return body_read(f, off, dst, len);
	return io_read_at(f->repo->io, f->file, f->l.body_off + off, dst, len);
}

int
index_file_keep(struct index_file *f, uint32_t i, uint64_t *number)
{
	uint8_t raw[INDEXFILE_KEEP_LEN];
	struct cursor c;
	int rc;

	if ((rc = body_read(f, f->l.keep + (uint64_t)i * sizeof(raw), raw, sizeof(raw))))
		return rc;
	cursor_init(&c, raw, sizeof(raw));
	*number = cursor_u64(&c);
	if (*number == 0 || *number >= f->h.number)
		return fail(ERR_CORRUPT, "index file '%s' keeps an impossible table", f->path);
	return OK;
}

int
index_file_remove(struct index_file *f, uint32_t i, struct indexfile_remove *r)
{
	uint8_t raw[INDEXFILE_REMOVE_LEN];
	int rc = body_read(f, f->l.remove + (uint64_t)i * sizeof(raw), raw, sizeof(raw));

	return rc ? rc : err_verdict(indexfile_remove_decode(r, raw, sizeof(raw)), "row of dead names in the index");
}

/* How a row is read: with its block, or alone. */
typedef int (*body_fn)(struct index_file *f, uint64_t off, void *dst, size_t len);

static int
pack_row(struct index_file *f, uint32_t i, struct indexfile_pack *p, body_fn read)
{
	uint8_t raw[INDEXFILE_PACK_LEN];
	int rc;

	if (i >= f->h.pack_count)
		return fail(ERR_CORRUPT, "index file '%s' names a pack it does not have", f->path);
	rc = read(f, f->l.packs + (uint64_t)i * sizeof(raw), raw, sizeof(raw));
	return rc ? rc : err_verdict(indexfile_pack_decode(p, raw, sizeof(raw)), "row of packs in the index");
}

static int
frame_row(struct index_file *f, uint32_t i, struct indexfile_frame *fr, body_fn read)
{
	uint8_t raw[INDEXFILE_FRAME_LEN];
	int rc;

	if (i >= f->h.frame_count)
		return fail(ERR_CORRUPT, "index file '%s' names a frame it does not have", f->path);
	rc = read(f, f->l.frames + (uint64_t)i * sizeof(raw), raw, sizeof(raw));
	return rc ? rc : err_verdict(indexfile_frame_decode(fr, raw, sizeof(raw)), "row of frames in the index");
}

int
index_file_pack(struct index_file *f, uint32_t i, struct indexfile_pack *p)
{
	return pack_row(f, i, p, body_read);
}

int
index_file_frame(struct index_file *f, uint32_t i, struct indexfile_frame *fr)
{
	return frame_row(f, i, fr, body_read);
}

int
index_file_place(struct index_file *f, uint32_t i, struct indexfile_frame *fr, struct indexfile_pack *p)
{
	int rc = frame_row(f, i, fr, body_peek);

	return rc ? rc : pack_row(f, fr->pack, p, body_peek);
}

int
index_file_row(struct index_file *f, uint64_t i, struct indexfile_row *row)
{
	uint8_t raw[INDEXFILE_ROW_LEN];
	int rc = body_read(f, f->l.rows + i * sizeof(raw), raw, sizeof(raw));

	return rc ? rc : err_verdict(indexfile_row_decode(row, raw, sizeof(raw)), "row of chunks in the index");
}

/* First and last row of the id's bucket (IX-5). */
static int
bucket(struct index_file *f, const struct name *id, uint64_t *lo, uint64_t *hi)
{
	uint32_t b = indexfile_bucket(id, f->h.fanout_bits);
	uint8_t raw[2 * INDEXFILE_FANOUT_LEN];
	struct cursor c;
	int rc;

	if (b == 0) {
		*lo = 0;
		rc = body_peek(f, f->l.fanout, raw, INDEXFILE_FANOUT_LEN);
		cursor_init(&c, raw, INDEXFILE_FANOUT_LEN);
	} else {
		rc = body_peek(f, f->l.fanout + (uint64_t)(b - 1) * INDEXFILE_FANOUT_LEN, raw, sizeof(raw));
		cursor_init(&c, raw, sizeof(raw));
		*lo = rc ? 0 : cursor_u32(&c);
	}
	if (rc)
		return rc;
	*hi = cursor_u32(&c);
	if (*lo > *hi || *hi > f->h.row_count)
		return fail(ERR_CORRUPT, "index file '%s' has a bad fanout", f->path);
	return OK;
}

/* FOUND: the id is among these rows. */
static int
search(const uint8_t *rows, size_t count, const struct name *id, struct indexfile_row *row)
{
	size_t a = 0, b = count, m;
	int rc, cmp;

	while (a < b) {
		m = (a + b) / 2;
		cmp = memcmp(id->b, rows + m * INDEXFILE_ROW_LEN, NAME_LEN);
		if (cmp == 0) {
			rc = err_verdict(indexfile_row_decode(row, rows + m * INDEXFILE_ROW_LEN, INDEXFILE_ROW_LEN),
			    "row of chunks in the index");
			return rc ? rc : FOUND;
		}
		if (cmp < 0)
			b = m;
		else
			a = m + 1;
	}
	return OK;
}

/* Ids are as good as random, so the bits behind the bucket's tell how far along in it the id is: of its rows those that one block has there. */
static void
guess(const struct index_file *f, const struct name *id, uint64_t *lo, uint64_t *hi)
{
	uint64_t bits = 0, row, begin, first, end;

	for (int k = 0; k < 8; k++)
		bits = bits << 8 | id->b[k];
	bits = bits << f->h.fanout_bits >> 32;
	row = *lo + ((*hi - *lo) * bits >> 32);
	begin = (f->l.rows + row * INDEXFILE_ROW_LEN) / INDEXFILE_BLOCK * INDEXFILE_BLOCK;
	first = begin <= f->l.rows ? 0 : (begin - f->l.rows + INDEXFILE_ROW_LEN - 1) / INDEXFILE_ROW_LEN;
	end = begin + INDEXFILE_BLOCK <= f->l.rows ? 0 : (begin + INDEXFILE_BLOCK - f->l.rows) / INDEXFILE_ROW_LEN;
	*lo = first > *lo ? first : *lo;
	*hi = end < *hi ? end : *hi;
}

/* The id among the rows of one block, where it should be: FOUND, AT_END (it is nowhere), or OK: it may be from *lo to *hi. */
static int
find_near(struct index_file *f, const struct name *id, uint64_t *lo, uint64_t *hi, struct indexfile_row *row)
{
	uint8_t rows[INDEXFILE_BLOCK];
	uint64_t from = *lo, to = *hi;
	size_t count;
	int rc;

	guess(f, id, &from, &to);
	count = from < to ? (size_t)(to - from) : 0;
	if (count == 0)
		return OK;
	if ((rc = body_peek(f, f->l.rows + from * INDEXFILE_ROW_LEN, rows, count * INDEXFILE_ROW_LEN)))
		return rc;
	if (memcmp(id->b, rows, NAME_LEN) < 0)
		*hi = from;
	else if (memcmp(id->b, rows + (count - 1) * INDEXFILE_ROW_LEN, NAME_LEN) > 0)
		*lo = to;
	else
		rc = (rc = search(rows, count, id, row)) ? rc : AT_END;
	return rc;
}

int
index_file_find(struct index_file *f, const struct name *id, struct indexfile_row *row)
{
	uint8_t rows[BUCKET_ROWS * INDEXFILE_ROW_LEN];
	uint64_t lo, hi, mid;
	int rc, cmp;

	if (f->h.row_count == 0)
		return OK;
	if ((rc = bucket(f, id, &lo, &hi)))
		return rc;
	if (!f->body && (rc = find_near(f, id, &lo, &hi, row)))
		return rc == AT_END ? OK : rc;
	while (hi - lo > BUCKET_ROWS) {
		mid = lo + (hi - lo) / 2;
		if ((rc = index_file_row(f, mid, row)))
			return rc;
		cmp = name_cmp(id, &row->id);
		if (cmp == 0)
			return FOUND;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	if ((rc = body_peek(f, f->l.rows + lo * INDEXFILE_ROW_LEN, rows, (size_t)(hi - lo) * INDEXFILE_ROW_LEN)))
		return rc;
	return search(rows, (size_t)(hi - lo), id, row);
}

int
index_file_find_pack(struct index_file *f, const struct name *name, struct indexfile_pack *p, uint32_t *row)
{
	uint32_t lo = 0, hi = f->h.pack_count, mid;
	int rc, cmp;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((rc = index_file_pack(f, mid, p)))
			return rc;
		cmp = name_cmp(name, &p->name);
		if (cmp == 0) {
			if (row)
				*row = mid;
			return FOUND;
		}
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return OK;
}

static int
remove_cmp(const struct indexfile_remove *a, const struct indexfile_remove *b)
{
	int cmp;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if ((cmp = name_cmp(&a->name, &b->name)))
		return cmp;
	return a->part == b->part ? 0 : a->part < b->part ? -1 : 1;
}

int
index_file_find_remove(struct index_file *f, const struct indexfile_remove *what)
{
	uint32_t lo = 0, hi = f->h.remove_count, mid;
	struct indexfile_remove r;
	int rc, cmp;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((rc = index_file_remove(f, mid, &r)))
			return rc;
		cmp = remove_cmp(what, &r);
		if (cmp == 0)
			return FOUND;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return OK;
}

int
index_file_find_frame(struct index_file *f, uint32_t pack, uint32_t ordinal, struct indexfile_frame *fr)
{
	uint32_t lo = 0, hi = f->h.frame_count, mid;
	int rc;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((rc = index_file_frame(f, mid, fr)))
			return rc;
		if (fr->pack == pack && fr->ordinal == ordinal)
			return FOUND;
		if (pack < fr->pack || (pack == fr->pack && ordinal < fr->ordinal))
			hi = mid;
		else
			lo = mid + 1;
	}
	return OK;
}

int
index_file_extra(struct index_file *f, uint16_t tag, struct mem_buf *out)
{
	struct extrec r = { 0 };
	uint8_t head[EXTREC_HEAD_LEN];
	uint64_t at = f->l.extra, end = f->l.extra + f->h.extra_len;
	struct cursor c;
	uint32_t last = 0;
	int rc;

	for (; at < end; at += EXTREC_HEAD_LEN + (uint64_t)r.len, last = r.tag + 1u) {
		if ((rc = body_read(f, at, head, sizeof(head))))
			return rc;
		cursor_init(&c, head, sizeof(head));
		r.tag = cursor_u16(&c);
		cursor_zero(&c, 2);
		r.len = cursor_u32(&c);
		if (!cursor_done(&c) || r.tag < last || r.len > end - at - EXTREC_HEAD_LEN)
			return fail(ERR_CORRUPT, "bad extra in '%s'", f->path);
		if (r.tag < tag)
			continue;
		if (r.tag > tag)
			break;
		if (r.len > EXTRA_READ)
			return fail(ERR_CORRUPT, "index file '%s' has too much extra", f->path);
		out->len = 0;
		if ((rc = mem_buf_reserve(out, r.len)) || (rc = body_read(f, at + EXTREC_HEAD_LEN, out->p, r.len)))
			return rc;
		out->len = r.len;
		return FOUND;
	}
	return OK;
}

static int
prove_names(struct index_file *f)
{
	struct indexfile_remove r, last_r = { 0 };
	uint64_t number, last = UINT64_MAX;
	int rc;

	for (uint32_t i = 0; i < f->h.keep_count; i++, last = number)
		if ((rc = index_file_keep(f, i, &number)) || number >= last)
			return rc ? rc : fail(ERR_CORRUPT, "index file '%s' keeps tables out of order", f->path);
	for (uint32_t i = 0; i < f->h.remove_count; i++, last_r = r)
		if ((rc = index_file_remove(f, i, &r)) || (i > 0 && remove_cmp(&last_r, &r) >= 0))
			return rc ? rc : fail(ERR_CORRUPT, "index file '%s' has dead names out of order", f->path);
	return OK;
}

static int
prove_fanout(struct index_file *f)
{
	uint64_t buckets = 1ull << f->h.fanout_bits, row = 0;
	uint8_t raw[INDEXFILE_FANOUT_LEN];
	struct indexfile_row it;
	struct cursor c;
	int rc;

	for (uint64_t b = 0; b < buckets; b++) {
		if ((rc = body_read(f, f->l.fanout + b * sizeof(raw), raw, sizeof(raw))))
			return rc;
		for (; row < f->h.row_count; row++) {
			if ((rc = index_file_row(f, row, &it)))
				return rc;
			if (indexfile_bucket(&it.id, f->h.fanout_bits) > b)
				break;
		}
		cursor_init(&c, raw, sizeof(raw));
		if (cursor_u32(&c) != row)
			return fail(ERR_CORRUPT, "index file '%s' has a bad fanout", f->path);
	}
	return OK;
}

int
index_file_prove(struct index_file *f)
{
	struct mem_buf extra = { 0 };
	const uint8_t *p;
	int rc;

	for (uint64_t i = 0; i < f->l.block_count; i++)
		if ((rc = get_block(f, i, &p)))
			return rc;
	if ((rc = prove_names(f)) || (rc = prove_fanout(f)))
		return rc;
	rc = index_file_extra(f, INDEXFILE_PUBLISHED, &extra);
	mem_buf_clear(&extra);
	return rc < 0 ? rc : OK;
}
