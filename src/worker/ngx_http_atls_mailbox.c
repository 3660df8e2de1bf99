
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"

#include <ngx_channel.h>


#define NGX_HTTP_ATLS_MAILBOX_SPARE  64      /* for other use */


/*
 * Messages sent to fd are read from "in" by the worker in the slot.  If the
 * socket is connected to itself, both are the same descriptor.
 */

typedef struct {
    ngx_socket_t             fd;
    ngx_socket_t             in;
    uint32_t                 serial;        /* 0: closed */
    ngx_uint_t               wanted;
} ngx_http_atls_mailbox_t;


typedef union {
    struct cmsghdr           cmsg;
    char                     space[CMSG_SPACE(sizeof(int))];
} ngx_http_atls_control_t;


static void ngx_http_atls_mailbox_choose(ngx_uint_t nfree);
static ngx_uint_t ngx_http_atls_mailbox_take_room(ngx_socket_t *fd,
    ngx_uint_t n);
static ngx_int_t ngx_http_atls_mailbox_give_up(void);
static void ngx_http_atls_mailbox_fill(ngx_log_t *log);
static ngx_int_t ngx_http_atls_mailbox_create(ngx_http_atls_mailbox_t *box);
static ngx_int_t ngx_http_atls_mailbox_socket(ngx_socket_t *fd);
static ngx_int_t ngx_http_atls_mailbox_connect(ngx_socket_t s);
static void ngx_http_atls_mailbox_close(ngx_http_atls_mailbox_t *box);
static void ngx_http_atls_mailbox_read(ngx_event_t *rev);
static void ngx_http_atls_mailbox_reserve(void);
static void ngx_http_atls_mailbox_unreserve(void);
static ngx_int_t ngx_http_atls_mailbox_receive(ngx_socket_t s,
    ngx_http_atls_mail_t *mail, ngx_socket_t *fd, ngx_log_t *log);


/* Indexed by slot; workers inherit a copy. */

static ngx_http_atls_mailbox_t  ngx_http_atls_mailboxes[NGX_MAX_PROCESSES];
static uint32_t                 ngx_http_atls_mailbox_last;


/*
 * Running processes retain their mailboxes.  New workers, the cache manager
 * and the cache loader take the first free slots; the slots after them are for
 * the next configuration, whose workers should be reachable by the current
 * ones.
 */

void
ngx_http_atls_mailbox_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t        i, n, room;
    ngx_socket_t     *fd;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ngx_test_config || !ccf->master) {
        return;
    }

    n = 2 * (ngx_min(ccf->worker_processes, NGX_MAX_PROCESSES) + 2);

    ngx_http_atls_mailbox_choose(n);

    /* core will create a channel of two descriptors for each process */

    room = n + NGX_HTTP_ATLS_MAILBOX_SPARE;

    fd = ngx_alloc(room * sizeof(ngx_socket_t), cycle->log);

    if (fd) {
        room = ngx_http_atls_mailbox_take_room(fd, room);

        ngx_http_atls_mailbox_fill(cycle->log);

        for (i = 0; i < room; i++) {
            (void) ngx_close_socket(fd[i]);
        }

        ngx_free(fd);
    }
}


/* Closes mailboxes except those of processes and of the first free slots. */

static void
ngx_http_atls_mailbox_choose(ngx_uint_t nfree)
{
    ngx_int_t                 s;
    ngx_http_atls_mailbox_t  *box;

    for (s = 0; s < NGX_MAX_PROCESSES; s++) {
        box = &ngx_http_atls_mailboxes[s];

        if (s < ngx_last_process && ngx_processes[s].pid != -1) {
            box->wanted = 1;

        } else if (nfree) {
            nfree--;
            box->wanted = 1;

        } else {
            box->wanted = 0;
            ngx_http_atls_mailbox_close(box);
        }
    }
}


/*
 * Channels and connections are more important than mailboxes: without a
 * channel there is no worker, and without a mailbox only some POSTs get no
 * response.  So descriptors for them are reserved while mailboxes are created.
 * Returns the number of reserved descriptors.
 */

