// An ordinary program on fcm-push, as its README shows it. Its argument is a file
// that says what to do; it tells by lines of JSON what the library made of it. The
// library has no option for its endpoint.
'use strict'
const fs = require('fs')
const FCM = require('fcm-push')

const order = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))

// send resolves with what the library tells: the text of the answer if any token
// was accepted, or else the first error.
async function send (step, target, key = order.key) {
  const message = {
    ...target,
    priority: 'high',
    collapse_key: 'score',
    time_to_live: 600,
    data: { step, n: 12, text: 'Grüße & "quotes" <b>bold</b>' },
    notification: { title: 'Goal', body: '2:1', sound: 'default', badge: 3 },
  }
  let answer
  try {
    answer = JSON.parse(await new FCM(key).send(message))
  } catch (e) {
    return { ok: false, code: String(e), error: String(e) }
  }
  if (answer.message_id) return { ok: true, name: String(answer.message_id) }
  const answers = answer.results.map((r) => r.error ?? (r.message_id ? '' : 'nothing'))
  return { ok: answer.failure === 0, success: answer.success, failure: answer.failure, answers }
}

const steps = {
  one: () => send('one', { to: order.live }),
  dead: () => send('dead', { to: order.dead }),
  foreign: () => send('foreign', { to: order.foreign }),
  malformed: () => send('malformed', { to: order.malformed }),
  many: () => send('many', { registration_ids: order.batch }),
  topic: () => send('topic', { to: '/topics/' + order.topic }),
  wrong_key: () => send('wrong_key', { to: order.live }, order.wrong_key),
  retry: () => send('retry', { to: order.live }), // the library repeats by itself what was answered with 503
}

async function main () {
  for (const step of order.steps) console.log(JSON.stringify({ step, ...await steps[step]() }))
}

main().then(() => process.exit(0), (e) => {
  console.error(e)
  process.exit(1)
})
