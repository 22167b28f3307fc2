// pgx's own interface: a statement cache on each connection, batches, pipelines, COPY, cursors.
package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"greenpool/drivers/plan"
)

var ctx = context.Background()

// withClients runs work on a connection each for all clients at a time.
func withClients(cache int, work func(*pgx.Conn, *rand.Rand) error) error {
	return plan.Together(func(_ int, rng *rand.Rand) error {
		config, err := pgx.ParseConfig(plan.DSN())
		if err != nil {
			return err
		}
		config.StatementCacheCapacity = cache
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		return work(conn, rng)
	})
}

type asker interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func ask(conn asker, q plan.Question, name string) error {
	var sum int
	var word string
	if err := conn.QueryRow(ctx, name, q.Value, q.Word).Scan(&sum, &word); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return q.Check(sum, word)
}

func askText(conn asker, q plan.Question) error { return ask(conn, q, q.Text()) }

func fail(conn asker, rng *rand.Rand) error {
	var ignored int
	if rng.Intn(2) == 0 {
		err := conn.QueryRow(ctx, "select 1 / $1::int", 0).Scan(&ignored)
		return plan.WantState(err, plan.DivisionByZero)
	}
	err := conn.QueryRow(ctx, fmt.Sprintf("selct %d", rng.Intn(9))).Scan(&ignored)
	return plan.WantState(err, plan.SyntaxError)
}

func transact(conn *pgx.Conn, rng *rand.Rand) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var first, last uint32
		if err := tx.QueryRow(ctx, "select pg_backend_pid()").Scan(&first); err != nil {
			return err
		}
		if err := askText(tx, plan.Ask(rng)); err != nil {
			return err
		}
		nested := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			return inner.QueryRow(ctx, "select 1 / $1::int", 0).Scan(new(int))
		})
		if err := plan.WantState(nested, plan.DivisionByZero); err != nil {
			return err
		}
		if err := askText(tx, plan.Ask(rng)); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "select pg_backend_pid()").Scan(&last); err != nil {
			return err
		}
		if first != last {
			return fmt.Errorf("the transaction moved from %d to %d", first, last)
		}
		return nil
	})
}

func clientsAskAtRandom() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		for range plan.Queries {
			var err error
			switch chance := rng.Intn(100); {
			case chance < 80:
				err = askText(conn, plan.Ask(rng))
			case chance < 90:
				err = fail(conn, rng)
			default:
				err = transact(conn, rng)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func oneNameMeansDifferentTexts() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		for range 10 {
			number := rng.Intn(5000)
			if _, err := conn.Prepare(ctx, "mine", plan.AskNumber(rng, number).Text()); err != nil {
				return err
			}
			for range 5 {
				if err := ask(conn, plan.AskNumber(rng, number), "mine"); err != nil {
					return err
				}
			}
			if err := conn.Deallocate(ctx, "mine"); err != nil {
				return err
			}
		}
		return nil
	})
}

// statementsAreDeallocated has a cache of five close what it prepared.
func statementsAreDeallocated() error {
	return withClients(5, func(conn *pgx.Conn, rng *rand.Rand) error {
		for number := range 60 {
			if err := askText(conn, plan.AskNumber(rng, number%30)); err != nil {
				return err
			}
		}
		if err := conn.DeallocateAll(ctx); err != nil {
			return err
		}
		return askText(conn, plan.Ask(rng))
	})
}

// batch queues questions, with an error before the one at `broken` (none if negative).
func batch(conn *pgx.Conn, rng *rand.Rand, broken int) error {
	var queued pgx.Batch
	questions := make([]plan.Question, plan.Batch)
	for i := range questions {
		if i == broken {
			queued.Queue("select 1 / $1::int", 0)
		}
		questions[i] = plan.AskNumber(rng, rng.Intn(100))
		queued.Queue(questions[i].Text(), questions[i].Value, questions[i].Word)
	}
	results := conn.SendBatch(ctx, &queued)
	for i, q := range questions {
		if i == broken {
			err := results.QueryRow().Scan(new(int))
			results.Close()
			return plan.WantState(err, plan.DivisionByZero)
		}
		var sum int
		var word string
		if err := results.QueryRow().Scan(&sum, &word); err != nil {
			return err
		}
		if err := q.Check(sum, word); err != nil {
			return err
		}
	}
	return results.Close()
}

func batches() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		for _, broken := range []int{-1, 0, 70, -1, rng.Intn(plan.Batch), -1} {
			if err := batch(conn, rng, broken); err != nil {
				return fmt.Errorf("batch broken at %d: %w", broken, err)
			}
			if err := askText(conn, plan.Ask(rng)); err != nil {
				return err
			}
		}
		return nil
	})
}

func poolOfClients() error {
	config, err := pgxpool.ParseConfig(plan.DSN())
	if err != nil {
		return err
	}
	config.MaxConns = plan.Clients
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	return plan.Together(func(_ int, rng *rand.Rand) error {
		for range 50 {
			if err := askText(pool, plan.Ask(rng)); err != nil {
				return err
			}
		}
		return nil
	})
}

