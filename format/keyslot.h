/* keyslot: a key slot and its payload (SPEC §5), and the key wrap field of packs and records. */
#ifndef FORMAT_KEYSLOT_H
#define FORMAT_KEYSLOT_H

#include "format/cursor.h"
#include "format/name.h"

#define KEYSLOT_LEN 320
#define KEYSLOT_STRETCHED 72            /* H512 for kinds 2 and 3 covers bytes 0 ... 71 */
#define KEYSLOT_AAD 104                 /* the box's AAD covers bytes 0 ... 103 */
#define KEYSLOT_BOX_LEN 216
#define KEYSLOT_PAYLOAD_LEN 176
#define KEYSLOT_LABEL_LEN 64
#define KEYSLOT_PASSES_MAX 16
#define KEYSLOT_MEMORY_MIN 8192         /* KiB */
#define KEYSLOT_MEMORY_MAX 4194304
#define KEYSLOT_COUNT_MAX 64

enum keyslot_kind { KEYSLOT_PASSPHRASE = 1, KEYSLOT_KEYFILE = 2, KEYSLOT_PUBLIC = 3 };
enum keyslot_role { KEYSLOT_FULL = 1 };

struct keyslot {
	uint32_t kind;                  /* enum keyslot_kind */
	struct name_sid repo_id, slot_id;
	uint32_t passes, memory_kib;    /* Argon2id; 0 unless KEYSLOT_PASSPHRASE */
	uint8_t salt[16];
	uint8_t commitment[32];
	uint8_t box[KEYSLOT_BOX_LEN];
};

struct keyslot_payload {
	uint32_t role;                  /* KEYSLOT_FULL */
	int64_t created_ns;
	struct name header_hash;        /* RH-2 */
	uint8_t master[32];
	char label[KEYSLOT_LABEL_LEN + 1];      /* zero-terminated here */
};

size_t keyslot_encode(uint8_t *buf, size_t cap, const struct keyslot *s);

/* Spec: KS-2 without the comparisons with header and file name. */
enum cursor_verdict keyslot_decode(struct keyslot *s, const uint8_t *buf, size_t len);

size_t keyslot_payload_encode(uint8_t *buf, size_t cap, const struct keyslot_payload *p);
enum cursor_verdict keyslot_payload_decode(struct keyslot_payload *p, const uint8_t *buf, size_t len);

#define KEYSLOT_WRAP_LEN 128            /* on disk */
#define KEYSLOT_WRAP_SYMMETRIC 1
#define KEYSLOT_WRAP_BOX_LEN 72

struct keyslot_wrap {
	uint32_t kind;                  /* KEYSLOT_WRAP_SYMMETRIC */
	uint8_t box[KEYSLOT_WRAP_BOX_LEN];
};

size_t keyslot_wrap_encode(uint8_t *buf, size_t cap, const struct keyslot_wrap *w);
enum cursor_verdict keyslot_wrap_decode(struct keyslot_wrap *w, const uint8_t *buf, size_t len);

#endif
