
/*
 * Requests and responses in blocks, see blockwise.h.
 */


#include <string.h>

#include "blockwise.h"


#define CMD_BLOCKWISE_OVERHEAD  64      /* bytes: header, token, options except
                                           for the path and the host, payload
                                           marker */
#define CMD_BLOCKWISE_DTLS      64      /* of a record */
#define CMD_BLOCKWISE_PATH      2048


typedef struct {
    const unsigned char     *bytes;
    size_t                   n;
    const cmd_block_t       *block1;    /* NULL: none */
    const cmd_block_t       *block2;
} cmd_part_t;


static unsigned cmd_blockwise_szx(const cmd_blockwise_t *blockwise);
static CURLcode cmd_blockwise_ask(cmd_blockwise_t *blockwise,
    const cmd_part_t *part);
static coap_pdu_t *cmd_blockwise_request(cmd_blockwise_t *blockwise,
    const cmd_part_t *part, const unsigned char *echo, size_t necho);
static int cmd_blockwise_options(const cmd_blockwise_t *blockwise,
    const cmd_part_t *part, coap_optlist_t **list);
static int cmd_blockwise_path(const char *path, coap_optlist_t **list);
static int cmd_blockwise_option(coap_optlist_t **list, unsigned number,
    const void *value, size_t n);
static int cmd_blockwise_uint(coap_optlist_t **list, unsigned number,
    unsigned value);
static void cmd_blockwise_debug_sent(const cmd_blockwise_t *blockwise,
    const cmd_part_t *part, int echo);
static void cmd_blockwise_debug_received(const cmd_blockwise_t *blockwise);


/* RFC 7959, section 2.5; the gateway may want smaller blocks: section 2.3 */

CURLcode
cmd_blockwise_send(cmd_blockwise_t *blockwise)
{
    size_t                        size, offset;
    CURLcode                      code;
    cmd_part_t                    part;
    cmd_block_t                   block, first;
    cmd_coap_response_t          *response = blockwise->response;
    const atls_transport_post_t  *post = blockwise->post;

    memset(&first, 0, sizeof(cmd_block_t));
    first.szx = blockwise->szx;

    block.szx = cmd_blockwise_szx(blockwise);
    offset = 0;

    do {
        size = cmd_block_size(block.szx);
        block.num = (unsigned) (offset / size);
        block.more = post->n - offset > size;

        if (post->n / size > CMD_BLOCK_MAX_NUM) {
            return CURLE_FILESIZE_EXCEEDED;
        }

        part.bytes = (const unsigned char *) post->bytes + offset;
        part.n = block.more ? size : post->n - offset;
        part.block1 = block.more || offset ? &block : NULL;

        /* smaller blocks of the response are asked for in time: section 2.4 */

        part.block2 = !block.more && first.szx < CMD_BLOCK_MAX_SZX ? &first
                                                                   : NULL;

        code = cmd_blockwise_ask(blockwise, &part);

        if (code != CURLE_OK) {
            return code;
        }

        offset += part.n;

        if (response->has_block1 && response->block1.szx < block.szx) {
            block.szx = response->block1.szx;
        }

    } while (block.more && response->code == COAP_RESPONSE_CODE(231));

    return response->code == COAP_RESPONSE_CODE(231)
           || (block.more && response->code >> 5 == 2)
           ? CURLE_WEIRD_SERVER_REPLY : CURLE_OK;
}


/* The options of a request must fit in a datagram as well. */

static unsigned
cmd_blockwise_szx(const cmd_blockwise_t *blockwise)
{
    size_t    size, room;
    unsigned  szx;

    room = coap_session_max_pdu_size(blockwise->channel->session);
    size = CMD_BLOCKWISE_OVERHEAD + CMD_BLOCKWISE_DTLS
           + strlen(blockwise->post->path)
           + (blockwise->host ? strlen(blockwise->host) : 0);

    szx = blockwise->szx;

    while (szx && size + cmd_block_size(szx) > room) {
        szx--;
    }

    return szx;
}


/* RFC 7959, section 2.4: a block of another response has another ETag. */

CURLcode
cmd_blockwise_next(cmd_blockwise_t *blockwise)
{
    size_t                netag;
    CURLcode              code;
    cmd_part_t            part;
    cmd_block_t           block;
    unsigned char         etag[CMD_COAP_ETAG];
    cmd_coap_response_t  *response = blockwise->response;

    block = response->block2;
    block.num++;
    block.more = 0;

    netag = response->netag;
    memcpy(etag, response->etag, netag);

    memset(&part, 0, sizeof(cmd_part_t));
    part.block2 = &block;

    code = cmd_blockwise_ask(blockwise, &part);

    if (code != CURLE_OK) {
        return code;
    }

    return response->code >> 5 == 2 && response->has_block2
           && cmd_block_offset(&response->block2) == cmd_block_offset(&block)
           && response->netag == netag
           && memcmp(response->etag, etag, netag) == 0
           ? CURLE_OK : CURLE_PARTIAL_FILE;
}


