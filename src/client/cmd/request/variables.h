
/* The variables of -w. */


#ifndef ATLS_CMD_VARIABLES_H_INCLUDED
#define ATLS_CMD_VARIABLES_H_INCLUDED


#include "transfer.h"


/* Strings are NULL if there is no value; times are in microseconds. */

typedef struct {
    const char   *atls;                 /* "on" or "off" */
    const char   *content_type;
    const char   *error;
    const char   *file;
    const char   *http_version;
    const char   *local_ip;
    const char   *method;
    char         *redirect_url;         /* allocated */
    const char   *remote_ip;
    const char   *scheme;
    const char   *url;
    const char   *url_effective;
    const char   *none;

    int64_t       code;
    int64_t       connect_status;
    int64_t       local_port;
    int64_t       connects;
    int64_t       headers;
    int64_t       redirects;
    int64_t       proxy_verify_result;
    int64_t       remote_port;
    int64_t       received;
    int64_t       header_size;
    int64_t       request_size;
    int64_t       sent;
    int64_t       receive_speed;        /* bytes per second */
    int64_t       send_speed;
    int64_t       status;
    int64_t       verify_result;
    int64_t       number;               /* of the URL */

    int64_t       name_lookup;
    int64_t       connect;
    int64_t       handshake;
    int64_t       request;
    int64_t       redirect;
    int64_t       response;
    int64_t       total;
} cmd_variables_t;


/* The code is the exit code of the transfer. */

void cmd_variables_fill(cmd_variables_t *variables,
    const cmd_transfer_t *transfer, int code);

void cmd_variables_free(cmd_variables_t *variables);


#endif /* ATLS_CMD_VARIABLES_H_INCLUDED */
