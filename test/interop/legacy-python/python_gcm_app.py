"""An ordinary program on python-gcm, as its README shows it.

It reads what to do from the file that its argument names, and tells by lines
of JSON what the library made of it. The library posts to GCM's old host; single
tokens by a form, many by JSON.
"""

import json
import sys

import gcm


class Program:
    def __init__(self, order):
        self.order = order
        self.service = gcm.GCM(order["key"])

    def options(self, step):
        return {
            "data": {"step": step, "n": 12, "text": 'Grüße & "quotes" <b>bold</b>'},
            "collapse_key": "score", "time_to_live": 600,
        }

    def single(self, step, token):
        self.service.plaintext_request(registration_id=token, **self.options(step))  # raises what went wrong
        return {"ok": True}

    def batch(self, step):
        tokens = self.order["batch"]
        info = self.service.json_request(registration_ids=tokens, **self.options(step))
        words = {token: word for word, failed in info.get("errors", {}).items() for token in failed}
        accepted = info.get("success", {})
        return {
            "ok": not words, "success": len(accepted), "failure": len(words),
            "answers": ["" if accepted.get(token) else words.get(token, "nothing") for token in tokens],
        }

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
        return {"ok": True, "name": str(self.service.send_topic_message(topic=self.order["topic"], **self.options("topic")))}

    def wrong_key(self):
        service, self.service = self.service, gcm.GCM(self.order["wrong_key"])
        try:
            return self.single("wrong_key", self.order["live"])
        finally:
            self.service = service

    # The library repeats by itself what was answered with 503, and tokens that
    # were Unavailable. Of a repetition it tells the results of those alone.
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
        except (gcm.gcm.GCMException, IOError) as e:
            result = {"ok": False, "code": type(e).__name__, "error": str(e)}
        print(json.dumps({"step": step, **result}), flush=True)


if __name__ == "__main__":
    main()
