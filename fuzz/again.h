/*
 * again: decode, encode what was decoded, compare (GN-1).  Each again_<record>() gives AGAIN_REJECTED, AGAIN_SAME, or
 * AGAIN_DIFFERS, which is a bug.  Inline functions, so that a fuzz target is one object.
 */
#ifndef FUZZ_AGAIN_H
#define FUZZ_AGAIN_H

#include <stdlib.h>
#include <string.h>

#include "format/frame.h"
#include "format/indexfile.h"
#include "format/keyslot.h"
#include "format/listnode.h"
#include "format/packfile.h"
#include "format/repohdr.h"
#include "format/sidecar.h"
#include "format/snaprec.h"
#include "format/treenode.h"

enum again { AGAIN_REJECTED = 0, AGAIN_SAME, AGAIN_DIFFERS };

static inline enum again
again_cmp(const uint8_t *out, size_t out_len, const uint8_t *in, size_t len)
{
	if (out_len != len || memcmp(out, in, len) != 0)
		return AGAIN_DIFFERS;
	return AGAIN_SAME;
}

/* For records of a fixed length: decode into `s`, encode into `out`. */
#define AGAIN_FIXED(record, max) \
	struct record s; \
	uint8_t out[max]; \
	size_t n; \
	if (record##_decode(&s, in, len) != CURSOR_OK) \
		return AGAIN_REJECTED; \
	n = record##_encode(out, sizeof(out), &s); \
	return again_cmp(out, n, in, len)

static inline enum again again_repohdr(const uint8_t *in, size_t len) { AGAIN_FIXED(repohdr, REPOHDR_LEN); }
static inline enum again again_keyslot(const uint8_t *in, size_t len) { AGAIN_FIXED(keyslot, KEYSLOT_LEN); }
static inline enum again again_keyslot_payload(const uint8_t *in, size_t len) { AGAIN_FIXED(keyslot_payload, KEYSLOT_PAYLOAD_LEN); }
static inline enum again again_keyslot_wrap(const uint8_t *in, size_t len) { AGAIN_FIXED(keyslot_wrap, KEYSLOT_WRAP_LEN); }
static inline enum again again_packfile_header(const uint8_t *in, size_t len) { AGAIN_FIXED(packfile_header, PACKFILE_HEADER_LEN); }
static inline enum again again_frame_prefix(const uint8_t *in, size_t len) { AGAIN_FIXED(frame_prefix, FRAME_PREFIX_LEN); }
static inline enum again again_indexfile_header(const uint8_t *in, size_t len) { AGAIN_FIXED(indexfile_header, INDEXFILE_HEADER_LEN); }
static inline enum again again_indexfile_remove(const uint8_t *in, size_t len) { AGAIN_FIXED(indexfile_remove, INDEXFILE_REMOVE_LEN); }
static inline enum again again_indexfile_pack(const uint8_t *in, size_t len) { AGAIN_FIXED(indexfile_pack, INDEXFILE_PACK_LEN); }
static inline enum again again_indexfile_frame(const uint8_t *in, size_t len) { AGAIN_FIXED(indexfile_frame, INDEXFILE_FRAME_LEN); }
static inline enum again again_indexfile_row(const uint8_t *in, size_t len) { AGAIN_FIXED(indexfile_row, INDEXFILE_ROW_LEN); }
static inline enum again again_snaprec_head(const uint8_t *in, size_t len) { AGAIN_FIXED(snaprec_head, SNAPREC_HEAD_LEN); }

/* calloc that cannot fail and cannot be of nothing. */
static inline void *
again_alloc(size_t count, size_t size)
{
	void *p = calloc(count + 1, size);

	if (p == NULL)
		abort();
	return p;
}

/* The file length is what the footer's own tables say. */
static inline enum again
again_packfile_footer(const uint8_t *in, size_t len)
{
	uint64_t file_len = PACKFILE_HEADER_LEN + len;
	struct packfile_footer f;
	struct packfile_tail t;
	uint64_t *checksums;
	uint32_t *lengths;
	enum again same;
	uint8_t *out;
	struct cursor c;

	if (len < PACKFILE_TAIL_LEN || packfile_tail_decode(&t,
	    in + len - PACKFILE_TAIL_LEN, PACKFILE_TAIL_LEN) != CURSOR_OK)
		return AGAIN_REJECTED;
	cursor_init(&c, in, len);
	for (uint32_t i = 0; i < t.frame_count; i++)
		file_len += cursor_u32(&c);
	if (packfile_footer_decode(&f, in, len, file_len) != CURSOR_OK)
		return AGAIN_REJECTED;
	lengths = again_alloc(f.frame_count, sizeof(*lengths));
	checksums = again_alloc(f.block_count, sizeof(*checksums));
	out = again_alloc(len, 1);
	for (uint32_t i = 0; i < f.frame_count; i++)
		lengths[i] = packfile_frame_len(&f, i);
	for (uint32_t i = 0; i < f.block_count; i++)
		checksums[i] = packfile_checksum(&f, i);
	same = again_cmp(out, packfile_footer_encode(out, len, lengths,
	    f.frame_count, checksums, f.block_count), in, len);
	free(lengths);
	free(checksums);
	free(out);
	return same;
}

static inline enum again
again_frame_head(const uint8_t *in, size_t len)
{
	struct frame_block *blocks;
	struct frame_chunk *chunks, at;
	struct frame_head h;
	struct frame_iter it;
	uint32_t b = 0, c = 0;
	enum again same;
	uint8_t *out;

	if (frame_head_decode(&h, in, len) != CURSOR_OK)
		return AGAIN_REJECTED;
	blocks = again_alloc(h.block_count, sizeof(*blocks));
	chunks = again_alloc(h.chunk_count, sizeof(*chunks));
	out = again_alloc(len, 1);
	frame_iter_init(&it, &h);
	while (b < h.block_count && frame_next_block(&it, &blocks[b]))
		b++;
	while (c < h.chunk_count && frame_next_chunk(&it, &chunks[c]))
		c++;
	frame_chunk_at(&h, h.chunk_count - 1, &at);
	same = again_cmp(out, frame_head_encode(out, len, blocks, b, chunks, c),
	    in, len);
	if (it.body_off != h.body_len || at.len != chunks[c - 1].len)
		same = AGAIN_DIFFERS;
	free(blocks);
	free(chunks);
	free(out);
	return same;
}

static inline enum again
again_listnode(const uint8_t *in, size_t len)
{
	struct listnode_row r;
	struct listnode l;
	enum again same;
	uint8_t *out;
	size_t n;

	if (listnode_decode(&l, in, len) != CURSOR_OK)
		return AGAIN_REJECTED;
	out = again_alloc(len, 1);
	n = listnode_head_encode(out, len, l.level);
	for (uint32_t i = 0; i < l.row_count; i++) {
		listnode_row_at(&l, i, &r);
		n += listnode_row_encode(out + n, len - n, &r);
	}
	same = again_cmp(out, n, in, len);
	free(out);
	return same;
}

static inline enum again
again_treenode(const uint8_t *in, size_t len)
{
	struct treenode_entry e;
	struct treenode_row r;
	struct treenode t;
	enum again same;
	uint8_t *out;
	size_t n;

	if (treenode_check(in, len) != CURSOR_OK)
		return AGAIN_REJECTED;
	out = again_alloc(len, 1);
	treenode_open(&t, in, len);
	n = treenode_head_encode(out, len, t.level);
	while (treenode_next_entry(&t, &e))
		n += treenode_entry_encode(out + n, len - n, &e);
	while (treenode_next_row(&t, &r))
		n += treenode_row_encode(out + n, len - n, &r);
	same = again_cmp(out, n, in, len);
	free(out);
	return same;
}

static inline struct snaprec_string *
again_strings(const struct snaprec_string *raw, uint32_t count)
{
	struct snaprec_string *list = again_alloc(count, sizeof(*list));
	struct cursor c;
	uint32_t n = 0;

	cursor_init(&c, raw->p, raw->len);
	while (n < count && snaprec_next_string(&c, &list[n]))
		n++;
	return list;
}

static inline struct snaprec_owner *
again_owners(const struct snaprec_string *raw, uint32_t count)
{
	struct snaprec_owner *list = again_alloc(count, sizeof(*list));
	struct cursor c;
	uint32_t n = 0;

	cursor_init(&c, raw->p, raw->len);
	while (n < count && snaprec_next_owner(&c, &list[n]))
		n++;
	return list;
}

static inline enum again
again_snaprec(const uint8_t *in, size_t len)
{
	struct snaprec_string *paths, *tags;
	struct snaprec_owner *users, *groups;
	struct snaprec s;
	enum again same;
	uint8_t *out;

	if (snaprec_decode(&s, in, len) != CURSOR_OK)
		return AGAIN_REJECTED;
	s.paths = paths = again_strings(&s.paths_raw, s.path_count);
	s.tags = tags = again_strings(&s.tags_raw, s.tag_count);
	s.users = users = again_owners(&s.users_raw, s.user_count);
	s.groups = groups = again_owners(&s.groups_raw, s.group_count);
	out = again_alloc(len, 1);
	same = again_cmp(out, snaprec_encode(out, len, &s), in, len);
	if (snaprec_bound(&s) < len)
		same = AGAIN_DIFFERS;
	free(paths);
	free(tags);
	free(users);
	free(groups);
	free(out);
	return same;
}

static inline enum again
again_sidecar(const uint8_t *in, size_t len)
{
	const uint8_t *hash;
	struct sidecar s;
	enum again same;
	uint8_t *out;

	if (sidecar_decode(&s, in, len, &hash) != CURSOR_OK)
		return AGAIN_REJECTED;
	out = again_alloc(len, 1);
	same = again_cmp(out, sidecar_encode(out, len, &s), in, len - NAME_LEN);
	free(out);
	return same;
}

#endif
