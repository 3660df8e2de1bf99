
/*
 * Responses, see respond.h.
 */


#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "respond.h"


#define GW_OVERHEAD         32          /* bytes: header, token, Block1, Block2,
                                           ETag, payload marker */


static void gw_respond_block(gw_request_t *request, gw_message_t *message);
static unsigned gw_respond_szx(const gw_request_t *request,
    const gw_message_t *message);
static void gw_respond_send(gw_request_t *request,
    const gw_message_t *message);
static coap_pdu_type_t gw_respond_type(gw_request_t *request,
    const gw_message_t *message);
static void gw_respond_pdu(coap_session_t *coap, coap_pdu_t *pdu);
static void gw_respond_count(gw_request_t *request,
    const gw_message_t *message);
static void gw_respond_log(const gw_request_t *request, int code,
    size_t size);


void
gw_respond(gw_request_t *request, gw_message_t *message, coap_pdu_t *response)
{
    int                sent;
    const cmd_block_t  *block = &request->block1;

    if (message->code != COAP_RESPONSE_CODE(231)
        && !(request->has_block2 && request->block2.num))
    {
        gw_respond_log(request, message->code, message->npayload);
    }

    gw_respond_block(request, message);

    if (request->has_block1 && message->code >> 5 == 2) {
        gw_message_uint(message, COAP_OPTION_BLOCK1,
                        block->num << 4 | (unsigned) block->more << 3
                        | block->szx);
    }

    if (response == NULL) {
        gw_respond_send(request, message);

    } else {
        sent = gw_message_write(message, response);

        if (sent == -1) {
            coap_pdu_set_code(response, COAP_RESPONSE_CODE(500));
        }
    }

    gw_respond_count(request, message);

    gw_exchange_answer(&request->source->exchanges, request->mid,
                       request->began,
                       request->confirmable && !request->acknowledged
                       ? message : NULL);

    gw_message_free(message);
}


/* A payload that is too large is kept, and replaced by its first block. */

static void
gw_respond_block(gw_request_t *request, gw_message_t *message)
{
    gw_t           *gateway = request->gateway;
    cmd_block_t      block;
    unsigned char   etag[2];

    if (request->has_block2 && request->block2.num) {
        return;                         /* is a block */
    }

    block.num = 0;
    block.more = 0;
    block.szx = gw_respond_szx(request, message);

    if (message->npayload <= cmd_block_size(block.szx)) {
        return;
    }

    gateway->etag++;
    etag[0] = (unsigned char) (gateway->etag >> 8);
    etag[1] = (unsigned char) gateway->etag;

    gw_message_option(message, COAP_OPTION_ETAG, etag, sizeof(etag));

    gw_answer_put(&request->source->answers, request->key, message,
                  atls_clock());

    (void) gw_answer_block(&request->source->answers, request->key, &block,
                           message, atls_clock());
}


/* The largest block that is wanted, and fits in a datagram. */

static unsigned
gw_respond_szx(const gw_request_t *request, const gw_message_t *message)
{
    size_t    size;
    unsigned  szx;

    szx = request->gateway->szx;

    if (request->has_block2 && request->block2.szx < szx) {
        szx = request->block2.szx;
    }

    size = coap_session_max_pdu_size(request->source->coap);

    while (szx && GW_OVERHEAD + gw_message_size(message) + cmd_block_size(szx)
                  > size)
    {
        szx--;
    }

    return szx;
}


/* RFC 7252, section 5.2. */

static void
gw_respond_send(gw_request_t *request, const gw_message_t *message)
{
    coap_pdu_t       *pdu;
    coap_session_t   *coap = request->source->coap;
    coap_pdu_type_t   type;

    type = gw_respond_type(request, message);

    pdu = coap_pdu_init(type, message->code,
                        type == COAP_MESSAGE_ACK ? (coap_mid_t) request->mid
                                                 : coap_new_message_id(coap),
                        coap_session_max_pdu_size(coap));

    if (pdu == NULL) {
        return;
    }

    if (coap_add_token(pdu, request->ntoken, request->token) == 0
        || gw_message_write(message, pdu) == -1)
    {
        coap_delete_pdu(pdu);
        return;
    }

    gw_respond_pdu(coap, pdu);
}


