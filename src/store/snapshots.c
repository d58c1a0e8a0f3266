/* snapshots: see the header. */
#include "store/snapshots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/seal.h"
#include "store/aside.h"
#include "store/catalogue.h"
#include "store/index.h"
#include "sys/crew.h"
#include "sys/entropy.h"
#include "sys/host.h"

#define PART 512u                       /* records that a thread decodes at a time */
#define THREADS 4u
#define MANY 64                         /* records; fewer are opened one by one */

int
snapshots_seal(struct repo *r, const struct name_sid *sid, const struct snaprec *rec, uint8_t **out, size_t *len)
{
	size_t bound = snaprec_bound(rec), n;
	struct snaprec_head h = { .sid = *sid };
	struct seal_aad aad = { .label = "varve snap", .repo_id = &r->hdr.repo_id, .context_len = SNAPREC_HEAD_LEN };
	uint8_t key[32], *buf;
	int rc;

	*out = NULL;
	if ((rc = mem_new((void **)&buf, SNAPREC_HEAD_LEN + SEAL_OVERHEAD + bound)))
		return rc;
	entropy_fill(key, sizeof(key));
	(void)snaprec_head_encode(buf, SNAPREC_HEAD_LEN, &h);
	keys_wrap(&h.wrap, r->keys->record, "varve snap key", &r->hdr.repo_id, buf, SNAPREC_WRAP_CONTEXT, key);
	(void)snaprec_head_encode(buf, SNAPREC_HEAD_LEN, &h);
	n = snaprec_encode(buf + SNAPREC_HEAD_LEN + 24, bound, rec);
	if (n == 0 || n > SNAPREC_LEN_MAX - SNAPREC_HEAD_LEN - SEAL_OVERHEAD) {
		rc = fail(ERR_USAGE, "too many or too long paths, tags or names for one snapshot");
		goto out;
	}
	aad.context = buf;
	seal_box(buf + SNAPREC_HEAD_LEN, buf + SNAPREC_HEAD_LEN + 24, n, key, &aad);
	*len = SNAPREC_HEAD_LEN + SEAL_OVERHEAD + n;
	*out = buf;
	buf = NULL;
out:
	explicit_bzero(key, sizeof(key));
	free(buf);
	return rc;
}

/* Decode a record file; on OK it->mem owns the plaintext. */
static int
open_record(struct repo *r, const struct name_sid *sid, const uint8_t *raw, size_t len, struct snapshots_item *it)
{
	struct seal_aad aad = { .label = "varve snap", .repo_id = &r->hdr.repo_id, .context = raw, .context_len = SNAPREC_HEAD_LEN };
	struct snaprec_head h;
	uint8_t key[32];
	int rc;

	if (len < SNAPREC_HEAD_LEN + SEAL_OVERHEAD)
		return fail(ERR_CORRUPT, "snapshot record ends too early");
	if ((rc = err_verdict(snaprec_head_decode(&h, raw, SNAPREC_HEAD_LEN), "snapshot record")))
		return rc;
	if (name_sid_cmp(&h.sid, sid) != 0)
		return fail(ERR_AUTH, "snapshot record of another snapshot");
	if ((rc = keys_unwrap(key, &h.wrap, r->keys->record, "varve snap key", &r->hdr.repo_id, raw, SNAPREC_WRAP_CONTEXT)) ||
	    (rc = mem_new((void **)&it->mem, len)) ||
	    (rc = seal_open(it->mem, raw + SNAPREC_HEAD_LEN, len - SNAPREC_HEAD_LEN, key, &aad)) ||
	    (rc = err_verdict(snaprec_decode(&it->rec, it->mem, len - SNAPREC_HEAD_LEN - SEAL_OVERHEAD), "snapshot record"))) {
		free(it->mem);
		it->mem = NULL;
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}

int
snapshots_read(struct repo *r, bool forgotten, const struct name_sid *sid, struct snapshots_item *out)
{
	char path[64], hex[NAME_SID_HEX];
	uint8_t *raw;
	size_t len;
	int rc;

	*out = (struct snapshots_item){ .sid = *sid };
	name_sid_hex(sid, hex);
	snprintf(path, sizeof(path), "%s/%s", forgotten ? "forgotten" : "snapshots", hex);
	if ((rc = io_read_file(r->io, path, SNAPREC_LEN_MAX, &raw, &len)))
		return rc;
	out->file_bytes = len;
	rc = open_record(r, sid, raw, len, out);
	free(raw);
	return err_context(rc, "%s", path);
}

void
snapshots_item_clear(struct snapshots_item *it)
{
	free(it->mem);
	*it = (struct snapshots_item){ 0 };
}

int
snapshots_exist(struct repo *r, const struct name_sid *sid)
{
	static const char *const dirs[] = { "snapshots", "forgotten" };
	char path[64], hex[NAME_SID_HEX];
	uint64_t size;
	int rc = OK;

	name_sid_hex(sid, hex);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], hex);
		rc = io_stat(r->io, path, &size);
		if (rc != ERR_ABSENT)
			return rc ? rc : FOUND;
	}
	return OK;
}

