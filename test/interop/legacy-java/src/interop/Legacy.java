package interop;

import com.google.android.gcm.server.Constants;
import com.google.android.gcm.server.InvalidRequestException;
import com.google.android.gcm.server.Message;
import com.google.android.gcm.server.MulticastResult;
import com.google.android.gcm.server.Result;
import com.google.android.gcm.server.Sender;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.json.simple.JSONObject;
import org.json.simple.JSONValue;

/**
 * An ordinary program on Google's helper for GCM. It reads what to do from the file that its
 * argument names, and tells by lines of JSON what the helper made of it. Where the helper posts to
 * is built into it.
 */
public final class Legacy {
  private static final int RETRIES = 3;

  private final JSONObject order;

  private Legacy(JSONObject order) {
    this.order = order;
  }

  public static void main(String[] args) throws Exception {
    Legacy program;
    try (Reader in = new InputStreamReader(new FileInputStream(args[0]), StandardCharsets.UTF_8)) {
      program = new Legacy((JSONObject) JSONValue.parse(in));
    }
    PrintStream out = new PrintStream(System.out, true, "UTF-8");
    for (String step : strings(program.order.get("steps"))) {
      Map<String, Object> result = new TreeMap<>();
      result.put("ok", false);
      try {
        program.step(step, result);
      } catch (InvalidRequestException e) {
        result.put("code", "InvalidRequestException " + e.getHttpStatusCode());
        result.put("error", String.valueOf(e));
      } catch (IOException e) {
        result.put("code", e.getClass().getSimpleName());
        result.put("error", String.valueOf(e));
      }
      result.put("step", step);
      out.println(JSONObject.toJSONString(result));
    }
  }

  private void step(String step, Map<String, Object> result) throws IOException {
    switch (step) {
      case "one":
      case "retry":
        single(step, "live", "key", result);
        return;
      case "dead":
      case "foreign":
      case "malformed":
        single(step, step, "key", result);
        return;
      case "wrong_key":
        single(step, "live", "wrong_key", result);
        return;
      case "many":
      case "retry_many":
        many(step, result);
        return;
      case "topic":
        Result r = Dialect.topic(new Sender(text("key")), message(step), text("topic"), RETRIES);
        result.put("ok", r.getErrorCodeName() == null);
        result.put("name", r.getMessageId());
        return;
      default:
        throw new IllegalArgumentException(step);
    }
  }

  private void single(String step, String token, String key, Map<String, Object> result) throws IOException {
    Result r = new Sender(text(key)).send(message(step), text(token), RETRIES);
    if (r == null) { // the older helper's word for a trouble that stayed
      result.put("code", "null");
      return;
    }
    String word = word(r);
    result.put("ok", word.isEmpty());
    result.put("code", word);
  }

  private void many(String step, Map<String, Object> result) throws IOException {
    MulticastResult m = new Sender(text("key")).send(message(step), strings(order.get("batch")), RETRIES);
    List<String> words = new ArrayList<>();
    for (Result r : m.getResults()) {
      words.add(word(r));
    }
    result.put("ok", m.getFailure() == 0);
    result.put("success", m.getSuccess());
    result.put("failure", m.getFailure());
    result.put("answers", words);
  }

  /** What the helper says of a token: the name of its constant, or nothing if it was accepted. */
  private static String word(Result r) {
    String code = r.getErrorCodeName();
    if (code == null) {
      return r.getMessageId() == null ? "nothing" : "";
    }
    switch (code) {
      case Constants.ERROR_NOT_REGISTERED:
        return "ERROR_NOT_REGISTERED";
      case Constants.ERROR_MISMATCH_SENDER_ID:
        return "ERROR_MISMATCH_SENDER_ID";
      case Constants.ERROR_INVALID_REGISTRATION:
        return "ERROR_INVALID_REGISTRATION";
      default:
        return code;
    }
  }

  private static Message message(String step) {
    Message.Builder b = new Message.Builder()
        .collapseKey("score")
        .timeToLive(600)
        .addData("step", step)
        .addData("n", "12")
        .addData("text", "Gr\u00fc\u00dfe & \"quotes\" <b>bold</b>");
    return Dialect.more(b).build();
  }

  private String text(String key) {
    return (String) order.get(key);
  }

  private static List<String> strings(Object list) {
    List<String> found = new ArrayList<>();
    for (Object o : (List<?>) list) {
      found.add((String) o);
    }
    return found;
  }
}
