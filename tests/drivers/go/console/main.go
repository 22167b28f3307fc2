// The admin console as pgx uses it: every way that it has of sending a query, names of the session
// that pools ask for, and an error that leaves the connection as it was.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"

	"greenpool/drivers/plan"
)

var ctx = context.Background()

const unsupported = "0A000"

var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement,
	pgx.QueryExecModeCacheDescribe,
	pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec,
	pgx.QueryExecModeSimpleProtocol,
}

func pools(conn *pgx.Conn, database string) error {
	rows, err := conn.Query(ctx, "SHOW POOLS")
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		return err
	}
	for _, row := range found {
		if row["database"] == database && row["cl_active"] == int32(0) {
			return nil
		}
	}
	return fmt.Errorf("no pool of %s in %v", database, found)
}

func session(conn *pgx.Conn) error {
	var user, database string
	var recovering bool
	sql := "SELECT current_user, current_database(), pg_is_in_recovery()"
	if err := conn.QueryRow(ctx, sql).Scan(&user, &database, &recovering); err != nil {
		return err
	}
	if user != "admin" || database != "greenpool" || recovering {
		return fmt.Errorf("%s of %s, recovering: %t", user, database, recovering)
	}
	return nil
}

func refused(conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT relname FROM pg_class")
	if err := plan.WantState(err, unsupported); err != nil {
		return err
	}
	return conn.Ping(ctx)
}

func play(mode pgx.QueryExecMode, database string) error {
	config, err := pgx.ParseConfig(plan.DSN())
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = mode
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for round := 0; round < 2; round++ { // the second finds what the first has cached
		if err := pools(conn, database); err != nil {
			return err
		}
		if err := session(conn); err != nil {
			return err
		}
		if err := refused(conn); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	for _, mode := range modes {
		if err := play(mode, os.Args[1]); err != nil {
			log.Fatalf("%s: %v", mode, err)
		}
		fmt.Printf("console: %s\n", mode)
	}
}
