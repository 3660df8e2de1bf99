
/*
 * Cookies of inner responses, as in curl.  libcurl parses, keeps and writes
 * them; whether they belong to a request is decided here.
 */


#ifndef ATLS_CMD_JAR_H_INCLUDED
#define ATLS_CMD_JAR_H_INCLUDED


#include <curl/curl.h>

#include "../options/options.h"
#include "../options/url.h"


typedef struct {
    const cmd_options_t  *options;
    CURL                 *curl;         /* NULL: no cookies are kept */
} cmd_jar_t;


/* Reads the files of -b. */

void cmd_jar_open(cmd_jar_t *jar, const cmd_options_t *options);

/* The value of Cookie for a request; NULL if there are no cookies. */

char *cmd_jar_value(const cmd_jar_t *jar, const cmd_url_t *url);

/* Keeps the cookie of a Set-Cookie header, if it is accepted. */

void cmd_jar_receive(cmd_jar_t *jar, const cmd_url_t *url, const char *value);

/* Writes the file of -c. */

void cmd_jar_close(cmd_jar_t *jar);


#endif /* ATLS_CMD_JAR_H_INCLUDED */
