/*
 * prop_format [SEED]: what a decoder accepts encodes to the same bytes (GN-1),
 * and no input makes a decoder read out of bounds (GN-2, with a sanitizer).
 * Inputs are good records of random content, then mutated ones: bytes changed,
 * runs copied, ends cut and grown.  Lost if it failed: two encodings of one
 * value, with which the storage could make a copy that compares as different.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/again.h"

#define DEFAULT_SEED 20240229u
#define ROUNDS 400                      /* good records of each kind */
#define MUTANTS 40                      /* of each good record */
#define CAP 16384

struct gen {
	uint64_t state;
	uint8_t *buf;                   /* CAP bytes */
};

/* splitmix64 */
static uint64_t
next(struct gen *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 ... n - 1 */
static uint32_t
below(struct gen *g, uint32_t n)
{
	return (uint32_t)(next(g) % n);
}

static void
noise(struct gen *g, void *p, size_t len)
{
	uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)next(g);
}

static size_t
make_repohdr(struct gen *g)
{
	uint32_t shift = 13 + below(g, 7);
	struct repohdr h = { .compat = next(g), .ro_compat = next(g),
	    .chunk_avg = 1u << shift };

	noise(g, h.repo_id.b, NAME_SID_LEN);
	h.chunk_min = 4096 + below(g, h.chunk_avg / 2 - 4095);
	h.chunk_max = 2 * h.chunk_avg + below(g, (1u << 20) -
	    2 * h.chunk_avg + 1);
	return repohdr_encode(g->buf, CAP, &h);
}

static size_t
make_keyslot(struct gen *g)
{
	struct keyslot s = { .kind = 1 + below(g, 3) };

	noise(g, s.slot_id.b, NAME_SID_LEN);
	noise(g, s.box, sizeof(s.box));
	if (s.kind == KEYSLOT_PASSPHRASE) {
		s.passes = 1 + below(g, KEYSLOT_PASSES_MAX);
		s.memory_kib = KEYSLOT_MEMORY_MIN + below(g, 1u << 20);
		noise(g, s.salt, sizeof(s.salt));
	}
	return keyslot_encode(g->buf, CAP, &s);
}

static size_t
make_keyslot_payload(struct gen *g)
{
	static const char *const parts[] = { "a", "\xc3\xa4", "\xe2\x82\xac",
	    "\xf0\x9f\x98\x80" };
	struct keyslot_payload p = { .role = KEYSLOT_FULL,
	    .created_ns = (int64_t)next(g) };

	for (uint32_t n = below(g, 16); n > 0; n--)
		strcat(p.label, parts[below(g, 4)]);
	noise(g, p.master, sizeof(p.master));
	return keyslot_payload_encode(g->buf, CAP, &p);
}

static size_t
make_keyslot_wrap(struct gen *g)
{
	struct keyslot_wrap w = { .kind = KEYSLOT_WRAP_SYMMETRIC };

	noise(g, w.box, sizeof(w.box));
	return keyslot_wrap_encode(g->buf, CAP, &w);
}

static size_t
make_packfile_header(struct gen *g)
{
	struct packfile_header h = { .kind = 1 + below(g, 2),
	    .wrap.kind = KEYSLOT_WRAP_SYMMETRIC };

	noise(g, h.pack_id.b, NAME_SID_LEN);
	return packfile_header_encode(g->buf, CAP, &h);
}

static size_t
make_packfile_footer(struct gen *g)
{
	uint32_t lengths[20], frames = 1 + below(g, 20), blocks;
	uint64_t checksums[100], end = PACKFILE_HEADER_LEN;

	for (uint32_t i = 0; i < frames; i++)
		end += lengths[i] = 96 + below(g, 1u << 18);
	blocks = (uint32_t)((end + PACKFILE_BLOCK - 1) / PACKFILE_BLOCK);
	noise(g, checksums, sizeof(checksums));
	return packfile_footer_encode(g->buf, CAP, lengths, frames, checksums,
	    blocks);
}

static size_t
make_frame_prefix(struct gen *g)
{
	struct frame_prefix p = { .ordinal = below(g, 65535),
	    .head_len = 96 + below(g, 1u << 16),
	    .body_len = 41 + below(g, 1u << 24) };

	return frame_prefix_encode(g->buf, CAP, &p);
}

