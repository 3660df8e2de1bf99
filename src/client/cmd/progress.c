
/*
 * The progress bar, see progress.h.
 */


#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "progress.h"


#define CMD_PROGRESS_DELAY      1000        /* milliseconds */
#define CMD_PROGRESS_INTERVAL   200
#define CMD_PROGRESS_WIDTH      30

/* buffer for a size like "1023M" */

#define CMD_PROGRESS_SIZE       16


static void cmd_progress_update(cmd_progress_t *progress, int sending,
    int64_t bytes, int64_t total);
static void cmd_progress_show(cmd_progress_t *progress);
static void cmd_progress_bar(const cmd_progress_t *progress, char *text);
static void cmd_progress_size(char *text, double size);


void
cmd_progress_begin(cmd_progress_t *progress, int enabled)
{
    memset(progress, 0, sizeof(cmd_progress_t));

    progress->enabled = enabled;
    progress->total = -1;
    progress->began = atls_clock();
}


void
cmd_progress_sent(cmd_progress_t *progress, int64_t bytes, int64_t total)
{
    cmd_progress_update(progress, 1, bytes, total);
}


void
cmd_progress_received(cmd_progress_t *progress, int64_t bytes, int64_t total)
{
    cmd_progress_update(progress, 0, bytes, total);
}


static void
cmd_progress_update(cmd_progress_t *progress, int sending, int64_t bytes,
    int64_t total)
{
    progress->sending = sending;
    progress->bytes = bytes;
    progress->total = total;

    cmd_progress_wait(progress);
}


void
cmd_progress_wait(cmd_progress_t *progress)
{
    int64_t  now;

    if (!progress->enabled) {
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


static void
cmd_progress_show(cmd_progress_t *progress)
{
    char     bar[CMD_PROGRESS_WIDTH + 16];
    char     done[CMD_PROGRESS_SIZE], speed[CMD_PROGRESS_SIZE];
    int64_t  elapsed;

    elapsed = atls_clock() - progress->began;

    cmd_progress_bar(progress, bar);
    cmd_progress_size(done, (double) progress->bytes);
    cmd_progress_size(speed, elapsed ? (double) progress->bytes * 1000
                                       / (double) elapsed : 0);

    fprintf(stderr, "\r%s %s%5s  %5s/s  %d:%02d ",
            progress->sending ? "sent" : "received", bar, done, speed,
            (int) (elapsed / 60000), (int) (elapsed / 1000 % 60));

    progress->shown = 1;
}


static void
cmd_progress_bar(const cmd_progress_t *progress, char *text)
{
    int     percent;
    size_t  n;

    *text = '\0';

    if (progress->total <= 0) {
        return;
    }

    percent = (int) (progress->bytes * 100 / progress->total);
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
    if (progress->shown) {
        cmd_progress_show(progress);
        fputc('\n', stderr);
    }
}
