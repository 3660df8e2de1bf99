package Test::Atls::Validator::Check;

# The checks of Test::Atls::Validator for requests and responses, which are
# processed as they are received: the session of a POST, and what is known of
# it.  Complete responses are checked by Test::Atls::Validator::Judge, records
# by Test::Atls::Validator::Session.

use strict;
use warnings;

use Time::HiRes qw( time );

use Test::Atls::Validator::Hello qw( HELLO looks_like_hello );
use Test::Atls::Validator::Rules qw( %RULES );
use Test::Atls::Validator::Session;

use parent 'Test::Atls::Validator::Judge';

use constant {
    MEGABYTE => 1048576,
    COOKIES  => 16,             # cookies that are tried
    SLACK    => 2,              # seconds
    CUT      => 60,             # seconds that a cut POST may still be processed
};


sub new {
    my ($class, %args) = @_;

    my $self = bless { secure => 0, %args, sessions => {}, overlaps => [],
                       violations => [], applied => {}, n => 0 }, $class;

    for my $uri (keys %{$self->{endpoints}}) {
        my $e = $self->{endpoints}{$uri};

        %$e = (uri => $uri, path => $uri, name => 'atls', limit => MEGABYTE,
               raw => 0, psk => 0, tickets => 1, handshake_timeout => 10,
               tracking => 'cookie',
               session_timeout => 600, %$e);
    }

    return $self;
}


sub applied { $_[0]{applied} }


sub violations {
    my ($self) = @_;

    $self->judge_overlaps();

    my $violations = $self->{violations};

    $self->{violations} = [];

    return $violations;
}


sub check {
    my ($self, $ex, $rule, $ok, $what) = @_;

    die "no check of $rule\n" if @_ != 5 || !$RULES{$rule};

    $self->{applied}{$rule}++;

    push @{$self->{violations}}, { rule => $rule, what => _tell($ex, $what) }
        unless $ok;

    return $ok;
}


sub _tell {
    my ($ex, $what) = @_;

    my $session = $ex->{session} ? substr $ex->{session}{value}, 0, 6 : 'none';

    return sprintf '%s; exchange %d, %s %s, session %s: %s', $what, $ex->{n},
                   $ex->{method} || '-', $ex->{uri} || '-', $session,
                   $ex->{status} || '-';
}


# Events of a connection.  Exchanges wait for their responses in a queue;
# "reading" is the one whose request is not complete.

sub connection { return { queue => [] } }


sub method {
    my ($self, $c) = @_;

    return $c->{queue}[0] ? $c->{queue}[0]{method} : undef;
}


sub request {
    my ($self, $c, $head) = @_;

    my $ex = { %$head, n => ++$self->{n}, body => '', response_body => '',
               begun => time };
    my $uri = $ex->{uri} =~ s!^http://[^/]*!!r =~ s/\?.*//sr;

    $self->find_endpoint($ex, $uri);
    push @{$c->{queue}}, $c->{reading} = $ex;
    $self->_find_session($ex) if $ex->{endpoint};
}


sub request_body {
    my ($self, $c, $bytes) = @_;

    my $ex = $c->{reading};

    $ex->{body} .= $bytes;
    $self->_leave_if_new($ex);
}


# A body is too large as soon as the size of a chunk says so.

sub request_chunk {
    my ($self, $c, $size) = @_;

    my $ex = $c->{reading};

    $ex->{announced} = length($ex->{body}) + $size;
}


sub request_end {
    my ($self, $c) = @_;

    my $ex = delete $c->{reading};

    $ex->{request_ended} = 1;
    $self->_leave_if_new($ex);
}


# A request belongs to the endpoint if only its body cannot be parsed.

sub request_bad {
    my ($self, $c, $why, $in_body) = @_;

    my $ex = delete $c->{reading};

    if ($ex) {
        $ex->{unreadable} = $why;
        return;
    }

    push @{$c->{queue}}, { n => ++$self->{n}, method => 'bad', body => '',
                           response_body => '', begun => time };
}


sub response {
    my ($self, $c, $head) = @_;

    my $ex = $c->{queue}[0]
        or return $self->check({ n => $self->{n} }, 'nothing-by-itself', 0,
                               'a response without a request');

    if ($head->{interim}) {
        $ex->{interim}{$head->{status}}++;
        return;
    }

    $ex->{response} = $head;
    $ex->{status} = $head->{status};
    $self->take_created($ex);
    $ex->{cookies_set} = [ $self->_set_cookies($ex) ];
    $self->_begin_session($ex) if $ex->{endpoint};
}


sub response_body {
    my ($self, $c, $bytes) = @_;

    my $ex = $c->{queue}[0] or return;

    $ex->{response_body} .= $bytes;
}


sub response_end {
    my ($self, $c) = @_;

    my $ex = shift @{$c->{queue}} or return;

    $ex->{complete} = 1;
    $self->_leave($ex);
    $self->judge($ex) if $ex->{endpoint};
}


sub response_bad {
    my ($self, $c, $why) = @_;

    my $ex = shift @{$c->{queue}}
        or return $self->check({ n => $self->{n} }, 'nothing-by-itself', 0,
                               "bytes without a request: $why");

    $self->check($ex, 'framing', 0, "the response can't be read: $why")
        unless $c->{client_closed} || !$ex->{endpoint};
    $self->_cut($ex);
}


sub client_closed {
    my ($self, $c) = @_;

    $c->{client_closed} = 1;
}


