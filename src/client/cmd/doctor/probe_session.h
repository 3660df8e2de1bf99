
/*
 * A session whose POSTs are sent one by one, for atls doctor: the client of the
 * library decides itself what a POST contains.
 */


#ifndef ATLS_CMD_PROBE_SESSION_H_INCLUDED
#define ATLS_CMD_PROBE_SESSION_H_INCLUDED


#include "../../lib/outer.h"
#include "../../lib/target.h"
#include "../../lib/tls.h"
#include "../options/options.h"


typedef struct {
    const cmd_options_t  *options;
    const atls_target_t  *target;
    X509_STORE           *trust;        /* not owned */

    atls_failure_t        failure;      /* of the last call */
    atls_debug_t          debug;
    atls_outer_t         *outer;
    atls_tls_t            tls;
    atls_buf_t            out;          /* records to be sent */
    atls_buf_t            answer;       /* plaintext received */
    size_t                padded;       /* size of padded plaintexts of records,
                                           in bytes; 0: no padding */
    int                   open;         /* requests can be sent */
} cmd_probe_session_t;


/*
 * Nothing is sent.  The options and the target must stay valid.  Returns
 * ATLS_OK, or an error in session->failure; the session must be freed in any
 * case.
 */

atls_error_e cmd_probe_session_init(cmd_probe_session_t *session,
    const cmd_options_t *options, const atls_target_t *target,
    X509_STORE *trust);

void cmd_probe_session_free(cmd_probe_session_t *session);

/*
 * Creates an outer connection: one of the same session can be used by several
 * of them.  Returns NULL on error.
 */

atls_outer_t *cmd_probe_session_outer(cmd_probe_session_t *session,
    atls_failure_t *failure);

/* Starts a new session: a POST with the ClientHello. */

atls_error_e cmd_probe_session_start(cmd_probe_session_t *session);

/* Completes the handshake. */

atls_error_e cmd_probe_session_finish(cmd_probe_session_t *session);

/* Both. */

atls_error_e cmd_probe_session_open(cmd_probe_session_t *session);

/* An empty POST. */

atls_error_e cmd_probe_session_poll(cmd_probe_session_t *session);

/* Adds the records of a plaintext to session->out. */

atls_error_e cmd_probe_session_write(cmd_probe_session_t *session,
    const void *bytes, size_t n);

/* Sends session->out from an offset on, n bytes of it. */

atls_error_e cmd_probe_session_post(cmd_probe_session_t *session,
    size_t offset, size_t n);

/* Processes bytes of a response; an atls_sink_pt. */

atls_error_e cmd_probe_session_sink(void *data, const unsigned char *bytes,
    size_t n);

/* The number of complete headers of final responses in session->answer. */

unsigned cmd_probe_session_answers(const cmd_probe_session_t *session);

/*
 * ATLS_OK if there are that many, otherwise an error: the last response had
 * nothing, or something else.
 */

atls_error_e cmd_probe_session_expect(cmd_probe_session_t *session,
    unsigned answers);

/* Sends close_notify, if the session is open.  Errors are ignored. */

void cmd_probe_session_close(cmd_probe_session_t *session);


#endif /* ATLS_CMD_PROBE_SESSION_H_INCLUDED */
