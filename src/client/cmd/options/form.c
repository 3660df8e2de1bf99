
/*
 * The form of -F, see form.h.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "form.h"


#define CMD_FORM_LINE       1024        /* of the header */
#define CMD_FORM_WAIT       1000        /* milliseconds */


static int cmd_form_listen(cmd_form_t *form);
static void cmd_form_setup(cmd_form_t *form, const char *type);
static int cmd_form_header(cmd_form_t *form);
static int cmd_form_chunk(cmd_form_t *form);
static int cmd_form_line(cmd_form_t *form, char *line);
static long cmd_form_receive(cmd_form_t *form, void *buf, size_t size);
static ssize_t cmd_form_received(cmd_form_t *form, void *buf, size_t size);
static void cmd_form_accept(cmd_form_t *form);


cmd_form_t *
cmd_form_create(void)
{
    cmd_form_t  *form;

    form = cmd_alloc(sizeof(cmd_form_t));

    form->curl = curl_easy_init();
    form->mime = form->curl ? curl_mime_init(form->curl) : NULL;

    if (form->mime == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return form;
}


void
cmd_form_free(cmd_form_t *form)
{
    if (form) {
        cmd_form_close(form);
        curl_easy_cleanup(form->curl);
        curl_mime_free(form->mime);
        free(form);
    }
}


int
cmd_form_open(cmd_form_t *form, const char *type)
{
    cmd_form_close(form);

    form->fd = -1;
    form->multi = curl_multi_init();

    if (form->multi == NULL || cmd_form_listen(form) == -1) {
        return -1;
    }

    cmd_form_setup(form, type);
    curl_multi_add_handle(form->multi, form->curl);

    return cmd_form_header(form);
}


/* An abstract socket with a name that is chosen by the system. */

static int
cmd_form_listen(cmd_form_t *form)
{
    socklen_t           n;
    struct sockaddr_un  addr;

    memset(&addr, 0, sizeof(struct sockaddr_un));
    addr.sun_family = AF_UNIX;
    n = sizeof(struct sockaddr_un);

    form->listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          0);

    if (form->listen == -1
        || bind(form->listen, (struct sockaddr *) &addr, sizeof(sa_family_t))
           == -1
        || listen(form->listen, 1) == -1
        || getsockname(form->listen, (struct sockaddr *) &addr, &n) == -1)
    {
        return -1;
    }

    curl_easy_setopt(form->curl, CURLOPT_ABSTRACT_UNIX_SOCKET,
                     addr.sun_path + 1);

    return 0;
}


static void
cmd_form_setup(cmd_form_t *form, const char *type)
{
    char  *line;
    CURL  *curl = form->curl;

    form->headers = curl_slist_append(NULL, "Expect:");

    if (type) {
        line = cmd_format("Content-Type:%s%s", *type ? " " : "", type);
        form->headers = curl_slist_append(form->headers, line);
        free(line);
    }

    curl_easy_setopt(curl, CURLOPT_URL, "http://localhost/");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, form->headers);
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, form->mime);
}


static int
cmd_form_header(cmd_form_t *form)
{
    char         line[CMD_FORM_LINE];
    const char  *value;

    form->length = -1;
    form->left = 0;
    form->end = 0;

    do {
        if (cmd_form_line(form, line) == -1) {
            return -1;
        }

        value = strchr(line, ':');
        value = value ? value + 1 + strspn(value + 1, " ") : NULL;

        if (value && strncasecmp(line, "Content-Type:", 13) == 0) {
            free(form->type);
            form->type = cmd_copy(value, strlen(value));

        } else if (value && strncasecmp(line, "Content-Length:", 15) == 0) {
            form->length = strtoll(value, NULL, 10);
            form->left = form->length;
        }

    } while (*line);

    return 0;
}


long
cmd_form_read(cmd_form_t *form, void *buf, size_t size)
{
    long  n;

    if (form->length == -1 && form->left == 0 && !form->end
        && cmd_form_chunk(form) == -1)
    {
        return -1;
    }

    if (form->left == 0) {
        return 0;
    }

    n = cmd_form_receive(form, buf, form->left < (int64_t) size
                                    ? (size_t) form->left : size);

    if (n > 0) {
        form->left -= n;
    }

    return n;
}


/* The line of a chunk, after the empty line that ends the previous one. */

static int
cmd_form_chunk(cmd_form_t *form)
{
    char  line[CMD_FORM_LINE];

    do {
        if (cmd_form_line(form, line) == -1) {
            return -1;
        }
    } while (*line == '\0');

    form->left = strtoll(line, NULL, 16);
    form->end = form->left == 0;

    return 0;
}


/* A line without its end. */

static int
cmd_form_line(cmd_form_t *form, char *line)
{
    size_t  n;

    for (n = 0; n < CMD_FORM_LINE; n++) {

        if (cmd_form_receive(form, line + n, 1) != 1) {
            return -1;
        }

        if (line[n] == '\n') {
            line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
            return 0;
        }
    }

    return -1;
}


/* libcurl sends more when all was received. */

static long
cmd_form_receive(cmd_form_t *form, void *buf, size_t size)
{
    int      running;
    ssize_t  n;

    for ( ;; ) {
        n = cmd_form_received(form, buf, size);

        if (n != -1 || (errno != EAGAIN && errno != EINTR)) {
            return n > 0 ? (long) n : -1;
        }

        if (curl_multi_poll(form->multi, NULL, 0, CMD_FORM_WAIT, NULL)
            != CURLM_OK
            || curl_multi_perform(form->multi, &running) != CURLM_OK
            || !running)
        {
            return -1;
        }
    }
}


static ssize_t
cmd_form_received(cmd_form_t *form, void *buf, size_t size)
{
    if (form->fd == -1) {
        cmd_form_accept(form);
    }

    if (form->fd == -1) {
        errno = EAGAIN;
        return -1;
    }

    return recv(form->fd, buf, size, MSG_DONTWAIT);
}


/* Any process could connect. */

static void
cmd_form_accept(cmd_form_t *form)
{
    int           fd;
    socklen_t     n;
    struct ucred  peer;

    fd = accept4(form->listen, NULL, NULL, SOCK_CLOEXEC);
    n = sizeof(struct ucred);

    if (fd != -1
        && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0
        && peer.pid == getpid())
    {
        form->fd = fd;

    } else if (fd != -1) {
        close(fd);
    }
}


void
cmd_form_close(cmd_form_t *form)
{
    if (form->multi == NULL) {
        return;
    }

    curl_multi_remove_handle(form->multi, form->curl);
    curl_multi_cleanup(form->multi);
    form->multi = NULL;

    curl_slist_free_all(form->headers);
    form->headers = NULL;

    if (form->listen != -1) {
        close(form->listen);
    }

    if (form->fd != -1) {
        close(form->fd);
    }

    free(form->type);
    form->type = NULL;
}
