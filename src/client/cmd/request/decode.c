
/*
 * Decoding of response bodies, see decode.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "decode.h"


#define CMD_DECODE_MAX      5           /* codings of a response, as in curl */
#define CMD_DECODE_SIZE     16384

#define CMD_DECODE_GZIP     (MAX_WBITS + 32)    /* or zlib, as in curl */
#define CMD_DECODE_ZLIB     MAX_WBITS
#define CMD_DECODE_RAW      (-MAX_WBITS)


struct cmd_coding_s {
    z_stream    z;
    int         gzip;
    int         begun;
    int         ended;
};


/* A sequence of codings; the first of them is decoded last. */

typedef struct {
    cmd_coding_t   **codings;
    cmd_decode_pt    sink;
    void            *data;
} cmd_decode_chain_t;


static void cmd_decode_coding(cmd_decode_t *decode, const char *name,
    size_t n);
static int cmd_decode_is(const char *name, size_t n, const char *known);
static int cmd_decode_piece(const cmd_decode_chain_t *chain, size_t n,
    const void *bytes, size_t size);
static int cmd_decode_begin(cmd_coding_t *coding, const unsigned char *bytes);
static int cmd_decode_inflate(const cmd_decode_chain_t *chain, size_t n);
static int cmd_decode_failed(const char *text);


void
cmd_decode_add(cmd_decode_t *decode, const char *value)
{
    size_t  n, size;

    while (*value) {
        value += strspn(value, ", \t");
        n = strcspn(value, ",");

        for (size = n; size && strchr(" \t", value[size - 1]); size--) {
            /* void */
        }

        if (size) {
            cmd_decode_coding(decode, value, size);
        }

        value += n;
    }
}


static void
cmd_decode_coding(cmd_decode_t *decode, const char *name, size_t n)
{
    int            gzip;
    cmd_coding_t  *coding;

    if (cmd_decode_is(name, n, "identity") || cmd_decode_is(name, n, "none")) {
        return;
    }

    gzip = cmd_decode_is(name, n, "gzip") || cmd_decode_is(name, n, "x-gzip");

    if ((!gzip && !cmd_decode_is(name, n, "deflate"))
        || decode->n == CMD_DECODE_MAX)
    {
        decode->unknown = 1;
        return;
    }

    coding = cmd_alloc(sizeof(cmd_coding_t));
    coding->gzip = gzip;

    decode->codings = cmd_realloc(decode->codings,
                                  (decode->n + 1) * sizeof(cmd_coding_t *));
    decode->codings[decode->n++] = coding;
}


static int
cmd_decode_is(const char *name, size_t n, const char *known)
{
    return n == strlen(known) && strncasecmp(name, known, n) == 0;
}


int
cmd_decode(const cmd_decode_t *decode, const void *bytes, size_t n,
    cmd_decode_pt sink, void *data)
{
    cmd_decode_chain_t  chain;

    if (decode->unknown && n) {
        return cmd_decode_failed("unknown Content-Encoding");
    }

    chain.codings = decode->codings;
    chain.sink = sink;
    chain.data = data;

    return cmd_decode_piece(&chain, decode->n, bytes, n);
}


/* Decodes the n-th coding and passes the result to the one before it. */

static int
cmd_decode_piece(const cmd_decode_chain_t *chain, size_t n, const void *bytes,
    size_t size)
{
    int            code;
    cmd_coding_t  *coding;

    if (size == 0) {
        return CMD_OK;
    }

    if (n == 0) {
        return chain->sink(chain->data, bytes, size);
    }

    coding = chain->codings[n - 1];

    if (!coding->begun) {
        code = cmd_decode_begin(coding, bytes);

        if (code != CMD_OK) {
            return code;
        }
    }

    coding->z.next_in = (unsigned char *) bytes;
    coding->z.avail_in = (unsigned) size;

    code = coding->ended ? CMD_OK : cmd_decode_inflate(chain, n);

    /* the same code as in curl */

    return code == CMD_OK && coding->z.avail_in
           ? cmd_fail(CMD_WRITE, "cannot decode the response: data after its "
                                 "end")
           : code;
}


/* "deflate" may be without the header of zlib, which begins with 8, as bits. */

static int
cmd_decode_begin(cmd_coding_t *coding, const unsigned char *bytes)
{
    int  bits;

    bits = coding->gzip ? CMD_DECODE_GZIP
           : (bytes[0] & 0xf) == Z_DEFLATED ? CMD_DECODE_ZLIB
           : CMD_DECODE_RAW;

    if (inflateInit2(&coding->z, bits) != Z_OK) {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    coding->begun = 1;

    return CMD_OK;
}


static int
cmd_decode_inflate(const cmd_decode_chain_t *chain, size_t n)
{
    int             rc, code;
    z_stream       *z = &chain->codings[n - 1]->z;
    unsigned char   buf[CMD_DECODE_SIZE];

    do {
        z->next_out = buf;
        z->avail_out = sizeof(buf);

        rc = inflate(z, Z_NO_FLUSH);

        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            return cmd_decode_failed(z->msg ? z->msg : "invalid data");
        }

        code = cmd_decode_piece(chain, n - 1, buf, sizeof(buf) - z->avail_out);

    } while (code == CMD_OK && rc == Z_OK);

    chain->codings[n - 1]->ended = rc == Z_STREAM_END;

    return code;
}


static int
cmd_decode_failed(const char *text)
{
    return cmd_fail(CMD_DECODE, "cannot decode the response: %s", text);
}


int
cmd_decode_end(const cmd_decode_t *decode)
{
    size_t  i;

    for (i = 0; i < decode->n; i++) {
        if (decode->codings[i]->begun && !decode->codings[i]->ended) {
            return cmd_decode_failed("its end is missing");
        }
    }

    return CMD_OK;
}


void
cmd_decode_free(cmd_decode_t *decode)
{
    size_t  i;

    for (i = 0; i < decode->n; i++) {

        if (decode->codings[i]->begun) {
            inflateEnd(&decode->codings[i]->z);
        }

        free(decode->codings[i]);
    }

    free(decode->codings);
    memset(decode, 0, sizeof(cmd_decode_t));
}
