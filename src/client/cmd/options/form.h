
/*
 * The form of -F.  Its body is made by libcurl, which sends the form to a local
 * socket: there is no other function that reads a form.
 */


#ifndef ATLS_CMD_FORM_H_INCLUDED
#define ATLS_CMD_FORM_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>


typedef struct {
    CURL               *curl;
    curl_mime          *mime;

    /* the body */

    CURLM              *multi;          /* NULL: not open */
    struct curl_slist  *headers;
    int                 listen;
    int                 fd;             /* -1: not accepted yet */
    char               *type;           /* Content-Type; may be NULL */
    int64_t             length;         /* -1: unknown, sent in chunks */
    int64_t             left;           /* of the body or of the chunk */
    int                 end;            /* there are no more chunks */
} cmd_form_t;


cmd_form_t *cmd_form_create(void);

void cmd_form_free(cmd_form_t *form);

/*
 * Begins the body, also again.  "type" replaces the default Content-Type; it
 * may be NULL.  Returns 0 or -1.
 */

int cmd_form_open(cmd_form_t *form, const char *type);

/* Returns the number of bytes, 0 at the end, or -1 on error. */

long cmd_form_read(cmd_form_t *form, void *buf, size_t size);

void cmd_form_close(cmd_form_t *form);


#endif /* ATLS_CMD_FORM_H_INCLUDED */
