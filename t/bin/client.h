
/*
 * A TLS client controlled through a pipe, for Test::Atls::Stack.  client.c is
 * common to all TLS stacks, and describes the commands; the functions
 * stack_*() are implemented by the program of each stack.
 */


#ifndef _CLIENT_H_INCLUDED_
#define _CLIENT_H_INCLUDED_


#include <stddef.h>


typedef struct {
    char       *data;
    size_t      len;
    size_t      size;
} buf_t;


typedef struct {
    buf_t       in;         /* TLS input */
    buf_t       out;        /* TLS output */
    buf_t       plain;      /* decrypted data */
    buf_t       value;      /* result of a get */

    unsigned    updates;    /* KeyUpdates received */
    unsigned    tickets;    /* NewSessionTickets received */

    buf_t       alerts;     /* received ones, each followed by a comma */
    buf_t       error;      /* the first one */

    unsigned    established:1;
    unsigned    closed:1;
    unsigned    failed:1;
} client_t;


extern client_t  client;


void buf_add(buf_t *b, const void *data, size_t len);
void buf_shift(buf_t *b, size_t len);

void client_die(const char *what);
void client_error(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
void client_alert(unsigned alert);
size_t client_unhex(const char *hex, unsigned char *out, size_t size);


/*
 * Sets an option.  The value is null-terminated, and must be copied.  An
 * unsupported option ends the program.
 */

void stack_set(const char *name, const char *value, size_t len);

/* after all options */

void stack_start(void);

/* continues the handshake */

void stack_handshake(void);

/* early data, preceded by the ClientHello if it was not created yet */

void stack_early(const char *data, size_t len);

/* reads all input */

void stack_read(void);

void stack_write(const char *data, size_t len);
void stack_update(int requested);
void stack_shutdown(void);

/*
 * Returns a value in client.value: protocol, cipher, alpn, resumed, early,
 * session, cert, ocsp (both DER).
 */

void stack_get(const char *name);

void stack_binding(void);
void stack_export(const char *label, size_t out, const char *context,
    size_t len);


#endif /* _CLIENT_H_INCLUDED_ */
