package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// kind prepares a connection, and returns what a turn of its client is.
type kind struct {
	name  string
	begin func(connection *pgx.Conn, port int) (turn func(n int) error, err error)
}

var kinds = []kind{
	{"prepared", prepared}, {"recording", recording}, {"in_transaction", inTransaction},
	{"pinned", pinned}, {"copying", copying}, {"batch", batch},
}

// expect asks for one value that must be this one.
func expect[T comparable](connection *pgx.Conn, wanted T, sql string, values ...any) error {
	var got T
	if err := connection.QueryRow(ctx, sql, values...).Scan(&got); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	if got != wanted {
		return fmt.Errorf("%s: %v is not %v", sql, got, wanted)
	}
	return nil
}

// do runs statements in order, up to the first that fails.
func do(connection *pgx.Conn, statements ...string) error {
	for _, each := range statements {
		if _, err := connection.Exec(ctx, each); err != nil {
			return fmt.Errorf("%s: %w", each, err)
		}
	}
	return nil
}

// prepared executes a statement that is prepared once.
func prepared(connection *pgx.Conn, _ int) (func(int) error, error) {
	_, err := connection.Prepare(ctx, "mine", "select $1::int8 + 1")
	return func(n int) error { return expect(connection, n+1, "mine", n) }, err
}

// recording records each turn in the table that all share.
func recording(connection *pgx.Conn, port int) (func(int) error, error) {
	const insert = "insert into ledger values (default, $1, $2)"
	return func(n int) error {
		done, err := connection.Exec(ctx, insert, port, n)
		if err == nil && done.RowsAffected() != 1 {
			err = fmt.Errorf("%d rows were recorded", done.RowsAffected())
		}
		return err
	}, nil
}

// inTransaction has a transaction open for all of the storm.
func inTransaction(connection *pgx.Conn, _ int) (func(int) error, error) {
	if err := do(connection, "begin", "create temp table mine (n int) on commit drop"); err != nil {
		return nil, err
	}
	var backend int
	err := connection.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend)
	return func(n int) error {
		if _, err := connection.Exec(ctx, "insert into mine values ($1)", n); err != nil {
			return err
		}
		if err := expect(connection, n+1, "select count(*) from mine"); err != nil {
			return err
		}
		return expect(connection, backend, "select pg_backend_pid()")
	}, err
}

// pinned listens, and keeps a temporary table and a setting of its own.
func pinned(connection *pgx.Conn, port int) (func(int) error, error) {
	channel := fmt.Sprintf("of_%d", port)
	err := do(connection, "create temp table mine (n int)", "set work_mem = '77kB'", "listen "+channel)
	return func(n int) error {
		word := fmt.Sprint(n)
		if _, err := connection.Exec(ctx, "select pg_notify($1, $2)", channel, word); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		heard, err := connection.WaitForNotification(limited)
		if err != nil {
			return err
		}
		if heard.Channel != channel || heard.Payload != word {
			return fmt.Errorf("heard %q on %s instead of %q", heard.Payload, heard.Channel, word)
		}
		if err := expect(connection, 0, "select count(*) from mine"); err != nil {
			return err
		}
		return expect(connection, "77kB", "show work_mem")
	}, err
}

// copying streams rows to PostgreSQL and back.
func copying(connection *pgx.Conn, _ int) (func(int) error, error) {
	const rows = 2000
	values, expected := make([][]any, rows), ""
	for n := range rows {
		values[n] = []any{n, strings.Repeat("x", 100)}
		expected += fmt.Sprintf("%d\t%s\n", n, values[n][1])
	}
	return func(int) error {
		create := "create temp table copied (n int, t text) on commit drop"
		if err := do(connection, "begin", create); err != nil {
			return err
		}
		source, table := pgx.CopyFromRows(values), pgx.Identifier{"copied"}
		copied, err := connection.CopyFrom(ctx, table, []string{"n", "t"}, source)
		if err != nil || copied != rows {
			return fmt.Errorf("copied %d rows: %w", copied, err)
		}
		var output bytes.Buffer
		query := "copy (select * from copied order by n) to stdout"
		if _, err := connection.PgConn().CopyTo(ctx, &output, query); err != nil {
			return err
		}
		if output.String() != expected {
			return fmt.Errorf("%d bytes came back instead of %d", output.Len(), len(expected))
		}
		return do(connection, "rollback")
	}, nil
}

// batch asks before the answers have come.
func batch(connection *pgx.Conn, _ int) (func(int) error, error) {
	const questions = 20
	return func(n int) error {
		var all pgx.Batch
		for i := range questions {
			all.Queue("select $1::int8 + $2::int8", n, i)
		}
		results := connection.SendBatch(ctx, &all)
		defer results.Close()
		for i := range questions {
			var sum int
			if err := results.QueryRow().Scan(&sum); err != nil {
				return err
			}
			if sum != n+i {
				return fmt.Errorf("%d + %d is not %d", n, i, sum)
			}
		}
		return results.Close()
	}, nil
}
