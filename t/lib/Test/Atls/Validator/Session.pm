package Test::Atls::Validator::Session;

# A session as seen without keys: the records of both sides, unencrypted
# messages, and conclusions from record types and lengths.
#
#     $s->client($bytes);             # body of a POST
#     $s->server($bytes, $check);     # body of the response;
#                                     # calls $check->(rule, ok, why)

use strict;
use warnings;

use Test::Atls::Validator::Hello qw( parse_client_hello parse_server_hello
                                     is_aead is_tls13 offers_aead );

use constant {
    CCS         => 20,
    ALERT       => 21,
    HANDSHAKE   => 22,
    DATA        => 23,
    HEARTBEAT   => 24,
    PLAIN       => 16384,
    EXPANSION   => 256,
};

# order of the server's unencrypted messages with TLS 1.2

my %ORDER = (2 => 0, 11 => 1, 22 => 2, 12 => 3, 13 => 4, 14 => 5, 4 => 6);

my $H2C = qr{^http/(?:1\.1|1\.0|0\.9)\z};


sub new {
    my ($class, $value, $endpoint, $now) = @_;

    return bless { value => $value, endpoint => $endpoint, born => $now,
                   used => $now, active => {}, gone => '', unsure => '',
                   client => '', client_hs => '', server_hs => '',
                   last_type => -1, state => 'hello' }, $class;
}


# "hello": the ClientHello is not complete; "retry": nor is the second one

sub phase {
    my ($self) = @_;

    return $self->{state} =~ /^(?:hello|retry)\z/ ? $self->{state}
           : $self->{established} ? 'established' : 'flight';
}


sub mid_record { length $_[0]{client} }


sub records {
    my ($bytes) = @_;

    my @records;

    while (length $bytes >= 5) {
        my ($type, $version, $length) = unpack 'Cnn', $bytes;

        last if length $bytes < 5 + $length;

        push @records, { type => $type, version => $version,
                         length => $length,
                         data => substr($bytes, 5, $length) };
        substr $bytes, 0, 5 + $length, '';
    }

    return (\@records, $bytes);
}


# An alert has two bytes, and with TLS 1.3, the content type and the tag.

sub ends_like_alert {
    my ($bytes) = @_;

    my ($records, $rest) = records($bytes);
    my $last = $records->[-1] or return 0;

    return $rest eq '' && ($last->{type} == ALERT || _alert_size($last)) || 0;
}


sub _alert_size {
    my ($record) = @_;

    return $record->{type} == DATA
           && ($record->{length} == 11 || $record->{length} == 19);
}


# Data of the client, in a POST that was processed.

sub client {
    my ($self, $bytes) = @_;

    $self->{doubt} = '';
    $self->{ended_by_client} = 0;
    $self->{client} .= $bytes;

    my ($records, $rest) = records($self->{client});

    for my $r (@$records) {
        if ($r->{type} < CCS || $r->{type} > DATA || $r->{version} >> 8 != 3) {
            $self->{doubt} = 'no records of a client';
            last;
        }

        $self->_client_record($r);
    }

    $self->{client} = $rest;
    $self->{doubt} ||= 'no records of a client'
        if length $rest && $rest !~ /^[\x14-\x17](?:\z|\x03)/;
}


sub _client_record {
    my ($self, $r) = @_;

    my $type = $r->{type};

    return $self->_client_hello($r) if $type == HANDSHAKE
                                       && $self->phase() =~ /hello|retry/;

    $self->{client_ccs} = 1 if $type == CCS;

    if ($type == HANDSHAKE && $self->{client_ccs}) {
        $self->{renegotiates} = $self->{client_finished};
        $self->{client_finished} = 1;
    }

    if ($type == ALERT) {
        my $plain = !$self->{client_ccs} && $r->{length} == 2;
        my $fatal = $plain && (unpack 'C', $r->{data}) == 2;

        $self->{client_alert} = $plain ? ($fatal ? 'fatal' : '') : 'encrypted';
        $self->{doubt} = 'an alert of the client';
        $self->{ended_by_client} = 1;
    }

    if ($type == DATA && $self->{suite} && is_tls13($self->{suite})) {
        $self->{finished_sent} = 1
            if $r->{length} == 4 + 1 + $self->_tag()
                               + ($self->{suite} == 0x1302 ? 48 : 32);

        # JSSE adds 16 bytes of padding to records without data

        return unless $r->{length} >= 11 && $r->{length} <= 35;

        $self->{doubt} = 'a record like an alert';
        $self->{ended_by_client} = 1;
    }
}


