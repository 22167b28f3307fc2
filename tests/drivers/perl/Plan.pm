# What the scenes of dbd_pg.pl do alike: random queries whose answers are known. The numbers are those
# of tests/drivers/python/plan.py. Clients that run beside each other are processes.
package Plan;

use v5.36;
use Exporter 'import';

our @EXPORT = qw(
    CLIENTS QUERIES TEXTS DISTINCT BIG DIVISION_BY_ZERO SYNTAX_ERROR
    below expect question together play
);

use constant {
    CLIENTS          => 12,
    QUERIES          => 150,
    TEXTS            => 40,
    DISTINCT         => 2000,
    BIG              => 1 << 20,
    DIVISION_BY_ZERO => '22012',
    SYNTAX_ERROR     => '42601',
};

my $seed = $ENV{GREENPOOL_SEED} // 1;

# A random whole number below a bound.
sub below ($bound) { return int rand $bound }

sub expect ($got, $wanted) {
    my ($left, $right) = map { ref $_ ? join '|', @$_ : $_ } $got, $wanted;
    die substr($left, 0, 300), ' is not ', substr($right, 0, 300), "\n" if $left ne $right;
}

# A query whose text depends on its number, its parameters, and the row that must come back.
sub question ($number = below(TEXTS)) {
    my ($value, $word) = (below(2000) - 1000, 'w' . below(1_000_000));
    return {
        number     => $number,
        text       => "select cast(? as int) + $number, cast(? as text) || '-$number'",
        parameters => [$value, $word],
        answer     => [$value + $number, "$word-$number"],
    };
}

# Run work(client) in CLIENTS processes at a time, each with random numbers of its own.
sub together ($work) {
    my @children;
    for my $client (0 .. CLIENTS - 1) {
        my $pid = fork // die "cannot fork: $!\n";
        if (!$pid) {
            srand $seed * 1000 + $client;
            my $done = eval { $work->($client); 1 };
            print STDERR "client $client: $@" if !$done;
            exit($done ? 0 : 1);
        }
        push @children, $pid;
    }
    my $failed = 0;
    for my $pid (@children) {
        waitpid $pid, 0;
        $failed++ if $?;
    }
    expect($failed, 0);
}

# Play the scenes, pairs of name and code, in order and name each one.
sub play (@scenes) {
    local $| = 1;
    srand $seed;
    while (my ($name, $scene) = splice @scenes, 0, 2) {
        say "$name ...";
        $scene->();
    }
    say 'done';
}

1;
