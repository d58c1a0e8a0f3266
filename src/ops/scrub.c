/*
 * scrub: threads take objects from a list, one at a time; each has a buffer of its own and reads with large preads.
 *
 * What proves an object without a key:
 *
 *     varve-repo                 its checksum (RH-1)
 *     packs/<aa>/<name>          name -> footer -> block checksums (PK-1)
 *     keys, index, records       the checksums in their sidecar (PA-1); without one, nothing but their shape, name and length
 *
 * What is missing is known from the sidecars that are left, and from the index: its pack tables are readable by anyone.
 */
#include "ops/scrub.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "format/indexfile.h"
#include "format/keyslot.h"
#include "format/repohdr.h"
#include "format/snaprec.h"
#include "store/blocksum.h"
#include "store/index.h"
#include "store/mend.h"
#include "store/objects.h"
#include "store/packcheck.h"
#include "store/parity.h"
#include "store/repo.h"
#include "sys/host.h"
#include "sys/signals.h"

#define JOBS_MAX 32u
#define SMALL 512                       /* enough of an object to see its shape */

struct scrub {
	struct repo repo;               /* without keys */
	bool header;                    /* repo.hdr is known */
	const struct scrub_options *o;
	struct scrub_stats *stats;
	struct objects objects;
	pthread_mutex_t lock;           /* of all below, and of the callbacks */
	size_t next, done;
	int rc;                         /* first error that ends it */
	char note[512];
};

struct worker {
	struct scrub *s;
	uint8_t *buf;                   /* BLOCKSUM_BLOCK_MAX */
	const struct objects_item *item;
	/* The run of bad blocks that is not told yet. */
	uint64_t run_first, run_count;
	uint32_t block;
	uint64_t len;                   /* bytes that have blocks */
	bool bad;                       /* the item */
	bool proven;                    /* every byte of it was compared */
	struct parity parity;           /* its sidecar */
	bool bad_parity;
};

/* ------------------------------------------------------------------------------------------------------- telling */

static void
say(struct scrub *s, const struct scrub_damage *d)
{
	if (s->o->damage)
		s->o->damage(s->o->arg, d);
}

static void
tell(struct worker *w, uint64_t off, uint64_t len, const char *what)
{
	struct scrub *s = w->s;

	pthread_mutex_lock(&s->lock);
	if (!w->bad)
		s->stats->damaged++;
	w->bad = true;
	say(s, &(struct scrub_damage){ .path = w->item->path, .off = off, .len = len, .what = what });
	pthread_mutex_unlock(&s->lock);
}

/* Of the sidecar. */
static void
tell_parity(struct worker *w, const char *what)
{
	struct scrub *s = w->s;

	pthread_mutex_lock(&s->lock);
	w->bad_parity = true;
	s->stats->damaged++;
	say(s, &(struct scrub_damage){ .path = w->parity.path, .what = what });
	pthread_mutex_unlock(&s->lock);
}

/* How a repair went.  Not with the lock held. */
static void
tell_repair(struct scrub *s, const char *path, int rc)
{
	pthread_mutex_lock(&s->lock);
	s->stats->repaired += rc == OK;
	say(s, &(struct scrub_damage){ .state = rc ? SCRUB_LOST : SCRUB_REPAIRED, .path = path,
	    .what = rc ? err_text() : "" });
	pthread_mutex_unlock(&s->lock);
}

static void
run_end(struct worker *w)
{
	uint64_t off = w->run_first * w->block, len = w->run_count * w->block;

	if (w->run_count)
		tell(w, off, len < w->len - off ? len : w->len - off, w->run_count == 1 ? "has a bad block" : "has bad blocks");
	pthread_mutex_lock(&w->s->lock);
	w->s->stats->bad_blocks += w->run_count;
	pthread_mutex_unlock(&w->s->lock);
	w->run_count = 0;
}

static int
bad_block(void *arg, uint64_t block)
{
	struct worker *w = arg;

	if (w->run_count && w->run_first + w->run_count == block) {
		w->run_count++;
		return OK;
	}
	run_end(w);
	w->run_first = block;
	w->run_count = 1;
	return OK;
}

/* Is this a failure of the object, not of the scrub? */
static bool
is_damage(int rc)
{
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_IO;
}

/* ------------------------------------------------------------------------------------------------------ checking */

