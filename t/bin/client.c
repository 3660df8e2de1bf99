
/*
 * Commands on stdin are a line "name N" and N bytes:
 *
 *     set         name '\0' value; before all other commands
 *     handshake   continues the handshake
 *     early       data to be sent with the ClientHello
 *     in          TLS input
 *     write       plaintext to be sent
 *     update      sends a KeyUpdate; "1": requests one of the server
 *     shutdown    sends close_notify
 *     get         name of a value
 *     binding     channel binding tls-exporter
 *     export      length ' ' label [ '\0' context ]
 *     quit
 *
 * Each is answered by a line
 *
 *     out N plain N value N error N updates N tickets N state S alerts A,A,
 *
 * and N bytes of each of the first four: TLS output, decrypted data, the
 * requested value, and the first error.  The state is "waiting", "established",
 * "closed" or "failed"; alerts are the received ones.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"


typedef struct {
    const char  *name;
    void       (*handler)(const char *data, size_t len);
} command_t;


static void command_set(const char *data, size_t len);
static void command_handshake(const char *data, size_t len);
static void command_in(const char *data, size_t len);
static void command_update(const char *data, size_t len);
static void command_shutdown(const char *data, size_t len);
static void command_get(const char *data, size_t len);
static void command_binding(const char *data, size_t len);
static void command_export(const char *data, size_t len);


client_t  client;


static command_t  commands[] = {
    { "handshake", command_handshake },
    { "early",     stack_early },
    { "in",        command_in },
    { "write",     stack_write },
    { "update",    command_update },
    { "shutdown",  command_shutdown },
    { "get",       command_get },
    { "binding",   command_binding },
    { "export",    command_export },
    { NULL,        NULL }
};


void
buf_add(buf_t *b, const void *data, size_t len)
{
    if (b->size - b->len < len + 1) {
        b->size = 2 * (b->len + len + 1);
        b->data = realloc(b->data, b->size);

        if (b->data == NULL) {
            client_die("no memory");
        }
    }

    if (len) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }

    b->data[b->len] = '\0';
}


void
buf_shift(buf_t *b, size_t len)
{
    b->len -= len;
    memmove(b->data, b->data + len, b->len);
}


void
client_die(const char *what)
{
    fprintf(stderr, "TLS client: %s\n", what);
    exit(1);
}


void
client_error(const char *fmt, ...)
{
    char     text[512];
    va_list  args;

    client.failed = 1;

    if (client.error.len) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    buf_add(&client.error, text, strlen(text));
}


void
client_alert(unsigned alert)
{
    char  text[16];

    snprintf(text, sizeof(text), "%u,", alert);
    buf_add(&client.alerts, text, strlen(text));
}


size_t
client_unhex(const char *hex, unsigned char *out, size_t size)
{
    size_t    n;
    unsigned  byte;

    for (n = 0; n < size && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) {
        out[n] = (unsigned char) byte;
    }

    return n;
}


static void
command_set(const char *data, size_t len)
{
    size_t  name;

    name = strlen(data);

    if (name >= len) {
        client_die("an option without a value");
    }

    stack_set(data, data + name + 1, len - name - 1);
}


static void
command_handshake(const char *data, size_t len)
{
    (void) data;
    (void) len;

    stack_handshake();
}


static void
command_in(const char *data, size_t len)
{
    buf_add(&client.in, data, len);
}


static void
command_update(const char *data, size_t len)
{
    stack_update(len && *data == '1');
}


static void
command_shutdown(const char *data, size_t len)
{
    (void) data;
    (void) len;

    stack_shutdown();
}


static void
command_get(const char *data, size_t len)
{
    (void) len;

    stack_get(data);
}


static void
command_binding(const char *data, size_t len)
{
    (void) data;
    (void) len;

    stack_binding();
}


static void
command_export(const char *data, size_t len)
{
    char    *label;
    size_t   n, out;

    out = strtoul(data, &label, 10);

    if (*label++ != ' ') {
        client_die("no label");
    }

    n = label - data + strlen(label);

    if (n < len) {
        stack_export(label, out, data + n + 1, len - n - 1);
    } else {
        stack_export(label, out, NULL, 0);
    }
}


static void
run(const char *name, const char *data, size_t len)
{
    command_t       *c;
    static unsigned  started;

    if (strcmp(name, "set") == 0) {
        command_set(data, len);
        return;
    }

    if (!started) {
        started = 1;
        stack_start();
    }

    for (c = commands; c->name; c++) {

        if (strcmp(name, c->name) == 0) {

            /* after a failure, only values can be requested */

            if (!client.failed || c->handler == command_get) {
                c->handler(data, len);
            }

            if (client.established && !client.failed) {
                stack_read();
            }

            return;
        }
    }

    client_die("no such command");
}


static void
answer(void)
{
    const char  *state;

    state = client.failed ? "failed"
            : client.closed ? "closed"
            : client.established ? "established" : "waiting";

    printf("out %zu plain %zu value %zu error %zu updates %u tickets %u"
           " state %s alerts %s\n",
           client.out.len, client.plain.len, client.value.len,
           client.error.len, client.updates, client.tickets, state,
           client.alerts.len ? client.alerts.data : "");

    fwrite(client.out.data, 1, client.out.len, stdout);
    fwrite(client.plain.data, 1, client.plain.len, stdout);
    fwrite(client.value.data, 1, client.value.len, stdout);
    fwrite(client.error.data, 1, client.error.len, stdout);
    fflush(stdout);

    client.out.len = 0;
    client.plain.len = 0;
    client.value.len = 0;
}


int
main(void)
{
    char    name[16], *data;
    size_t  n;

    /* so that fwrite() has a valid pointer, even without data */

    buf_add(&client.out, "", 0);
    buf_add(&client.plain, "", 0);
    buf_add(&client.value, "", 0);
    buf_add(&client.error, "", 0);

    while (scanf("%15s %zu", name, &n) == 2 && getchar() == '\n') {

        if (strcmp(name, "quit") == 0) {
            break;
        }

        data = malloc(n + 1);

        if (data == NULL || fread(data, 1, n, stdin) != n) {
            client_die("no data");
        }

        data[n] = '\0';

        run(name, data, n);
        answer();

        free(data);
    }

    return 0;
}
