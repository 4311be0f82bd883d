"""An ordinary program on the Firebase Admin SDK for Python.

It reads what to do from the file that its argument names, and tells by lines
of JSON what the SDK made of it.
"""

import json
import sys

import firebase_admin
import google.oauth2.credentials
from firebase_admin import credentials, exceptions, messaging


class Key(credentials.Base):
    """A key of a front of ours, where an access token would stand."""

    def __init__(self, key):
        self._key = google.oauth2.credentials.Credentials(key)

    def get_credential(self):
        return self._key


def message(token, n):
    """A message that uses what a message of this SDK can have."""
    return messaging.Message(
        token=token,
        data={"n": str(n), "text": 'Grüße & "quotes" <b>bold</b>'},
        notification=messaging.Notification(title="Goal", body="2:1"),
        android=messaging.AndroidConfig(
            priority="high", collapse_key="score", ttl=600,
            notification=messaging.AndroidNotification(channel_id="goals", color="#00ff00")),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"},
            payload=messaging.APNSPayload(messaging.Aps(badge=3, sound="default"))),
        webpush=messaging.WebpushConfig(headers={"TTL": "600"}),
        fcm_options=messaging.FCMOptions(analytics_label="interop"))


def code(error):
    """The SDK's class of an error."""
    return type(error).__name__


class Program:
    def __init__(self, order):
        self.order = order

    def messages(self):
        """As many as ordered: the last to a dead token, the one before to a foreign one."""
        n = self.order["each"]
        tokens = [self.order["live"][i % len(self.order["live"])] for i in range(n)]
        tokens[-2:] = [self.order["foreign"], self.order["dead"]]
        return [message(token, i) for i, token in enumerate(tokens)]

    def one(self, m, dry_run=False):
        return {"ok": True, "name": messaging.send(m, dry_run=dry_run)}

    def relation(self, call):
        r = call([self.order["live"][0], self.order["dead"]], self.order["topic"])
        return {"ok": True, "success": r.success_count, "failure": r.failure_count}

    def send(self):
        return self.one(message(self.order["live"][0], 0))

    def dry_run(self):
        return self.one(message(self.order["live"][0], 0), dry_run=True)

    def dead(self):
        return self.one(message(self.order["dead"], 0))

    def foreign(self):
        return self.one(message(self.order["foreign"], 0))

    def malformed(self):
        return self.one(message("x", 0))

    def topic(self):
        return self.one(messaging.Message(topic=self.order["topic"], data={"step": "topic"}))

    def condition(self):
        return self.one(messaging.Message(condition=f"'{self.order['topic']}' in topics", data={"step": "condition"}))

    def each(self):
        batch = messaging.send_each(self.messages())
        codes = {}
        for r in batch.responses:
            if not r.success:
                codes[code(r.exception)] = codes.get(code(r.exception), 0) + 1
        return {"ok": True, "success": batch.success_count, "failure": batch.failure_count, "codes": codes}

    def subscribe(self):
        return self.relation(messaging.subscribe_to_topic)

    def unsubscribe(self):
        return self.relation(messaging.unsubscribe_from_topic)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        order = json.load(f)
    if order.get("bearer"):
        credential = Key(order["bearer"])
    else:
        credential = credentials.Certificate(order["service_account_file"])
    firebase_admin.initialize_app(credential, {"projectId": order["project_id"]})
    program = Program(order)
    for step in order["steps"]:
        try:
            result = getattr(program, step)()
        except (exceptions.FirebaseError, ValueError) as e:
            result = {"ok": False, "code": code(e), "error": str(e)}
        print(json.dumps({"step": step, **result}), flush=True)


if __name__ == "__main__":
    main()