/* By the sidecar's checksums: every byte. */
static int
check_sealed(struct worker *w, uint64_t *read)
{
	struct mend_look look;
	int rc;

	w->block = w->parity.s.shape.block;
	w->len = w->parity.s.shape.len;
	rc = mend_look(&w->s->repo, &w->parity, w->item->path, bad_block, w, &look);
	run_end(w);
	if (rc)
		return rc;
	if (!look.length && look.there)
		tell(w, 0, 0, "has another length than it had");
	if (look.bad_parity)
		tell_parity(w, "has bad blocks");
	w->proven = true;
	*read += w->len;
	return OK;
}

static int
check_pack(struct worker *w, struct io_file *f, uint64_t *read)
{
	struct io *io = w->s->repo.io;
	struct packfile_header h;
	struct blocksum b;
	struct packcheck pc;
	struct name name;
	int rc;

	if (!name_unhex(&name, objects_name(w->item->path)))
		return fail(ERR_FAILED, "'%s' has no name of a pack", w->item->path);
	rc = packcheck_footer(io, f, &name, &pc);
	if (is_damage(rc) && w->parity.state == PARITY_WHOLE)
		return check_sealed(w, read);
	if (is_damage(rc))
		tell(w, 0, 0, "has another footer than its name says: it was cut or its end is damaged");
	if (rc)
		return is_damage(rc) ? OK : rc;
	w->proven = true;
	b = (struct blocksum){ .path = w->item->path, .len = pc.size - pc.len, .block = PACKFILE_BLOCK, .sums = pc.footer.checksums };
	w->block = b.block;
	w->len = b.len;
	rc = blocksum_check(io, f, &b, w->buf, bad_block, w, read);
	run_end(w);
	*read += pc.len;
	if (rc == OK && !w->bad && (rc = io_read_at(io, f, 0, w->buf, PACKFILE_HEADER_LEN)) == OK &&
	    is_damage(rc = err_verdict(packfile_header_decode(&h, w->buf, PACKFILE_HEADER_LEN), "pack header")))
		tell(w, 0, PACKFILE_HEADER_LEN, "was made with a bad header");
	packcheck_clear(&pc);
	return is_damage(rc) ? OK : rc;
}

/* What can be said of a small or sealed object by its first bytes: NULL, or what is wrong. */
static const char *
shape(struct worker *w, const uint8_t *p, size_t got, uint64_t size)
{
	const struct name_sid *repo_id = &w->s->repo.hdr.repo_id;
	const char *name = objects_name(w->item->path);
	struct indexfile_header ih;
	struct indexfile_layout l;
	struct snaprec_head sh;
	struct keyslot slot;
	char hex[NAME_SID_HEX];

	switch (w->item->kind) {
	case OBJECTS_SLOT:
		if (size > got || keyslot_decode(&slot, p, (size_t)size) == CURSOR_MALFORMED)
			return "is no key slot";
		name_sid_hex(&slot.slot_id, hex);
		if (w->s->header && name_sid_cmp(&slot.repo_id, repo_id) != 0)
			return "belongs to another repository";
		return strcmp(hex, name) ? "has another slot's name" : NULL;
	case OBJECTS_RECORD:
		if (size < 160 + 40 || snaprec_head_decode(&sh, p, 160) == CURSOR_MALFORMED)
			return "is no snapshot record";
		name_sid_hex(&sh.sid, hex);
		return strcmp(hex, name) ? "has another record's name" : NULL;
	case OBJECTS_INDEX:
		if (size < INDEXFILE_HEADER_LEN || indexfile_header_decode(&ih, p, INDEXFILE_HEADER_LEN) == CURSOR_MALFORMED)
			return "is no index file";
		indexfile_layout(&ih, &l);
		if (l.file_len != size)
			return "has another length than it says";
		return w->s->header && name_sid_cmp(&ih.repo_id, repo_id) != 0 ? "belongs to another repository" : NULL;
	default:
		return NULL;
	}
}

static int
check_header(struct worker *w, const uint8_t *p, size_t got, uint64_t size)
{
	struct repohdr h;
	struct name sum;

	if (size != REPOHDR_LEN || repohdr_decode(&h, p, got) == CURSOR_MALFORMED) {
		tell(w, 0, 0, "is no repository header");
		return OK;
	}
	digest_hash(&sum, p, REPOHDR_COVERED);
	if (name_cmp(&sum, &h.checksum) != 0)
		tell(w, 0, 0, "has the wrong checksum");
	return OK;
}

