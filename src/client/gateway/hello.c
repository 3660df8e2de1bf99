
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

#define GW_DTLS_RECORD      13          /* headers, RFC 6347, 4.1 and 4.2.2 */
#define GW_DTLS_MESSAGE     12
#define GW_DTLS_OFFSET      (GW_DTLS_RECORD + 6)    /* of the fragment */


/* What has not been read. */

typedef struct {
    const unsigned char  *data;
    size_t                n;
} gw_rest_t;

/* A ClientHello without its header, from records, or from their fragments. */

typedef struct {
    unsigned char        *data;         /* as large as the body */
    size_t                n;
    size_t                length;       /* of the whole message */
    size_t                number;       /* message_seq of DTLS */
} gw_hello_t;


static int gw_hello_is_dtls(const unsigned char *body, size_t n);
static int gw_hello_join(gw_hello_t *hello, gw_rest_t *rest);
static int gw_hello_join_dtls(gw_hello_t *hello, gw_rest_t *rest);
static void gw_hello_fragments(gw_hello_t *hello, gw_rest_t *record);
static void gw_hello_fragment(gw_hello_t *hello, size_t offset,
    const gw_rest_t *fragment);
static int gw_hello_read(const gw_hello_t *hello, int dtls,
    char name[GW_HELLO_NAME]);
static int gw_hello_take(gw_rest_t *rest, size_t width, gw_rest_t *taken);
static int gw_hello_uint(gw_rest_t *rest, size_t width, size_t *value);
static int gw_hello_extensions(gw_rest_t *rest, char name[GW_HELLO_NAME]);
static int gw_hello_host(gw_rest_t *names, char name[GW_HELLO_NAME]);


gw_hello_e
gw_hello_kind(const unsigned char *body, size_t n)
{
    if (gw_hello_is_dtls(body, n)) {
        return body[GW_DTLS_RECORD] == GW_CLIENT_HELLO
               && body[GW_DTLS_RECORD + 1] == 0
               && memcmp(body + GW_DTLS_OFFSET, "\0\0\0", 3) == 0
               ? GW_HELLO_DTLS : GW_HELLO_NONE;
    }

    return n >= GW_HELLO_START
           && body[0] == GW_HANDSHAKE && body[1] == 3
           && body[GW_RECORD_HEADER] == GW_CLIENT_HELLO
           && body[GW_RECORD_HEADER + GW_MESSAGE_HEADER] == 3
           ? GW_HELLO_TLS : GW_HELLO_NONE;
}


/*
 * A record of the handshake that is not encrypted, and has at least the header
 * of a message: the version of DTLS 1.0 or 1.2, the epoch 0.
 */

static int
gw_hello_is_dtls(const unsigned char *body, size_t n)
{
    return n >= GW_DTLS_RECORD + GW_DTLS_MESSAGE
           && body[0] == GW_HANDSHAKE
           && body[1] == 0xfe && (body[2] == 0xff || body[2] == 0xfd)
           && body[3] == 0 && body[4] == 0;
}


int
gw_hello_name(const unsigned char *body, size_t n, char name[GW_HELLO_NAME])
{
    int         rc;
    gw_rest_t   rest;
    gw_hello_e  kind;
    gw_hello_t  hello;

    kind = gw_hello_kind(body, n);

    if (kind == GW_HELLO_NONE) {
        return -1;
    }

    memset(&hello, 0, sizeof(gw_hello_t));
    hello.data = cmd_alloc(n);

    rest.data = body;
    rest.n = n;

    rc = kind == GW_HELLO_DTLS ? gw_hello_join_dtls(&hello, &rest)
                               : gw_hello_join(&hello, &rest);

    if (rc == 0) {
        rc = gw_hello_read(&hello, kind == GW_HELLO_DTLS, name);
    }

    free(hello.data);

    return rc;
}


/* A message may be in several records.  Returns -1 if it is not complete. */

static int
gw_hello_join(gw_hello_t *hello, gw_rest_t *rest)
{
    gw_rest_t  record;

    while (rest->n > GW_RECORD_HEADER && rest->data[0] == GW_HANDSHAKE) {

        rest->data += GW_RECORD_HEADER - 2;
        rest->n -= GW_RECORD_HEADER - 2;

        if (gw_hello_take(rest, 2, &record) == -1) {
            break;
        }

        memcpy(hello->data + hello->n, record.data, record.n);
        hello->n += record.n;
    }

    if (hello->n < GW_MESSAGE_HEADER) {
        return -1;
    }

    hello->length = (size_t) hello->data[1] << 16
                    | (size_t) hello->data[2] << 8 | hello->data[3];
    hello->n -= GW_MESSAGE_HEADER;

    memmove(hello->data, hello->data + GW_MESSAGE_HEADER, hello->n);

    return hello->n < hello->length ? -1 : 0;
}


/* Each fragment has the header of a message, RFC 6347, section 4.2.2. */

static int
gw_hello_join_dtls(gw_hello_t *hello, gw_rest_t *rest)
{
    gw_rest_t  record;

    while (gw_hello_is_dtls(rest->data, rest->n)) {

        rest->data += GW_DTLS_RECORD - 2;
        rest->n -= GW_DTLS_RECORD - 2;

        if (gw_hello_take(rest, 2, &record) == -1) {
            break;
        }

        gw_hello_fragments(hello, &record);
    }

    return hello->n < hello->length ? -1 : 0;
}


/* The first one is that of the body; those of other messages are skipped. */

static void
gw_hello_fragments(gw_hello_t *hello, gw_rest_t *record)
{
    size_t     type, length, number, offset;
    gw_rest_t  fragment;

    while (gw_hello_uint(record, 1, &type) == 0
           && gw_hello_uint(record, 3, &length) == 0
           && gw_hello_uint(record, 2, &number) == 0
           && gw_hello_uint(record, 3, &offset) == 0
           && gw_hello_take(record, 3, &fragment) == 0)
    {
        if (hello->length == 0) {
            hello->length = length;
            hello->number = number;
        }

        if (type == GW_CLIENT_HELLO && length == hello->length
            && number == hello->number)
        {
            gw_hello_fragment(hello, offset, &fragment);
        }
    }
}


/* One that is not the next one may be sent again, or have come too early. */

static void
gw_hello_fragment(gw_hello_t *hello, size_t offset, const gw_rest_t *fragment)
{
    if (offset == hello->n && fragment->n <= hello->length - hello->n) {
        memcpy(hello->data + hello->n, fragment->data, fragment->n);
        hello->n += fragment->n;
    }
}


/*
 * RFC 8446, section 4.1.2: version and random, then four vectors, and with DTLS
 * the cookie as the second of five: RFC 6347, section 4.2.1.
 */

static int
gw_hello_read(const gw_hello_t *hello, int dtls, char name[GW_HELLO_NAME])
{
    gw_rest_t  rest, vector;

    if (hello->length <= 2 + 32) {
        return -1;
    }

    rest.data = hello->data + 2 + 32;
    rest.n = hello->length - 2 - 32;

    return gw_hello_take(&rest, 1, &vector) == 0
           && (!dtls || gw_hello_take(&rest, 1, &vector) == 0)
           && gw_hello_take(&rest, 2, &vector) == 0
           && gw_hello_take(&rest, 1, &vector) == 0
           && gw_hello_take(&rest, 2, &vector) == 0
           ? gw_hello_extensions(&vector, name) : -1;
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
