
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_format.h"
#include "ngx_http_atls_metrics.h"
#include "ngx_http_atls_outcome.h"


#define NGX_HTTP_ATLS_METRICS_NAME  40


typedef struct {
    unsigned     alert;
    const char  *name;
} ngx_http_atls_alert_name_t;


static void ngx_http_atls_metrics_sessions(ngx_http_atls_format_t *f,
    ngx_http_atls_stat_t *stat);
static void ngx_http_atls_metrics_zone(ngx_http_atls_format_t *f,
    ngx_http_atls_stat_t *stat);
static void ngx_http_atls_metrics_handshakes(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum);
static void ngx_http_atls_metrics_posts(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum);
static void ngx_http_atls_metrics_statuses(ngx_http_atls_format_t *f,
    uint64_t *tally);
static void ngx_http_atls_metrics_records(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum);
static void ngx_http_atls_metrics_workers(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum, time_t since);
static void ngx_http_atls_metrics_names(ngx_http_atls_format_t *f,
    const char *const *names, ngx_uint_t n, uint64_t *values);
static void ngx_http_atls_metrics_tally(ngx_http_atls_format_t *f,
    uint64_t *tally, const char *(*name)(unsigned key));
static const char *ngx_http_atls_metrics_group(unsigned group);
static void ngx_http_atls_metrics_alerts(ngx_http_atls_format_t *f,
    const char *direction, uint64_t *values);
static ngx_int_t ngx_http_atls_metrics_alert(unsigned alert, u_char *buf);


static const char  *const ngx_http_atls_directions[] = { "in", "out" };

/* In the order of their enumerations. */

static const char  *const ngx_http_atls_result_names[] = {
    "finished", "failed", "timed-out", "aborted"
};

static const char  *const ngx_http_atls_resumption_names[] = {
    "none", "ticket", "psk"
};

static const char  *const ngx_http_atls_early_data_names[] = {
    "accepted", "refused"
};

static const char  *const ngx_http_atls_relay_names[] = {
    "passed", "lost", "stuck", "no-mailbox", "no-connection", "abandoned"
};

static const char  *const ngx_http_atls_store_names[] = {
    "taken", "put", "outdated", "unsealed", "failed", "timed-out"
};

static const char  *const ngx_http_atls_association_names[] = {
    "issued", "accepted", "unknown-key", "other-server", "expired", "policy",
    "already-used", "cipher-suite"
};

static const char  *const ngx_http_atls_named_names[] = {
    "none", "cookie", "location", "keyid"
};

static const char  *const ngx_http_atls_class_names[] = {
    "other", "1xx", "2xx", "3xx", "4xx", "5xx"
};

/* Not all versions of OpenSSL have names for these alerts. */

static const ngx_http_atls_alert_name_t  ngx_http_atls_alert_names[] = {
    { 86, "inappropriate_fallback" },
    { 109, "missing_extension" },
    { 116, "certificate_required" },
    { 0, NULL }
};


ngx_int_t
ngx_http_atls_metrics(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_format_t *f)
{
    ngx_http_atls_stat_t      *stat;
    ngx_http_atls_counters_t  *sum;

    stat = ngx_palloc(f->pool, sizeof(ngx_http_atls_stat_t));
    sum = ngx_palloc(f->pool, sizeof(ngx_http_atls_counters_t));

    if (stat == NULL || sum == NULL) {
        return NGX_ERROR;
    }

    ngx_http_atls_session_stat(amcf->zone, stat);
    ngx_http_atls_counters_sum(amcf->counters, sum);

    ngx_http_atls_metrics_sessions(f, stat);
    ngx_http_atls_metrics_zone(f, stat);
    ngx_http_atls_metrics_handshakes(f, sum);
    ngx_http_atls_metrics_posts(f, sum);
    ngx_http_atls_metrics_records(f, sum);
    ngx_http_atls_metrics_workers(f, sum,
                                  ngx_http_atls_counters_since(amcf->counters));

    return ngx_http_atls_format_end(f);
}