static ngx_uint_t
ngx_http_atls_mailbox_take_room(ngx_socket_t *fd, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        do {
            fd[i] = ngx_socket(AF_UNIX, SOCK_DGRAM, 0);

        } while (fd[i] == (ngx_socket_t) -1
                 && ngx_http_atls_mailbox_give_up() == NGX_OK);

        if (fd[i] == (ngx_socket_t) -1) {
            break;
        }
    }

    return i;
}


static ngx_int_t
ngx_http_atls_mailbox_give_up(void)
{
    ngx_int_t  s;

    for (s = NGX_MAX_PROCESSES - 1; s >= 0; s--) {

        if (ngx_http_atls_mailboxes[s].serial) {
            ngx_http_atls_mailbox_close(&ngx_http_atls_mailboxes[s]);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static void
ngx_http_atls_mailbox_fill(ngx_log_t *log)
{
    ngx_int_t                 s;
    ngx_err_t                 err;
    ngx_uint_t                wanted, missing;
    ngx_http_atls_mailbox_t  *box;

    err = 0;
    wanted = 0;
    missing = 0;

    for (s = 0; s < NGX_MAX_PROCESSES; s++) {
        box = &ngx_http_atls_mailboxes[s];

        if (!box->wanted) {
            continue;
        }

        wanted++;

        if (box->serial == 0 && err == 0
            && ngx_http_atls_mailbox_create(box) != NGX_OK)
        {
            err = ngx_errno;
        }

        if (box->serial == 0) {
            missing++;
        }
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls mailboxes wanted:%ui, missing:%ui", wanted, missing);

    if (missing) {
        ngx_log_error(NGX_LOG_ALERT, log, err,
                      "%ui of %ui atls mailboxes could not be created, POSTs "
                      "for handshakes and unfinished requests in worker "
                      "processes without one will get 410",
                      missing, wanted);
    }
}


static ngx_int_t
ngx_http_atls_mailbox_create(ngx_http_atls_mailbox_t *box)
{
    ngx_err_t     err;
    ngx_uint_t    i;
    ngx_socket_t  fd[2];

    if (ngx_http_atls_mailbox_socket(fd) != NGX_OK) {
        return NGX_ERROR;
    }

    box->fd = fd[0];
    box->in = fd[1];
    box->serial = ++ngx_http_atls_mailbox_last;

    for (i = 0; i < 2; i++) {

        /* must not be inherited on binary upgrade */

        if (ngx_nonblocking(fd[i]) == -1
            || fcntl(fd[i], F_SETFD, FD_CLOEXEC) == -1)
        {
            err = ngx_errno;
            ngx_http_atls_mailbox_close(box);
            ngx_set_errno(err);

            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_mailbox_socket(ngx_socket_t *fd)
{
    if (ngx_http_atls_has_autobind) {
        fd[0] = ngx_socket(AF_UNIX, SOCK_DGRAM, 0);

        if (fd[0] == (ngx_socket_t) -1) {
            return NGX_ERROR;
        }

        if (ngx_http_atls_mailbox_connect(fd[0]) == NGX_OK) {
            fd[1] = fd[0];
            return NGX_OK;
        }

        (void) ngx_close_socket(fd[0]);
    }

    return socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) == -1 ? NGX_ERROR : NGX_OK;
}


/*
 * Connects a socket to itself.  This requires a name: the kernel assigns one
 * that is not in the file system.  From then on, the kernel rejects messages
 * from other sockets; earlier ones are discarded.
 */

static ngx_int_t
ngx_http_atls_mailbox_connect(ngx_socket_t s)
{
    u_char              byte;
    socklen_t           len;
    struct sockaddr_un  name;

    ngx_memzero(&name, sizeof(struct sockaddr_un));

    name.sun_family = AF_UNIX;

    if (bind(s, (struct sockaddr *) &name, sizeof(sa_family_t)) == -1) {
        return NGX_ERROR;
    }

    len = sizeof(struct sockaddr_un);

    if (getsockname(s, (struct sockaddr *) &name, &len) == -1
        || connect(s, (struct sockaddr *) &name, len) == -1)
    {
        return NGX_ERROR;
    }

    while (recv(s, &byte, 1, MSG_DONTWAIT) != -1) { /* void */ }

    return NGX_OK;
}


static void
ngx_http_atls_mailbox_close(ngx_http_atls_mailbox_t *box)
{
    if (box->serial == 0) {
        return;
    }

    (void) ngx_close_socket(box->fd);

    if (box->in != box->fd && box->in != (ngx_socket_t) -1) {
        (void) ngx_close_socket(box->in);
    }

    box->serial = 0;
}


void
ngx_http_atls_mailbox_exit_module(void)
{
    ngx_uint_t  s;

    for (s = 0; s < NGX_MAX_PROCESSES; s++) {
        ngx_http_atls_mailbox_close(&ngx_http_atls_mailboxes[s]);
    }
}


uint32_t
ngx_http_atls_mailbox_serial(ngx_uint_t slot)
{
    return slot < NGX_MAX_PROCESSES ? ngx_http_atls_mailboxes[slot].serial : 0;
}


ngx_int_t
ngx_http_atls_mailbox_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_mail_pt handler)
{
    ngx_int_t                 s;
    ngx_http_atls_mailbox_t  *box;

    ngx_http_atls_process.mail_handler = handler;

    /* close the read ends of other workers; the master keeps them open */

    for (s = 0; s < NGX_MAX_PROCESSES; s++) {
        box = &ngx_http_atls_mailboxes[s];

        if (box->serial == 0 || box->in == box->fd || s == ngx_process_slot) {
            continue;
        }

        if (ngx_close_socket(box->in) == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_socket_errno,
                          ngx_close_socket_n " of an atls mailbox failed");
        }

        box->in = (ngx_socket_t) -1;
    }

    box = &ngx_http_atls_mailboxes[ngx_process_slot];

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, cycle->log, 0,
                   "atls mailbox of slot %i, serial:%uD, fd:%d",
                   ngx_process_slot, box->serial, box->in);

    if (box->serial == 0) {
        return NGX_OK;
    }

    ngx_http_atls_mailbox_reserve();

    /* a channel event: a connection would delay the exit of the worker */

    return ngx_add_channel_event(cycle, box->in, NGX_READ_EVENT,
                                 ngx_http_atls_mailbox_read);
}


/* Closing the descriptors tells the senders that there will be no response. */

void
ngx_http_atls_mailbox_exit_worker(ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_socket_t          fd;
    ngx_http_atls_mail_t  mail;

    if (ngx_http_atls_mailboxes[ngx_process_slot].serial == 0) {
        return;
    }

    ngx_http_atls_mailbox_unreserve();

    do {
        rc = ngx_http_atls_mailbox_receive(
                            ngx_http_atls_mailboxes[ngx_process_slot].in,
                            &mail, &fd, log);
        if (rc == NGX_OK) {
            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                           "atls mail for worker %uD discarded, fd:%d",
                           mail.owner, fd);

            (void) ngx_close_socket(fd);
        }

    } while (rc == NGX_OK || rc == NGX_DECLINED);
}


/* After a mailbox is closed, a new one may be created for the same slot. */

ngx_uint_t
ngx_http_atls_mailbox_known(ngx_http_atls_owner_t *owner)
{
    uint32_t  serial;

    serial = ngx_http_atls_mailbox_serial(owner->slot);

    return serial != 0 && serial == ngx_http_atls_worker_mailbox(owner);
}


ngx_int_t
ngx_http_atls_mailbox_send(ngx_http_atls_owner_t *owner,
    ngx_http_atls_mail_t *mail, ngx_socket_t fd, ngx_log_t *log)
{
    struct iovec             iov;
    struct msghdr            msg;
    ngx_http_atls_control_t  control;

    ngx_memzero(&msg, sizeof(struct msghdr));
    ngx_memzero(&control, sizeof(ngx_http_atls_control_t));

    iov.iov_base = mail;
    iov.iov_len = ngx_http_atls_mail_size(mail);

    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control.space);

    control.cmsg.cmsg_len = CMSG_LEN(sizeof(int));
    control.cmsg.cmsg_level = SOL_SOCKET;
    control.cmsg.cmsg_type = SCM_RIGHTS;

    ngx_memcpy(CMSG_DATA(&control.cmsg), &fd, sizeof(int));

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls mail for worker %uD to slot %uD, fd:%d",
                   owner->id, owner->slot, fd);

    mail->owner = owner->id;

    if (sendmsg(ngx_http_atls_mailboxes[owner->slot].fd, &msg, 0) == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "sendmsg() to an atls mailbox failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_atls_mailbox_read(ngx_event_t *rev)
{
    ngx_int_t             rc;
    ngx_socket_t          fd;
    ngx_connection_t     *c;
    ngx_http_atls_mail_t  mail;

    if (rev->timedout) {
        rev->timedout = 0;
        return;
    }

    c = rev->data;

    for ( ;; ) {
        ngx_http_atls_mailbox_unreserve();

        rc = ngx_http_atls_mailbox_receive(c->fd, &mail, &fd, rev->log);

        ngx_http_atls_mailbox_reserve();

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return;
        }

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, rev->log, 0,
                       "atls mail for worker %uD, fd:%d", mail.owner, fd);

        if (mail.owner != ngx_http_atls_process.owner.id) {

            /* sent to the previous worker in this slot: close the fd */

            ngx_log_debug1(NGX_LOG_DEBUG_HTTP, rev->log, 0,
                           "atls mail is not for this worker %uD",
                           ngx_http_atls_process.owner.id);

            (void) ngx_close_socket(fd);

        } else {
            ngx_http_atls_process.mail_handler(&mail, fd,
                                           ngx_http_atls_process.mail_reserved
                                       == (ngx_socket_t) -1,
                                       rev->log);
        }
    }
}


