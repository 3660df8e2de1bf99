
/*
 * A TLS client on a pipe, for Test::Atls::Stack: what is common to the TLS
 * stacks is client.c, which describes the commands; a stack's own program is
 * the functions stack_*().
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
    buf_t       in;         /* ciphertext that came */
    buf_t       out;        /* ciphertext to be sent */
    buf_t       plain;      /* plaintext that came */
    buf_t       value;      /* what a get asks for */

    unsigned    updates;    /* KeyUpdates received */
    unsigned    tickets;    /* NewSessionTickets received */

    buf_t       alerts;     /* numbers of those received, a comma after each */
    buf_t       error;      /* the first one, as text */

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
 * An option.  The value is followed by a null character, and must be copied;
 * an option that the stack does not have ends the program.
 */

void stack_set(const char *name, const char *value, size_t len);

/* all options are known */

void stack_start(void);

/* go on with the handshake */

void stack_handshake(void);

/* early data, with the ClientHello before it if it was not made yet */

void stack_early(const char *data, size_t len);

/* what came is read as far as it goes */

void stack_read(void);

void stack_write(const char *data, size_t len);
void stack_update(int requested);
void stack_shutdown(void);

/*
 * A value by its name, into client.value: protocol, cipher, alpn, resumed,
 * early, session, cert, ocsp (both DER).
 */

void stack_get(const char *name);

void stack_binding(void);
void stack_export(const char *label, size_t out, const char *context,
    size_t len);


#endif /* _CLIENT_H_INCLUDED_ */
