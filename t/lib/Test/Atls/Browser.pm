package Test::Atls::Browser;

# A page in a headless Chromium, by its DevTools protocol over pipes.
#
#     my $b = Test::Atls::Browser->start($t);
#     $b->look(width => 360, height => 640, dark => 1);
#     $b->open('http://127.0.0.1:8080/');
#     $b->wait('document.title === "ready"') or diag($b->value('...'));
#     $b->key('Tab');
#     is_deeply([ $b->messages() ], [], 'the console');
#
# Expressions are JavaScript, and their values those of JSON.  The browser is
# stopped with the test.

use strict;
use warnings;

use Fcntl qw( F_DUPFD );
use IO::Select;
use JSON::PP;
use MIME::Base64 qw( decode_base64 );
use POSIX qw( dup2 );
use Time::HiRes qw( sleep time );

use Test::Atls::Program qw( find_program );
use Test::Atls::Slow qw( patience );

my $JSON = JSON::PP->new()->utf8()->allow_nonref()->canonical();

my %KEYS = (Tab => 9, Enter => 13, Escape => 27, End => 35, Home => 36,
            ArrowLeft => 37, ArrowRight => 39);


# The path of Chromium; undef if it is not installed.

sub program {
    return find_program('chromium-headless-shell', 'chromium');
}


# start($t, options of the program): by default, without a proxy.

sub start {
    my ($class, $t, @options) = @_;

    @options = '--no-proxy-server' unless @options;

    my @command = (program(), '--headless', '--disable-gpu',
                   '--disable-dev-shm-usage', '--hide-scrollbars',
                   '--remote-debugging-pipe', @options,
                   $> ? () : '--no-sandbox',
                   '--user-data-dir=' . $t->path('chromium'));

    pipe my $commands, my $out or die "pipe: $!\n";
    pipe my $in, my $results or die "pipe: $!\n";

    # It reads from 3, and writes to 4, which may be numbers of these pipes.

    $t->run_daemon(sub {
        my @from = map { fcntl $_, F_DUPFD, 10 } $commands, $results;

        dup2($from[0], 3);
        dup2($from[1], 4);
        POSIX::close($_) for @from;

        open STDERR, '>', $t->path('chromium.log');
        { exec @command }
        die "$command[0]: $!\n";
    });

    my $self = bless { in => $in, out => $out, buf => '', id => 0,
                       messages => [] }, $class;

    $out->autoflush(1);

    my $target = $self->call('Target.createTarget', url => 'about:blank');

    $self->{session} = $self->call('Target.attachToTarget',
                                   targetId => $target->{targetId},
                                   flatten => JSON::PP::true)->{sessionId};
    $self->call("$_.enable") for qw( Page Runtime Log );

    return $self;
}


# A command of the protocol; returns its result.

sub call {
    my ($self, $method, %params) = @_;

    my $id = ++$self->{id};

    print { $self->{out} } $JSON->encode({
        id => $id, method => $method, params => \%params,
        $self->{session} ? (sessionId => $self->{session}) : ()
    }), "\0" or die "Chromium has ended\n";

    for ( ;; ) {
        my $message = $self->_receive($method);

        next unless ($message->{id} || 0) == $id;

        die "$method: $message->{error}{message}\n" if $message->{error};
        return $message->{result};
    }
}


sub _receive {
    my ($self, $for) = @_;

    my $until = time + patience();
    my $end;

    while (($end = index $self->{buf}, "\0") < 0) {
        IO::Select->new($self->{in})->can_read($until - time)
            or die "Chromium does not respond to $for\n";
        sysread $self->{in}, $self->{buf}, 65536, length $self->{buf}
            or die "Chromium has ended\n";
    }

    my $message = $JSON->decode(substr $self->{buf}, 0, $end);

    substr $self->{buf}, 0, $end + 1, '';

    $self->_note($message->{method}, $message->{params})
        if $message->{method};

    return $message;
}