/*
 * A Confirmable response is sent several times, and kept, until it is
 * acknowledged.  A separate response may also be Non-confirmable (RFC 7252,
 * section 5.2.2): it is, if the address may be forged, or if there are too many
 * of these responses.
 */

static coap_pdu_type_t
gw_respond_type(gw_request_t *request, const gw_message_t *message)
{
    gw_source_t  *source = request->source;

    if (!request->confirmable) {
        return COAP_MESSAGE_NON;
    }

    if (!request->acknowledged) {
        return COAP_MESSAGE_ACK;
    }

    return source->verified
           && gw_confirm_add(&source->confirms,
                             gw_message_size(message) + message->npayload,
                             atls_clock())
              == 0
           ? COAP_MESSAGE_CON : COAP_MESSAGE_NON;
}


/*
 * If the device has closed its DTLS session, libcoap would begin a handshake
 * with it, as a client.
 */

static void
gw_respond_pdu(coap_session_t *coap, coap_pdu_t *pdu)
{
    if (coap_session_get_state(coap) == COAP_SESSION_STATE_ESTABLISHED) {
        (void) coap_send(coap, pdu);

    } else {
        coap_delete_pdu(pdu);
    }
}


static void
gw_respond_count(gw_request_t *request, const gw_message_t *message)
{
    gw_t  *gateway = request->gateway;

    gateway->counts.codes[message->code & 0xff]++;
    gateway->counts.n[GW_BYTES_OUT] += message->npayload;

    gw_respond_spend(gateway, request->source, message);
}


void
gw_respond_spend(gw_t *gateway, const gw_source_t *source,
    const gw_message_t *message)
{
    const gw_share_t  *share = source->share;

    if (!source->verified) {
        gw_rate_spend(&gateway->rate, share->address, share->naddress,
                      GW_OVERHEAD + gw_message_size(message)
                      + message->npayload);
    }
}


/* A line for each request, but none for its blocks. */

static void
gw_respond_log(const gw_request_t *request, int code, size_t size)
{
    int64_t  time;

    /* anybody can cause challenges */

    if (request->gateway->options->silent || code == COAP_RESPONSE_CODE(401)) {
        return;
    }

    time = atls_clock() - request->began;

    printf("%s %s%s%s, %zu bytes received, %d.%02d, %zu sent, ",
           request->source->name, request->get ? "GET" : "POST",
           request->service && request->service->name ? " " : "",
           request->service && request->service->name ? request->service->name
                                                      : "",
           request->size, code >> 5, code & 31, size);

    if (request->status) {
        printf("HTTP %d, ", request->status);
    }

    printf("%d.%03d s%s%s\n", (int) (time / 1000), (int) (time % 1000),
           request->note ? ": " : "", request->note ? request->note : "");
}


void
gw_respond_error(gw_request_t *request, int code, unsigned max_age,
    coap_pdu_t *response)
{
    gw_message_t  message;

    memset(&message, 0, sizeof(gw_message_t));
    message.code = code;

    if (max_age) {
        gw_message_uint(&message, COAP_OPTION_MAXAGE, max_age);
    }

    gw_respond(request, &message, response);
}


void
gw_respond_later(gw_request_t *request)
{
    coap_pdu_t  *pdu;

    request->acknowledged = 1;

    pdu = coap_pdu_init(COAP_MESSAGE_ACK, COAP_EMPTY_CODE,
                        (coap_mid_t) request->mid, 0);

    if (pdu) {
        gw_respond_pdu(request->source->coap, pdu);
    }
}
