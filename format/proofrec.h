/* proofrec: what was verified when (SPEC §10): the clear head and the sealed payload of verified/<sid>. */
#ifndef FORMAT_PROOFREC_H
#define FORMAT_PROOFREC_H

#include "format/cursor.h"
#include "format/keyslot.h"
#include "format/name.h"

#define PROOFREC_HEAD_LEN 160
#define PROOFREC_WRAP_CONTEXT 32
#define PROOFREC_LEN_MAX (1u << 30)
#define PROOFREC_COUNT_MAX (1u << 24)
#define PROOFREC_FIXED_LEN 24
#define PROOFREC_PACK_LEN 40
#define PROOFREC_SNAP_LEN 24

struct proofrec_head {
	struct name_sid sid;
	struct keyslot_wrap wrap;
};

size_t proofrec_head_encode(uint8_t *buf, size_t cap, const struct proofrec_head *h);
enum cursor_verdict proofrec_head_decode(struct proofrec_head *h, const uint8_t *buf, size_t len);

struct proofrec_pack {
	struct name name;
	int64_t time_ns;
};

struct proofrec_snap {
	struct name_sid sid;
	int64_t time_ns;
};

/* Tables are host arrays when encoding, encoded slices when decoded (read with the accessors). */
struct proofrec {
	int64_t written_ns, drill_ns;   /* drill: 0 for never */
	uint32_t pack_count, snap_count;
	const struct proofrec_pack *packs;      /* sorted by name */
	const struct proofrec_snap *snaps;      /* sorted by sid */
	const uint8_t *packs_raw, *snaps_raw;
};

size_t proofrec_bound(const struct proofrec *p);
size_t proofrec_encode(uint8_t *buf, size_t cap, const struct proofrec *p);

/* Everything checked (VF-1); packs and snaps are NULL. */
enum cursor_verdict proofrec_decode(struct proofrec *p, const uint8_t *buf, size_t len);

/* Row i of a decoded table. */
void proofrec_pack_at(const struct proofrec *p, uint32_t i, struct proofrec_pack *row);
void proofrec_snap_at(const struct proofrec *p, uint32_t i, struct proofrec_snap *row);

#endif
