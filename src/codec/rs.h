/*
 * rs: the Reed-Solomon arithmetic of sidecars (SPEC PA-3): bytes of GF(256), polynomial 0x11d.
 *
 * Parity byte p of a group is the sum over its data bytes j of coefficient(p, j) * data(j).  A block that is missing counts as
 * zeros; so parity is built up one data block after the other, in any order.
 */
#ifndef CODEC_RS_H
#define CODEC_RS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RS_DATA_MAX 128
#define RS_PARITY_MAX 32

/* What does the work: ISA-L where the program was built with it; the other one is always there and gives the same. */
enum rs_engine { RS_BEST, RS_PORTABLE };
bool rs_has_isal(void);

uint8_t rs_coefficient(unsigned parity, unsigned data);

/*
 * out[i] ^= coefficient(rows[i], data) * p, for `count` rows and len bytes.
 * count is at most RS_PARITY_MAX.
 */
void rs_add(enum rs_engine engine, const unsigned *rows, unsigned count, unsigned data, const uint8_t *p, size_t len,
    uint8_t *const *out);

/*
 * Find `count` lost data blocks.  lost[i]: their positions, different ones; rows[i]: the parity rows used, different ones;
 * sums[i]: those parity blocks with all data blocks that are there added by rs_add: what the lost ones contributed.
 * On return sums[i] is data block lost[i].  Any such choice can be solved.
 */
void rs_solve(enum rs_engine engine, const unsigned *rows, const unsigned *lost, unsigned count, uint8_t *const *sums, size_t len);

#endif
