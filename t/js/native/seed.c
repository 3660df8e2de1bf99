
/*
 * In place of src/client/js/seed.c: here, OpenSSL gets random numbers from the
 * system.
 */


#include "seed.h"


int
js_seed(void)
{
    return 0;
}