func cursorsOnTheServer() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		top := 1000 + rng.Intn(1000)
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			declare := fmt.Sprintf("declare walk cursor for select generate_series(1, %d)", top)
			if _, err := tx.Exec(ctx, declare); err != nil {
				return err
			}
			seen := 0
			for {
				rows, _ := tx.Query(ctx, "fetch 100 from walk")
				numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
				if err != nil {
					return err
				}
				for _, n := range numbers {
					if seen++; n != seen {
						return fmt.Errorf("%d instead of %d", n, seen)
					}
				}
				if len(numbers) == 0 {
					break
				}
			}
			if seen != top {
				return fmt.Errorf("%d rows of %d", seen, top)
			}
			return nil
		})
	})
}

func copiesBothWays() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		rows := make([][]any, 2000)
		var lines strings.Builder
		for n := range rows {
			word := fmt.Sprintf("row %d", rng.Intn(1000))
			rows[n] = []any{n, word}
			fmt.Fprintf(&lines, "%d\t%s\n", n, word)
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "create temp table copied (n int, t text) on commit drop"); err != nil {
				return err
			}
			source := pgx.CopyFromRows(rows)
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"n", "t"}, source); err != nil {
				return err
			}
			var out bytes.Buffer
			_, err := conn.PgConn().CopyTo(ctx, &out, "copy (select n, t from copied order by n) to stdout")
			if err == nil && out.String() != lines.String() {
				err = fmt.Errorf("%d bytes came back, not the %d that went", out.Len(), lines.Len())
			}
			return err
		})
	})
}

func settingsFollowTheirClient() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		want := fmt.Sprintf("%dMB", 100+rng.Intn(100))
		if _, err := conn.Exec(ctx, "select set_config('work_mem', $1, false)", want); err != nil {
			return err
		}
		for range 20 {
			var got string
			if err := askText(conn, plan.Ask(rng)); err != nil {
				return err
			}
			if err := conn.QueryRow(ctx, "show work_mem").Scan(&got); err != nil || got != want {
				return fmt.Errorf("work_mem is %q, not %q: %v", got, want, err)
			}
		}
		return nil
	})
}

// A request that comes before its query runs is without effect: so again and again.
func longQueriesAreCancelled() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		over, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				select {
				case <-over:
					ended <- nil
					return
				case <-time.After(50 * time.Millisecond):
					if err := conn.PgConn().CancelRequest(ctx); err != nil {
						ended <- err
						return
					}
				}
			}
		}()
		_, err := conn.Exec(ctx, "select pg_sleep(600)")
		close(over)
		if canceller := <-ended; canceller != nil {
			return canceller
		}
		return plan.WantState(err, plan.QueryCanceled)
	})
}

func largeParameter() error {
	return withClients(512, func(conn *pgx.Conn, rng *rand.Rand) error {
		value := make([]byte, plan.Big)
		rng.Read(value)
		var back []byte
		var length int
		row := conn.QueryRow(ctx, "select $1::bytea, length($1::bytea)", value)
		if err := row.Scan(&back, &length); err != nil {
			return err
		}
		if !bytes.Equal(back, value) || length != plan.Big {
			return fmt.Errorf("%d bytes came back, of length %d", len(back), length)
		}
		return nil
	})
}

func moreTextsThanAServerHolds() error {
	return withClients(1000, func(conn *pgx.Conn, rng *rand.Rand) error {
		texts := plan.Distinct / plan.Clients * 2
		for number := range texts {
			if err := askText(conn, plan.AskNumber(rng, number)); err != nil {
				return err
			}
		}
		for range 50 {
			if err := askText(conn, plan.AskNumber(rng, rng.Intn(texts))); err != nil {
				return err
			}
		}
		return nil
	})
}

func main() {
	plan.Play(
		plan.Scene{Name: "clientsAskAtRandom", Play: clientsAskAtRandom},
		plan.Scene{Name: "oneNameMeansDifferentTexts", Play: oneNameMeansDifferentTexts},
		plan.Scene{Name: "statementsAreDeallocated", Play: statementsAreDeallocated},
		plan.Scene{Name: "batches", Play: batches},
		plan.Scene{Name: "poolOfClients", Play: poolOfClients},
		plan.Scene{Name: "cursorsOnTheServer", Play: cursorsOnTheServer},
		plan.Scene{Name: "copiesBothWays", Play: copiesBothWays},
		plan.Scene{Name: "settingsFollowTheirClient", Play: settingsFollowTheirClient},
		plan.Scene{Name: "longQueriesAreCancelled", Play: longQueriesAreCancelled},
		plan.Scene{Name: "largeParameter", Play: largeParameter},
		plan.Scene{Name: "moreTextsThanAServerHolds", Play: moreTextsThanAServerHolds},
	)
}
