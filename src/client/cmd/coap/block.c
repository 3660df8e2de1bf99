
/*
 * Block1 and Block2 options, see block.h.
 */


#include "block.h"


unsigned
cmd_block_szx(int64_t size)
{
    unsigned  szx;

    for (szx = CMD_BLOCK_MAX_SZX;
         szx && (int64_t) cmd_block_size(szx) > size;
         szx--)
    {
        /* void */
    }

    return szx;
}


/* RFC 7959, section 2.2: the size 7 is reserved. */

int
cmd_block_read(cmd_block_t *block, const coap_opt_t *option)
{
    unsigned  value;

    value = coap_decode_var_bytes(coap_opt_value(option),
                                  coap_opt_length(option));

    block->num = value >> 4;
    block->more = value >> 3 & 1;
    block->szx = value & 7;

    return coap_opt_length(option) > 3 || block->szx > CMD_BLOCK_MAX_SZX
           ? -1 : 0;
}