static void
ngx_http_atls_metrics_sessions(ngx_http_atls_format_t *f,
    ngx_http_atls_stat_t *stat)
{
    ngx_uint_t  i;

    ngx_http_atls_format_metric(f, "sessions", "gauge",
                                "Sessions by state.", "state", NULL);
    ngx_http_atls_format_value(f, "half-open", NULL,
                               stat->count[ngx_http_atls_handshaking]
                               + stat->count[ngx_http_atls_half_open]);
    ngx_http_atls_format_value(f, "idle", NULL,
                               stat->count[ngx_http_atls_idle]
                               + stat->count[ngx_http_atls_idle_stranger]
                               + stat->count[ngx_http_atls_idle_record]);
    ngx_http_atls_format_value(f, "resident", NULL,
                               stat->count[ngx_http_atls_resident]
                               + stat->count[ngx_http_atls_resident_record]);
    ngx_http_atls_format_value(f, "busy", NULL,
                               stat->count[ngx_http_atls_busy]);

    ngx_http_atls_format_metric(f, "sessions_started_total", "counter",
                                "Sessions started by a ClientHello.",
                                NULL, NULL);
    ngx_http_atls_format_value(f, NULL, NULL, stat->started);

    ngx_http_atls_format_metric(f, "sessions_ended_total", "counter",
                                "Sessions ended, by reason.", "reason", NULL);

    for (i = ngx_http_atls_ending_none + 1; i < ngx_http_atls_endings; i++) {
        ngx_http_atls_format_value(f, ngx_http_atls_ending_name(i), NULL,
                                   stat->ended[i]);
    }

    ngx_http_atls_format_metric(f, "sessions_evicted_total", "counter",
                                "Sessions evicted from a zone that is too "
                                "small, by state.", "state", NULL);
    ngx_http_atls_format_value(f, "half-open", NULL,
                               stat->evicted[ngx_http_atls_half_open]);
    ngx_http_atls_format_value(f, "idle", NULL,
                               stat->evicted[ngx_http_atls_idle]);
    ngx_http_atls_format_value(f, "unverified", NULL,
                               stat->evicted[ngx_http_atls_idle_stranger]);
    ngx_http_atls_format_value(f, "in-record", NULL,
                               stat->evicted[ngx_http_atls_idle_record]);
    ngx_http_atls_format_value(f, "resident", NULL,
                               stat->evicted[ngx_http_atls_resident]
                               + stat->evicted[ngx_http_atls_resident_record]);
}


static void
ngx_http_atls_metrics_zone(ngx_http_atls_format_t *f,
    ngx_http_atls_stat_t *stat)
{
    ngx_uint_t  i, n, pages, all;

    n = 0;

    for (i = ngx_http_atls_handshaking; i < ngx_http_atls_kinds; i++) {
        n += stat->count[i];
    }

    ngx_http_atls_format_metric(f, "zone_entries", "gauge",
                                "Entries of the zone, by use.", "use", NULL);
    ngx_http_atls_format_value(f, "session", NULL, n);
    ngx_http_atls_format_value(f, "record", NULL,
                               stat->count[ngx_http_atls_record]);
    ngx_http_atls_format_value(f, "name", NULL,
                               stat->count[ngx_http_atls_name]);
    ngx_http_atls_format_value(f, "identity", NULL,
                               stat->count[ngx_http_atls_identity]
                               + stat->count[ngx_http_atls_stranger]);
    ngx_http_atls_format_value(f, "response", NULL,
                               stat->count[ngx_http_atls_kept]);
    ngx_http_atls_format_value(f, "free", NULL, stat->nfree);

    n = ngx_pagesize / (ngx_uint_t) stat->entry_size;
    all = stat->entries / n;
    pages = ngx_min((stat->touched + n - 1) / n, all);

    ngx_http_atls_format_metric(f, "zone_pages", "gauge",
                                "Memory pages of the entries: used at any "
                                "time, or never.", "state", NULL);
    ngx_http_atls_format_value(f, "used", NULL, pages);
    ngx_http_atls_format_value(f, "free", NULL, all - pages);
}


static void
ngx_http_atls_metrics_handshakes(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum)
{
    ngx_http_atls_format_metric(f, "handshakes_in_progress", "gauge",
                                "Handshakes in progress, limited by "
                                "atls_max_handshakes.", NULL, NULL);
    ngx_http_atls_format_value(f, NULL, NULL, sum->handshaking);

    ngx_http_atls_format_metric(f, "handshakes_total", "counter",
                                "Handshakes, by result.", "result", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_result_names,
                                ngx_http_atls_results, sum->handshakes);

    ngx_http_atls_format_metric(f, "handshake_protocols_total", "counter",
                                "Finished handshakes, by protocol.",
                                "protocol", NULL);
    ngx_http_atls_metrics_tally(f, sum->protocols,
                                trl_protocol_name);

    ngx_http_atls_format_metric(f, "handshake_ciphers_total", "counter",
                                "Finished handshakes, by cipher suite.",
                                "cipher", NULL);
    ngx_http_atls_metrics_tally(f, sum->suites, trl_suite_name);

    ngx_http_atls_format_metric(f, "handshake_groups_total", "counter",
                                "Finished handshakes, by group of the key "
                                "exchange.", "group", NULL);
    ngx_http_atls_metrics_tally(f, sum->groups, ngx_http_atls_metrics_group);

    ngx_http_atls_format_metric(f, "handshake_resumptions_total", "counter",
                                "Finished handshakes, by resumption.",
                                "resumption", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_resumption_names,
                                ngx_http_atls_resumptions, sum->resumptions);

    ngx_http_atls_format_metric(f, "handshake_early_data_total", "counter",
                                "Finished handshakes with early data.",
                                "result", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_early_data_names, 2,
                                sum->early_data);

    ngx_http_atls_format_histogram(f, "handshake_duration_seconds",
                                   "Time of finished handshakes.",
                                   &sum->handshake_time);
}


