
/*
 * The server name in a ClientHello, see hello.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "hello.h"


#define GW_RECORD_HEADER    5
#define GW_HELLO_START      11          /* bytes by which it is recognized */

#define GW_HANDSHAKE        22          /* content type, RFC 8446, 5.1 */
#define GW_CLIENT_HELLO     1
#define GW_MESSAGE_HEADER   4
#define GW_SERVER_NAME      0
#define GW_HOST_NAME        0


/* What has not been read. */

typedef struct {
    const unsigned char  *data;
    size_t                n;
} gw_rest_t;


static size_t gw_hello_join(const unsigned char *body, size_t n,
    unsigned char *message);
static int gw_hello_take(gw_rest_t *rest, size_t width, gw_rest_t *taken);
static int gw_hello_uint(gw_rest_t *rest, size_t width, size_t *value);
static int gw_hello_extensions(gw_rest_t *rest, char name[GW_HELLO_NAME]);
static int gw_hello_host(gw_rest_t *names, char name[GW_HELLO_NAME]);


int
gw_hello_is(const unsigned char *body, size_t n)
{
    return n >= GW_HELLO_START
           && body[0] == GW_HANDSHAKE && body[1] == 3
           && body[GW_RECORD_HEADER] == GW_CLIENT_HELLO
           && body[GW_RECORD_HEADER + GW_MESSAGE_HEADER] == 3;
}


int
gw_hello_name(const unsigned char *body, size_t n, char name[GW_HELLO_NAME])
{
    int             rc;
    size_t          length;
    gw_rest_t       rest, hello, skipped;
    unsigned char  *message;

    if (!gw_hello_is(body, n)) {
        return -1;
    }

    message = cmd_alloc(n);

    rest.data = message;
    rest.n = gw_hello_join(body, n, message);

    /* RFC 8446, section 4.1.2: version and random, then three vectors */

    rc = gw_hello_uint(&rest, 1, &length) == 0
         && gw_hello_take(&rest, 3, &hello) == 0
         && hello.n > 2 + 32
         ? 0 : -1;

    if (rc == 0) {
        hello.data += 2 + 32;
        hello.n -= 2 + 32;

        rc = gw_hello_take(&hello, 1, &skipped) == 0
             && gw_hello_take(&hello, 2, &skipped) == 0
             && gw_hello_take(&hello, 1, &skipped) == 0
             && gw_hello_take(&hello, 2, &skipped) == 0
             ? gw_hello_extensions(&skipped, name) : -1;
    }

    free(message);

    return rc;
}


/* A message may be in several records. */

static size_t
gw_hello_join(const unsigned char *body, size_t n, unsigned char *message)
{
    size_t     joined;
    gw_rest_t  rest, record;

    joined = 0;
    rest.data = body;
    rest.n = n;

    while (rest.n > GW_RECORD_HEADER && rest.data[0] == GW_HANDSHAKE) {

        rest.data += GW_RECORD_HEADER - 2;
        rest.n -= GW_RECORD_HEADER - 2;

        if (gw_hello_take(&rest, 2, &record) == -1) {
            break;
        }

        memcpy(message + joined, record.data, record.n);
        joined += record.n;
    }

    return joined;
}


/* Takes a vector, with the width of its length.  Returns 0 or -1. */

static int
gw_hello_take(gw_rest_t *rest, size_t width, gw_rest_t *taken)
{
    size_t  length;

    if (gw_hello_uint(rest, width, &length) == -1 || length > rest->n) {
        return -1;
    }

    taken->data = rest->data;
    taken->n = length;

    rest->data += length;
    rest->n -= length;

    return 0;
}


static int
gw_hello_uint(gw_rest_t *rest, size_t width, size_t *value)
{
    size_t  i;

    if (rest->n < width) {
        return -1;
    }

    for (*value = 0, i = 0; i < width; i++) {
        *value = *value << 8 | rest->data[i];
    }

    rest->data += width;
    rest->n -= width;

    return 0;
}


static int
gw_hello_extensions(gw_rest_t *rest, char name[GW_HELLO_NAME])
{
    size_t     type;
    gw_rest_t  extension, names;

    while (gw_hello_uint(rest, 2, &type) == 0
           && gw_hello_take(rest, 2, &extension) == 0)
    {
        if (type == GW_SERVER_NAME) {
            return gw_hello_take(&extension, 2, &names) == 0
                   ? gw_hello_host(&names, name) : -1;
        }
    }

    return -1;
}


static int
gw_hello_host(gw_rest_t *names, char name[GW_HELLO_NAME])
{
    size_t     type;
    gw_rest_t  host;

    if (gw_hello_uint(names, 1, &type) == -1 || type != GW_HOST_NAME
        || gw_hello_take(names, 2, &host) == -1
        || host.n == 0 || host.n >= GW_HELLO_NAME
        || memchr(host.data, '\0', host.n))
    {
        return -1;
    }

    memcpy(name, host.data, host.n);
    name[host.n] = '\0';

    return 0;
}
