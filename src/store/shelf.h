/*
 * shelf: plaintexts of chunks that differences stand on, kept while those are still to come.  Shared by threads.
 */
#ifndef STORE_SHELF_H
#define STORE_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct shelf;

/* bytes bounds what is kept; then what was used longest ago goes. */
int shelf_new(size_t bytes, struct shelf **out) __attribute__((warn_unused_result));
struct shelf *shelf_free(struct shelf *s);

/* Keep a copy.  Out of memory is no failure: then it is not kept. */
void shelf_put(struct shelf *s, uint32_t key, const void *p, size_t len);

/* FOUND with a copy behind what *dst has; OK when it is not there; ERR_NOMEM.  last: nobody will ask again. */
int shelf_get(struct shelf *s, uint32_t key, bool last, struct mem_buf *dst) __attribute__((warn_unused_result));

#endif
