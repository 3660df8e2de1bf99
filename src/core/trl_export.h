
/*
 * Exported keying material of an established session.
 */


#ifndef _TRL_EXPORT_H_INCLUDED_
#define _TRL_EXPORT_H_INCLUDED_


#include "trl_state.h"


/*
 * Keying material exporter, RFC 5705 and RFC 8446, section 7.5.  In TLS 1.2,
 * context == NULL differs from an empty context.  Reserved labels are rejected,
 * as in OpenSSL, and in TLS 1.3 labels longer than TRL_MAX_LABEL.  The caller
 * must check extended_master (RFC 7627, section 5.4): without it, keying
 * material may be the same in other sessions.  Returns 0 or -1.
 */

int trl_export(const trl_state_t *state, const char *label, size_t label_len,
    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);

/*
 * Copies what is needed to export from a state, which may be in use by another
 * process: neither traffic keys nor progress.
 */

void trl_export_copy(trl_state_t *to, const trl_state_t *from);

/* 1 if the label starts with a label used in the handshake, otherwise 0. */

int trl_label_reserved(const char *label, size_t len);


#endif /* _TRL_EXPORT_H_INCLUDED_ */
