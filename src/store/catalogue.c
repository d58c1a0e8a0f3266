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
#define NONCE 24u                       /* of a box */

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

/* Rows [from, mid) and [mid, to) are sorted. */
static void
merge(struct catalogue_row *out, const struct catalogue_row *p, size_t from, size_t mid, size_t to)
{
	size_t a = from, b = mid;

	for (size_t i = from; i < to; i++)
		out[i] = a < mid && (b == to || row_cmp(&p[a], &p[b]) <= 0) ? p[a++] : p[b++];
}

/* Where the run that begins at `from` ends. */
static size_t
run_end(const struct catalogue *c, size_t from)
{
	size_t i = from;

	while (i < c->count && (i == from || row_cmp(&c->rows[i - 1], &c->rows[i]) <= 0))
		i++;
	return i;
}

/* Runs are merged, two at a time: each table gave one that is sorted. */
static int
merge_runs(struct catalogue *c)
{
	struct catalogue_row *spare, *swap;
	size_t mid, to;
	int rc;

	if (run_end(c, 0) == c->count)
		return OK;
	if ((rc = mem_new((void **)&spare, mem_array(c->cap, sizeof(*spare)))))
		return rc;
	while (run_end(c, 0) < c->count) {
		for (size_t from = 0; from < c->count; from = to) {
			mid = run_end(c, from);
			to = run_end(c, mid);
			merge(spare, c->rows, from, mid, to);
		}
		swap = c->rows;
		c->rows = spare;
		spare = swap;
	}
	free(spare);
	return OK;
}

/* Bits of a sid by which rows are found: fan[i] rows are before those that begin with i. */
static uint32_t
begin_of(const struct name_sid *sid)
{
	return ((uint32_t)sid->b[0] << 8 | sid->b[1]) >> (16 - CATALOGUE_FAN_BITS);
}

/* By sid; of equal ones only one stays: they say the same. */
static int
sort(struct catalogue *c)
{
	size_t n = 0;
	int rc = merge_runs(c);

	if (rc)
		return rc;
	for (size_t i = 0; i < c->count; i++)
		if (n == 0 || row_cmp(&c->rows[n - 1], &c->rows[i]) != 0)
			c->rows[n++] = c->rows[i];
	c->count = n;
	memset(c->fan, 0, sizeof(c->fan));
	for (size_t i = 0; i < n; i++)
		c->fan[begin_of(&c->rows[i].sid) + 1]++;
	for (size_t i = 0; i < CATALOGUE_FAN; i++)
		c->fan[i + 1] += c->fan[i];
	return OK;
}

/* --------------------------------------------------------------------------------------------------------- sealed */

static void
put_number(uint8_t *p, uint64_t n, int bytes)
{
	for (int k = 0; k < bytes; k++)
		p[k] = (uint8_t)(n >> (8 * k));
}

/* The box in `sealed` opened, in its place, and decompressed to the end of c->text. */
static int
unseal(struct catalogue *c, struct repo *r, uint64_t number, struct mem_buf *sealed, struct squeeze *sq)
{
	uint8_t context[8], *plain;
	struct seal_aad aad = { LABEL, &r->hdr.repo_id, context, sizeof(context) };
	struct cursor cur;
	uint32_t raw_len;
	int rc;

	put_number(context, number, 8);
	if (sealed->len < SEAL_OVERHEAD + LENGTH)
		return fail(ERR_CORRUPT, "bad catalogue of snapshots");
	plain = sealed->p + NONCE;
	if ((rc = seal_open(plain, sealed->p, sealed->len, r->keys->record, &aad)))
		return rc;
	cursor_init(&cur, plain, sealed->len - SEAL_OVERHEAD);
	raw_len = cursor_u32(&cur);
	if (raw_len == 0 || raw_len > SNAPLIST_LEN_MAX)
		return fail(ERR_CORRUPT, "bad catalogue of snapshots");
	if ((rc = mem_buf_reserve(&c->text, raw_len)) ||
	    (rc = squeeze_unpack(sq, c->text.p + c->text.len, raw_len, cur.p, cur.left, NULL, 0)))
		return rc;
	c->text.len += raw_len;
	return OK;
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
	return rc ? rc : sort(c);
}

const struct catalogue_row *
catalogue_find(const struct catalogue *c, const struct name_sid *sid)
{
	const struct catalogue_row key = { .sid = *sid };
	uint32_t begin = begin_of(sid), from = c->fan[begin], to = c->fan[begin + 1];

	return from < to ? bsearch(&key, c->rows + from, to - from, sizeof(key), row_cmp) : NULL;
}

/* -------------------------------------------------------------------------------------------------------- settling */

bool
catalogue_collected(const struct indexfile_remove *removes, size_t count, const struct name_sid *sid)
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
		if (catalogue_collected(removes + first, records, &c->rows[i].sid))
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
	put_number(context, number, 8);
	if ((rc = sort(c)) || (rc = encode(c, &raw)) || raw.len == 0 || raw.len > SNAPLIST_LEN_MAX)
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
