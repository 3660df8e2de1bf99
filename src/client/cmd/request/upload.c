
/*
 * The request body, see upload.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "upload.h"


static const char *cmd_upload_type(const cmd_options_t *options);
static int cmd_upload_open_form(cmd_upload_t *upload);
static int cmd_upload_open_file(cmd_upload_t *upload);
static long cmd_upload_read_memory(cmd_upload_t *upload, void *buf,
    size_t size);
static long cmd_upload_read_form(cmd_upload_t *upload, void *buf, size_t size,
    int *code);
static long cmd_upload_read_file(cmd_upload_t *upload, void *buf, size_t size,
    int64_t deadline, int *code);
static int cmd_upload_poll(const cmd_upload_t *upload, int timeout);
static int cmd_upload_wait(const cmd_upload_t *upload, int64_t deadline);
static int cmd_upload_failed(const cmd_upload_t *upload, int error);


int
cmd_upload_open(cmd_upload_t *upload, const cmd_options_t *options,
    const char *file)
{
    memset(upload, 0, sizeof(cmd_upload_t));
    upload->fd = -1;

    if (file) {
        upload->kind = CMD_UPLOAD_FILE;
        upload->path = file;
        return cmd_upload_open_file(upload);
    }

    if (options->form) {
        upload->kind = CMD_UPLOAD_FORM;
        upload->form = options->form;
        upload->type = cmd_upload_type(options);
        return cmd_upload_open_form(upload);
    }

    if (options->data && !options->get) {
        upload->kind = CMD_UPLOAD_DATA;
        upload->data = options->data;
        upload->length = (int64_t) options->data_size;
    }

    return CMD_OK;
}


/* Content-Type of -H. */

static const char *
cmd_upload_type(const cmd_options_t *options)
{
    size_t          i;
    atls_header_t  *header;

    for (i = 0; i < options->nheaders; i++) {
        header = &options->headers[i];

        if (strcasecmp(header->name, "Content-Type") == 0) {
            return header->value ? header->value : "";
        }
    }

    return NULL;
}


static int
cmd_upload_open_form(cmd_upload_t *upload)
{
    if (cmd_form_open(upload->form, upload->type) == -1) {
        return cmd_fail(CMD_READ, "cannot read the files of -F");
    }

    upload->length = upload->form->length == -1 ? ATLS_LENGTH_UNKNOWN
                                                : upload->form->length;

    return CMD_OK;
}


static int
cmd_upload_open_file(cmd_upload_t *upload)
{
    struct stat  st;

    upload->start = -1;
    upload->length = ATLS_LENGTH_UNKNOWN;
    upload->waiting = 1;

    upload->fd = strcmp(upload->path, "-") == 0
                 ? STDIN_FILENO : open(upload->path, O_RDONLY | O_CLOEXEC);

    if (upload->fd == -1 || fstat(upload->fd, &st) == -1) {
        return cmd_upload_failed(upload, errno);
    }

    if (S_ISDIR(st.st_mode)) {
        return cmd_upload_failed(upload, EISDIR);
    }

    if (S_ISREG(st.st_mode)) {
        upload->start = lseek(upload->fd, 0, SEEK_CUR);

        /* files in /proc have data, but the size 0 */

        if (upload->start != -1 && st.st_size > upload->start) {
            upload->length = st.st_size - upload->start;
        }
    }

    return CMD_OK;
}


long
cmd_upload_read(cmd_upload_t *upload, void *buf, size_t size,
    int64_t deadline, int *code)
{
    long  n;

    n = upload->kind == CMD_UPLOAD_FILE
        ? cmd_upload_read_file(upload, buf, size, deadline, code)
        : upload->kind == CMD_UPLOAD_FORM
        ? cmd_upload_read_form(upload, buf, size, code)
        : cmd_upload_read_memory(upload, buf, size);

    if (n > 0) {
        upload->sent += n;
    }

    return n;
}


static long
cmd_upload_read_memory(cmd_upload_t *upload, void *buf, size_t size)
{
    int64_t  rest;

    rest = upload->length - upload->sent;

    if (rest < (int64_t) size) {
        size = (size_t) rest;
    }

    memcpy(buf, upload->data + upload->sent, size);

    return (long) size;
}


