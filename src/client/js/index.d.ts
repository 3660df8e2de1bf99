/** Options of a client. */
export interface AtlsOptions {

    /** The URL for POSTs: http or https.  In a page, it may be relative. */
    via: string | URL;

    /** The service: "example.com", "example.com:8443" or "https://example.com". */
    host: string;

    /**
     * The trusted CA certificates, in PEM format.  Required in browsers, which
     * do not tell theirs; the default of Node.js is its own list.
     */
    ca?: string | readonly string[];

    /** The certificate of the client and its chain, in PEM format. */
    cert?: string;

    /** The key of "cert", in PEM format; default: it is in "cert". */
    key?: string;

    /** The passphrase of the key. */
    passphrase?: string;

    /** The maximum number of sessions at once; default: 4. */
    sessions?: number;

    /** The approximate maximum body size of a POST, in bytes; default: 524288. */
    postSize?: number;
}

export type AtlsErrorCode =

    /**
     * An invalid argument, a request or redirect to another service, or the
     * client was closed.
     */
    | 'usage'

    /** The CA certificates cannot be loaded. */
    | 'trust'

    /** The certificate of the client, or its key, cannot be used. */
    | 'identity'

    /** The endpoint cannot be reached, redirects, or refuses this origin. */
    | 'network'

    /** The endpoint, or a middlebox, returned another status, see "status". */
    | 'outer-status'

    /** A response is not one of ATLS. */
    | 'media-type'

    /** The endpoint gives no URIs to sessions: see atls_session_tracking. */
    | 'location'

    /** An error of TLS. */
    | 'tls'

    /** The certificate is not trusted, or has another name. */
    | 'certificate'

    /** An invalid HTTP response of the service. */
    | 'http'

    /** The response is incomplete. */
    | 'truncated'

    /** The session was lost; the request may or may not have been processed. */
    | 'session-lost'

    /** Redirects were not to be followed, or there are too many. */
    | 'redirect'

    /** Of the worker. */
    | 'memory' | 'internal';

/** As with fetch(), errors are TypeErrors. */
export declare class AtlsError extends TypeError {
    private constructor();

    readonly code: AtlsErrorCode;

    /** The status of a POST, if there was one. */
    readonly status?: number;

    /** The type of a problem of the endpoint, such as "zone-full". */
    readonly problem?: string | null;
}

/**
 * What atls() returns: fetch() for one service.  Of init, only method, headers,
 * body, signal and redirect are used.
 */
export interface AtlsFetch {
    (input: string | URL | Request, init?: RequestInit): Promise<Response>;

    /** Ends all sessions and the worker. */
    close(): Promise<void>;
}

export declare function atls(options: AtlsOptions): Promise<AtlsFetch>;
