
/*
 * For LD_PRELOAD: a process that has logged that a session is established waits
 * while the file named by ATLS_WAIT_ESTABLISHED exists.
 */


#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define LINE   " establish, lifetime:"
#define PAUSE  10000                            /* microseconds */


ssize_t
write(int fd, const void *buf, size_t n)
{
    ssize_t      (*real)(int, const void *, size_t);
    ssize_t      rc;
    const char  *name;

    *(void **) &real = dlsym(RTLD_NEXT, "write");

    rc = real(fd, buf, n);

    if (memmem(buf, n, LINE, sizeof(LINE) - 1) == NULL) {
        return rc;
    }

    name = getenv("ATLS_WAIT_ESTABLISHED");

    while (name && access(name, F_OK) == 0) {
        usleep(PAUSE);
    }

    return rc;
}
