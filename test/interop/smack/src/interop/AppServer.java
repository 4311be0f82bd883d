package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.jivesoftware.smack.AbstractConnectionListener;
import org.jivesoftware.smack.ConnectionConfiguration.SecurityMode;
import org.jivesoftware.smack.ReconnectionListener;
import org.jivesoftware.smack.ReconnectionManager;
import org.jivesoftware.smack.SASLAuthentication;
import org.jivesoftware.smack.SmackException.NotConnectedException;
import org.jivesoftware.smack.XMPPConnection;
import org.jivesoftware.smack.filter.IQTypeFilter;
import org.jivesoftware.smack.filter.StanzaExtensionFilter;
import org.jivesoftware.smack.packet.Message;
import org.jivesoftware.smack.packet.Stanza;
import org.jivesoftware.smack.roster.Roster;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;
import org.jivesoftware.smackx.ping.PingManager;

/**
 * An app server in the manner of fcmxmppserverv2, with its habits, good and bad.
 *
 * <p>TLS comes from the socket factory, so Smack does not know of it. There is no
 * presence and no roster; stream management and compression are used if they are
 * offered. There is no window. Draining sets a flag: new messages are kept, and when
 * the server has closed the stream the program connects anew. Other ends are left to
 * Smack's ReconnectionManager. After a login the messages are sent that could not be
 * written, then those that were left unanswered for more than five seconds.
 * Acks of upstream messages are tried three times. An upstream message without an
 * action throws before its ack, and receipts are never acked.
 */
final class AppServer extends AbstractConnectionListener implements ReconnectionListener {
    private static final String DOMAIN = "FCM XMPP Client Connection Server";
    private static final long TOO_YOUNG_MILLIS = 5_000;

    private final String host;
    private final int port;
    private final String user;
    private final String key;
    private final int pingSeconds;
    private final int pauseSeconds;

    private final ScheduledExecutorService later = Executors.newScheduledThreadPool(2, task -> {
        Thread thread = new Thread(task, "later");
        thread.setDaemon(true);
        return thread;
    });
    private final Map<String, Kept> unanswered = new ConcurrentHashMap<>();
    private final Map<String, Kept> unwritten = new ConcurrentHashMap<>();
    private volatile XMPPTCPConnection connection;
    private volatile boolean draining;

    /** A message that may have to be sent again. */
    private static final class Kept {
        final long since = System.currentTimeMillis();
        final String id;
        final String json;

        Kept(String id, String json) {
            this.id = id;
            this.json = json;
        }
    }

    AppServer(String host, int port, String senderID, String key, int pingSeconds, int pauseSeconds) {
        this.host = host;
        this.port = port;
        this.user = senderID + "@gcm.googleapis.com";
        this.key = key;
        this.pingSeconds = pingSeconds;
        this.pauseSeconds = pauseSeconds;
        Gcm.register();
        Roster.setRosterLoadedAtLoginDefault(false);
        SASLAuthentication.unBlacklistSASLMechanism("PLAIN");
        SASLAuthentication.blacklistSASLMechanism("DIGEST-MD5");
    }

    /** Makes a connection of its own and logs in. */
    void connect() throws Exception {
        disconnectAll();
        XMPPTCPConnection c = new XMPPTCPConnection(XMPPTCPConnectionConfiguration.builder()
                .setXmppDomain(DOMAIN)
                .setHost(host)
                .setPort(port)
                .setSocketFactory(Trust.context().getSocketFactory())
                .setSecurityMode(SecurityMode.ifpossible)
                .setCompressionEnabled(true)
                .setSendPresence(false)
                .build());
        c.setUseStreamManagement(true);
        c.setUseStreamManagementResumption(true);
        c.addConnectionListener(this);
        c.addSyncStanzaListener(this::onMessage, new StanzaExtensionFilter(Gcm.ELEMENT, Gcm.NAMESPACE));
        c.addSyncStanzaListener(this::onResult, IQTypeFilter.RESULT);
        ReconnectionManager reconnection = ReconnectionManager.getInstanceFor(c);
        if (pauseSeconds > 0) {
            reconnection.setFixedDelay(pauseSeconds);
        }
        reconnection.enableAutomaticReconnection();
        reconnection.addReconnectionListener(this);
        PingManager ping = PingManager.getInstanceFor(c);
        ping.setPingInterval(pingSeconds);
        ping.registerPingFailedListener(() -> {
            Main.tell("ping_failed");
            ping.setPingInterval(pingSeconds);
        });
        connection = c;
        c.connect();
        c.login(user, key);
    }

    /** Closes the connection, and hears no more of it. */
    void disconnectAll() {
        XMPPTCPConnection c = connection;
        if (c != null) {
            c.removeConnectionListener(this);
            ReconnectionManager.getInstanceFor(c).disableAutomaticReconnection();
            c.disconnect();
        }
    }

