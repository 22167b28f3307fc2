<?php
// What the scenes of pdo.php do alike: random queries whose answers are known. The numbers are those
// of tests/drivers/python/plan.py. PHP has no threads: clients that run beside each other are
// processes.

declare(strict_types=1);

const CLIENTS = 12;
const QUERIES = 150;
const TEXTS = 40;
const DISTINCT = 2000;
const BIG = 1 << 20;
const DIVISION_BY_ZERO = '22012';
const SYNTAX_ERROR = '42601';
const QUERY_CANCELED = '57014';

function expect(mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        $shown = array_map(fn ($each) => substr(var_export($each, true), 0, 300), [$got, $wanted]);
        throw new RuntimeException("$shown[0] is not $shown[1]");
    }
}

/** A query whose text depends on `number`, its parameters, and the row that must come back. */
final class Question
{
    public readonly string $text;
    public readonly array $parameters;
    public readonly array $answer;

    public function __construct(public readonly int $number)
    {
        $value = mt_rand(-1000, 999);
        $word = 'w' . mt_rand(0, 999_999);
        $this->text = "select cast(? as int) + $number, cast(? as text) || '-$number'";
        $this->parameters = [$value, $word];
        $this->answer = [$value + $number, "$word-$number"];
    }

    public static function any(): self
    {
        return new self(mt_rand(0, TEXTS - 1));
    }
}

function seed(int $client): void
{
    mt_srand((int) (getenv('GREENPOOL_SEED') ?: 1) * 1000 + $client);
}

/** Run `work(client)` in CLIENTS processes at a time, each with random numbers of its own. */
function together(callable $work): void
{
    $children = [];
    for ($client = 0; $client < CLIENTS; $client++) {
        $pid = pcntl_fork();
        if ($pid === 0) {
            try {
                seed($client);
                $work($client);
                exit(0);
            } catch (Throwable $failure) {
                fwrite(STDERR, "client $client: $failure\n");
                exit(1);
            }
        }
        $children[] = $pid;
    }
    $failed = 0;
    foreach ($children as $pid) {
        pcntl_waitpid($pid, $status);
        $failed += $status !== 0 ? 1 : 0;
    }
    expect($failed, 0);
}

/** Play the scenes in order and name each one. */
function play(callable ...$scenes): void
{
    seed(-1);
    foreach ($scenes as $scene) {
        echo (new ReflectionFunction($scene))->getName(), " ...\n";
        $scene();
    }
    echo "done\n";
}
