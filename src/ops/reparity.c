#include "ops/reparity.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "format/packfile.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/keyring.h"
#include "store/mend.h"
#include "store/objects.h"
#include "store/parity.h"
#include "store/snapshots.h"
#include "sys/signals.h"

struct reparity {
	struct repo *r;
	const struct reparity_options *o;
	struct reparity_stats *stats;
	struct sidecar_shape data;      /* of data packs */
	bool want_data;
};

static bool
is_damage(int rc)
{
	return (rc != ERR_ABSENT && err_is_lost(rc)) || rc == ERR_UNSUPPORTED;
}

static int
prove_index(struct repo *r, const char *path)
{
	struct index_file *x;
	int rc = index_file_open(r, path, &x);

	if (rc)
		return rc;
	rc = index_file_prove(x);
	index_file_close(x);
	return rc;
}

/* With the key.  Packs are proven while their sidecar is made. */
static int
prove(struct repo *r, const struct objects_item *it)
{
	struct snapshots_item snap;
	struct keyslot slot;
	struct name_sid sid;
	int rc;

	switch (it->kind) {
	case OBJECTS_SLOT:
		if (!name_sid_unhex(&sid, objects_name(it->path)))
			return fail(ERR_FAILED, "no name of a slot");
		return keyring_read(r, &sid, &slot);
	case OBJECTS_RECORD:
		if (!name_sid_unhex(&sid, objects_name(it->path)))
			return fail(ERR_FAILED, "no name of a record");
		rc = snapshots_read(r, it->path[0] == 'f', &sid, &snap);
		if (rc == OK)
			snapshots_item_clear(&snap);
		return rc;
	case OBJECTS_INDEX:
		return prove_index(r, it->path);
	default:
		return OK;
	}
}

/* FOUND with the shape that its sidecar should have; OK: none. */
static int
wanted(struct reparity *p, const struct objects_item *it, struct sidecar_shape *shape)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	struct packfile_header h;
	struct io_file *f;
	int rc;

	*shape = PARITY_DEFAULT;
	if (it->kind != OBJECTS_PACK)
		return FOUND;
	if ((rc = io_open(p->r->io, it->path, &f)))
		return rc;
	if ((rc = io_read_at(p->r->io, f, 0, raw, sizeof(raw))) == OK)
		rc = err_verdict(packfile_header_decode(&h, raw, sizeof(raw)), "pack header");
	(void)io_close(p->r->io, f);
	if (rc)
		return rc;
	if (h.kind == PACKFILE_META)
		return FOUND;
	*shape = p->data;
	return p->want_data ? FOUND : OK;
}

static bool
fits(const struct parity *side, const struct sidecar_shape *want, uint64_t size)
{
	const struct sidecar_shape *s = &side->s.shape;

	return side->state == PARITY_WHOLE && s->len == size && s->block == want->block && s->data == want->data &&
	    s->parity == want->parity;
}

/* Only its secret proves a slot, and of those that did not open the repository that is not known. */
static bool
is_other_slot(const struct repo *r, const struct objects_item *it)
{
	struct name_sid sid;

	return it->kind == OBJECTS_SLOT && (!name_sid_unhex(&sid, objects_name(it->path)) || name_sid_cmp(&sid, &r->slot_id) != 0);
}

/* What is left of a sidecar proves the object, or the sidecar stays: it may have the good copy. */
static int
agree(struct repo *r, const struct objects_item *it, const struct parity *side)
{
	struct mend_look look;
	int rc;

	if (side->state == PARITY_NONE)
		return OK;
	if (side->state == PARITY_DAMAGED)
		rc = mend_sidecar(r, side, it->kind, it->path, false);
	else if ((rc = mend_look(r, side, it->path, NULL, NULL, &look)) == OK && (look.bad || !look.length))
		rc = ERR_CORRUPT;
	return rc == ERR_CORRUPT ? fail(ERR_CORRUPT, "the slot and its sidecar contradict each other: if the slot's secret opens the "
	    "repository, 'varve repair parity' with it makes the sidecar anew") : rc;
}

