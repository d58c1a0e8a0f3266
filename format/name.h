/* name: the 32-byte ids of chunks and packs, and the 16-byte ids of sessions, slots, repositories and writers (struct sid). */
#ifndef FORMAT_NAME_H
#define FORMAT_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_LEN 32
#define NAME_HEX 65                     /* 64 digits and the final zero */
#define NAME_SID_LEN 16
#define NAME_SID_HEX 33

struct name {
	uint8_t b[NAME_LEN];
};

struct name_sid {
	uint8_t b[NAME_SID_LEN];
};

/* As memcmp. */
int name_cmp(const struct name *a, const struct name *b);
int name_sid_cmp(const struct name_sid *a, const struct name_sid *b);

bool name_is_zero(const struct name *n);
bool name_sid_is_zero(const struct name_sid *n);

/* Lower-case hexadecimal with a final zero. */
void name_hex(const struct name *n, char out[static NAME_HEX]);
void name_sid_hex(const struct name_sid *n, char out[static NAME_SID_HEX]);

/* Exactly 64 (32) lower-case digits and a final zero, else false. */
bool name_unhex(struct name *n, const char *text);
bool name_sid_unhex(struct name_sid *n, const char *text);

/* len bytes as 2 * len lower-case digits and a zero, and back (exactly len bytes). */
void name_hex_bytes(const uint8_t *p, size_t len, char *out);
bool name_unhex_bytes(uint8_t *p, size_t len, const char *text);

#endif