static void
ngx_http_atls_metrics_posts(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum)
{
    ngx_str_t   name;
    ngx_uint_t  i;
    u_char      status[NGX_INT_T_LEN + 1];

    ngx_http_atls_format_metric(f, "posts_total", "counter",
                                "Outer requests, by status and reason.",
                                "reason", "status");

    ngx_http_atls_metrics_statuses(f, sum->statuses);

    for (i = ngx_http_atls_outcome_nginx + 1; i < ngx_http_atls_outcomes; i++) {
        name = ngx_http_atls_outcome_name(i);

        (void) ngx_sprintf(status, "%ui%Z", ngx_http_atls_outcome_status(i));

        ngx_http_atls_format_value(f, (char *) name.data, (char *) status,
                                   sum->posts[i]);
    }

    ngx_http_atls_format_metric(f, "posts_named_total", "counter",
                                "Outer requests, by the place of the "
                                "identifier of the session.", "place", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_named_names,
                                ngx_http_atls_nameds, sum->named);

    ngx_http_atls_format_histogram(f, "post_duration_seconds",
                                   "Time of outer requests.",
                                   &sum->post_time);

    ngx_http_atls_format_metric(f, "requests_total", "counter",
                                "Inner requests, by class of status.",
                                "status", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_class_names, 6,
                                sum->requests);

    ngx_http_atls_format_metric(f, "parked_requests", "gauge",
                                "Inner requests that wait for the next POST.",
                                NULL, NULL);
    ngx_http_atls_format_value(f, NULL, NULL, sum->parked);
}


/* As $status; "other" if a configuration has very many of them. */

static void
ngx_http_atls_metrics_statuses(ngx_http_atls_format_t *f, uint64_t *tally)
{
    ngx_uint_t  i, key;
    u_char      status[NGX_INT_T_LEN + 1];

    for (i = 0; i < NGX_HTTP_ATLS_KEYS && tally[i]; i++) {
        key = ngx_http_atls_tally_key(tally[i]);

        (void) ngx_sprintf(status, "%03ui%Z", key);

        ngx_http_atls_format_value(f, "nginx",
                                   key == NGX_HTTP_ATLS_KEY_OTHER
                                   ? "other" : (char *) status,
                                   ngx_http_atls_tally_count(tally[i]));
    }
}


static void
ngx_http_atls_metrics_records(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum)
{
    ngx_uint_t  i;

    ngx_http_atls_format_metric(f, "ciphertext_bytes_total", "counter",
                                "Bytes of POSTs and of responses to them.",
                                "direction", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_directions, 2,
                                sum->ciphertext);

    ngx_http_atls_format_metric(f, "plaintext_bytes_total", "counter",
                                "Bytes of application data.", "direction",
                                NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_directions, 2,
                                sum->plaintext);

    ngx_http_atls_format_metric(f, "records_total", "counter",
                                "Records of established sessions, and of "
                                "early data.", "direction", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_directions, 2, sum->records);

    ngx_http_atls_format_metric(f, "records_refused_total", "counter",
                                "Records refused, by reason.", "reason", NULL);

    for (i = 0; i < TRL_REFUSALS; i++) {
        ngx_http_atls_format_value(f, trl_error_text(i), NULL,
                                   sum->refused[i]);
    }

    ngx_http_atls_format_metric(f, "alerts_total", "counter",
                                "Alerts, by direction and description.",
                                "direction", "alert");
    ngx_http_atls_metrics_alerts(f, "in", sum->alerts[NGX_HTTP_ATLS_IN]);
    ngx_http_atls_metrics_alerts(f, "out", sum->alerts[NGX_HTTP_ATLS_OUT]);

    ngx_http_atls_format_metric(f, "key_updates_total", "counter",
                                "KeyUpdate messages.", "direction", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_directions, 2,
                                sum->key_updates);
}


