
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"


ngx_http_atls_process_t  ngx_http_atls_process;


void
ngx_http_atls_process_init(ngx_cycle_t *cycle)
{
    ngx_memzero(&ngx_http_atls_process, sizeof(ngx_http_atls_process_t));

    ngx_http_atls_process.mail_reserved = (ngx_socket_t) -1;
    ngx_http_atls_process.sockets[0] = (ngx_socket_t) -1;
    ngx_http_atls_process.sockets[1] = (ngx_socket_t) -1;

    ngx_queue_init(&ngx_http_atls_process.handshakes);
    ngx_queue_init(&ngx_http_atls_process.parked);

    ngx_http_atls_process.nlistening = cycle->listening.nelts;
}
