/*
 * index: the view of all valid index files.
 *
 * A chunk's row in the newest table that has one is its settled state (a tombstone: none); every segment adds to it.  Packs get
 * small numbers as they are met, so that callers can keep arrays by pack.
 */
#include "store/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"
#include "store/sieve.h"

#define NO_NUMBER 0xffffffffu
#define SIEVE_LOOK 64u                  /* so often it is asked whether a sieve pays ... */
#define SIEVE_WORTH 4u                  /* ... which costs a row as much as a part of a search, and is for so many segments or more */

struct view_file {
	struct index_file *f;
	uint32_t *pack_no;              /* per row of its pack table; NO_NUMBER until asked for */
};

struct index {
	struct repo *repo;
	struct view_file *file;         /* tables newest first, then segments */
	size_t table_count, file_count, cap;
	struct pack_id {
		struct name name;
		uint64_t bytes;
	} *packs;                       /* by number */
	size_t pack_count, pack_cap;
	uint32_t *hash;                 /* pack name -> number + 1, open addressing */
	size_t hash_size;
	uint8_t *there;                 /* enum pack_there by number */
	size_t there_cap;
	uint64_t asked;                 /* how often */
	struct sieve *sieve;            /* NULL: not worth it, or not yet */
};

enum pack_there { PACK_UNKNOWN, PACK_THERE, PACK_GONE };

struct copy {
	struct view_file *file;         /* NULL: none */
	struct indexfile_row row;
};

/* ------------------------------------------------------------------------------------------------- loading */

struct listing {
	struct repo *repo;
	uint64_t head;
	struct seg {
		struct name_sid sid;
		uint32_t part;
	} *seg;
	size_t seg_count, seg_cap;
};

static int
list_one(void *arg, const char *name)
{
	struct listing *l = arg;
	struct name_sid sid;
	uint64_t number;
	uint32_t part;
	int rc;

	if (index_file_parse_table(name, &number)) {
		if (number > l->head)
			l->head = number;
	} else if (index_file_parse_segment(name, &sid, &part)) {
		if ((rc = mem_grow((void **)&l->seg, &l->seg_cap, l->seg_count + 1, sizeof(*l->seg))))
			return rc;
		l->seg[l->seg_count++] = (struct seg){ .sid = sid, .part = part };
	}
	return OK;
}

static int
seg_cmp(const void *a, const void *b)
{
	const struct seg *x = a, *y = b;
	int c = name_sid_cmp(&x->sid, &y->sid);

	return c ? c : x->part < y->part ? -1 : x->part > y->part;
}

static int
add_file(struct index *ix, const char *path)
{
	struct view_file *v;
	uint32_t packs;
	int rc;

	if ((rc = mem_grow((void **)&ix->file, &ix->cap, ix->file_count + 1, sizeof(*ix->file))))
		return rc;
	v = &ix->file[ix->file_count];
	*v = (struct view_file){ 0 };
	if ((rc = index_file_open(ix->repo, path, &v->f)))
		return rc;
	ix->file_count++;
	packs = index_file_header(v->f)->pack_count;
	if ((rc = mem_new((void **)&v->pack_no, mem_array(packs, sizeof(uint32_t)))))
		return rc;
	memset(v->pack_no, 0xff, packs * sizeof(uint32_t));
	return OK;
}

static int
add_tables(struct index *ix, uint64_t head)
{
	char path[INDEX_FILE_PATH];
	struct index_file *f;
	uint64_t number;
	int rc;

	if (head == 0)
		return OK;
	index_file_table_path(path, "index", head);
	rc = add_file(ix, path);
	if (rc == ERR_CORRUPT && head == UINT64_MAX)    /* IX-11 */
		rc = fail(ERR_CORRUPT, "a repair of it was cut short: 'varve repair index' makes it anew");
	if (rc)
		return rc;
	f = ix->file[0].f;
	for (uint32_t i = 0; i < index_file_header(f)->keep_count; i++) {
		if ((rc = index_file_keep(f, i, &number)))
			return rc;
		index_file_table_path(path, "index", number);
		rc = add_file(ix, path);
		if (rc == ERR_ABSENT)
			rc = fail(ERR_CORRUPT, "table '%s' is missing from the index", path);
		if (rc)
			return rc;
	}
	ix->table_count = ix->file_count;
	return OK;
}

