package Test::Atls::Validator::Judge;

# The checks of complete responses: headers, cookies, statuses, problem
# documents and records.  The base class of Test::Atls::Validator::Check.

use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw( time );

use Test::Atls::Validator::Hello qw( HELLO looks_like_hello );
use Test::Atls::Validator::Session;

use parent 'Test::Atls::Validator::Location';

use constant RECORD => 5 + 16384 + 256;    # RFC 8446, 5.2

my $TAG = 'tag:atls,2026:';

my %TYPES = (
    400 => [ qw( empty-body not-tls unreadable-body ) ],
    405 => [ 'method' ],
    409 => [ qw( session-busy not-next ) ],
    410 => [ qw( no-cookie no-location session-unknown session-foreign
                 session-elsewhere session-refused handshake-timeout
                 session-lost answer-lost ) ],
    413 => [ 'too-large' ],
    415 => [ 'media-type' ],
    502 => [ 'payload-refused' ],
    503 => [ qw( zone-full too-many-handshakes too-few-connections
                 store-unreachable ) ],
);

my %MEDIA = map { $_ => 1 } qw( application/atls+octet-stream
                                application/atls );


# The response is complete.

sub judge {
    my ($self, $ex) = @_;

    $ex->{header} = { map { @$_ } @{$ex->{response}{headers}} };
    ($ex->{expires}) = grep { $_->{expired} } @{$ex->{cookies_set}};
    $ex->{problem} = eval { JSON::PP->new->utf8->decode($ex->{response_body}) }
        if _is_problem($ex);

    $self->_judge_headers($ex);
    $self->judge_location($ex);
    $self->_judge_cookies($ex);
    $self->_judge_status($ex);

    return $self->_judge_problem($ex) if $ex->{status} != 200
                                         && !_has_records($ex);

    $self->check($ex, 'type', _media($ex->{header}{'content-type'})
                              eq _media(_request_type($ex)),
                 'the type is ' . ($ex->{header}{'content-type'} || 'none'));
    $self->_judge_records($ex);
}