static int
check_small(struct worker *w, struct io_file *f, uint64_t *read)
{
	uint8_t raw[SMALL];
	const char *what;
	uint64_t size;
	size_t got;
	int rc = io_size(w->s->repo.io, f, &size);

	got = size < sizeof(raw) ? (size_t)size : sizeof(raw);
	if (rc == OK && is_damage(rc = io_read_at(w->s->repo.io, f, 0, raw, got))) {
		tell(w, 0, got, "cannot be read");
		return OK;
	}
	if (rc)
		return rc;
	*read += got;
	if (w->item->kind == OBJECTS_HEADER) {
		w->proven = true;
		return check_header(w, raw, got, size);
	}
	if ((what = shape(w, raw, got, size)))
		tell(w, 0, 0, what);
	return OK;
}

static int
check_object(struct worker *w, uint64_t *read)
{
	struct io *io = w->s->repo.io;
	bool sealed = w->item->kind != OBJECTS_PACK && w->item->kind != OBJECTS_HEADER;
	struct io_file *f;
	int rc = io_open(io, w->item->path, &f);

	if (rc == ERR_ABSENT)
		return OK;              /* forgotten meanwhile: it has moved; or a copy is being made */
	if (rc == ERR_CORRUPT) {
		tell(w, 0, 0, "is not a regular file");
		return OK;
	}
	if (rc)
		return rc;
	if (w->item->kind == OBJECTS_PACK)
		rc = check_pack(w, f, read);
	else if (sealed && w->parity.state == PARITY_WHOLE)
		rc = check_sealed(w, read);
	else
		rc = check_small(w, f, read);
	(void)io_close(io, f);
	return rc;
}

/* The parity blocks themselves, where check_sealed did not look at them. */
static int
check_parity(struct worker *w, bool looked, uint64_t *read)
{
	uint64_t bad = 0;
	int rc;

	if (w->parity.state == PARITY_DAMAGED)
		tell_parity(w, "is damaged");
	if (w->parity.state != PARITY_WHOLE || looked)
		return OK;
	rc = mend_check_parity(&w->s->repo, &w->parity, w->buf, &bad, read);
	if (rc == OK && bad)
		tell_parity(w, "has bad blocks");
	return rc;
}

/* What cannot be repaired is no reason to stop. */
static int
repair(struct worker *w)
{
	struct scrub *s = w->s;
	int rc = OK;

	if (w->bad) {
		rc = w->parity.state == PARITY_WHOLE ? mend_object(&s->repo, &w->parity, w->item->kind, w->item->path) :
		    fail(ERR_CORRUPT, w->parity.state == PARITY_NONE ? "it has no parity" : "its parity is damaged, too");
		tell_repair(s, w->item->path, rc);
	}
	if (w->bad_parity && rc == OK) {
		rc = mend_sidecar(&s->repo, &w->parity, w->item->kind, w->item->path, false);
		tell_repair(s, w->parity.path, rc);
	}
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_ABSENT ? OK : rc;
}

static int
check(struct worker *w, uint64_t *read)
{
	struct scrub *s = w->s;
	int rc = parity_open(&s->repo, s->header, w->item->kind, objects_name(w->item->path), &w->parity);

	if (rc)
		return rc;
	if ((rc = check_object(w, read)) == OK)
		rc = check_parity(w, w->proven && w->item->kind != OBJECTS_PACK && w->item->kind != OBJECTS_HEADER, read);
	if (rc == OK && s->o->repair && (w->bad || w->bad_parity))
		rc = repair(w);
	if (w->parity.state != PARITY_NONE) {
		pthread_mutex_lock(&s->lock);
		s->stats->sidecars++;
		pthread_mutex_unlock(&s->lock);
	}
	parity_close(&s->repo, &w->parity);
	return rc;
}

/* ------------------------------------------------------------------------------------------------------- threads */

/* The first failure counts.  The lock is held. */
static void
fails(struct scrub *s, int rc)
{
	if (rc == OK || s->rc)
		return;
	s->rc = rc;
	snprintf(s->note, sizeof(s->note), "%s", err_text());
}

static void
finish_item(struct worker *w, int rc, uint64_t read)
{
	struct scrub *s = w->s;

	pthread_mutex_lock(&s->lock);
	s->done++;
	s->stats->objects++;
	s->stats->packs += w->item->kind == OBJECTS_PACK;
	s->stats->proven += w->proven && !w->bad;
	s->stats->bytes_read += read;
	fails(s, rc);
	if (s->o->progress)
		s->o->progress(s->o->arg, s->done, s->objects.count, s->stats->bytes_read);
	pthread_mutex_unlock(&s->lock);
}

