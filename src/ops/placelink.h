/*
 * placelink: the other names of a hard-linked file, which are linked to the first one restored; it is found again component by component
 * beneath the target.
 */
#ifndef OPS_PLACELINK_H
#define OPS_PLACELINK_H

#include <stdbool.h>

struct place;
struct place_spot;

/* Is what is there a name of the file already, as it should be? */
bool placelink_is_there(const struct place *p, const struct place_spot *s);

/* It is: of a database no more is to be there. */
int placelink_keep(struct place *p, struct place_spot *s) __attribute__((warn_unused_result));

/* FOUND: done; OK: no link can be made, the entry is restored for itself. */
int placelink_make(struct place *p, struct place_spot *s) __attribute__((warn_unused_result));

/* The entry is in its place: later names of it are links to this one. */
int placelink_remember(struct place *p, const struct place_spot *s) __attribute__((warn_unused_result));

#endif
