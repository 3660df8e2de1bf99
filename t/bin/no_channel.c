
/*
 * For LD_PRELOAD: no session can be opened while the file named by
 * ATLS_NO_CHANNEL exists.
 */


#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>


#define TRL_ERROR  -1


int trl_channel_init(void *ch, void *state);


int
trl_channel_init(void *ch, void *state)
{
    int        (*real)(void *, void *);
    const char  *name;

    name = getenv("ATLS_NO_CHANNEL");

    if (name && access(name, F_OK) == 0) {
        return TRL_ERROR;
    }

    *(void **) &real = dlsym(RTLD_NEXT, "trl_channel_init");

    return real(ch, state);
}
