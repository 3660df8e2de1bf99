
/*
 * Tests the parsers of libatls for data from servers: inner responses, and
 * problem documents of outer responses.
 *
 *     client_http [runs]
 *
 * For all bytes, cut anywhere, the result is the same and known at once, and no
 * other memory is accessed (AddressSanitizer).  TAP on stdout.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "response.h"


#define LIMIT       1024
#define MAX         4096


typedef struct {
    atls_error_e     error;
    atls_response_e  state;
    atls_chunk_e     chunk;
    int              status;
    unsigned         headers;
    unsigned         delivered;
    unsigned         extra;
    size_t           length;
    unsigned         sum;
} result_t;


static const char *const  seeds[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world",
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n"
     "6\r\n world\r\n0\r\nX-Trailer: yes\r\n\r\n"),
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nA: b\r\nC:\td \r\n\r\n",
    "HTTP/1.0 404 Not Found\r\nConnection: keep-alive, x\r\n\r\nuntil the end",
    ("HTTP/1.1 301 Moved\r\nLocation: https://a/\r\nConnection: close\r\n"
     "Content-Length: 0\r\n\r\nmore"),
};

static const char *const  problems[] = {
    ("{\"type\":\"about:blank\",\"title\":\"Gone\",\"status\":410,"
     "\"detail\":\"The session is not known.\"}"),
    ("{\"a\":[1,{\"b\":\"}\\\"\"}],\"detail\":\"\\u00e4\\u20ac\\n\\\\\"}"),
    "{\"detail\":{\"detail\":\"no\"}}",
    "{\"title\":\"only\"}",
};


static unsigned  tests, failures;


static void
ok(int good, const char *name)
{
    printf("%sok %u - %s\n", good ? "" : "not ", ++tests, name);
    failures += !good;
}


static unsigned
any(unsigned n)
{
    static unsigned long long  state = 88172645463325252ULL;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (unsigned) (state >> 16) % n;
}


static void
add(result_t *result, const void *bytes, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        result->sum = result->sum * 31 + ((const unsigned char *) bytes)[i];
    }
}


static int
on_status(void *data, int status, const char *reason)
{
    ((result_t *) data)->status = status;
    add(data, reason, strlen(reason) + 1);

    return 0;
}


static int
on_header(void *data, const char *name, const char *value)
{
    ((result_t *) data)->headers++;
    add(data, name, strlen(name) + 1);
    add(data, value, strlen(value) + 1);

    return 0;
}


static int
on_body(void *data, const void *bytes, size_t size)
{
    ((result_t *) data)->length += size;
    add(data, bytes, size);

    return 0;
}


/*
 * cut: 0: all at once; -1: pieces of random size; otherwise the size of pieces
 */

static result_t
run(atls_response_t *response, const unsigned char *bytes, size_t n, int cut)
{
    size_t           piece;
    result_t         result;
    atls_debug_t     debug;
    atls_failure_t   failure;
    atls_request_t   request;
    unsigned char   *copy;

    memset(&result, 0, sizeof(result));
    memset(&debug, 0, sizeof(debug));
    memset(&request, 0, sizeof(request));

    request.on_status = on_status;
    request.on_header = on_header;
    request.on_body = on_body;
    request.data = &result;

    atls_response_begin(response, &request, &debug, LIMIT, &failure);

    while (n && result.error == ATLS_OK) {
        piece = cut == 0 ? n : cut == -1 ? 1 + any(40) : (size_t) cut;
        piece = piece < n ? piece : n;

        /* a separate block, so that an access after its end is detected */

        copy = malloc(piece);
        memcpy(copy, bytes, piece);
        result.error = atls_response_parse(response, copy, piece);
        free(copy);

        bytes += piece;
        n -= piece;
    }

    result.state = response->state;
    result.chunk = response->chunks.state;
    result.delivered = response->delivered;
    result.extra = response->extra;

    return result;
}


static int
same(const result_t *a, const result_t *b)
{
    return a->error == b->error && a->status == b->status
           && a->headers == b->headers && a->length == b->length
           && a->sum == b->sum
           && (a->error != ATLS_OK
               || (a->state == b->state && a->extra == b->extra));
}


