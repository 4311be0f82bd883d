"""An ordinary program on python-gcm, as its README shows it.

The library posts to GCM's old host; single tokens by a form, many by JSON.
"""

import gcm

from steps import Steps, run


class Program(Steps):
    def service(self, key):
        return gcm.GCM(key)

    def options(self, step):
        return {
            "data": {"step": step, "n": 12, "text": 'Grüße & "quotes" <b>bold</b>'},
            "collapse_key": "score", "time_to_live": 600,
        }

    def single(self, step, token):
        self.library.plaintext_request(registration_id=token, **self.options(step))  # raises what went wrong
        return {"ok": True}

    # The library sends tokens that were Unavailable again by itself, and then
    # tells the results of those alone.
    def batch(self, step):
        tokens = self.order["batch"]
        info = self.library.json_request(registration_ids=tokens, **self.options(step))
        words = {token: word for word, failed in info.get("errors", {}).items() for token in failed}
        accepted = info.get("success", {})
        return {
            "ok": not words, "success": len(accepted), "failure": len(words),
            "answers": ["" if accepted.get(token) else words.get(token, "nothing") for token in tokens],
        }

    def topic(self):
        return {"ok": True, "name": str(self.library.send_topic_message(topic=self.order["topic"], **self.options("topic")))}


if __name__ == "__main__":
    run(Program, (gcm.gcm.GCMException, IOError))
