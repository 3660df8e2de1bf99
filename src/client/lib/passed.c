
/*
 * What was passed of a response, see passed.h.
 */


#include <string.h>

#include "passed.h"


/*
 * More than servers usually keep of a response: a longer one is not requested
 * again.
 */

#define ATLS_PASSED_MAX     65536


void
atls_passed_free(atls_passed_t *passed)
{
    atls_buf_free(&passed->bytes);
}


void
atls_passed_begin(atls_passed_t *passed)
{
    passed->bytes.len = 0;
    passed->more = 0;
}


void
atls_passed_restart(atls_passed_t *passed)
{
    passed->at = 0;
}


atls_error_e
atls_passed_add(atls_passed_t *passed, const unsigned char **bytes, size_t *n,
    atls_failure_t *failure)
{
    size_t  old;

    if (passed->more) {
        return ATLS_OK;
    }

    old = passed->bytes.len - passed->at;
    old = *n < old ? *n : old;

    if (old && memcmp(passed->bytes.data + passed->at, *bytes, old) != 0) {
        return atls_fail(failure, ATLS_ERROR_NETWORK,
                         "the POST was sent again, and the response is not the "
                         "same");
    }

    passed->at += old;
    *bytes += old;
    *n -= old;

    if (passed->bytes.len + *n > ATLS_PASSED_MAX) {
        passed->more = 1;
        return ATLS_OK;
    }

    if (*n && atls_buf_add(&passed->bytes, *bytes, *n) == -1) {
        return atls_fail_memory(failure);
    }

    passed->at += *n;

    return ATLS_OK;
}


int
atls_passed_any(const atls_passed_t *passed)
{
    return passed->bytes.len || passed->more;
}


int
atls_passed_comparable(const atls_passed_t *passed)
{
    return !passed->more;
}
