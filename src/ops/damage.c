#include "ops/damage.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

int
damage_init(struct damages *d)
{
	pthread_mutex_t *m;
	int rc = MEM_NEW(m);

	*d = (struct damages){ .lock = m };
	if (rc == OK)
		pthread_mutex_init(m, NULL);
	return rc;
}

void
damage_clear(struct damages *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct damage *it = &d->v[i];

		for (size_t k = 0; k < it->file_count; k++)
			free(it->files[k].path);
		free(it->files);
		free(it->snaps);
		free(it->object);
		free(it->place);
		free(it->text);
	}
	free(d->v);
	free(d->ids);
	if (d->lock)
		pthread_mutex_destroy(d->lock);
	free(d->lock);
	*d = (struct damages){ 0 };
}

static int
add(struct damages *d, const struct damage *it, const struct name *id)
{
	int rc;

	__atomic_fetch_add(&d->total, 1, __ATOMIC_RELAXED);  /* shown meanwhile */
	if (d->count < DAMAGE_MAX) {
		struct damage *to;

		if ((rc = mem_grow((void **)&d->v, &d->cap, d->count + 1, sizeof(*d->v))))
			return rc;
		to = &d->v[d->count];
		*to = (struct damage){ .kind = it->kind };
		if ((rc = mem_dup(&to->object, it->object)) || (rc = mem_dup(&to->text, it->text)) ||
		    (it->place && (rc = mem_dup(&to->place, it->place)))) {
			free(to->object);
			free(to->text);
			return rc;
		}
		d->count++;
	}
	if (!id)
		return OK;
	if ((rc = mem_grow((void **)&d->ids, &d->id_cap, d->id_count + 1, sizeof(*d->ids))))
		return rc;
	d->ids[d->id_count++] = (struct damage_id){ *id, (uint32_t)d->count };
	return OK;
}

uint32_t
damage_add(struct damages *d, enum damage_kind kind, const char *object, const char *place, const struct name *id,
    const char *fmt, ...)
{
	char obj[256], where[256], text[1024];
	struct damage it = { .kind = kind, .object = obj, .place = place ? where : NULL, .text = text };
	va_list ap;
	size_t before;
	uint32_t no;
	int rc;

	snprintf(obj, sizeof(obj), "%s", object);
	snprintf(where, sizeof(where), "%s", place ? place : "");
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
	} else {
		snprintf(text, sizeof(text), "%s", err_text());
	}
	pthread_mutex_lock(d->lock);
	before = d->count;
	if ((rc = add(d, &it, id)))
		d->rc = rc;
	no = d->count > before ? (uint32_t)d->count : 0;
	pthread_mutex_unlock(d->lock);
	return no;
}

void
damage_because(struct damages *d, uint32_t no, const struct name *base)
{
	pthread_mutex_lock(d->lock);
	if (no > 0 && no <= d->count)
		d->v[no - 1].cause = *base;
	pthread_mutex_unlock(d->lock);
}

void
damage_drop(struct damages *d, uint32_t no, uint32_t of)
{
	for (size_t i = 0; i < d->id_count; i++)
		if (d->ids[i].no == no)
			d->ids[i].no = of;
	d->v[no - 1].dropped = true;
	d->total--;
}

void
damage_forgive(struct damages *d, uint32_t no)
{
	d->v[no - 1].dropped = true;
	d->total--;
}

static int
id_cmp(const void *a, const void *b)
{
	return name_cmp(&((const struct damage_id *)a)->id, &((const struct damage_id *)b)->id);
}

void
damage_sort(struct damages *d)
{
	if (d->id_count)
		qsort(d->ids, d->id_count, sizeof(*d->ids), id_cmp);
}

uint32_t
damage_of(const struct damages *d, const struct name *id)
{
	struct damage_id key = { .id = *id }, *it;

	it = d->id_count ? bsearch(&key, d->ids, d->id_count, sizeof(key), id_cmp) : NULL;
	return it ? it->no : 0;
}

static int
touch(struct damage *it, const struct name_sid *sid)
{
	int rc;

	if (it->snap_count && name_sid_cmp(&it->snaps[it->snap_count - 1], sid) == 0)
		return OK;
	if ((rc = mem_grow((void **)&it->snaps, &it->snap_cap, it->snap_count + 1, sizeof(*it->snaps))))
		return rc;
	it->snaps[it->snap_count++] = *sid;
	return OK;
}

int
damage_file(struct damages *d, uint32_t no, const char *path, size_t snap, const struct name_sid *sid)
{
	size_t lo = 0, hi, mid;
	struct damage_file *f;
	struct damage *it;
	int rc, cmp;

	if (no == 0 || no > d->count)
		return OK;
	it = &d->v[no - 1];
	if ((rc = touch(it, sid)))
		return rc;
	hi = it->file_count;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		cmp = strcmp(path, it->files[mid].path);
		if (cmp == 0) {
			f = &it->files[mid];
			f->count += f->last != snap;
			f->last = snap;
			return OK;
		}
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (it->file_count >= DAMAGE_FILES) {
		it->files_more++;
		return OK;
	}
	if ((rc = mem_grow((void **)&it->files, &it->file_cap, it->file_count + 1, sizeof(*it->files))))
		return rc;
	f = &it->files[lo];
	memmove(f + 1, f, (it->file_count - lo) * sizeof(*f));
	*f = (struct damage_file){ .first = snap, .last = snap, .count = 1 };
	it->file_count++;
	return mem_dup(&f->path, path);
}

const char *
damage_advice(enum damage_kind kind)
{
	switch (kind) {
	case DAMAGE_KEY:
		return "make another one while a key still opens the repository ('varve key add'), then remove this one";
	case DAMAGE_INDEX:
		return "'varve scrub --repair', then 'varve repair index', which needs nothing but the packs";
	case DAMAGE_RECORD:
		return "'varve scrub --repair' brings it back from its copy; the snapshot's content is kept until then";
	case DAMAGE_PACK:
		return "'varve scrub --repair' if it has parity; else 'varve repair packs' saves what can be read, a new snapshot stores again "
		    "what is still there, 'varve repair snapshots' gives up the rest";
	case DAMAGE_NODE:
		return "'varve scrub --repair', then 'varve repair index'; a new snapshot or 'varve repair --from PATH' stores again what is still "
		    "there, 'varve repair snapshots' gives up the rest";
	case DAMAGE_COUNT:
		return "do not prune: what is counted too low would be deleted while snapshots need it; 'varve repair index' counts anew";
	case DAMAGE_DATABASE:
		return "the repository is intact; the database was like that when it was captured: look for an older snapshot without the fault";
	case DAMAGE_HISTORY:
		return "find out who put back an older copy of the repository; what was stored since is not in it";
	case DAMAGE_FILE:
		return "restore the file again; if that differs, too, suspect this machine's memory or disk";
	}
	return "";
}
