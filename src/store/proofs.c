#include "store/proofs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/seal.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define DIR "verified"

static int
pack_cmp(const void *a, const void *b)
{
	return name_cmp(&((const struct proofrec_pack *)a)->name, &((const struct proofrec_pack *)b)->name);
}

static int
snap_cmp(const void *a, const void *b)
{
	return name_sid_cmp(&((const struct proofrec_snap *)a)->sid, &((const struct proofrec_snap *)b)->sid);
}

/* Of equal names the latest time, sorted. */
static void
merge(struct proofs *p)
{
	size_t n = 0;

	if (p->pack_count)
		qsort(p->packs, p->pack_count, sizeof(*p->packs), pack_cmp);
	for (size_t i = 0; i < p->pack_count; i++)
		if (n == 0 || pack_cmp(&p->packs[n - 1], &p->packs[i]) != 0)
			p->packs[n++] = p->packs[i];
		else if (p->packs[i].time_ns > p->packs[n - 1].time_ns)
			p->packs[n - 1].time_ns = p->packs[i].time_ns;
	p->pack_count = n;
	n = 0;
	if (p->snap_count)
		qsort(p->snaps, p->snap_count, sizeof(*p->snaps), snap_cmp);
	for (size_t i = 0; i < p->snap_count; i++)
		if (n == 0 || snap_cmp(&p->snaps[n - 1], &p->snaps[i]) != 0)
			p->snaps[n++] = p->snaps[i];
		else if (p->snaps[i].time_ns > p->snaps[n - 1].time_ns)
			p->snaps[n - 1].time_ns = p->snaps[i].time_ns;
	p->snap_count = n;
}

int
proofs_note_pack(struct proofs *p, const struct name *name, int64_t ns)
{
	int rc = mem_grow((void **)&p->packs, &p->pack_cap, p->pack_count + 1, sizeof(*p->packs));

	if (rc == OK)
		p->packs[p->pack_count++] = (struct proofrec_pack){ *name, ns };
	return rc;
}

int
proofs_note_snap(struct proofs *p, const struct name_sid *sid, int64_t ns)
{
	int rc = mem_grow((void **)&p->snaps, &p->snap_cap, p->snap_count + 1, sizeof(*p->snaps));

	if (rc == OK)
		p->snaps[p->snap_count++] = (struct proofrec_snap){ *sid, ns };
	return rc;
}

/* ---- reading ---- */

static int
add_rows(struct proofs *p, const struct proofrec *rec)
{
	struct proofrec_pack pack;
	struct proofrec_snap snap;
	int rc = OK;

	if (rec->written_ns > p->written_ns)
		p->written_ns = rec->written_ns;
	if (rec->drill_ns > p->drill_ns)
		p->drill_ns = rec->drill_ns;
	for (uint32_t i = 0; rc == OK && i < rec->pack_count; i++) {
		proofrec_pack_at(rec, i, &pack);
		rc = proofs_note_pack(p, &pack.name, pack.time_ns);
	}
	for (uint32_t i = 0; rc == OK && i < rec->snap_count; i++) {
		proofrec_snap_at(rec, i, &snap);
		rc = proofs_note_snap(p, &snap.sid, snap.time_ns);
	}
	return rc;
}

static int
open_record(struct repo *r, const struct name_sid *sid, const uint8_t *raw, size_t len, struct proofs *p)
{
	struct seal_aad aad = { "varve proof", &r->hdr.repo_id, raw, PROOFREC_HEAD_LEN };
	struct proofrec_head h;
	struct proofrec rec;
	uint8_t key[32], *plain = NULL;
	int rc;

	if (len < PROOFREC_HEAD_LEN + SEAL_OVERHEAD)
		return fail(ERR_CORRUPT, "it ends too early");
	if ((rc = err_verdict(proofrec_head_decode(&h, raw, PROOFREC_HEAD_LEN), "record of what was verified")))
		return rc;
	if (name_sid_cmp(&h.sid, sid) != 0)
		return fail(ERR_AUTH, "it has another name");
	if ((rc = keys_unwrap(key, &h.wrap, r->keys->record, "varve proof key", &r->hdr.repo_id, raw, PROOFREC_WRAP_CONTEXT)) ||
	    (rc = mem_new((void **)&plain, len)) ||
	    (rc = seal_open(plain, raw + PROOFREC_HEAD_LEN, len - PROOFREC_HEAD_LEN, key, &aad)) ||
	    (rc = err_verdict(proofrec_decode(&rec, plain, len - PROOFREC_HEAD_LEN - SEAL_OVERHEAD), "record of what was verified")))
		goto out;
	rc = add_rows(p, &rec);
out:
	explicit_bzero(key, sizeof(key));
	free(plain);
	return rc;
}

static int
list_one(void *arg, const char *name)
{
	struct proofs *p = arg;
	struct name_sid sid;
	int rc;

	if (!name_sid_unhex(&sid, name))
		return OK;
	if ((rc = mem_grow((void **)&p->read, &p->read_cap, p->read_count + 1, sizeof(*p->read))))
		return rc;
	p->read[p->read_count++] = sid;
	return OK;
}

