package Test::Atls::Stock;

# An nginx that runs the stock configuration of a package, with changed paths,
# user and ports:
#
#     my $t = Test::Atls::Stock->new('debian-12', block => 'location ...');
#     ... files in $t->html() ...
#     $t->run();
#
# The block is added at the end of the server, which listens on port(0).  The
# rest is as in Test::Atls, except that plan() must include one test for each
# finish().

use strict;
use warnings;

use parent 'Test::Atls';

use File::Find qw( find );
use File::Path qw( make_path );

our @NAMES = qw( debian-12 debian-13 nginx.org );

# where packages install the configuration and files of the server

my %LAYOUTS = (
    'debian-12' => { site => 'sites-available/default', html => 'var/www/html',
                     enabled => 'sites-enabled/default' },
    'debian-13' => { site => 'sites-available/default', html => 'var/www/html',
                     enabled => 'sites-enabled/default' },
    'nginx.org' => { site => 'conf.d/default.conf',
                     html => 'usr/share/nginx/html' },
);


sub new {
    my ($class, $name, %args) = @_;

    my $self = $class->SUPER::new(workers => 1, %args, stock => $name);

    $self->{layout} = $LAYOUTS{$name};
    $self->{conf} = 'etc/nginx/nginx.conf';

    return $self;
}


sub html { $_[0]->path($_[0]{layout}{html}) }


sub run {
    my ($self) = @_;

    $self->_install();
    $self->SUPER::run();

    return $self;
}


# Copies /etc/nginx of the package to the test's directory.

sub _install {
    my ($self) = @_;

    my $from = $self->root() . "/t/conf/$self->{stock}";
    my $etc = 'etc/nginx';
    my $site = $self->{layout}{site};

    find(sub {
        return unless -f $_;
        my $name = $File::Find::name =~ s!^\Q$from\E/!!r;
        my $text = $self->read_file($File::Find::name);

        $text = $self->_site($text) if $name eq $site;
        $self->write_file("$etc/$name", $self->_paths($text));
    }, $from);

    make_path(map { $self->path($_) } "$etc/sites-enabled", 'var/log/nginx');

    symlink "../$site", $self->path("$etc/$self->{layout}{enabled}")
        if $self->{layout}{enabled};

    $self->_module("$etc/modules-enabled/50-mod-http-atls.conf");

    # the default paths of the package are used by the system

    my ($paths) = $self->_globals_http() =~ /((?:\s*\w+_temp_path .*\n)+)/;
    $self->write_file("$etc/conf.d/paths.conf", $paths);
}


# Debian's configuration includes files that load modules; in that of nginx.org,
# the line is added at the beginning.

sub _module {
    my ($self, $file) = @_;

    my $module = $self->module() or return;
    my $line = "load_module $module;\n";

    if ($self->{layout}{enabled}) {
        $self->write_file($file, $line);
    } else {
        $self->write_file($self->{conf},
                          $line . $self->read_file($self->{conf}));
    }
}


sub _paths {
    my ($self, $text) = @_;

    my $dir = $self->dir();

    $text =~ s!(?<=[\s;])(?=/(?:etc/nginx|usr/share|var/www)/)!$dir!g;
    $text =~ s!(?<=\s)/var/log/nginx/error\.log!$dir/error.log!g;
    $text =~ s!(?<=\s)/var/log/nginx/!$dir/var/log/nginx/!g;
    $text =~ s!(?<=\s)/run/nginx\.pid!$dir/nginx.pid!g;
    $text =~ s!^\s*user\s+\K[\w-]+!root!m;

    return $text;
}


sub _site {
    my ($self, $text) = @_;

    my $port = $self->port(0);
    my $block = $self->expand($self->{block});

    $text =~ s/^\s*listen\s+\K80\b/127.0.0.1:$port/m;
    $text =~ s/^\s*listen \[::\]:80 .*\n//m;
    $text =~ s/\A(.*?^server \{.*?)^\}/$1\n$block}/ms
        or die "$self->{layout}{site} has no server\n";

    return $text;
}


sub _options { ('-g', 'daemon off;') }


# At the level "error", the log does not contain the start of workers.

sub workers {
    my ($self) = @_;

    my $pid = $self->pid() or return ();
    my @children = split ' ', $self->read_file("/proc/$pid/task/$pid/children");

    return grep {
        $self->read_file("/proc/$_/cmdline") =~ /worker process/
    } @children;
}


sub _started { scalar $_[0]->workers() }


# The size of responses in temporary files that were removed.

sub spooled {
    my ($self) = @_;

    my $bytes = 0;

    for my $pid ($self->workers()) {
        for my $fd (glob "/proc/$pid/fd/*") {
            my $name = readlink $fd;
            $bytes += -s $fd || 0
                if defined $name && $name =~ / \(deleted\)$/ && -f $fd;
        }
    }

    return $bytes;
}


1;