sub server_closed {
    my ($self, $c) = @_;

    for my $ex (splice @{$c->{queue}}) {
        $self->check($ex, 'framing', 0, 'no response')
            unless $c->{client_closed} || !$ex->{endpoint}
                   || $ex->{unreadable};
        $self->_cut($ex);
    }
}


# The session is lost for the client.  It is unknown when it ends in the server.

sub _cut {
    my ($self, $ex) = @_;

    $self->_leave($ex);

    if ($ex->{session}) {
        $ex->{session}{unsure} = 'a POST was cut';
        $ex->{session}{cut} = time;
    }
}


# Finds the session of a POST: that of its URI, or the first cookie with a
# session of the endpoint.  A session is unsure if it may have ended.

sub _find_session {
    my ($self, $ex) = @_;

    my $e = $ex->{endpoint};
    my @values = map { /^\Q$e->{name}\E=(.*)\z/s ? $1 : () }
                 map { split /;[ \t]*/, $_->[1] }
                 grep { $_->[0] eq 'cookie' } @{$ex->{headers}};

    @values = () if $e->{tracking} eq 'location';

    # with a URI, other cookies do not matter

    if (defined $ex->{name}) {
        $ex->{cookies} = [ grep { $_ eq $ex->{name} } @values ];
        @values = $ex->{name};

    } else {
        $ex->{cookies} = [ @values ];
    }

    $ex->{names} = @values;

    # it is not specified whether cookies with invalid values are counted

    my @rest = @values > COOKIES ? splice @values, COOKIES : ();

    $ex->{too_many} = grep { $self->{sessions}{$_} } @rest;

    my @sessions = map { $self->{sessions}{$_} || () } @values;
    my @own = grep { $_->{endpoint} == $e && !$_->{gone} } @sessions;

    $ex->{elsewhere} = grep { $_->{endpoint} != $e } @sessions;
    $ex->{elsewhere_sure} = grep { $_->{endpoint} != $e && !$_->{gone}
                                   && !$self->_may_have_ended($_) } @sessions;
    $ex->{was} = @own ? undef : $sessions[0];

    my $session = $own[0] or return;

    $ex->{session} = $session;
    $ex->{unsure} = $self->_may_have_ended($session);
    $ex->{several} = @own > 1;
    $ex->{phase} = $session->phase();
    $ex->{mid_record} = $session->mid_record();
    $self->_enter($ex, $session);
}


sub _may_have_ended {
    my ($self, $s) = @_;

    my $now = time + SLACK;
    my $e = $s->{endpoint};

    return $s->{unsure} ? $s->{unsure}
           : $now - $s->{used} > $e->{session_timeout} ? 'the time is over'
           : !$s->{established} && $now - $s->{born}
                                   > $e->{handshake_timeout}
             ? 'the time of the handshake is over' : '';
}


# Other POSTs of the session are in progress.

sub _enter {
    my ($self, $ex, $session) = @_;

    my $cut = $session->{cut} && time - $session->{cut} < CUT;

    for my $other (values %{$session->{active}}) {
        $ex->{overlap} = $other->{overlap} = 1;

        # this one certainly uses the session until its response ends

        $ex->{behind}{$other->{n}} = $other
            if $other->{status} && $other->{status} == 200;
    }

    $ex->{overlap} ||= $cut;
    $session->{active}{$ex->{n}} = $ex;
}


sub _leave {
    my ($self, $ex) = @_;

    delete $ex->{session}{active}{$ex->{n}} if $ex->{session};
}


# A ClientHello of a new session does not affect that of the cookie.

sub _leave_if_new {
    my ($self, $ex) = @_;

    my $s = $ex->{session};

    return if !$s || $ex->{is_new} || !$ex->{request_ended}
                                      && length $ex->{body} < HELLO;

    return if length $ex->{body} < HELLO || !looks_like_hello($ex->{body});

    # half-open sessions that wait for it, unless used by another POST

    return if $ex->{mid_record} || $ex->{phase} =~ /^(?:hello|retry)\z/;

    $ex->{is_new} = 1;
    $ex->{other_session} = $s;
    $self->_leave($ex);
    delete $ex->{session};
}


# Set-Cookie headers with the endpoint's name: { value, attributes, expired,
# age }.

sub _set_cookies {
    my ($self, $ex) = @_;

    my $e = $ex->{endpoint} or return;
    my @cookies;

    for (grep { $_->[0] eq 'set-cookie' } @{$ex->{response}{headers}}) {
        my ($pair, @attributes) = split /; */, $_->[1];

        $pair =~ /^\Q$e->{name}\E=(.*)\z/s or next;

        my $value = $1;
        my ($age) = map { /^max-age=(\d+)\z/i } @attributes;

        push @cookies, { value => $value, attributes => \@attributes,
                         age => $age, expired => defined $age && !$age };
    }

    return @cookies;
}


# The client may use the cookie as soon as the header was received.

sub _begin_session {
    my ($self, $ex) = @_;

    my ($cookie) = grep { !$_->{expired} } @{$ex->{cookies_set}};
    my $value = $self->location_name($ex) // ($cookie || {})->{value};

    return unless defined $value;

    return if $ex->{session} && $ex->{session}{value} eq $value;

    $self->check($ex, 'cookie-new', !$self->{sessions}{$value},
                 'a cookie that another session had');

    $ex->{begins} = Test::Atls::Validator::Session->new($value,
                                                        $ex->{endpoint}, time);
    $self->{sessions}{$value} = $ex->{begins};

    # the session of the request's cookie remains that of the exchange

    unless ($ex->{session}) {
        $ex->{session} = $ex->{begins};
        $ex->{session}{active}{$ex->{n}} = $ex;
    }
}


1;