sub _media {
    my ($type) = @_;

    return lc(($type || '') =~ s/[ \t]*;.*//sr);
}


sub _request_type {
    my ($ex) = @_;

    my ($type) = map { $_->[1] } grep { $_->[0] eq 'content-type' }
                 @{$ex->{headers}};

    return $type;
}


sub _request_length {
    my ($ex) = @_;

    my ($length) = map { $_->[1] } grep { $_->[0] eq 'content-length' }
                   @{$ex->{headers}};

    return $length;
}


sub _has_records {
    my ($ex) = @_;

    return $ex->{status} == 502
           && $MEDIA{_media($ex->{header}{'content-type'})};
}


# Statuses of nginx itself, and those for requests that it cannot parse.

sub _is_own {
    my ($ex) = @_;

    return 1 if $ex->{status} == 413 && !_is_problem($ex);

    return $ex->{status} !~ /^(?:200|400|405|409|410|413|415|500|502|503)\z/;
}


sub _is_problem {
    my ($ex) = @_;

    return _media($ex->{header}{'content-type'}) eq 'application/problem+json';
}


sub _judge_headers {
    my ($self, $ex) = @_;

    my ($status, $h) = ($ex->{status}, $ex->{header});
    my $framing = $ex->{response}{framing};

    $self->check($ex, 'no-store', lc($h->{'cache-control'} || '') eq 'no-store',
                 'Cache-Control is ' . ($h->{'cache-control'} || 'not there'));
    $self->check($ex, 'content-coding', !$h->{'content-encoding'},
                 "Content-Encoding: @{[ $h->{'content-encoding'} || '' ]}");
    $self->check($ex, 'conditions', $status !~ /^(?:206|304|412|416)\z/
                                    && !$h->{'content-range'},
                 'a range, or a condition');
    $self->check($ex, 'framing', $ex->{version} eq '1.0'
                                 ? $framing ne 'chunk' : $framing ne 'close',
                 "a response to HTTP/$ex->{version} framed by $framing");

    $self->_judge_interim($ex);

    my @allow = grep { $_->[0] eq 'allow' } @{$ex->{response}{headers}};

    if ($status == 405) {
        $self->check($ex, 'status-405', @allow == 1 && $allow[0][1] eq 'POST',
                     'Allow is not POST');
    }

    if ($status == 503) {
        $self->check($ex, 'status-503',
                     scalar(($h->{'retry-after'} || '') =~ /^[1-9]\d*\z/),
                     'Retry-After is no number of seconds');
    }
}


sub _judge_interim {
    my ($self, $ex) = @_;

    my $asked = $ex->{version} eq '1.1'
                && grep { $_->[0] eq 'expect' && lc $_->[1] eq '100-continue' }
                   @{$ex->{headers}};
    my %interim = %{$ex->{interim} || {}};
    my $n = delete $interim{100} || 0;

    $self->check($ex, 'continue', !%interim, 'a 1xx other than 100');
    $self->check($ex, 'continue', $n <= ($asked ? 1 : 0), "$n times 100");
    $self->check($ex, 'continue', $n, 'no 100 Continue')
        if $asked && !_is_own($ex) && $ex->{framing} ne 'none';
}


sub _judge_cookies {
    my ($self, $ex) = @_;

    my $e = $ex->{endpoint};
    my @cookies = @{$ex->{cookies_set}};

    $self->check($ex, 'cookie-attributes', @cookies <= 1, 'several cookies');

    for my $cookie (@cookies) {
        my ($value, $expired) = @$cookie{qw( value expired )};
        my @attributes = @{$cookie->{attributes}};
        my ($path) = map { /^path=(.*)/i } @attributes;
        my $secure = grep { lc eq 'secure' } @attributes;
        my $others = join ' ', grep { !/^(?:path=|secure\z|max-age=)/i }
                               @attributes;

        $self->check($ex, 'cookie-path', defined $path && $path eq $e->{path},
                     "@attributes");
        $self->check($ex, 'cookie-secure', $secure == $self->{secure},
                     "@attributes");
        $self->check($ex, $expired ? 'cookie-expired' : 'cookie-attributes',
                     $others eq 'HttpOnly', "@attributes");
        $self->check($ex, 'cookie-age', defined $cookie->{age},
                     "@attributes");

        if ($expired) {
            $self->check($ex, 'cookie-expired', $value eq '', "is $value");

        } else {
            my $is_value = $value =~ m{^[!#-+\--:<-\[\]-~]{16,}\z};

            $self->check($ex, 'cookie-value', $is_value
                                              && length $value <= 4096, $value);
        }
    }

    # allowed cookies

    $self->check($ex, $self->first_rule($ex, 'failed'), !$ex->{begins},
                 "a cookie with $ex->{status}")
        if $ex->{status} != 200;

    if (!@{$ex->{cookies}}) {
        $self->check($ex, 'cookie-failed', !$ex->{expires},
                     'expires a cookie that was not sent');
    }

    if ($ex->{session} && $ex->{begins} && $ex->{session} != $ex->{begins}) {
        $self->check($ex, 'cookie-later', $ex->{several} || $ex->{unsure}
                     || $ex->{overlap},
                     'a new cookie for a session that goes on');
    } elsif ($ex->{session} && !$ex->{begins}) {
        $self->check($ex, 'cookie-later', 1, '');
    }
}


# Allowed statuses, in the order of the page.

sub _judge_status {
    my ($self, $ex) = @_;

    my ($status, $e) = @$ex{qw( status endpoint )};
    my $length = _request_length($ex);
    my $own = _is_own($ex);

    if (defined $length && $e->{limit} && $length > $e->{limit}) {
        $self->check($ex, 'status-413', $status == 413 && $own,
                     "a Content-Length of $length");
        return $self->_goes_on($ex);
    }

    if ($status == 413 && $own) {
        $self->check($ex, 'status-413', 0,
                     'Content-Length is ' . (defined $length ? $length : '-'));
        return;
    }

    return if $own;

    if ($ex->{method} ne 'POST' || $status == 405) {
        $self->check($ex, 'status-405', $ex->{method} ne 'POST'
                     && $status == 405, $ex->{method});
        return $self->_goes_on($ex);
    }

    if (!$MEDIA{_media(_request_type($ex))} || $status == 415) {
        $self->check($ex, 'status-415', $status == 415
                     && !$MEDIA{_media(_request_type($ex))},
                     _media(_request_type($ex)));
        return $self->_goes_on($ex);
    }

    my $is_new = $ex->{is_new} || !$ex->{session}
                 || $ex->{begins} && $ex->{session} == $ex->{begins};

    return if !$ex->{session} && $ex->{too_many};

    return $self->_judge_any($ex) if $status =~ /^(?:413|500|502|503)\z/
                                     || $ex->{unreadable};

    $self->_judge_too_large($ex) if $status == 200 && !defined $length
                                    && $e->{limit}
                                    && ($ex->{announced} || 0) > $e->{limit};

    $is_new ? $self->_judge_first($ex) : $self->_judge_later($ex);
}


# There is no alert before the end of the handshake.

sub _judge_too_large {
    my ($self, $ex) = @_;

    $self->check($ex, 'too-large-begun', !$ex->{session}{established}
                                         || _may_be_alert($ex),
                 'no alert behind a body that is too large');
}


sub _goes_on {
    my ($self, $ex) = @_;

    $self->check($ex, 'goes-on', !$ex->{expires}, 'expires the cookie');
}


# Statuses that are allowed in any state of the session.

sub _judge_any {
    my ($self, $ex) = @_;

    my ($status, $e, $s) = @$ex{qw( status endpoint session )};

    if ($status == 413) {
        my $goes_on = $s && !$ex->{expires};

        $self->check($ex, $goes_on ? 'status-413-first' : 'status-413-expired',
                     !defined _request_length($ex)
                     && ($ex->{announced} || 0) > $e->{limit},
                     'a body of ' . ($ex->{announced} || 0));
        $self->_end($ex) unless $goes_on;
    }

    if ($status == 502) {
        $self->check($ex, 'status-502', $e->{raw}, 'atls_payload http');
        $self->_goes_on($ex);
        $s->client($ex->{body}) if $s && !_has_records($ex);
    }

    $self->_end($ex) if $status == 500 || $status == 503 && $ex->{expires};

    if ($status == 400) {
        $s->{unsure} = 'an unreadable body' if $s;

    } elsif ($ex->{unreadable} && $status == 200) {
        $self->check($ex, 'too-large-begun', _may_be_alert($ex),
                     'no alert behind a body that can\'t be read');
    }
}


# The POST does not belong to a known session.

sub _judge_first {
    my ($self, $ex) = @_;

    my ($status, $body) = @$ex{qw( status body )};
    my $has_name = $ex->{names};
    my $whole_hello = length $body >= HELLO && looks_like_hello($body);

    if ($ex->{is_new} || $whole_hello) {
        $self->check($ex, $ex->{is_new} && $ex->{other_session}{established}
                          ? 'hello-established' : 'new', $status == 200,
                     'a ClientHello begins no session');
        return;
    }

    # too few bytes to identify a ClientHello

    if (looks_like_hello($body)) {
        $self->check($ex, 'new', $status == 200
                                 || $has_name && $status == 410,
                     'the beginning of a ClientHello begins no session');
        return;
    }

    if ($ex->{was} && $ex->{was}{gone}) {
        $self->check($ex, 'gone', $status == 410,
                     "after the end ($ex->{was}{gone})");
    }

    $self->check($ex, 'status-410', $status == 400 || $status == 410,
                 'no session, but an answer');

    return if $body =~ /^[\x14-\x17]\z/ && !$has_name;

    my $is_tls = $body =~ /^[\x14-\x17]\x03/;

    $self->check($ex, 'order-body', $status == ($has_name || $is_tls
                                                ? 410 : 400),
                 ($has_name ? 'a' : 'no') . ' name, '
                 . ($is_tls ? 'TLS' : 'no TLS'));
}


sub _judge_later {
    my ($self, $ex) = @_;

    my ($status, $s, $unsure) = @$ex{qw( status session unsure )};

    my @behind = grep { !$_->{complete} } values %{$ex->{behind} || {}};

    # POSTs that have used the session all the time

    if ($status == 200) {
        push @{$self->{overlaps}},
            map { [ $ex, $_, length $_->{response_body} ] } @behind;

    } elsif (@behind) {
        $self->check($ex, 'busy', 1, '');
    }

    if ($status == 409) {
        if (($ex->{problem}{type} // '') =~ /:not-next\z/) {
            $self->check($ex, 'status-409-next', $ex->{body} ne ''
                         && !looks_like_hello($ex->{body}),
                         'a body without records');
        } else {
            $self->check($ex, 'status-409', $ex->{overlap},
                         'no other POST is in progress');
        }

        return $self->_goes_on($ex);
    }

    if ($status == 410) {
        $self->check($ex, 'goes-on', $unsure || $ex->{overlap},
                     'nobody has ended the session');
        return $self->_end($ex);
    }

    $self->check($ex, 'hello-second', $status == 200,
                 'a second ClientHello, or a part')
        if $ex->{phase} eq 'retry' && $ex->{body} ne '';
    $self->check($ex, 'empty', $status == 200, 'an empty POST')
        if $ex->{body} eq '';
    $self->check($ex, 'status-400', $status != 400, 'a session is there');
}


# The server puts a session back, and then sends the last bytes of the response:
# another POST may be processed in between.

sub judge_overlaps {
    my ($self) = @_;

    for (splice @{$self->{overlaps}}) {
        my ($ex, $other, $n) = @$_;

        $self->check($ex, 'busy', $other->{complete}
                     && length($other->{response_body}) - $n <= RECORD,
                     "exchange $other->{n} is in progress");
    }
}


sub _end {
    my ($self, $ex) = @_;

    $ex->{session}{gone} = $ex->{status} if $ex->{session};
}


# Problem documents, and the bodies of statuses without them.

sub _judge_problem {
    my ($self, $ex) = @_;

    my ($status, $body) = @$ex{qw( status response_body )};

    if (_is_own($ex)) {
        $self->check($ex, $status == 413 ? 'problem-413' : 'status-own',
                     !_is_problem($ex) && $body !~ /\Q$TAG\E/,
                     'a problem document');
        $self->check($ex, 'problem-413',
                     _media($ex->{header}{'content-type'}) eq 'text/html',
                     'no page of HTML') if $status == 413;
        return;
    }

    return if $ex->{method} eq 'HEAD'
              && $self->check($ex, 'problem', _is_problem($ex), 'its type');

    my $problem = $ex->{problem};

    $self->check($ex, 'problem', ref $problem eq 'HASH',
                 'no problem document: '
                 . ($ex->{header}{'content-type'} || 'no type'))
        or return;

    $self->_judge_members($ex, $problem);
    $self->_judge_type($ex, $problem->{type} // '');
}


sub _judge_members {
    my ($self, $ex, $problem) = @_;

    my @missing = grep { !defined $problem->{$_} || ref $problem->{$_}
                         || $problem->{$_} eq '' }
                  qw( type title status detail );

    $self->check($ex, 'problem-members', !@missing, "without @missing");
    $self->check($ex, 'problem-members', ($problem->{status} || 0) eq
                 $ex->{status}, 'its status is another one');
}


sub _judge_type {
    my ($self, $ex, $type) = @_;

    my ($status, $s) = @$ex{qw( status session )};

    if ($status == 500) {
        $self->check($ex, 'problem-500', $type eq 'about:blank', $type);
        return;
    }

    my $known = grep { $type eq $TAG . $_ } @{$TYPES{$status}};

    $self->check($ex, 'problem-type', $known, $type) or return;

    my $name = $type =~ s/^\Q$TAG\E//r;
    my $body = $ex->{body};

    if ($status == 400) {
        $self->check($ex, 'status-400', $name eq (
                     $ex->{unreadable} ? 'unreadable-body'
                     : $body eq '' ? 'empty-body' : 'not-tls'), $name);

    } elsif ($status == 410) {
        my $elsewhere = $name eq 'session-elsewhere';

        $self->check($ex, 'problem-no-cookie', !@{$ex->{cookies}}, $name)
            if $name eq 'no-cookie';
        $self->check($ex, 'problem-no-location', !$ex->{names}
                     && $ex->{endpoint}{tracking} eq 'location', $name)
            if $name eq 'no-location';

        $self->check($ex, 'problem-elsewhere', $elsewhere ? $ex->{elsewhere}
                                               : !$ex->{elsewhere_sure}
                                                 || $s || $ex->{was}{gone},
                     $name);

        # without a cookie, none can be expired

        if (@{$ex->{cookies}}) {
            $self->check($ex, $elsewhere ? 'problem-elsewhere'
                                         : 'cookie-expired',
                         !$elsewhere == !!$ex->{expires},
                         $elsewhere ? 'expires the cookie'
                                    : 'expires no cookie');
        }

        my $t = $s || $ex->{was};

        $self->check($ex, 'problem-type', $t && !$t->{established},
                     'of a session that is not half-open')
            if $name eq 'handshake-timeout' && $t;
        $self->check($ex, 'problem-foreign', !$t, 'of this server')
            if $name eq 'session-foreign';
        $self->check($ex, 'problem-type', $t, 'without a session')
            if $name =~ /^(?:handshake-timeout|session-lost|session-refused)\z/
    }
}


# Records of both sides.

sub _may_be_alert {
    my ($ex) = @_;

    return Test::Atls::Validator::Session::ends_like_alert(
        $ex->{response_body});
}


sub _judge_records {
    my ($self, $ex) = @_;

    my $s = $ex->{begins} || $ex->{session};
    my $first = !$s || $s == ($ex->{begins} || 0);

    # a failed session, or none

    $s ||= Test::Atls::Validator::Session->new('', $ex->{endpoint}, time);

    local $ex->{session} = $s;

    my $check = sub { $self->check($ex, @_) };

    $check->('problem-502', length $ex->{response_body}, 'no records')
        if $ex->{status} == 502;

    $s->client($ex->{body});
    $s->server($ex->{response_body}, $check);
    $s->{used} = time if length $ex->{body};

    if ($first && !$ex->{too_many}) {
        my $failed = $s->{alert};

        $self->check($ex, $self->first_rule($ex, $failed ? 'failed' : 'first'),
                     $failed ? !$ex->{begins} : $ex->{begins},
                     $failed ? 'a session with an alert' : 'no session');
    }

    if ($ex->{expires}) {
        $self->check($ex, 'cookie-expired-alert', _may_be_alert($ex)
                     || $s->{ended_by_client}, 'no alert in the body');
        $s->{gone} = 'the cookie was expired';
    }

    $s->{gone} ||= 'an alert' if $s->{ended};
}


1;
