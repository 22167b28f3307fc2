package greenpool;

import static greenpool.Plan.expect;
import static greenpool.Plan.fails;
import static greenpool.Plan.together;

import greenpool.Plan.Question;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Random;
import org.postgresql.PGConnection;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

/** pgjdbc: named statements from a threshold on, batches, cursors with a fetch size, fastpath. */
public final class Jdbc {
    private Jdbc() {}

    private static void fail(Connection connection, Random random) throws SQLException {
        if (random.nextBoolean()) {
            fails(connection, "select 1 / ?::int", Plan.DIVISION_BY_ZERO);
        } else {
            fails(connection, "selct ?", Plan.SYNTAX_ERROR);
        }
    }

    private static int backend(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("select pg_backend_pid()")) {
            rows.next();
            return rows.getInt(1);
        }
    }

    private static void transact(Connection connection, Random random) throws SQLException {
        connection.setAutoCommit(false);
        int first = backend(connection);
        Question.any(random).ask(connection);
        Savepoint savepoint = connection.setSavepoint();
        fail(connection, random);
        connection.rollback(savepoint);
        Question.any(random).ask(connection);
        expect(backend(connection), first);
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void clientsAskAtRandom() throws Exception {
        together((connection, random) -> {
            for (int i = 0; i < Plan.QUERIES; i++) {
                int chance = random.nextInt(100);
                if (chance < 80) {
                    Question.any(random).ask(connection);
                } else if (chance < 90) {
                    fail(connection, random);
                } else {
                    transact(connection, random);
                }
            }
        });
    }

    /** pgjdbc calls its statements S_1, S_2... on every connection, and closes them. */
    static void oneNameMeansDifferentTexts() throws Exception {
        together((connection, random) -> {
            for (int round = 0; round < 3; round++) {
                int number = random.nextInt(100000);
                String text = Question.of(random, number).text();
                try (PreparedStatement statement = connection.prepareStatement(text)) {
                    for (int i = 0; i < 20; i++) {
                        Question.of(random, number).ask(statement);
                    }
                }
            }
        });
    }

    static void batches() throws Exception {
        together((connection, random) -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.execute("create temp table batches (n int) on commit drop");
            }
            try (PreparedStatement insert =
                    connection.prepareStatement("insert into batches values (?)")) {
                for (int n = 0; n < 3 * Plan.BATCH; n++) {
                    insert.setInt(1, n);
                    insert.addBatch();
                }
                int[] counts = insert.executeBatch();
                expect(Arrays.stream(counts).sum(), 3 * Plan.BATCH);
            }
            connection.commit();
            connection.setAutoCommit(true);
            brokenBatch(connection, random);
            Question.any(random).ask(connection);
        });
    }

    private static void brokenBatch(Connection connection, Random random) throws SQLException {
        int broken = random.nextInt(Plan.BATCH);
        try (PreparedStatement update = connection.prepareStatement(
                "select set_config('greenpool.n', (1 / ?::int)::text, true)")) {
            for (int n = 0; n < Plan.BATCH; n++) {
                update.setInt(1, n == broken ? 0 : 1);
                update.addBatch();
            }
            update.executeBatch();
        } catch (BatchUpdateException error) {
            expect(error.getSQLState(), Plan.DIVISION_BY_ZERO);
            return;
        }
        throw new AssertionError("the batch did not fail");
    }

    static void cursorsWithAFetchSize() throws Exception {
        together((connection, random) -> {
            int top = 1000 + random.nextInt(1000);
            connection.setAutoCommit(false);
            try (PreparedStatement statement =
                    connection.prepareStatement("select generate_series(1, ?::int)")) {
                statement.setFetchSize(100);
                statement.setInt(1, top);
                int seen = 0;
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next()) {
                        expect(rows.getInt(1), ++seen);
                        if (seen % 500 == 0) {
                            Question.any(random).ask(connection);
                        }
                    }
                }
                expect(seen, top);
            }
            connection.commit();
        });
    }

    static void largeObjects() throws Exception {
        together((connection, random) -> {
            byte[] data = new byte[Plan.BIG / 4];
            random.nextBytes(data);
            connection.setAutoCommit(false);
            LargeObjectManager manager =
                    connection.unwrap(PGConnection.class).getLargeObjectAPI();
            long oid = manager.createLO();
            try (LargeObject object = manager.open(oid, LargeObjectManager.WRITE)) {
                object.write(data);
            }
            connection.commit();
            try (LargeObject object = manager.open(oid, LargeObjectManager.READ)) {
                object.seek(1000);
                byte[] tail = object.read(data.length);
                expect(Arrays.equals(tail, Arrays.copyOfRange(data, 1000, data.length)), true);
            }
            manager.unlink(oid);
            connection.commit();
        });
    }

    static void copiesBothWays() throws Exception {
        together((connection, random) -> {
            StringBuilder lines = new StringBuilder();
            for (int n = 0; n < 2000; n++) {
                lines.append(n).append("\trow ").append(random.nextInt(1000)).append('\n');
            }
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.execute("create temp table copied (n int, t text) on commit drop");
            }
            var copy = connection.unwrap(PGConnection.class).getCopyAPI();
            expect(copy.copyIn("copy copied from stdin", new StringReader(lines.toString())), 2000L);
            var out = new ByteArrayOutputStream();
            copy.copyOut("copy (select n, t from copied order by n) to stdout", out);
            expect(out.toString(), lines.toString());
            connection.commit();
        });
    }

    static void settingsFollowTheirClient() throws Exception {
        together((connection, random) -> {
            String wanted = "s" + random.nextInt(1000);
            connection.setSchema(wanted);
            connection.setClientInfo("ApplicationName", wanted);
            for (int i = 0; i < 20; i++) {
                Question.any(random).ask(connection);
                try (Statement statement = connection.createStatement();
                        ResultSet rows = statement.executeQuery(
                                "select current_setting('application_name'),"
                                        + " current_setting('search_path')")) {
                    rows.next();
                    expect(rows.getString(1), wanted);
                    expect(rows.getString(2), wanted);
                }
            }
        });
    }

    /** The driver cancels by itself when the time is over. */
    static void longQueriesAreCancelled() throws Exception {
        together((connection, random) -> {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                statement.execute("select pg_sleep(600)");
                throw new AssertionError("it was not cancelled");
            } catch (SQLException failure) {
                expect(failure.getSQLState(), Plan.QUERY_CANCELED);
            }
            Question.any(random).ask(connection);
        });
    }

    static void aLargeParameter() throws Exception {
        together((connection, random) -> {
            byte[] value = new byte[Plan.BIG];
            random.nextBytes(value);
            try (PreparedStatement statement =
                    connection.prepareStatement("select ?::bytea, length(?::bytea)")) {
                statement.setBytes(1, value);
                statement.setBytes(2, value);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    expect(Arrays.equals(rows.getBytes(1), value), true);
                    expect(rows.getInt(2), Plan.BIG);
                }
            }
        });
    }

    static void moreTextsThanAServerHolds() throws Exception {
        together((connection, random) -> {
            int texts = Plan.DISTINCT / Plan.CLIENTS * 2;
            for (int number = 0; number < texts; number++) {
                Question.of(random, number).ask(connection);
            }
            for (int i = 0; i < 100; i++) {
                Question.of(random, random.nextInt(texts)).ask(connection);
            }
        });
    }

    private interface Scene {
        void play() throws Exception;
    }

    private static void play(String name, Scene scene) throws Exception {
        System.out.println(name + " ...");
        scene.play();
    }

    public static void main(String[] arguments) throws Exception {
        play("clientsAskAtRandom", Jdbc::clientsAskAtRandom);
        play("oneNameMeansDifferentTexts", Jdbc::oneNameMeansDifferentTexts);
        play("batches", Jdbc::batches);
        play("cursorsWithAFetchSize", Jdbc::cursorsWithAFetchSize);
        play("largeObjects", Jdbc::largeObjects);
        play("copiesBothWays", Jdbc::copiesBothWays);
        play("settingsFollowTheirClient", Jdbc::settingsFollowTheirClient);
        play("longQueriesAreCancelled", Jdbc::longQueriesAreCancelled);
        play("aLargeParameter", Jdbc::aLargeParameter);
        play("moreTextsThanAServerHolds", Jdbc::moreTextsThanAServerHolds);
        System.out.println("done");
    }
}
