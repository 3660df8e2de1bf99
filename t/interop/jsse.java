
// ATLS with Java 11 or later: an SSLEngine, which works without a socket.
//
//     java jsse.java [options] URL PATH ...

import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;


// java runs the first class of the file

class Jsse {

    public static void main(String[] args) throws Exception {
        String[] protocols = { "TLSv1.3", "TLSv1.2" };
        String ca = "/etc/ssl/certs/ca-certificates.crt";
        String name = null;
        int sessions = 1;
        int i;

        for (i = 0; i < args.length && args[i].startsWith("--"); i++) {
            switch (args[i]) {
            case "--tls1.2": protocols = new String[] { "TLSv1.2" }; break;
            case "--tls1.3": protocols = new String[] { "TLSv1.3" }; break;
            case "--ca":     ca = args[++i]; break;
            case "--name":   name = args[++i]; break;
            case "--resume": sessions = 2; break;

            // ExtendedSSLSession has an exporter since Java 25; no PSKs

            default:
                System.err.println("JSSE does not have " + args[i]
                                   + " before Java 25, if at all");
                System.exit(2);
            }
        }

        URL endpoint = URI.create(args[i]).toURL();
        name = name == null ? endpoint.getHost() : name;

        // the context stores sessions: use one for all connections

        SSLContext context = context(ca);

        try {
            while (sessions-- > 0) {
                session(new Atls(context, endpoint, name, protocols), name,
                        Arrays.copyOfRange(args, i + 1, args.length),
                        sessions == 0 ? System.out
                                      : OutputStream.nullOutputStream());
            }

        } catch (IOException e) {
            System.err.println((e instanceof SSLException ? "TLS: " : "")
                               + e.getMessage());
            System.exit(1);
        }
    }


    static SSLContext context(String ca) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);

        try (InputStream file = new FileInputStream(ca)) {
            for (java.security.cert.Certificate certificate
                 : CertificateFactory.getInstance("X.509")
                                     .generateCertificates(file))
            {
                trusted.setCertificateEntry("ca" + trusted.size(), certificate);
            }
        }

        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);

        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);

        return context;
    }


    static void session(Atls atls, String name, String[] paths,
                        OutputStream out)
        throws IOException
    {
        atls.handshake();

        // there is no method for this: a value set here is still there if the
        // session is resumed

        boolean resumed = atls.session().getValue("used") != null;
        atls.session().putValue("used", true);

        for (String path : paths) {
            atls.send("GET " + path + " HTTP/1.1\r\n"
                      + "Host: " + name + "\r\n\r\n");
            body(atls, out);

            // read to the end: tickets, KeyUpdates, close_notify may follow

            if (atls.read() != -1) {
                throw new IOException("HTTP: more than was asked for");
            }
        }

        out.flush();
        atls.close();

        if (out == System.out) {
            System.err.printf("protocol %s resumed %d exporter - posts %d%n",
                              atls.session().getProtocol(), resumed ? 1 : 0,
                              atls.posts);
        }
    }


    /** A minimal HTTP/1.1 client. */

    static void body(InputStream in, OutputStream out) throws IOException {
        long length = Long.MAX_VALUE;           // until the end
        boolean chunked = false;

        for (String line; !(line = line(in)).isEmpty(); ) {
            String header = line.toLowerCase(Locale.ROOT);

            if (header.startsWith("content-length:")) {
                length = Long.parseLong(header.substring(15).trim());
            } else if (header.equals("transfer-encoding: chunked")) {
                chunked = true;
            }
        }

        if (!chunked) {
            copy(in, out, length);
            return;
        }

        for (long size; (size = Long.parseLong(line(in), 16)) > 0; line(in)) {
            copy(in, out, size);
        }

        line(in);
    }


    static void copy(InputStream in, OutputStream out, long length)
        throws IOException
    {
        byte[] buf = new byte[16384];

        for (long left = length; left > 0; ) {
            int n = in.read(buf, 0, (int) Math.min(left, buf.length));

            if (n < 0) {
                if (length == Long.MAX_VALUE) {
                    return;
                }

                throw new EOFException("HTTP: the response is truncated");
            }

            out.write(buf, 0, n);
            left -= n;
        }
    }


    static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();

        for (int c; (c = in.read()) != '\n'; ) {
            if (c < 0) {
                throw new EOFException("HTTP: the response is truncated");
            }

            line.append((char) c);
        }

        return line.toString().trim();
    }
}


/** TLS with records in the bodies of POSTs; reads the plaintext. */

class Atls extends InputStream {

    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

    private URL endpoint;
    private final SSLEngine engine;
    private final ByteArrayOutputStream toSend = new ByteArrayOutputStream();

    private InputStream response = InputStream.nullInputStream();
    private ByteBuffer received;        // records, or a part of one
    private ByteBuffer plaintext;
    private ByteBuffer packet;
    private String cookie;
    int posts;


