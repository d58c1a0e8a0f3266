#include "ops/leftover.h"

#include <sys/stat.h>

#include "base/err.h"
#include "sys/fsys.h"
#include "sys/target.h"

static bool
is_abandoned(int dirfd, const char *name)
{
	struct fsys_stat st;
	bool used;
	int fd;

	if (fsys_stat(dirfd, name, &st) || S_ISDIR(st.mode))
		return false;
	if (!S_ISREG(st.mode))
		return true;
	if (fsys_open_file(dirfd, name, &fd))
		return false;
	used = target_in_use(fd);
	fsys_close(fd);
	return !used;
}

void
leftover_remove(int dirfd, const struct fsys_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (target_is_temp_name(names->name[i]) && is_abandoned(dirfd, names->name[i]))
			target_drop(dirfd, names->name[i]);
}