static void
ngx_http_atls_mailbox_reserve(void)
{
    if (ngx_http_atls_process.mail_reserved == (ngx_socket_t) -1) {
        ngx_http_atls_process.mail_reserved =
                    fcntl(ngx_http_atls_mailboxes[ngx_process_slot].in,
                          F_DUPFD_CLOEXEC, 0);
    }
}


static void
ngx_http_atls_mailbox_unreserve(void)
{
    if (ngx_http_atls_process.mail_reserved != (ngx_socket_t) -1) {
        (void) ngx_close_socket(ngx_http_atls_process.mail_reserved);
        ngx_http_atls_process.mail_reserved = (ngx_socket_t) -1;
    }
}


/* Returns NGX_OK, NGX_DECLINED without a descriptor, NGX_AGAIN, NGX_ERROR. */

static ngx_int_t
ngx_http_atls_mailbox_receive(ngx_socket_t s, ngx_http_atls_mail_t *mail,
    ngx_socket_t *fd, ngx_log_t *log)
{
    ssize_t                  n;
    ngx_err_t                err;
    struct iovec             iov;
    struct msghdr            msg;
    ngx_http_atls_control_t  control;

    ngx_memzero(&msg, sizeof(struct msghdr));

    iov.iov_base = mail;
    iov.iov_len = sizeof(ngx_http_atls_mail_t);

    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control.space);

    n = recvmsg(s, &msg, 0);

    if (n == -1) {
        err = ngx_errno;

        if (err == NGX_EAGAIN) {
            return NGX_AGAIN;
        }

        ngx_log_error(NGX_LOG_ERR, log, err,
                      "recvmsg() from an atls mailbox failed");
        return NGX_ERROR;
    }

    if (msg.msg_controllen < CMSG_LEN(sizeof(int))
        || control.cmsg.cmsg_level != SOL_SOCKET
        || control.cmsg.cmsg_type != SCM_RIGHTS)
    {
        /* the process is out of descriptors */

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "atls mail without a descriptor");
        return NGX_DECLINED;
    }

    ngx_memcpy(fd, CMSG_DATA(&control.cmsg), sizeof(int));

    if ((size_t) n < offsetof(ngx_http_atls_mail_t, proxy)
        || (size_t) n != ngx_http_atls_mail_size(mail))
    {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "atls mail of %z bytes", n);
        (void) ngx_close_socket(*fd);
        return NGX_DECLINED;
    }

    return NGX_OK;
}
