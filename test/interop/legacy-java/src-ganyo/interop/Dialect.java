package interop;

import com.google.android.gcm.server.Message;
import com.google.android.gcm.server.Result;
import com.google.android.gcm.server.Sender;

/** The helper of 2012, as com.ganyo:gcm-server, knows neither notifications nor topics. */
final class Dialect {
  private Dialect() {}

  static Message.Builder more(Message.Builder b) {
    return b;
  }

  static Result topic(Sender sender, Message message, String topic, int retries) {
    throw new UnsupportedOperationException("topic");
  }
}
