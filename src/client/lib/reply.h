
/*
 * The response to a POST: its status and header, and what is said in it if it
 * is not an ATLS response.
 */


#ifndef ATLS_CLIENT_REPLY_H_INCLUDED
#define ATLS_CLIENT_REPLY_H_INCLUDED


#include <curl/curl.h>

#include "buf.h"
#include "cookies.h"
#include "error.h"
#include "http.h"


#define ATLS_MEDIA_TYPE     "application/atls+octet-stream"
#define ATLS_MESSAGE_TYPE   "message/http"
#define ATLS_MESSAGE_CODING "aes128gcm"
#define ATLS_REPLY_TYPE     64              /* size for names of problems */


typedef enum {
    ATLS_REPLY_UNKNOWN = 0,                 /* no header yet */
    ATLS_REPLY_GOOD,                        /* an ATLS response */
    ATLS_REPLY_OTHER
} atls_reply_e;


typedef struct {
    CURL                *curl;              /* not owned */
    int                  message;           /* expected instead of records */
    const atls_lines_t  *lines;             /* of the header, parsed; NULL:
                                               libcurl has it */
    atls_reply_e         kind;
    int                  status;            /* 0: no response */
    const char          *http;              /* version, as in atls.h */
    long                 retry_after;       /* seconds; 0: none */
    atls_buf_t           body;              /* the beginning of the body of
                                               another response */
} atls_reply_t;


/* The structure must be zeroed. */

void atls_reply_init(atls_reply_t *reply, CURL *curl);
void atls_reply_free(atls_reply_t *reply);

/* Called before a POST. */

void atls_reply_clear(atls_reply_t *reply);

/*
 * Called when the header of an HTTP/1.x response was not received by libcurl.
 * Its lines are used until the next POST.
 */

void atls_reply_set(atls_reply_t *reply, int status, unsigned minor,
    const atls_lines_t *lines);

/* Called when the response header is complete. */

void atls_reply_begin(atls_reply_t *reply);

/* Reads the status and the like, if there was a response. */

void atls_reply_look(atls_reply_t *reply);

/* The value of the first field with this name, or NULL. */

const char *atls_reply_field(const atls_reply_t *reply, const char *name);

void atls_reply_each(const atls_reply_t *reply,
    void (*each)(void *data, const char *name, const char *value), void *data);

/*
 * Receives a piece of the body of another response.  Returns 0, or -1 to abort
 * the POST.
 */

int atls_reply_body(atls_reply_t *reply, const char *bytes, size_t n);

/*
 * The POST of a response: its number in the session, beginning with 1, the size
 * of its body, the cookies sent with it, whether the first response was a 201,
 * and whether the session has a URI.
 */

typedef struct {
    unsigned         number;
    size_t           size;
    atls_cookies_e   cookies;
    int              created;
    int              located;
} atls_reply_post_t;

/*
 * Sets and returns the error for a response that is not an ATLS response, with
 * the fault, if any is recognized.
 */

atls_error_e atls_reply_reject(const atls_reply_t *reply,
    const atls_reply_post_t *post, atls_failure_t *failure);

/*
 * Copies the name of the problem, if the response is a problem document of
 * ATLS.  Returns 0, or -1 if it is not, or if the name does not fit.
 */

int atls_reply_problem(const atls_reply_t *reply, char *name, size_t size);

/* Whether the response is an ATLS response, or a problem document of ATLS. */

int atls_reply_is_endpoint(const atls_reply_t *reply);


#endif /* ATLS_CLIENT_REPLY_H_INCLUDED */
