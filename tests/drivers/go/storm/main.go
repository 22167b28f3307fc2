// Clients for a storm (tests/integration/storm/program.py): each takes turn after turn and checks
// every answer, until standard input ends.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"greenpool/drivers/plan"
)

var ctx = context.Background()

const reportEvery = 100 * time.Millisecond

// rest is how long a client does nothing between two turns.
var rest time.Duration

// client is what the storm sees of a client; slowest is of the turns since the last report. The mutex
// guards what changes.
type client struct {
	id, port int
	driver   string
	kind     kind
	dsn      string
	ended    chan struct{}

	mutex   sync.Mutex
	turns   int
	slowest time.Duration
	failure error
}

func (c *client) report() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	failure := ""
	if c.failure != nil {
		failure = strings.Join(strings.Fields(c.failure.Error()), " ")
	}
	slowest := c.slowest.Milliseconds()
	c.slowest = 0
	return fmt.Sprintf("%d\t%s %s\t%d\t%d\t%d\t%s\n",
		c.id, c.driver, c.kind.name, c.port, c.turns, slowest, failure)
}

func (c *client) hasFailed() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.failure != nil
}

func (c *client) took(turn time.Duration, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.failure = err; err == nil {
		c.turns++
		c.slowest = max(c.slowest, turn)
	}
}

func (c *client) run(connection *pgx.Conn, ending <-chan struct{}) {
	defer close(c.ended)
	defer connection.Close(ctx)
	turn, err := c.kind.begin(connection, c.port)
	if err != nil {
		c.took(0, err)
		return
	}
	for n := 0; err == nil; n++ {
		select {
		case <-ending:
			return
		case <-time.After(rest):
		}
		began := time.Now()
		err = turn(n)
		c.took(time.Since(began), err)
	}
}

// crew are all clients; only main changes the list.
type crew struct {
	clients []*client
	next    int
	ending  chan struct{}
}

func (c *crew) enlist(driver string, kind kind, dsn string) *client {
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		log.Fatal(err)
	}
	port := connection.PgConn().Conn().LocalAddr().(*net.TCPAddr).Port
	joined := &client{id: c.next, port: port, driver: driver, kind: kind, dsn: dsn}
	joined.ended = make(chan struct{})
	c.next++
	go joined.run(connection, c.ending)
	return joined
}

// replace has a new client of the same kind take the place of each that has failed.
func (c *crew) replace() {
	for place, each := range c.clients {
		if each.hasFailed() {
			<-each.ended
			c.clients[place] = c.enlist(each.driver, each.kind, each.dsn)
		}
	}
}

func (c *crew) report() {
	lines := ""
	for _, each := range c.clients {
		lines += each.report()
	}
	os.Stdout.WriteString(lines)
}

func (c *crew) end() {
	close(c.ending)
	for _, each := range c.clients {
		<-each.ended
	}
	c.report()
}

// orders passes on the lines of standard input, and closes at its end.
func orders() <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			lines <- input.Text()
		}
	}()
	return lines
}

// gather has a client of each kind, but for the one of that name.
func (c *crew) gather(driver, dsn, but string) {
	for _, kind := range kinds {
		if kind.name != but {
			c.clients = append(c.clients, c.enlist(driver, kind, dsn))
		}
	}
}

func number(variable string) int {
	value, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	rest = time.Duration(number("GREENPOOL_REST_MS")) * time.Millisecond
	crew := &crew{ending: make(chan struct{})}
	crew.gather("direct pgx's", os.Getenv("GREENPOOL_DIRECT_DSN"), "recording")
	for range number("GREENPOOL_OF_A_KIND") {
		for _, mode := range []string{"disable", "require"} {
			crew.gather("pgx's", plan.DSN()+"?sslmode="+mode, "")
		}
	}
	orders, tick := orders(), time.Tick(reportEvery)
	for {
		select {
		case order, isOpen := <-orders:
			if !isOpen {
				crew.end()
				return
			}
			if order != "replace" {
				log.Fatalf("unknown order %q", order)
			}
			crew.replace()
		case <-tick:
			crew.report()
		}
	}
}
