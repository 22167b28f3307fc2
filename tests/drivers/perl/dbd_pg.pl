# DBD::Pg: statements that it names itself and deallocates by SQL, its ping, COPY, large objects,
# asynchronous queries and their cancelling.

use v5.36;
use FindBin;
use lib $FindBin::Bin;
use DBI;
use DBD::Pg qw(:async :pg_types);
use Time::HiRes qw(sleep);
use Plan;

sub client (%options) {
    my ($user, $password, $host, $port, $database) =
        $ENV{GREENPOOL_DSN} =~ m{^postgresql://(\w+):(\w+)\@([\w.]+):(\d+)/(\w+)};
    my %settings = (RaiseError => 1, PrintError => 0, AutoCommit => 1, %options);
    return DBI->connect("dbi:Pg:dbname=$database;host=$host;port=$port",
        $user, $password, \%settings);
}

sub ask ($client, $asked, $attributes = {}) {
    my $statement = $client->prepare($asked->{text}, $attributes);
    $statement->execute($asked->{parameters}->@*);
    expect($statement->fetchrow_arrayref, $asked->{answer});
    expect(defined $statement->fetchrow_arrayref ? 1 : 0, 0);
}

# Ask with a statement that is kept, by the text.
sub ask_kept ($client, $asked) {
    my $statement = $client->prepare_cached($asked->{text});
    my $rows      = $client->selectall_arrayref($statement, {}, $asked->{parameters}->@*);
    expect($rows->[0], $asked->{answer});
}

sub fails ($client, $sqlstate, $work) {
    die "it did not fail with $sqlstate\n" if eval { $work->(); 1 };
    expect($client->state, $sqlstate);
}

sub fail_somehow ($client) {
    my ($sqlstate, $text) =
        below(2)
        ? (DIVISION_BY_ZERO, 'select 1 / cast(? as int)')
        : (SYNTAX_ERROR, 'selct cast(? as int)');
    fails($client, $sqlstate, sub { $client->selectrow_array($text, {}, 0) });
}

sub transact ($client) {
    my $pid = sub { ($client->selectrow_array('select pg_backend_pid()'))[0] };
    $client->begin_work;
    my $first = $pid->();
    ask($client, question());
    $client->pg_savepoint('s');
    fail_somehow($client);
    $client->pg_rollback_to('s');
    ask_kept($client, question());
    expect($pid->(), $first);
    below(2) ? $client->commit : $client->rollback;
}

sub clients_ask_at_random {
    together(sub ($number) {
        my $client = client();
        for (1 .. QUERIES) {
            my $chance = below(100);
            if    ($chance < 40) { ask_kept($client, question()) }
            elsif ($chance < 60) { ask($client, question()) }
            elsif ($chance < 75) { ask($client, question(), { pg_server_prepare => 0 }) }
            elsif ($chance < 80) { expect($client->ping > 0 ? 1 : 0, 1) }
            elsif ($chance < 90) { fail_somehow($client) }
            else                 { transact($client) }
        }
        $client->disconnect;
    });
}

sub transactions_commit_and_roll_back {
    client()->do('create table accounts (client int primary key, n int)');
    together(sub ($number) {
        my $client = client(AutoCommit => 0);
        $client->do('insert into accounts values (?, 0)', {}, $number);
        $client->commit;
        my $update = $client->prepare('update accounts set n = n + 1 where client = ?');
        my $kept   = 0;
        for (1 .. 20) {
            $update->execute($number);
            if   (below(2)) { $client->commit; $kept++ }
            else            { $client->rollback }
        }
        my ($n) = $client->selectrow_array('select n from accounts where client = ?', {}, $number);
        expect($n, $kept);
        $client->rollback;
        $client->disconnect;
    });
}

sub settings_follow_their_client {
    together(sub ($number) {
        my $client = client();
        $client->do("set work_mem = '${\(100 + $number)}MB'");
        $client->do("set search_path = s$number, public");
        for (1 .. 20) {
            ask($client, question());
            expect($client->selectrow_arrayref('show work_mem'), [100 + $number . 'MB']);
            expect($client->selectrow_arrayref('show search_path'), ["s$number, public"]);
        }
        $client->disconnect;
    });
}

sub copies_both_ways {
    my @lines  = map {"$_\trow $_\n"} 1 .. 5000;
    my $client = client(AutoCommit => 0);
    $client->do('create temp table copied (n int, t text) on commit drop');
    $client->do('copy copied from stdin');
    $client->pg_putcopydata($_) for @lines;
    $client->pg_putcopyend;
    $client->do('copy (select n, t from copied order by n) to stdout');
    my @got;
    while ($client->pg_getcopydata(my $line) >= 0) { push @got, $line }
    expect(\@got, \@lines);
    $client->rollback;
    $client->disconnect;
}

sub large_objects {
    my $data   = join '', map { chr below(256) } 1 .. 100_000;
    my $client = client(AutoCommit => 0);
    my $oid    = $client->pg_lo_creat($client->{pg_INV_WRITE} | $client->{pg_INV_READ});
    my $handle = $client->pg_lo_open($oid, $client->{pg_INV_WRITE});
    expect($client->pg_lo_write($handle, $data, length $data), length $data);
    $client->commit;
    $handle = $client->pg_lo_open($oid, $client->{pg_INV_READ});
    expect($client->pg_lo_read($handle, my $read = '', 200_000), length $data);
    expect($read eq $data ? 1 : 0, 1);
    $client->pg_lo_unlink($oid);
    $client->commit;
    $client->disconnect;
}

# As for a direct connection, a cancel that comes before its query runs is without effect.
sub long_queries_are_cancelled {
    together(sub ($number) {
        my $client    = client();
        my $cancelled = 0;
        for (1 .. 5) {
            $client->do("select pg_sleep(2), $number", { pg_async => PG_ASYNC });
            sleep 0.01 + rand 0.02;
            $cancelled++ if $client->pg_cancel;
            ask($client, question());
        }
        expect($cancelled > 0 ? 1 : 0, 1);
        $client->disconnect;
    });
}

sub a_large_parameter {
    my $client = client();
    my $value  = 'g' x BIG;
    expect($client->selectrow_arrayref('select cast(? as text), length(?)', {}, $value, $value),
        [$value, BIG]);
    $client->disconnect;
}

sub more_texts_than_a_server_holds {
    together(sub ($number) {
        my $client = client();
        my $texts  = int(DISTINCT / CLIENTS);
        my @kept   = map { $client->prepare(question($_)->{text}, { pg_prepare_now => 1 }) }
            0 .. $texts - 1;
        for (1 .. 300) {
            my $asked = question(below($texts));
            my $kept  = $kept[$asked->{number}];
            $kept->execute($asked->{parameters}->@*);
            expect($kept->fetchall_arrayref->[0], $asked->{answer});
        }
        undef @kept;
        $client->disconnect;
    });
}

play(
    clients_ask_at_random             => \&clients_ask_at_random,
    transactions_commit_and_roll_back => \&transactions_commit_and_roll_back,
    settings_follow_their_client      => \&settings_follow_their_client,
    copies_both_ways                  => \&copies_both_ways,
    large_objects                     => \&large_objects,
    long_queries_are_cancelled        => \&long_queries_are_cancelled,
    a_large_parameter                 => \&a_large_parameter,
    more_texts_than_a_server_holds    => \&more_texts_than_a_server_holds,
);