    @Override
    public void authenticated(XMPPConnection c, boolean resumed) {
        draining = false;
        Main.tell("online", "error", String.format("compression %s, stream management %s",
                c.isUsingCompression() ? "on" : "off", ((XMPPTCPConnection) c).isSmEnabled() ? "on" : "off"));
        for (Kept m : byTime(unwritten)) {
            unwritten.remove(m.id);
            keepAndWrite(m);
        }
        long now = System.currentTimeMillis();
        for (Kept m : byTime(unanswered)) {
            if (now - m.since > TOO_YOUNG_MILLIS) {
                keepAndWrite(m);
            }
        }
    }

    private static List<Kept> byTime(Map<String, Kept> map) {
        List<Kept> all = new ArrayList<>(map.values());
        all.sort(Comparator.comparingLong(m -> m.since));
        return all;
    }

    @Override
    public void connectionClosed() {
        Main.tell("offline");
        if (draining) {
            later.execute(() -> reconnect(1));
        }
    }

    @Override
    public void connectionClosedOnError(Exception e) {
        Main.tell("offline", "error", Main.causes(e));
    }

    @Override
    public void reconnectingIn(int seconds) {
        if (seconds == 0) {
            Main.tell("reconnecting");
        }
    }

    @Override
    public void reconnectionFailed(Exception e) {
        Main.tell("error", "error", Main.causes(e));
    }

    private void reconnect(int tries) {
        try {
            connect();
        } catch (Exception e) {
            Main.tell("error", "error", Main.causes(e));
            if (tries < 5) {
                later.schedule(() -> reconnect(tries + 1), 500L << tries, TimeUnit.MILLISECONDS);
            }
        }
    }

    /** Sends a message as the orders have it. */
    void send(JsonNode m) {
        ObjectNode json = payload(m.get("message_id").asText(), m.get("to").asText(), m.get("data"));
        json.put("time_to_live", 3600);
        if (m.path("receipt").asBoolean()) {
            json.put("delivery_receipt_requested", true);
        }
        send(json);
    }

    private static ObjectNode payload(String id, String to, JsonNode data) {
        ObjectNode json = Main.JSON.createObjectNode().put("message_id", id).put("to", to);
        json.set("data", data);
        return json;
    }

    private void send(ObjectNode json) {
        Kept m = new Kept(json.get("message_id").asText(), json.toString());
        if (draining) {
            unanswered.put(m.id, m);
        } else {
            keepAndWrite(m);
        }
    }

    private void keepAndWrite(Kept m) {
        unanswered.put(m.id, m);
        write(m.json, 1, () -> {
            unanswered.remove(m.id);
            unwritten.put(m.id, m);
        });
    }

    /** Writes a payload, at the third try at the latest. */
    private void write(String json, int tries, Runnable givenUp) {
        try {
            Message stanza = new Message();
            stanza.addExtension(new Gcm(json));
            connection.sendStanza(stanza);
        } catch (NotConnectedException e) {
            if (tries == 3) {
                givenUp.run();
                return;
            }
            long pause = (500L << tries) + ThreadLocalRandom.current().nextLong(500);
            later.schedule(() -> write(json, tries + 1, givenUp), pause, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void onResult(Stanza iq) {
        if (iq.getFrom() != null) { // of all results only a pong has a sender
            Main.tell("pong", "error", iq.getFrom().toString());
        }
    }

    private void onMessage(Stanza stanza) {
        JsonNode m;
        try {
            m = Main.JSON.readTree(((Gcm) stanza.getExtension(Gcm.ELEMENT, Gcm.NAMESPACE)).json);
        } catch (IOException e) {
            Main.tell("unreadable", "error", e.toString());
            return;
        }
        String id = m.path("message_id").asText();
        switch (m.path("message_type").asText()) {
            case "ack":
            case "nack":
                unanswered.remove(id);
                drainingIf(m.path("error").asText());
                Main.tell("answer", "message_id", id, "answer", m.get("message_type"), "error", m.path("error").asText(),
                        "description", m.path("error_description").asText());
                break;
            case "control":
                drainingIf(m.path("control_type").asText());
                break;
            case "receipt":
                tellOf("receipt", id, m);
                break;
            default:
                tellOf("upstream", id, m);
                onUpstream(id, m.get("from").asText(), m.get("data"));
        }
    }

    private void drainingIf(String what) {
        if (what.equals("CONNECTION_DRAINING") && !draining) {
            draining = true;
            Main.tell("control", "error", what);
        }
    }

    private static void tellOf(String event, String id, JsonNode m) {
        Main.tell(event, "message_id", id, "from", m.get("from"), "category", m.path("category").asText(), "data", m.get("data"));
    }

    private void onUpstream(String id, String from, JsonNode data) {
        Runnable then = () -> {};
        switch (data.get("action").asText()) {
            case "ECHO":
                then = () -> send(payload(newID(), from, data));
                break;
            case "MESSAGE":
                then = () -> send(payload(newID(), data.get("recipient").asText(), data));
                break;
            default:
        }
        ObjectNode ack = Main.JSON.createObjectNode().put("message_type", "ack").put("to", from).put("message_id", id);
        write(ack.toString(), 1, () -> {});
        then.run();
    }

    private static String newID() {
        return "m-" + new SimpleDateFormat("yyyyMMddHHmmss").format(new Date()) + "-" + UUID.randomUUID();
    }
}
