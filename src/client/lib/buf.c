
/*
 * Growing buffers, see buf.h.
 */


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"


#define ATLS_BUF_MIN    1024
#define ATLS_BUF_PRINT  256


int
atls_buf_reserve(atls_buf_t *buf, size_t n)
{
    size_t          size;
    unsigned char  *data;

    if (n <= buf->size - buf->len) {
        return 0;
    }

    if (n > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4) {
        return -1;
    }

    size = buf->size ? buf->size : ATLS_BUF_MIN;

    while (size - buf->len < n) {
        size *= 2;
    }

    data = realloc(buf->data, size);
    if (data == NULL) {
        return -1;
    }

    buf->data = data;
    buf->size = size;

    return 0;
}


int
atls_buf_add(atls_buf_t *buf, const void *data, size_t n)
{
    if (n == 0) {
        return 0;
    }

    if (atls_buf_reserve(buf, n) == -1) {
        return -1;
    }

    memcpy(buf->data + buf->len, data, n);
    buf->len += n;

    return 0;
}


int
atls_buf_print(atls_buf_t *buf, const char *format, ...)
{
    int      n;
    size_t   room;
    va_list  args;

    if (atls_buf_reserve(buf, ATLS_BUF_PRINT) == -1) {
        return -1;
    }

    room = buf->size - buf->len;

    va_start(args, format);
    n = vsnprintf((char *) buf->data + buf->len, room, format, args);
    va_end(args);

    if (n < 0) {
        return -1;
    }

    if ((size_t) n >= room) {

        if (atls_buf_reserve(buf, (size_t) n + 1) == -1) {
            return -1;
        }

        va_start(args, format);
        vsnprintf((char *) buf->data + buf->len, (size_t) n + 1, format, args);
        va_end(args);
    }

    buf->len += (size_t) n;

    return 0;
}


int
atls_buf_text(atls_buf_t *buf, const char *text)
{
    return atls_buf_add(buf, text, strlen(text));
}


int
atls_buf_number(atls_buf_t *buf, uint64_t n)
{
    char   digits[24];
    char  *p;

    p = digits + sizeof(digits);

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return atls_buf_add(buf, p, (size_t) (digits + sizeof(digits) - p));
}


void
atls_buf_free(atls_buf_t *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(atls_buf_t));
}