sub _tag { $_[0]{suite} == 0x1305 ? 8 : 16 }


sub _client_hello {
    my ($self, $r) = @_;

    $self->{client_hs} .= $r->{data};

    return if length $self->{client_hs} < 4;

    my ($type, $high, $low) = unpack 'CCn', $self->{client_hs};
    my $length = 4 + ($high << 16) + $low;

    return if $type == 1 && length $self->{client_hs} < $length;

    $self->{hello} = parse_client_hello(substr $self->{client_hs}, 0, $length);
    $self->{client_hs} = '';
    $self->{state} = $self->{state} eq 'retry' ? 'start-again' : 'start';
}


# A complete response of the server.

sub server {
    my ($self, $bytes, $check) = @_;

    my ($records, $rest) = records($bytes);

    $check->('records-whole', $rest eq '', length($rest) . ' bytes at the end');

    local $self->{check} = $check;

    $self->_pieces($records);
    $self->{unsure} = $self->{doubt};
    $self->_server_record($_) for @$records;
    $self->_demanded_alerts($records);
    $self->_after($records, $bytes);
}


# There are no records before the ClientHello is complete.

sub _pieces {
    my ($self, $records) = @_;

    return unless $self->{state} =~ /^(?:hello|retry)\z/;

    $self->{check}->('hello-pieces', !grep({ $_->{type} != ALERT } @$records),
                     'an answer to a part of a ClientHello');
}


sub _server_record {
    my ($self, $r) = @_;

    my $check = $self->{check};
    my ($type, $version, $length) = @$r{qw( type version length )};

    $check->($self->{fatal} ? 'end-fatal' : 'end-last', !$self->{ended},
             'a record behind the end') or return;
    $check->('without', $type != HEARTBEAT, 'a heartbeat') or return;
    $check->('records', $type >= CCS && $type <= DATA && $version >> 8 == 3,
             "type $type, version $version") or return;
    $check->('record-version', $version == 0x0303
                               || $type == ALERT && !$self->{suite},
             sprintf 'version %04x of a record', $version);
    $check->('record-length', $length && $length <= PLAIN + EXPANSION,
             "a record of $length");
    $self->_fragment($length);

    my $handler = $self->{state} =~ /^(?:hello|start|start-again|retry)\z/
                  ? '_in_the_clear' : $self->{tls13} ? '_tls13' : '_tls12';

    $self->$handler($r);
}


sub _fragment {
    my ($self, $length) = @_;

    my $code = $self->{hello}{extensions}{1} or return;

    $code = unpack 'C', $code;
    return if $code < 1 || $code > 4;

    $self->{check}->('fragment', $length <= (1 << 8 + $code) + EXPANSION,
                     "a record of $length, with code $code");
}


# Before there are keys.

sub _in_the_clear {
    my ($self, $r) = @_;

    return $self->_plain_alert($r) if $r->{type} == ALERT;
    return $self->_server_ccs($r) if $r->{type} == CCS && $self->{retried};

    $self->{check}->('record-version', $r->{type} == HANDSHAKE
                     && !!($self->{state} =~ /^start/),
                     "a record of type $r->{type} before a ServerHello")
        or return;

    $self->{server_hs} .= $r->{data};
    $self->_messages();
}


