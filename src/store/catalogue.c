#include "store/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/cursor.h"
#include "format/snaplist.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/snapshots.h"

#define LABEL "varve snap list"
#define LENGTH 4u                       /* before the compressed list: its length */
#define LEVEL 3

void
catalogue_clear(struct catalogue *c)
{
	mem_buf_clear(&c->text);
	free(c->rows);
	*c = (struct catalogue){ 0 };
}

static int
add(struct catalogue *c, const struct catalogue_row *row)
{
	int rc = mem_grow((void **)&c->rows, &c->cap, c->count + 1, sizeof(*c->rows));

	if (rc == OK)
		c->rows[c->count++] = *row;
	return rc;
}

int
catalogue_add(struct catalogue *c, const struct name_sid *sid, const void *payload, size_t len)
{
	const struct catalogue_row row = { .sid = *sid, .off = c->text.len, .len = (uint32_t)len };
	int rc = mem_buf_add(&c->text, payload, len);

	return rc ? rc : add(c, &row);
}

static int
row_cmp(const void *a, const void *b)
{
	const struct catalogue_row *x = a, *y = b;

	return name_sid_cmp(&x->sid, &y->sid);
}

/* By sid; of equal ones only one stays: they say the same. */
static void
sort(struct catalogue *c)
{
	size_t n = 0;

	if (c->count)
		qsort(c->rows, c->count, sizeof(*c->rows), row_cmp);
	for (size_t i = 0; i < c->count; i++)
		if (n == 0 || row_cmp(&c->rows[n - 1], &c->rows[i]) != 0)
			c->rows[n++] = c->rows[i];
	c->count = n;
}

/* --------------------------------------------------------------------------------------------------------- sealed */

static void
put_number(uint8_t *p, uint64_t n, int bytes)
{
	for (int k = 0; k < bytes; k++)
		p[k] = (uint8_t)(n >> (8 * k));
}

/* The box in `sealed` opened and decompressed to the end of c->text. */
static int
unseal(struct catalogue *c, struct repo *r, uint64_t number, const struct mem_buf *sealed, struct squeeze *sq)
{
	uint8_t context[8];
	struct seal_aad aad = { LABEL, &r->hdr.repo_id, context, sizeof(context) };
	struct mem_buf plain = { 0 };
	struct cursor cur;
	uint32_t raw_len;
	int rc;

	put_number(context, number, 8);
	if ((rc = mem_buf_reserve(&plain, sealed->len)) ||
	    (rc = seal_open(plain.p, sealed->p, sealed->len, r->keys->record, &aad)))
		goto out;
	plain.len = sealed->len - SEAL_OVERHEAD;
	cursor_init(&cur, plain.p, plain.len);
	raw_len = cursor_u32(&cur);
	if (cur.broken || raw_len == 0 || raw_len > SNAPLIST_LEN_MAX)
		rc = fail(ERR_CORRUPT, "bad catalogue of snapshots");
	else if ((rc = mem_buf_reserve(&c->text, raw_len)) == OK)
		rc = squeeze_unpack(sq, c->text.p + c->text.len, raw_len, cur.p, cur.left, NULL, 0);
	if (rc == OK)
		c->text.len += raw_len;
out:
	mem_buf_clear(&plain);
	return rc;
}

int
catalogue_read(struct catalogue *c, struct repo *r, struct index_file *table)
{
	size_t start = c->text.len, count = c->count;
	struct mem_buf sealed = { 0 };
	struct squeeze *sq = NULL;
	struct snaplist_iter it;
	struct snaplist_row row;
	int rc = index_file_extra(table, INDEXFILE_CATALOGUE, &sealed);

	if (rc != FOUND || (rc = squeeze_new(LEVEL, &sq)) ||
	    (rc = unseal(c, r, index_file_header(table)->number, &sealed, sq)))
		goto out;
	snaplist_init(&it, c->text.p + start, c->text.len - start);
	while (rc == OK && snaplist_next(&it, &row))
		rc = add(c, &(struct catalogue_row){ .sid = row.sid, .off = (size_t)(row.payload - c->text.p), .len = row.len,
			.folded = true });
	if (rc == OK && !cursor_done(&it.c))
		rc = fail(ERR_CORRUPT, "bad catalogue of snapshots");
out:
	if (rc)
		c->count = count;       /* all of it or nothing */
	squeeze_free(sq);
	mem_buf_clear(&sealed);
	return rc;
}

