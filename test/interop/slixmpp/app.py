"""An app server on slixmpp, in the manner of those that talked to CCS.

It reads lines of JSON from stdin:
    {"send": [{"message_id": "m-1", "to": "TOKEN", "data": {}, "receipt": false}]}
    {"stop": true}
and writes one line of JSON to stdout for each thing that happens.

Like the programs that it stands for: TLS from the first byte and no STARTTLS;
presence and roster query as soon as the session starts; messages written as raw
text without a stanza id; a window of 100 that the program keeps itself; sending
stops when draining is announced and goes on after the next login; the program
connects again itself; what was unanswered when a connection ended is given up.
"""

import argparse
import asyncio
import collections
import json
import logging
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.stanza import Message
from slixmpp.xmlstream import ElementBase, register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

WINDOW = 100


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Gcm(ElementBase):
    name = "gcm"
    namespace = "google:mobile:data"
    plugin_attrib = "gcm"
    interfaces = {"payload"}

    def get_payload(self):
        return json.loads(self.xml.text)


class AppServer(slixmpp.ClientXMPP):
    def __init__(self, args):
        super().__init__(f"{args.sender_id}@gcm.googleapis.com", args.key)
        self.address = (args.host, args.port)
        self.ca_certs = Path(args.ca_file)
        self.enable_direct_tls = True
        self.enable_starttls = False
        self.enable_plaintext = False
        self.use_message_ids = False

        self.online = False
        self.draining = False
        self.stopping = False
        self.waiting = collections.deque()
        self.unanswered = {}
        self.over = asyncio.get_running_loop().create_future()

        register_stanza_plugin(Message, Gcm)
        self.register_handler(Callback("gcm", StanzaPath("message/gcm"), self.on_gcm))
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("disconnected", self.on_disconnected)
        self.add_event_handler("connection_failed", self.on_connection_failed)
        self.add_event_handler("failed_all_auth", self.on_failed_auth)
        self.add_event_handler("stream_error", lambda e: tell("error", error=e["condition"]))

    def begin(self):
        self.connect(*self.address)

    async def on_session(self, _):
        self.send_presence()
        roster = self.get_roster()
        self.online = True
        self.draining = False
        tell("online")
        self.pump()
        try:
            await roster
            tell("roster", error="")
        except IqError as e:
            tell("roster", error=e.condition)

    def on_disconnected(self, reason):
        self.online = False
        tell("offline", error=str(reason or ""))
        for message_id in self.unanswered:
            tell("given_up", message_id=message_id)
        self.unanswered.clear()
        if not self.stopping:
            self.begin()
        elif not self.over.done():
            self.over.set_result(None)

    def on_connection_failed(self, reason):
        tell("connect_failed", error=str(reason))

    def on_failed_auth(self, _):
        self.stopping = True  # a key that is refused once is refused for ever
        tell("auth_failed")

    def on_gcm(self, stanza):
        m = stanza["gcm"]["payload"]
        kind = m.get("message_type")
        if kind in ("ack", "nack"):
            self.unanswered.pop(m["message_id"], None)
            tell("answer", message_id=m["message_id"], answer=kind,
                 error=m.get("error", ""), description=m.get("error_description", ""))
            self.pump()
        elif kind == "control":
            self.draining = m.get("control_type") == "CONNECTION_DRAINING"
            tell("control", error=m.get("control_type", ""))
        else:
            tell("receipt" if kind == "receipt" else "upstream", message_id=m["message_id"],
                 **{"from": m["from"]}, category=m.get("category", ""), data=m.get("data", {}))
            self.write({"to": m["from"], "message_id": m["message_id"], "message_type": "ack"})

    def write(self, payload):
        self.send_raw('<message><gcm xmlns="google:mobile:data">%s</gcm></message>' % escape(json.dumps(payload)))

    def pump(self):
        while self.online and not self.draining and self.waiting and len(self.unanswered) < WINDOW:
            m = self.waiting.popleft()
            payload = {"to": m["to"], "message_id": m["message_id"], "data": m["data"], "time_to_live": 3600}
            if m.get("receipt"):
                payload["delivery_receipt_requested"] = True
            self.unanswered[m["message_id"]] = True
            self.write(payload)

    async def obey(self, stdin):
        while line := await stdin.readline():
            order = json.loads(line)
            self.waiting.extend(order.get("send", ()))
            self.pump()
            if order.get("stop"):
                break
        self.stopping = True
        self.disconnect()


async def main():
    p = argparse.ArgumentParser()
    for flag in ("--host", "--ca-file", "--sender-id", "--key"):
        p.add_argument(flag, required=True)
    p.add_argument("--port", type=int, required=True)
    args = p.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)

    stdin = asyncio.StreamReader(limit=16 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    app = AppServer(args)
    tell("hello", error=f"slixmpp {slixmpp.__version__}")
    app.begin()
    orders = asyncio.create_task(app.obey(stdin))
    await app.over
    orders.cancel()


asyncio.run(main())