sub _plain_alert {
    my ($self, $r) = @_;

    my ($level, $description) = unpack 'CC', $r->{data};

    $self->{check}->('record-version', $r->{length} == 2
                     && ($level == 1 || $level == 2), 'not an alert');

    $self->{alert} = $description;
    $self->{fatal} = 1 if $level == 2;
    $self->{ended} = 1 if $level == 2 || $description == 0;
}


sub _server_ccs {
    my ($self, $r) = @_;

    $self->{check}->('record-version', $r->{data} eq "\x01"
                     && !$self->{server_ccs}++, 'a change_cipher_spec');
}


sub _messages {
    my ($self) = @_;

    while (length $self->{server_hs} >= 4) {
        my ($type, $high, $low) = unpack 'CCn', $self->{server_hs};
        my $length = 4 + ($high << 16) + $low;

        last if length $self->{server_hs} < $length;

        my $message = substr $self->{server_hs}, 0, $length, '';

        $self->_message($type, $message);
    }
}


sub _message {
    my ($self, $type, $message) = @_;

    my $order = $ORDER{$type};

    my $first = $self->{state} =~ /^start/;

    $self->{check}->('record-version', defined $order
                     && $order > $self->{last_type} && (!$first || $type == 2),
                     "a message of type $type") or return;

    $self->{last_type} = $order;
    $self->_server_hello($message) if $type == 2;
}


sub _server_hello {
    my ($self, $message) = @_;

    my ($check, $hello) = ($self->{check}, $self->{hello});
    my $server = parse_server_hello($message);

    $check->('record-version', $server, 'a ServerHello') or return;

    my ($version, $suite) = @$server{qw( version suite )};

    $check->('version', $version == 0x0303 || $version == 0x0304,
             sprintf '%04x', $version);
    $check->('suite', is_aead($suite, $version, $self->{endpoint}{psk}),
             sprintf '%04x', $suite);
    $check->('without', $server->{compression} == 0
                        && !exists $server->{extensions}{15},
             'compression or heartbeats');
    $check->('record-version', grep({ $_ == $suite } @{$hello->{suites}})
             && (!$self->{suite} || $suite == $self->{suite}),
             sprintf 'a suite that was not offered: %04x', $suite);

    $self->{suite} = $suite;

    return $self->_retry() if $server->{retry};

    $self->{state} = 'answered';
    $self->{tls13} = $version == 0x0304;
    $self->{tls13} ? $self->_hello13($server) : $self->_hello12($server);
}


sub _retry {
    my ($self) = @_;

    $self->{check}->('record-version', !$self->{retried}++,
                     'a second HelloRetryRequest');
    $self->{state} = 'retry';
    $self->{last_type} = -1;
}


sub _hello13 {
    my ($self, $server) = @_;

    $self->{check}->('record-version', $server->{session_id}
                     eq $self->{hello}{session_id}, 'its session id');
}


