
/*
 * The probe of the outer certificate: it is not trusted in any case, but shows
 * who terminates the TLS of the connection.
 */


#include <string.h>

#include "../../lib/cert.h"
#include "probe.h"


static void cmd_probe_certificate_compare(cmd_probe_t *probe,
    const atls_outer_info_t *info, const atls_certificate_t *inner);
static const char *cmd_probe_certificate_product(const atls_outer_info_t *info);


/* Names in the certificates of products that intercept TLS. */

static const char *const  cmd_probe_certificate_products[] = {
    "Avast", "Barracuda", "Bitdefender", "Blue Coat", "Burp", "Charles Proxy",
    "Check Point", "Cisco Umbrella", "ESET", "Fiddler", "Forcepoint",
    "FortiGate", "Fortinet", "iboss", "Kaspersky", "McAfee", "mitmproxy",
    "Netskope", "Palo Alto", "PortSwigger", "Securly", "Skyhigh", "SonicWall",
    "Sophos", "Squid", "Trend Micro", "Untangle", "WatchGuard", "Websense",
    "Zscaler",
};


int
cmd_probe_certificate(cmd_probe_t *probe)
{
    X509                *x509;
    atls_outer_info_t    info;
    atls_certificate_t   inner;

    memset(&info, 0, sizeof(atls_outer_info_t));
    atls_outer_info(probe->session.outer, &info);

    if (!atls_outer_is_secure(probe->session.outer)) {
        cmd_findings_add(&probe->findings, "certificate", CMD_FINDING_NOTE, "",
                         "none: the connection is not encrypted, but the "
                         "session is");
        return 0;
    }

    if (info.nchain == 0) {
        cmd_findings_add(&probe->findings, "certificate", CMD_FINDING_SKIPPED,
                         "", "libcurl's TLS library does not report it");
        return 0;
    }

    memset(&inner, 0, sizeof(atls_certificate_t));
    x509 = atls_tls_certificate(&probe->session.tls);

    if (x509 && atls_certificate_fill(&inner, x509) == -1) {
        atls_certificate_clear(&inner);
    }

    cmd_probe_certificate_compare(probe, &info, x509 ? &inner : NULL);

    atls_certificate_clear(&inner);

    return 0;
}


static void
cmd_probe_certificate_compare(cmd_probe_t *probe, const atls_outer_info_t *info,
    const atls_certificate_t *inner)
{
    const char                *product;
    const atls_certificate_t  *outer;

    outer = info->chain;
    product = cmd_probe_certificate_product(info);

    if (inner && inner->subject
        && memcmp(inner->sha256, outer->sha256, sizeof(outer->sha256)) == 0)
    {
        cmd_findings_add(&probe->findings, "certificate", CMD_FINDING_OK, "",
                         "that of the service: its TLS is not intercepted");

    } else if (product) {
        cmd_findings_add(&probe->findings, "certificate", CMD_FINDING_NOTE, "",
                         "TLS is intercepted by %s: certificate of %s, issued "
                         "by %s",
                         product, outer->subject, outer->issuer);

    } else if (info->verify_result != 0) {
        cmd_findings_add(&probe->findings, "certificate", CMD_FINDING_NOTE, "",
                         "TLS may be intercepted: certificate of %s, issued by "
                         "%s, is not trusted: %s",
                         outer->subject, outer->issuer, info->verify_text);

    } else {
        cmd_findings_add(&probe->findings, "certificate", CMD_FINDING_OK, "",
                         "trusted: %s, issued by %s", outer->subject,
                         outer->issuer);
    }
}


static const char *
cmd_probe_certificate_product(const atls_outer_info_t *info)
{
    size_t       i, j, n;
    const char  *name;

    n = sizeof(cmd_probe_certificate_products)
        / sizeof(cmd_probe_certificate_products[0]);

    for (i = 0; i < n; i++) {
        name = cmd_probe_certificate_products[i];

        for (j = 0; j < info->nchain; j++) {
            if (strcasestr(info->chain[j].issuer, name)) {
                return name;
            }
        }
    }

    return NULL;
}
