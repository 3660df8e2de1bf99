
/*
 * URLs of the command line.
 */


#ifndef ATLS_CMD_URL_H_INCLUDED
#define ATLS_CMD_URL_H_INCLUDED


#include "options.h"


typedef struct {
    char  *text;                    /* the whole URL */
    char  *origin;                  /* https://host[:port] */
    char  *path;                    /* with query string */
    char  *name;                    /* last part of the path; may be empty */
    char  *user;                    /* "user:password", or NULL */
    int    changed;                 /* by -T or -G */
} cmd_url_t;


/*
 * With -T, the name of the file is appended to a path that ends with a slash;
 * with -G, the data are appended to the query string.  The file and the options
 * may be NULL.  Returns an exit code.
 */

int cmd_url_parse(cmd_url_t *url, const char *text, const char *file,
    const cmd_options_t *options);

/*
 * The same for a URL that is relative to another one.  Credentials of that one
 * are used, unless it has its own.
 */

int cmd_url_follow(cmd_url_t *url, const cmd_url_t *base, const char *location);

/* The same as a text, for any scheme; NULL if it is invalid. */

char *cmd_url_absolute(const cmd_url_t *base, const char *location);

void cmd_url_free(cmd_url_t *url);


#endif /* ATLS_CMD_URL_H_INCLUDED */