sub _hello12 {
    my ($self, $server) = @_;

    my ($check, $hello) = ($self->{check}, $self->{hello});
    my ($ours, $theirs) = ($hello->{extensions}, $server->{extensions});

    $check->('ems', exists $ours->{23} == exists $theirs->{23},
             'extended master secret');
    $check->('resumption', $server->{session_id} eq ''
             || length($ours->{35} // ''), 'a session id, without a ticket');

    return if $self->{endpoint}{raw} || !exists $ours->{16};

    my ($first) = grep { my $p = $_; grep { $_ eq $p } @{$hello->{alpn}} }
                  qw( http/1.1 http/1.0 http/0.9 );

    $check->('alpn', ($theirs->{16} // '') eq pack('n/a', pack 'C/a', $first),
             'ALPN') if $first;
}


# After the ServerHello, only change_cipher_spec is unencrypted.

sub _tls13 {
    my ($self, $r) = @_;

    return $self->_server_ccs($r) if $r->{type} == CCS;

    $self->{check}->('record-version', $r->{type} == DATA
                     && $r->{length} > $self->_tag(),
                     "type $r->{type}, length $r->{length}, with TLS 1.3");
    $self->{encrypted} = 1;
}


sub _tls12 {
    my ($self, $r) = @_;

    my ($type, $check) = ($r->{type}, $self->{check});

    if (!$self->{server_ccs}) {
        return $self->_plain_alert($r) if $type == ALERT;
        return $self->_change12($r) if $type == CCS;

        $check->('record-version', $type == HANDSHAKE,
                 "type $type before change_cipher_spec") or return;
        $self->{server_hs} .= $r->{data};
        return $self->_messages();
    }

    $check->('record-length', $r->{length} >= 16, 'too short for a tag');

    if (!$self->{server_finished}++) {
        $check->('record-version', $type == HANDSHAKE, 'no Finished');
        return;
    }

    $check->('without', $type == DATA || $type == ALERT,
             "type $type after the handshake");

    # renegotiation is refused by a warning

    $self->{ended} = 1 if $type == ALERT && !$self->{renegotiates};
}


# Without ServerHelloDone, the session is resumed.

sub _change12 {
    my ($self, $r) = @_;

    my $full = $self->{last_type} >= $ORDER{14};

    $self->_server_ccs($r);

    if ($full) {
        $self->{check}->('record-version', $self->{client_finished},
                         'before the Finished of the client');
    } else {
        $self->{check}->('resumption',
                         length($self->{hello}{extensions}{35} // ''),
                         'resumes without a ticket');
    }
}


# ClientHellos for which there is only one correct alert.

sub _demanded_alerts {
    my ($self, $records) = @_;

    my $hello = $self->{hello};

    return if !$hello || $self->{demanded} || $self->{state} =~ /hello|retry/
              && !$self->{alert};

    $self->{demanded} = 1;

    my $max = $hello->{max_version};
    my $alert = $self->{alert} // -1;
    my %must;

    return if $max < 0x0303;

    $must{'suite-none'} = 40 unless offers_aead($hello, $self->{endpoint}{psk});
    $must{'alpn-none'} = 120 if exists $hello->{extensions}{16}
                                && !$self->{endpoint}{raw}
                                && !grep { $_ =~ $H2C } @{$hello->{alpn}};
    $must{'server-name'} = 50 if $hello->{name} =~ m{[\x00-\x20/]};

    for (keys %must) {
        $self->{check}->($_, $alert == $must{$_} || keys %must > 1
                         && $alert >= 0, "alert $alert, not $must{$_}");
    }

    $self->{check}->('alpn-none', $must{'alpn-none'}, 'alert 120')
        if $alert == 120;
}


# The state of the session after the response.

sub _after {
    my ($self, $records, $bytes) = @_;

    my $check = $self->{check};

    $self->_ticket($records) if $self->{tls13} && $self->{finished_sent}
                                && !$self->{ticket_seen}++;

    if (($self->{client_alert} // '') eq 'fatal') {
        $check->('alert-client', !grep({ $_->{type} == ALERT } @$records),
                 'a fatal alert is answered by one');
        $self->{ended} = 1;
    }

    if (($self->{client_alert} // '') eq 'encrypted') {
        $check->('close-notify', !@$records || $records->[-1]{type} == ALERT,
                 'an alert of the client, and no end');
        $self->{ended} = 1;
    }

    $self->{unsure} = 'a record like an alert'
        if $self->{tls13} && ends_like_alert($bytes);

    $self->{established} = 1 if $self->{tls13}
        ? $self->{finished_sent} && @$records && !ends_like_alert($bytes)
        : $self->{server_finished} && $self->{client_finished};
}


sub _ticket {
    my ($self, $records) = @_;

    my $extensions = $self->{hello}{extensions};

    # the end of early data cannot be distinguished from other records

    return if exists $extensions->{42} || ($extensions->{45} // '') !~ /\x01/
              || !$self->{endpoint}{tickets};

    $self->{check}->('ticket', scalar @$records,
                     'nothing behind the client\'s Finished');
}


1;
