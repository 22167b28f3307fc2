<?php
// PDO: statements prepared under numbered names and deallocated by SQL, emulated ones, COPY, large
// objects; and the pgsql extension for what PDO cannot do, cancelling.

declare(strict_types=1);

require __DIR__ . '/plan.php';

const EMULATED = [PDO::ATTR_EMULATE_PREPARES => true];
const UNNAMED = [PDO::PGSQL_ATTR_DISABLE_PREPARES => true];

function connect(array $options = []): PDO
{
    $at = parse_url(getenv('GREENPOOL_DSN'));
    $database = ltrim($at['path'], '/');
    $dsn = "pgsql:host=$at[host];port=$at[port];dbname=$database";
    return new PDO($dsn, $at['user'], $at['pass'], $options);
}

function ask(PDO $pdo, Question $asked): void
{
    $statement = $pdo->prepare($asked->text);
    $statement->execute($asked->parameters);
    expect($statement->fetch(PDO::FETCH_NUM), $asked->answer);
}

function fails(string $sqlstate, callable $work): void
{
    try {
        $work();
    } catch (PDOException $failure) {
        expect($failure->getCode(), $sqlstate);
        return;
    }
    throw new RuntimeException("it did not fail with $sqlstate");
}

function failSomehow(PDO $pdo): void
{
    if (mt_rand(0, 1)) {
        $statement = $pdo->prepare('select 1 / cast(? as int)');
        fails(DIVISION_BY_ZERO, fn () => $statement->execute([0]));
    } else {
        fails(SYNTAX_ERROR, fn () => $pdo->prepare('selct ?')->execute([0]));
    }
}

function transact(PDO $pdo): void
{
    $pid = fn () => $pdo->query('select pg_backend_pid()')->fetchColumn();
    $pdo->beginTransaction();
    $first = $pid();
    ask($pdo, Question::any());
    $pdo->exec('savepoint s');
    failSomehow($pdo);
    $pdo->exec('rollback to s');
    ask($pdo, Question::any());
    expect($pid(), $first);
    mt_rand(0, 1) ? $pdo->commit() : $pdo->rollBack();
}

function clientsAskAtRandom(): void
{
    together(function (int $client): void {
        $pdo = connect([[], EMULATED, UNNAMED][$client % 3]);
        for ($i = 0; $i < QUERIES; $i++) {
            $chance = mt_rand(0, 99);
            if ($chance < 80) {
                ask($pdo, Question::any());
            } elseif ($chance < 90) {
                failSomehow($pdo);
            } else {
                transact($pdo);
            }
        }
    });
}

/** pdo_stmt_00000001 is another text in each client, and lives as long as its object. */
function oneNameMeansDifferentTexts(): void
{
    together(function (int $client): void {
        $pdo = connect();
        $asked = new Question(1000 + $client);
        $kept = $pdo->prepare($asked->text);
        for ($i = 0; $i < 30; $i++) {
            $kept->execute($asked->parameters);
            expect($kept->fetchAll(PDO::FETCH_NUM), [$asked->answer]);
            ask($pdo, new Question(2000 + mt_rand(0, 99)));
        }
    });
}

function transactionsCommitAndRollBack(): void
{
    connect()->exec('create table accounts (client int primary key, n int)');
    together(function (int $client): void {
        $pdo = connect();
        $pdo->exec("insert into accounts values ($client, 0)");
        $update = $pdo->prepare('update accounts set n = n + 1 where client = ?');
        $kept = 0;
        for ($i = 0; $i < 20; $i++) {
            $pdo->beginTransaction();
            $update->execute([$client]);
            $commits = mt_rand(0, 1);
            $commits ? $pdo->commit() : $pdo->rollBack();
            $kept += $commits;
        }
        $n = $pdo->query("select n from accounts where client = $client")->fetchColumn();
        expect($n, $kept);
    });
}

function settingsFollowTheirClient(): void
{
    together(function (int $client): void {
        $pdo = connect();
        $pdo->exec("set work_mem = '" . (100 + $client) . "MB'");
        $pdo->exec("set search_path = 's$client', public");
        for ($i = 0; $i < 20; $i++) {
            ask($pdo, Question::any());
            expect($pdo->query('show work_mem')->fetchColumn(), (100 + $client) . 'MB');
            expect($pdo->query('show search_path')->fetchColumn(), "s$client, public");
        }
    });
}

function copiesBothWays(): void
{
    $rows = array_map(fn ($n) => "$n\trow $n\n", range(1, 5000));
    $pdo = connect();
    $pdo->beginTransaction();
    $pdo->exec('create temp table copied (n int, t text) on commit drop');
    expect($pdo->pgsqlCopyFromArray('copied', $rows), true);
    expect($pdo->pgsqlCopyToArray('copied'), $rows);
    $pdo->rollBack();
}

function largeObjects(): void
{
    $data = random_bytes(BIG);
    $pdo = connect();
    $pdo->beginTransaction();
    $oid = $pdo->pgsqlLOBCreate();
    $stream = $pdo->pgsqlLOBOpen($oid, 'w');
    expect(fwrite($stream, $data), BIG);
    $stream = null;
    $pdo->commit();
    $pdo->beginTransaction();
    expect(stream_get_contents($pdo->pgsqlLOBOpen($oid, 'r')), $data);
    $pdo->pgsqlLOBUnlink($oid);
    $pdo->commit();
}

function longQueriesAreCancelled(): void
{
    $pdo = connect();
    $pdo->exec('set statement_timeout = 50');
    fails(QUERY_CANCELED, fn () => $pdo->query('select pg_sleep(600)'));
    $pdo->exec('reset statement_timeout');
    ask($pdo, Question::any());

    $connection = pg_connect(getenv('GREENPOOL_DSN'));
    pg_send_query($connection, 'select pg_sleep(600)');
    $seen = connect()->prepare(
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'"
    );
    do {
        $seen->execute();
    } while ($seen->fetchColumn() === 0);
    pg_cancel_query($connection);
    $result = pg_query($connection, 'select 1');
    expect(pg_fetch_row($result), ['1']);
}

function aLargeParameter(): void
{
    $value = str_repeat('g', BIG);
    foreach ([[], EMULATED, UNNAMED] as $options) {
        $statement = connect($options)->prepare('select cast(? as text) as t, length(?) as n');
        $statement->execute([$value, $value]);
        expect($statement->fetch(PDO::FETCH_NUM), [$value, BIG]);
    }
}

function moreTextsThanAServerHolds(): void
{
    together(function (): void {
        $pdo = connect();
        $statements = [];
        for ($number = 0; $number < intdiv(DISTINCT, CLIENTS); $number++) {
            $statements[$number] = $pdo->prepare((new Question($number))->text);
        }
        for ($i = 0; $i < 300; $i++) {
            $asked = new Question(array_rand($statements));
            $statements[$asked->number]->execute($asked->parameters);
            expect($statements[$asked->number]->fetch(PDO::FETCH_NUM), $asked->answer);
        }
    });
}

play(
    clientsAskAtRandom(...),
    oneNameMeansDifferentTexts(...),
    transactionsCommitAndRollBack(...),
    settingsFollowTheirClient(...),
    copiesBothWays(...),
    largeObjects(...),
    longQueriesAreCancelled(...),
    aLargeParameter(...),
    moreTextsThanAServerHolds(...),
);