static long
cmd_upload_read_form(cmd_upload_t *upload, void *buf, size_t size, int *code)
{
    long  n;

    n = cmd_form_read(upload->form, buf, size);

    if (n == -1) {
        *code = cmd_fail(CMD_READ, "cannot read the files of -F");
    }

    return n;
}


static long
cmd_upload_read_file(cmd_upload_t *upload, void *buf, size_t size,
    int64_t deadline, int *code)
{
    ssize_t  n;

    if (upload->flush && upload->waiting && !cmd_upload_poll(upload, 0)) {
        upload->waiting = 0;
        return ATLS_READ_FLUSH;
    }

    if (!cmd_upload_wait(upload, deadline)) {
        *code = cmd_fail(CMD_TIMEOUT, "timed out waiting for data to send");
        return -1;
    }

    do {
        n = read(upload->fd, buf, size);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        *code = cmd_upload_failed(upload, errno);
        return -1;
    }

    if (n == 0 && upload->sent < upload->length) {
        *code = cmd_fail(CMD_READ, "\"%s\" was truncated while being read",
                         upload->path);
        return -1;
    }

    upload->waiting = 1;

    return (long) n;
}


/* Whether the input is readable, which includes EOF and errors. */

static int
cmd_upload_poll(const cmd_upload_t *upload, int timeout)
{
    int            n;
    struct pollfd  pfd;

    pfd.fd = upload->fd;
    pfd.events = POLLIN;

    n = poll(&pfd, 1, timeout);

    return n > 0 || (n == -1 && errno != EINTR && errno != EAGAIN);
}


static int
cmd_upload_wait(const cmd_upload_t *upload, int64_t deadline)
{
    int64_t  timeout;

    do {
        timeout = deadline ? deadline - atls_clock() : -1;

        if (deadline && timeout < 0) {
            return 0;
        }

    } while (!cmd_upload_poll(upload,
                              timeout > INT_MAX ? INT_MAX : (int) timeout));

    return 1;
}


static int
cmd_upload_failed(const cmd_upload_t *upload, int error)
{
    return cmd_fail(CMD_READ, "cannot read \"%s\": %s", upload->path,
                    strerror(error));
}


int
cmd_upload_skip(cmd_upload_t *upload, int64_t n)
{
    long     got;
    char     buf[16384];
    int      code;
    int64_t  piece;

    if (upload->length != ATLS_LENGTH_UNKNOWN && n >= upload->length && n) {
        return cmd_fail(CMD_PARTIAL, "the file was uploaded completely");
    }

    code = CMD_OK;

    while (n) {
        piece = n < (int64_t) sizeof(buf) ? n : (int64_t) sizeof(buf);
        got = cmd_upload_read_file(upload, buf, (size_t) piece, 0, &code);

        if (got <= 0) {
            return code != CMD_OK ? code
                   : cmd_fail(CMD_READ, "\"%s\" is too short", upload->path);
        }

        n -= got;

        if (upload->length != ATLS_LENGTH_UNKNOWN) {
            upload->length -= got;
        }
    }

    upload->start = upload->start == -1 ? -1 : lseek(upload->fd, 0, SEEK_CUR);

    return CMD_OK;
}


int
cmd_upload_repeatable(const cmd_upload_t *upload)
{
    return upload->kind != CMD_UPLOAD_FILE || upload->start != -1;
}


int
cmd_upload_rewind(cmd_upload_t *upload)
{
    if (upload->kind == CMD_UPLOAD_FILE
        && (upload->start == -1
            || lseek(upload->fd, upload->start, SEEK_SET) == -1))
    {
        return -1;
    }

    upload->sent = 0;

    return upload->kind == CMD_UPLOAD_FORM
           ? cmd_form_open(upload->form, upload->type) : 0;
}


void
cmd_upload_close(cmd_upload_t *upload)
{
    if (upload->fd > STDIN_FILENO) {
        close(upload->fd);
    }

    upload->fd = -1;

    if (upload->form) {
        cmd_form_close(upload->form);
    }
}
