package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.jivesoftware.smack.SmackConfiguration;
import org.jivesoftware.smack.sasl.SASLErrorException;

/**
 * Main HOST PORT SENDER KEY PING PAUSE runs an app server on Smack. PING is how many
 * seconds of silence lead to a ping; programs of this kind had 100. PAUSE is how many
 * seconds Smack's ReconnectionManager waits; 0 leaves it its own way, which is 2 to 14,
 * by chance.
 *
 * <p>It reads lines of JSON from stdin:
 *
 * <pre>
 * {"send": [{"message_id": "m-1", "to": "TOKEN", "data": {}, "receipt": false}]}
 * {"stop": true}
 * </pre>
 *
 * and writes one line of JSON to stdout for each thing that happens.
 */
public final class Main {
    static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private Main() {}

    static synchronized void tell(String event, Object... fields) {
        ObjectNode line = JSON.createObjectNode().put("event", event);
        for (int i = 0; i < fields.length; i += 2) {
            line.set((String) fields[i], JSON.valueToTree(fields[i + 1]));
        }
        OUT.println(line);
    }

    public static void main(String[] args) throws Exception {
        Thread.setDefaultUncaughtExceptionHandler((thread, e) -> tell("uncaught", "error", thread.getName() + ": " + causes(e)));
        AppServer app = new AppServer(args[0], Integer.parseInt(args[1]), args[2], args[3],
                Integer.parseInt(args[4]), Integer.parseInt(args[5]));
        boolean assertions = Main.class.desiredAssertionStatus();
        tell("hello", "error", "Smack " + SmackConfiguration.getVersion() + (assertions ? " -ea" : ""));
        try {
            app.connect();
        } catch (SASLErrorException e) {
            tell("auth_failed", "error", e.getSASLFailure().getSASLError().toString());
        } catch (Exception e) {
            tell("connect_failed", "error", causes(e));
        }
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            JsonNode order = JSON.readTree(line);
            for (JsonNode message : order.path("send")) {
                app.send(message);
            }
            if (order.path("stop").asBoolean()) {
                break;
            }
        }
        app.disconnectAll();
    }

    static String causes(Throwable e) {
        StringBuilder all = new StringBuilder();
        for (; e != null; e = e.getCause()) {
            all.append(all.length() > 0 ? "; " : "").append(e);
        }
        return all.toString();
    }
}