static int
add_segments(struct index *ix, struct listing *l)
{
	char path[INDEX_FILE_PATH];
	struct indexfile_remove what;
	int rc;

	if (l->seg_count)
		qsort(l->seg, l->seg_count, sizeof(*l->seg), seg_cmp);
	for (size_t i = 0; i < l->seg_count; i++) {
		what = (struct indexfile_remove){ .kind = INDEXFILE_DEAD_SEGMENT, .part = l->seg[i].part };
		memcpy(what.name.b, l->seg[i].sid.b, NAME_SID_LEN);
		if ((rc = index_removed(ix, &what)) < 0)
			return rc;
		if (rc == FOUND)
			continue;
		index_file_segment_path(path, "index", &l->seg[i].sid, l->seg[i].part);
		if ((rc = add_file(ix, path)))
			return rc;
	}
	return OK;
}

int
index_load(struct repo *r, struct index **out)
{
	struct listing l = { .repo = r };
	struct index *ix;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(ix)))
		return rc;
	ix->repo = r;
	if ((rc = io_list(r->io, "index", list_one, &l)) == OK &&
	    (rc = add_tables(ix, l.head)) == OK)
		rc = add_segments(ix, &l);
	free(l.seg);
	*out = rc ? index_free(ix) : ix;
	return err_context(rc, "cannot load the index");
}

struct index *
index_free(struct index *ix)
{
	if (ix) {
		for (size_t i = 0; i < ix->file_count; i++) {
			index_file_close(ix->file[i].f);
			free(ix->file[i].pack_no);
		}
		sieve_free(ix->sieve);
		free(ix->file);
		free(ix->packs);
		free(ix->hash);
		free(ix->there);
		free(ix);
	}
	return NULL;
}

/* ----------------------------------------------------------------------------------------------- pack numbers */

static size_t
pack_slot(const struct index *ix, const struct name *name)
{
	size_t h;

	memcpy(&h, name->b, sizeof(h));
	for (h &= ix->hash_size - 1; ix->hash[h]; h = (h + 1) & (ix->hash_size - 1))
		if (name_cmp(&ix->packs[ix->hash[h] - 1].name, name) == 0)
			break;
	return h;
}

static int
hash_grow(struct index *ix)
{
	size_t size = ix->hash_size ? ix->hash_size * 2 : 64;
	int rc;

	free(ix->hash);
	ix->hash_size = size;
	if ((rc = mem_new((void **)&ix->hash, mem_array(size, sizeof(uint32_t)))))
		return rc;
	for (size_t i = 0; i < ix->pack_count; i++)
		ix->hash[pack_slot(ix, &ix->packs[i].name)] = (uint32_t)i + 1;
	return OK;
}

int
index_pack_number(struct index *ix, const struct indexfile_pack *p, uint32_t *no)
{
	size_t h;
	int rc;

	if (ix->pack_count * 2 >= ix->hash_size && (rc = hash_grow(ix)))
		return rc;
	h = pack_slot(ix, &p->name);
	if (!ix->hash[h]) {
		if ((rc = mem_grow((void **)&ix->packs, &ix->pack_cap, ix->pack_count + 1, sizeof(*ix->packs))))
			return rc;
		ix->packs[ix->pack_count++] = (struct pack_id){ .name = p->name, .bytes = p->bytes };
		ix->hash[h] = (uint32_t)ix->pack_count;
	}
	*no = ix->hash[h] - 1;
	return OK;
}

