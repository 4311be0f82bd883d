"""An app server on aiofcm, used as its README shows.

It reads lines of JSON from stdin:
    {"send": [{"message_id": "m-1", "to": "TOKEN", "data": {}, "receipt": false}]}
    {"stop": true}
and writes one line of JSON to stdout for each thing that happens. Host and port
are the library's own: fcm-xmpp.googleapis.com:5235.

The library connects when there is something to send. This program makes the
first connection at once, and listens to the library's log and to the signals of
the connection underneath, only to tell what happens.
"""

import asyncio
import json
import logging
import sys
from importlib.metadata import version

from aiofcm import FCM, Message


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Told(logging.Handler):
    def emit(self, record):
        tell("error", error=record.getMessage()[:200])


async def send(fcm, m):
    fields = {"delivery_receipt_requested": True} if m.get("receipt") else {}
    try:
        message = Message(device_token=m["to"], message_id=m["message_id"], data=m["data"], time_to_live=3600, **fields)
        result = await fcm.send_message(message)
    except Exception as e:
        tell("send_failed", message_id=m["message_id"], error=f"{type(e).__name__}: {e}")
        return
    tell("answer", message_id=result.message_id, answer="ack" if result.is_successful else "nack",
         error="" if result.is_successful else result.status, description=result.description or "")


async def main():
    sender_id, key = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("aiofcm").addHandler(Told(logging.WARNING))
    stdin = asyncio.StreamReader(limit=16 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)

    fcm = FCM(sender_id=sender_id, api_key=key, loop=loop)
    tell("hello", error=f"aiofcm {version('aiofcm')}, aioxmpp {version('aioxmpp')}")
    try:
        await fcm.pool.create_connection()
    except Exception as e:
        tell("connect_failed", error=f"{type(e).__name__}: {e}")
    over = asyncio.Event()
    for connection in fcm.pool.connections:
        signals = connection.xmpp_client
        signals.on_stream_established.connect(lambda: tell("online"))
        signals.on_stream_destroyed.connect(lambda reason=None: tell("offline", error=str(reason or "")))
        signals.on_stopped.connect(over.set)
        tell("online")

    tasks = set()
    while line := await stdin.readline():
        order = json.loads(line)
        for m in order.get("send", ()):
            task = asyncio.create_task(send(fcm, m))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if order.get("stop"):
            break
    over.clear()
    if any(connection.connected for connection in fcm.pool.connections):
        fcm.pool.close()
        await over.wait()


asyncio.run(main())
