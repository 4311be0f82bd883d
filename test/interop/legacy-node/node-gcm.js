// An ordinary program on node-gcm, as its README shows it. Its argument is a file
// that says what to do; it tells by lines of JSON what the library made of it.
'use strict'
const fs = require('fs')
const gcm = require('node-gcm')

const order = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))

// send resolves with what the library calls back with. Once is enough: it hands
// its callback on to axios as well.
const send = (step, recipient, retries, key = order.key) => new Promise((resolve) => {
  const message = new gcm.Message({
    priority: 'high',
    collapseKey: 'score',
    timeToLive: 600,
    data: { step, n: 12, text: 'Grüße & "quotes" <b>bold</b>' },
    notification: { title: 'Goal', body: '2:1', sound: 'default', badge: '3' },
  })
  new gcm.Sender(key, { uri: order.url }).send(message, recipient, { retries, backoff: 100 }, (error, response) => {
    if (error) return resolve({ ok: false, code: String(error.code ?? error), error: String(error) })
    if (response.message_id) return resolve({ ok: true, name: String(response.message_id) })
    const answers = (response.results ?? []).map((r) => r.error ?? (r.message_id ? '' : 'nothing'))
    resolve({ ok: response.failure === 0, code: answers[0], success: response.success, failure: response.failure, answers })
  })
})
const one = (step, token, retries = 0, key = order.key) => send(step, { registrationTokens: [token] }, retries, key)

const steps = {
  one: () => one('one', order.live),
  dead: () => one('dead', order.dead),
  foreign: () => one('foreign', order.foreign),
  malformed: () => one('malformed', order.malformed),
  many: () => send('many', { registrationTokens: order.batch }, 0),
  topic: () => send('topic', { topic: '/topics/' + order.topic }, 0),
  wrong_key: () => one('wrong_key', order.live, 3, order.wrong_key),
  retry: () => one('retry', order.live, 3),
  retry_many: () => send('retry_many', { registrationTokens: order.batch }, 3),
}

async function main () {
  for (const step of order.steps) console.log(JSON.stringify({ step, ...await steps[step]() }))
}

main().then(() => process.exit(0), (e) => {
  console.error(e)
  process.exit(1)
})