int
index_pack_there(struct index *ix, uint32_t no)
{
	char path[128], hex[NAME_HEX];
	size_t old = ix->there_cap;
	uint64_t size;
	int rc;

	if ((rc = mem_grow((void **)&ix->there, &ix->there_cap, no + 1u, 1)))
		return rc;
	if (ix->there_cap > old)
		memset(ix->there + old, PACK_UNKNOWN, ix->there_cap - old);
	if (ix->there[no] == PACK_UNKNOWN) {
		name_hex(&ix->packs[no].name, hex);
		snprintf(path, sizeof(path), "packs/%.2s/%s", hex, hex);
		rc = io_stat(ix->repo->io, path, &size);
		if (rc && rc != ERR_ABSENT)
			return rc;
		/* A file that lost its end is as good as gone. */
		ix->there[no] = rc || size != ix->packs[no].bytes ? PACK_GONE : PACK_THERE;
	}
	return ix->there[no] == PACK_THERE ? FOUND : OK;
}

/* -------------------------------------------------------------------------------------------------- searching */

static int
place_of(struct index *ix, struct view_file *v, const struct indexfile_row *row, struct index_place *p)
{
	struct indexfile_frame fr;
	struct indexfile_pack pk;
	int rc;

	if ((rc = index_file_place(v->f, row->frame, &fr, &pk)))
		return rc;
	if (row->slot >= fr.chunks || (uint64_t)fr.off + fr.len > pk.bytes)
		return fail(ERR_CORRUPT, "the index places a chunk outside its frame");
	if (v->pack_no[fr.pack] == NO_NUMBER && (rc = index_pack_number(ix, &pk, &v->pack_no[fr.pack])))
		return rc;
	*p = (struct index_place){
		.pack_no = v->pack_no[fr.pack], .pack_name = pk.name, .pack_kind = pk.kind, .ordinal = fr.ordinal,
		.off = fr.off, .len = fr.len, .slot = row->slot, .type = row->type, .depth = row->depth,
	};
	return OK;
}

/* FOUND or OK. */
static int
copy_there(struct index *ix, const struct copy *c)
{
	struct index_place p;
	int rc = place_of(ix, c->file, &c->row, &p);

	return rc ? rc : index_pack_there(ix, p.pack_no);
}

/* Of two copies one whose pack is there; then the less deep (CH-3); then the newer. */
static int
choose(struct index *ix, struct copy *best, const struct copy *other)
{
	int a = copy_there(ix, best), b = copy_there(ix, other);

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	if (a == b ? other->row.depth <= best->row.depth : b == FOUND)
		*best = *other;
	return OK;
}

/* Once as much was searched as it costs to make it. */
static int
make_sieve(struct index *ix)
{
	size_t n = ix->file_count - ix->table_count;
	uint64_t rows = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		rows += index_file_header(index_segment_at(ix, i))->row_count;
	if (n < SIEVE_WORTH || rows > SIEVE_ROWS)
		ix->asked = 0;
	if (ix->asked * n < rows / SIEVE_WORTH || ix->asked == 0)
		return OK;
	rc = sieve_new(rows, &ix->sieve);
	for (size_t i = 0; rc == OK && i < n && i < SIEVE_SEGMENTS; i++)
		rc = sieve_add(ix->sieve, (unsigned)i, index_segment_at(ix, i));
	if (rc)
		ix->sieve = sieve_free(ix->sieve);
	return rc;
}

int
index_find(struct index *ix, const struct name *id, struct index_place *place, bool *reusable)
{
	struct copy best = { 0 }, it;
	bool settled = false, reuse = false;
	uint64_t may = UINT64_MAX;
	size_t seg;
	int rc;

	if (!ix->sieve && ++ix->asked % SIEVE_LOOK == 0 &&
	    (rc = make_sieve(ix)))
		return rc;
	if (ix->sieve)
		may = sieve_ask(ix->sieve, id);
	for (size_t i = 0; i < ix->file_count; i++) {
		if (i < ix->table_count && settled)
			continue;               /* an older table: hidden */
		seg = i - ix->table_count;
		if (i >= ix->table_count && seg < SIEVE_SEGMENTS && !(may >> seg & 1))
			continue;
		it.file = &ix->file[i];
		if ((rc = index_file_find(it.file->f, id, &it.row)) < 0)
			return rc;
		if (rc != FOUND)
			continue;
		settled = true;
		if (it.row.frame == INDEXFILE_NO_FRAME)
			continue;
		reuse = reuse || i >= ix->table_count || it.row.type == 'D' || it.row.refs > 0;
		if (!best.file)
			best = it;
		else if ((rc = choose(ix, &best, &it)))
			return rc;
	}
	if (reusable)
		*reusable = reuse;
	if (!best.file)
		return OK;
	rc = place_of(ix, best.file, &best.row, place);
	return rc ? rc : FOUND;
}

