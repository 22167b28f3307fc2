package greenpool;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import javax.net.SocketFactory;

/**
 * Clients for a storm (tests/integration/storm/program.py): each takes turn after turn and checks
 * every answer, until standard input ends.
 */
public final class Storm {
    private static final int REPORT_EVERY_MS = 100;

    private final long restMs = number("GREENPOOL_REST_MS");
    private final List<Client> clients = new ArrayList<>();
    private int nextId;
    private volatile boolean isEnding;

    private Storm() {}

    /** Tells which port the last connection of the thread has at its own end. */
    public static final class Ports extends SocketFactory {
        private static final ThreadLocal<Socket> LAST = new ThreadLocal<>();

        static int last() {
            return LAST.get().getLocalPort();
        }

        @Override
        public Socket createSocket() {
            LAST.set(new Socket());
            return LAST.get();
        }

        @Override
        public Socket createSocket(String host, int port) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(String host, int port, InetAddress own, int ownPort) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(InetAddress host, int port) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(InetAddress host, int port, InetAddress own, int ownPort) {
            throw new UnsupportedOperationException();
        }
    }

    /** One connection that does one thing again and again. */
    private final class Client extends Thread {
        private final int id = nextId++;
        private final Kinds kind;
        private final boolean isDirect;
        private final String sslmode;
        private final Connection connection;
        private final int port;
        private int turns;
        private long slowestMs;
        private String failure = "";

        Client(Kinds kind, boolean isDirect, String sslmode) throws SQLException {
            this.kind = kind;
            this.isDirect = isDirect;
            this.sslmode = sslmode;
            Properties properties = new Properties();
            properties.setProperty("sslmode", sslmode);
            properties.setProperty("socketFactory", Ports.class.getName());
            String dsn = isDirect ? "GREENPOOL_DIRECT_DSN" : "GREENPOOL_DSN";
            connection = Plan.connect(System.getenv(dsn), 1, properties);
            port = Ports.last();
        }

        Client successor() throws SQLException {
            return new Client(kind, isDirect, sslmode);
        }

        @Override
        public void run() {
            try (connection) {
                Kinds.Turn turn = kind.begin(connection, port);
                for (int n = 0; !isEnding; n++) {
                    long began = System.nanoTime();
                    turn.take(n);
                    took((System.nanoTime() - began) / 1_000_000);
                    Thread.sleep(restMs);
                }
            } catch (Exception | AssertionError error) {
                fail(error);
            }
        }

        private synchronized void took(long ms) {
            turns++;
            slowestMs = Math.max(slowestMs, ms);
        }

        private synchronized void fail(Throwable error) {
            failure = error.toString().replaceAll("\\s+", " ");
        }

        synchronized boolean hasFailed() {
            return !failure.isEmpty();
        }

        synchronized String report() {
            String driver = isDirect ? "direct pgjdbc's" : "pgjdbc's";
            String name = kind.name().toLowerCase(Locale.ROOT);
            long slowest = slowestMs;
            slowestMs = 0;
            return String.format("%d\t%s %s\t%d\t%d\t%d\t%s\n", id, driver, name, port, turns,
                    slowest, failure);
        }
    }

    private Client start(Client client) {
        client.start();
        return client;
    }

    private synchronized void connect(long ofAKind) throws SQLException {
        for (Kinds kind : Kinds.values()) {
            if (kind != Kinds.RECORDING) {
                clients.add(start(new Client(kind, true, "disable")));
            }
        }
        for (long i = 0; i < ofAKind; i++) {
            for (String sslmode : List.of("disable", "require")) {
                for (Kinds kind : Kinds.values()) {
                    clients.add(start(new Client(kind, false, sslmode)));
                }
            }
        }
    }

    private static long number(String variable) {
        return Long.parseLong(System.getenv(variable));
    }

    /** Have a new client of the same kind take the place of each that has failed. */
    private synchronized void replace() throws SQLException, InterruptedException {
        for (int place = 0; place < clients.size(); place++) {
            Client lost = clients.get(place);
            if (lost.hasFailed()) {
                lost.join();
                clients.set(place, start(lost.successor()));
            }
        }
    }

    private synchronized void report() {
        StringBuilder lines = new StringBuilder();
        clients.forEach(each -> lines.append(each.report()));
        System.out.print(lines);
        System.out.flush();
    }

    private void reportOften() {
        try {
            while (!isEnding) {
                report();
                Thread.sleep(REPORT_EVERY_MS);
            }
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    private void obey() throws IOException, SQLException, InterruptedException {
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String order = orders.readLine(); order != null; order = orders.readLine()) {
            Plan.expect(order, "replace");
            replace();
        }
    }

    public static void main(String[] arguments) throws Exception {
        Storm storm = new Storm();
        Thread reporter = new Thread(storm::reportOften);
        try {
            storm.connect(number("GREENPOOL_OF_A_KIND"));
            reporter.start();
            storm.obey();
        } finally {
            storm.isEnding = true;
        }
        for (Client each : storm.clients) {
            each.join();
        }
        reporter.join();
        storm.report();
    }
}
