
/* Exit codes, as in curl, and error messages. */


#ifndef ATLS_CMD_EXITCODE_H_INCLUDED
#define ATLS_CMD_EXITCODE_H_INCLUDED


/*
 * The codes are described in the manual page.  For the outer connection and for
 * plain HTTPS, other codes of curl are returned, too.
 */

typedef enum {
    CMD_OK = 0,
    CMD_SCHEME = 1,
    CMD_USAGE = 2,
    CMD_URL = 3,
    CMD_LIMITED = 4,
    CMD_RESOLVE_PROXY = 5,
    CMD_RESOLVE = 6,
    CMD_CONNECT = 7,
    CMD_REPLY = 8,
    CMD_PARTIAL = 18,
    CMD_STATUS = 22,
    CMD_WRITE = 23,
    CMD_READ = 26,
    CMD_MEMORY = 27,
    CMD_TIMEOUT = 28,
    CMD_RANGE = 33,
    CMD_TLS = 35,
    CMD_REDIRECTS = 47,
    CMD_SYNTAX = 49,
    CMD_EMPTY = 52,
    CMD_RECEIVE = 56,
    CMD_IDENTITY = 58,
    CMD_CIPHERS = 59,
    CMD_CERTIFICATE = 60,
    CMD_DECODE = 61,
    CMD_REWIND = 65,
    CMD_TRUST = 77,
    CMD_PIN = 90,
    CMD_PROXY = 97,

    /* of atls run, as in env */

    CMD_RUN_FAILED = 125,
    CMD_RUN_REFUSED = 126,
    CMD_RUN_MISSING = 127
} cmd_code_e;


/* The end of a message if a request was sent and there is no response. */

#define CMD_DOUBT   "; the request may or may not have been processed"

/*
 * Whether a code means that the request was certainly not processed.  Other
 * codes must be used if it was sent.
 */

int cmd_code_is_certain(int code);

/* Prints an error message unless silent; returns the code. */

int cmd_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The message of the last error, without its code. */

const char *cmd_fail_text(void);

/* Prints a message about a failure that is not the end, unless silent. */

void cmd_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

void cmd_fail_silently(int silent);


#endif /* ATLS_CMD_EXITCODE_H_INCLUDED */
