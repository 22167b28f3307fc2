package greenpool;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * What all scenes do alike: random queries whose answers are known. The numbers are those of
 * tests/drivers/python/plan.py.
 */
final class Plan {
    static final int CLIENTS = 12;
    static final int QUERIES = 150;
    static final int TEXTS = 40;
    static final int DISTINCT = 2000;
    static final int BATCH = 200;
    static final int BIG = 1 << 20;
    static final String DIVISION_BY_ZERO = "22012";
    static final String SYNTAX_ERROR = "42601";
    static final String QUERY_CANCELED = "57014";

    private static final long SEED =
            Long.parseLong(System.getenv().getOrDefault("GREENPOOL_SEED", "1"));

    private Plan() {}

    /** A query whose text depends on {@code number}, and its parameters. */
    record Question(int number, int value, String word) {
        static Question any(Random random) {
            return of(random, random.nextInt(TEXTS));
        }

        static Question of(Random random, int number) {
            return new Question(number, random.nextInt(2000) - 1000, "w" + random.nextInt(1000000));
        }

        String text() {
            return "select ?::int + " + number + ", ?::text || '-" + number + "'";
        }

        void ask(Connection connection) throws SQLException {
            try (PreparedStatement statement = connection.prepareStatement(text())) {
                ask(statement);
            }
        }

        void ask(PreparedStatement statement) throws SQLException {
            statement.setInt(1, value);
            statement.setString(2, word);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                expect(rows.getInt(1), value + number);
                expect(rows.getString(2), word + "-" + number);
            }
        }
    }

    /** What a client of a scene does with its connection. */
    interface Work {
        void with(Connection connection, Random random) throws Exception;
    }

    /** A connection whose statements are named from the given execution on. */
    static Connection connect(int prepareThreshold) throws SQLException {
        return connect(prepareThreshold, new Properties());
    }

    /** The same, with further properties of the driver. */
    static Connection connect(int prepareThreshold, Properties more) throws SQLException {
        return connect(System.getenv("GREENPOOL_DSN"), prepareThreshold, more);
    }

    /** The same, wherever it leads. */
    static Connection connect(String where, int prepareThreshold, Properties more)
            throws SQLException {
        java.net.URI dsn = java.net.URI.create(where);
        String[] login = dsn.getUserInfo().split(":");
        Properties properties = new Properties();
        properties.putAll(more);
        properties.setProperty("user", login[0]);
        properties.setProperty("password", login[1]);
        properties.setProperty("prepareThreshold", Integer.toString(prepareThreshold));
        String url = "jdbc:postgresql://" + dsn.getHost() + ":" + dsn.getPort() + dsn.getPath();
        return DriverManager.getConnection(url, properties);
    }

    /** Run work for CLIENTS clients at a time; every other one prepares at the first execution. */
    static void together(Work work) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(CLIENTS);
        List<Future<?>> all = new ArrayList<>();
        for (int client = 0; client < CLIENTS; client++) {
            Random random = new Random(SEED * 1000 + client);
            int threshold = client % 2 == 0 ? 1 : 5;
            all.add(threads.submit(() -> {
                try (Connection connection = connect(threshold)) {
                    work.with(connection, random);
                }
                return null;
            }));
        }
        threads.shutdown();
        for (Future<?> each : all) {
            each.get();
        }
    }

    static void expect(Object got, Object wanted) {
        if (!wanted.equals(got)) {
            throw new AssertionError(got + " is not " + wanted);
        }
    }

    /** Run one query that must fail with that SQLSTATE. */
    static void fails(Connection connection, String text, String state) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            statement.setInt(1, 0);
            statement.executeQuery();
        } catch (SQLException error) {
            expect(error.getSQLState(), state);
            return;
        }
        throw new AssertionError(text + " did not fail");
    }
}
