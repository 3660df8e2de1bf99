
/*
 * What an answer that is none of ATLS has to say, see problem.h.
 */


#include <string.h>

#include "problem.h"


#define ATLS_PROBLEM_NAME   16              /* longer names are not ours */


typedef struct {
    const unsigned char  *pos;
    const unsigned char  *end;
} atls_json_t;


static int atls_problem_member(const unsigned char *json, size_t n,
    const char *name, char *value, size_t size);
static int atls_json_next(atls_json_t *json);
static int atls_json_string(atls_json_t *json, char *text, size_t size);
static int atls_json_escape(atls_json_t *json, char *utf8);
static int atls_json_skip(atls_json_t *json);


int
atls_problem_detail(const unsigned char *json, size_t n, char *detail,
    size_t size)
{
    if (atls_problem_member(json, n, "detail", detail, size) == 0) {
        return 0;
    }

    return atls_problem_member(json, n, "title", detail, size);
}


static int
atls_problem_member(const unsigned char *text, size_t n, const char *name,
    char *value, size_t size)
{
    char         member[ATLS_PROBLEM_NAME];
    atls_json_t  json;

    json.pos = text;
    json.end = text + n;

    if (atls_json_next(&json) != '{') {
        return -1;
    }

    do {
        if (atls_json_next(&json) != '"'
            || atls_json_string(&json, member, sizeof(member)) == -1
            || atls_json_next(&json) != ':')
        {
            return -1;
        }

        if (strcmp(member, name) == 0) {
            return atls_json_next(&json) == '"'
                   ? atls_json_string(&json, value, size) : -1;
        }

    } while (atls_json_skip(&json) == ',');

    return -1;
}


/* The next character that is no space; -1 at the end. */

static int
atls_json_next(atls_json_t *json)
{
    while (json->pos < json->end) {

        switch (*json->pos++) {

        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;

        default:
            return json->pos[-1];
        }
    }

    return -1;
}


/* What follows the opening quote.  What does not fit is left out. */

static int
atls_json_string(atls_json_t *json, char *text, size_t size)
{
    int     n;
    char    utf8[4];
    size_t  used;

    used = 0;

    while (json->pos < json->end) {

        if (*json->pos == '"') {
            json->pos++;
            text[used] = '\0';
            return 0;
        }

        if (*json->pos == '\\') {
            n = atls_json_escape(json, utf8);
            if (n == -1) {
                return -1;
            }

        } else {
            utf8[0] = (char) *json->pos++;
            n = 1;
        }

        if (used + (size_t) n < size) {
            memcpy(text + used, utf8, (size_t) n);
            used += (size_t) n;
        }
    }

    return -1;
}


/* Returns the length in UTF-8.  What is not a character of its own is "?". */

static int
atls_json_escape(atls_json_t *json, char *utf8)
{
    int          i;
    unsigned     code;
    const char  *digits, *p;

    if (json->end - json->pos < 2) {
        return -1;
    }

    json->pos++;

    if (*json->pos != 'u') {
        utf8[0] = (char) *json->pos++;

        if (strchr("bfnrt", utf8[0])) {
            utf8[0] = ' ';
        }

        return 1;
    }

    if (json->end - json->pos < 5) {
        return -1;
    }

    json->pos++;
    digits = "0123456789abcdef0123456789ABCDEF";
    code = 0;

    for (i = 0; i < 4; i++) {
        p = *json->pos ? strchr(digits, *json->pos) : NULL;
        if (p == NULL) {
            return -1;
        }

        code = code * 16 + (unsigned) (p - digits) % 16;
        json->pos++;
    }

    if (code == 0 || (code >= 0xd800 && code < 0xe000)) {
        utf8[0] = '?';
        return 1;
    }

    if (code < 0x80) {
        utf8[0] = (char) code;
        return 1;
    }

    if (code < 0x800) {
        utf8[0] = (char) (0xc0 | code >> 6);
        utf8[1] = (char) (0x80 | (code & 0x3f));
        return 2;
    }

    utf8[0] = (char) (0xe0 | code >> 12);
    utf8[1] = (char) (0x80 | (code >> 6 & 0x3f));
    utf8[2] = (char) (0x80 | (code & 0x3f));

    return 3;
}


/* A value of any kind.  Returns what follows it. */

static int
atls_json_skip(atls_json_t *json)
{
    int       ch;
    char      text[ATLS_PROBLEM_NAME];
    unsigned  depth;

    depth = 0;

    for ( ;; ) {
        ch = atls_json_next(json);

        switch (ch) {

        case -1:
            return -1;

        case '"':
            if (atls_json_string(json, text, sizeof(text)) == -1) {
                return -1;
            }

            break;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return ch;
            }

            depth--;
            break;

        case ',':
            if (depth == 0) {
                return ch;
            }

            break;
        }
    }
}
