"""The steps that both programs of this directory take, and how they tell of them.

A program reads what to do from the file that its argument names, and writes a
line of JSON for each step: what its library made of it.
"""

import json
import sys


class Steps:
    """A program fills in service(key), options, single, batch and topic."""

    def __init__(self, order):
        self.order = order
        self.library = self.service(order["key"])

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

    def wrong_key(self):
        library, self.library = self.library, self.service(self.order["wrong_key"])
        try:
            return self.single("wrong_key", self.order["live"])
        finally:
            self.library = library

    # Both libraries repeat by themselves what was answered with 503.
    def retry(self):
        return self.single("retry", self.order["live"])

    def retry_many(self):
        return self.batch("retry_many")


def run(program, failures):
    """Takes the steps of the order; failures are what the library raises."""
    with open(sys.argv[1], encoding="utf-8") as f:
        steps = program(json.load(f))
    for step in steps.order["steps"]:
        try:
            result = getattr(steps, step)()
        except failures as e:
            result = {"ok": False, "code": type(e).__name__, "error": str(e)}
        print(json.dumps({"step": step, **result}), flush=True)