struct sid_list {
	struct name_sid *sid;
	size_t count, cap;
};

static int
list_one(void *arg, const char *name)
{
	struct sid_list *l = arg;
	struct name_sid sid;
	int rc;

	if (!name_sid_unhex(&sid, name))
		return OK;
	if ((rc = mem_grow((void **)&l->sid, &l->cap, l->count + 1, sizeof(*l->sid))))
		return rc;
	l->sid[l->count++] = sid;
	return OK;
}

/* Items are long: what is compared is kept together, and each is moved once. */
struct order {
	int64_t begin_ns;
	struct snapshots_item *item;
};

static int
order_cmp(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->begin_ns != y->begin_ns)
		return x->begin_ns < y->begin_ns ? -1 : 1;
	return name_sid_cmp(&x->item->sid, &y->item->sid);
}

/* By time. */
static int
sort(struct snapshots *s)
{
	struct snapshots_item held;
	struct order *order;
	size_t to, from;
	int rc = mem_new((void **)&order, mem_array(s->count, sizeof(*order)));

	if (rc)
		return rc;
	for (size_t i = 0; i < s->count; i++)
		order[i] = (struct order){ s->items[i].rec.begin_ns, &s->items[i] };
	if (s->count)
		qsort(order, s->count, sizeof(*order), order_cmp);
	/* Along each circle of the permutation; item NULL: it is in its place. */
	for (size_t i = 0; i < s->count; i++) {
		if (!order[i].item)
			continue;
		held = s->items[i];
		for (to = i; (from = (size_t)(order[to].item - s->items)) != i; to = from) {
			s->items[to] = s->items[from];
			order[to].item = NULL;
		}
		s->items[to] = held;
		order[to].item = NULL;
	}
	free(order);
	return OK;
}

/* What the tables have; nothing when that cannot be had. */
static int
load_catalogue(struct repo *r, struct catalogue *c)
{
	struct index *ix;
	int rc = index_load(r, &ix);

	if (rc == OK)
		rc = catalogue_load(c, r, ix);
	index_free(ix);
	return rc == ERR_NOMEM ? rc : OK;
}

struct decoding {
	const struct sid_list *l;
	const struct catalogue *c;
	struct snapshots_item *items;
};

/* Those of a part that the catalogue has; the others keep no sid. */
static int
decode_part(void *arg, unsigned worker, size_t part)
{
	const struct decoding *d = arg;
	size_t end = (part + 1) * PART < d->l->count ? (part + 1) * PART :
	    d->l->count;

	(void)worker;
	for (size_t i = part * PART; i < end; i++) {
		const struct name_sid *sid = &d->l->sid[i];
		const struct catalogue_row *row = catalogue_find(d->c, sid);
		struct snapshots_item *it = &d->items[i];

		if (!row || snaprec_decode(&it->rec,
		    d->c->text.p + row->off, row->len) != CURSOR_OK)
			continue;
		it->sid = *sid;
		it->file_bytes = SNAPREC_HEAD_LEN + SEAL_OVERHEAD + row->len;
	}
	return OK;
}

static int
read_one(struct repo *r, bool forgotten, const struct name_sid *sid,
    snapshots_bad_fn bad, void *arg, struct snapshots *out)
{
	struct snapshots_item *it = &out->items[out->count];
	char hex[NAME_SID_HEX];
	int rc = snapshots_read(r, forgotten, sid, it);

	if (rc == OK)
		out->count++;
	/* Not damaged: another's. */
	if (rc == ERR_NOMEM || (rc == ERR_IO && err_errno() == EACCES))
		return rc;
	/* Absent: forgotten since it was listed. */
	if (rc == OK || rc == ERR_ABSENT)
		return OK;
	name_sid_hex(sid, hex);
	out->damaged++;
	if (bad)
		bad(arg, hex, rc);
	return OK;
}

/* From the catalogue, or else from their files. */
static int
read_each(struct repo *r, bool forgotten, const struct sid_list *l, const struct catalogue *c, snapshots_bad_fn bad, void *arg,
    struct snapshots *out)
{
	struct decoding d = { l, c, out->items };
	const struct crew_work w = { .run = decode_part, .arg = &d };
	size_t parts = (l->count + PART - 1) / PART;
	unsigned most = host_cpus() < THREADS ? host_cpus() : THREADS;
	int rc = crew_run(&w, most, parts);

	if (rc == ERR_FAILED)           /* there are no threads */
		rc = crew_run(&w, 1, parts);
	for (size_t i = 0; rc == OK && i < l->count; i++) {
		if (name_sid_is_zero(&out->items[i].sid))
			rc = read_one(r, forgotten, &l->sid[i], bad, arg, out);
		else if (out->count++ < i)
			out->items[out->count - 1] = out->items[i];
	}
	return rc ? rc : sort(out);
}

