#include "sys/host.h"

#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void
host_name(char *buf, size_t cap)
{
	if (gethostname(buf, cap) < 0 || !buf[0])
		snprintf(buf, cap, "localhost");
	buf[cap - 1] = 0;
}

void
host_user(char *buf, size_t cap)
{
	struct passwd pw, *found = NULL;
	char mem[4096];

	if (getpwuid_r(geteuid(), &pw, mem, sizeof(mem), &found) == 0 && found)
		snprintf(buf, cap, "%s", pw.pw_name);
	else
		snprintf(buf, cap, "%lu", (unsigned long)geteuid());
}

size_t
host_machine_id(char *buf, size_t cap)
{
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, buf, cap);
	close(fd);
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == ' '))
		n--;
	return n > 0 ? (size_t)n : 0;
}

uint64_t
host_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

unsigned
host_cpus(void)
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n > 0 ? (unsigned)n : 1;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23          /* Linux 5.14 */
#endif
#define PAGE 4096u

void
host_populate(void *p, size_t len)
{
	uintptr_t begin = ((uintptr_t)p + PAGE - 1) / PAGE * PAGE;
	uintptr_t end = ((uintptr_t)p + len) / PAGE * PAGE;

	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_POPULATE_WRITE);
}
