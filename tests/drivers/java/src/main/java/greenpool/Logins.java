package greenpool;

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

/** Logins with pgjdbc: one after the other, as tests/drivers/test_logins.py wants them. */
final class Logins {
    // The columns of a line of GREENPOOL_LOGINS.
    private static final int NAME = 0;
    private static final int USER = 1;
    private static final int PASSWORD = 2;
    private static final int AUTHORITY = 3;
    private static final int CERTIFICATE = 4;
    private static final int KEY_DER = 6;

    private Logins() {}

    private static Properties properties(String[] login) {
        Properties properties = new Properties();
        properties.setProperty("user", login[USER]);
        properties.setProperty("password", login[PASSWORD]);
        properties.setProperty("sslmode", login[AUTHORITY].isEmpty() ? "disable" : "verify-full");
        if (!login[AUTHORITY].isEmpty()) {
            properties.setProperty("sslrootcert", login[AUTHORITY]);
        }
        if (!login[CERTIFICATE].isEmpty()) {
            properties.setProperty("sslcert", login[CERTIFICATE]);
            properties.setProperty("sslkey", login[KEY_DER]);
        }
        return properties;
    }

    private static String attempt(String[] login) {
        java.net.URI dsn = java.net.URI.create(System.getenv("GREENPOOL_DSN"));
        String url = "jdbc:postgresql://" + dsn.getHost() + ":" + dsn.getPort() + dsn.getPath();
        try (Connection connection = DriverManager.getConnection(url, properties(login));
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("select 'served'")) {
            rows.next();
            return rows.getString(1);
        } catch (SQLException error) {
            return error.getMessage().replace('\n', ' ');
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (String line : Files.readAllLines(Path.of(System.getenv("GREENPOOL_LOGINS")))) {
            String[] login = line.split("\t", -1);
            System.out.println(login[NAME] + "\t" + attempt(login));
        }
    }
}
