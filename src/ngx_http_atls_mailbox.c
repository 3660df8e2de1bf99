
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"

#include <ngx_channel.h>


/* One end to send to, the other to be read by the worker in the slot. */

typedef struct {
    ngx_socket_t             fd[2];
} ngx_http_atls_mailbox_t;


typedef union {
    struct cmsghdr           cmsg;
    char                     space[CMSG_SPACE(sizeof(int))];
} ngx_http_atls_control_t;


static ngx_int_t ngx_http_atls_mailbox_create(ngx_http_atls_mailbox_t *box,
    ngx_log_t *log);
static void ngx_http_atls_mailbox_read(ngx_event_t *rev);
static void ngx_http_atls_mailbox_reserve(void);
static void ngx_http_atls_mailbox_unreserve(void);
static ngx_int_t ngx_http_atls_mailbox_receive(ngx_socket_t s,
    ngx_http_atls_mail_t *mail, ngx_socket_t *fd, ngx_log_t *log);


/* The master's, for its whole life; workers have a copy. */

static ngx_http_atls_mailbox_t  ngx_http_atls_mailboxes[NGX_MAX_PROCESSES];
static ngx_uint_t               ngx_http_atls_nmailboxes;

static ngx_http_atls_mail_pt    ngx_http_atls_mail_handler;

/*
 * A message for which a worker has no descriptor is lost, and with it the way
 * to answer.  So there is always a number kept free.
 */

static ngx_socket_t             ngx_http_atls_mailbox_reserved =
                                                             (ngx_socket_t) -1;


/*
 * Enough for the workers of this configuration, of the last one and of the
 * next, whose mailboxes this one's workers should know too; and for all new
 * workers, however many old ones take long to quit.
 */

ngx_int_t
ngx_http_atls_mailbox_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t        n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = ngx_max(4 * ccf->worker_processes + 8,
                ngx_last_process + ccf->worker_processes + 2);
    n = ngx_min(n, NGX_MAX_PROCESSES);

    while (ngx_http_atls_nmailboxes < n) {

        if (ngx_http_atls_mailbox_create(
                &ngx_http_atls_mailboxes[ngx_http_atls_nmailboxes],
                cycle->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_atls_nmailboxes++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_mailbox_create(ngx_http_atls_mailbox_t *box, ngx_log_t *log)
{
    ngx_uint_t  i;

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, box->fd) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "socketpair() for \"atls\" failed");
        return NGX_ERROR;
    }

    for (i = 0; i < 2; i++) {

        /* not for the new binary of an upgrade */

        if (ngx_nonblocking(box->fd[i]) == -1
            || fcntl(box->fd[i], F_SETFD, FD_CLOEXEC) == -1)
        {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "fcntl() for \"atls\" failed");
            ngx_close_channel(box->fd, log);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_mailbox_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_mail_pt handler)
{
    ngx_uint_t  n;

    ngx_http_atls_mail_handler = handler;

    /* what others read; the master keeps it for new processes in their slots */

    for (n = 0; n < ngx_http_atls_nmailboxes; n++) {

        if (n == (ngx_uint_t) ngx_process_slot) {
            continue;
        }

        if (ngx_close_socket(ngx_http_atls_mailboxes[n].fd[1]) == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_socket_errno,
                          ngx_close_socket_n " of an atls mailbox failed");
        }
    }

    if ((ngx_uint_t) ngx_process_slot >= ngx_http_atls_nmailboxes) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "no atls mailbox for the process slot %i",
                      ngx_process_slot);
        return NGX_OK;
    }

    ngx_http_atls_mailbox_reserve();

    /* a channel: not a connection that would be left open at the end */

    return ngx_add_channel_event(cycle,
                            ngx_http_atls_mailboxes[ngx_process_slot].fd[1],
                            NGX_READ_EVENT, ngx_http_atls_mailbox_read);
}


/* Closing a descriptor says that there will be no answer. */

void
ngx_http_atls_mailbox_exit_worker(ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_socket_t          fd;
    ngx_http_atls_mail_t  mail;

    if ((ngx_uint_t) ngx_process_slot >= ngx_http_atls_nmailboxes) {
        return;
    }

    ngx_http_atls_mailbox_unreserve();

    do {
        rc = ngx_http_atls_mailbox_receive(
                            ngx_http_atls_mailboxes[ngx_process_slot].fd[1],
                            &mail, &fd, log);
        if (rc == NGX_OK) {
            (void) ngx_close_socket(fd);
        }

    } while (rc == NGX_OK || rc == NGX_DECLINED);
}


ngx_int_t
ngx_http_atls_mailbox_send(ngx_uint_t slot, ngx_http_atls_mail_t *mail,
    ngx_socket_t fd, ngx_log_t *log)
{
    struct iovec             iov;
    struct msghdr            msg;
    ngx_http_atls_control_t  control;

    if (slot >= ngx_http_atls_nmailboxes) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "no atls mailbox for the process slot %ui", slot);
        return NGX_ERROR;
    }

    ngx_memzero(&msg, sizeof(struct msghdr));
    ngx_memzero(&control, sizeof(ngx_http_atls_control_t));

    iov.iov_base = mail;
    iov.iov_len = sizeof(ngx_http_atls_mail_t);

    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control.space);

    control.cmsg.cmsg_len = CMSG_LEN(sizeof(int));
    control.cmsg.cmsg_level = SOL_SOCKET;
    control.cmsg.cmsg_type = SCM_RIGHTS;

    ngx_memcpy(CMSG_DATA(&control.cmsg), &fd, sizeof(int));

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls mail for worker %uD to slot %ui, fd:%d",
                   mail->owner, slot, fd);

    if (sendmsg(ngx_http_atls_mailboxes[slot].fd[0], &msg, 0) == -1) {
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

        if (mail.owner != ngx_http_atls_worker.id) {

            /* for a predecessor in this slot; closing says that it is gone */

            (void) ngx_close_socket(fd);

        } else {
            ngx_http_atls_mail_handler(&mail, fd,
                                       ngx_http_atls_mailbox_reserved
                                       == (ngx_socket_t) -1,
                                       rev->log);
        }
    }
}


static void
ngx_http_atls_mailbox_reserve(void)
{
    if (ngx_http_atls_mailbox_reserved == (ngx_socket_t) -1) {
        ngx_http_atls_mailbox_reserved =
                    fcntl(ngx_http_atls_mailboxes[ngx_process_slot].fd[1],
                          F_DUPFD_CLOEXEC, 0);
    }
}


static void
ngx_http_atls_mailbox_unreserve(void)
{
    if (ngx_http_atls_mailbox_reserved != (ngx_socket_t) -1) {
        (void) ngx_close_socket(ngx_http_atls_mailbox_reserved);
        ngx_http_atls_mailbox_reserved = (ngx_socket_t) -1;
    }
}


/* NGX_OK with a descriptor, NGX_DECLINED without, NGX_AGAIN, NGX_ERROR. */

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
        /* no descriptor was free */

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "atls mail came without a descriptor");
        return NGX_DECLINED;
    }

    ngx_memcpy(fd, CMSG_DATA(&control.cmsg), sizeof(int));

    if ((size_t) n != sizeof(ngx_http_atls_mail_t)) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "atls mail of %z bytes", n);
        (void) ngx_close_socket(*fd);
        return NGX_DECLINED;
    }

    return NGX_OK;
}
