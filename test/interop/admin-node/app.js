// An ordinary program on the Firebase Admin SDK for Node. Its arguments are the
// package's name and a file that says what to do; it tells by lines of JSON what
// the SDK made of it.
'use strict'
const fs = require('fs')
const { initializeApp, cert } = require(process.argv[2] + '/app')
const { getMessaging } = require(process.argv[2] + '/messaging')

const order = JSON.parse(fs.readFileSync(process.argv[3], 'utf8'))
// A key of a front of ours stands where an access token would.
const credential = order.bearer
  ? { getAccessToken: async () => ({ access_token: order.bearer, expires_in: 3600 }) }
  : cert(JSON.parse(fs.readFileSync(order.service_account_file, 'utf8')))
const messaging = getMessaging(initializeApp({ credential, projectId: order.project_id }))

// message uses what a message of this SDK can have.
const message = (token, n) => ({
  token,
  data: { n: String(n), text: 'Grüße & "quotes" <b>bold</b>' },
  notification: { title: 'Goal', body: '2:1' },
  android: { priority: 'high', collapseKey: 'score', ttl: 600000, notification: { channelId: 'goals', color: '#00ff00' } },
  apns: { headers: { 'apns-priority': '10' }, payload: { aps: { badge: 3, sound: 'default' } } },
  webpush: { headers: { TTL: '600' } },
  fcmOptions: { analyticsLabel: 'interop' },
})

// messages are order.each ones: the last to a dead token, the one before to a foreign one.
const messages = () => Array.from({ length: order.each }, (_, i) => {
  const token = i === order.each - 1 ? order.dead : i === order.each - 2 ? order.foreign : order.live[i % order.live.length]
  return message(token, i)
})

const one = async (m, dryRun) => ({ ok: true, name: await messaging.send(m, dryRun) })
const relation = (r) => ({ ok: true, success: r.successCount, failure: r.failureCount })
const tokens = () => [order.live[0], order.dead]

const steps = {
  send: () => one(message(order.live[0], 0)),
  dry_run: () => one(message(order.live[0], 0), true),
  dead: () => one(message(order.dead, 0)),
  foreign: () => one(message(order.foreign, 0)),
  malformed: () => one(message('x', 0)),
  topic: () => one({ topic: order.topic, data: { step: 'topic' } }),
  condition: () => one({ condition: `'${order.topic}' in topics`, data: { step: 'condition' } }),
  each: async () => {
    const batch = await messaging.sendEach(messages())
    const codes = {}
    for (const r of batch.responses) if (!r.success) codes[r.error.code] = (codes[r.error.code] || 0) + 1
    return { ok: true, success: batch.successCount, failure: batch.failureCount, codes }
  },
  subscribe: async () => relation(await messaging.subscribeToTopic(tokens(), order.topic)),
  unsubscribe: async () => relation(await messaging.unsubscribeFromTopic(tokens(), order.topic)),
  subscribe_legacy: async () => relation(await messaging.subscribeToTopicLegacy(tokens(), order.topic)),
}

async function main () {
  for (const step of order.steps) {
    let result
    try {
      result = await steps[step]()
    } catch (e) {
      result = { ok: false, code: e.code || 'other', error: String(e.message) }
    }
    console.log(JSON.stringify({ step, ...result }))
  }
}

main().then(() => process.exit(0), (e) => {
  console.error(e)
  process.exit(1)
})