static size_t
make_frame_head(struct gen *g)
{
	static const uint8_t types[] = { FRAME_DATA, FRAME_LIST, FRAME_TREE };
	struct frame_block blocks[12];
	struct frame_chunk chunks[48];
	uint32_t count = 1 + below(g, 12), n = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct frame_block *b = &blocks[i];

		memset(b, 0, sizeof(*b));
		b->codec = (uint8_t)below(g, 3);
		b->chunk_count = (uint16_t)(b->codec == FRAME_DELTA ? 1 :
		    1 + below(g, 4));
		for (uint32_t k = 0; k < b->chunk_count; k++, n++) {
			chunks[n].type = types[below(g, 3)];
			chunks[n].len = 1 + below(g, FRAME_CHUNK_MAX / 2);
			noise(g, chunks[n].id.b, NAME_LEN);
			b->raw_len += chunks[n].len;
		}
		b->stored_len = b->codec == FRAME_RAW ? b->raw_len :
		    1 + below(g, 4096);
		if (b->codec == FRAME_DELTA) {
			b->base_count = (uint8_t)(1 + below(g, FRAME_BASES_MAX));
			b->depth = (uint8_t)(b->base_count + below(g, FRAME_DEPTH_MAX - b->base_count + 1u));
			for (unsigned k = 0; k < b->base_count; k++)
				noise(g, b->base[k].b, NAME_LEN);
		}
	}
	return frame_head_encode(g->buf, CAP, blocks, count, chunks, n);
}

static size_t
make_listnode(struct gen *g)
{
	uint8_t level = (uint8_t)below(g, 3);
	bool hole = true;
	size_t n = listnode_head_encode(g->buf, CAP, level);

	for (uint32_t i = 1 + below(g, 40); i > 0; i--) {
		struct listnode_row r = { .len = 1 + next(g) % (1ull << 56) };

		hole = level == 0 && !hole && below(g, 4) == 0;
		if (!hole)
			noise(g, r.id.b, NAME_LEN);
		if (!hole && level == 0)
			noise(g, r.fingerprint, LISTNODE_FP_LEN);
		n += listnode_row_encode(g->buf + n, CAP - n, &r);
	}
	return n;
}

/* Names of ascending first bytes. */
static uint16_t
make_name(struct gen *g, uint8_t name[static 16], uint32_t i)
{
	uint16_t len = (uint16_t)(2 + below(g, 14));

	for (uint16_t k = 0; k < len; k++)
		name[k] = (uint8_t)(0x80 + below(g, 128));
	name[0] = (uint8_t)(0x30 + i);
	return len;
}

static size_t
make_ext(struct gen *g, uint8_t ext[static 512])
{
	struct treenode_xattr x = { .name = (const uint8_t *)"user.a",
	    .name_len = 6, .value = ext, .value_len = below(g, 100) };
	uint8_t value[256] = { 1 };
	size_t n = 0, len;

	if (below(g, 2) == 0) {
		len = treenode_xattr_encode(value, sizeof(value), &x);
		n += treenode_ext_encode(ext, 512, TREENODE_EXT_XATTR, value,
		    len);
	}
	value[0] = 1;
	if (below(g, 2) == 0)
		n += treenode_ext_encode(ext + n, 512 - n, TREENODE_EXT_FLAGS,
		    value, 4);
	if (below(g, 4) == 0)
		n += treenode_ext_encode(ext + n, 512 - n, 0x8001, value, 20);
	return n;
}

static void
fit_flags(struct gen *g, struct treenode_entry *e)
{
	bool file = e->kind == TREENODE_FILE, dir = e->kind == TREENODE_DIR;

	if (!dir && below(g, 3) == 0) {
		e->flags |= TREENODE_HARDLINK;
		e->dev = next(g);
	}
	if ((file || dir) && below(g, 8) == 0)
		e->flags |= TREENODE_UNREAD;
	else if (file && e->size > 0 && below(g, 3) == 0)
		e->flags |= TREENODE_LIST;
	if (file && below(g, 4) == 0)
		e->flags |= TREENODE_CHANGED;
}

