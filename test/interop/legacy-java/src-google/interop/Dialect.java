package interop;

import com.google.android.gcm.server.Constants;
import com.google.android.gcm.server.Message;
import com.google.android.gcm.server.Notification;
import com.google.android.gcm.server.Result;
import com.google.android.gcm.server.Sender;
import java.io.IOException;

/** What com.google.gcm:gcm-server has beyond the older helper. */
final class Dialect {
  private Dialect() {}

  static Message.Builder more(Message.Builder b) {
    return b.priority(Message.Priority.HIGH)
        .notification(new Notification.Builder("myicon").title("Goal").body("2:1").sound("default").badge(3).build());
  }

  static Result topic(Sender sender, Message message, String topic, int retries) throws IOException {
    return sender.send(message, Constants.TOPIC_PREFIX + topic, retries);
  }
}
