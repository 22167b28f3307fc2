package greenpool;

import static greenpool.Plan.expect;

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;

/** What clients do in a storm. */
enum Kinds {
    /** Executes a statement that is prepared once. */
    PREPARED {
        @Override
        Turn begin(Connection connection, int port) throws SQLException {
            PreparedStatement statement = connection.prepareStatement("select ?::int8 + 1");
            return n -> {
                statement.setLong(1, n);
                expect(one(statement), n + 1L);
            };
        }
    },

    /** Records each turn in the table that all share. */
    RECORDING {
        @Override
        Turn begin(Connection connection, int port) throws SQLException {
            String insert = "insert into ledger values (default, ?, ?)";
            PreparedStatement statement = connection.prepareStatement(insert);
            return n -> {
                statement.setInt(1, port);
                statement.setInt(2, n);
                expect(statement.executeUpdate(), 1);
            };
        }
    },

    /** Has a transaction open for all of the storm, and a cursor that is never read to its end. */
    IN_TRANSACTION {
        @Override
        Turn begin(Connection connection, int port) throws SQLException {
            connection.setAutoCommit(false);
            execute(connection, "create temp table mine (n int) on commit drop");
            Object backend = one(connection, "select pg_backend_pid()");
            Statement cursor = connection.createStatement();
            cursor.setFetchSize(3);
            ResultSet rows = cursor.executeQuery("select generate_series(0, 1000000)");
            PreparedStatement insert = connection.prepareStatement("insert into mine values (?)");
            return n -> {
                insert.setInt(1, n);
                expect(insert.executeUpdate(), 1);
                expect(one(connection, "select count(*) from mine"), n + 1L);
                expect(one(connection, "select pg_backend_pid()"), backend);
                expect(rows.next(), true);
                expect(rows.getInt(1), n);
            };
        }
    },

    /** Listens, and keeps a temporary table and a setting of its own. */
    PINNED {
        @Override
        Turn begin(Connection connection, int port) throws SQLException {
            execute(connection, "create temp table mine (n int)");
            execute(connection, "set work_mem = '77kB'");
            execute(connection, "listen of_" + port);
            PGConnection listener = connection.unwrap(PGConnection.class);
            return n -> {
                execute(connection, "notify of_" + port + ", '" + n + "'");
                PGNotification[] heard = listener.getNotifications(20_000);
                expect(heard.length, 1);
                expect(heard[0].getParameter(), Integer.toString(n));
                expect(one(connection, "select count(*) from mine"), 0L);
                expect(one(connection, "show work_mem"), "77kB");
            };
        }
    },

    /** Streams rows to PostgreSQL and back. */
    COPYING {
        @Override
        Turn begin(Connection connection, int port) throws SQLException {
            connection.setAutoCommit(false);
            CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
            StringBuilder lines = new StringBuilder();
            for (int n = 0; n < ROWS; n++) {
                lines.append(n).append('\t').append("x".repeat(100)).append('\n');
            }
            String rows = lines.toString();
            return n -> {
                execute(connection, "create temp table copied (n int, t text) on commit drop");
                long copied = copies.copyIn("copy copied from stdin", new StringReader(rows));
                expect(copied, (long) ROWS);
                StringWriter output = new StringWriter();
                copies.copyOut("copy (select * from copied order by n) to stdout", output);
                expect(output.toString(), rows);
                connection.rollback();
            };
        }
    },

    /** Asks before the answers have come. */
    BATCH {
        @Override
        Turn begin(Connection connection, int port) throws SQLException {
            connection.setAutoCommit(false);
            return n -> {
                execute(connection, "create temp table batches (n int) on commit drop");
                try (PreparedStatement insert =
                        connection.prepareStatement("insert into batches values (?)")) {
                    for (int i = 0; i < QUESTIONS; i++) {
                        insert.setInt(1, i);
                        insert.addBatch();
                    }
                    expect(Arrays.stream(insert.executeBatch()).sum(), QUESTIONS);
                }
                expect(one(connection, "select count(*) from batches"), (long) QUESTIONS);
                connection.rollback();
            };
        }
    };

    private static final int ROWS = 2000;
    private static final int QUESTIONS = 200;

    /** One turn: it fails, or all was right. */
    interface Turn {
        void take(int n) throws Exception;
    }

    abstract Turn begin(Connection connection, int port) throws SQLException;

    private static void execute(Connection connection, String text) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(text);
        }
    }

    private static Object one(Connection connection, String text) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            return one(statement);
        }
    }

    private static Object one(PreparedStatement statement) throws SQLException {
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            return rows.getObject(1);
        }
    }
}