static int
make(struct reparity *p, const struct objects_item *it, struct parity *side, const struct sidecar_shape *want)
{
	struct mend_look look;
	uint64_t size;
	int rc;

	if ((rc = io_stat(p->r->io, it->path, &size)))
		return rc;
	if (fits(side, want, size)) {
		if ((rc = mend_look(p->r, side, it->path, NULL, NULL, &look)))
			return rc;
		if (look.bad)
			return fail(ERR_CORRUPT, "'%s' is damaged", it->path);
		if (look.bad_parity == 0) {
			p->stats->kept++;
			return OK;
		}
	}
	if ((rc = prove(p->r, it)) || (is_other_slot(p->r, it) && (rc = agree(p->r, it, side))) ||
	    (rc = mend_replace(p->r, it->kind, it->path, want)))
		return rc;
	p->stats->made++;
	return OK;
}

static int
one(struct reparity *p, const struct objects_item *it)
{
	struct sidecar_shape want;
	struct parity side;
	bool gone = false;
	int rc, rc2;

	p->stats->objects++;
	rc = wanted(p, it, &want);
	if (rc == OK) {
		rc = parity_drop(p->r->io, it->kind, objects_name(it->path), &gone);
		p->stats->removed += gone;
	} else if (rc == FOUND) {
		if ((rc = parity_open(p->r, true, it->kind, objects_name(it->path), &side)))
			return rc;
		rc2 = make(p, it, &side, &want);
		parity_close(p->r, &side);
		rc = rc2;
	}
	if (is_damage(rc)) {
		p->stats->damaged++;
		if (p->o->bad)
			p->o->bad(p->o->arg, it->path);
		return OK;
	}
	return rc;
}

/*
 * Sidecars of packs that are not there and that the index does not name: set aside, because an index that was made when the pack was
 * lost already does not name it either.
 */
static int
set_orphans_aside(struct reparity *p)
{
	struct objects sides = { 0 };
	struct index *ix = NULL;
	char dir[16], path[OBJECTS_PATH];
	uint64_t size;
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < 256; i++) {
		snprintf(dir, sizeof(dir), "parity/%02x", i);
		rc = objects_list_dir(p->r->io, dir, OBJECTS_PACK, &sides);
	}
	for (size_t i = 0; rc == OK && i < sides.count; i++) {
		const char *name = objects_name(sides.p[i].path);
		struct name pack;

		snprintf(path, sizeof(path), "packs/%.2s/%.64s", name, name);
		if ((rc = io_stat(p->r->io, path, &size)) != ERR_ABSENT)
			continue;
		if ((!ix && (rc = index_load(p->r, &ix))) || !name_unhex(&pack, name) || (rc = index_names_pack(ix, &pack)) < 0)
			break;
		if (rc == OK) {
			rc = mend_set_aside(p->r, sides.p[i].path);
			p->stats->removed++;
		} else {
			rc = OK;
		}
	}
	index_free(ix);
	objects_clear(&sides);
	/* An index that cannot be read names who knows what: nothing is dropped. */
	return is_damage(rc) ? OK : rc;
}

static int
run_locked(struct reparity *p)
{
	struct objects all = { 0 };
	int rc;

	if ((p->o->set || p->o->none) && (rc = parity_set_policy(p->r, p->o->none ? NULL : &p->o->shape)))
		return rc;
	parity_forget(p->r);
	if ((rc = parity_policy(p->r, &p->data)) < 0)
		return rc;
	p->want_data = rc == FOUND;
	rc = objects_list(p->r->io, &all);
	for (size_t i = 0; rc == OK && i < all.count; i++) {
		if ((rc = signals_check()) == OK)
			rc = one(p, &all.p[i]);
		if (p->o->progress)
			p->o->progress(p->o->arg, i + 1, all.count);
	}
	objects_clear(&all);
	if (rc == OK)
		rc = set_orphans_aside(p);
	if (rc == OK && p->stats->damaged)
		return fail(ERR_CORRUPT, "%ju object%s damaged: 'varve scrub --repair' comes first", (uintmax_t)p->stats->damaged,
		    p->stats->damaged == 1 ? " is" : "s are");
	return rc;
}

int
reparity_run(struct repo *r, const struct reparity_options *o, struct reparity_stats *stats)
{
	struct reparity p = { .r = r, .o = o, .stats = stats };
	int rc, rc2;

	*stats = (struct reparity_stats){ 0 };
	if ((rc = io_lock(r->io, IO_EXCLUSIVE, true)))
		return rc;
	rc = run_locked(&p);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}