int
catalogue_load(struct catalogue *c, struct repo *r, struct index *ix)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < index_table_count(ix); i++) {
		rc = catalogue_read(c, r, index_table_at(ix, i));
		if (err_is_damage(rc))
			rc = OK;
	}
	sort(c);
	return rc;
}

const struct catalogue_row *
catalogue_find(const struct catalogue *c, const struct name_sid *sid)
{
	const struct catalogue_row key = { .sid = *sid };

	return c->count ? bsearch(&key, c->rows, c->count, sizeof(key), row_cmp) : NULL;
}

/* -------------------------------------------------------------------------------------------------------- settling */

static bool
collected(const struct indexfile_remove *removes, size_t count, const struct name_sid *sid)
{
	for (size_t i = 0; i < count; i++)
		if (removes[i].kind == INDEXFILE_DEAD_RECORD && memcmp(removes[i].name.b, sid->b, NAME_SID_LEN) == 0)
			return true;
	return false;
}

int
catalogue_drop(struct catalogue *c, struct repo *r, const struct indexfile_remove *removes, size_t count)
{
	size_t n = 0, first = 0, records = 0;
	int rc;

	while (first < count && removes[first].kind < INDEXFILE_DEAD_RECORD)
		first++;
	while (first + records < count && removes[first + records].kind == INDEXFILE_DEAD_RECORD)
		records++;
	for (size_t i = 0; i < c->count; i++) {
		if (collected(removes + first, records, &c->rows[i].sid))
			continue;
		if (c->rows[i].folded) {
			if ((rc = snapshots_exist(r, &c->rows[i].sid)) < 0)
				return rc;
			if (rc != FOUND)
				continue;
		}
		c->rows[n++] = c->rows[i];
	}
	c->count = n;
	return OK;
}

static int
encode(const struct catalogue *c, struct mem_buf *out)
{
	int rc;

	for (size_t i = 0; i < c->count; i++) {
		const struct snaplist_row row = { .sid = c->rows[i].sid, .payload = c->text.p + c->rows[i].off, .len = c->rows[i].len };

		if ((rc = mem_buf_reserve(out, SNAPLIST_HEAD_LEN + row.len)))
			return rc;
		out->len += snaplist_encode(out->p + out->len, out->cap - out->len, &row);
	}
	return OK;
}

int
catalogue_seal(struct catalogue *c, struct repo *r, uint64_t number, struct mem_buf *out)
{
	uint8_t context[8];
	struct seal_aad aad = { LABEL, &r->hdr.repo_id, context, sizeof(context) };
	struct mem_buf raw = { 0 };
	struct squeeze *sq = NULL;
	size_t len;
	int rc;

	out->len = 0;
	sort(c);
	put_number(context, number, 8);
	if ((rc = encode(c, &raw)) || raw.len == 0 || raw.len > SNAPLIST_LEN_MAX)
		goto out;
	if ((rc = squeeze_new(LEVEL, &sq)) ||
	    (rc = mem_buf_reserve(out, SEAL_OVERHEAD + LENGTH + squeeze_bound(raw.len))) ||
	    (rc = squeeze_pack(sq, out->p + 24 + LENGTH, out->cap - 24 - LENGTH, raw.p, raw.len, NULL, 0, &len)))
		goto out;
	put_number(out->p + 24, raw.len, (int)LENGTH);
	seal_box(out->p, out->p + 24, LENGTH + len, r->keys->record, &aad);
	out->len = SEAL_OVERHEAD + LENGTH + len;
out:
	squeeze_free(sq);
	mem_buf_clear(&raw);
	return rc;
}
