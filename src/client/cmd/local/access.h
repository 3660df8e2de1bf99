
/*
 * Access control of the proxy of atls run.  A request is allowed with random
 * credentials, which the program gets in the URL of the proxy.  Some programs
 * ignore these, so requests of processes of the same user are allowed, too:
 * these could read the credentials from the program's environment anyway.
 */


#ifndef ATLS_CMD_ACCESS_H_INCLUDED
#define ATLS_CMD_ACCESS_H_INCLUDED


#define CMD_ACCESS_PASSWORD 32          /* characters */


typedef struct {
    char     password[CMD_ACCESS_PASSWORD + 1];
} cmd_access_t;


/* Returns an exit code. */

int cmd_access_create(cmd_access_t *access);

/* Wipes the credentials. */

void cmd_access_free(cmd_access_t *access);

/* The URL of a proxy on this port of 127.0.0.1; must be wiped. */

char *cmd_access_url(const cmd_access_t *access, int port);

/*
 * Whether a request on the connection fd is allowed; value is that of its
 * Proxy-Authorization header, or NULL.
 */

int cmd_access_allowed(const cmd_access_t *access, int fd, const char *value);


#endif /* ATLS_CMD_ACCESS_H_INCLUDED */