static void
make_entry(struct gen *g, struct treenode_entry *e)
{
	static const uint8_t target[] = "../../some/where/else";

	e->kind = (uint8_t)(1 + below(g, 7));
	e->mode = (uint16_t)below(g, 010000);
	e->uid = (uint32_t)next(g);
	e->gid = (uint32_t)next(g);
	e->mtime = (int64_t)next(g);
	e->ctime = (int64_t)next(g);
	e->mtime_ns = below(g, 1000000000);
	e->ctime_ns = below(g, 1000000000);
	e->inode = next(g);
	noise(g, e->content.b, NAME_LEN);
	noise(g, e->fingerprint, sizeof(e->fingerprint));
	if (e->kind == TREENODE_FILE)
		e->size = below(g, 3) == 0 ? 0 : next(g) >> 2;
	if (e->kind == TREENODE_CHAR || e->kind == TREENODE_BLOCK)
		e->size = next(g);
	if (e->kind == TREENODE_LINK) {
		e->size = 1 + below(g, sizeof(target) - 1);
		e->target = target;
	}
	fit_flags(g, e);
}

static size_t
make_treenode(struct gen *g)
{
	size_t n = treenode_head_encode(g->buf, CAP, 0);
	uint32_t count = below(g, 12);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t name[16], ext[512] = { 0 };
		struct treenode_entry e = { .name = name, .ext = ext };

		e.name_len = make_name(g, name, i);
		make_entry(g, &e);
		e.ext_len = (uint32_t)make_ext(g, ext);
		n += treenode_entry_encode(g->buf + n, CAP - n, &e);
	}
	return n;
}

static size_t
make_treenode_upper(struct gen *g)
{
	size_t n = treenode_head_encode(g->buf, CAP,
	    (uint8_t)(1 + below(g, 7)));
	uint32_t count = 1 + below(g, 12);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t name[16];
		struct treenode_row r = { .name = name,
		    .entries = 1 + below(g, 1000) };

		r.name_len = make_name(g, name, i);
		noise(g, r.id.b, NAME_LEN);
		n += treenode_row_encode(g->buf + n, CAP - n, &r);
	}
	return n;
}

static size_t
make_indexfile_header(struct gen *g)
{
	struct indexfile_header h = { .kind = 1 + below(g, 2) };

	noise(g, h.nonce, sizeof(h.nonce));
	noise(g, h.mac, sizeof(h.mac));
	h.row_count = next(g) >> (32 + below(g, 32));
	h.fanout_bits = indexfile_fanout_bits(h.row_count);
	h.frame_count = below(g, 1000);
	h.pack_count = below(g, 1000);
	h.extra_len = below(g, 1000);
	h.number = 1 + below(g, 1000);
	if (h.kind == INDEXFILE_TABLE) {
		h.keep_count = below(g, 8);
		h.remove_count = below(g, 1000);
		return indexfile_header_encode(g->buf, CAP, &h);
	}
	noise(g, h.sid.b, NAME_SID_LEN);
	h.flags = below(g, 2);
	if (h.flags != 0)
		noise(g, h.root.b, NAME_LEN);
	return indexfile_header_encode(g->buf, CAP, &h);
}

static size_t
make_indexfile_row(struct gen *g)
{
	struct indexfile_row r = { .refs = (uint32_t)next(g),
	    .uses = (uint32_t)next(g), .frame = (uint32_t)next(g),
	    .slot = (uint16_t)next(g), .type = FRAME_TREE,
	    .depth = (uint8_t)below(g, 17) };

	noise(g, r.id.b, NAME_LEN);
	return indexfile_row_encode(g->buf, CAP, &r);
}

static struct snaprec_string
string(struct gen *g, uint8_t bytes[static 8])
{
	struct snaprec_string s = { bytes, 2 + below(g, 7) };

	noise(g, bytes, 8);
	return s;
}

