/* found: what a verify found, as text or JSON: each damage with the files and snapshots that need it. */
#ifndef CMD_FOUND_H
#define CMD_FOUND_H

#include <stdbool.h>

struct report;
struct verify_result;

/* type: of the JSON objects. */
void found_show(struct report *rp, const struct verify_result *res, const char *type, bool verbose);

/* What to do about each kind of damage, once.  Text only. */
void found_advice(struct report *rp, const struct verify_result *res);

#endif
