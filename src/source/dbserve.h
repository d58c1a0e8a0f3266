/* dbserve: the database helper: a process that captures what dbread asks for. */
#ifndef SOURCE_DBSERVE_H
#define SOURCE_DBSERVE_H

/* argv[1] says that this process is the helper. */
#define DBSERVE_ARG "sqlite-capture-helper"

/* Serves until the socket closes; the exit status. */
int dbserve_run(void);

#endif
