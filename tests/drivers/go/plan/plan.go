// Package plan is what both programs do alike: random queries whose answers are known. The numbers
// are those of tests/drivers/python/plan.py.
package plan

import (
	"errors"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	Clients        = 12
	Queries        = 150
	Texts          = 40
	Distinct       = 2000
	Batch          = 200
	Big            = 1 << 20
	DivisionByZero = "22012"
	SyntaxError    = "42601"
	QueryCanceled  = "57014"
)

// DSN says where the pooler is.
func DSN() string { return os.Getenv("GREENPOOL_DSN") }

// Question is a query whose text depends on Number.
type Question struct {
	Number int
	Value  int
	Word   string
}

// Ask draws a question of one of Texts texts.
func Ask(rng *rand.Rand) Question { return AskNumber(rng, rng.Intn(Texts)) }

// AskNumber draws a question of that text.
func AskNumber(rng *rand.Rand, number int) Question {
	return Question{number, rng.Intn(2000) - 1000, fmt.Sprintf("w%d", rng.Intn(1_000_000))}
}

// Text is the SQL, with $1 and $2.
func (q Question) Text() string {
	return fmt.Sprintf("select $1::int + %d, $2::text || '-%d'", q.Number, q.Number)
}

// Check fails unless a row is the answer.
func (q Question) Check(sum int, word string) error {
	if wanted := fmt.Sprintf("%s-%d", q.Word, q.Number); sum != q.Value+q.Number || word != wanted {
		return fmt.Errorf("(%d, %s) is not the answer to %+v", sum, word, q)
	}
	return nil
}

// WantState turns an error with that SQLSTATE into none, and anything else into an error.
func WantState(err error, sqlstate string) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == sqlstate {
		return nil
	}
	return fmt.Errorf("wanted SQLSTATE %s, not %v", sqlstate, err)
}

// Together runs work for Clients clients at a time and returns the first error.
func Together(work func(client int, rng *rand.Rand) error) error {
	seed, _ := strconv.ParseInt(os.Getenv("GREENPOOL_SEED"), 10, 64)
	failures := make([]error, Clients)
	var all sync.WaitGroup
	for client := range Clients {
		all.Add(1)
		go func() {
			defer all.Done()
			failures[client] = work(client, rand.New(rand.NewSource(seed*1000+int64(client))))
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}

// Scene is one thing to play.
type Scene struct {
	Name string
	Play func() error
}

// Play plays the scenes in order and ends the program with 1 at the first that fails.
func Play(scenes ...Scene) {
	for _, scene := range scenes {
		fmt.Println(scene.Name, "...")
		if err := scene.Play(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("done")
}
