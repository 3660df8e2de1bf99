
/* Growing buffers. */


#ifndef ATLS_CLIENT_BUF_H_INCLUDED
#define ATLS_CLIENT_BUF_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


typedef struct {
    unsigned char   *data;
    size_t           len;
    size_t           size;
} atls_buf_t;


/* Allocates room for n more bytes.  Returns 0 or -1. */

int atls_buf_reserve(atls_buf_t *buf, size_t n);

/* Appends bytes.  Returns 0, or -1 with nothing appended. */

int atls_buf_add(atls_buf_t *buf, const void *data, size_t n);
int atls_buf_print(atls_buf_t *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Appends a text, or a number in decimal digits: several times as fast as
 * atls_buf_print().
 */

int atls_buf_text(atls_buf_t *buf, const char *text);
int atls_buf_number(atls_buf_t *buf, uint64_t n);

void atls_buf_free(atls_buf_t *buf);


#endif /* ATLS_CLIENT_BUF_H_INCLUDED */
