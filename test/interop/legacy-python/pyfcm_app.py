"""An ordinary program on pyfcm 1, as its README shows it.

It reads what to do from the file that its argument names, and tells by lines
of JSON what the library made of it. The library has no option for its endpoint.
"""

import json
import sys

import pyfcm
from pyfcm import errors


class Program:
    def __init__(self, order):
        self.order = order
        self.service = pyfcm.FCMNotification(api_key=order["key"])

    def options(self, step):
        return {
            "message_title": "Goal", "message_body": "2:1", "sound": "default", "badge": 3,
            "data_message": {"step": step, "n": 12, "text": 'Grüße & "quotes" <b>bold</b>'},
            "collapse_key": "score", "time_to_live": 600,
        }

    def told(self, response):
        return {
            "ok": response["failure"] == 0, "success": response["success"], "failure": response["failure"],
            "answers": [r.get("error", "") if "error" in r or r.get("message_id") else "nothing" for r in response["results"]],
        }

    def single(self, step, token):
        told = self.told(self.service.notify_single_device(registration_id=token, **self.options(step)))
        return {**told, "code": told["answers"][0]}

    def batch(self, step):
        return self.told(self.service.notify_multiple_devices(registration_ids=self.order["batch"], **self.options(step)))

    def one(self):
        return self.single("one", self.order["live"])

    def dead(self):
        return self.single("dead", self.order["dead"])

    def foreign(self):
        return self.single("foreign", self.order["foreign"])

    def malformed(self):
        return self.single("malformed", self.order["malformed"])

    def many(self):
        return self.batch("many")

    def topic(self):
        response = self.service.notify_topic_subscribers(topic_name=self.order["topic"], **self.options("topic"))
        return {"ok": response["success"] == 1, "name": str(response["topic_message_id"])}

    def wrong_key(self):
        service, self.service = self.service, pyfcm.FCMNotification(api_key=self.order["wrong_key"])
        try:
            return self.single("wrong_key", self.order["live"])
        finally:
            self.service = service

    # The library repeats by itself what was answered with 503.
    def retry(self):
        return self.single("retry", self.order["live"])

    def retry_many(self):
        return self.batch("retry_many")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        program = Program(json.load(f))
    for step in program.order["steps"]:
        try:
            result = getattr(program, step)()
        except (errors.FCMError, errors.AuthenticationError, errors.InvalidDataError) as e:
            result = {"ok": False, "code": type(e).__name__, "error": str(e)}
        print(json.dumps({"step": step, **result}), flush=True)


if __name__ == "__main__":
    main()
