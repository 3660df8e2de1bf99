
/*
 * The progress of a transfer, see progress.h.
 */


#include <stdio.h>
#include <string.h>

#include "../../lib/clock.h"
#include "progress.h"


#define CMD_PROGRESS_DELAY      1000        /* milliseconds */
#define CMD_PROGRESS_INTERVAL   200
#define CMD_PROGRESS_WIDTH      30

/* buffer for a size like "1023M" */

#define CMD_PROGRESS_SIZE       16


static void cmd_progress_bar(cmd_progress_t *progress);
static void cmd_progress_show(cmd_progress_t *progress);
static const cmd_amount_t *cmd_progress_amount(const cmd_progress_t *progress);
static void cmd_progress_percent(const cmd_amount_t *amount, char *text);
static void cmd_progress_size(char *text, double size);


void
cmd_progress_begin(cmd_progress_t *progress, cmd_progress_e kind,
    int64_t offset)
{
    memset(progress, 0, sizeof(cmd_progress_t));

    progress->kind = kind;
    progress->offset = offset;
    progress->request.total = -1;
    progress->response.total = -1;
    progress->began = atls_clock();

    cmd_bar_begin(&progress->bar);
}


void
cmd_progress_sent(cmd_progress_t *progress, int64_t bytes, int64_t total)
{
    progress->sending = 1;
    progress->request.bytes = bytes;
    progress->request.total = total;

    cmd_progress_wait(progress);
}


void
cmd_progress_received(cmd_progress_t *progress, int64_t bytes, int64_t total)
{
    progress->sending = 0;
    progress->response.bytes = bytes;
    progress->response.total = total;

    cmd_progress_wait(progress);
}


void
cmd_progress_wait(cmd_progress_t *progress)
{
    int64_t  now;

    if (progress->kind == CMD_PROGRESS_BAR) {
        cmd_progress_bar(progress);
    }

    if (progress->kind != CMD_PROGRESS_METER) {
        return;
    }

    now = atls_clock();

    if (now - progress->began >= CMD_PROGRESS_DELAY
        && now - progress->last >= CMD_PROGRESS_INTERVAL)
    {
        progress->last = now;
        cmd_progress_show(progress);
    }
}


/* As in curl, both directions are added. */

static void
cmd_progress_bar(cmd_progress_t *progress)
{
    int64_t        total;
    cmd_amount_t  *sent = &progress->request, *received = &progress->response;

    total = (sent->total > 0 ? sent->total : 0)
            + (received->total > 0 ? received->total : 0);

    cmd_bar_update(&progress->bar,
                   sent->bytes + received->bytes + progress->offset,
                   total ? total + progress->offset : 0);
}


static void
cmd_progress_show(cmd_progress_t *progress)
{
    char     bar[CMD_PROGRESS_WIDTH + 16];
    char     done[CMD_PROGRESS_SIZE], speed[CMD_PROGRESS_SIZE];
    int64_t  elapsed, bytes;

    elapsed = atls_clock() - progress->began;
    bytes = cmd_progress_amount(progress)->bytes;

    cmd_progress_percent(cmd_progress_amount(progress), bar);
    cmd_progress_size(done, (double) bytes);
    cmd_progress_size(speed, elapsed ? (double) bytes * 1000 / (double) elapsed
                                     : 0);

    fprintf(stderr, "\r%s %s%5s  %5s/s  %d:%02d ",
            progress->sending ? "sent" : "received", bar, done, speed,
            (int) (elapsed / 60000), (int) (elapsed / 1000 % 60));

    progress->shown = 1;
}


static const cmd_amount_t *
cmd_progress_amount(const cmd_progress_t *progress)
{
    return progress->sending ? &progress->request : &progress->response;
}


static void
cmd_progress_percent(const cmd_amount_t *amount, char *text)
{
    int     percent;
    size_t  n;

    *text = '\0';

    if (amount->total <= 0) {
        return;
    }

    percent = (int) (amount->bytes * 100 / amount->total);
    n = (size_t) (percent * CMD_PROGRESS_WIDTH / 100);

    snprintf(text, CMD_PROGRESS_WIDTH + 16, "%3d%% [%.*s%*s] ", percent,
             (int) n, "##############################",
             (int) (CMD_PROGRESS_WIDTH - n), "");
}


static void
cmd_progress_size(char *text, double size)
{
    int          bytes;
    const char  *unit;

    for (unit = " kMGTPE"; size >= 1024 && unit[1]; unit++) {
        size /= 1024;
    }

    bytes = *unit == ' ';

    snprintf(text, CMD_PROGRESS_SIZE, "%.*f%.*s", size < 10 && !bytes, size,
             !bytes, unit);
}


/* Shows the final state. */

void
cmd_progress_end(cmd_progress_t *progress)
{
    if (progress->kind == CMD_PROGRESS_BAR) {
        cmd_progress_bar(progress);
        cmd_bar_end(&progress->bar);
    }

    if (progress->shown) {
        cmd_progress_show(progress);
        fputc('\n', stderr);
    }
}
