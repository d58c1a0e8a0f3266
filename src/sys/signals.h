/* signals: SIGINT and SIGTERM set a flag that long operations look at. */
#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

#include <stdbool.h>

/* Once, at program start.  SIGPIPE is ignored; a second SIGINT while the first is being served kills the program. */
void signals_init(void);
bool signals_stop_asked(void);

/* ERR_INTERRUPTED with a note, or OK. */
int signals_check(void);

#endif