/* RFC 9175, section 2.3 */

static CURLcode
cmd_blockwise_ask(cmd_blockwise_t *blockwise, const cmd_part_t *part)
{
    int                   again;
    size_t                necho;
    CURLcode              code;
    coap_pdu_t           *request;
    unsigned char         echo[CMD_COAP_ECHO];
    cmd_coap_response_t  *response = blockwise->response;

    necho = 0;

    do {
        request = cmd_blockwise_request(blockwise, part, echo, necho);
        if (request == NULL) {
            return CURLE_OUT_OF_MEMORY;
        }

        cmd_blockwise_debug_sent(blockwise, part, necho != 0);

        code = cmd_channel_ask(blockwise->channel, request, response,
                               blockwise->post);

        if (code != CURLE_OK) {
            return code;
        }

        cmd_blockwise_debug_received(blockwise);

        again = necho == 0 && response->necho
                && response->code == COAP_RESPONSE_CODE(401);

        necho = response->necho;
        memcpy(echo, response->echo, necho);

    } while (again);

    return response->invalid ? CURLE_WEIRD_SERVER_REPLY : CURLE_OK;
}


static coap_pdu_t *
cmd_blockwise_request(cmd_blockwise_t *blockwise, const cmd_part_t *part,
    const unsigned char *echo, size_t necho)
{
    int              good;
    coap_pdu_t      *request;
    coap_optlist_t  *list;

    request = cmd_channel_request(blockwise->channel);
    if (request == NULL) {
        return NULL;
    }

    list = NULL;

    good = cmd_blockwise_options(blockwise, part, &list) == 0
           && (necho == 0
               || cmd_blockwise_option(&list, COAP_OPTION_ECHO, echo, necho)
                  == 0)
           && coap_add_optlist_pdu(request, &list)
           && (part->n == 0 || coap_add_data(request, part->n, part->bytes));

    coap_delete_optlist(list);

    if (!good) {
        coap_delete_pdu(request);
        return NULL;
    }

    return request;
}


static int
cmd_blockwise_options(const cmd_blockwise_t *blockwise, const cmd_part_t *part,
    coap_optlist_t **list)
{
    return (blockwise->host == NULL
            || cmd_blockwise_option(list, COAP_OPTION_URI_HOST, blockwise->host,
                                   strlen(blockwise->host))
               == 0)
           && cmd_blockwise_path(blockwise->post->path, list) == 0
           && cmd_blockwise_uint(list, COAP_OPTION_CONTENT_FORMAT,
                                blockwise->format)
              == 0
           && (part->block1 == NULL
               || cmd_blockwise_uint(list, COAP_OPTION_BLOCK1,
                                    cmd_block_value(part->block1))
                  == 0)
           && (part->block2 == NULL
               || cmd_blockwise_uint(list, COAP_OPTION_BLOCK2,
                                    cmd_block_value(part->block2))
                  == 0)
           ? 0 : -1;
}


static int
cmd_blockwise_path(const char *path, coap_optlist_t **list)
{
    int            count;
    size_t         n;
    const uint8_t *p;
    unsigned char  options[CMD_BLOCKWISE_PATH];

    n = sizeof(options);
    path += *path == '/';
    count = coap_split_path((const uint8_t *) path, strlen(path), options, &n);

    for (p = options; count > 0; count--) {

        if (cmd_blockwise_option(list, COAP_OPTION_URI_PATH, coap_opt_value(p),
                                coap_opt_length(p))
            == -1)
        {
            return -1;
        }

        p += coap_opt_size(p);
    }

    return count == 0 ? 0 : -1;
}


static int
cmd_blockwise_option(coap_optlist_t **list, unsigned number, const void *value,
    size_t n)
{
    return coap_insert_optlist(list, coap_new_optlist((uint16_t) number, n,
                                                      value))
           ? 0 : -1;
}


static int
cmd_blockwise_uint(coap_optlist_t **list, unsigned number, unsigned value)
{
    unsigned char  bytes[4];

    return cmd_blockwise_option(list, number, bytes,
                               coap_encode_var_safe(bytes, sizeof(bytes),
                                                    value));
}


static void
cmd_blockwise_debug_sent(const cmd_blockwise_t *blockwise,
    const cmd_part_t *part, int echo)
{
    atls_debug(blockwise->post->debug, ATLS_DEBUG_OUTER_SENT,
               "CoAP POST: %zu bytes%s%s", part->n,
               part->block1 && part->block1->more ? ", more" : "",
               part->block2 && part->block2->num ? ", for the next block"
               : echo ? ", Echo" : "");
}


static void
cmd_blockwise_debug_received(const cmd_blockwise_t *blockwise)
{
    const cmd_coap_response_t  *response = blockwise->response;

    atls_debug(blockwise->post->debug, ATLS_DEBUG_OUTER_RECEIVED,
               "CoAP %d.%02d: %zu bytes%s", response->code >> 5,
               response->code & 31, response->payload.len,
               response->has_block2 && response->block2.more ? ", more" : "");
}