/* c: what the tables have, or nothing. */
static int
read_listed(struct repo *r, bool forgotten, const struct sid_list *l,
    struct catalogue *c, snapshots_bad_fn bad, void *arg,
    struct snapshots *out)
{
	int rc = mem_new((void **)&out->items,
	    mem_array(l->count, sizeof(*out->items)));

	if (rc == OK)
		rc = read_each(r, forgotten, l, c, bad, arg, out);
	out->shared = c->text.p;
	free(c->rows);
	return rc;
}

static int
read_all(struct repo *r, bool forgotten, const struct sid_list *l, bool files,
    snapshots_bad_fn bad, void *arg, struct snapshots *out)
{
	struct catalogue c = { .count = 0 };
	int rc = !files && l->count >= MANY ? load_catalogue(r, &c) : OK;

	if (rc == OK)
		return read_listed(r, forgotten, l, &c, bad, arg, out);
	catalogue_clear(&c);
	return rc;
}

/* The catalogue is read while another thread lists names: FOUND, or OK when
 * there are too few. */
static int
load_many(struct repo *r, const char *dir, struct sid_list *l,
    struct catalogue *c)
{
	struct aside *names = aside_begin(r->io, &dir, 1, list_one, l);
	int rc = names ? load_catalogue(r, c) : OK;

	if (rc == OK && aside_done(names))
		rc = FOUND;
	aside_free(names);
	if (rc == FOUND)
		return rc;
	l->count = 0;
	catalogue_clear(c);
	return rc;
}

static int
load(struct repo *r, bool forgotten, bool files, snapshots_bad_fn bad, void *arg, struct snapshots *out)
{
	const char *dir = forgotten ? "forgotten" : "snapshots";
	struct catalogue c = { .count = 0 };
	struct sid_list l = { 0 };
	int rc = files ? OK : load_many(r, dir, &l, &c);

	*out = (struct snapshots){ 0 };
	if (rc == FOUND)
		rc = read_listed(r, forgotten, &l, &c, bad, arg, out);
	else if (rc == OK && (rc = io_list(r->io, dir, list_one, &l)) == OK)
		rc = read_all(r, forgotten, &l, files, bad, arg, out);
	free(l.sid);
	if (rc)
		snapshots_clear(out);
	return rc;
}

int
snapshots_load(struct repo *r, bool forgotten, snapshots_bad_fn bad, void *arg, struct snapshots *out)
{
	return load(r, forgotten, false, bad, arg, out);
}

int
snapshots_load_files(struct repo *r, bool forgotten, snapshots_bad_fn bad, void *arg, struct snapshots *out)
{
	return load(r, forgotten, true, bad, arg, out);
}

static bool
begins_with_one(const struct name_sid *sid, const char *const *ids, size_t count)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(sid, hex);
	for (size_t i = 0; i < count; i++)
		if (strncmp(hex, ids[i], strlen(ids[i])) == 0)
			return true;
	return false;
}

/* Whole ids as they are; false when one is not whole. */
static int
whole_ids(const char *const *ids, size_t count, struct sid_list *l, bool *whole)
{
	bool again = false;
	int rc = OK;

	*whole = true;
	for (size_t i = 0; rc == OK && i < count; i++) {
		*whole = *whole && strlen(ids[i]) == NAME_SID_HEX - 1;
		for (size_t k = 0; k < i; k++)
			again = again || strcmp(ids[k], ids[i]) == 0;
		if (*whole && !again)
			rc = list_one(l, ids[i]);
		again = false;
	}
	return rc;
}

int
snapshots_load_some(struct repo *r, bool forgotten, const char *const *ids, size_t count, snapshots_bad_fn bad, void *arg,
    struct snapshots *out)
{
	struct sid_list l = { 0 };
	size_t n = 0;
	bool whole;
	int rc;

	*out = (struct snapshots){ 0 };
	if ((rc = whole_ids(ids, count, &l, &whole)))
		goto out;
	if (!whole) {
		l.count = 0;
		if ((rc = io_list(r->io, forgotten ? "forgotten" : "snapshots", list_one, &l)))
			goto out;
		for (size_t i = 0; i < l.count; i++)
			if (begins_with_one(&l.sid[i], ids, count))
				l.sid[n++] = l.sid[i];
		l.count = n;
	}
	rc = read_all(r, forgotten, &l, false, bad, arg, out);
out:
	free(l.sid);
	if (rc)
		snapshots_clear(out);
	return rc;
}

void
snapshots_clear(struct snapshots *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].mem);
	free(s->items);
	free(s->shared);
	*s = (struct snapshots){ 0 };
}

void
snapshots_writer(const struct repo *r, const char *host, struct name_sid *writer)
{
	char text[512];
	size_t n = strlen(host);
	struct name h;

	if (n > 255)
		n = 255;
	memcpy(text, host, n);
	text[n++] = 0;
	n += host_machine_id(text + n, sizeof(text) - n);
	digest_keyed(&h, r->keys->writer, text, n);
	memcpy(writer->b, h.b, sizeof(writer->b));
}
