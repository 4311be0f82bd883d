package interop;

import com.google.api.client.json.GenericJson;
import com.google.api.client.json.JsonFactory;
import com.google.api.client.json.gson.GsonFactory;
import com.google.auth.oauth2.AccessToken;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.firebase.FirebaseApp;
import com.google.firebase.FirebaseOptions;
import com.google.firebase.messaging.AndroidConfig;
import com.google.firebase.messaging.AndroidNotification;
import com.google.firebase.messaging.ApnsConfig;
import com.google.firebase.messaging.Aps;
import com.google.firebase.messaging.BatchResponse;
import com.google.firebase.messaging.FcmOptions;
import com.google.firebase.messaging.FirebaseMessaging;
import com.google.firebase.messaging.FirebaseMessagingException;
import com.google.firebase.messaging.Message;
import com.google.firebase.messaging.Notification;
import com.google.firebase.messaging.SendResponse;
import com.google.firebase.messaging.TopicManagementResponse;
import com.google.firebase.messaging.WebpushConfig;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * An ordinary program on the Firebase Admin SDK for Java. It reads what to do from the file that
 * its argument names, and tells by lines of JSON what the SDK made of it.
 */
public final class Admin {
  private static final JsonFactory JSON = GsonFactory.getDefaultInstance();

  private final GenericJson order;
  private final FirebaseMessaging messaging;

  private Admin(GenericJson order, FirebaseMessaging messaging) {
    this.order = order;
    this.messaging = messaging;
  }

  public static void main(String[] args) throws Exception {
    GenericJson order;
    try (InputStream in = new FileInputStream(args[0])) {
      order = JSON.fromInputStream(in, GenericJson.class);
    }
    FirebaseOptions options = FirebaseOptions.builder()
        .setCredentials(credentials(order))
        .setProjectId((String) order.get("project_id"))
        .build();
    Admin program = new Admin(order, FirebaseMessaging.getInstance(FirebaseApp.initializeApp(options)));
    PrintStream out = new PrintStream(System.out, true, "UTF-8");
    for (Object step : (List<?>) order.get("steps")) {
      GenericJson result = new GenericJson();
      result.setFactory(JSON);
      result.put("step", step);
      try {
        program.run((String) step, result);
        result.put("ok", true);
      } catch (FirebaseMessagingException e) {
        result.put("ok", false);
        result.put("code", code(e));
        result.put("error", e.getMessage());
      }
      out.println(result);
    }
    System.exit(0); // the SDK's threads would keep the program alive
  }

  /** A key of a front of ours stands where an access token would. */
  private static GoogleCredentials credentials(GenericJson order) throws IOException {
    Object bearer = order.get("bearer");
    if (bearer != null && !bearer.equals("")) {
      Date end = new Date(System.currentTimeMillis() + 3_600_000);
      return GoogleCredentials.create(new AccessToken((String) bearer, end));
    }
    try (InputStream in = new FileInputStream((String) order.get("service_account_file"))) {
      return GoogleCredentials.fromStream(in);
    }
  }

  private static String code(FirebaseMessagingException e) {
    Object code = e.getMessagingErrorCode();
    return String.valueOf(code != null ? code : e.getErrorCode());
  }

  private void run(String step, GenericJson result) throws FirebaseMessagingException {
    switch (step) {
      case "send":
        result.put("name", messaging.send(message(live(0), 0)));
        return;
      case "dry_run":
        result.put("name", messaging.send(message(live(0), 0), true));
        return;
      case "dead":
      case "foreign":
        result.put("name", messaging.send(message((String) order.get(step), 0)));
        return;
      case "malformed":
        result.put("name", messaging.send(message("x", 0)));
        return;
      case "topic":
        result.put("name", messaging.send(Message.builder().setTopic(topic()).putData("step", step).build()));
        return;
      case "condition":
        String condition = "'" + topic() + "' in topics";
        result.put("name", messaging.send(Message.builder().setCondition(condition).putData("step", step).build()));
        return;
      case "each":
        each(result);
        return;
      case "subscribe":
        relation(result, messaging.subscribeToTopic(List.of(live(0), (String) order.get("dead")), topic()));
        return;
      case "unsubscribe":
        relation(result, messaging.unsubscribeFromTopic(List.of(live(0), (String) order.get("dead")), topic()));
        return;
      default:
        throw new IllegalArgumentException("unknown step " + step);
    }
  }

  private void each(GenericJson result) throws FirebaseMessagingException {
    BatchResponse batch = messaging.sendEach(messages());
    Map<String, Object> codes = new TreeMap<>();
    for (SendResponse r : batch.getResponses()) {
      if (!r.isSuccessful()) {
        codes.merge(code(r.getException()), 1, (a, b) -> (Integer) a + (Integer) b);
      }
    }
    result.put("success", batch.getSuccessCount());
    result.put("failure", batch.getFailureCount());
    result.put("codes", codes);
  }

  private static void relation(GenericJson result, TopicManagementResponse response) {
    result.put("success", response.getSuccessCount());
    result.put("failure", response.getFailureCount());
  }

  /** As many as ordered: the last to a dead token, the one before to a foreign one. */
  private List<Message> messages() {
    int n = ((BigDecimal) order.get("each")).intValue();
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      String token = live(i);
      if (i == n - 2) {
        token = (String) order.get("foreign");
      } else if (i == n - 1) {
        token = (String) order.get("dead");
      }
      messages.add(message(token, i));
    }
    return messages;
  }

  private String live(int i) {
    List<?> live = (List<?>) order.get("live");
    return (String) live.get(i % live.size());
  }

  private String topic() {
    return (String) order.get("topic");
  }

  /** A message that uses what a message of this SDK can have. */
  private static Message message(String token, int n) {
    return Message.builder()
        .setToken(token)
        .putData("n", String.valueOf(n))
        .putData("text", "Grüße & \"quotes\" <b>bold</b>")
        .setNotification(Notification.builder().setTitle("Goal").setBody("2:1").build())
        .setAndroidConfig(AndroidConfig.builder()
            .setPriority(AndroidConfig.Priority.HIGH)
            .setCollapseKey("score")
            .setTtl(600_000)
            .setNotification(AndroidNotification.builder().setChannelId("goals").setColor("#00ff00").build())
            .build())
        .setApnsConfig(ApnsConfig.builder()
            .putHeader("apns-priority", "10")
            .setAps(Aps.builder().setBadge(3).setSound("default").build())
            .build())
        .setWebpushConfig(WebpushConfig.builder().putHeader("TTL", "600").build())
        .setFcmOptions(FcmOptions.withAnalyticsLabel("interop"))
        .build();
  }
}
