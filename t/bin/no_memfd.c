
/*
 * A system without files in memory, for a program, by LD_PRELOAD.
 */


#include <errno.h>


int memfd_create(const char *name, unsigned int flags);


int
memfd_create(const char *name, unsigned int flags)
{
    (void) name;
    (void) flags;

    errno = ENOSYS;

    return -1;
}
