/* leftover: temporary files of restores that were killed. */
#ifndef OPS_LEFTOVER_H
#define OPS_LEFTOVER_H

struct fsys_names;

/*
 * Remove from the directory those of its names that are temporary ones (target_temp_name), unless they are directories or a process
 * has them open: another restore may be at work.  What cannot be removed stays.
 */
void leftover_remove(int dirfd, const struct fsys_names *names);

#endif