static size_t
make_snaprec(struct gen *g)
{
	struct snaprec_string paths[8], tags[8];
	struct snaprec_owner users[8];
	uint8_t bytes[32][8];
	struct snaprec s = { .sequence = 1 + next(g) / 2,
	    .begin_ns = (int64_t)next(g), .flags = below(g, 8) };

	noise(g, s.root.b, NAME_LEN);
	noise(g, s.stats, 8 * (SNAPREC_CHUNKS_NEW + 1));
	s.host = string(g, bytes[0]);
	s.user = string(g, bytes[1]);
	s.program = string(g, bytes[2]);
	for (uint32_t i = 0; i < 8; i++) {
		paths[i] = string(g, bytes[3 + i]);
		bytes[3 + i][0] = (uint8_t)i;
		tags[i] = string(g, bytes[11 + i]);
		bytes[11 + i][0] = (uint8_t)(2 * i);
		users[i].name = string(g, bytes[19 + i]);
		users[i].number = i * 1000 + below(g, 1000);
	}
	s.paths = paths;
	s.tags = tags;
	s.users = s.groups = users;
	s.path_count = below(g, 9);
	s.tag_count = below(g, 9);
	s.user_count = below(g, 9);
	s.group_count = below(g, 9);
	return snaprec_encode(g->buf, CAP, &s);
}

struct kind {
	const char *name;
	size_t (*make)(struct gen *g);
	enum again (*again)(const uint8_t *in, size_t len);
};

static const struct kind kinds[] = {
	{ "repohdr", make_repohdr, again_repohdr },
	{ "keyslot", make_keyslot, again_keyslot },
	{ "keyslot payload", make_keyslot_payload, again_keyslot_payload },
	{ "keyslot wrap", make_keyslot_wrap, again_keyslot_wrap },
	{ "packfile header", make_packfile_header, again_packfile_header },
	{ "packfile footer", make_packfile_footer, again_packfile_footer },
	{ "frame prefix", make_frame_prefix, again_frame_prefix },
	{ "frame head", make_frame_head, again_frame_head },
	{ "listnode", make_listnode, again_listnode },
	{ "treenode", make_treenode, again_treenode },
	{ "treenode above 0", make_treenode_upper, again_treenode },
	{ "indexfile header", make_indexfile_header, again_indexfile_header },
	{ "indexfile row", make_indexfile_row, again_indexfile_row },
	{ "snaprec", make_snaprec, again_snaprec },
};

/* One fault, in a copy of exactly its length. */
static uint8_t *
mutate(struct gen *g, size_t *len)
{
	static const uint8_t values[] = { 0, 1, 2, 3, 4, 7, 8, 0x10, 0x7f, 0x80,
	    0xff };
	size_t n = *len, at = below(g, (uint32_t)n);
	uint32_t how = below(g, 8);
	uint8_t *p;

	if (how == 0)
		n -= 1 + below(g, (uint32_t)n);
	p = again_alloc(n + 8, 1);
	memcpy(p, g->buf, n);
	if (how == 1)
		n += 1 + below(g, 8);
	else if (how < 5 && n > 0)
		p[at % n] = values[below(g, sizeof(values))];
	else if (how == 5 && n > 0)
		p[at % n] ^= (uint8_t)(1u << below(g, 8));
	else if (n > 0)
		memmove(p + at % n, p, (n - at % n) / 2);
	p = realloc(p, n > 0 ? n : 1);
	*len = n;
	return p;
}

static bool
try_kind(struct gen *g, const struct kind *k, unsigned long counts[static 3])
{
	for (int round = 0; round < ROUNDS; round++) {
		size_t good = k->make(g);

		if (good == 0 || k->again(g->buf, good) != AGAIN_SAME)
			return false;
		for (int i = 0; i < MUTANTS; i++) {
			size_t len = good;
			uint8_t *p = mutate(g, &len);
			enum again same = k->again(p, len);

			free(p);
			counts[same]++;
			if (same == AGAIN_DIFFERS)
				return false;
		}
	}
	return true;
}

int
main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : DEFAULT_SEED;
	size_t count = sizeof(kinds) / sizeof(kinds[0]);
	struct gen g = { .state = seed, .buf = again_alloc(CAP, 1) };
	int failed = 0;

	printf("# seed %llu\n1..%zu\n", (unsigned long long)seed, count);
	for (size_t i = 0; i < count; i++) {
		unsigned long counts[3] = { 0 };
		bool good = try_kind(&g, &kinds[i], counts);

		printf("%sok %zu - %s (%lu mutants accepted, %lu rejected)\n",
		    good ? "" : "not ", i + 1, kinds[i].name, counts[1],
		    counts[0]);
		failed += !good;
	}
	free(g.buf);
	return failed != 0;
}