static void *
work(void *arg)
{
	struct worker w = { .s = arg };
	struct scrub *s = arg;
	uint64_t read;
	int rc;

	rc = mem_new((void **)&w.buf, BLOCKSUM_BLOCK_MAX);
	for (;;) {
		pthread_mutex_lock(&s->lock);
		fails(s, rc);
		w.item = s->rc == OK && s->next < s->objects.count ? &s->objects.p[s->next++] : NULL;
		pthread_mutex_unlock(&s->lock);
		if (!w.item)
			break;
		read = 0;
		w.bad = w.bad_parity = w.proven = false;
		w.run_count = 0;
		if ((rc = signals_check()) == OK)
			rc = check(&w, &read);
		finish_item(&w, rc, read);
	}
	free(w.buf);
	return NULL;
}

static int
run_threads(struct scrub *s)
{
	unsigned jobs = s->o->jobs ? s->o->jobs : host_cpus(), started = 0;
	pthread_t id[JOBS_MAX];

	jobs = jobs < JOBS_MAX ? jobs : JOBS_MAX;
	while (started + 1 < jobs && pthread_create(&id[started], NULL, work, s) == 0)
		started++;
	work(s);
	while (started)
		pthread_join(id[--started], NULL);
	if (s->rc)
		err_set(s->rc, s->note);
	return s->rc;
}

/* ----------------------------------------------------------------------------------------------- what is missing */

static void
tell_missing(struct scrub *s, const char *path, const char *what)
{
	s->stats->missing++;
	say(s, &(struct scrub_damage){ .path = path, .what = what });
}

/* Is the object of a sidecar there?  FOUND (*path says where) or OK (*path: where it belongs). */
static int
object_there(struct scrub *s, const struct objects_item *side, char path[static OBJECTS_PATH])
{
	static const char *const forgotten[] = { "forgotten", "snapshots" };
	const char *name = objects_name(side->path);
	uint64_t size;
	int rc;

	if (side->kind == OBJECTS_HEADER)
		snprintf(path, OBJECTS_PATH, "%.64s", name);
	else if (side->kind == OBJECTS_PACK)
		snprintf(path, OBJECTS_PATH, "packs/%.2s/%.64s", name, name);
	else
		snprintf(path, OBJECTS_PATH, "%s/%.64s", side->kind == OBJECTS_SLOT ? "keys" : side->kind == OBJECTS_INDEX ? "index" :
		    "snapshots", name);
	rc = io_stat(s->repo.io, path, &size);
	/* forget and undelete may be moving it: the last look is at the place of the first. */
	for (int i = 0; rc == ERR_ABSENT && side->kind == OBJECTS_RECORD && i < 2; i++) {
		snprintf(path, OBJECTS_PATH, "%s/%.64s", forgotten[i], name);
		rc = io_stat(s->repo.io, path, &size);
	}
	return rc == OK ? FOUND : rc == ERR_ABSENT ? OK : rc;
}

/* Sidecars whose objects are gone: what is small comes back from its second copy. */
static int
orphans(struct scrub *s, const char *dir, enum objects_kind kind)
{
	struct objects sides = { 0 };
	char path[OBJECTS_PATH];
	struct parity p;
	int rc = objects_list_dir(s->repo.io, dir, kind, &sides);

	for (size_t i = 0; rc >= 0 && i < sides.count; i++) {
		if ((rc = object_there(s, &sides.p[i], path)))
			continue;
		tell_missing(s, path, "is missing");
		if (!s->o->repair)
			continue;
		if ((rc = parity_open(&s->repo, s->header, kind, objects_name(path), &p)))
			break;
		rc = p.state == PARITY_WHOLE ? mend_object(&s->repo, &p, kind, path) : fail(ERR_CORRUPT, "its parity is damaged, too");
		tell_repair(s, path, rc);
		parity_close(&s->repo, &p);
		rc = is_damage(rc) ? OK : rc;
	}
	objects_clear(&sides);
	return rc < 0 ? rc : OK;
}

static int
all_orphans(struct scrub *s)
{
	char dir[16];
	int rc;

	if ((rc = orphans(s, "parity/keys", OBJECTS_SLOT)) || (rc = orphans(s, "parity/index", OBJECTS_INDEX)) ||
	    (rc = orphans(s, "parity/snapshots", OBJECTS_RECORD)))
		return rc;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "parity/%02x", i);
		if ((rc = orphans(s, dir, OBJECTS_PACK)))
			return rc;
	}
	return OK;
}