static void
path_of(char out[static 64], const char *dir, const struct name_sid *sid)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(sid, hex);
	snprintf(out, 64, "%s/%s%s", dir, hex, strcmp(dir, "tmp") == 0 ? ".verified" : "");
}

int
proofs_load(struct repo *r, struct proofs *out)
{
	char path[64];
	uint8_t *raw;
	size_t len;
	int rc;

	*out = (struct proofs){ 0 };
	rc = io_list(r->io, DIR, list_one, out);
	if (rc == ERR_ABSENT)           /* nothing was ever verified */
		return OK;
	for (size_t i = 0; rc == OK && i < out->read_count; i++) {
		path_of(path, DIR, &out->read[i]);
		if ((rc = io_read_file(r->io, path, PROOFREC_LEN_MAX, &raw, &len)) == OK) {
			rc = open_record(r, &out->read[i], raw, len, out);
			free(raw);
		}
		/* Folded into another one meanwhile, or damaged: then less is known. */
		if (rc && rc != ERR_NOMEM)
			rc = OK;
	}
	merge(out);
	return rc;
}

void
proofs_clear(struct proofs *p)
{
	free(p->packs);
	free(p->snaps);
	free(p->read);
	*p = (struct proofs){ 0 };
}

int64_t
proofs_of_pack(const struct proofs *p, const struct name *name)
{
	struct proofrec_pack key = { .name = *name }, *it;

	it = p->pack_count ? bsearch(&key, p->packs, p->pack_count, sizeof(key), pack_cmp) : NULL;
	return it ? it->time_ns : 0;
}

int64_t
proofs_of_snap(const struct proofs *p, const struct name_sid *sid)
{
	struct proofrec_snap key = { .sid = *sid }, *it;

	it = p->snap_count ? bsearch(&key, p->snaps, p->snap_count, sizeof(key), snap_cmp) : NULL;
	return it ? it->time_ns : 0;
}

/* ---- writing ---- */

static int
seal_record(struct repo *r, const struct name_sid *sid, const struct proofrec *rec, uint8_t **out, size_t *len)
{
	struct seal_aad aad = { .label = "varve proof", .repo_id = &r->hdr.repo_id, .context_len = PROOFREC_HEAD_LEN };
	size_t bound = proofrec_bound(rec), n;
	struct proofrec_head h = { .sid = *sid };
	uint8_t key[32], *buf;
	int rc;

	*out = NULL;
	if ((rc = mem_new((void **)&buf, PROOFREC_HEAD_LEN + SEAL_OVERHEAD + bound)))
		return rc;
	entropy_fill(key, sizeof(key));
	(void)proofrec_head_encode(buf, PROOFREC_HEAD_LEN, &h);
	keys_wrap(&h.wrap, r->keys->record, "varve proof key", &r->hdr.repo_id, buf, PROOFREC_WRAP_CONTEXT, key);
	(void)proofrec_head_encode(buf, PROOFREC_HEAD_LEN, &h);
	n = proofrec_encode(buf + PROOFREC_HEAD_LEN + 24, bound, rec);
	if (n == 0) {
		free(buf);
		return fail(ERR_FAILED, "what was verified cannot be written down");
	}
	aad.context = buf;
	seal_box(buf + PROOFREC_HEAD_LEN, buf + PROOFREC_HEAD_LEN + 24, n, key, &aad);
	explicit_bzero(key, sizeof(key));
	*len = PROOFREC_HEAD_LEN + SEAL_OVERHEAD + n;
	*out = buf;
	return OK;
}

static int
publish(struct repo *r, const struct name_sid *sid, const uint8_t *raw, size_t len)
{
	char tmp[64], path[64];
	int rc = io_mkdir(r->io, DIR);

	if (rc && rc != ERR_EXISTS)
		return rc;
	if (rc == OK && (rc = io_sync_dir(r->io, "")))
		return rc;
	path_of(tmp, "tmp", sid);
	path_of(path, DIR, sid);
	if ((rc = io_write_file(r->io, tmp, raw, len)))
		return rc;
	if ((rc = io_rename(r->io, tmp, path))) {
		io_discard(r->io, tmp);
		return rc;
	}
	return io_sync_dir(r->io, DIR);
}

int
proofs_save(struct repo *r, struct proofs *p)
{
	struct proofrec rec = { .written_ns = clock_wall_ns(), .drill_ns = p->drill_ns };
	struct name_sid sid;
	char path[64];
	uint8_t *raw;
	size_t len;
	int rc;

	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "this repository has features this version of varve may read but not write");
	merge(p);
	rec.packs = p->packs;
	rec.snaps = p->snaps;
	rec.pack_count = (uint32_t)p->pack_count;
	rec.snap_count = (uint32_t)p->snap_count;
	entropy_fill(sid.b, sizeof(sid.b));
	if ((rc = seal_record(r, &sid, &rec, &raw, &len)))
		return rc;
	rc = publish(r, &sid, raw, len);
	free(raw);
	for (size_t i = 0; rc == OK && i < p->read_count; i++) {
		path_of(path, DIR, &p->read[i]);
		rc = io_unlink(r->io, path);
		if (rc == ERR_ABSENT)
			rc = OK;
	}
	return rc;
}
