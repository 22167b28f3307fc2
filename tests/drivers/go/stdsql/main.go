// pgx behind Go's database/sql: its pool, its prepared statements, its transactions.
package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand"

	_ "github.com/jackc/pgx/v5/stdlib"

	"greenpool/drivers/plan"
)

var db *sql.DB

type asker interface {
	QueryRow(query string, args ...any) *sql.Row
}

func check(row *sql.Row, q plan.Question) error {
	var sum int
	var word string
	if err := row.Scan(&sum, &word); err != nil {
		return fmt.Errorf("%s: %w", q.Text(), err)
	}
	return q.Check(sum, word)
}

func ask(on asker, q plan.Question) error { return check(on.QueryRow(q.Text(), q.Value, q.Word), q) }

func fail(on asker) error {
	err := on.QueryRow("select 1 / $1::int", 0).Scan(new(int))
	return plan.WantState(err, plan.DivisionByZero)
}

func clientsAskAtRandom() error {
	return plan.Together(func(_ int, rng *rand.Rand) error {
		for range plan.Queries {
			var err error
			switch chance := rng.Intn(100); {
			case chance < 80:
				err = ask(db, plan.Ask(rng))
			case chance < 85:
				err = fail(db)
			case chance < 90:
				err = plan.WantState(db.QueryRow("selct 1").Scan(new(int)), plan.SyntaxError)
			default:
				err = transact(rng)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// transact commits, or fails and rolls back.
func transact(rng *rand.Rand) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 3 {
		if err := ask(tx, plan.Ask(rng)); err != nil {
			return err
		}
	}
	if rng.Intn(2) == 0 {
		return fail(tx)
	}
	return tx.Commit()
}

// statementsOutliveConnections prepares once and asks on whatever connection is free.
func statementsOutliveConnections() error {
	return plan.Together(func(client int, rng *rand.Rand) error {
		for round := range 3 {
			number := 1000*round + client
			statement, err := db.Prepare(plan.AskNumber(rng, number).Text())
			if err != nil {
				return err
			}
			for range 20 {
				q := plan.AskNumber(rng, number)
				if err := check(statement.QueryRow(q.Value, q.Word), q); err != nil {
					return err
				}
			}
			if err := statement.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

func batches() error {
	return plan.Together(func(client int, rng *rand.Rand) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.Exec("create temp table batches (n int) on commit drop"); err != nil {
			return err
		}
		statement, err := tx.Prepare("insert into batches values ($1)")
		if err != nil {
			return err
		}
		for n := range plan.Batch {
			if _, err := statement.Exec(n); err != nil {
				return err
			}
		}
		var sum int
		if err := tx.QueryRow("select sum(n) from batches").Scan(&sum); err != nil {
			return err
		}
		if wanted := plan.Batch * (plan.Batch - 1) / 2; sum != wanted {
			return fmt.Errorf("%d instead of %d", sum, wanted)
		}
		return tx.Commit()
	})
}

func largeParameter() error {
	value := bytes.Repeat([]byte{0, 0xff}, plan.Big/2)
	var back []byte
	if err := db.QueryRow("select $1::bytea", value).Scan(&back); err != nil {
		return err
	}
	if !bytes.Equal(back, value) {
		return fmt.Errorf("%d bytes came back", len(back))
	}
	return nil
}

func moreTextsThanAServerHolds() error {
	return plan.Together(func(_ int, rng *rand.Rand) error {
		for range plan.Distinct / plan.Clients {
			if err := ask(db, plan.AskNumber(rng, rng.Intn(plan.Distinct))); err != nil {
				return err
			}
		}
		return nil
	})
}

func main() {
	plan.Play(
		plan.Scene{Name: "open", Play: func() (err error) {
			db, err = sql.Open("pgx", plan.DSN())
			db.SetMaxOpenConns(plan.Clients)
			db.SetMaxIdleConns(plan.Clients)
			return err
		}},
		plan.Scene{Name: "clientsAskAtRandom", Play: clientsAskAtRandom},
		plan.Scene{Name: "statementsOutliveConnections", Play: statementsOutliveConnections},
		plan.Scene{Name: "batches", Play: batches},
		plan.Scene{Name: "largeParameter", Play: largeParameter},
		plan.Scene{Name: "moreTextsThanAServerHolds", Play: moreTextsThanAServerHolds},
		plan.Scene{Name: "close", Play: func() error { return db.Close() }},
	)
}