/* Packs that the index names and that have no sidecar to tell of them. */
static int
missing_pack(struct index *ix, uint32_t no, const struct indexfile_pack *p, void *arg)
{
	char path[PACKCHECK_PATH], side[PARITY_PATH];
	struct scrub *s = arg;
	uint64_t size;
	int rc;

	(void)ix;
	(void)no;
	packcheck_path(path, &p->name);
	parity_path(side, OBJECTS_PACK, objects_name(path));
	rc = io_stat(s->repo.io, path, &size);
	if (rc == ERR_ABSENT && (rc = io_stat(s->repo.io, side, &size)) == ERR_ABSENT) {
		tell_missing(s, path, "is missing");
		if (s->o->repair)
			tell_repair(s, path, fail(ERR_CORRUPT, "it has no parity"));
	}
	return rc == ERR_ABSENT ? OK : rc;
}

/* An index that cannot be used was told of, or is. */
static int
missing(struct scrub *s)
{
	struct index *ix;
	uint64_t size;
	int rc;

	rc = io_stat(s->repo.io, "varve-repo", &size);
	if (rc == ERR_ABSENT && (rc = io_stat(s->repo.io, "parity/varve-repo", &size)) == ERR_ABSENT)
		tell_missing(s, "varve-repo", "is missing");
	if (rc || !s->header)
		return rc == ERR_ABSENT ? OK : rc;
	rc = index_load(&s->repo, &ix);
	if (is_damage(rc) || rc == ERR_UNSUPPORTED) {
		tell_missing(s, "index", err_text());
		return OK;
	}
	if (rc == ERR_ABSENT) {
		tell_missing(s, "index", "is missing");
		return OK;
	}
	if (rc)
		return rc;
	rc = index_each_pack(ix, missing_pack, s);
	index_free(ix);
	if (is_damage(rc)) {
		tell_missing(s, "index", err_text());
		rc = OK;
	}
	return rc;
}

/* ------------------------------------------------------------------------------------------------------- the whole */

/* The header, if it is good; what is wrong with it is told when its turn comes. */
static int
read_header(struct scrub *s)
{
	struct name sum;
	uint8_t *raw;
	size_t len;
	int rc = io_read_file(s->repo.io, "varve-repo", REPOHDR_LEN, &raw, &len);

	if (rc)
		return rc == ERR_NOMEM ? rc : OK;
	if (repohdr_decode(&s->repo.hdr, raw, len) == CURSOR_OK) {
		digest_hash(&sum, raw, REPOHDR_COVERED);
		s->header = name_cmp(&sum, &s->repo.hdr.checksum) == 0;
	}
	free(raw);
	return OK;
}

static void
leave_packs_out(struct objects *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->count; i++)
		if (o->p[i].kind != OBJECTS_PACK)
			o->p[n++] = o->p[i];
	o->count = n;
}

static int
run_locked(struct scrub *s)
{
	uint64_t damaged;
	int rc;

	if ((rc = orphans(s, "parity", OBJECTS_HEADER)) || (rc = read_header(s)) || (rc = all_orphans(s)) ||
	    (rc = objects_list(s->repo.io, &s->objects)))
		return rc;
	if (s->objects.count == 0)
		return fail(ERR_NOREPO, "there is nothing of a repository");
	if (s->o->small)
		leave_packs_out(&s->objects);
	if ((rc = run_threads(s)) || (rc = read_header(s)) || (rc = missing(s)))
		return rc;
	damaged = s->stats->damaged + s->stats->missing;
	return damaged > s->stats->repaired ? fail(ERR_CORRUPT, "damage was found") : OK;
}

int
scrub_run(struct io *io, const struct scrub_options *o, struct scrub_stats *stats)
{
	struct scrub s = { .repo = { .io = io }, .o = o, .stats = stats };
	int rc, rc2 = OK, lock;

	*stats = (struct scrub_stats){ 0 };
	lock = io_lock(io, o->repair ? IO_EXCLUSIVE : IO_SHARED, true);
	if (lock && lock != ERR_ABSENT)
		return lock;
	pthread_mutex_init(&s.lock, NULL);
	rc = run_locked(&s);
	pthread_mutex_destroy(&s.lock);
	objects_clear(&s.objects);
	if (lock == OK)
		rc2 = io_lock(io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}
