
/*
 * A connection of a local program and a session in which both sides may send at
 * any time: in an open POST, if the path passes it.  Otherwise, data of the
 * program are sent in POSTs, and another POST, a poll, waits for data of the
 * server at the same time.
 */


#ifndef ATLS_CMD_PUMP_H_INCLUDED
#define ATLS_CMD_PUMP_H_INCLUDED


#include "../../lib/buf.h"
#include "../../lib/pair.h"
#include "../../lib/passed.h"
#include "../../lib/records.h"
#include "../../lib/retry.h"
#include "duplex.h"
#include "stream.h"


/* The protection of data; "data" is the first argument of all functions. */

typedef struct {

    /*
     * append to the body of a POST: data; a poll, which may ask for an answer
     * at once; the end of data
     */

    atls_error_e   (*seal)(void *data, const unsigned char *bytes, size_t n,
                           atls_buf_t *body);
    atls_error_e   (*poll)(void *data, int ask, atls_buf_t *body);
    atls_error_e   (*close)(void *data, atls_buf_t *body);

    /* passes data of a response to cmd_pump_receive() */

    atls_sink_pt     open;

    /* whether the server has closed the session */

    int            (*closed)(void *data);
} cmd_pump_type_t;


typedef struct cmd_pump_s  cmd_pump_t;


typedef struct {
    cmd_pump_t      *pump;
    atls_pair_e      which;
    atls_buf_t       body;
    int64_t          began;             /* by atls_clock() */
    int64_t          again;             /* when to send it again; 0: it is being
                                           sent */
    unsigned         tries;             /* repetitions, because it was lost, */
    unsigned         early;             /* or had overtaken another one */
    atls_passed_t    passed;            /* of the response */
    atls_records_t   received;          /* with it */
    unsigned         repeats:1;         /* data: it may be sent again */
    unsigned         pending:1;         /* not answered yet */
    unsigned         opened:1;          /* it was sent as an open POST */
    unsigned         idle:1;            /* without data */
    unsigned         asks:1;            /* the response begins at once */
    unsigned         begun:1;           /* the response */
    unsigned         held:1;            /* it is paused */
} cmd_pump_post_t;


struct cmd_pump_s {
    const cmd_pump_type_t  *type;
    void                   *data;
    cmd_stream_t           *stream;
    atls_failure_t         *failure;
    const atls_retry_t     *retry;

    atls_pair_t             pair;
    cmd_pump_post_t         posts[ATLS_PAIR_POSTS];
    cmd_duplex_t            duplex;     /* the one with data */

    atls_buf_t              in;         /* from the program */
    atls_buf_t              out;        /* to the program */
    size_t                  pos;        /* start of unsent data in out */

    int64_t                 next;       /* time of the next poll */
    int64_t                 due;        /* when the one in progress is lost */
    int64_t                 delay;      /* after an empty response */

    int64_t                 progress;   /* when the program has read last */

    atls_records_t          records;    /* in POSTs with data */
    size_t                  last;       /* size of the last POST with data */
    atls_pair_e             failed;     /* the POST with the error, */
    int                     status;     /* and its status; 0: none */

    unsigned                known:1;    /* the session, to both sides */
    unsigned                asks:1;     /* polls can ask for an answer */
    unsigned                followed:1; /* the poll, by answered data */
    unsigned                lost:1;     /* a poll, and no POST was answered
                                           since then */
    unsigned                ended:1;    /* no more data of the program */
    unsigned                closing:1;  /* that was sent */
    unsigned                gone:1;     /* the program closed the connection */

    unsigned                count;      /* of POSTs */
    uint64_t                sent;       /* by the program */
    uint64_t                received;
};


/*
 * Runs until one side closes the connection.  The connection to the server, the
 * failure and the number of repetitions are those of retry.  Returns ATLS_OK or
 * the error of a POST.  The structure is not initialized; afterwards, it has
 * the numbers.
 */

atls_error_e cmd_pump_run(cmd_pump_t *pump, const cmd_pump_type_t *type,
    void *data, cmd_stream_t *stream, const atls_retry_t *retry);

/* An atls_sink_pt, called by type->open(), for data of the server. */

atls_error_e cmd_pump_receive(void *data, const unsigned char *bytes, size_t n);


#endif /* ATLS_CMD_PUMP_H_INCLUDED */
