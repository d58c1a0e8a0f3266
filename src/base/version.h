/* version: the program's version; the disk version is REPOHDR_VERSION and changes on its own. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define VERSION_TEXT "0.1.0"

#endif