static void
ngx_http_atls_metrics_workers(ngx_http_atls_format_t *f,
    ngx_http_atls_counters_t *sum, time_t since)
{
    ngx_http_atls_format_metric(f, "relays_total", "counter",
                                "POSTs relayed to another worker process, by "
                                "result.", "result", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_relay_names,
                                ngx_http_atls_relays, sum->relays);

    ngx_http_atls_format_metric(f, "store_total", "counter",
                                "Sessions taken from the store and put into "
                                "it, and what has failed, by result.",
                                "result", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_store_names,
                                ngx_http_atls_stores, sum->store);

    ngx_http_atls_format_metric(f, "associations_total", "counter",
                                "Associations issued, and TLS connections that "
                                "have offered one, by result.", "result", NULL);
    ngx_http_atls_metrics_names(f, ngx_http_atls_association_names,
                                ngx_http_atls_associations, sum->associations);

    ngx_http_atls_format_metric(f, "workers", "gauge",
                                "Worker processes.", NULL, NULL);
    ngx_http_atls_format_value(f, NULL, NULL, sum->owner);

    ngx_http_atls_format_metric(f, "start_time_seconds", "gauge",
                                "When counting has started, in seconds since "
                                "1970.", NULL, NULL);
    ngx_http_atls_format_value(f, NULL, NULL, (uint64_t) since);
}


static void
ngx_http_atls_metrics_names(ngx_http_atls_format_t *f,
    const char *const *names, ngx_uint_t n, uint64_t *values)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_http_atls_format_value(f, names[i], NULL, values[i]);
    }
}


static void
ngx_http_atls_metrics_tally(ngx_http_atls_format_t *f, uint64_t *tally,
    const char *(*name)(unsigned key))
{
    unsigned     key;
    ngx_uint_t   i;
    const char  *text;
    u_char       buf[NGX_HTTP_ATLS_METRICS_NAME];

    for (i = 0; i < NGX_HTTP_ATLS_KEYS && tally[i]; i++) {
        key = (unsigned) ngx_http_atls_tally_key(tally[i]);
        text = (key == NGX_HTTP_ATLS_KEY_OTHER) ? "other" : name(key);

        if (text == NULL) {
            (void) ngx_sprintf(buf, "0x%04xd%Z", key);
            text = (char *) buf;
        }

        ngx_http_atls_format_value(f, text, NULL,
                                   ngx_http_atls_tally_count(tally[i]));
    }
}


/* Sessions may be resumed, or use a pre-shared key, without a key exchange. */

static const char *
ngx_http_atls_metrics_group(unsigned group)
{
    return group ? trl_group_name(group) : "none";
}


static void
ngx_http_atls_metrics_alerts(ngx_http_atls_format_t *f, const char *direction,
    uint64_t *values)
{
    uint64_t    other;
    ngx_uint_t  i;
    u_char      buf[NGX_HTTP_ATLS_METRICS_NAME];

    other = 0;

    for (i = 0; i < NGX_HTTP_ATLS_ALERTS; i++) {

        if (values[i] == 0) {
            continue;
        }

        if (ngx_http_atls_metrics_alert((unsigned) i, buf) != NGX_OK) {
            other += values[i];
            continue;
        }

        ngx_http_atls_format_value(f, direction, (char *) buf, values[i]);
    }

    if (other) {
        ngx_http_atls_format_value(f, direction, "other", other);
    }
}


/* The name of the RFCs, such as "bad_record_mac", from that of OpenSSL. */

static ngx_int_t
ngx_http_atls_metrics_alert(unsigned alert, u_char *buf)
{
    size_t                             i;
    const char                        *name;
    const ngx_http_atls_alert_name_t  *known;

    for (known = ngx_http_atls_alert_names; known->name; known++) {
        if (known->alert == alert) {
            (void) ngx_sprintf(buf, "%s%Z", known->name);
            return NGX_OK;
        }
    }

    name = SSL_alert_desc_string_long((int) alert);

    if (ngx_strcmp(name, "unknown") == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; name[i] && i < NGX_HTTP_ATLS_METRICS_NAME - 1; i++) {
        buf[i] = (name[i] == ' ') ? '_' : ngx_tolower(name[i]);
    }

    buf[i] = '\0';

    return NGX_OK;
}
