package greenpool;

import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;

/** The admin console as pgjdbc uses it, by the extended and by the simple protocol. */
final class Console {
    private Console() {}

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void pools(Connection connection, String database) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SHOW POOLS")) {
            ResultSetMetaData columns = rows.getMetaData();
            check(columns.getColumnName(1).equals("database"), "the first column");
            check(columns.getColumnType(3) == Types.INTEGER, "cl_active is a number");
            boolean found = false;
            while (rows.next()) {
                found |= rows.getString("database").equals(database);
                check(rows.getLong("cl_active") == 0, "nobody is there");
            }
            check(found, "the pool of " + database);
        }
    }

    private static void again(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SHOW VERSION")) {
            for (int round = 0; round < 10; round++) { // from the fifth on it is named
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next() && rows.getString(1).startsWith("greenpool"), "the version");
                }
            }
        }
    }

    private static void refused(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT * FROM pg_class");
            throw new AssertionError("the console has no catalog");
        } catch (SQLException error) {
            check(error.getSQLState().equals("0A000"), error.getSQLState());
        }
        check(connection.isValid(1), "it goes on behind an error");
    }

    /** What DBeaver asks when it connects. */
    private static void session(Connection connection) throws SQLException {
        connection.setReadOnly(true);
        connection.setReadOnly(false);
        int level = connection.getTransactionIsolation();
        check(level == Connection.TRANSACTION_READ_COMMITTED, "the isolation");
        check(connection.getSchema() == null, "the schema");
        String text = "SELECT current_schema(),session_user";
        try (PreparedStatement statement = connection.prepareStatement(text);
                ResultSet rows = statement.executeQuery()) {
            check(rows.next() && rows.getString(1) == null, "the schema by name");
            check(rows.getString(2).equals("admin"), "the user");
        }
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT pg_is_in_recovery()")) {
            check(rows.getMetaData().getColumnType(1) == Types.BIT, "a boolean");
            check(rows.next() && !rows.getBoolean(1), "no standby");
        }
    }

    private static void orders(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("RELOAD");
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI dsn = URI.create(System.getenv("GREENPOOL_DSN"));
        String[] who = dsn.getUserInfo().split(":", 2);
        for (String mode : new String[] {"extended", "simple"}) {
            String url =
                    "jdbc:postgresql://" + dsn.getHost() + ":" + dsn.getPort() + dsn.getPath()
                            + "?preferQueryMode=" + mode;
            try (Connection connection = DriverManager.getConnection(url, who[0], who[1])) {
                pools(connection, arguments[0]);
                again(connection);
                refused(connection);
                session(connection);
                orders(connection);
            }
            System.out.println("console: " + mode);
        }
    }
}
