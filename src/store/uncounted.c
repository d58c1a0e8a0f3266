/* uncounted: see the header. */
#include "store/uncounted.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/frame.h"
#include "store/graves.h"
#include "store/index_file.h"
#include "store/snapshots.h"

/* A record that exists and is not being collected; what the catalogues say of it. */
struct record {
	struct name root;               /* first, for root_cmp */
	struct name_sid sid;
	bool listed;                    /* in a catalogue */
};

struct roots {
	struct record *p;
	size_t count, cap;
};

static int
root_cmp(const void *a, const void *b)
{
	return name_cmp(a, b);
}

/* FOUND, OK when the record is damaged, or an error: what may only not be read now is no less a snapshot. */
static int
root_of(struct counts *c, const struct catalogue *cat, const struct name_sid *sid, struct record *out)
{
	const struct catalogue_row *row = catalogue_find(cat, sid);
	struct snapshots_item it;
	struct snaprec rec;
	int rc;

	out->sid = *sid;
	out->listed = row != NULL;
	if (row && snaprec_decode(&rec, cat->text.p + row->off, row->len) == CURSOR_OK) {
		out->root = rec.root;
		return FOUND;
	}
	if ((rc = snapshots_read(c->repo, false, sid, &it)) == ERR_ABSENT)
		rc = snapshots_read(c->repo, true, sid, &it);
	if (rc)
		return err_is_damage(rc) || rc == ERR_UNSUPPORTED ? OK : rc;
	out->root = it.rec.root;
	snapshots_item_clear(&it);
	return FOUND;
}

static int
gather(struct counts *c, const struct catalogue *cat, const struct graves *sids, struct roots *out)
{
	int rc = OK;

	for (size_t i = 0; i < sids->count; i++) {
		if ((rc = mem_grow((void **)&out->p, &out->cap, out->count + 1, sizeof(*out->p))) ||
		    (rc = root_of(c, cat, &sids->p[i], &out->p[out->count])) < 0)
			return rc;
		out->count += rc == FOUND;
	}
	if (out->count)
		qsort(out->p, out->count, sizeof(*out->p), root_cmp);
	return OK;
}

/* Roots that a record outside of the catalogues has: as many references as records, at least. */
static int
check_roots(struct counts *c, const struct roots *l, const struct indexfile_remove *removes, size_t count)
{
	char hex[NAME_SID_HEX];
	uint32_t cell;
	int rc;

	for (size_t i = 0, end; i < l->count; i = end) {
		const struct record *strange = NULL;
		int64_t needed = 0;

		for (end = i; end < l->count && root_cmp(&l->p[i], &l->p[end]) == 0; end++) {
			strange = l->p[end].listed ? strange : &l->p[end];
			needed += !catalogue_collected(removes, count, &l->p[end].sid);
		}
		if (!strange || needed == 0)
			continue;
		if ((rc = counts_find_cell(c, &l->p[i].root, FRAME_TREE, &cell)) < 0)
			return rc;
		name_sid_hex(&strange->sid, hex);
		if (rc != FOUND || c->cells[cell].refs < needed)
			return fail(ERR_CORRUPT, "the index does not count snapshot %.12s: a part of it is lost; nothing was "
			    "deleted; run 'varve repair index'", hex);
	}
	return OK;
}

static int
sid_cmp(const void *a, const void *b)
{
	return name_sid_cmp(a, b);
}

static int
list_both(struct repo *r, struct graves *out)
{
	struct graves more;
	int rc = graves_list(r, "snapshots", out);

	if (rc || (rc = graves_list(r, "forgotten", &more)))
		return rc;
	if ((rc = mem_grow((void **)&out->p, &out->cap, out->count + more.count, sizeof(*out->p))) == OK && more.count) {
		memcpy(out->p + out->count, more.p, more.count * sizeof(*more.p));
		out->count += more.count;
	}
	free(more.p);
	return rc;
}

/* Each once, though a crash between link and unlink may have left it in both. */
static void
unify(struct graves *sids)
{
	size_t n = 0;

	if (sids->count)
		qsort(sids->p, sids->count, sizeof(*sids->p), sid_cmp);
	for (size_t i = 0; i < sids->count; i++)
		if (n == 0 || name_sid_cmp(&sids->p[n - 1], &sids->p[i]) != 0)
			sids->p[n++] = sids->p[i];
	sids->count = n;
}

/* The catalogues of the tables, and what this settle adds. */
static int
load_catalogue(struct counts *c, const struct catalogue *now, struct catalogue *out)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < now->count; i++)
		rc = catalogue_add(out, &now->rows[i].sid, now->text.p + now->rows[i].off, now->rows[i].len);
	return rc ? rc : catalogue_load(out, c->repo, c->index);
}

int
uncounted_sum(struct counts *c, struct recordsum *out)
{
	struct mem_buf raw = { 0 };
	int rc;

	*out = (struct recordsum){ 0 };
	if (index_table_count(c->index) == 0)
		return FOUND;
	rc = index_file_extra(index_table_at(c->index, 0), INDEXFILE_RECORDS, &raw);
	if (rc == FOUND && (rc = err_verdict(recordsum_decode(out, raw.p, raw.len), "record sum of a table")) == OK)
		rc = FOUND;
	mem_buf_clear(&raw);
	return rc;
}

/* *good: those that were found counted. */
static int
check_all(struct counts *c, const struct catalogue *now, const struct indexfile_remove *removes, size_t count,
    const struct graves *sids, struct recordsum *good)
{
	struct catalogue cat = { .count = 0 };
	struct roots roots = { 0 };
	size_t known = 0;
	int rc;

	if ((rc = load_catalogue(c, now, &cat)))
		goto out;
	for (size_t i = 0; i < sids->count; i++)
		known += catalogue_find(&cat, &sids->p[i]) != NULL;
	if (known == sids->count) {
		for (size_t i = 0; i < sids->count; i++)
			recordsum_add(good, &sids->p[i]);
		goto out;
	}
	if ((rc = gather(c, &cat, sids, &roots)) == OK)
		rc = check_roots(c, &roots, removes, count);
	for (size_t i = 0; i < roots.count; i++)
		recordsum_add(good, &roots.p[i].sid);
out:
	catalogue_clear(&cat);
	free(roots.p);
	return rc;
}

static int
sum_name(void *arg, const char *name)
{
	struct name_sid sid;

	if (name_sid_unhex(&sid, name))
		recordsum_add(arg, &sid);
	return OK;
}

/* A name that is in both directories counts twice. */
static int
sum_names(struct repo *r, struct recordsum *out)
{
	int rc;

	*out = (struct recordsum){ 0 };
	rc = io_list(r->io, "snapshots", sum_name, out);
	return rc ? rc : io_list(r->io, "forgotten", sum_name, out);
}

int
uncounted_check(struct counts *c, const struct catalogue *now, const struct indexfile_remove *removes, size_t count,
    const struct recordsum *counted, struct recordsum *good)
{
	struct graves sids = { 0 };
	int rc;

	if (counted && ((rc = sum_names(c->repo, good)) ||
	    recordsum_equal(counted, good)))
		return rc;
	*good = (struct recordsum){ 0 };
	if ((rc = list_both(c->repo, &sids)) == OK) {
		unify(&sids);
		rc = check_all(c, now, removes, count, &sids, good);
	}
	free(sids.p);
	return rc;
}
