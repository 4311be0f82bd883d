'use strict';

// An app server on node-xcs, used as its README shows.
//
// It reads lines of JSON from stdin:
//   {"send": [{"message_id": "m-1", "to": "TOKEN", "data": {}, "receipt": false}]}
//   {"stop": true}
// and writes one line of JSON to stdout for each thing that happens. Host and
// port are the library's own: fcm-xmpp.googleapis.com:5235.

const util = require('util');
const readline = require('readline');

// The library needs these three, which Node 23 took away.
util.isNullOrUndefined ??= (v) => v === null || v === undefined;
util.isBoolean ??= (v) => typeof v === 'boolean';
util.isNumber ??= (v) => typeof v === 'number';

const { Sender, Message } = require('node-xcs');

const tell = (event, fields = {}) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
const text = (e) => [e?.name, e?.condition ?? e?.code, e?.message].filter(Boolean).join(' ');

// Without this a send while there is no connection ends the process.
process.on('unhandledRejection', (e) => tell('rejection', { error: text(e) }));

const [senderID, key] = process.argv.slice(2);
const xcs = new Sender(senderID, key);

xcs.on('connected', () => tell('online'));
xcs.on('disconnected', () => tell('offline'));
xcs.on('error', (e) => tell('error', { error: text(e) }));
xcs.on('message-error', (e) => tell('error', { error: String(e) }));
xcs.on('message', (message_id, from, data, category) => tell('upstream', { message_id, from, data, category }));
xcs.on('receipt', (message_id, from, data, category) => tell('receipt', { message_id, from, data, category }));

function send(m) {
  const message = new Message(m.message_id).timeToLive(3600).deliveryReceiptRequested(Boolean(m.receipt));
  for (const [k, v] of Object.entries(m.data)) message.addData(k, v);
  xcs.sendNoRetry(message.build(), m.to, (result) => tell('answer', {
    message_id: result.getMessageId(),
    answer: result.getMessageType(),
    error: result.getError() ?? '',
    description: result.getErrorDescription() ?? '',
  }));
}

const orders = readline.createInterface({ input: process.stdin });
orders.on('line', (line) => {
  const order = JSON.parse(line);
  for (const m of order.send ?? []) {
    try {
      send(m);
    } catch (e) {
      tell('send_failed', { message_id: m.message_id, error: text(e) });
    }
  }
  if (order.stop) {
    orders.close();
    process.stdin.destroy();
    xcs.close();
  }
});

tell('hello', { error: `node-xcs ${require('node-xcs/package.json').version}` });
try {
  xcs.start();
} catch (e) {
  // It has begun to connect, and then fails to set a timeout on its socket.
  tell('start_threw', { error: text(e) });
}