sub _note {
    my ($self, $method, $params) = @_;

    my $text = $method eq 'Log.entryAdded'
               ? "$params->{entry}{source}: $params->{entry}{text}"
               : $method eq 'Runtime.exceptionThrown'
               ? 'exception: '
                 . ($params->{exceptionDetails}{exception}{description}
                    // $params->{exceptionDetails}{text})
               : $method eq 'Runtime.consoleAPICalled'
               ? join(' ', "$params->{type}:",
                      map { $_->{value} // $_->{description} // '' }
                      @{ $params->{args} })
               : return;

    push @{ $self->{messages} }, $text;
}


# Messages of the console since the last call, including violations of the
# Content-Security-Policy and failed requests.

sub messages {
    my ($self) = @_;

    $self->value('0');

    return splice @{ $self->{messages} };
}


# look(width => , height => , dark => 1, motion => 'reduce')

sub look {
    my ($self, %args) = @_;

    $self->call('Emulation.setDeviceMetricsOverride',
                width => ($args{width} || 1200) + 0,
                height => ($args{height} || 900) + 0,
                deviceScaleFactor => ($args{scale} || 1) + 0,
                mobile => $args{mobile} ? JSON::PP::true : JSON::PP::false);

    $self->call('Emulation.setEmulatedMedia', features => [
        { name => 'prefers-color-scheme', value => $args{dark} ? 'dark'
                                                               : 'light' },
        { name => 'prefers-reduced-motion',
          value => $args{motion} || 'no-preference' } ]);

    return $self;
}


sub open {
    my ($self, $url) = @_;

    my $result = $self->call('Page.navigate', url => $url);

    die "$url: $result->{errorText}\n" if $result->{errorText};

    return $self->wait('document.readyState === "complete"');
}


# The value of an expression, after its promise, if it is one.

sub value {
    my ($self, $expression) = @_;

    my $result = $self->call('Runtime.evaluate', expression => $expression,
                             returnByValue => JSON::PP::true,
                             awaitPromise => JSON::PP::true);

    die "$expression: $result->{exceptionDetails}{exception}{description}\n"
        if $result->{exceptionDetails};

    return $result->{result}{value};
}


sub wait {
    my ($self, $expression) = @_;

    my $until = time + patience();

    until ($self->value($expression)) {
        return 0 if time > $until;
        sleep 0.05;
    }

    return 1;
}


sub key {
    my ($self, $key, %args) = @_;

    my %event = (key => $key, code => $key,
                 windowsVirtualKeyCode => $KEYS{$key},
                 modifiers => $args{shift} ? 8 : 0);

    $self->call('Input.dispatchKeyEvent', type => 'rawKeyDown', %event);
    $self->call('Input.dispatchKeyEvent', type => 'char', text => "\r", %event)
        if $key eq 'Enter';
    $self->call('Input.dispatchKeyEvent', type => 'keyUp', %event);

    return $self;
}


sub point {
    my ($self, $x, $y) = @_;

    $self->call('Input.dispatchMouseEvent', type => 'mouseMoved', x => $x + 0,
                y => $y + 0);

    return $self;
}


# What screen readers get: [ role, name, value ] of each element that has a
# role and is not ignored.

sub accessible {
    my ($self) = @_;

    my $tree = $self->call('Accessibility.getFullAXTree');

    return map { [ map { $_->{value} // '' } @$_{qw( role name value )} ] }
           grep { !$_->{ignored} } @{ $tree->{nodes} };
}


# The page, or what can be seen of it, as a PNG.

sub screenshot {
    my ($self, $file, %args) = @_;

    my $png = $self->call('Page.captureScreenshot', format => 'png',
                          captureBeyondViewport => $args{whole}
                                                   ? JSON::PP::true
                                                   : JSON::PP::false);

    CORE::open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh decode_base64($png->{data});
    close $fh or die "$file: $!\n";

    return $self;
}


1;
