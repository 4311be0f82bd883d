"""An ordinary program on pyfcm 1, as its README shows it.

The library has no option for its endpoint.
"""

import pyfcm
from pyfcm import errors

from steps import Steps, run


class Program(Steps):
    def service(self, key):
        return pyfcm.FCMNotification(api_key=key)

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
        told = self.told(self.library.notify_single_device(registration_id=token, **self.options(step)))
        return {**told, "code": told["answers"][0]}

    def batch(self, step):
        return self.told(self.library.notify_multiple_devices(registration_ids=self.order["batch"], **self.options(step)))

    def topic(self):
        response = self.library.notify_topic_subscribers(topic_name=self.order["topic"], **self.options("topic"))
        return {"ok": response["success"] == 1, "name": str(response["topic_message_id"])}


if __name__ == "__main__":
    run(Program, (errors.FCMError, errors.AuthenticationError, errors.InvalidDataError))