static size_t
mutate(unsigned char *bytes, size_t n)
{
    size_t       at, len;
    unsigned     i, times;
    const char  *token;

    static const char *const  tokens[] = {
        "\r\n", "\r\n\r\n", "\n", "\r", "0", "ffffffff", ":", " ", "chunked",
        "Content-Length: 5\r\n", "HTTP/1.1 ", "Transfer-Encoding:", "\t", ";",
    };

    times = any(6);

    for (i = 0; i < times && n > 1; i++) {
        at = any((unsigned) n);

        switch (any(4)) {

        case 0:
            bytes[at] = (unsigned char) any(256);
            break;

        case 1:
            len = 1 + any(10);
            len = len < n - at ? len : n - at - 1;
            memmove(bytes + at, bytes + at + len, n - at - len);
            n -= len;
            break;

        case 2:
            token = tokens[any(sizeof(tokens) / sizeof(tokens[0]))];
            len = strlen(token);
            memmove(bytes + at + len, bytes + at, n - at);
            memcpy(bytes + at, token, len);
            n += len;
            break;

        default:
            bytes[at] ^= (unsigned char) (1 << any(8));
        }
    }

    return n;
}


static void
answers(int runs)
{
    int              i;
    size_t           n;
    unsigned         different, unbounded, good;
    result_t         whole, cut;
    unsigned char    bytes[MAX];
    atls_response_t  response;

    memset(&response, 0, sizeof(response));
    different = unbounded = good = 0;

    for (i = 0; i < runs; i++) {
        n = strlen(seeds[i % 5]);
        memcpy(bytes, seeds[i % 5], n);

        if (i >= 5) {
            n = mutate(bytes, n);
        }

        whole = run(&response, bytes, n, 0);
        unbounded += response.lines.text.size > 4 * LIMIT;
        good += whole.error == ATLS_OK;

        cut = run(&response, bytes, n, 1);
        different += !same(&whole, &cut);

        cut = run(&response, bytes, n, -1);
        different += !same(&whole, &cut);

        different += whole.error != ATLS_OK && whole.error != ATLS_ERROR_HTTP;
    }

    atls_response_free(&response);

    printf("# %u of %d were acceptable\n", good, runs);
    ok(different == 0, "answers: cuts do not matter");
    ok(unbounded == 0, "answers: the header is limited");
    ok(good > (unsigned) runs / 20 && good < (unsigned) runs,
       "answers: some are good");
}


static void
details(int runs)
{
    int             i, rc;
    char            detail[32];
    size_t          n;
    unsigned        wrong;
    unsigned char  *copy, bytes[MAX];

    static const char  typed[] = "{\"type\":\"tag:atls,2026:no-cookie\"}";

    static const char *const  expected[] = {
        "The session is not known.", "\xc3\xa4\xe2\x82\xac \\", NULL, "only",
    };

    wrong = 0;

    for (i = 0; i < 4; i++) {
        rc = atls_problem_detail((const unsigned char *) problems[i],
                                 strlen(problems[i]), detail, sizeof(detail));

        wrong += expected[i] ? rc == -1 || strcmp(detail, expected[i]) != 0
                             : rc != -1;
    }

    ok(wrong == 0, "details");

    rc = atls_problem_detail((const unsigned char *) problems[0],
                             strlen(problems[0]), detail, 8);
    ok(rc == 0 && strcmp(detail, "The ses") == 0, "a long detail is cut");

    rc = atls_problem_type((const unsigned char *) typed, strlen(typed),
                           detail, sizeof(detail));
    ok(rc == 0 && strcmp(detail, "no-cookie") == 0, "the name in a type");

    rc = atls_problem_type((const unsigned char *) typed, strlen(typed),
                           detail, sizeof("no-cookie") - 1);
    ok(rc == -1, "a long name");

    rc = atls_problem_type((const unsigned char *) problems[0],
                           strlen(problems[0]), detail, sizeof(detail));
    ok(rc == -1, "another type");

    memset(bytes, '[', sizeof(bytes));
    n = strlen(problems[3]);
    memcpy(bytes, problems[3], n);
    bytes[n - 1] = ',';
    memcpy(bytes + n, "\"a\":", 4);

    ok(atls_problem_detail(bytes, sizeof(bytes), detail, sizeof(detail)) == -1,
       "no detail of what is nested too deeply");

    wrong = 0;

    for (i = 0; i < runs; i++) {
        n = strlen(problems[i % 4]);
        memcpy(bytes, problems[i % 4], n);
        n = any(2) ? mutate(bytes, n) : any((unsigned) n + 1);

        copy = malloc(n + !n);
        memcpy(copy, bytes, n);
        memset(detail, 'x', sizeof(detail));

        if (atls_problem_detail(copy, n, detail, sizeof(detail)) == 0) {
            wrong += memchr(detail, '\0', sizeof(detail)) == NULL;
        }

        free(copy);
    }

    ok(wrong == 0, "details: any bytes");
}


int
main(int argc, char **argv)
{
    int  runs;

    runs = argc > 1 ? atoi(argv[1]) : 10000;

    answers(runs);
    details(runs);

    printf("1..%u\n", tests);

    return failures != 0;
}
