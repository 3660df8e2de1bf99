package Test::Atls::Firefox;

# A page in a headless Firefox, which reports by requests of its own.
#
#     Test::Atls::Firefox->start($t, 'http://127.0.0.1:8080/',
#                                proxy => port, ca => file of its CA);
#
# The browser is stopped with the test.

use strict;
use warnings;

use File::Path qw( make_path );

use Test::Atls::Program qw( find_program );


# The path of Firefox; undef if it is not installed.

sub program {
    return find_program('firefox-esr', 'firefox');
}


sub start {
    my ($class, $t, $url, %args) = @_;

    my $profile = $t->path('firefox');

    make_path($profile, $t->path('firefox-home'));
    $t->write_file('firefox/user.js', join '', map { "user_pref($_);\n" }
                                               _prefs($args{proxy}));

    system("certutil -N -d sql:$profile --empty-password"
           . " && certutil -A -d sql:$profile -n ca -t C,, -i $args{ca}") == 0
        or die "certutil: is libnss3-tools installed?\n";

    $t->run_daemon(sub {
        $ENV{HOME} = $t->path('firefox-home');
        $ENV{MOZ_CRASHREPORTER_DISABLE} = 1;

        open STDOUT, '>', $t->path('firefox.log');
        open STDERR, '>&', \*STDOUT;
        { exec program(), '--headless', '--no-remote', '--profile', $profile,
               $url }
        die "firefox: $!\n";
    });
}


# No first page, no connections of its own, and the proxy.

sub _prefs {
    my ($port) = @_;

    my %prefs = (
        'app.normandy.enabled' => 'false',
        'app.update.enabled' => 'false',
        'browser.aboutwelcome.enabled' => 'false',
        'browser.shell.checkDefaultBrowser' => 'false',
        'browser.startup.homepage_override.mstone' => '"ignore"',
        'browser.tabs.remote.autostart' => 'true',
        'datareporting.policy.dataSubmissionEnabled' => 'false',
        'extensions.update.enabled' => 'false',
        'network.captive-portal-service.enabled' => 'false',
        'network.connectivity-service.enabled' => 'false',
        'network.proxy.allow_hijacking_localhost' => 'true',
        'network.proxy.http' => '"127.0.0.1"',
        'network.proxy.http_port' => $port,
        'network.proxy.no_proxies_on' => '"localhost"',
        'network.proxy.ssl' => '"127.0.0.1"',
        'network.proxy.ssl_port' => $port,
        'network.proxy.type' => 1,
        'services.settings.server' => '"http://127.0.0.1:1/"',
        'toolkit.telemetry.reportingpolicy.firstRun' => 'false',
    );

    return map { "\"$_\", $prefs{$_}" } sort keys %prefs;
}


1;