    Atls(SSLContext context, URL endpoint, String name, String... protocols)
        throws IOException
    {
        this.endpoint = endpoint;

        // sessions are stored by this name and port

        engine = context.createSSLEngine(name, 443);
        engine.setUseClientMode(true);

        // A proxy may terminate the outer TLS: only this verification counts.
        // Without "HTTPS", the name in the certificate is not verified.

        SSLParameters parameters = engine.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        parameters.setServerNames(List.of(new SNIHostName(name)));
        parameters.setProtocols(protocols);
        engine.setSSLParameters(parameters);

        received = ByteBuffer.allocate(
                       engine.getSession().getPacketBufferSize());
        packet = ByteBuffer.allocate(received.capacity());
        plaintext = ByteBuffer.allocate(
                        engine.getSession().getApplicationBufferSize());
        received.flip();
        plaintext.flip();
    }


    SSLSession session() {
        return engine.getSession();
    }


    /** Sends all output of the engine in one POST. */

    private boolean post() throws IOException {
        if (toSend.size() == 0) {
            return false;
        }

        HttpURLConnection http = (HttpURLConnection) endpoint.openConnection();

        http.setRequestMethod("POST");
        http.setRequestProperty("Content-Type",
                                "application/atls+octet-stream");
        http.setRequestProperty("Connection", "close");

        if (cookie != null) {
            http.setRequestProperty("Cookie", cookie);
        }

        // Without a fixed length, a POST is silently resent if the connection
        // breaks.  TLS does not allow this: records are numbered.

        http.setDoOutput(true);
        http.setFixedLengthStreamingMode(toSend.size());

        try (OutputStream body = http.getOutputStream()) {
            toSend.writeTo(body);
        }

        toSend.reset();
        posts++;

        // 410: the session is closed; a real client opens a new one

        int status = http.getResponseCode();

        if (status != 200 && status != 201) {
            InputStream problem = http.getErrorStream();
            throw new IOException("HTTP: status " + status
                                  + (problem == null ? "" : ": "
                                     + new String(problem.readAllBytes())));
        }

        String set = http.getHeaderField("Set-Cookie");
        cookie = set == null ? cookie : set.split(";")[0];

        // the URI of the session; not of another server

        String location = http.getHeaderField("Location");

        if (status == 201 && location != null) {
            URL url = URI.create(endpoint.toString()).resolve(location).toURL();

            if (!url.getProtocol().equals(endpoint.getProtocol())
                || !url.getAuthority().equals(endpoint.getAuthority()))
            {
                throw new IOException("HTTP: Location: " + location);
            }

            endpoint = url;
        }

        response = http.getInputStream();

        return true;
    }


    /** Passes bytes of the response to TLS; returns false at its end. */

    private boolean receive() throws IOException {
        received.compact();
        int n = response.read(received.array(), received.position(),
                              received.remaining());
        received.position(received.position() + Math.max(n, 0)).flip();

        return n > 0;
    }


    private void wrap(ByteBuffer source) throws IOException {
        engine.wrap(source, packet);
        packet.flip();
        toSend.write(packet.array(), 0, packet.limit());
        packet.clear();
    }


    /**
     * Runs one step of the engine: a task, or a record written or read.
     * Returns false if it needs input and none was received.
     */

    private boolean step() throws IOException {
        switch (engine.getHandshakeStatus()) {

        case NEED_TASK:
            for (Runnable task; (task = engine.getDelegatedTask()) != null; ) {
                task.run();
            }

            return true;

        case NEED_WRAP:
            wrap(NOTHING);
            return true;

        default:                        // also NOT_HANDSHAKING: data
            plaintext.compact();
            SSLEngineResult result = engine.unwrap(received, plaintext);
            plaintext.flip();

            return result.getStatus() != SSLEngineResult.Status.BUFFER_UNDERFLOW
                   || receive();
        }
    }


    void handshake() throws IOException {
        try {
            engine.beginHandshake();

            while (engine.getHandshakeStatus()
                   != HandshakeStatus.NOT_HANDSHAKING)
            {
                if (!step() && !post()) {
                    throw new EOFException("the flight is not complete");
                }
            }

        } catch (SSLException e) {

            // the alert, so that the server closes the session

            while (engine.getHandshakeStatus() == HandshakeStatus.NEED_WRAP) {
                wrap(NOTHING);
            }

            post();
            throw e;
        }

        // TLS 1.3: toSend still has the last flight, sent with the request
    }


    void send(String request) throws IOException {
        ByteBuffer source = ByteBuffer.wrap(request.getBytes(
                                                StandardCharsets.US_ASCII));

        while (source.hasRemaining()) {
            wrap(source);               // one record
        }

        post();
    }


    /** Returns -1 at the end of the POST's response, or of the session. */

    @Override
    public int read(byte[] buf, int offset, int length) throws IOException {
        while (!plaintext.hasRemaining()) {
            if (engine.isInboundDone() || !step()) {
                return -1;
            }
        }

        int n = Math.min(length, plaintext.remaining());
        plaintext.get(buf, offset, n);

        return n;
    }


    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];

        return read(one, 0, 1) == 1 ? one[0] & 0xff : -1;
    }


    @Override
    public void close() throws IOException {
        if (engine.isInboundDone()) {
            return;                     // closed by the server
        }

        engine.closeOutbound();

        while (!engine.isOutboundDone()) {
            wrap(NOTHING);
        }

        post();

        // Read the server's close_notify.  If closeInbound() is called before
        // it was read, the engine invalidates the session.

        while (read() != -1) { }

        engine.closeInbound();
    }
}
