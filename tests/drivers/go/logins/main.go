// Logins with pgx: one after the other, as tests/drivers/test_logins.py wants them.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The columns of a line of GREENPOOL_LOGINS.
const (
	name = iota
	user
	password
	authority
	certificate
	key
)

func dsn(login []string) string {
	options := url.Values{"sslmode": {"disable"}}
	if login[authority] != "" {
		options = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {login[authority]}}
	}
	if login[certificate] != "" {
		options.Set("sslcert", login[certificate])
		options.Set("sslkey", login[key])
	}
	where, err := url.Parse(os.Getenv("GREENPOOL_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	where.User = url.UserPassword(login[user], login[password])
	where.RawQuery = options.Encode()
	return where.String()
}

func attempt(login []string) string {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, dsn(login))
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	defer connection.Close(ctx)
	var answer string
	if err := connection.QueryRow(ctx, "select 'served'").Scan(&answer); err != nil {
		return err.Error()
	}
	return answer
}

func main() {
	file, err := os.Open(os.Getenv("GREENPOOL_LOGINS"))
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		login := strings.Split(lines.Text(), "\t")
		fmt.Printf("%s\t%s\n", login[name], attempt(login))
	}
}
