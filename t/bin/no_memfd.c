
/*
 * For LD_PRELOAD: memfd_create() is not supported.
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