int
index_removed(struct index *ix, const struct indexfile_remove *what)
{
	return ix->table_count ? index_file_find_remove(ix->file[0].f, what) : OK;
}

uint32_t
index_pack_count(const struct index *ix)
{
	return (uint32_t)ix->pack_count;
}

uint64_t
index_head_number(const struct index *ix)
{
	return ix->table_count ? index_file_header(ix->file[0].f)->number : 0;
}

size_t
index_table_count(const struct index *ix)
{
	return ix->table_count;
}

size_t
index_segment_count(const struct index *ix)
{
	return ix->file_count - ix->table_count;
}

struct index_file *
index_table_at(struct index *ix, size_t i)
{
	return ix->file[i].f;
}

struct index_file *
index_segment_at(struct index *ix, size_t i)
{
	return ix->file[ix->table_count + i].f;
}

int
index_each_pack(struct index *ix, index_pack_fn fn, void *arg)
{
	size_t bound = ix->pack_count;
	struct indexfile_pack p;
	uint8_t *seen;
	uint32_t no;
	int rc;

	for (size_t i = 0; i < ix->file_count; i++)
		bound += index_file_header(ix->file[i].f)->pack_count;
	if ((rc = mem_new((void **)&seen, bound)))
		return rc;
	for (size_t i = 0; rc == OK && i < ix->file_count; i++)
		for (uint32_t k = 0; rc == OK && k < index_file_header(ix->file[i].f)->pack_count; k++) {
			if ((rc = index_file_pack(ix->file[i].f, k, &p)) || (rc = index_pack_number(ix, &p, &no)) || seen[no])
				continue;
			seen[no] = 1;
			if (p.live_frames)
				rc = fn(ix, no, &p, arg);
		}
	free(seen);
	return rc;
}

static int
pack_total(struct index *ix, uint32_t no, const struct indexfile_pack *p, void *arg)
{
	struct index_totals *t = arg;

	(void)ix;
	(void)no;
	t->packs++;
	t->pack_bytes += p->bytes;
	t->live_bytes += p->live_bytes;
	*(p->kind == 1 ? &t->data_bytes : &t->meta_bytes) += p->bytes;
	return OK;
}

int
index_totals(struct index *ix, struct index_totals *t)
{
	*t = (struct index_totals){ 0 };
	for (size_t i = 0; i < ix->file_count; i++) {
		t->rows += index_file_header(ix->file[i].f)->row_count;
		t->index_bytes += index_file_len(ix->file[i].f);
	}
	return index_each_pack(ix, pack_total, t);
}

/* AT_END for one that is not there. */
static int
pack_gone(struct index *ix, uint32_t no, const struct indexfile_pack *p, void *arg)
{
	int rc = index_pack_there(ix, no);

	(void)p;
	(void)arg;
	return rc == FOUND ? OK : rc == OK ? AT_END : rc;
}

int
index_packs_whole(struct index *ix)
{
	int rc = index_each_pack(ix, pack_gone, NULL);

	return rc == OK ? FOUND : rc == AT_END ? OK : rc;
}

int
index_add_segment(struct index *ix, const char *path)
{
	return add_file(ix, path);
}

int
index_names_pack(struct index *ix, const struct name *name)
{
	struct indexfile_pack p;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < ix->file_count; i++)
		rc = index_file_find_pack(ix->file[i].f, name, &p, NULL);
	return rc;
}
